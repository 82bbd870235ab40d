"""Whether a run followed its schedule, and if not, how not: `verify` and its `Verdict`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from clr_core._arguments import integer, number, received
from clr_core.schedules.cyclic import CyclicSchedule
from clr_core.verification._faults import Explanation, Log, common, simple_explanations
from clr_core.verification._fit import other_parameters
from clr_core.verification._resolution import Resolution
from clr_core.verification._search import Line, explaining

# With fewer lines that differ, several faults explain them by chance.
FEWEST_LINES = 3
# What formulas in float64 other than ours may be off, as that of torch's own class, for each cycle.
FLOAT64_ERRORS = 1e-12


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Args:
        followed: Whether the log shows that the run followed the schedule.
        fault: None where it did; otherwise "constant", "scale", "shift", "restart", "speed",
            "float32 formula", "other parameters", "unknown" where none of these was found to
            explain every line, or "undecided" where several do, or the log shows too little.
        sentence: The same in a sentence, with its numbers.
        first_difference: The first logged step whose rate isn't the schedule's; None: there is
            none.
        details: The numbers of the fault, as plain data.
    """

    followed: bool
    fault: str | None
    sentence: str
    first_difference: int | None
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, for JSON."""
        return asdict(self)


def verify(
    schedule: CyclicSchedule,
    steps: Iterable[int],
    lrs: Iterable[float],
    resolution: Resolution | None = None,
) -> Verdict:
    """Says whether the rates that a run logged are the schedule's, and if not, why not.

        >>> schedule = CyclicSchedule(base_lr=0.001, max_lr=0.005, step_size_up=4)
        >>> steps = range(8)
        >>> verify(schedule, steps, [schedule.lr(step) for step in steps]).followed
        True
        >>> verdict = verify(schedule, steps, [schedule.lr(2 * step) for step in steps])
        >>> verdict.fault, verdict.first_difference, verdict.details["k"]
        ('speed', 1, 2)

    A logged rate agrees with the schedule if it is what the schedule's rate was rounded to: to the
    digits that the log has (0.00123 stands for 0.001225 to 0.001235), or to float32 where all its
    rates are float32 numbers or have nine digits or fewer. Where they have more than float32 gives,
    they agree to 1e-12 of `max_lr` for each cycle up to there, since other formulas in float64,
    such as that of torch's own class, differ in the last bits. A run that is off by a step differs
    by far more, and if a log is too coarse to rule out a few steps, the sentence says so.

    If lines differ, the simple faults are tried first: a constant rate, the schedule's rate times a
    factor, a shift by n steps, a restart, a count that runs k times too fast or too slow; then the
    errors of a formula in float32; then a schedule with other parameters. What is named explains
    every line. Where two of the simple ones do, the fault is "undecided".

    Args:
        schedule: What was to be followed. Its momentum isn't looked at.
        steps: How many updates came before each of the logged ones, in the order of the log.
        lrs: The rate that was logged at each.
        resolution: How the rates were rounded, as `read_rates` knows it from the text of a file.
            None: as the digits of `lrs` show it.

    Raises:
        TypeError: Not a `CyclicSchedule`; steps that aren't integers, rates that aren't numbers.
        ValueError: No lines; more steps than rates, or fewer; a step below 0 or above 2**53.
    """
    if not isinstance(schedule, CyclicSchedule):
        raise TypeError(f"`schedule` must be a CyclicSchedule. {received('schedule', schedule)}")
    counted, rates = _steps(steps), _rates(lrs)
    if len(counted) != len(rates):
        raise ValueError(
            "`steps` and `lrs` must have the same length. "
            f"Received: {len(counted)} steps, {len(rates)} rates"
        )
    if not counted:
        raise ValueError("`steps` and `lrs` must have a line at least. Received: none")
    if resolution is None:
        resolution = Resolution.of_rates(rates)
    lines = _lines(schedule, counted, rates, resolution)
    expected = map(schedule.lr, counted)
    different = [
        i
        for i, (rate, (_, low, high)) in enumerate(zip(expected, lines, strict=True))
        if not low <= rate <= high
    ]
    details = {
        "lines": len(lines),
        "different": len(different),
        "resolution": str(resolution),
    }
    if not different:
        return _agreeing(schedule, lines, details)
    first = different[0]
    step, rate = counted[first], rates[first]
    evidence = (
        f"Step {step} is the first that differs: {rate!r} was logged, "
        f"{schedule.lr(step)!r} expected; {len(different)} of {len(lines)} lines differ."
    )
    log = Log(lines, first)
    found = _explanations(schedule, log) if all(map(math.isfinite, rates)) else []
    if len(found) == 1 and len(log.rest) >= FEWEST_LINES:
        fault, says = found[0].fault, f": it {found[0].clause}"
        details |= found[0].details
    elif found:
        fault = "undecided"
        clauses = ", or ".join(f"it {each.clause}" for each in found)
        why = "the log fits several faults" if len(found) > 1 else "too few lines show how"
        says = f", and {why}: {clauses}"
        details["candidates"] = [{"fault": each.fault} | each.details for each in found]
    else:
        fault, says = "unknown", ", and none of the usual faults was found to explain its rates"
        if different[-1] < len(lines) - 1:
            says += f". It agrees again from step {counted[different[-1] + 1]} on"
    return Verdict(
        followed=False,
        fault=fault,
        sentence=f"The run didn't follow the schedule{says}. {evidence}",
        first_difference=step,
        details=details,
    )


def _explanations(schedule: CyclicSchedule, log: Log) -> list[Explanation]:
    """The simple faults that explain the log; or else other parameters, from the start or later."""
    found = simple_explanations(schedule, log) or other_parameters(schedule, log.lines)
    if not found and log.first > 0:
        step = log.rest[0].step
        found = [
            Explanation(
                each.fault, f"{each.clause} from step {step} on", each.details | {"since": step}
            )
            for each in other_parameters(schedule, log.rest)
        ]
    return found


def _agreeing(schedule: CyclicSchedule, lines: list[Line], details: dict[str, Any]) -> Verdict:
    """The verdict on a log without a difference: whether it would have shown one."""
    resolution = details["resolution"]
    where = f"all {len(lines)} lines" if len(lines) > 1 else "its one line"
    if common(lines)[0] <= common(lines)[1] and schedule.base_lr < schedule.max_lr:
        return Verdict(
            followed=False,
            fault="undecided",
            sentence=f"The log can't tell whether the run followed the schedule: {where} agree"
            f"{'' if len(lines) > 1 else 's'} with it, and with a constant rate too.",
            first_difference=None,
            details=details,
        )
    sentence = f"The run followed the schedule: {where} agree with it, to {resolution}."
    unseen = _unseen_shift(schedule, lines)
    if unseen:
        shift = f"up to {unseen} steps" if unseen > 1 else "one step"
        sentence += f" It is a coarse log, which doesn't rule out a shift of {shift}."
    return Verdict(
        followed=True,
        fault=None,
        sentence=sentence,
        first_difference=None,
        details=details | {"unseen_shift": unseen},
    )


def _unseen_shift(schedule: CyclicSchedule, lines: list[Line]) -> int:
    """The longest shift, to either side, of half a cycle at most, that the log doesn't rule out."""
    if schedule.base_lr == schedule.max_lr:
        return 0  # There is nothing to be shown.
    most = max(1, int(schedule.cycle_size / 2))
    ranges = explaining(schedule, lines, lambda n, step: step + n, -most, most)
    around = next(each for each in ranges if each[0] <= 0 <= each[1])
    return max(-around[0], around[1])


def _lines(
    schedule: CyclicSchedule, steps: list[int], rates: list[float], resolution: Resolution
) -> list[Line]:
    error, size = FLOAT64_ERRORS * schedule.max_lr, schedule.cycle_size
    half_unit, lines = resolution.half_unit, []
    for step, rate in zip(steps, rates, strict=True):
        if rate - rate != 0.0:
            lines.append(Line(step, rate, rate))  # NaN or infinite: it agrees with nothing.
            continue
        half = half_unit(rate) + error * (1.0 + step / size)
        lines.append(Line(step, rate - half, rate + half))
    return lines


def _steps(steps: Iterable[int]) -> list[int]:
    listed = _listed("steps", steps)
    counted = [step if type(step) is int else integer("steps", step) for step in listed]
    for step in counted:
        if not 0 <= step <= 2**53:
            raise ValueError(f"`steps` must lie between 0 and 2**53. {received('steps', step)}")
    return counted


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
