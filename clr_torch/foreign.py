"""Read and write the state of torch's own `CyclicLR`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import number, received
from clr_torch import state as own
from clr_torch.state import COUNTS, Saved, check_keys, count, per_group, plain, rates

SHARED = ("total_size", "step_ratio", "mode", "gamma", "scale_mode")
"""The parameters that torch's class has once for all groups."""
KEYS = {*SHARED, "cycle_momentum", *COUNTS}
LRS = {"base_lr": "base_lrs", "max_lr": "max_lrs"}
MOMENTA = {"base_momentum": "base_momentums", "max_momentum": "max_momentums"}
BUILT_IN = {"_triangular_scale_fn", "_triangular2_scale_fn", "_exp_range_scale_fn"}


def is_one(state: Mapping[str, Any]) -> bool:
    """True if torch's own class wrote it."""
    return "total_size" in state and "step_ratio" in state  # Only that class has them.


def read(
    state: Mapping[str, Any],
    groups: int | None = None,
    *,
    like: Sequence[Schedule] = (),
    custom: bool = False,
) -> Saved:
    """What a state says, of this package's class or of torch's own.

    Args:
        state: The state.
        groups: The number of parameter groups; None: at least one.
        like: The schedules that they are expected to have, to fill in what torch doesn't save: the
            two step sizes, of which it has the sum and the ratio, and a `scale_fn`.
        custom: True if there was a `scale_fn`, also if the state doesn't tell.
    """
    own.check_bounded(state)
    if not is_one(state):
        return own.saved(state, groups)
    columns = dict(LRS)
    cycled = plain("cycle_momentum", state.get("cycle_momentum"))
    if cycled is True:
        columns |= MOMENTA
    # Torch 1.3 and older didn't save the rates.
    known = "_last_lr" in state or "scale_fn" not in state
    keys = {*columns.values(), *KEYS} - (set() if known else {"_last_lr"})
    check_keys(state, keys, exactly=False)
    if not isinstance(cycled, bool):
        raise ValueError(
            f"`state_dict` must have True or False in 'cycle_momentum'. "
            f"{received('cycle_momentum', cycled)}"
        )
    if groups is None:
        groups = len(per_group(state, "base_lrs"))
    found = [
        [number(ours, each) for each in per_group(state, theirs, groups)]
        for ours, theirs in columns.items()
    ]
    shared = {name: plain(name, state[name]) for name in SHARED}
    sizes = _step_sizes(shared)
    documents, written_like = [], own.written(like)
    for index, row in enumerate(zip(*found, strict=True)):
        mine = _cyclic(like[index]) if like else None
        documents.append(
            {"kind": "cyclic", "base_momentum": None, "max_momentum": None}
            | dict(zip(columns, row, strict=True))
            | (_sizes_of(mine, shared) or sizes)
            | _decay(state, shared, written_like[index]["scale_fn"] if like else None, custom)
        )
    last_lr, eps = rates(state, groups) if known else (None, 0.0)
    last_epoch, step_count = count(state, "last_epoch", -1), count(state, "_step_count", 0)
    # Who calls `get_lr()` in place of `step()`, as ignite does, leaves the first rates there.
    begun = step_count > 1 or any(
        abs(rate - base_lr) > eps * base_lr
        for rate, base_lr in zip(last_lr or (), found[0], strict=False)
    )
    return Saved(documents, last_epoch, step_count, last_lr, eps, applied=begun or last_epoch < 1)


def _cyclic(schedule: Schedule) -> CyclicSchedule:
    if not isinstance(schedule, CyclicSchedule):
        raise TypeError(
            "Torch's own CyclicLR has a state for a CyclicSchedule only. "
            f"{received('schedule', schedule)}"
        )
    return schedule


def shared(schedules: Sequence[Schedule]) -> dict[str, Any]:
    """The parameters that torch's class has once for all groups, by their names there."""
    groups = [
        {
            **_of_size(schedule),
            "mode": schedule.mode,
            "gamma": schedule.gamma,
            "scale_mode": (
                _scale_mode(schedule.mode) if schedule.scale_fn is None else schedule.scale_mode
            ),
        }
        for schedule in map(_cyclic, schedules)
    ]
    for group, each in enumerate(groups):
        if each != groups[0]:
            raise ValueError(
                "Torch's own class has one `step_size_up`, `step_size_down`, `mode` and `gamma` "
                f"for all groups. Received for group {group}: {each}, for group 0: {groups[0]}"
            )
    return groups[0]


def _scale_mode(mode: object) -> str:
    # Torch sets this itself for its own modes, so any other value is a sign of a function that
    # wasn't saved.
    return "iterations" if mode == "exp_range" else "cycle"


