"""A run in torch as a portable record, and a record as a run in torch that goes on."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from clr_core import CyclicSchedule, schedule_from_dict
from clr_core.adapter import integer, received
from clr_core.record import Record
from clr_torch import foreign
from clr_torch import state as our_state
from clr_torch._entries import count
from clr_torch.schedule import CyclicLR

DEPTH = 8
"""How many keys may lead to a scheduler's state in a checkpoint."""


def to_record(
    source: LRScheduler | Mapping[str, Any], key: str | None = None, scale_fn: str | None = None
) -> Record:
    """The schedule and the step of a scheduler: of this package's `CyclicLR` or of torch's own.

        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], momentum=0.9)
        >>> theirs = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 3, step_size_down=7)
        >>> to_record(theirs).schedule.step_size_down
        7.0

    Of torch's class the step sizes are those with the fewest digits that give its `total_size` and
    `step_ratio` to the bit. Its state dict doesn't tell of a function that was its `scale_fn`, but
    for the last rate, which is compared. Where the function gives 1 at that step, as most do in the
    first cycle, nothing shows it: pass `scale_fn` if there was one.

    Args:
        source: A scheduler, its state dict, or a checkpoint that has the state dict in it.
        key: Which one, where there are several, or where it is one of those in a `SequentialLR` or
            a `ChainedScheduler`: the keys that lead to it, as in "lr_schedulers.0".
        scale_fn: A decay of the run's own as an expression, where it is a Python callable.

    Returns:
        A record with one schedule where those of all parameter groups are equal; otherwise with
        one for each.

    Raises:
        TypeError: Not a scheduler nor a mapping, or a `scale_fn` that is a Python callable.
        ValueError: No state of a cyclical scheduler, several, or one that contradicts itself.
    """
    if not isinstance(source, LRScheduler | Mapping):
        raise TypeError(f"`source` must be a scheduler or its state dict. {_received(source)}")
    return _record(_chosen(_tree(source), key), scale_fn)


def read_record(
    path: str | os.PathLike[str], key: str | None = None, scale_fn: str | None = None
) -> Record:
    """The same of a file that `torch.save` wrote, in which the state may lie anywhere.

    The file may be the state dict alone, as a `scheduler.pt` of Hugging Face, a checkpoint of one's
    own, or a `.ckpt` of Lightning. It is read with `weights_only=True`, so that nothing in it is
    ever run, and its tensors stay on disk (but for files from before torch 1.6).

        >>> import tempfile, torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], momentum=0.9)
        >>> scheduler = CyclicLR(optimizer, base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     torch.save({"epoch": 0, "scheduler": scheduler.state_dict()}, file.name)
        ...     read_record(file.name).step
        0

    Args:
        path: The file.
        key: See `to_record`.
        scale_fn: See `to_record`.

    Raises:
        TypeError: `path` isn't a path, or a `scale_fn` that is a Python callable.
        ValueError: What is in the file isn't that, in one line.
        OSError: The file isn't there or can't be read.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a path. {received('path', path)}")
    name = os.fsdecode(path)
    try:
        return _record(_chosen(_loaded(name), key), scale_fn)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        why = " ".join(str(error).split())
        raise kind(f"{name!r} must hold the state of a CyclicLR: {why[:1000]}") from None


def from_record(record: Record, optimizer: Optimizer) -> CyclicLR:
    """A scheduler on `optimizer` that goes on where the record stands.

        >>> import torch
        >>> record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2), step=102)
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))])
        >>> from_record(record, optimizer).get_last_lr(), optimizer.param_groups[0]["lr"]
        ([0.5], 0.5)

    The next update uses the rate, and the momentum if the schedule has one, of `record.step`. What
    the optimizer remembers of past gradients is another matter: `clr_torch.from_moments`.

    Raises:
        TypeError, ValueError: Not a record, not one schedule per parameter group, or a momentum for
            an optimizer without. Nothing in the optimizer has changed then.
    """
    _check_record(record)
    scheduler = CyclicLR.from_schedule(optimizer, record.schedule, last_epoch=record.step - 1)
    # As if it had taken these steps itself, and not been made anew in their midst.
    scheduler._step_count = record.step + 1
    return scheduler


def to_state_dict(
    record: Record, groups: int | None = None, of: str = "clr_torch"
) -> dict[str, Any]:
    """The state dict of a scheduler that is where the record stands.

        >>> record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2), step=102)
        >>> to_state_dict(record, of="torch")["total_size"]
        4.0

    Torch's own class takes the parameters from it, but leaves the optimizer as it is when it loads:
    load the optimizer's state as well, or put the rates of "_last_lr" into its groups.

    Args:
        record: The record.
        groups: How many parameter groups; None: as many as the record has schedules.
        of: Whose: "clr_torch" for this package's `CyclicLR`, "torch" for torch's own.

    Raises:
        TypeError: Not a record, or a `scale_fn` for torch's own class, which doesn't save it.
        ValueError: Another number of groups, or groups that differ in what torch has only one of.
    """
    _check_record(record)
    if of not in ("clr_torch", "torch"):
        raise ValueError(f"`of` must be 'clr_torch' or 'torch'. {received('of', of)}")
    if isinstance(record.schedule, tuple):
        schedules = record.schedule
    else:
        schedules = (record.schedule,) * (1 if groups is None else integer("groups", groups))
    if not schedules or groups not in (None, len(schedules)):
        raise ValueError(
            "`groups` must be at least 1, and as many as the record has where it has several. "
            f"{received('groups', groups)}"
        )
    if of == "torch":
        return foreign.written(schedules, record.step)
    return {
        "schedules": [schedule.to_dict() for schedule in schedules],
        "last_epoch": record.step,
        "_step_count": record.step + 1,
        "_last_lr": [schedule.lr(record.step) for schedule in schedules],
        "applied": True,
    }


def _check_record(record: object) -> None:
    if not isinstance(record, Record):
        raise TypeError(f"`record` must be a clr_core.record.Record. {received('record', record)}")


def _received(source: object) -> str:
    return f"Received: a {type(source).__name__}"


def _tree(source: LRScheduler | Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of a living scheduler, in the form that its state dict has."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, CyclicLR):
        return source.state_dict()
    # Torch's own method fails where a `scale_fn` has no `__dict__`, as Python's own functions.
    state = dict(vars(source))
    if "_schedulers" in state:
        state["_schedulers"] = [_tree(each) for each in state["_schedulers"]]
    return state


def _chosen(tree: object, key: str | None) -> Mapping[str, Any]:
    """The state that `key` leads to; without one, the only state that there is."""
    places = {".".join(map(str, path)): state for path, state in _states(tree)}
    others = {place: state for place, state in places.items() if not _is_cyclic(state)}
    for place in others:
        del places[place]
    named = ", ".join(map(repr, list(places)[:20]))
    if not places:
        found = "none"
        for place, state in others.items():
            where = f" at {place!r}" if place else ""
            found += f". Another scheduler's{where}: {', '.join(map(str, state))}"
        raise ValueError(
            f"There must be a state of clr_torch's CyclicLR or of torch's. Received: {found}"
        )
    if key is not None:
        if key not in places:
            raise ValueError(f"`key` must be one of {named}. {received('key', key)}")
        return places[key]
    if len(places) > 1:
        raise ValueError(f"There must be one state, or a `key` to choose. Received: {named}")
    ((place, state),) = places.items()
    if "_schedulers" in place.split("."):
        raise ValueError(
            "A scheduler inside of another one can't be carried with what that one does. "
            f"To go on with it alone, pass key={place!r}."
        )
    return state


def _states(tree: object) -> Iterator[tuple[tuple[object, ...], Mapping[str, Any]]]:
    """Each scheduler's state in plain data, and the keys that lead to it; the outermost first."""
    seen: set[int] = set()  # A pickle may have a list in itself, or the same one many times.
    level: list[tuple[tuple[object, ...], object]] = [((), tree)]
    for _ in range(DEPTH):
        inner: list[tuple[tuple[object, ...], object]] = []
        for path, each in level:
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, Mapping):
                if _is_cyclic(each) or ("_step_count" in each and "_schedulers" not in each):
                    yield path, each
                    continue
                items: Any = each.items()
            else:
                items = enumerate(each)  # type: ignore[arg-type]
            inner += [
                ((*path, key), value)
                for key, value in items
                if isinstance(value, Mapping | list | tuple)
            ]
        level = inner


