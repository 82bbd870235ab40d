"""Find the simple faults that explain a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Literal, NamedTuple

from clr_core._arguments import LARGEST_STEP
from clr_core.schedules.piecewise import PiecewiseSchedule
from clr_core.verification._search import (
    Count,
    LoggedRate,
    Range,
    Target,
    common,
    explaining,
    narrowed,
    simplest,
    simplest_integer,
    simplest_ratio,
)
from clr_core.verification.faults import (
    FAR_FETCHED,
    Constant,
    Fault,
    Float32Formula,
    Held,
    Restart,
    Scale,
    Shift,
    Speed,
    WarmUp,
)

# Processes or batches by which a run may be too fast: more than anybody has in one job.
MOST_TIMES = 4096
# The same if it becomes so at a resume: the search for the step takes longer for each of them.
MOST_TIMES_LATER = 64
# With fewer lines, a ramp or what follows on a rate that stood still are found by chance.
FEWEST_LINES = 3
# So many lines may agree by rounding after a fault began; only there its start is looked for.
LINES_BACK = 50
# A shift by more cycles isn't looked for: it would take a rate for each half of them and line.
MOST_CYCLES = 400
# In a log that is shorter than these cycles, so many are looked for, if each is another one.
CYCLES_AHEAD = 10
# A shift by so few steps is as likely as a restart if both give the same curve: near the start of
# a cycle of a schedule that doesn't decay.
LIKELY_SHIFT = 16
# With lines further apart than this part of a cycle, a restart at just the right step is as likely.
LIKELY_CHANCE = 0.01
SAME = 1e-3  # Rates closer than this part of half a line's width are the same.
FLOAT32_ROUNDING = 2.0**-24
FLOAT32_ERRORS = 8.0 * FLOAT32_ROUNDING  # Eight roundings; the usual formulas take five to seven.


class Deviation(NamedTuple):
    """A log that differs from the schedule.

    Args:
        lines: All its lines.
        first: The index of the first that differs.
    """

    lines: Sequence[LoggedRate]
    first: int

    @property
    def rest(self) -> Sequence[LoggedRate]:
        """The lines from the first that differs on."""
        return self.lines[self.first :]

    @property
    def spacing(self) -> int:
        """How many steps lie between two lines, on average."""
        steps = self.lines[-1].step - self.lines[0].step
        return max(1, round(steps / max(1, len(self.lines) - 1)))

    def window(self) -> Range:
        """The steps at which a fault can have begun that shows first at `first`."""
        last = self.rest[0].step
        if self.first == 0:
            return max(1, last - self.spacing + 1), last
        before = self.lines[max(0, self.first - LINES_BACK) : self.first]
        return max(1, min(line.step for line in before) + 1), last

    def backwards(self) -> Iterator[LoggedRate]:
        """The lines before the first that differs, last first, back to a resume if any."""
        step = self.rest[0].step
        for line in reversed(self.lines[: self.first]):
            if line.step >= step:
                return  # This one is of the run that was resumed.
            step = line.step
            yield line

    def since(self, explains: Callable[[LoggedRate], bool]) -> int | None:
        """The first line that shows a fault; None if the lines before agree with it as well."""
        return None if all(map(explains, self.lines[: self.first])) else self.rest[0].step


def simple_faults(target: Target, log: Deviation) -> Iterator[Fault]:
    """All simple faults that explain the log."""
    constants = list(_constant(target, log))
    yield from constants
    yield from _scale(target, log)
    yield from _shift(target, log, constant=bool(constants))
    yield from _speed(target, log, constant=bool(constants))


def constant_rate(target: Target, low: float, high: float) -> tuple[float, str | None]:
    """The likeliest constant rate between two others: a level of the schedule, or a simple one."""
    for level, rate in target.levels.items():
        if low <= rate <= high:
            return rate, level
    return simplest(low, high), None


def still(lines: Sequence[LoggedRate]) -> bool:
    """True if all lines have the same rate: however a log rounds, it rounds one rate to one."""
    twice = [line.low + line.high for line in lines]
    return max(twice) - min(twice) <= SAME * min(line.high - line.low for line in lines)


def _constant(target: Target, log: Deviation) -> Iterator[Constant]:
    low, high = common(log.rest)
    if low <= high and still(log.rest):
        rate, level = constant_rate(target, low, high)
        since = log.since(lambda line: line.low <= high and line.high >= low)
        yield Constant(rate, level, since)


def _scale(target: Target, log: Deviation) -> Iterator[Scale]:
    low, high = 0.0, math.inf
    for line in log.rest:
        rate = target.lr(line.step)
        if rate > 0.0:
            # The rate may have been a float32 number before it was multiplied.
            low = max(low, line.low * (1.0 - FLOAT32_ROUNDING) / rate)
            high = min(high, line.high * (1.0 + FLOAT32_ROUNDING) / rate)
        elif not line.low <= rate <= line.high:
            return
        if low > high:
            return
    if high == math.inf or low <= 0.0:
        return  # Rates of 0 are any multiple of 0; and a rate of 0 is a constant.
    factor = simplest_ratio(low, high)
    since = log.since(lambda line: line.low <= factor * target.lr(line.step) <= line.high)
    yield Scale(factor, since)


def _shift(target: Target, log: Deviation, *, constant: bool) -> Iterator[Shift | Restart]:
    """Shifts by n steps, and the one that takes the count back to 0, a restart.

    If the rate is constant, it is no explanation that a run hasn't begun yet, or is over.
    """
    restart = _restart(target, log)
    last = max(line.step for line in log.rest)
    farthest = min(math.ceil(target.size), LARGEST_STEP)
    most = MOST_CYCLES * farthest
    if not target.repeats and not constant:  # A wave is the same again from there on.
        farthest = min(max(last, CYCLES_AHEAD * farthest), most)
    back = log.rest[0].step if constant else farthest
    if not constant and target.agrees(0, min(log.rest)):
        back = max(farthest, min(last, most))  # It may have waited for cycles before it began.
    ranges = explaining(target, log.rest, lambda n, step: step + n, -back, farthest)
    if not ranges:
        if restart:
            yield restart
        return
    shifts = sorted((_roundest_of(*each) for each in ranges), key=abs)
    n = shifts[0]
    since = log.since(lambda line: target.agrees(line.step + n, line))
    # In a wave a shift looks like a restart if that would have been at just this step; the fewer
    # lines a cycle has, the sooner.
    short = abs(n) <= max(LIKELY_SHIFT, log.spacing) or (
        target.repeats and log.spacing > LIKELY_CHANCE * target.size
    )
    if restart and not (since is None and (short or log.first)):
        # A restart is a shift too. It is the better word for a long one, and if it is the only one.
        yield restart
        first, last = restart.step_between
        if not short and all(_same(target, each, (-last, -first)) for each in ranges):
            return
    bounds = next(each for each in ranges if each[0] <= n <= each[1])
    others = [other for other in shifts[1:] if not _same(target, (other, other), bounds)]
    yield Shift(n, bounds, tuple(others[:5]), since)


def _same(target: Target, shifts: Range, others: Range) -> bool:
    """True if a shift of the first range is one of the second, or a wave's whole cycles from it."""
    (low, high), (first, last), size = shifts, others, target.size
    if not target.repeats:
        return low <= last and high >= first
    cycles = math.floor((high - first) / size + 1e-9)
    return low - last <= cycles * size + 1e-9 * size


