"""The state of a scheduler as plain data, and the checks on reading it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from clr_core import Schedule
from clr_core.adapter import HINT, listed, number, received, schedules_from_documents
from clr_torch._unpickler import Foreign, Name

COUNTS = {"last_epoch", "_step_count", "_last_lr"}
KEYS = {"schedules", "applied", *COUNTS}

MAX_DEPTH, MAX_VALUES = 20, 1_000_000
"""How deeply a state may be nested, and how many values it may have side by side.

A list in a pickle may be repeated without taking space, or contain itself.
"""


@dataclass(frozen=True)
class Saved:
    """What a state says, checked by itself."""

    documents: list[Any]
    """The schedule of each parameter group, as `written` wrote it."""
    last_epoch: int
    step_count: int
    last_lr: list[float] | None
    """The rate of each group that was set last; None: unknown."""
    eps: float
    """How coarsely these are rounded, relative to them."""
    applied: bool
    """True if they were the optimizer's rates at `last_epoch`."""
    hint: str = HINT
    """What may be the reason if they don't follow from the schedules."""


def written(schedules: Iterable[Schedule]) -> list[dict[str, Any]]:
    """The schedules as plain data; a Python callable in them, at any depth, is noted by its name.

    Another one of the same name, such as a second lambda, is noted with a number, too.
    """
    found: dict[str, list[Any]] = {}
    return [noted(schedule.to_dict(strict=False), found) for schedule in schedules]


def read(documents: Iterable[Mapping[str, Any]], scale_fn: str | None = None) -> list[Schedule]:
    """Build the schedules that `written` wrote, with `scale_fn` in place of a callable."""
    return schedules_from_documents(documents, scale_fn, _noted_name)


def check_bounded(state: object) -> None:
    """Raise a ValueError unless lists and mappings in a state are nested within bounds."""
    level: list[Any] = [state]
    for _ in range(MAX_DEPTH):
        level = list(islice(_inner(level), MAX_VALUES + 1))
        if not level:
            return
        if len(level) > MAX_VALUES:
            break
    raise ValueError(
        f"`state_dict` must have at most {MAX_VALUES} values, nested at most {MAX_DEPTH} deep."
    )


def _inner(level: list[Any]) -> Iterator[Any]:
    for each in level:
        if isinstance(each, Mapping):
            yield from each.values()
        elif isinstance(each, list | tuple):
            yield from each


def noted(value: Any, found: dict[str, list[Any]]) -> Any:
    """The value with a note of its name in place of a callable, at any depth.

    Those of each name are added to `found`.
    """
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        name = f"{getattr(named, '__module__', None)}.{named.__qualname__}"
        others = found.setdefault(name, [])
        if value not in others:
            others.append(value)
        number = others.index(value) + 1
        return {"callable": name if number == 1 else f"{name} ({number})"}
    if isinstance(value, Mapping):
        return {key: noted(each, found) for key, each in value.items()}
    return [noted(each, found) for each in value] if isinstance(value, list | tuple) else value


def _noted_name(value: Any) -> str | None:
    named = value["callable"] if isinstance(value, Mapping) and set(value) == {"callable"} else None
    if isinstance(named, Foreign | Name):  # In a scheduler that was pickled whole.
        return named.name
    return named if isinstance(named, str) else None


def saved(state: Mapping[str, Any], groups: int | None = None) -> Saved:
    """What a state of this package's class says."""
    check_keys([key for key in state if key != "attributes"], KEYS, exactly=True)
    attributes = state.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise ValueError(
            "`state_dict` must have a mapping in 'attributes'. "
            f"{received('attributes', attributes)}"
        )
    documents = per_group(state, "schedules", groups)
    if not all(isinstance(each, Mapping) for each in documents):
        raise ValueError(
            f"`state_dict` must have mappings in 'schedules'. {received('schedules', documents)}"
        )
    applied = plain("applied", state["applied"])
    if not isinstance(applied, bool):
        raise ValueError(
            f"`state_dict` must have True or False in 'applied'. {received('applied', applied)}"
        )
    return Saved(
        documents,
        count(state, "last_epoch", -1),
        count(state, "_step_count", 0),
        *rates(state, len(documents)),
        applied,
    )


