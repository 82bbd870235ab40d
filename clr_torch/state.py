"""The state of a scheduler as plain data: ours, and what torch's own class writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from clr_core import CyclicSchedule

KEYS = {"schedules", "last_epoch", "_step_count", "_last_lr", "applied"}


def plain(values: Sequence[Any]) -> list[Any]:
    """The same with tensors as floats."""
    return [value.item() if isinstance(value, Tensor) else value for value in values]


def written(schedule: CyclicSchedule) -> dict[str, Any]:
    """A schedule as plain data; a Python callable in it is noted by its name."""
    return {
        name: {"callable": _name(value)} if callable(value) else value
        for name, value in schedule.to_dict(strict=False).items()
    }


def _name(function: Any) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def check_same(state: Mapping[str, Any], schedules: Sequence[CyclicSchedule]) -> dict[str, Any]:
    """`state` in our own form, or an error that says where it isn't that of `schedules`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"`state_dict` must be a mapping. Received: a {type(state).__name__}")
    ours = [written(schedule) for schedule in schedules]
    if "total_size" in state:  # Only torch's own class has that.
        given, expected = _from_torch(state), [_as_torch_has_it(each) for each in ours]
    else:
        if set(state) != KEYS:
            raise ValueError(
                f"`state_dict` must have the keys {', '.join(sorted(KEYS))}. "
                f"Received: {', '.join(map(str, state))}"
            )
        given, expected = state["schedules"], ours
    if len(given) != len(expected):
        raise ValueError(
            f"`state_dict` must be of {len(expected)} parameter groups. Received: {len(given)}"
        )
    for index, (theirs, mine) in enumerate(zip(given, expected, strict=True)):
        differing = [
            f"{name}={theirs.get(name)!r} in place of {mine.get(name)!r}"
            for name in mine
            if theirs.get(name) != mine.get(name)
        ]
        if differing:
            raise ValueError(
                "`state_dict` must be that of a scheduler with the same parameters. "
                f"Received for group {index}: {', '.join(differing)}. "
                "Make the scheduler with these parameters, then load."
            )
    return {
        "last_epoch": _count("last_epoch", state["last_epoch"], -1),
        "_step_count": _count("_step_count", state["_step_count"], 0),
        "_last_lr": plain(state["_last_lr"]),
        "applied": bool(state.get("applied", True)),
    }


def _count(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"`state_dict` must have an integer from {least} in {name!r}. Received: {value!r}"
        )
    return value


def _as_torch_has_it(mine: Mapping[str, Any]) -> dict[str, Any]:
    """One of our schedules in the names of torch's state, as far as torch uses them."""
    total_size = mine["step_size_up"] + mine["step_size_down"]
    same = {name: mine[name] for name in ("base_lr", "max_lr", "base_momentum", "max_momentum")}
    same |= {"total_size": total_size, "step_ratio": mine["step_size_up"] / total_size}
    if mine["scale_fn"] is not None:  # Torch doesn't save a function, nor say that there was one.
        return same | {"scale_mode": mine["scale_mode"]}
    same |= {"mode": mine["mode"], "_scale_fn_custom": None}
    return same | {"gamma": mine["gamma"]} if mine["mode"] == "exp_range" else same


def _from_torch(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What torch's state tells of each parameter group."""
    columns = {"base_lr": state["base_lrs"], "max_lr": state["max_lrs"]}
    if state["cycle_momentum"]:
        columns |= {
            "base_momentum": state["base_momentums"],
            "max_momentum": state["max_momentums"],
        }
    rows = zip(*map(plain, columns.values()), strict=True)
    return [{**state, **dict(zip(columns, row, strict=True))} for row in rows]
