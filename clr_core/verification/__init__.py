"""Check whether a run followed its schedule, and diagnose how it deviated."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Literal

from clr_core._arguments import LARGEST_STEP, count, number, received
from clr_core.schedules.protocol import Schedule
from clr_core.verification._faults import (
    Deviation,
    common,
    constant_rate,
    float32_formula,
    simple_faults,
)
from clr_core.verification._fit import other_parameters
from clr_core.verification._search import GivenUp, LoggedRate, Target, explaining
from clr_core.verification.faults import Constant, Fault
from clr_core.verification.log import Resolution

# With fewer lines that differ, several faults explain them by chance.
FEWEST_LINES = 3
# With fewer digits, if nothing shows that they were rounded to them, the round rates of a fine log
# look like any rates of a coarse one.
FEWEST_DIGITS = 3
# What formulas in float64 other than ours may be off in each cycle, such as that of torch's class.
FLOAT64_ERRORS = 1e-12
# How many rates the search for a fault may compute: about half a second's worth, and some more for
# a long log, all of whose lines have to be looked at.
MOST_RATES, MOST_RATES_PER_LINE = 600_000, 100


@dataclass(frozen=True)
class Verdict:
    """The answer of `verify`.

    Args:
        status: "followed"; "deviated" if any line differs; or "undecided" if all lines agree, but
            would agree with a constant rate, too.
        fault: What went wrong, if it deviated and exactly one fault explains every line.
        candidates: If not: the faults that the log admits. Empty if none was found.
        sentence: The verdict in words, with its numbers.
        first_difference: The first logged step whose rate isn't the schedule's, if any.
        lines: How many lines the log has.
        different: How many of them differ.
        resolution: How finely the log gives its rates, such as "float32" or "4 digits".
        unseen_shift: If it followed: by how many steps, at most, the run may have been shifted all
            the same, since the log is too coarse to show it. None: not searched to the end.
    """

    status: Literal["followed", "deviated", "undecided"]
    sentence: str
    lines: int
    different: int
    resolution: str
    fault: Fault | None = None
    candidates: tuple[Fault, ...] = ()
    first_difference: int | None = None
    unseen_shift: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, for JSON."""
        return asdict(self) | {
            "fault": self.fault and self.fault.to_dict(),
            "candidates": [fault.to_dict() for fault in self.candidates],
        }


