"""The state of a scheduler as plain data: ours, and what torch's own class writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from clr_core import CyclicSchedule

COUNTS = {"last_epoch", "_step_count", "_last_lr"}
KEYS = {"schedules", "applied", *COUNTS}
TORCH_KEYS = {"total_size", "step_ratio", "mode", "gamma", "scale_mode", "cycle_momentum", *COUNTS}


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
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def check_same(state: Mapping[str, Any], schedules: Sequence[CyclicSchedule]) -> dict[str, Any]:
    """`state` in our own form, or an error that says where it isn't that of `schedules`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"`state_dict` must be a mapping. Received: a {type(state).__name__}")
    groups = len(schedules)
    expected = [written(schedule) for schedule in schedules]
    if "total_size" in state:  # Only torch's own class has that.
        given, expected = _from_torch(state, groups), [_as_torch_has_it(each) for each in expected]
        names = [set(mine) for mine in expected]  # Theirs has more, which nothing here depends on.
    else:
        _check_keys(state, KEYS, exactly=True)
        given = _per_group(state, "schedules", groups)
        if not all(isinstance(each, Mapping) for each in given):
            raise ValueError(f"`state_dict` must have mappings in 'schedules'. Received: {given!r}")
        names = [{*mine, *theirs} for mine, theirs in zip(expected, given, strict=True)]
    for index, (theirs, mine) in enumerate(zip(given, expected, strict=True)):
        differing = [
            f"{name}={theirs.get(name)!r} in place of {mine.get(name)!r}"
            for name in sorted(names[index])
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
        "_last_lr": _per_group(state, "_last_lr", groups),
        "applied": state.get("applied", True) is True,
    }


def _check_keys(state: Mapping[str, Any], keys: set[str], *, exactly: bool) -> None:
    if not keys <= set(state) or (exactly and set(state) != keys):
        raise ValueError(
            f"`state_dict` must have the keys {', '.join(sorted(keys))}. "
            f"Received: {', '.join(map(str, state))}"
        )


def _per_group(state: Mapping[str, Any], name: str, groups: int) -> list[Any]:
    values = state[name]
    if not isinstance(values, list | tuple):
        raise ValueError(f"`state_dict` must have a list in {name!r}. Received: {values!r}")
    if len(values) != groups:
        raise ValueError(
            f"`state_dict` must be of {groups} parameter groups. "
            f"Received: {len(values)} in {name!r}"
        )
    return plain(values)


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
    decays_by_step = mine["mode"] == "exp_range"
    same |= {"mode": mine["mode"], "_scale_fn_custom": None}
    # Torch sets this itself, so that another value tells of a function that wasn't saved.
    same |= {"scale_mode": "iterations" if decays_by_step else "cycle"}
    return same | {"gamma": mine["gamma"]} if decays_by_step else same


def _from_torch(state: Mapping[str, Any], groups: int) -> list[dict[str, Any]]:
    """What torch's state tells of each parameter group."""
    columns = {"base_lr": "base_lrs", "max_lr": "max_lrs"}
    if state.get("cycle_momentum"):
        columns |= {"base_momentum": "base_momentums", "max_momentum": "max_momentums"}
    _check_keys(state, {*columns.values(), *TORCH_KEYS}, exactly=False)
    rows = zip(*(_per_group(state, name, groups) for name in columns.values()), strict=True)
    return [{**state, **dict(zip(columns, row, strict=True))} for row in rows]
