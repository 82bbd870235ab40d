"""Find out whose curve a log has: that of another library with the same nominal arguments.

One cycle and a warm-up with a decay are in many libraries, and the same arguments give other
phases there. Each row of a table makes the phases of another library from those that were to be
followed, and says how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import floor, isclose
from typing import NamedTuple

from clr_core.schedules.piecewise import Phase, PiecewiseSchedule, through
from clr_core.verification._faults import FLOAT32_ERRORS, Deviation
from clr_core.verification._search import LoggedRate, Target
from clr_core.verification.faults import Float32Formula, Original

# With more phases, each of the curves that are tried would take too long to build.
MOST_PHASES = 100

TORCH, OPTAX, FASTAI = "torch's OneCycleLR", "optax's cosine_onecycle_schedule", "fastai's"
LINEAR = "optax's linear_onecycle_schedule"
Phases = Sequence[Phase]


def other_originals(target: Target, log: Deviation) -> Iterator[Float32Formula | Original]:
    """The curves of other libraries that explain every line, as such or but for their float32.

    None if the log is too coarse to tell one from the same curve with a boundary a step away.
    """
    schedule = target.schedule
    if not isinstance(schedule, PiecewiseSchedule) or len(schedule.phases) > MOST_PHASES:
        return
    lines = [*log.rest, *log.lines[: log.first]]
    # optax and Keras compute in float32.
    error = FLOAT32_ERRORS * schedule.levels()["highest"]
    wide = [LoggedRate(step, low - error, high + error) for step, low, high in lines]
    if _explain(target, schedule, wide):
        off, step = max(
            (max(low - rate, rate - high), step)
            for step, low, high in lines
            for rate in [target.lr(step)]
        )
        yield Float32Formula(off, off / (target.lr(step) or schedule.levels()["highest"]), step)
        return
    found: list[Phases] = []
    for each in (lines, wide):
        for whose, difference, phases, seen in _variants(schedule, max(lines).step):
            curve = PiecewiseSchedule(phases, schedule.repeat)
            known = any(_same(phases, other) for other in found)
            if known or not _explain(target, curve, each):
                continue
            found.append(phases)
            near = map(PiecewiseSchedule, _nearby(phases, seen))
            if not any(_explain(target, other, each) for other in near):
                yield Original(whose, difference, curve.to_dict())
        if found:
            return


def _explain(target: Target, curve: PiecewiseSchedule, lines: Sequence[LoggedRate]) -> bool:
    for line in lines:
        target.spend(1)
        if not line.low <= curve.lr(line.step) <= line.high:
            return False
    return True


def _same(phases: Phases, others: Phases) -> bool:
    """True if two curves differ in their last bits only."""
    return len(phases) == len(others) and all(
        one.shape == other.shape
        and isclose(one.steps, other.steps)
        and isclose(one.start, other.start)
        and isclose(one.end, other.end)
        for one, other in zip(phases, others, strict=True)
    )


def _nearby(phases: Phases, seen: int) -> Iterator[Phases]:
    """The same with the end of one of the first phases a step earlier or later."""
    for index, phase in enumerate(phases[:seen]):
        for steps in (-1.0, 1.0):
            moved = [*phases]
            if phase.steps + steps <= 0.0:
                continue
            moved[index] = replace(phase, steps=phase.steps + steps)
            if index + 1 < len(phases):
                if phases[index + 1].steps - steps <= 0.0:
                    continue
                moved[index + 1] = replace(phases[index + 1], steps=phases[index + 1].steps - steps)
            yield moved


class _OneCycle(NamedTuple):
    """The phases of one cycle: where they end, and the rates there."""

    ends: tuple[float, ...]
    rates: tuple[float, ...]
    shape: str

    @property
    def two(self) -> tuple[float, float]:
        """The ends of two phases."""
        return self.ends[0], self.ends[-1]

    @property
    def three(self) -> tuple[float, float, float]:
        """The ends of three phases."""
        return self.ends[0], 2.0 * self.ends[0], self.ends[-1]


def _moved(cycle: _OneCycle, steps: float) -> tuple[float, ...]:
    """The ends, later by so many steps; the middle one by twice as many, as in torch."""
    first, *middle, last = cycle.ends
    return (first + steps, *(end + 2.0 * steps for end in middle), last + steps)


def _other(shape: str) -> str:
    return "linear" if shape == "cosine" else "cosine"


Ends = tuple[float, ...]
Rates = tuple[float, ...]
Row = tuple[str, str, Callable[[_OneCycle], tuple[Ends, Rates, str] | None]]
Change = tuple[str, str, Callable[[Phases], Phases | None]]


def _of_peak(cycle: _OneCycle, first: float, last: float) -> Rates:
    peak = max(cycle.rates)
    return peak / first, peak, peak / last


def _steps(cycle: _OneCycle) -> float:
    return cycle.ends[-1]


ONE_CYCLE: tuple[Row, ...] = (
    (
        TORCH,
        "each phase ends a step before yours",
        lambda c: None if len(c.ends) == 3 else (_moved(c, -1.0), c.rates, c.shape),
    ),
    (
        f"{TORCH} in three phases",
        "they end a step, two and one before yours",
        lambda c: None if len(c.ends) == 2 else (_moved(c, -1.0), c.rates, c.shape),
    ),
    (
        "a one cycle whose phases have all their steps, such as optax's or clr_core.one_cycle",
        "each phase ends a step after yours",
        lambda c: (_moved(c, 1.0), c.rates, c.shape),
    ),
    (
        OPTAX,
        "its first phase has a whole number of steps",
        lambda c: ((floor(c.ends[0]), _steps(c)), c.rates, c.shape),
    ),
    (
        OPTAX,
        "its first phase has a whole number of steps, and its last one ends a step after yours",
        lambda c: ((floor(c.ends[0] + 1.0), _steps(c) + 1.0), c.rates, c.shape),
    ),
    (
        TORCH,
        "it has a third phase (three_phase=True), and each phase ends a step before yours or two",
        lambda c: _third(c, -1.0),
    ),
    ("a one cycle in three phases", "yours has two (three_phase=False)", lambda c: _third(c, 0.0)),
    (
        TORCH,
        "it has two phases (three_phase=False), and each ends a step before yours",
        lambda c: _second(c, -1.0),
    ),
    ("a one cycle in two phases", "yours has three (three_phase=True)", lambda c: _second(c, 0.0)),
    (
        TORCH,
        "its phases have the other shape (anneal_strategy), and each ends a step before yours",
        lambda c: (_moved(c, -1.0), c.rates, _other(c.shape)),
    ),
    (
        "a one cycle of the other shape",
        "it has straight lines if yours has cosines, and cosines if yours has lines",
        lambda c: (c.ends, c.rates, _other(c.shape)),
    ),
    (
        LINEAR,
        "it has a third phase, from 85 % of its steps on",
        lambda c: _with_a_final_phase(c, 0.0),
    ),
    (
        LINEAR,
        "it has a third phase, from 85 % of its steps on, and ends a step after yours",
        lambda c: _with_a_final_phase(c, 1.0),
    ),
    (
        f"{FASTAI} fit_one_cycle, with its defaults",
        "the first phase has a quarter of the steps, and the last rate is the peak divided by 1e5",
        lambda c: ((0.25 * _steps(c), _steps(c)), _of_peak(c, 25.0, 1e5), "cosine"),
    ),
    (
        f"{FASTAI} fit_one_cycle, with its defaults",
        "the first phase has a quarter of the steps, the last rate is the peak divided by 1e5, and "
        "it ends a step after yours",
        lambda c: ((0.25 * (_steps(c) + 1), _steps(c) + 1), _of_peak(c, 25.0, 1e5), "cosine"),
    ),
    (
        f"{FASTAI} fit_one_cycle",
        "its last rate is the peak divided by the factor by which yours divides the first rate",
        lambda c: (c.two, (*c.rates[:2], c.rates[1] * c.rates[-1] / c.rates[0]), c.shape),
    ),
    (
        f"{TORCH}, with its defaults",
        "each phase ends a step before those of 30 % and 70 % of the steps, and the last rate is "
        "the first one divided by 1e4",
        lambda c: ((0.3 * _steps(c) - 1, _steps(c) - 1), _of_peak(c, 25.0, 25e4), "cosine"),
    ),
)
"""Whose curve it is, how it differs, and its ends, rates and shape from those of a one cycle."""


def _third(cycle: _OneCycle, steps: float) -> tuple[Ends, Rates, str] | None:
    if len(cycle.ends) != 2:
        return None
    first, peak, last = cycle.rates
    ends = _moved(cycle._replace(ends=cycle.three), steps)
    return ends, (first, peak, first, last), cycle.shape


def _second(cycle: _OneCycle, steps: float) -> tuple[Ends, Rates, str] | None:
    if len(cycle.ends) != 3:
        return None
    first, peak, _, last = cycle.rates
    return _moved(cycle._replace(ends=cycle.two), steps), (first, peak, last), cycle.shape


def _with_a_final_phase(cycle: _OneCycle, steps: float) -> tuple[Ends, Rates, str]:
    first, peak, *_, last = cycle.rates
    total = _steps(cycle) + steps
    up = floor(cycle.ends[0] + steps)
    return (up, floor(0.85 * total), total), (first, peak, first, last), "linear"


WARM_UP: tuple[Change, ...] = (
    (
        "Keras's CosineDecay",
        "its decay_steps doesn't include the warm-up, by which the decay is longer than yours",
        lambda p: [*p[:-1], replace(p[-1], steps=p[-1].steps + p[0].steps)],
    ),
    (
        "optax's warmup_cosine_decay_schedule",
        "its decay_steps includes the warm-up, by which the decay is shorter than yours",
        lambda p: (
            [*p[:-1], replace(p[-1], steps=p[-1].steps - p[0].steps)]
            if p[-1].steps > p[0].steps
            else None
        ),
    ),
    (
        "torch's LinearLR before the decay",
        "its warm-up begins at a third of the peak (start_factor)",
        lambda p: [replace(p[0], start=p[0].end / 3.0), *p[1:]],
    ),
    (
        "nanoGPT",
        "its warm-up begins at the peak divided by the warm-up's steps and one",
        lambda p: [replace(p[0], start=p[0].end / (p[0].steps + 1.0)), *p[1:]],
    ),
    (
        "a decay of the other shape",
        "a cosine, which transformers' get_wsd_schedule has by default, or a straight line",
        lambda p: [*p[:-1], replace(p[-1], shape=_other(p[-1].shape))],
    ),
)
"""The same from the phases of a linear warm-up, and at least one more."""

RESTARTS: tuple[Change, ...] = (
    (
        "Keras's CosineDecayRestarts",
        "its m_mul multiplies what is above the lowest rate, and not the whole peak",
        lambda p: [
            replace(each, start=each.end + (p[0].start - each.end) * (each.start / p[0].start))
            for each in p
        ],
    ),
    (
        "timm's CosineLRScheduler",
        "its cycle_decay multiplies the whole peak, and not what is above the lowest rate",
        lambda p: (
            [
                replace(
                    each,
                    start=p[0].start * ((each.start - each.end) / (p[0].start - each.end)),
                )
                for each in p
            ]
            if p[0].start > p[0].end
            else None
        ),
    ),
)
"""The same from the phases of warm restarts."""

COSINE: tuple[Change, ...] = (
    (
        "torch's CosineAnnealingLR, or transformers' cosine",
        "it comes back up after its end, where yours holds its last rate",
        lambda p: [*p, *(_back(p[-1]), p[-1]) * 8],
    ),
)
"""The same from phases of which the last one is a cosine."""


def _back(phase: Phase) -> Phase:
    return replace(phase, start=phase.end, end=phase.start)


def _variants(schedule: PiecewiseSchedule, last: int) -> Iterator[tuple[str, str, Phases, int]]:
    """Whose curve it may be, how it differs, its phases, and how many must be seen in a log.

    One cycle must be seen as a whole, since its first phase alone may have another length.
    """
    own = [replace(each, start_momentum=None, end_momentum=None) for each in schedule.phases]
    first = own[0]
    cycle = None if schedule.repeat else _one_cycle(own)
    if cycle is not None:
        for whose, difference, make in ONE_CYCLE:
            made = make(cycle)
            phases = made and _between(*made)
            if phases:
                yield whose, difference, phases, len(phases)
    tables = []
    if len(own) > 1 and not schedule.repeat and first.start < first.end and first.shape == "linear":
        tables.append(WARM_UP)
    if all(each.shape == "cosine" and each.start > each.end for each in own) and (
        schedule.repeat or len(own) > 1
    ):
        tables.append(RESTARTS)
    if not schedule.repeat and own[-1].shape == "cosine":
        tables.append(COSINE)
    for table in tables:
        for whose, difference, change in table:
            changed = change(own)
            if changed and changed != own:
                ends = accumulate(each.steps for each in changed)
                yield whose, difference, changed, 1 + sum(end < last for end in ends)


def _one_cycle(phases: Phases) -> _OneCycle | None:
    """The cycle that these phases are, if they are one: up, down, and maybe further down."""
    shapes = {each.shape for each in phases}
    joined = all(one.end == other.start for one, other in pairwise(phases))
    if len(phases) not in (2, 3) or len(shapes) > 1 or not joined:
        return None
    rates = (phases[0].start, *(each.end for each in phases))
    if not 0.0 < rates[0] < rates[1] or not rates[1] > rates[-1]:
        return None
    if len(phases) == 3 and rates[2] != rates[0]:
        return None
    ends = tuple(accumulate(each.steps for each in phases))
    return _OneCycle(ends, rates, shapes.pop())


def _between(ends: Ends, rates: Rates, shape: str) -> Phases | None:
    """Phases between rates; None if one would have no length, or there are more or fewer rates."""
    lengths = [after - before for before, after in pairwise((0.0, *ends))]
    if min(lengths) <= 0.0 or len(lengths) != len(rates) - 1:
        return None
    return through(lengths, rates, shape)
