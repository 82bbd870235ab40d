"""The points by which a schedule is drawn or compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil, floor, isfinite, log10

from clr_core._arguments import LARGEST_STEP
from clr_core.schedules.protocol import Schedule, cycle_size_of, total_steps_of

CYCLES = 3
"""How many cycles a picture shows by default."""
POINTS = 4000
MOST_TURNS = 2000
"""With more turns than this, a picture couldn't tell them apart."""
A_CYCLE = 5  # Turns that hold a rise and a fall: one between two steps counts as two.
FAR_APART = 20.0  # On one linear axis, a curve so much lower than another looks flat.
DECADES = 1e4  # On a logarithmic axis, rates so far below the lowest peak count as zero.
LARGEST = 1e300  # The range of larger numbers, with some room around it, has no float64.


@dataclass(frozen=True)
class Samples:
    """A schedule, some steps, and its values there.

    Args:
        schedule: The schedule.
        steps: The steps, from 0, in order.
        lrs: The rate at each.
        momenta: The momentum at each; None if the schedule has none.
    """

    schedule: Schedule
    steps: list[int]
    lrs: list[float]
    momenta: list[float] | None


def samples(schedules: Sequence[Schedule], steps: int | None = None) -> list[Samples]:
    """Sample each schedule from 0 to `steps`; None: as far as the longest `usual_end`.

    Raises:
        ValueError: A rate is too large to be drawn.
    """
    end = max(map(usual_end, schedules)) if steps is None else steps
    return [_samples(schedule, end) for schedule in schedules]


def usual_end(schedule: Schedule, cycles: int = CYCLES) -> int:
    """The step at which a picture of a schedule ends: after some cycles, or after its last turn."""
    size = cycle_size_of(schedule)
    if size is not None:
        return round(min(max(cycles * size, 1), LARGEST_STEP))
    total = total_steps_of(schedule)
    if total is not None and total < LARGEST_STEP:
        return ceil(total)
    turns = list(islice(schedule.turns(0, LARGEST_STEP), 2 * cycles + 1))
    if turns[-1] == LARGEST_STEP:
        turns.pop()  # It ends before: the rest is constant, or one long rise or fall.
    return turns[-1] or POINTS


def sampled_steps(
    schedule: Schedule, end: int, points: int = POINTS, *, first: int = 0
) -> list[int]:
    """An even grid from `first` to `end`, and the turns, which an even grid would cut off.

    If there are too many turns, those of one cycle from each step of the grid on: the picture is
    then as high as the cycles, while the grid alone might meet them all at the same height.
    """
    steps = {first + round((end - first) * i / points) for i in range(points + 1)}
    turns = list(islice(schedule.turns(first, end), MOST_TURNS + 1))
    if len(turns) <= MOST_TURNS:
        steps.update(turns)
    elif cycle_size_of(schedule) is not None:
        for step in tuple(steps):
            steps.update(islice(schedule.turns(step, end), A_CYCLE))
    return sorted(steps)


def round_size(size: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that isn't below a size, for an axis.

    0 and what has too few or too many digits for that stay as they are.

    >>> round_size(0.03), round_size(1.0), round_size(130.0), round_size(9.5)
    (0.05, 1.0, 200.0, 10.0)
    """
    if not 1e-300 < size < 1e300:
        return size
    power = floor(log10(size))
    return next(
        found
        for factor in (1, 2, 5, 10)
        if (found := float(f"{factor}e{power}")) >= size * (1 - 1e-9)
    )


def from_below(curves: Sequence[Sequence[float]]) -> list[int]:
    """The order in which to draw curves: many ups and downs fill an area that would hide others.

    >>> from_below([[1, 2, 3], [1, 2, 1, 2], [3, 2, 1]])
    [1, 0, 2]
    """
    turns = [
        sum((b - a) * (c - b) < 0.0 for a, b, c in zip(y, y[1:], y[2:], strict=False))
        for y in curves
    ]
    return sorted(range(len(curves)), key=lambda index: -turns[index])


def logarithmic_from(curves: Sequence[Sequence[float] | None]) -> float | None:
    """Where a logarithmic axis for all curves begins; None: a linear one shows them all.

    >>> logarithmic_from([[0.0, 0.5], [0.0, 0.2]]), logarithmic_from([[0.0, 5.0], [0.0001, 0.002]])
    (None, 0.0001)
    """
    finite = [[y for y in curve if isfinite(y)] for curve in curves if curve is not None]
    peaks = [max(curve) for curve in finite if curve]
    if not peaks or min(map(min, filter(None, finite))) < 0.0 or min(peaks) <= 0.0:
        return None
    if max(peaks) <= FAR_APART * min(peaks):
        return None
    least = min(y for curve in finite for y in curve if y > 0.0)
    return max(least, min(peaks) / DECADES)


def _samples(schedule: Schedule, end: int) -> Samples:
    at = sampled_steps(schedule, end)
    lrs = [schedule.lr(step) for step in at]
    for lr in lrs:
        if abs(lr) > LARGEST and isfinite(lr):
            raise ValueError(f"A rate must be at most {LARGEST} to be drawn. Received: {lr}")
    momenta = [momentum for step in at if (momentum := schedule.momentum(step)) is not None]
    return Samples(schedule, at, lrs, momenta or None)