def interrupted(target: Target, log: Deviation) -> Iterator[Held | WarmUp]:
    """Runs whose rate stayed where it was for some steps and went on, or rose before it began."""
    if log.first <= 1:  # The ramp and the schedule may begin with the same rate, such as 0.
        yield from _warm_up(target, log)
    if log.first == 0:
        return
    held = list(takewhile(lambda line: still([log.rest[0], line]), log.rest))
    rest = log.rest[len(held) :]
    if len(rest) >= FEWEST_LINES:
        yield from _held(target, log, held, rest)


def _held(
    target: Target, log: Deviation, held: Sequence[LoggedRate], rest: Sequence[LoggedRate]
) -> Iterator[Held]:
    # The count that stood still: the lines before it agree with the schedule.
    begin, latest = log.window()
    counts = explaining(target, held, lambda n, _: n, begin - 1, latest)
    if not counts:
        return
    longest = rest[0].step - counts[0][0]
    shortest = max(1, held[-1].step - counts[-1][1])
    for low, high in explaining(target, rest, _since, shortest, longest)[:1]:
        yield Held(counts[-1][1], simplest_integer(low, high), (low, high))


def _warm_up(target: Target, log: Deviation) -> Iterator[WarmUp]:
    """A ramp, and then the schedule: from its start, or as if the ramp had been a part of it."""
    lines = sorted(log.lines)
    if lines[0].step > log.spacing:
        return  # The start of the run isn't in the log.
    middles = [line.low + line.high for line in lines]
    rising = next((i for i in range(1, len(lines)) if middles[i] < middles[i - 1]), len(lines)) - 1
    for each in explaining(target, lines[rising:], _since, 0, lines[-1].step):
        # Among the lines that rise are those of the schedule's own rise.
        ranges, begin = [each], rising
        while begin:
            line = lines[begin - 1]
            kept = _cut(narrowed(target, line, _since, ranges), 0, line.step)
            if not kept:
                break
            ranges, begin = kept, begin - 1
        ramp, rest, (low, high) = lines[:begin], lines[begin:], ranges[0]
        # A rate that stands still shows neither a ramp nor the schedule after it.
        moving = not still(ramp) and (len(rest) == 1 or not still(rest))
        if len(ramp) >= FEWEST_LINES and moving and (low == 0 or low > ramp[-1].step):
            n, first = simplest_integer(low, high) if low else 0, rest[0].step
            yield WarmUp(n or first, (low, high) if n else (ramp[-1].step + 1, first), n)
            return