def _decay(
    state: Mapping[str, Any], shared: Mapping[str, Any], mine: Any, custom: bool
) -> dict[str, Any]:
    """The decay, with a note in place of a function; `mine` is the `scale_fn` that is expected."""
    mode, scale_mode, function = shared["mode"], shared["scale_mode"], _function(state)
    note = None if function is None else _note(function)
    if note is None and (custom or mine is not None or scale_mode != _scale_mode(mode)):
        note = {"callable": "a function that wasn't saved"}
    if note is None:
        gamma = shared["gamma"] if mode == "exp_range" else 1.0
        return {"mode": mode, "gamma": gamma, "scale_fn": None, "scale_mode": "cycle"}
    # Since version 1.13, torch doesn't save a function, so that only the last rate may tell.
    if mine is not None and not (isinstance(mine, Mapping) and callable(function)):
        note = mine
    return {"mode": "triangular", "gamma": 1.0, "scale_fn": note, "scale_mode": scale_mode}


def _function(state: Mapping[str, Any]) -> Any:
    """The function of the user's, or what torch saved of it; None: the state has none.

    Torch 1.12 and older have it, or a method of their own class, under "scale_fn"; newer ones under
    "_scale_fn_custom", of which since 2.2 only the attributes of a callable object are saved.
    """
    function = state.get("_scale_fn_custom", state.get("scale_fn"))
    method = getattr(function, "func", function)  # It may be a `functools.partial`.
    return None if getattr(method, "__name__", None) in BUILT_IN else function


def _note(function: Any) -> dict[str, str]:
    if isinstance(function, Mapping):
        return {"callable": f"an object with the attributes {dict(function)}"[:200]}
    if not callable(function) and isinstance(getattr(function, "name", None), str):
        return {"callable": function.name[:200]}  # It stands for an object in a file.
    noted: dict[str, str] = own.noted(function if callable(function) else type(function), {})
    return noted


def _step_sizes(shared: Mapping[str, Any]) -> dict[str, float]:
    """The two sizes from which torch computed `total_size` and `step_ratio`.

    Of several pairs that give these two numbers to the bit, take the one with the fewest digits:
    the pair that the user gave, except for sizes such as 1000 / 3.
    """
    total, ratio = (number(name, shared[name]) for name in ("total_size", "step_ratio"))
    if total <= 0.0 or not 0.0 < ratio < 1.0:
        raise ValueError(
            "`total_size` must be positive and `step_ratio` between 0 and 1. "
            f"Received: total_size={total!r}, step_ratio={ratio!r}"
        )
    for up in _near(total * ratio):
        if up / total != ratio:
            continue
        for down in _near(total - up):
            if up + down == total:
                return {"step_size_up": up, "step_size_down": down}
    return {"step_size_up": total * ratio, "step_size_down": total - total * ratio}


def _sizes_of(mine: CyclicSchedule | None, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of this schedule if torch computes the two numbers from them; otherwise none."""
    if mine is None or not _of_size(mine).items() <= shared.items():
        return {}
    return {"step_size_up": mine.step_size_up, "step_size_down": mine.step_size_down}


def _of_size(schedule: CyclicSchedule) -> dict[str, float]:
    total = schedule.cycle_size
    return {"total_size": total, "step_ratio": schedule.step_size_up / total}


def _near(value: float) -> list[float]:
    """Floats near `value`, those with fewer digits first."""
    rounded = [float(f"{value:.{digits}g}") for digits in range(1, 18)]
    return [*rounded, math.nextafter(value, 0.0), math.nextafter(value, math.inf)]


def written(found: Sequence[Schedule], step: int) -> dict[str, Any]:
    """The state of torch's own class after `step` updates.

    It has no `use_beta1`: torch's class then keeps the value that its optimizer needs.
    """
    schedules = [_cyclic(schedule) for schedule in found]
    if any(schedule.scale_fn is not None for schedule in schedules):
        raise TypeError(
            "A `scale_fn` can't be carried in a state of torch's own class, which doesn't save it. "
            "Write a state of clr_torch's class, or make the scheduler with the same arguments."
        )
    momenta = {schedule.base_momentum is not None for schedule in schedules}
    if len(momenta) > 1:
        raise ValueError("Torch's own class cycles the momentum of all groups or of none.")
    columns = LRS | MOMENTA if True in momenta else LRS
    return {
        **shared(schedules),
        **{theirs: [getattr(each, ours) for each in schedules] for ours, theirs in columns.items()},
        "_scale_fn_custom": None,
        "cycle_momentum": True in momenta,
        "last_epoch": step,
        "_step_count": step + 1,
        "_is_initial": False,
        "_get_lr_called_within_step": False,
        "_last_lr": [schedule.lr(step) for schedule in schedules],
    }
