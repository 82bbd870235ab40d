"""Check whether a run followed its schedule, and diagnose how it deviated."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from clr_core._arguments import LARGEST_STEP, count, number, received
from clr_core._drawing import html_text
from clr_core.schedules.protocol import Schedule
from clr_core.verification._faults import (
    Deviation,
    constant_rate,
    float32_formula,
    interrupted,
    simple_faults,
    still,
)
from clr_core.verification._fit import other_parameters
from clr_core.verification._numbering import FLOAT32_MEAN, Numbering, numberings
from clr_core.verification._originals import other_originals
from clr_core.verification._search import GivenUp, LoggedRate, Target, common, explaining
from clr_core.verification.faults import Constant, Fault, Shift
from clr_core.verification.log import Resolution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With fewer lines that differ, several faults explain them by chance.
FEWEST_LINES = 3
# With fewer, the lines may be means by chance.
FEWEST_MEANS = 6
# With fewer digits, if nothing shows that they were rounded to them, the round rates of a fine log
# look like any rates of a coarse one.
FEWEST_DIGITS = 3
# What formulas in float64 other than ours may be off in each cycle, such as that of torch's class.
FLOAT64_ERRORS = 1e-12
# How many rates the search for a fault may compute: about half a second's worth, and some more for
# a long log, all of whose lines have to be looked at.
MOST_RATES, MOST_RATES_PER_LINE = 600_000, 100


MARKS = {"followed": "✓", "deviated": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Verdict:
    """The answer of `verify`.

    Args:
        status: "followed"; "deviated" if any line differs; or "undecided" if all lines agree, but
            would agree with a constant rate, too, or only if the log counts in another way.
        fault: What went wrong, if it deviated and exactly one fault explains every line.
        candidates: If not: the faults that the log admits. Empty if none was found.
        sentence: The verdict in words, with its numbers.
        first_difference: The first logged step whose rate isn't the schedule's, if any.
        lines: How many lines the log has.
        different: How many of them differ.
        resolution: How finely the log gives its rates, such as "float32" or "4 digits".
        unseen_shift: If it followed: by how many steps, at most, the run may have been shifted all
            the same, since the log is too coarse to show it. None: not searched to the end.
        numbering: How the log numbers its lines, as `(a, b)`: line n has the rate of the update
            that a * n + b others came before.
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
    numbering: tuple[int, int] = (1, 0)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, for JSON."""
        return asdict(self) | {
            "fault": self.fault and self.fault.to_dict(),
            "candidates": [fault.to_dict() for fault in self.candidates],
            "numbering": list(self.numbering),
        }

    def _repr_html_(self) -> str:
        """The status and the sentence, which has the numbers, for notebooks."""
        return html_text(f"{MARKS[self.status]} {self.status}", self.sentence)


def verify(
    schedule: Schedule,
    steps: Iterable[int],
    lrs: Iterable[float],
    resolution: Resolution | None = None,
    *,
    first_step: int | None = None,
    steps_per_epoch: int | None = None,
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

    A log may count its updates from 1, or give the mean of the rates since the line before. If it
    agrees so, and nothing else explains it, the run followed the schedule.

    If lines differ, the simple faults are tried first: a constant rate, the schedule's rate times a
    factor, a shift by n steps, a restart, a count that runs k times too fast or too slowly, a rate
    that was held for n steps, a warm-up. For a `PiecewiseSchedule`, also the curves of other
    libraries with the same nominal arguments: torch's one cycle ends each phase a step earlier. For
    a `CyclicSchedule`, then: the errors of a formula in float32, and other parameters. A fault is
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
        first_step: The number that the log gives to the first update, or to the first epoch: 0, or
            1; -1 if it gives the rate of the next update beside each. None: it isn't known.
        steps_per_epoch: Updates in an epoch, if `steps` are the numbers of epochs, each with the
            rate at its start or its end, or the mean of its rates.

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
    counted = [count("steps", step) for step in _listed("steps", steps)]
    rates = list(map(_rate, _listed("lrs", lrs)))
    if len(counted) != len(rates):
        raise ValueError(
            "`steps` and `lrs` must have the same length. "
            f"Received: {len(counted)} steps, {len(rates)} rates"
        )
    if not counted:
        raise ValueError("`steps` and `lrs` must contain at least one line. Received: none")
    if resolution is None:
        resolution = Resolution.of_rates(rates)
    ways, means = numberings(counted, first_step, steps_per_epoch)
    last = max(way.update(max(counted)) for way in ways)
    target = Target(schedule, last, MOST_RATES + MOST_RATES_PER_LINE * len(counted))
    # Without a zero at an end, rates of few digits may be round numbers, and exact.
    exact = [Resolution.of_rates(rates)] if _may_be_round(resolution) else []
    logs: list[_Log] = []
    for each in (*exact, resolution):
        for way in ways:
            log = _Log(target, way, each, counted, rates)
            if not log.different:
                return _agreeing(log)
            logs.append(log)
    # The mean of a part that only rises is also the rate of a step in its middle.
    mean = next((each for each in means if _are_means(each, log)), None)
    if mean is None or steps_per_epoch is None:
        verdict = _deviated(_likeliest(logs[: len(ways)]))
        if exact and verdict.fault is None:
            verdict = _deviated(_likeliest(logs[len(ways) :]))
        if mean is None or verdict.fault or verdict.candidates:
            return verdict
    return _followed(log, mean)


def _likeliest(logs: Sequence[_Log]) -> _Log:
    """The first, unless in another numbering the run followed for some lines before it deviated."""
    best = logs[0]
    for log in logs[1:]:
        if log.different[0] >= best.different[0] + FEWEST_LINES:
            best = log
    return best


class _Log:
    """A log, if it numbers its lines and rounds its rates in a certain way.

    Attributes:
        lines: The updates, each with the range of rates that it may have had.
        different: The indices of the lines that differ.
    """

    def __init__(
        self,
        target: Target,
        numbering: Numbering,
        resolution: Resolution,
        steps: Sequence[int],
        rates: Sequence[float],
    ) -> None:
        self.target, self.numbering, self.resolution = target, numbering, resolution
        self.steps, self.rates = steps, rates
        self.lines: list[LoggedRate] = []
        largest = max(map(abs, target.levels.values()), default=0.0)
        error = FLOAT64_ERRORS * largest / target.size
        for step, rate in zip(map(numbering.update, steps), rates, strict=True):
            half = 0.0
            if math.isfinite(rate):  # NaN and infinity agree with nothing.
                half = resolution.half_unit(rate) + error * (target.size + step)
            self.lines.append(LoggedRate(step, rate - half, rate + half))
        lr = target.schedule.lr
        self.different = [
            i for i, (step, low, high) in enumerate(self.lines) if not low <= lr(step) <= high
        ]

    def verdict(self, status: Any, sentence: str, **more: Any) -> Verdict:
        """A verdict on this log."""
        general: dict[str, Any] = {
            "lines": len(self.lines),
            "different": len(self.different),
            "resolution": str(self.resolution),
            "numbering": self.numbering[:2],
        }
        return Verdict(status, sentence, **(general | more))


def _may_be_round(resolution: Resolution) -> bool:
    return resolution.digits < FEWEST_DIGITS and not resolution.padded


def _deviated(log: _Log) -> Verdict:
    lines, first = log.lines, log.different[0]
    found: list[Fault] = []
    given_up = False
    if all(map(math.isfinite, log.rates)):
        try:
            found.extend(_faults(log.target, Deviation(lines, first)))
        except GivenUp:
            given_up = True
    why = ""
    if len(found) > 1:
        why = "the log fits several faults"
    elif given_up:
        why = "the search for other explanations was given up, but the log fits this one"
    elif len(lines) - first < FEWEST_LINES:
        why = "too few lines show how"
    elif _may_be_round(log.resolution) and not any(isinstance(each, Constant) for each in found):
        why = "the log has too few digits to be sure how"
    if found:
        says = f", and {why}: " if why else ": "
        says += ", or ".join(f"it {fault}" for fault in found)
    else:
        says = ", and none of the usual faults was found to explain its rates"
        if given_up:
            says += "; the search was given up before its end"
        if log.different[-1] < len(lines) - 1:
            says += f". It agrees again from step {log.steps[log.different[-1] + 1]} on"
    if log.numbering.says:
        says += f" ({log.numbering.says})"
    step, expected = log.steps[first], log.target.schedule.lr(lines[first].step)
    line = f", in line {first + 1}," if step in log.steps[:first] else ""
    return log.verdict(
        "deviated",
        f"The run didn't follow the schedule{says}. Step {step}{line} is the first that differs: "
        f"{log.rates[first]!r} was logged, {expected!r} expected; "
        f"{len(log.different)} of {len(lines)} lines differ.",
        fault=found[0] if found and not why else None,
        candidates=tuple(found) if why else (),
        first_difference=step,
    )


def picture(
    schedule: Schedule,
    steps: Sequence[int],
    lrs: Sequence[float],
    verdict: Verdict,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw what was logged over what the schedule says, and the difference below.

    Args:
        schedule: As for `verify`.
        steps: As for `verify`.
        lrs: As for `verify`.
        verdict: The answer of `verify`: its sentence is the title, its first difference a line.
        path: A file to write, in the format that its suffix names, such as `.png` or `.svg`. None:
            the figure is only returned.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    from clr_core.verification._draw import draw

    updates = list(map(Numbering(*verdict.numbering).update, steps))
    mark = None
    if verdict.first_difference is not None:
        mark = Numbering(*verdict.numbering).update(verdict.first_difference)
    figure = draw(schedule, updates, lrs, title=verdict.sentence, mark=mark)
    if path is not None:
        figure.savefig(path, dpi=150, facecolor="white")
    return figure


def _faults(target: Target, log: Deviation) -> Iterator[Fault]:
    """The faults of the first search that finds any."""
    found = False
    for search in (
        chain(simple_faults(target, log), other_originals(target, log)),
        float32_formula(target, log),
        interrupted(target, log),
        other_parameters(target, log.lines, None),
        other_parameters(target, log.rest, log.rest[0].step) if log.first else (),
    ):
        for fault in search:
            found = True
            yield fault
        if found:
            return


def _agreeing(log: _Log) -> Verdict:
    """The verdict on a log without a difference: would it have shown one?"""
    target, lines = log.target, log.lines
    low, high = common(lines)
    candidate: Fault
    # However a log rounds, it rounds one rate to one text.
    if low <= high and (still(lines) or not log.resolution.is_text) and not target.constant:
        candidate = Constant(*constant_rate(target, low, high))
        why = "with it, and with a constant rate too."
    elif not log.numbering.sure:
        candidate = Shift(-1, (-1, -1))
        why = (
            f"with it if {log.numbering.says}; if it counts from 0, the run was one step behind. "
            "Say which with `first_step=`."
        )
    else:
        return _followed(log, log.numbering, _unseen_shift(target, lines))
    sentence = f"The log can't tell whether the run followed the schedule: {_all(lines)} {why}"
    return log.verdict("undecided", sentence, candidates=(candidate,))


def _followed(log: _Log, numbering: Numbering, unseen: int | None = None) -> Verdict:
    says = f"; {numbering.says}" if numbering.says else ""
    sentence = (
        f"The run followed the schedule: {_all(log.lines)} with it, to {log.resolution}{says}."
    )
    if unseen:
        shift = f"up to {unseen} steps" if unseen > 1 else "one step"
        sentence += f" It is a coarse log, which doesn't rule out a shift of {shift}."
    return log.verdict(
        "followed", sentence, different=0, unseen_shift=unseen, numbering=numbering[:2]
    )


def _all(lines: Sequence[LoggedRate]) -> str:
    return f"all {len(lines)} lines agree" if len(lines) > 1 else "its one line agrees"


def _are_means(means: Numbering, log: _Log) -> bool:
    """True if each line has the mean of the schedule's rates over some updates."""
    if len(log.steps) < FEWEST_MEANS or len(log.steps) * means.size > MOST_RATES:
        return False
    lost = means.size * FLOAT32_MEAN
    lr = log.target.schedule.lr
    for step, rate in zip(log.steps, log.rates, strict=True):
        first = means.factor * step + means.offset
        updates = range(max(first, 0), max(first + means.size, 1))
        mean = math.fsum(map(lr, updates)) / len(updates)
        if not abs(mean - rate) <= log.resolution.half_unit(rate) + lost * mean:
            return False
    return True


def _unseen_shift(target: Target, lines: list[LoggedRate]) -> int | None:
    """The longest shift, to either side, of half a cycle at most, that the log doesn't rule out."""
    if target.constant:
        return 0  # There is nothing to be shown.
    most = max(1, int(min(target.size / 2, LARGEST_STEP)))
    try:
        ranges = explaining(target, lines, lambda n, step: step + n, -most, most)
    except GivenUp:
        return None
    around = next(each for each in ranges if each[0] <= 0 <= each[1])
    return max(-around[0], around[1])


def _rate(rate: Any) -> float:
    try:
        return rate if type(rate) is float else number("lrs", rate)
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