def check_same(saved: Saved, schedules: Sequence[Schedule]) -> None:
    """Raise a ValueError unless it is the state of a scheduler with these schedules."""
    pairs = zip(saved.documents, written(schedules), strict=True)
    for index, (theirs, mine) in enumerate(pairs):
        differing = [
            f"{name}={_shown(theirs.get(name))} in place of {_shown(mine.get(name))}"
            for name in sorted({*mine, *theirs}, key=str)
            if theirs.get(name) != mine.get(name)
        ]
        if differing:
            raise ValueError(
                "`state_dict` must come from a scheduler with the same parameters. "
                f"Received for group {index}: {', '.join(differing[:20])}. "
                "Make the scheduler with these parameters, then load. To go on with others, make "
                f"it with last_epoch={saved.last_epoch - 1} instead of loading."
            )


def check_last_rates(saved: Saved, schedules: Sequence[Schedule]) -> None:
    """Raise a ValueError unless the rates in the state follow from the schedules.

    They reveal a decay that wasn't saved, at any step at which it makes a difference.
    """
    step = saved.last_epoch
    if step < 0 or not saved.applied or saved.last_lr is None:
        return
    for schedule, rate in zip(schedules, saved.last_lr, strict=True):
        mine = schedule.lr(step)
        # For a hundred million cycles, torch's formula is off by less than a float32 is.
        tolerance = 8.0 * saved.eps * max([*schedule.levels().values(), abs(mine)])
        if not abs(rate - mine) <= tolerance:
            raise ValueError(
                f"The rate of the scheduler must follow from its parameters: {mine!r} at step "
                f"{step}. {received('_last_lr', rate)}. {saved.hint}"
            )


def rates(state: Mapping[str, Any], groups: int | None) -> tuple[list[float], float]:
    """The rates under "_last_lr", and how coarsely they are rounded, relative to them."""
    values = per_group(state, "_last_lr", groups)
    # A rate that is a tensor is rounded to the tensor's type; our own state has it as a float.
    types = (getattr(each, "dtype", None) for each in state["_last_lr"])
    dtypes = [each for each in types if isinstance(each, torch.dtype) and each.is_floating_point]
    return [number("_last_lr", each) for each in values], max(
        torch.finfo(dtype).eps for dtype in [torch.float32, *dtypes]
    )


def check_keys(state: Collection[str], keys: set[str], *, exactly: bool) -> None:
    """Raise a ValueError unless `state` has the keys; `exactly`: and no others."""
    if not keys <= set(state) or (exactly and set(state) != keys):
        raise ValueError(
            f"`state_dict` must have the keys {', '.join(sorted(keys))}. "
            f"Received: {listed(state, 20)}"
        )


def per_group(state: Mapping[str, Any], name: str, groups: int | None = None) -> list[Any]:
    """The value of each parameter group: there must be `groups` of them; None: at least one."""
    values = state[name]
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"`state_dict` must have a list in {name!r}. {received(name, values)}")
    if groups not in (None, len(values)):
        raise ValueError(
            f"`state_dict` must be for {groups} parameter groups. "
            f"Received: {len(values)} in {name!r}"
        )
    return [plain(name, each) for each in values]


def plain(name: str, value: Any) -> Any:
    """The value with lists for tuples, and a number in place of a tensor that holds one."""
    if isinstance(value, Mapping):
        return {key: plain(name, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(name, each) for each in value]
    size = value.numel() if isinstance(value, Tensor) else getattr(value, "size", None)
    if not isinstance(size, int) or not hasattr(value, "item"):
        return value
    try:
        if size == 1:
            return value.item()
    except RuntimeError:  # Such as a tensor on the device "meta", which has no numbers.
        pass
    raise ValueError(
        f"`state_dict` must have numbers in {name!r}. "
        f"Received: a {type(value).__name__} of the shape {tuple(value.shape)}"
    )


def count(state: Mapping[str, Any], name: str, least: int) -> int:
    """The integer under `name`, at least `least`."""
    value = plain(name, state[name])
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"`state_dict` must have an integer in {name!r}, at least {least}. "
            f"{received(name, value)}"
        )
    if value >= 2**54:
        raise ValueError(f"`state_dict` must have less than 2**54 in {name!r}.")
    return value


def _shown(value: Any) -> str:
    return received("", value).removeprefix("Received: =")