def verify(
    schedule: Schedule,
    steps: Iterable[int],
    lrs: Iterable[float],
    resolution: Resolution | None = None,
) -> Verdict:
    """Check whether the rates that a run logged are those of its schedule; if not, say why.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.001, max_lr=0.005, step_size_up=4)
        >>> steps = range(8)
        >>> verify(schedule, steps, [schedule.lr(step) for step in steps]).status
        'followed'
        >>> verdict = verify(schedule, steps, [schedule.lr(2 * step) for step in steps])
        >>> verdict.status, verdict.first_difference, verdict.fault.name, verdict.fault.k
        ('deviated', 1, 'speed', 2)

    A logged rate agrees if it is what the schedule's rate was rounded to:

    - float32 numbers: to float32;
    - text with nine digits or fewer: to these digits (0.00123 stands for 0.001225 to 0.001235);
    - else it is float64, and agrees to 1e-12 of the schedule's largest rate for each cycle up to
      there: other formulas in float64, such as that of torch's own class, differ in the last bits.

    A run that is off by a step differs by far more. If a log is too coarse to rule out some steps,
    the sentence says so.

    If lines differ, the simple faults are tried first: a constant rate, the schedule's rate times a
    factor, a shift by n steps, a restart, a count that runs k times too fast or too slowly. For a
    `CyclicSchedule`, then: the errors of a formula in float32, and other parameters. A fault is
    named if it explains every line, and no other one does.

    The search computes a limited number of rates, so that a verdict on 800 lines takes less than a
    second. If that isn't enough, the sentence says so, and no fault is named.

    Args:
        schedule: The schedule to follow: a `CyclicSchedule`, or anything with `lr(step)`,
            `turns(first, last)` and `levels()`. Its momentum isn't looked at.
        steps: How many updates came before each of the logged ones, in the order of the log.
        lrs: The rate that was logged at each.
        resolution: How the rates were rounded, if they were read from text; `read_rates` and
            `Resolution.of_texts` know. None: they are float32 if all of them are float32 numbers,
            else float64.

    Raises:
        TypeError: Not a schedule; steps that aren't integers, or rates that aren't numbers.
        ValueError: No lines; more steps than rates, or fewer; a step below 0 or above 2**53.
    """
    if isinstance(schedule, type) or not all(
        callable(getattr(schedule, name, None)) for name in ("lr", "turns", "levels")
    ):
        raise TypeError(
            "`schedule` must be a schedule such as CyclicSchedule, with `lr`, `turns` and `levels`."
            f" {received('schedule', schedule)}"
        )
    counted, rates = _steps(steps), _rates(lrs)
    if len(counted) != len(rates):
        raise ValueError(
            "`steps` and `lrs` must have the same length. "
            f"Received: {len(counted)} steps, {len(rates)} rates"
        )
    if not counted:
        raise ValueError("`steps` and `lrs` must contain at least one line. Received: none")
    if resolution is None:
        resolution = Resolution.of_rates(rates)
    target = Target(schedule, max(counted), MOST_RATES + MOST_RATES_PER_LINE * len(counted))
    lines = _lines(target, counted, rates, resolution)
    expected = list(map(schedule.lr, counted))
    different = [
        i
        for i, (rate, (_, low, high)) in enumerate(zip(expected, lines, strict=True))
        if not low <= rate <= high
    ]
    if not different:
        return _agreeing(target, lines, resolution)
    first = different[0]
    found: list[Fault] = []
    given_up = False
    if all(map(math.isfinite, rates)):
        try:
            found.extend(_faults(target, Deviation(lines, first)))
        except GivenUp:
            given_up = True
    named = (
        len(found) == 1
        and len(lines) - first >= FEWEST_LINES
        and (
            resolution.padded
            or resolution.digits >= FEWEST_DIGITS
            or isinstance(found[0], Constant)
        )
        and not given_up
    )
    step = counted[first]
    evidence = (
        f"Step {step} is the first that differs: {rates[first]!r} was logged, "
        f"{expected[first]!r} expected; {len(different)} of {len(lines)} lines differ."
    )
    if named:
        says = f": it {found[0]}"
    elif found:
        if len(found) > 1:
            why = "the log fits several faults"
        elif given_up:
            why = "the search for other explanations was given up, but the log fits this one"
        elif len(lines) - first < FEWEST_LINES:
            why = "too few lines show how"
        else:
            why = "the log has too few digits to be sure how"
        says = f", and {why}: {', or '.join(f'it {fault}' for fault in found)}"
    else:
        says = ", and none of the usual faults was found to explain its rates"
        if given_up:
            says += "; the search was given up before its end"
        if different[-1] < len(lines) - 1:
            says += f". It agrees again from step {counted[different[-1] + 1]} on"
    return Verdict(
        status="deviated",
        fault=found[0] if named else None,
        candidates=() if named else tuple(found),
        sentence=f"The run didn't follow the schedule{says}. {evidence}",
        first_difference=step,
        lines=len(lines),
        different=len(different),
        resolution=str(resolution),
    )


