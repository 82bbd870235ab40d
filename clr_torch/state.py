"""The state of a scheduler as plain data, and whether a saved one belongs to its schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clr_core import CyclicSchedule
from clr_torch import foreign
from clr_torch._entries import COUNTS, check_keys, count, per_group

KEYS = {"schedules", "applied", *COUNTS}


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
    given: Sequence[Mapping[str, Any]]
    if foreign.is_one(state):
        given = foreign.by_group(state, groups)
        expected = [foreign.parameters(each) for each in expected]
        names = [set(mine) for mine in expected]  # Theirs has more, which nothing here depends on.
    else:
        given = by_group(state, groups)
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
        "last_epoch": count(state, "last_epoch", -1),
        "_step_count": count(state, "_step_count", 0),
        "_last_lr": per_group(state, "_last_lr", groups),
        "applied": state.get("applied", True) is True,
    }


def by_group(state: Mapping[str, Any], groups: int | None = None) -> list[Mapping[str, Any]]:
    """What our state tells of each parameter group: its schedule as `written`."""
    check_keys(state, KEYS, exactly=True)
    given = per_group(state, "schedules", groups)
    if not all(isinstance(each, Mapping) for each in given):
        raise ValueError(f"`state_dict` must have mappings in 'schedules'. Received: {given!r}")
    return given
