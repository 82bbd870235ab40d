"""Read and write the state of torch's own `CyclicLR`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import HINT, number, received
from clr_torch.state import COUNTS, check_equal, check_keys, count, per_group, plain

KEYS = {"total_size", "step_ratio", "mode", "gamma", "scale_mode", "cycle_momentum", *COUNTS}
LRS = {"base_lr": "base_lrs", "max_lr": "max_lrs"}
MOMENTA = {"base_momentum": "base_momentums", "max_momentum": "max_momentums"}


def is_one(state: Mapping[str, Any]) -> bool:
    """True if torch's own class wrote it."""
    return "total_size" in state and "step_ratio" in state  # Only that class has them.


def by_group(state: Mapping[str, Any], groups: int | None = None) -> list[dict[str, Any]]:
    """The state's entries for each parameter group."""
    columns = LRS | (MOMENTA if state.get("cycle_momentum") else {})
    check_keys(state, {*columns.values(), *KEYS}, exactly=False)
    if groups is None:
        groups = len(per_group(state, "base_lrs"))
    rows = zip(*(per_group(state, name, groups) for name in columns.values()), strict=True)
    return [{**state, **dict(zip(columns, row, strict=True))} for row in rows]


def check_same(state: Mapping[str, Any], schedules: Sequence[Schedule]) -> None:
    """Raise an error unless `state` is the state of a scheduler with these schedules."""
    expected = [_parameters(schedule) for schedule in schedules]
    given = by_group(state, len(schedules))
    # It has more keys, but no rate depends on them.
    check_equal(
        [
            {name: theirs.get(name) for name in mine}
            for theirs, mine in zip(given, expected, strict=True)
        ],
        expected,
    )


def _parameters(schedule: Schedule) -> dict[str, Any]:
    """The parameters that torch uses of such a schedule, by their names in torch's state."""
    if not isinstance(schedule, CyclicSchedule):
        raise TypeError(
            "Torch's own CyclicLR has a state for a CyclicSchedule only. "
            f"{received('schedule', schedule)}"
        )
    total_size = schedule.cycle_size
    same = {name: getattr(schedule, name) for name in (*LRS, *MOMENTA)}
    same |= {"total_size": total_size, "step_ratio": schedule.step_size_up / total_size}
    if schedule.scale_fn is not None:  # Torch doesn't save a function, nor that there was one.
        return same | {"scale_mode": schedule.scale_mode}
    mode = schedule.mode
    same |= {"mode": mode, "scale_mode": _scale_mode(mode), "_scale_fn_custom": None}
    return same | {"gamma": schedule.gamma} if mode == "exp_range" else same


def _scale_mode(mode: str) -> str:
    # Torch sets this itself, so any other value is a sign of a function that wasn't saved.
    return "iterations" if mode == "exp_range" else "cycle"


def schedules(state: Mapping[str, Any], scale_fn: str | None = None) -> list[CyclicSchedule]:
    """The schedule of each parameter group.

    Args:
        state: The `state_dict()` of torch's class.
        scale_fn: The decay as an expression, if the run had a custom one.

    Raises:
        TypeError: It had one, and `scale_fn` is None.
        ValueError: Not such a state, or its last rate doesn't follow from its parameters.
    """
    groups = by_group(state)
    up, down = _step_sizes(state)
    decay = _decay(state, scale_fn)
    found = [
        CyclicSchedule(
            step_size_up=up,
            step_size_down=down,
            **{name: group[name] for name in (*LRS, *MOMENTA) if name in group},
            **decay,
        )
        for group in groups
    ]
    check_last_rates(state, found)
    return found


def _decay(state: Mapping[str, Any], scale_fn: str | None) -> dict[str, Any]:
    (mode, gamma), scale_mode = plain([state["mode"], state["gamma"]]), state["scale_mode"]
    if scale_fn is not None:
        return {"scale_fn": scale_fn, "scale_mode": scale_mode}
    if state.get("_scale_fn_custom") is not None or scale_mode != _scale_mode(mode):
        raise TypeError(
            "A `scale_fn` that is a Python callable can't be carried to another framework, and "
            f"this scheduler had one. {HINT}"
        )
    return {"mode": mode, "gamma": gamma} if mode == "exp_range" else {"mode": mode}