def picture(
    schedule: Schedule,
    steps: Sequence[int],
    lrs: Sequence[float],
    verdict: Verdict,
    path: str | PathLike[str],
) -> None:
    """Draw what was logged over what the schedule says, and the difference below.

    Args:
        schedule: As for `verify`.
        steps: As for `verify`.
        lrs: As for `verify`.
        verdict: The answer of `verify`: its sentence is the title, its first difference a line.
        path: The file to write; its suffix says in which format, such as `.png` or `.svg`.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    from clr_core.verification._draw import draw

    figure = draw(schedule, steps, lrs, title=verdict.sentence, mark=verdict.first_difference)
    figure.savefig(path, dpi=150, facecolor="white")


def _faults(target: Target, log: Deviation) -> Iterator[Fault]:
    """The faults of the first search that finds any."""
    found = False
    for faults in _searches(target, log):
        for fault in faults:
            found = True
            yield fault
        if found:
            return


def _searches(target: Target, log: Deviation) -> Iterator[Iterator[Fault]]:
    yield simple_faults(target, log)
    if target.cyclic is not None:
        yield float32_formula(target, target.cyclic, log)
        yield other_parameters(target, target.cyclic, log.lines, None)
        if log.first > 0:
            yield other_parameters(target, target.cyclic, log.rest, log.rest[0].step)


def _agreeing(target: Target, lines: list[LoggedRate], resolution: Resolution) -> Verdict:
    """The verdict on a log without a difference: would it have shown one?"""
    all_lines = f"all {len(lines)} lines agree" if len(lines) > 1 else "its one line agrees"
    low, high = common(lines)
    if low <= high and not target.constant:
        return Verdict(
            status="undecided",
            candidates=(Constant(*constant_rate(target, low, high)),),
            sentence=f"The log can't tell whether the run followed the schedule: {all_lines} "
            "with it, and with a constant rate too.",
            lines=len(lines),
            different=0,
            resolution=str(resolution),
        )
    sentence = f"The run followed the schedule: {all_lines} with it, to {resolution}."
    unseen = _unseen_shift(target, lines)
    if unseen:
        shift = f"up to {unseen} steps" if unseen > 1 else "one step"
        sentence += f" It is a coarse log, which doesn't rule out a shift of {shift}."
    return Verdict(
        status="followed",
        sentence=sentence,
        lines=len(lines),
        different=0,
        resolution=str(resolution),
        unseen_shift=unseen,
    )


def _unseen_shift(target: Target, lines: list[LoggedRate]) -> int | None:
    """The longest shift, to either side, of half a cycle at most, that the log doesn't rule out."""
    if target.constant:
        return 0  # There is nothing to be shown.
    most = max(1, int(min(target.size / 2, LARGEST_STEP)))
    try:
        ranges = explaining(target, lines, lambda n, step: step + n, -most, most)
    except GivenUp:
        return None
    around = next((each for each in ranges if each[0] <= 0 <= each[1]), (0, 0))
    return max(-around[0], around[1])


def _lines(
    target: Target, steps: list[int], rates: list[float], resolution: Resolution
) -> list[LoggedRate]:
    error, size = FLOAT64_ERRORS * max(map(abs, target.levels.values()), default=0.0), target.size
    half_unit, lines = resolution.half_unit, []
    for step, rate in zip(steps, rates, strict=True):
        if rate - rate != 0.0:
            lines.append(LoggedRate(step, rate, rate))  # NaN or infinite: it agrees with nothing.
            continue
        half = half_unit(rate) + error * (1.0 + step / size)
        lines.append(LoggedRate(step, rate - half, rate + half))
    return lines


def _steps(steps: Iterable[int]) -> list[int]:
    return [count("steps", step) for step in _listed("steps", steps)]


def _rates(lrs: Iterable[float]) -> list[float]:
    return [rate if type(rate) is float else _rate(rate) for rate in _listed("lrs", lrs)]


def _rate(rate: Any) -> float:
    try:
        return number("lrs", rate)
    except ValueError:
        return math.nan  # Not finite, which is a finding and no mistake of the caller.


def _listed(name: str, values: Any) -> list[Any]:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(values, numpy.ndarray):
        if values.ndim != 1:
            raise ValueError(
                f"`{name}` must have one dimension. Received: an array of shape {values.shape}"
            )
        return list(values.tolist())
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"`{name}` must be a sequence. {received(name, values)}") from None
