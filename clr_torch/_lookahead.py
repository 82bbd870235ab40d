"""Rates and momenta computed many steps at a time, so that a step of a scheduler is a lookup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from clr_core import Schedule, python_ops
from clr_core.adapter import LARGEST_STEP
from clr_core.evaluate import evaluate_array

try:
    import numpy as np

    from clr_core import numpy_ops
except ImportError:  # torch runs without NumPy. Then each point is computed at its step.
    _ops: Any = None
else:

    def _power(a: Any, b: Any) -> Any:
        exact = isinstance(a, float) and a == 0.5
        return np.power(a, b) if exact else np.vectorize(python_ops.power, [np.float64])(a, b)

    # NumPy's versions of these functions may differ from Python's in the last bit of a float64, and
    # the table must hold exactly `schedule.lr(step)`.
    _ops = SimpleNamespace(
        **vars(numpy_ops)
        | {
            name: np.vectorize(getattr(python_ops, name), otypes=[np.float64])
            for name in ("sin", "cos", "tanh", "exp", "log")
        }
        | {"power": _power}
    )

Point = tuple[tuple[float, ...], tuple[float | None, ...]]


class Table:
    """The rate and the momentum of each parameter group at any step.

    Args:
        schedules: The schedule of each group.
        cycled: For each group, whether its momentum follows the schedule.
    """

    def __init__(self, schedules: Sequence[Schedule], cycled: Sequence[bool]) -> None:
        self._schedules = schedules
        self._cycled = cycled
        # A schedule that isn't plain data has a function of the user's, which may depend on more
        # than the step: it is called when its step has come.
        ahead = _ops is not None and all(map(_is_data, schedules))
        self._size = min(2048, max(64, 32768 // len(schedules))) if ahead else 1
        self._first = self._kept = 0
        self._points: list[Point] = []

    def at(self, step: int) -> Point:
        """The rate of each group, and its momentum: None if it doesn't cycle."""
        index = step - self._first
        if 0 <= index < self._kept:
            return self._points[index]
        points = self._computed(step)
        self._first, self._points = step, points
        self._kept = len(points) if self._size > 1 else 0
        return points[0]

    def _computed(self, step: int) -> list[Point]:
        # Groups with equal schedules share one, which is computed once.
        distinct = {id(schedule): schedule for schedule in self._schedules}
        lrs = {key: self._values(schedule.lr, step) for key, schedule in distinct.items()}
        momenta = {key: self._values(schedule.momentum, step) for key, schedule in distinct.items()}
        none = [None] * self._size
        return list(
            zip(
                zip(*(lrs[id(schedule)] for schedule in self._schedules), strict=False),
                zip(
                    *(
                        momenta[id(schedule)] if cycled else none
                        for schedule, cycled in zip(self._schedules, self._cycled, strict=True)
                    ),
                    strict=False,
                ),
                strict=False,
            )
        )

    def _values(self, value: Callable[..., Any], step: int) -> list[Any]:
        first = value(step)  # Raises an error if `step` is out of range.
        if first is None or self._size == 1:
            return [first] * self._size
        steps = np.arange(step, min(step + self._size, LARGEST_STEP + 1))
        values: list[Any] = evaluate_array(value, steps, _ops).tolist()
        return values


def _is_data(schedule: Schedule) -> bool:
    try:
        schedule.to_dict()
    except TypeError:
        return False
    return True