def _step_sizes(state: Mapping[str, Any]) -> tuple[float, float]:
    """The two sizes from which torch computed `total_size` and `step_ratio`.

    Of several pairs that give these two numbers to the bit, take the one with the fewest digits:
    the pair that the user gave, except for sizes such as 1000 / 3.
    """
    total, ratio = plain([state["total_size"], state["step_ratio"]])
    total, ratio = number("total_size", total), number("step_ratio", ratio)
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
                return up, down
    return total * ratio, total - total * ratio


def _near(value: float) -> list[float]:
    """Floats near `value`, those with fewer digits first."""
    rounded = [float(f"{value:.{digits}g}") for digits in range(1, 18)]
    return [*rounded, math.nextafter(value, 0.0), math.nextafter(value, math.inf)]


def check_last_rates(state: Mapping[str, Any], found: Sequence[Schedule]) -> None:
    """Raise a ValueError unless the rates in the state follow from the schedules.

    They reveal a decay that wasn't saved, at any step at which it makes a difference.
    """
    step, rates = count(state, "last_epoch", -1), per_group(state, "_last_lr", len(found))
    if step < 1:
        return  # At the start of the first cycle no decay shows.
    for group, (schedule, rate) in enumerate(zip(found, rates, strict=True)):
        # A rate that is a tensor is rounded to the tensor's type; our own state has it as a float.
        # For a hundred million cycles, torch's formula is off by less than a float32 is.
        kept, mine = state["_last_lr"][group], schedule.lr(step)
        dtype = kept.dtype if isinstance(kept, torch.Tensor) else torch.float32
        tolerance = 8.0 * torch.finfo(dtype).eps * max([*schedule.levels().values(), abs(mine)])
        if not abs(number("_last_lr", rate) - mine) <= tolerance:
            raise ValueError(
                f"The rate of the scheduler must follow from its parameters: {mine!r} at step "
                f"{step}. "
                f"{received('_last_lr', rate)}. {HINT}"
            )


def written(found: Sequence[Schedule], step: int) -> dict[str, Any]:
    """The state of torch's own class after `step` updates.

    It has no `use_beta1`: torch's class then keeps the value that its optimizer needs.

    Raises:
        TypeError: A schedule isn't a CyclicSchedule, or has a `scale_fn`, which torch doesn't save.
        ValueError: The schedules differ in a parameter that torch has once for all groups.
    """
    groups = [_parameters(schedule) for schedule in found]
    if not all("mode" in group for group in groups):
        raise TypeError(
            "A `scale_fn` can't be carried in a state of torch's own class, which doesn't save it. "
            "Write a state of clr_torch's class, or make the scheduler with the same arguments."
        )
    columns = LRS if groups[0]["base_momentum"] is None else LRS | MOMENTA
    if len({group["base_momentum"] is None for group in groups}) > 1:
        raise ValueError("Torch's own class cycles the momentum of all groups or of none.")
    shared = [
        {name: value for name, value in group.items() if name not in LRS | MOMENTA}
        for group in groups
    ]
    for group, each in enumerate(shared):
        if each != shared[0]:
            raise ValueError(
                "Torch's own class has one `step_size_up`, `step_size_down`, `mode` and `gamma` "
                f"for all groups. Received for group {group}: {each}, for group 0: {shared[0]}"
            )
    return {
        "gamma": 1.0,
        **shared[0],
        **{theirs: [group[ours] for group in groups] for ours, theirs in columns.items()},
        "cycle_momentum": columns is not LRS,
        "last_epoch": step,
        "_step_count": step + 1,
        "_is_initial": False,
        "_get_lr_called_within_step": False,
        "_last_lr": [schedule.lr(step) for schedule in found],
    }
