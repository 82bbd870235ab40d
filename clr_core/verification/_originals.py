"""Find out whose curve a log has: that of another library with the same nominal arguments.

One cycle and a warm-up with a decay are in many libraries, and the same arguments give other
phases there. Each row of a table makes the phases of another library from those that were to be
followed, and says how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate, pairwise
from math import floor
from typing import Any, NamedTuple, Self

from clr_core.schedules.piecewise import Phase, PiecewiseSchedule, through
from clr_core.verification._faults import FLOAT32_ERRORS, Deviation, float32_formula
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
    own = list(float32_formula(target, log))
    if own:
        yield from own
        return
    lines = [*log.rest, *log.lines[: log.first]]
    # optax and Keras compute in float32.
    error = FLOAT32_ERRORS * schedule.levels()["highest"]
    wide = [LoggedRate(step, low - error, high + error) for step, low, high in lines]
    found = set()
    for each in (lines, wide):
        for whose, difference, phases, seen in _variants(schedule, max(lines).step):
            curve = PiecewiseSchedule(phases, schedule.repeat)
            # Two rows may give curves that differ in their last bits only.
            same = str([(p.shape, f"{p.steps:.9g} {p.start:.9g} {p.end:.9g}") for p in phases])
            if same in found or not target.explained_by(curve, each):
                continue
            found.add(same)
            near = (PiecewiseSchedule(other, schedule.repeat) for other in _nearby(phases, seen))
            if not any(target.explained_by(other, each) for other in near):
                yield Original(whose, difference, curve.to_dict())
        if found:
            return


def _nearby(phases: Phases, seen: int) -> Iterator[Phases]:
    """The same with the end of one of the first phases a step earlier or later."""
    for index in range(len(phases[:seen])):
        for steps in (-1.0, 1.0):
            lengths = [each.steps for each in phases]
            lengths[index] += steps
            if index + 1 < len(phases):
                lengths[index + 1] -= steps
            with suppress(ValueError):  # One would have no length.
                yield [replace(p, steps=length) for p, length in zip(phases, lengths, strict=True)]


class _OneCycle(NamedTuple):
    """The phases of one cycle: where they end, and the rates there."""

    ends: tuple[float, ...]
    rates: tuple[float, ...]
    shape: str

    def moved(self, steps: float) -> Self:
        """The ends later by so many steps; the middle one by twice as many, as in torch."""
        first, *middle, last = self.ends
        ends = (first + steps, *(end + 2.0 * steps for end in middle), last + steps)
        return self._replace(ends=ends)

    def whole(self) -> Self:
        """The first phase with a whole number of steps."""
        return self._replace(ends=(floor(self.ends[0]), self.ends[-1]))

    def three(self) -> Self:
        """In three phases: back to the first rate, then on to the last."""
        (first, peak, last), (top, end) = self.rates, self.ends
        ends = (top, 2.0 * top, end)
        return self._replace(ends=ends, rates=(first, peak, first, last))

    def two(self) -> Self:
        """In two phases."""
        return self._replace(
            ends=(self.ends[0], self.ends[-1]), rates=(*self.rates[:2], self.rates[-1])
        )

    def of_other_shape(self) -> Self:
        return self._replace(shape=_other(self.shape))

    def linear(self) -> Self:
        """As optax's in three phases, which ends its second one at 85 % of the steps."""
        first, peak, *_, last = self.rates
        ends = (floor(self.ends[0]), floor(0.85 * self.ends[-1]), self.ends[-1])
        return self._replace(ends=ends, rates=(first, peak, first, last), shape="linear")

    def defaults(self, part: float, first: float, last: float) -> Self:
        """A cosine with this part of the steps up, and the peak divided by `first` and `last`."""
        peak, total = max(self.rates), self.ends[-1]
        rates = (peak / first, peak, peak / last)
        return self._replace(ends=(part * total, total), rates=rates, shape="cosine")

    def phases(self) -> Phases:
        lengths = [after - before for before, after in pairwise((0.0, *self.ends))]
        return through(lengths, self.rates, self.shape)


def _other(shape: str) -> str:
    return "linear" if shape == "cosine" else "cosine"


Row = tuple[set[int], str, str, Callable[[_OneCycle], _OneCycle]]
Change = tuple[str, str, Callable[[Phases], Phases]]
TWO, THREE, EITHER = {2}, {3}, {2, 3}  # The phases that yours has.