def _starts(target: Target, log: Deviation, count: Count) -> list[Range]:
    """The steps at which a fault may have begun that gives `count(start, step)` from there on."""
    earliest, latest = log.window()
    left = explaining(target, log.rest, count, earliest, latest)
    found: list[Range] = []
    for line in log.backwards():
        if not left:
            break
        # A fault that began after this line needn't explain it; one that began before must.
        found += _cut(left, line.step + 1, latest)
        left = narrowed(target, line, count, _cut(left, earliest, line.step))
        latest = line.step
    return sorted(left + found)


def _cut(ranges: Sequence[Range], first: int, last: int) -> list[Range]:
    clipped = ((max(low, first), min(high, last)) for low, high in ranges)
    return [(low, high) for low, high in clipped if low <= high]


def _restart(target: Target, log: Deviation) -> Restart | None:
    starts = _starts(target, log, _since)
    # If several fit, the one closest to the first line that differs.
    return Restart(starts[-1][1], (starts[0][0], starts[-1][1])) if starts else None


def _since(start: int, step: int) -> int:
    return step - start


def _speed(target: Target, log: Deviation, *, constant: bool) -> Iterator[Speed]:
    """A count that runs k times too fast or too slowly: from the start, or from some step on.

    If the rate is constant, it is no explanation that it moves too slowly to be seen, or by just so
    many times that each line shows another cycle at the same place.
    """
    last = max(line.step for line in log.rest)
    most_times, later = (FAR_FETCHED,) * 2 if constant else (MOST_TIMES, MOST_TIMES_LATER)
    # At half a cycle a step and beyond, a wave goes back as well as forth, or stays.
    half = math.ceil(target.size / 2) - 1 if target.has_cycles else MOST_TIMES
    for sped in (_faster,) if constant else (_faster, _slower):
        fast = sped is _faster
        most = min(most_times, half) if fast else last + 1
        # Some logs count from 1, others name the rate of the next update.
        found = (
            (offset, explaining(target, log.lines, partial(_from_the_start, sped, offset), 2, most))
            for offset in (0, -1, 1)
        )
        offset, ranges = next((each for each in found if each[1]), (0, []))
        if ranges:
            yield _named(sped, ranges, None, offset)
        elif log.first > 0:
            yield from _speed_later(target, log, sped, min(later, half) if fast else later)


_Speed = Callable[[int, int, int], int]


def _faster(k: int, start: int, step: int) -> int:
    return start + k * (step - start)


def _slower(k: int, start: int, step: int) -> int:
    return start + (step - start) // k


def _from_the_start(sped: _Speed, offset: int, k: int, step: int) -> int:
    return sped(k, 0, step + offset)


def _speed_later(target: Target, log: Deviation, sped: _Speed, most: int) -> Iterator[Speed]:
    starts = {k: _starts(target, log, partial(sped, k)) for k in range(2, most + 1)}
    found = [k for k in starts if starts[k]]
    if found:
        yield _named(sped, [(k, k) for k in found], starts[found[0]][-1][1], 0)


def _named(sped: _Speed, ranges: list[Range], since: int | None, offset: int) -> Speed:
    direction: Literal["fast", "slow"] = "fast" if sped is _faster else "slow"
    others = tuple(low for low, _ in ranges[1:6])
    return Speed(simplest_integer(*ranges[0]), direction, ranges[0], others, offset, since)


def float32_formula(target: Target, log: Deviation) -> Iterator[Float32Formula]:
    """Rates off by no more than the errors of a formula in float32, which grow with the step."""
    schedule, rates = target.cyclic, target.levels.values()
    if schedule is None and not isinstance(target.schedule, PiecewiseSchedule):
        return
    top, band = max(rates), max(rates) - min(rates)
    largest, worst = 0.0, log.rest[0].step
    for line in log.lines:
        step, rate = line.step, target.lr(line.step)
        error = top
        if schedule is not None:
            # The step is rounded as it is counted in halves, and in the exponent of a decay.
            fall = schedule.cycle_size - schedule.step_size_up
            halves = 1.0 + step / schedule.step_size_up + step / fall
            decay = schedule.gamma**step
            if schedule.mode == "triangular2":  # Rounding may count a cycle too few.
                decay = 0.5 ** max(step // schedule.cycle_size - 1.0, 0.0)
            error += band * decay * halves
            if schedule.gamma < 1.0 or schedule.scale_mode == "iterations":
                error += abs(rate - schedule.base_lr) * step
        error *= FLOAT32_ERRORS
        if not line.low - error <= rate <= line.high + error:
            return
        off = max(line.low - rate, rate - line.high)
        if off > 0.0 and error > band / 4:
            return  # So many steps from the start float32 gives anything, and is no explanation.
        if off > largest:
            largest, worst = off, step
    yield Float32Formula(largest, largest / (target.lr(worst) or top), worst)


def _roundest_of(low: int, high: int) -> int:
    """The roundest of the integers from `low` to `high`, none of them 0."""
    return simplest_integer(low, high) if low > 0 else -simplest_integer(-high, -low)
