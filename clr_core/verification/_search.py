"""Which counts of a schedule's steps a log admits: the search that all faults of time share.

A run that steps its schedule wrongly uses the rate of another count than its step. Each such fault
has one integer: how far it is shifted, or how many times too fast. For a log there is a range of
integers that explains every line, and mostly it is one integer or none.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from clr_core.schedules.cyclic import CyclicSchedule

# Up to so many integers are tried one by one; for more, looking where the curve crosses is faster.
FEW = 24
SAMPLE = 24
PIECES = 32
LARGEST_COUNT = 2**53
MOST_TRIES = 2_000_000


class Line(NamedTuple):
    """A line of a log: at this step the rate lay between `low` and `high`."""

    step: int
    low: float
    high: float


Range = tuple[int, int]  # First and last integer.


def agrees(schedule: CyclicSchedule, count: int, line: Line) -> bool:
    """Whether the rate of `count` is that of the line. A count below 0 has the rate of step 0."""
    return line.low <= schedule.lr(max(count, 0)) <= line.high


def explaining(
    schedule: CyclicSchedule,
    lines: Sequence[Line],
    count: Callable[[int, int], int],
    first: int,
    last: int,
) -> list[Range]:
    """The integers n from `first` to `last` with which every line has the rate of `count(n, step)`.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=4)
        >>> lines = [Line(step, schedule.lr(2 * step), schedule.lr(2 * step)) for step in range(3)]
        >>> explaining(schedule, lines, lambda n, step: n * step, 1, 4)
        [(2, 2)]

    Args:
        schedule: What was to be followed.
        lines: The lines to explain, at least one.
        count: The count that n gives at a step, monotone in n.
        first: The smallest n.
        last: The largest n.
    """
    ranges = [(first, last)] if first <= last else []
    # Lines from all over the log leave few candidates, so that going through all of it is cheap.
    # The early ones first, which a run reached with few counts, whatever n is.
    for line in sorted(spread(lines, SAMPLE)):
        ranges = _narrowed(schedule, line, count, ranges)
    if sum(high - low + 1 for low, high in ranges) <= FEW:
        candidates = [n for low, high in ranges for n in range(low, high + 1)]
        return _joined(
            (n, n)
            for n in candidates
            if all(agrees(schedule, count(n, line.step), line) for line in lines)
        )
    for line in lines:
        ranges = _narrowed(schedule, line, count, ranges)
        if not ranges:
            break
    return ranges


def spread(lines: Sequence[Line], most: int) -> list[Line]:
    """At most so many of the lines, evenly: the last first, then the halves, the quarters."""
    if len(lines) <= most:
        return list(lines)
    places = sorted(range(most), key=lambda i: (-(i & -i) if i else -most, i))
    return [lines[len(lines) - 1 - i * (len(lines) - 1) // (most - 1)] for i in places]


def _narrowed(
    schedule: CyclicSchedule,
    line: Line,
    count: Callable[[int, int], int],
    ranges: list[Range],
) -> list[Range]:
    """The part of the ranges that explains the line as well."""
    step, found = line.step, []
    for first, last in ranges:
        ends = count(first, step), count(last, step)
        low, high = max(min(ends), 0), max(*ends, 0)
        halves = 2 + 2 * (high - low) / schedule.cycle_size
        if high > LARGEST_COUNT or min(last - first, FEW * halves) > MOST_TRIES:
            continue  # Such a search would take minutes: what may lie here isn't found.
        if last - first < FEW * halves:
            found += [
                (n, n) for n in range(first, last + 1) if agrees(schedule, count(n, step), line)
            ]
            continue
        numbers = range(first, last + 1)
        sign = 1 if ends[0] <= ends[1] else -1

        def signed(n: int, sign: int = sign) -> int:
            return sign * max(count(n, step), 0)

        for c1, c2 in _counts(schedule, line, low, high):
            bottom, top = sorted((sign * c1, sign * c2))
            i = bisect_left(numbers, bottom, key=signed)
            j = bisect_right(numbers, top, key=signed)
            if i < j:
                found.append((numbers[i], numbers[j - 1]))
    return _joined(sorted(found))


def _counts(schedule: CyclicSchedule, line: Line, first: int, last: int) -> Iterator[Range]:
    """The counts from `first` to `last` whose rate is that of the line."""
    for start, stop in _monotone(schedule, first, last):
        ends = schedule.lr(start), schedule.lr(stop)
        if max(ends) < line.low or min(ends) > line.high:
            continue
        counts = range(start, stop + 1)
        if ends[0] <= ends[1]:
            i = bisect_left(counts, line.low, key=schedule.lr)
            j = bisect_right(counts, line.high, key=schedule.lr)
        else:
            i = bisect_left(counts, -line.high, key=lambda count: -schedule.lr(count))
            j = bisect_right(counts, -line.low, key=lambda count: -schedule.lr(count))
        if i < j:
            yield counts[i], counts[j - 1]


def _monotone(schedule: CyclicSchedule, first: int, last: int) -> Iterator[Range]:
    """The counts from `first` to `last` in pieces on which the rate only rises or only falls."""
    up, size = schedule.step_size_up, schedule.cycle_size
    parts = [up, size]
    if schedule.scale_fn is not None and schedule.scale_mode == "iterations":
        # Nothing is known of such a decay. On pieces this short it hardly turns; where it does,
        # a count is missed, and what explains a log is checked on all of it in the end.
        parts = [up * i / PIECES for i in range(1, PIECES + 1)]
        parts += [up + (size - up) * i / PIECES for i in range(1, PIECES + 1)]
    elif schedule.scale_fn is None and schedule.mode == "exp_range" and schedule.gamma < 1.0:
        # Within a rise, position * gamma**position has its maximum here.
        top = -1.0 / math.log(schedule.gamma)
        if top < up:
            parts.insert(0, top)
    cycle = int(first // size)
    start = first
    while start <= last:
        for part in parts:
            stop = min(math.floor(cycle * size + part), last)
            if start <= stop:
                yield start, stop
                start = stop + 1
        cycle += 1


def _joined(ranges: Iterator[Range] | list[Range]) -> list[Range]:
    """The same integers in as few ranges as possible."""
    joined: list[Range] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
