"""Which step lies where in which cycle, exactly, as integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from clr_core.schedules.cyclic import LARGEST_STEP, CyclicSchedule


@dataclass(frozen=True)
class Cycle:
    """One cycle, by the steps in it.

    Args:
        index: Its number, from 0.
        first: Its first step.
        turn: The step nearest to where the rise turns into the fall.
        last: Its last step.
    """

    index: int
    first: int
    turn: int
    last: int


def cycle_of(schedule: CyclicSchedule, step: int) -> int:
    """The index of the cycle that a step lies in, from 0.

    >>> cycle_of(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.5), 10)
    2
    """
    return step // Fraction(schedule.cycle_size)


def cycles(schedule: CyclicSchedule, start: int = 0) -> Iterator[Cycle]:
    """The cycles that have a step, from the one of `start` on, up to step 2**53.

    >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.5)
    >>> next(cycles(schedule))
    Cycle(index=0, first=0, turn=2, last=4)
    """
    size, up = Fraction(schedule.cycle_size), Fraction(schedule.step_size_up)
    step = start
    while step <= LARGEST_STEP:
        index = step // size
        first, following = -(-index * size // 1), -(-(index + 1) * size // 1)
        last = min(following - 1, LARGEST_STEP)
        turn = min(max(round(index * size + up), first), last)
        yield Cycle(index, first, turn, last)
        step = following