def _is_cyclic(state: Mapping[str, Any]) -> bool:
    return foreign.is_one(state) or ("schedules" in state and "last_epoch" in state)


def _record(state: Mapping[str, Any], scale_fn: str | None) -> Record:
    if foreign.is_one(state):
        schedules = foreign.schedules(state, scale_fn)
    else:
        schedules = [_schedule(each, scale_fn) for each in our_state.by_group(state)]
        if scale_fn is not None:
            foreign.check_last_rates(state, schedules)
    same = all(schedule == schedules[0] for schedule in schedules)
    step = count(state, "last_epoch", -1)  # It is -1 while another scheduler has the first turn.
    return Record(schedules[0] if same else tuple(schedules), max(step, 0))


def _schedule(written: Mapping[str, Any], scale_fn: str | None) -> CyclicSchedule:
    """The schedule of a group in our state, with `scale_fn` in the place of a callable."""
    noted = written.get("scale_fn")
    if not isinstance(noted, Mapping):
        if scale_fn is not None:
            raise ValueError(
                "`scale_fn` must be left out where the decay was saved. "
                f"{received('scale_fn', scale_fn)} in place of {noted!r}"
            )
        return schedule_from_dict(written)
    if scale_fn is None:
        raise TypeError(
            f"A `scale_fn` that is a Python callable can't be carried, and this is one: "
            f"{noted.get('callable')}. {foreign.HINT}"
        )
    return schedule_from_dict({**written, "scale_fn": scale_fn})


def _loaded(name: str) -> Any:
    """What `torch.save` put into the file, without running any of it."""
    # A pipe would be waited for.
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError("it isn't a regular file")
    with open(name, "rb") as file:
        zipped = file.read(4) == b"PK\3\4"
    try:
        # What is compressed may be a thousand times as large in memory.
        compressed = zipped and _is_compressed(name)
        loaded = None if compressed else _plain_data(name, mmap=zipped)
    except OSError:
        raise
    except Exception as error:  # A broken file raises a dozen kinds, from KeyError to TypeError.
        raise ValueError(_why(error)) from None
    if compressed:
        raise ValueError("it is compressed, which torch.save never does")
    return loaded


def _plain_data(name: str, *, mmap: bool) -> Any:
    # It warns of another protocol of pickle, and reads it all the same.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(name, map_location="cpu", weights_only=True, mmap=mmap)


def _is_compressed(name: str) -> bool:
    with ZipFile(name) as archive:
        return any(each.compress_type != ZIP_STORED for each in archive.infolist())


def _why(error: Exception) -> str:
    unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
    if unsafe is None:
        return "it isn't a whole file of plain data from `torch.save` with its own pickle protocol"
    return (
        f"it has {unsafe[1]} in it, which isn't plain data and wasn't run. Save the state dict by "
        "itself, or, if you trust that name, read within torch.serialization.safe_globals"
    )
