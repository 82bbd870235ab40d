"""A run in torch as a portable record, and a record as a run in torch that continues it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from clr_core import CyclicSchedule
from clr_core.adapter import integer, received, refusing
from clr_core.record import Record, check_record
from clr_core.schedules.originals import COMES_BACK
from clr_torch import _schedulers, checkpoint, foreign, state
from clr_torch.schedule import CyclicLR, ScheduledLR


def to_record(
    source: LRScheduler | Mapping[str, Any],
    key: str | None = None,
    scale_fn: str | None = None,
    *,
    optimizer: Optimizer | Mapping[str, Any] | None = None,
) -> Record:
    """The schedule and step of a scheduler: one of this package, or torch's own `CyclicLR`.

        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], momentum=0.9)
        >>> theirs = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 3, step_size_down=7)
        >>> to_record(theirs).schedule.step_size_down
        7.0

    For torch's class, the step sizes are the pair with the fewest digits that gives its
    `total_size` and `step_ratio` to the bit. Its state dict doesn't say whether its `scale_fn` was
    a function. The last rate is compared, which reveals one unless its value at that step is 1, as
    it mostly is in the first cycle: pass `scale_fn` if there was one.

    Other schedulers of torch that are made of phases are read too, with exactly their curve:
    `OneCycleLR`, `CosineAnnealingLR`, `CosineAnnealingWarmRestarts`, `LinearLR`, `ConstantLR`, and
    a `SequentialLR` of these; and the `LambdaLR` of transformers' linear, cosine and WSD schedules,
    from the scheduler itself, since its state has no functions:

        >>> theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=1000)
        >>> [phase.steps for phase in to_record(theirs).schedule.phases]
        [299.0, 700.0]

    Args:
        source: A scheduler, its state dict, or a checkpoint that contains the state dict.
        key: The keys that lead to the state, as in "lr_schedulers.0". Needed if there are several
            states, or if it lies in that of a `SequentialLR` or a `ChainedScheduler`.
        scale_fn: The run's decay as an expression, if it is a Python callable.
        optimizer: The optimizer, or its state dict, for a state of `OneCycleLR`, whose rates are
            there; None: the scheduler's, or one in the checkpoint.

    Returns:
        A record with one schedule if those of all parameter groups are equal; otherwise with one
        per group.

    Raises:
        TypeError: Neither a scheduler nor a mapping, or a `scale_fn` that is a Python callable;
            with the argument `scale_fn`, several that differ.
        ValueError: No state of such a scheduler, several, or one that contradicts itself; or a
            curve that isn't made of phases.

    Warns:
        UserWarning: The rate of torch's `CosineAnnealingLR`, or of transformers' cosine, comes back
            up when it has come down. The schedule holds its last value there.
    """
    if not isinstance(source, LRScheduler | Mapping):
        raise TypeError(
            f"`source` must be a scheduler or its state dict. Received: a {type(source).__name__}"
        )
    return _record(_tree(source), key, scale_fn, optimizer)


def read_record(
    path: str | os.PathLike[str],
    key: str | None = None,
    scale_fn: str | None = None,
    *,
    optimizer: Optimizer | Mapping[str, Any] | None = None,
) -> Record:
    """Read the schedule and step of a scheduler from a file that `torch.save` wrote.

    The state may be anywhere in the file: a state dict alone, such as Hugging Face's
    `scheduler.pt`, a checkpoint in a form of your choice, or a `.ckpt` of Lightning; or the
    scheduler was saved whole. Objects of any class may lie beside it. No name in the file is
    imported and nothing is run, tensors stay on disk, and the parts that are read are compared with
    their checksums. Files from before torch 1.6 and plain pickles have none; saving such a file
    again with torch adds them.

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
        optimizer: See `to_record`.

    Raises:
        TypeError: `path` isn't a path, or a `scale_fn` that is a Python callable.
        ValueError: The content isn't such a state; the message has one line.
        OSError: The file doesn't exist or can't be read.
    """
    with refusing(path, "the state of a scheduler") as name:
        return _record(checkpoint.read(name), key, scale_fn, optimizer)


def from_record(
    record: Record, optimizer: Optimizer, *, momentum_key: str | None = None
) -> ScheduledLR:
    """A scheduler on `optimizer` that resumes at the record's step.

        >>> import torch
        >>> from clr_core import CyclicSchedule
        >>> record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2), step=102)
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))])
        >>> from_record(record, optimizer).get_last_lr(), optimizer.param_groups[0]["lr"]
        ([0.5], 0.5)

    The next update uses the rate, and the momentum if the schedule has one, of `record.step`. The
    optimizer's memory of past gradients is not part of a record; see `clr_torch.from_moments`.

    Args:
        record: The record.
        optimizer: The optimizer.
        momentum_key: See `ScheduledLR`.

    Returns:
        A `CyclicLR`, which has the attributes of torch's class too, if each schedule is a
        `CyclicSchedule`; otherwise a `ScheduledLR`.

    Raises:
        TypeError, ValueError: Not a record, not one schedule per parameter group, or a momentum for
            an optimizer that has none. In that case nothing in the optimizer has changed.
    """
    check_record(record)
    schedules = record.schedule if isinstance(record.schedule, tuple) else (record.schedule,)
    is_cyclic = all(isinstance(each, CyclicSchedule) for each in schedules)
    make = CyclicLR.from_schedule if is_cyclic else ScheduledLR
    scheduler = make(
        optimizer, record.schedule, last_epoch=record.step - 1, momentum_key=momentum_key
    )
    # As if it had taken these steps itself: torch counts calls to detect a wrong order.
    scheduler._step_count = record.step + 1
    return scheduler


def to_state_dict(
    record: Record, groups: int | None = None, of: str = "clr_torch"
) -> dict[str, Any]:
    """The state dict of a scheduler at the record's step.

        >>> from clr_core import CyclicSchedule
        >>> record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2), step=102)
        >>> to_state_dict(record, of="torch")["total_size"]
        4.0

    Torch's own class takes the parameters from it, but doesn't touch the optimizer when it loads:
    load the optimizer's state as well, or put the rates under "_last_lr" into its groups.

    Args:
        record: The record.
        groups: The number of parameter groups; None: as many as the record has schedules.
        of: "clr_torch" for this package's `ScheduledLR` and `CyclicLR`, "torch" for torch's own
            `CyclicLR`.

    Raises:
        TypeError: Not a record; for torch's own class also a schedule that isn't a CyclicSchedule,
            or a `scale_fn`, which it doesn't save.
        ValueError: Another number of groups; for torch's own class also groups that differ in a
            parameter that it has only once.
    """
    check_record(record)
    if of not in ("clr_torch", "torch"):
        raise ValueError(f"`of` must be 'clr_torch' or 'torch'. {received('of', of)}")
    if isinstance(record.schedule, tuple):
        schedules = record.schedule
    else:
        schedules = (record.schedule,) * (1 if groups is None else integer("groups", groups))
    if not schedules or groups not in (None, len(schedules)):
        raise ValueError(
            "`groups` must be at least 1, and the number of the record's schedules if it has "
            f"several. {received('groups', groups)}"
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


def _tree(source: LRScheduler | Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of a scheduler, in the form of its state dict."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, ScheduledLR):
        return source.state_dict()
    # Torch's own method fails if a `scale_fn` has no `__dict__`, such as a built-in function.
    attributes = _schedulers.attributes(source)
    if "_schedulers" in attributes:
        attributes["_schedulers"] = [_tree(each) for each in attributes["_schedulers"]]
    return attributes


def _record(tree: Any, key: str | None, scale_fn: str | None, optimizer: Any) -> Record:
    found = checkpoint.find(tree, key)
    if _schedulers.kind_of(found) is None:
        saved = foreign.read(found, custom=scale_fn is not None)
    else:
        optimizers = [found.get("optimizer") if optimizer is None else optimizer]
        if optimizers == [None]:
            found_in = checkpoint.within(tree, lambda node: "param_groups" in node)
            optimizers = [each for _, each in found_in]
        saved, ends = _schedulers.read(found, optimizers)
        if ends is not None:
            warnings.warn(COMES_BACK.format(*ends), stacklevel=3)
    schedules = state.read(saved.documents, scale_fn)
    state.check_last_rates(saved, schedules)
    same = all(schedule == schedules[0] for schedule in schedules)
    # It is -1 while another scheduler has the first turn.
    return Record(schedules[0] if same else tuple(schedules), max(saved.last_epoch, 0))
