"""The state of a scheduler as plain data, and the checks on reading it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from torch import Tensor

from clr_core import Schedule
from clr_core.adapter import received, schedule_from_document

COUNTS = {"last_epoch", "_step_count", "_last_lr"}
KEYS = {"schedules", "applied", *COUNTS}

MAX_DEPTH, MAX_VALUES = 20, 10_000
"""How deeply a schedule in a state may be nested, and how many values it may have side by side.

A list in a pickle may be repeated without taking space, or contain itself.
"""


def written(schedule: Schedule) -> dict[str, Any]:
    """The schedule as plain data; a Python callable in it, at any depth, is noted by its name."""
    document: dict[str, Any] = _noted(schedule.to_dict(strict=False))
    return document


def read(document: Mapping[str, Any], scale_fn: str | None = None) -> Schedule:
    """Build the schedule that `written` wrote, with `scale_fn` in place of a callable.

    Raises:
        TypeError: There was a callable, and `scale_fn` isn't an expression.
        ValueError: There was none, and `scale_fn` is given; or not a schedule.
    """
    check_bounded(document, "A schedule", MAX_VALUES)
    return schedule_from_document(document, scale_fn, _noted_name)


def check_bounded(document: object, what: str, most: int) -> None:
    """Raise a ValueError unless lists and mappings are nested within bounds.

    A list in a pickle may be repeated without taking space, or contain itself.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = list(islice(_inner(level), most + 1))
        if not level:
            return
        if len(level) > most:
            break
    raise ValueError(f"{what} must have at most {most} values, nested at most {MAX_DEPTH} deep.")


def _inner(level: list[Any]) -> Iterator[Any]:
    for each in level:
        if isinstance(each, Mapping):
            yield from each.values()
        elif isinstance(each, list | tuple):
            yield from each


def _noted(value: Any) -> Any:
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return {"callable": f"{getattr(named, '__module__', None)}.{named.__qualname__}"}
    if isinstance(value, Mapping):
        return {key: _noted(each) for key, each in value.items()}
    return [_noted(each) for each in value] if isinstance(value, list | tuple) else value


def _noted_name(value: Any) -> str | None:
    is_note = isinstance(value, Mapping) and set(value) == {"callable"}
    return str(value["callable"]) if is_note else None


def check_same(state: Mapping[str, Any], schedules: Sequence[Schedule]) -> None:
    """Raise a ValueError unless `state` is the state of a scheduler with these schedules."""
    check_equal(by_group(state, len(schedules)), [written(schedule) for schedule in schedules])


def check_equal(given: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValueError unless the parameters of each group are equal."""
    for index, (theirs, mine) in enumerate(zip(given, expected, strict=True)):
        differing = [
            f"{name}={theirs.get(name)!r} in place of {mine.get(name)!r}"
            for name in sorted({*mine, *theirs})
            if theirs.get(name) != mine.get(name)
        ]
        if differing:
            raise ValueError(
                "`state_dict` must come from a scheduler with the same parameters. "
                f"Received for group {index}: {', '.join(differing)}. "
                "Make the scheduler with these parameters, then load."
            )


def by_group(state: Mapping[str, Any], groups: int | None = None) -> list[Mapping[str, Any]]:
    """The schedule of each parameter group in a state of ours, as `written` wrote it."""
    check_keys(state, KEYS, exactly=True)
    given = per_group(state, "schedules", groups)
    if not all(isinstance(each, Mapping) for each in given):
        raise ValueError(
            f"`state_dict` must have mappings in 'schedules'. {received('schedules', given)}"
        )
    return given


def check_keys(state: Mapping[str, Any], keys: set[str], *, exactly: bool) -> None:
    """Raise a ValueError unless `state` has the keys; `exactly`: and no others."""
    if not keys <= set(state) or (exactly and set(state) != keys):
        raise ValueError(
            f"`state_dict` must have the keys {', '.join(sorted(keys))}. "
            f"Received: {', '.join(map(str, state))}"
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
    return plain(values)


def plain(values: Sequence[Any]) -> list[Any]:
    """The values as a list, with a number in place of a tensor that holds one."""
    return [
        value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        for value in values
    ]


def count(state: Mapping[str, Any], name: str, least: int) -> int:
    """The integer under `name`, at least `least`."""
    value = state[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"`state_dict` must have an integer in {name!r}, at least {least}. "
            f"{received(name, value)}"
        )
    return value
