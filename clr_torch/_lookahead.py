"""Rates and momenta computed many steps at a time, so that a step of a scheduler is a lookup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

from clr_core import Schedule
from clr_core.adapter import LARGEST_STEP, count

try:
    import numpy as np

    from clr_core import numpy_ops
except ImportError:  # torch runs without NumPy. Then each point is computed at its step.
    np = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class _Block:
    """The rates and the momenta of all groups, at some steps in a row."""

    lrs: Sequence[tuple[float, ...]]
    momenta: Sequence[tuple[float | None, ...]]


# Schedulers with equal schedules share the block of the steps at which they are.
_blocks: WeakValueDictionary[tuple[tuple[Schedule, ...], int], _Block] = WeakValueDictionary()


class Table:
    """The rate and the momentum of each parameter group at any step.

    `lrs[step - first]` and `momenta[step - first]` are those of a step, while that index is from 0
    to less than `kept`; `move_to(step)` makes it so.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = tuple(schedules)
        # A schedule that isn't plain data has a function of the user's, which may depend on more
        # than the step: it is called when its step has come.
        ahead = np is not None and all(
            map(_is_data, {id(each): each for each in schedules}.values())
        )
        # Python keeps up to 2,000 tuples of a size for reuse. A block has two per step, which are
        # fewer, so that no garbage collection comes due.
        self._size = min(960, max(64, 32768 // len(schedules))) if ahead else 1
        self._block = _Block((), ())
        self.first = self.kept = 0
        self.lrs, self.momenta = self._block.lrs, self._block.momenta

    def at(self, step: int) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
        """The rate of each group, and the momentum that its schedule has."""
        index = step - self.first
        if not 0 <= index < self.kept:
            index = self.move_to(step)
        return self.lrs[index], self.momenta[index]

    def move_to(self, step: int) -> int:
        """Have the rates and the momenta of a step; returns their index."""
        step = count("step", step)
        first = step - step % self._size
        if self._size == 1:
            self._block, self.kept = self._computed(step, 1), 0  # To be computed each time.
        else:
            key = self._schedules, first
            block = _blocks.get(key)
            if block is None:
                block = _blocks[key] = self._computed(first, self._size)
            self._block, self.kept = block, len(block.lrs)
        self.first, self.lrs, self.momenta = first, self._block.lrs, self._block.momenta
        return step - first

    def _computed(self, step: int, size: int) -> _Block:
        # Groups with equal schedules share one, which is computed once.
        distinct = {id(schedule): schedule for schedule in self._schedules}
        if size == 1:
            columns = {
                key: ([each.lr(step)], [each.momentum(step)]) for key, each in distinct.items()
            }
        else:
            stop = min(step + size, LARGEST_STEP + 1)
            columns = _ahead(distinct, np.arange(step, stop, dtype=np.float64))
        lrs, momenta = zip(*(columns[id(schedule)] for schedule in self._schedules), strict=True)
        rows = [*zip(*lrs, strict=True)]
        if all(column[0] is None for column in momenta):  # No schedule has a momentum.
            return _Block(rows, [(None,) * len(lrs)] * len(rows))
        return _Block(rows, [*zip(*momenta, strict=True)])


def _ahead(schedules: dict[int, Schedule], steps: Any) -> dict[int, Any]:
    """The rates and momenta of each schedule, with the bits of `lr(step)` and `momentum(step)`."""
    positions: dict[float, Any] = {}

    def fmod(a: Any, b: Any) -> Any:
        # Half of the time: most schedules of a training have cycles of one size.
        if a is not steps or not isinstance(b, float):
            return np.fmod(a, b)
        if b not in positions:
            positions[b] = np.fmod(a, b)
        return positions[b]

    def column(value: Any) -> list[Any]:
        found = value(steps, ops)
        if found is None:  # The schedule has no momentum.
            return [None] * len(steps)
        values: list[Any] = np.broadcast_to(found, steps.shape).tolist()
        return values

    ops = SimpleNamespace(**vars(numpy_ops) | {"fmod": fmod})
    with np.errstate(all="ignore"):
        return {key: (column(each.lr), column(each.momentum)) for key, each in schedules.items()}


def _is_data(schedule: Schedule) -> bool:
    try:
        schedule.to_dict()
        hash(schedule)
    except TypeError:
        return False
    return True
