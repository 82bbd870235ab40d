"""The state of torch's own `CyclicLR`: what it tells of a schedule, and how one is put into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from clr_core import CyclicSchedule
from clr_core.adapter import number, received
from clr_torch._entries import COUNTS, check_keys, count, per_group, plain

HINT = "Give the decay as an expression, such as scale_fn='1 / 2 ** (x - 1)'."
KEYS = {"total_size", "step_ratio", "mode", "gamma", "scale_mode", "cycle_momentum", *COUNTS}
LRS = {"base_lr": "base_lrs", "max_lr": "max_lrs"}
MOMENTA = {"base_momentum": "base_momentums", "max_momentum": "max_momentums"}


def is_one(state: Mapping[str, Any]) -> bool:
    """Whether torch's own class wrote it."""
    return "total_size" in state and "step_ratio" in state  # Only that class has them.


def by_group(state: Mapping[str, Any], groups: int | None = None) -> list[dict[str, Any]]:
    """What the state tells of each parameter group."""
    columns = LRS | (MOMENTA if state.get("cycle_momentum") else {})
    check_keys(state, {*columns.values(), *KEYS}, exactly=False)
    if groups is None:
        groups = len(per_group(state, "base_lrs"))
    rows = zip(*(per_group(state, name, groups) for name in columns.values()), strict=True)
    return [{**state, **dict(zip(columns, row, strict=True))} for row in rows]


def parameters(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule, written down, in the names of torch's state and as far as torch uses them."""
    total_size = schedule["step_size_up"] + schedule["step_size_down"]
    same = {name: schedule[name] for name in (*LRS, *MOMENTA)}
    same |= {"total_size": total_size, "step_ratio": schedule["step_size_up"] / total_size}
    if schedule["scale_fn"] is not None:  # Torch doesn't save a function, nor say there was one.
        return same | {"scale_mode": schedule["scale_mode"]}
    mode = schedule["mode"]
    same |= {"mode": mode, "scale_mode": _scale_mode(mode), "_scale_fn_custom": None}
    return same | {"gamma": schedule["gamma"]} if mode == "exp_range" else same


def _scale_mode(mode: str) -> str:
    # Torch sets this itself, so that another value tells of a function that wasn't saved.
    return "iterations" if mode == "exp_range" else "cycle"


def schedules(state: Mapping[str, Any], scale_fn: str | None = None) -> list[CyclicSchedule]:
    """The schedule of each parameter group.

    Args:
        state: What torch's `state_dict()` gave.
        scale_fn: The run's decay as an expression, where it had one of its own.

    Raises:
        TypeError: It had one, and `scale_fn` is None.
        ValueError: Not such a state, or its last rate isn't one of its parameters.
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
            "A `scale_fn` that is a Python callable can't be carried, and this scheduler had one. "
            f"{HINT}"
        )
    return {"mode": mode, "gamma": gamma} if mode == "exp_range" else {"mode": mode}


def _step_sizes(state: Mapping[str, Any]) -> tuple[float, float]:
    """The two sizes that torch made its `total_size` and `step_ratio` of.

    Of several pairs that give the same two numbers to the bit, the one that is written with the
    fewest digits: what a person gave, but for sizes such as 1000 / 3.
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
    """The floats next to `value`, those with fewer digits first."""
    rounded = [float(f"{value:.{digits}g}") for digits in range(1, 18)]
    return [*rounded, math.nextafter(value, 0.0), math.nextafter(value, math.inf)]


def check_last_rates(state: Mapping[str, Any], found: Sequence[CyclicSchedule]) -> None:
    """Raises a ValueError unless the rates that the state has are those of the schedules.

    They tell of a decay that wasn't saved, at any step where that makes a difference.
    """
    step, rates = count(state, "last_epoch", -1), per_group(state, "_last_lr", len(found))
    if step < 1:
        return  # At the foot of the first cycle no decay shows.
    for group, (schedule, rate) in enumerate(zip(found, rates, strict=True)):
        # A rate that is a tensor is rounded to the tensor's type, and is kept by ours as a float.
        # Torch's own formula is off by less than a float32 is, for a hundred million cycles.
        kept, mine = state["_last_lr"][group], schedule.lr(step)
        dtype = kept.dtype if isinstance(kept, torch.Tensor) else torch.float32
        tolerance = 8.0 * torch.finfo(dtype).eps * max(schedule.max_lr, abs(mine))
        if not abs(number("_last_lr", rate) - mine) <= tolerance:
            raise ValueError(
                f"The scheduler must be at a rate of its parameters, {mine!r} at step {step}. "
                f"{received('_last_lr', rate)}. {HINT}"
            )


def written(found: Sequence[CyclicSchedule], step: int) -> dict[str, Any]:
    """The state of torch's own class after `step` updates.

    It has no `use_beta1`, which torch's class then keeps as its optimizer needs it.

    Raises:
        TypeError: A schedule has a `scale_fn`, which torch doesn't save.
        ValueError: The schedules differ in what torch has once for all groups.
    """
    groups = [parameters(schedule.to_dict()) for schedule in found]
    if not all("mode" in group for group in groups):
        raise TypeError(
            "A `scale_fn` can't be carried in a state of torch's own class, which doesn't save it. "
            "Write the state of clr_torch's, or make the scheduler with its arguments."
        )
    columns = LRS if groups[0]["base_momentum"] is None else LRS | MOMENTA
    if len({group["base_momentum"] is None for group in groups}) > 1:
        raise ValueError("Torch's own class cycles the momentum of all groups, or of none.")
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
