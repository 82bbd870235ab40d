"""What may have gone wrong in a run: each simple fault, and whether it explains a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from clr_core.schedules.cyclic import CyclicSchedule
from clr_core.verification._search import Line, Range, agrees, explaining
from clr_core.verification._simplest import simplest, simplest_integer, simplest_ratio

MOST_TIMES = 4096  # Processes or batches by which a run may be too fast.
MOST_TIMES_LATER = 64  # The same for one that gets so in its midst, at a resume.
LINES_BACK = 50  # How many lines may agree by rounding after a fault has begun.
# A shift by so few steps is as likely as a restart where both give the same curve: near the start
# of a cycle of a schedule that doesn't decay.
LIKELY_SHIFT = 16
LIKELY_CHANCE = 0.01
FAR_FETCHED = 8
FLOAT32_ROUNDING = 2.0**-24
FLOAT32_ERRORS = 8.0 * FLOAT32_ROUNDING  # Eight roundings; the usual formulas take five to seven.


@dataclass(frozen=True)
class Explanation:
    """A fault that accounts for every line of a log.

    Args:
        fault: Its name, one word or two.
        clause: What a sentence about the run says, after "it".
        details: Its numbers, as plain data.
    """

    fault: str
    clause: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """The lines of a run, of which `first` is the index of the first that differs."""

    lines: Sequence[Line]
    first: int

    @property
    def rest(self) -> Sequence[Line]:
        """The lines from the first that differs on."""
        return self.lines[self.first :]

    @property
    def spacing(self) -> int:
        """How many steps lie between two lines, on average."""
        steps = self.lines[-1].step - self.lines[0].step
        return max(1, round(steps / max(1, len(self.lines) - 1)))

    def window(self) -> Range:
        """The steps at which something may have gone wrong, so that `first` is what one sees."""
        last = self.rest[0].step
        if self.first == 0:
            return max(1, last - self.spacing + 1), last
        before = self.lines[max(0, self.first - LINES_BACK) : self.first]
        return min(line.step for line in before) + 1, last

    def since_start(self, start: int) -> Iterator[Line]:
        """The lines that agree with the schedule, though something went wrong at `start`."""
        step = self.rest[0].step
        for line in reversed(self.lines[: self.first]):
            if not start <= line.step < step:
                return  # Before that, or of a run that this one resumes.
            step = line.step
            yield line

    def since(self, holds: Callable[[Line], bool]) -> int | None:
        """None where a fault that explains the rest explains all lines; or the step it shows."""
        return None if all(map(holds, self.lines[: self.first])) else self.rest[0].step


def simple_explanations(schedule: CyclicSchedule, log: Log) -> list[Explanation]:
    """All simple faults that explain the log, each with the numbers that do."""
    constants = list(_constant(schedule, log))
    found = [
        *constants,
        *_scale(schedule, log),
        *_shift(schedule, log, still=bool(constants)),
        *_speed(schedule, log, still=bool(constants)),
    ]
    return found or list(_float32_formula(schedule, log))


def _constant(schedule: CyclicSchedule, log: Log) -> Iterator[Explanation]:
    low, high = common(log.rest)
    if low > high:
        return
    since = log.since(lambda line: line.low <= high and line.high >= low)
    rate = next(
        (rate for rate in (schedule.base_lr, schedule.max_lr) if low <= rate <= high),
        simplest(low, high),
    )
    name = {schedule.base_lr: " (base_lr)", schedule.max_lr: " (max_lr)"}
    yield Explanation(
        "constant",
        f"kept the rate {rate:g}{name.get(rate, '')}{_from(since)}",
        {"rate": rate, "since": since},
    )


def common(lines: Sequence[Line]) -> tuple[float, float]:
    """The lowest and the highest rate that all lines may have; none where the first is higher."""
    return max(line.low for line in lines), min(line.high for line in lines)


def _scale(schedule: CyclicSchedule, log: Log) -> Iterator[Explanation]:
    low, high = 0.0, math.inf
    for line in log.rest:
        rate = schedule.lr(line.step)
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

    def holds(line: Line) -> bool:
        return line.low <= factor * schedule.lr(line.step) <= line.high

    since = log.since(holds)
    yield Explanation(
        "scale",
        f"used the schedule's rates times {factor:g}{_from(since)}",
        {"factor": factor, "since": since},
    )


def _shift(schedule: CyclicSchedule, log: Log, *, still: bool) -> Iterator[Explanation]:
    """Shifts by n steps, and the one that takes the count back to 0, a restart.

    Where the rate stands `still`, it is no explanation that a run hasn't begun yet.
    """
    restart = _restart(schedule, log)
    last = max(line.step for line in log.rest)
    farthest = math.ceil(schedule.cycle_size)
    if not _repeats(schedule):  # A wave is the same again from there on.
        farthest = max(last, 10 * farthest)
    # A run that waits before it begins may do so for more than a cycle.
    back = log.rest[0].step if still else max(farthest, last)
    ranges = explaining(schedule, log.rest, _shifted, -back, farthest)
    if not ranges:
        yield from restart
        return
    shifts = sorted((_roundest_of(*each) for each in ranges), key=abs)
    n = shifts[0]
    since = log.since(lambda line: agrees(schedule, _shifted(n, line.step), line))
    # In a wave a shift looks like a restart if that would have been at just this step; the fewer
    # lines a cycle has, the sooner.
    short = abs(n) <= max(LIKELY_SHIFT, log.spacing) or (
        _repeats(schedule) and log.spacing > LIKELY_CHANCE * schedule.cycle_size
    )
    if restart and not (since is None and (short or log.first)):
        # A restart is a shift too. It is the better word for a long one, and where nothing else is.
        yield from restart
        first, last = restart[0].details["step_between"]
        if not short and all(_same(schedule, each, (-last, -first)) for each in ranges):
            return
    steps = f"{abs(n)} step{'s' if abs(n) > 1 else ''}"
    bounds = next(each for each in ranges if each[0] <= n <= each[1])
    others = [other for other in shifts[1:] if not _same(schedule, (other, other), bounds)][:5]
    yield Explanation(
        "shift",
        f"was {steps} {'ahead of' if n > 0 else 'behind'} the schedule{_or(others, bounds)}"
        f"{_from(since)}",
        {"n": n, "n_between": list(bounds), "also": others, "since": since},
    )


def _same(schedule: CyclicSchedule, shifts: Range, others: Range) -> bool:
    """Whether a shift of the first range is one of the second: in a wave, but for whole cycles."""
    (low, high), size = shifts, schedule.cycle_size
    if not _repeats(schedule):
        return low <= others[1] and high >= others[0]
    cycles = math.floor((high - others[0]) / size + 1e-9)
    return low - others[1] <= cycles * size + 1e-9 * size


def _repeats(schedule: CyclicSchedule) -> bool:
    """Whether each cycle is like the first."""
    return schedule.scale_fn is None and schedule.mode == "triangular"


def _shifted(n: int, step: int) -> int:
    return step + n


def _restart(schedule: CyclicSchedule, log: Log) -> list[Explanation]:
    earliest, latest = log.window()
    starts = [
        start
        for first, last in explaining(schedule, log.rest, _since, max(earliest, 1), latest)
        for start in range(first, last + 1)
        if all(agrees(schedule, line.step - start, line) for line in log.since_start(start))
    ]
    if not starts:
        return []
    # Where several fit, the one closest to the first line that differs.
    step = starts[-1]
    bounds = (starts[0], starts[-1])
    return [
        Explanation(
            "restart",
            f"began the schedule anew at step {step}{_or([], bounds)}",
            {"step": step, "step_between": list(bounds)},
        )
    ]


def _since(start: int, step: int) -> int:
    return step - start


def _speed(schedule: CyclicSchedule, log: Log, *, still: bool) -> Iterator[Explanation]:
    """A count that runs k times too fast or too slow: from the start, or from some step on.

    Where the rate stands `still`, it is no explanation that it moves too slowly to be seen, or by
    just so many times that each line shows another cycle at the same place.
    """
    last = max(line.step for line in log.rest)
    most_times = MOST_TIMES_LATER if still else MOST_TIMES
    directions = [(True, _faster)] + ([] if still else [(False, _slower)])
    for faster, count in directions:
        # Some logs count from 1, others name the rate of the next update.
        for offset in (0, -1, 1):
            of_k = partial(_times, count, offset)
            # At half a cycle a step and beyond, one goes back as well as forth, or stays.
            most = (
                min(most_times, math.ceil(schedule.cycle_size / 2) - 1)
                if faster
                else last + max(offset, 0)
            )
            ranges = explaining(schedule, log.lines, of_k, 2, most)
            if ranges:
                yield _speed_explanation(faster, ranges, None, offset)
                break
        else:
            yield from _speed_later(schedule, log, faster, count)


def _times(count: Callable[[int, int, int], int], offset: int, k: int, step: int) -> int:
    return count(k, 0, step + offset)


def _faster(k: int, start: int, step: int) -> int:
    return start + k * (step - start)


def _slower(k: int, start: int, step: int) -> int:
    return start + (step - start) // k


def _speed_later(
    schedule: CyclicSchedule, log: Log, faster: bool, count: Callable[[int, int, int], int]
) -> Iterator[Explanation]:
    earliest, latest = log.window()
    if log.first == 0 or latest < 1:
        return
    found: list[Range] = []
    start = latest
    most = min(MOST_TIMES_LATER, math.ceil(schedule.cycle_size / 2) - 1)
    for k in range(2, (most if faster else MOST_TIMES_LATER) + 1):
        of_start = partial(count, k)
        starts = [
            start
            for first, last in explaining(schedule, log.rest, of_start, max(earliest, 1), latest)
            for start in range(first, last + 1)
            if all(
                agrees(schedule, count(k, start, line.step), line)
                for line in log.since_start(start)
            )
        ]
        if starts and not found:
            start = starts[-1]
        if starts:
            found.append((k, k))
    if found:
        yield _speed_explanation(faster, found, start, 0)


def _speed_explanation(
    faster: bool, ranges: list[Range], since: int | None, offset: int
) -> Explanation:
    first, last = ranges[0]
    k = simplest_integer(first, last)
    others = [low for low, _ in ranges[1:6]]
    # Between lines far apart any wave may have had more cycles; that is far-fetched, if true.
    alternatives = _or([other for other in others if other < FAR_FETCHED * k], (first, last))
    since_when = _from(since)
    if faster:
        clause = (
            f"ran {k} times too fast{since_when}{alternatives}: each step counted {k} times, "
            f"as where each of {k} processes steps the schedule"
        )
    else:
        clause = (
            f"ran {k} times too slowly{since_when}{alternatives}: it went on by one step in {k}, "
            "as where it is stepped once per epoch, or once for several logged micro-batches"
        )
    if offset:
        clause += f" (its steps being logged {'early' if offset > 0 else 'late'} by one)"
    return Explanation(
        "speed",
        clause,
        {
            "factor": k if faster else 1 / k,
            "k": k,
            "direction": "fast" if faster else "slow",
            "k_between": [first, last],
            "also": others,
            "since": since,
        },
    )


def _float32_formula(schedule: CyclicSchedule, log: Log) -> Iterator[Explanation]:
    """Rates off by no more than the errors of a formula in float32, which grow with the step."""
    band = schedule.max_lr - schedule.base_lr
    fall = schedule.cycle_size - schedule.step_size_up
    decays_by_step = schedule.gamma < 1.0 or schedule.scale_mode == "iterations"
    largest, worst = 0.0, log.rest[0].step
    for line in log.lines:
        step, rate = line.step, schedule.lr(line.step)
        # The step is rounded as it is counted in halves, and in the exponent of a decay.
        halves = 1.0 + step / schedule.step_size_up + step / fall
        error = schedule.max_lr + band * schedule.gamma**step * halves
        if decays_by_step:
            error += abs(rate - schedule.base_lr) * step
        error *= FLOAT32_ERRORS
        if not line.low - error <= rate <= line.high + error:
            return
        off = max(line.low - rate, rate - line.high)
        if off > 0.0 and error > band / 4:
            return  # So many steps from the start float32 gives anything, and is no explanation.
        if off > largest:
            largest, worst = off, step
    scale = schedule.lr(worst) or schedule.max_lr
    yield Explanation(
        "float32 formula",
        "computed the rate with a formula in float32, whose errors grow with the step "
        f"(here up to {largest / scale:.2g} of the rate, at step {worst})",
        {"largest_error": largest, "step": worst},
    )


def _roundest_of(low: int, high: int) -> int:
    """The roundest of the integers from `low` to `high`, none of them 0."""
    return simplest_integer(low, high) if low > 0 else -simplest_integer(-high, -low)


def _from(since: int | None) -> str:
    return " from the start" if since is None else f" from step {since} on"


def _or(others: list[int], bounds: Range) -> str:
    """What else fits the log, in brackets."""
    parts = []
    if bounds[0] < bounds[1]:
        parts.append(f"{bounds[0]} to {bounds[1]}")
    if others:
        parts.append(f"{', '.join(map(str, others))}{' …' if len(others) == 5 else ''}")
    return f" ({' or '.join(parts)} would look the same)" if parts else ""
