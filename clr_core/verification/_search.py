"""Find the counts of a schedule's steps that are consistent with a log.

A run that steps its schedule wrongly uses the rate of another count than its step. Each such fault
has one integer: how far it is shifted, or how many times too fast. For a log there is a range of
integers that explains every line, and mostly it is one integer or none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from clr_core._arguments import LARGEST_STEP
from clr_core.schedules.cyclic import CyclicSchedule
from clr_core.schedules.piecewise import PiecewiseSchedule
from clr_core.schedules.protocol import Schedule, cycle_size_of

# Up to so many integers are tried one by one, for each cycle. For more, it is faster to find by
# bisection where the curve crosses a line's rate.
FEW = 48
# A turn takes as long as some rates of a wave, since it is found exactly.
TURN = 5
# A rate that is the same at so many turns never changes.
MANY_TURNS = 1000


class LoggedRate(NamedTuple):
    """A line of a log: at this step the rate lay between `low` and `high`."""

    step: int
    low: float
    high: float


def common(lines: Sequence[LoggedRate]) -> tuple[float, float]:
    """The lowest and the highest rate that all lines may have; none if the first is higher."""
    return max(line.low for line in lines), min(line.high for line in lines)


class GivenUp(Exception):
    """A search has computed as many rates as it may."""


def work(schedule: Schedule) -> int:
    """What a rate takes, in rates of a wave without a decay; some 20 of an expression if long."""
    if not isinstance(schedule, CyclicSchedule):
        return 2
    if schedule.scale_fn is None:
        return 1 if schedule.mode == "triangular" else 2
    return 4 + (len(schedule.scale_fn) // 5 if isinstance(schedule.scale_fn, str) else 0)


class Target:
    """The schedule that was to be followed, and how many of its rates a search may compute.

    This is the only place that tells one kind of schedule from another.

    Args:
        schedule: Anything with `lr`, `turns` and `levels`.
        last: The last step of the log.
        rates: How many rates may be computed.

    Attributes:
        schedule: The same, whose own `lr` costs nothing.
        cyclic: The schedule if it is a `CyclicSchedule`, else None.
        size: The steps in a cycle, or in which it rises and falls for the first time; `last` if
            that takes longer.
        has_cycles: True if the schedule says how long its cycles are.
        repeats: True if each cycle is known to be like the first.
        constant: True if the rate never changes.
    """

    def __init__(self, schedule: Schedule, last: int, rates: int) -> None:
        self.schedule, self._left = schedule, rates
        turns = islice(schedule.turns(0, LARGEST_STEP), MANY_TURNS)
        begin = list(islice(turns, 3))
        held = schedule.lr(0)
        self.constant = all(schedule.lr(turn) == held for turn in chain(begin, turns))
        self.levels = schedule.levels()
        once = float(min(begin[-1], max(last, 1)))
        cycle_size = cycle_size_of(schedule)
        self.has_cycles, self.size = cycle_size is not None, cycle_size or once
        self.cyclic = schedule if isinstance(schedule, CyclicSchedule) else None
        self._work = work(schedule)
        self.repeats = (
            schedule.repeat if isinstance(schedule, PiecewiseSchedule) else self._work == 1
        )

    def lr(self, count: int) -> float:
        """The rate at a count from 0 to 2**53."""
        self.spend(self._work)
        return float(self.schedule.lr(count))

    def spend(self, rates: int) -> None:
        """Takes rates that are computed elsewhere, or work that lasts as long, from the account."""
        self._left -= rates
        if self._left < 0:
            raise GivenUp

    def turns(self, first: int, last: int) -> Iterator[int]:
        """The steps from `first` to `last` between which the rate only rises or only falls."""
        for turn in self.schedule.turns(first, last):
            self.spend(TURN)
            yield turn

    def agrees(self, count: int, line: LoggedRate) -> bool:
        """True if the rate of `count` is that of the line. Counts below 0 have the rate of 0."""
        return count <= LARGEST_STEP and line.low <= self.lr(max(count, 0)) <= line.high

    def explained_by(self, other: Schedule, lines: Iterable[LoggedRate]) -> bool:
        """True if every line has the rate of another schedule."""
        cost = work(other)
        for line in lines:
            self.spend(cost)
            if not line.low <= other.lr(line.step) <= line.high:
                return False
        return True


Range = tuple[int, int]  # First and last integer.
Count = Callable[[int, int], int]  # The count that an integer gives at a step, monotone in it.


def explaining(
    target: Target, lines: Sequence[LoggedRate], count: Count, first: int, last: int
) -> list[Range]:
    """The integers n from `first` to `last` with which every line has the rate of `count(n, step)`.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=4)
        >>> rates = [schedule.lr(2 * step) for step in range(3)]
        >>> lines = [LoggedRate(step, rate, rate) for step, rate in enumerate(rates)]
        >>> explaining(Target(schedule, 2, 100), lines, lambda n, step: n * step, 1, 4)
        [(2, 2)]

    Args:
        target: The schedule.
        lines: The lines to explain, at least one.
        count: The count that n gives at a step, monotone in n.
        first: The smallest n.
        last: The largest n.
    """
    ranges = [(first, last)] if first <= last else []
    # Lines from all over the log leave few candidates, so that going through all of it is cheap.
    # The early ones first, which a run reached with few counts, whatever n is.
    for line in sorted(spread(lines, FEW)):
        ranges = narrowed(target, line, count, ranges)
    for line in lines:
        ranges = narrowed(target, line, count, ranges)
        if not ranges:
            return []
    return ranges


def spread(lines: Sequence[LoggedRate], most: int) -> list[LoggedRate]:
    """At most so many of the lines, evenly: the last first, then the halves, the quarters."""
    if len(lines) <= most:
        return list(lines)
    places = sorted(range(most), key=lambda i: (-(i & -i) if i else -most, i))
    return [lines[len(lines) - 1 - i * (len(lines) - 1) // (most - 1)] for i in places]


def narrowed(
    target: Target, line: LoggedRate, count: Count, ranges: Iterable[Range]
) -> list[Range]:
    """The part of the ranges that explains the line as well."""
    step, found = line.step, []

    def counted(n: int) -> int:
        return max(count(n, step), 0)

    for first, last in ranges:
        numbers = range(first, last + 1)
        ends = counted(first), counted(last)
        low, high = min(ends), min(max(ends), LARGEST_STEP)
        if low > high:
            continue
        cycles = 1 + (high - low) / target.size
        if len(numbers) <= FEW * cycles:
            found += [(n, n) for n in numbers if target.agrees(count(n, step), line)]
            continue
        if ends[0] > ends[1]:
            numbers = numbers[::-1]
        found += [
            part
            for bottom, top in _counts(target, line, low, high)
            for part in _between(numbers, bottom, top, counted)
        ]
    return _joined(sorted(found))


def _counts(target: Target, line: LoggedRate, first: int, last: int) -> Iterator[Range]:
    """The counts from `first` to `last` whose rate is that of the line."""
    turns = target.turns(first, last)
    start = next(turns)
    here = target.lr(start)
    if first == last and line.low <= here <= line.high:
        yield first, last
    for stop in turns:
        there = target.lr(stop)
        if max(here, there) >= line.low and min(here, there) <= line.high:
            counts = range(start, stop + 1)
            if here > there:
                counts = counts[::-1]
            yield from _between(counts, line.low, line.high, target.lr)
        start, here = stop, there


def _between(
    numbers: range, low: float, high: float, value: Callable[[int], float]
) -> Iterator[Range]:
    """The first and the last of the numbers whose value lies between two; it rises along them."""
    i = bisect_left(numbers, low, key=value)
    j = bisect_right(numbers, high, key=value)
    if i < j:
        yield min(numbers[i], numbers[j - 1]), max(numbers[i], numbers[j - 1])


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """The same integers in as few ranges as possible; both ends of the given ones ascend."""
    joined: list[Range] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return joined


def simplest_integer(low: int, high: int) -> int:
    """The integer between two positive ones with the most zeros at its end.

    >>> simplest_integer(998, 1003), simplest_integer(7, 7)
    (1000, 7)
    """
    power = 10
    while power <= high:
        power *= 10
    while True:
        first = -(-low // power) * power
        if first <= high:
            return first
        power //= 10


def simplest(low: float, high: float) -> float:
    """The number between two others that has the fewest digits.

    >>> simplest(0.0029988, 0.0030004)
    0.003
    """
    if low <= 0.0 <= high:
        return 0.0
    middle = low + (high - low) / 2
    for digits in range(17):
        number = float(f"{middle:.{digits}e}")
        if low <= number <= high:
            return number
    return middle


def simplest_ratio(low: float, high: float) -> float:
    """The simplest number between two positive ones, or the inverse of a simpler one.

    >>> simplest_ratio(0.33333, 0.33334) == 1 / 3
    True
    """
    number, inverse = simplest(low, high), simplest(1 / high, 1 / low)
    inverted = 1 / inverse
    shorter = len(repr(inverse)) < len(repr(number)) and low <= inverted <= high
    return inverted if shorter else number
