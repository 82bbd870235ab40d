"""Building blocks for adapters and tools: argument checks, whole files, portable schedules.

Adapters and the command `clr` import nothing of the core but public names; those that they share
are here.

    >>> received("step_size_up", 0)
    'Received: step_size_up=0'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

from clr_core._arguments import (
    LARGEST_STEP,
    check_schedule,
    count,
    integer,
    listed,
    number,
    one_line,
    received,
    visible,
)
from clr_core._files import (
    check_regular_file,
    file_name,
    path_name,
    read_bytes,
    read_text,
    suffix,
    write,
)
from clr_core._parsing import from_json, mapping
from clr_core.schedules import schedule_from_dict
from clr_core.schedules.cyclic import CyclicSchedule
from clr_core.schedules.piecewise import Phase, PiecewiseSchedule
from clr_core.schedules.protocol import Schedule
from clr_core.schedules.sequence import SequenceSchedule

__all__ = [
    "HINT",
    "LARGEST_STEP",
    "check_regular_file",
    "check_schedule",
    "count",
    "file_name",
    "from_json",
    "integer",
    "listed",
    "lowest_lr",
    "mapping",
    "number",
    "one_line",
    "path_name",
    "portable",
    "rate_only",
    "read_bytes",
    "read_text",
    "received",
    "refusing",
    "schedules_from_documents",
    "suffix",
    "visible",
    "write",
]

HINT = "Give the decay as an expression, such as scale_fn='1 / 2 ** (x - 1)'."


@contextmanager
def refusing(name: object, what: str) -> Iterator[str]:
    """Name the file in each error about its content, which becomes one line.

        >>> with refusing("run.pt", "weights"):
        ...     raise ValueError("it is empty")
        Traceback (most recent call last):
        ValueError: 'run.pt' must hold weights: it is empty

    Args:
        name: The path of the file, which is given back as text.
        what: What it must hold.

    Raises:
        TypeError: `name` isn't a path.
    """
    name = path_name(name)
    try:
        yield name
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name!r} must hold {what}: {one_line(error)}") from None


def portable(schedule: Schedule, scale_fn: str | None = None) -> Schedule:
    """The schedule, with an expression in place of a `scale_fn` that is a Python callable.

    Raises:
        TypeError: It has a callable, and `scale_fn` is None; or it has several.
        ValueError: It has none, and `scale_fn` is given.
    """
    check_schedule(schedule)
    if scale_fn is None:
        with suppress(TypeError):  # It has a callable.
            schedule.to_dict()
            return schedule
    return schedules_from_documents([schedule.to_dict(strict=False)], scale_fn)[0]


def schedules_from_documents(
    documents: Iterable[Mapping[str, Any]],
    scale_fn: str | None = None,
    name_of: Callable[[Any], str | None] = lambda value: None,
) -> list[Schedule]:
    """Build a run's schedules from `to_dict(strict=False)`, with `scale_fn` for the callable.

    Args:
        documents: All schedules of the run as plain data, in which a value may be a callable or
            what a file notes in its place, at any depth.
        scale_fn: An expression for it.
        name_of: The name of a callable that such a value stands for; None: it stands for none.

    Raises:
        TypeError: There is a callable, and `scale_fn` isn't an expression; or there are several.
        ValueError: There is none, and `scale_fn` is given; or not schedules.
    """
    found: list[Any] = []
    names: list[str] = []

    def with_expression(_: str, value: Any) -> Any:
        name = _name(value) or name_of(value)
        if name is None:
            return value
        if value not in found:
            found.append(value)
            names.append(name)
        return scale_fn

    plain = [_changed(document, with_expression) for document in documents]
    if len(found) > 1:
        raise TypeError(
            f"`scale_fn` must stand for one Python callable, and there are {len(found)}: "
            f"{', '.join(names[:20])}. Write an expression into each schedule in its place, "
            'CyclicSchedule(…, scale_fn="1 / x"), and make the record: Record(schedule, step)'
        )
    if found and not isinstance(scale_fn, str):
        raise TypeError(
            "A `scale_fn` that is a Python callable can't be carried to another framework, and "
            f"this is one: {names[0]}. {HINT}"
        )
    if scale_fn is not None and not found:
        raise ValueError(
            "`scale_fn` must be left out unless the decay is a Python callable. "
            f"{received('scale_fn', scale_fn)}"
        )
    return [schedule_from_dict(each) for each in plain]


def rate_only(schedule: Schedule) -> Schedule:
    """The same schedule without its momentum.

        >>> from clr_core import CyclicSchedule
        >>> momenta = dict(base_momentum=0.8, max_momentum=0.9)
        >>> rate_only(CyclicSchedule(base_lr=0.001, max_lr=0.006, **momenta))
        CyclicSchedule(base_lr=0.001, max_lr=0.006)

    Raises:
        ValueError: Another kind of schedule has a momentum under a key that doesn't end so.
    """
    check_schedule(schedule)
    if schedule.momentum(0) is None:
        return schedule

    def without_momentum(key: str, value: Any) -> Any:
        return None if key.endswith("momentum") else value

    alone = schedule_from_dict(_changed(schedule.to_dict(strict=False), without_momentum))
    if alone.momentum(0) is not None:
        raise ValueError(
            '`schedule` must have its momentum under keys that end in "momentum", in `to_dict`. '
            f"{received('schedule', schedule)}"
        )
    return alone


def lowest_lr(schedule: Schedule) -> float:
    """A number that no rate of the schedule lies below, unless it is 0; 0.0 if none is known.

    >>> from clr_core import CyclicSchedule
    >>> lowest_lr(CyclicSchedule(base_lr=0.001, max_lr=0.006))
    0.001
    """
    own: float | None = getattr(schedule, "lowest_lr", None)
    if own is not None:
        return own
    if type(schedule) is PiecewiseSchedule:
        # Only from whole steps on, the next step is a whole one away from an end that is 0.
        is_whole = all(phase.steps.is_integer() for phase in schedule.phases)
        return min(_lowest_of(phase, is_whole=is_whole) for phase in schedule.phases)
    if type(schedule) is SequenceSchedule:
        return min(map(lowest_lr, schedule.schedules))
    if type(schedule) is CyclicSchedule and schedule.scale_fn is None:
        return schedule.base_lr
    return 0.0  # A function may lead out of the boundaries.


def _lowest_of(phase: Phase, *, is_whole: bool) -> float:
    low, high = sorted((phase.start, phase.end))
    if low > 0.0 or not is_whole:
        return low
    # One step from an end that is 0: a line has 1 / steps of its height, a half-cosine its square.
    return high / phase.steps / phase.steps / 2.0 if high > 0.0 else inf


def _changed(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    """Nested plain data, with `change(key, value)` in place of each value in it."""
    value = change(key, value)
    if isinstance(value, Mapping):
        return {name: _changed(each, change, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(each, change, key) for each in value]
    return value


def _name(value: Any) -> str | None:
    if not callable(value):
        return None
    return getattr(value, "__name__", None) or listed([value])
