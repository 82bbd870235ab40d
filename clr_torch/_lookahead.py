"""Rates and momenta computed many steps at a time, so that a step of a scheduler is a lookup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

from clr_core import Schedule, python_ops
from clr_core.adapter import LARGEST_STEP, count
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


class _Block(list[Point]):
    """The points of some steps in a row."""

    __slots__ = ("__weakref__",)


# Schedulers with equal schedules share the block of the steps at which they are.
_blocks: WeakValueDictionary[tuple[tuple[Schedule, ...], int], _Block] = WeakValueDictionary()


class Table:
    """The rate and the momentum of each parameter group at any step.

    Args:
        schedules: The schedule of each group.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = tuple(schedules)
        # A schedule that isn't plain data has a function of the user's, which may depend on more
        # than the step: it is called when its step has come.
        ahead = _ops is not None and all(
            map(_is_data, {id(each): each for each in schedules}.values())
        )
        self._size = min(2048, max(64, 32768 // len(schedules))) if ahead else 1
        self._first = self._kept = 0
        self._points: Sequence[Point] = ()

    def at(self, step: int) -> Point:
        """The rate of each group, and the momentum that its schedule has."""
        index = step - self._first
        if 0 <= index < self._kept:
            return self._points[index]
        step = count("step", step)
        if self._size == 1:
            return self._computed(step, 1)[0]
        first = step - step % self._size
        key = self._schedules, first
        block = _blocks.get(key)
        if block is None:
            block = _blocks[key] = self._computed(first, self._size)
        self._first, self._kept, self._points = first, len(block), block
        return block[step - first]

    def _computed(self, step: int, size: int) -> _Block:
        # Groups with equal schedules share one, which is computed once.
        distinct = {id(schedule): schedule for schedule in self._schedules}
        columns = {
            key: [_values(value, step, size) for value in (schedule.lr, schedule.momentum)]
            for key, schedule in distinct.items()
        }
        lrs, momenta = zip(*(columns[id(schedule)] for schedule in self._schedules), strict=True)
        return _Block(zip(zip(*lrs, strict=True), zip(*momenta, strict=True), strict=True))


def _values(value: Callable[..., Any], step: int, size: int) -> list[Any]:
    first = value(step)
    if size == 1:
        return [first]
    stop = min(step + size, LARGEST_STEP + 1)
    if first is None:
        return [None] * (stop - step)
    values: list[Any] = evaluate_array(value, np.arange(step, stop), _ops).tolist()
    return values


def _is_data(schedule: Schedule) -> bool:
    try:
        schedule.to_dict()
        hash(schedule)
    except TypeError:
        return False
    return True
