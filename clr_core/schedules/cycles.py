"""Where steps lie in the cycles of a schedule, in exact arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from clr_core._arguments import LARGEST_STEP


@dataclass(frozen=True)
class Cycle:
    """One cycle, described by its steps.

    Args:
        index: Its number, from 0.
        first: Its first step.
        turn: The step nearest to the point at which the rise turns into the fall.
        last: Its last step.
    """

    index: int
    first: int
    turn: int
    last: int


def cycle_of(step: int, cycle_size: float) -> int:
    """The index of the cycle that contains a step, from 0.

    >>> cycle_of(10, 5.0)
    2
    """
    return step // exact(cycle_size)  # type: ignore[no-any-return]


def cycles(step_size_up: float, cycle_size: float) -> Iterator[Cycle]:
    """The cycles that contain at least one step, in order, up to step 2**53.

    >>> next(cycles(2.5, 5.0))
    Cycle(index=0, first=0, turn=2, last=4)
    """
    size, up = exact(cycle_size), exact(step_size_up)
    step = 0
    while step <= LARGEST_STEP:
        index = step // size
        first, following = ceil(index * size), ceil((index + 1) * size)
        last = min(following - 1, LARGEST_STEP)
        turn = min(max(round(index * size + up), first), last)
        yield Cycle(index, first, turn, last)
        step = following


def turning_steps(
    first: int,
    last: int,
    cycle_size: float,
    offsets: Sequence[float],
    jumps: Container[float] = (),
) -> Iterator[int]:
    """`first`, `last`, and between them the steps next to each turning point, in order.

    >>> list(turning_steps(0, 10, 5.0, [2.5]))
    [0, 2, 3, 5, 7, 8, 10]

    Args:
        first: The first step.
        last: The last step.
        cycle_size: Steps in a cycle. A turning point lies at the end of each.
        offsets: The other turning points in a cycle, counted from its start, in order.
        jumps: Those of `offsets` and `cycle_size` at which the rate jumps.
    """
    size = exact(cycle_size)
    parts = [exact(offset) for offset in offsets] + [size]
    jump = [offset in jumps for offset in (*offsets, cycle_size)]
    yield first
    step = first
    while step < last:
        position = step % size
        index = bisect_right(parts, position)
        for neighbour in next_to(step - position + parts[index], jump=jump[index]):
            if step < neighbour < last:
                yield neighbour
            step = max(step, neighbour)
    if last > first:
        yield last


def next_to(point: Any, *, jump: bool) -> tuple[int, int]:
    """The steps around a turning point; twice the same if it is one, and no jump.

    >>> next_to(2.5, jump=False), next_to(3, jump=False), next_to(3, jump=True)
    ((2, 3), (3, 3), (2, 3))
    """
    after = ceil(point)
    return after - 1 if jump else floor(point), after


def exact(size: float) -> Any:
    """A float as an int if it is whole, which is faster, and as a fraction otherwise."""
    return int(size) if size.is_integer() else Fraction(size)