ONE_CYCLE: tuple[Row, ...] = (
    (TWO, TORCH, "each phase ends a step before yours", lambda c: c.moved(-1.0)),
    (
        THREE,
        f"{TORCH} in three phases",
        "they end a step, two and one before yours",
        lambda c: c.moved(-1.0),
    ),
    (
        EITHER,
        "a one cycle whose phases have all their steps, such as optax's or clr_core.one_cycle",
        "each phase ends a step after yours",
        lambda c: c.moved(1.0),
    ),
    (TWO, OPTAX, "its first phase has a whole number of steps", _OneCycle.whole),
    (
        TWO,
        OPTAX,
        "its first phase has a whole number of steps, and its last one ends a step after yours",
        lambda c: c.moved(1.0).whole(),
    ),
    (
        TWO,
        TORCH,
        "it has a third phase (three_phase=True), and each phase ends a step before yours or two",
        lambda c: c.three().moved(-1.0),
    ),
    (TWO, "a one cycle in three phases", "yours has two (three_phase=False)", _OneCycle.three),
    (
        THREE,
        TORCH,
        "it has two phases (three_phase=False), and each ends a step before yours",
        lambda c: c.two().moved(-1.0),
    ),
    (THREE, "a one cycle in two phases", "yours has three (three_phase=True)", _OneCycle.two),
    (
        EITHER,
        TORCH,
        "its phases have the other shape (anneal_strategy), and each ends a step before yours",
        lambda c: c.of_other_shape().moved(-1.0),
    ),
    (
        EITHER,
        "a one cycle of the other shape",
        "it has straight lines if yours has cosines, and cosines if yours has lines",
        _OneCycle.of_other_shape,
    ),
    (EITHER, LINEAR, "it has a third phase, from 85 % of its steps on", _OneCycle.linear),
    (
        EITHER,
        LINEAR,
        "it has a third phase, from 85 % of its steps on, and ends a step after yours",
        lambda c: c.moved(1.0).linear(),
    ),
    (
        EITHER,
        f"{FASTAI} fit_one_cycle, with its defaults",
        "the first phase has a quarter of the steps, and the last rate is the peak divided by 1e5",
        lambda c: c.defaults(0.25, 25.0, 1e5),
    ),
    (
        EITHER,
        f"{FASTAI} fit_one_cycle, with its defaults",
        "the first phase has a quarter of the steps, the last rate is the peak divided by 1e5, and "
        "it ends a step after yours",
        lambda c: c.moved(1.0).defaults(0.25, 25.0, 1e5),
    ),
    (
        EITHER,
        f"{FASTAI} fit_one_cycle",
        "its last rate is the peak divided by the factor by which yours divides the first rate",
        lambda c: c.two()._replace(rates=(*c.rates[:2], c.rates[1] * c.rates[-1] / c.rates[0])),
    ),
    (
        EITHER,
        f"{TORCH}, with its defaults",
        "each phase ends a step before those of 30 % and 70 % of the steps, and the last rate is "
        "the first one divided by 1e4",
        lambda c: c.defaults(0.3, 25.0, 25e4).moved(-1.0),
    ),
)
"""How many phases yours has, whose curve it is, how it differs, and its cycle from yours."""

WARM_UP: tuple[Change, ...] = (
    (
        "Keras's CosineDecay",
        "its decay_steps doesn't include the warm-up, by which the decay is longer than yours",
        lambda p: [*p[:-1], replace(p[-1], steps=p[-1].steps + p[0].steps)],
    ),
    (
        "optax's warmup_cosine_decay_schedule",
        "its decay_steps includes the warm-up, by which the decay is shorter than yours",
        lambda p: [*p[:-1], replace(p[-1], steps=p[-1].steps - p[0].steps)],
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
        lambda p: [
            replace(each, start=p[0].start * ((each.start - each.end) / (p[0].start - each.end)))
            for each in p
        ],
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
    first, repeat = own[0], schedule.repeat
    cycle = None if repeat else _one_cycle(own)
    if cycle is not None:
        for count, whose, difference, change_of_cycle in ONE_CYCLE:
            if len(own) in count:
                phases = _possible(_OneCycle.phases, change_of_cycle(cycle))
                if phases:
                    yield whose, difference, phases, len(phases)
    rows: list[Change] = []
    if len(own) > 1 and not repeat and first.start < first.end and first.shape == "linear":
        rows += WARM_UP
    if all(each.shape == "cosine" and each.start > each.end for each in own):
        rows += RESTARTS
    if not repeat and own[-1].shape == "cosine":
        rows += COSINE
    for whose, difference, change in rows:
        phases = _possible(change, own)
        if phases:
            ends = accumulate(each.steps for each in phases)
            yield whose, difference, phases, 1 + sum(end < last for end in ends)


def _possible(change: Callable[[Any], Phases], of: Any) -> Phases:
    """The changed phases; none if they can't be, such as one without a step."""
    try:
        return change(of)
    except (ValueError, ZeroDivisionError):
        return []


def _one_cycle(phases: list[Phase]) -> _OneCycle | None:
    """The cycle that these phases are, if they are one: up, down, and maybe further down."""
    if len(phases) < 2:
        return None
    begin = phases[0]
    rates = (begin.start, *(each.end for each in phases))
    first, peak, *between, last = rates
    if not 0.0 < first < peak > last or between not in ([], [first]):
        return None
    cycle = _OneCycle(tuple(accumulate(each.steps for each in phases)), rates, begin.shape)
    # They must be of one shape, and each must begin where the one before ends.
    joined = through([each.steps for each in phases], rates, cycle.shape)
    return cycle if joined == phases else None
