"""The points by which a schedule is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from clr_core.schedules._cycles import cycles
from clr_core.schedules.cyclic import LARGEST_STEP, CyclicSchedule

CYCLES = 3
POINTS = 4000
MOST_TURNS = 1000
LARGEST = 1e300  # The distance of larger numbers, with some room around it, has no float64.


@dataclass(frozen=True)
class Curve:
    """A schedule, some steps, and what it gives there.

    Args:
        schedule: The schedule.
        steps: The steps, from 0, in order.
        lrs: The rate at each.
        momenta: The momentum at each; None where the schedule has none.
    """

    schedule: CyclicSchedule
    steps: list[int]
    lrs: list[float]
    momenta: list[float] | None


def curves(schedules: Sequence[CyclicSchedule], steps: int | None) -> list[Curve]:
    """The curve of each schedule from 0 to `steps`; None: three cycles of the longest.

    Raises:
        ValueError: A rate is too large to be drawn.
    """
    if steps is None:
        size = max(each.cycle_size for each in schedules)
        steps = round(min(max(CYCLES * size, 1), LARGEST_STEP))
    return [_curve(schedule, steps) for schedule in schedules]


def _curve(schedule: CyclicSchedule, end: int) -> Curve:
    steps = {round(end * i / POINTS) for i in range(POINTS + 1)}
    # An even grid would cut the peaks off; of more of them than this none could be told apart.
    if end / schedule.cycle_size <= MOST_TURNS:
        turns = takewhile(lambda cycle: cycle.first <= end, cycles(schedule))
        steps |= {step for each in turns for step in (each.first, each.turn, each.last)}
    at = sorted(step for step in steps if step <= end)
    momenta = None if schedule.momentum(0) is None else [schedule.momentum(step) for step in at]
    lrs = [schedule.lr(step) for step in at]
    for lr in lrs:
        if LARGEST < abs(lr) < float("inf"):
            raise ValueError(f"A rate must be at most {LARGEST} to be drawn. Received: {lr}")
    return Curve(schedule, at, lrs, momenta)  # type: ignore[arg-type]
