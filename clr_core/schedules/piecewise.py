"""Phases one after another: one cycle, warm restarts, warm-up and decay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from itertools import accumulate, pairwise, repeat
from math import inf
from typing import TYPE_CHECKING, Any, Self

from clr_core import kernels
from clr_core._arguments import not_negative, number, one_of, positive_number, received
from clr_core.schedules import check_keys
from clr_core.schedules._shared import Described, each_read, in_order
from clr_core.schedules.cycles import exact, next_to, turning_steps

if TYPE_CHECKING:
    from clr_core.ops import Ops

SHAPES = ("linear", "cosine")
MOST_PHASES = 10_000


@dataclass(frozen=True)
class Phase:
    """Some steps in which the rate goes from one value to another.

    With `x = position / steps`, from 0 to 1:

        rise  = x                        in shape "linear"
                (1 - cos(pi * x)) / 2    in shape "cosine"
        value = start * (1 - rise) + end * rise

    Args:
        steps: Its length in steps (updates), above 0; may be fractional.
        start: The rate of its first step.
        end: The rate that it reaches after its last step, which is the first step of what follows.
        shape: "linear" or "cosine".
        start_momentum: The momentum of its first step. Give both momenta or neither.
        end_momentum: The momentum after its last step. It may rise or fall, with the same shape.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.
    """

    steps: float
    start: float
    end: float
    shape: str = "linear"
    start_momentum: float | None = None
    end_momentum: float | None = None

    def __post_init__(self) -> None:
        values: dict[str, Any] = {
            "steps": positive_number("steps", self.steps),
            "shape": one_of("shape", self.shape, SHAPES),
        }
        for name in ("start", "end"):
            values[name] = not_negative(name, getattr(self, name))
        momenta = (self.start_momentum, self.end_momentum)
        if (momenta[0] is None) is not (momenta[1] is None):
            raise ValueError(
                "`start_momentum` and `end_momentum` must be given together. "
                f"{received('start_momentum', momenta[0], end_momentum=momenta[1])}"
            )
        for name, given in zip(("start_momentum", "end_momentum"), momenta, strict=True):
            if given is not None:
                values[name] = number(name, given)
                if not 0.0 <= values[name] < 1.0:
                    raise ValueError(
                        f"`{name}` must be at least 0 and below 1. {received(name, given)}"
                    )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        values = [getattr(self, each.name) for each in fields(self)]
        while values[-1] == fields(self)[len(values) - 1].default:
            values.pop()
        return f"Phase({', '.join(map(repr, values))})"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build a phase from a mapping with its arguments.

        Raises:
            TypeError: Not a mapping, or a value has the wrong type.
            ValueError: Unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A phase must be a mapping. {received('phase', document)}")
        check_keys("A phase", document, [each.name for each in fields(cls)], fields_needed)
        return cls(**document)


fields_needed = ("steps", "start", "end")


def through(
    lengths: Iterable[float],
    rates: Iterable[float],
    shape: str,
    momenta: Iterable[float | None] | None = None,
) -> list[Phase]:
    """Phases of these lengths from each rate, and each momentum if any, to the next.

    >>> through([2, 3], [0.0, 0.5, 0.1], "linear")
    [Phase(2.0, 0.0, 0.5), Phase(3.0, 0.5, 0.1)]
    """
    from_to = pairwise(repeat(None) if momenta is None else momenta)
    return [
        Phase(length, *ends, shape, *momentum)
        for length, ends, momentum in zip(lengths, pairwise(rates), from_to, strict=False)
    ]


@dataclass(frozen=True)
class PiecewiseSchedule(Described):
    """A learning rate, and optionally a momentum, in phases: one after another.

    The phase of a step is the one in which it lies, and a boundary belongs to the phase that begins
    there; see `Phase` for the formula. After the last phase the schedule holds its end value, or,
    with `repeat`, begins again. Boundaries are sums of `steps`, rounded once to float64.

        >>> warm_up, decay = Phase(2, 0.0, 0.5), Phase(4, 0.5, 0.1, "cosine")
        >>> schedule = PiecewiseSchedule([warm_up, decay])
        >>> [round(schedule.lr(step), 3) for step in range(8)]
        [0.0, 0.25, 0.5, 0.441, 0.3, 0.159, 0.1, 0.1]

    Everything is computed in float64, in the same operations in every framework: the values at each
    boundary are exact, and no value lies outside of its phase's two. A schedule is immutable,
    hashable and stateless. `clr_core.one_cycle`, `warm_restarts`, `warmup_cosine` and
    `warmup_stable_decay` make the usual ones.

    Args:
        phases: At least one `Phase`, at most 10,000. All have a momentum, or none.
        repeat: Begin again after the last phase.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: No phase or too many, momenta in some phases only, or phases that vanish beside
            the others in float64.
    """

    KIND = "piecewise"

    phases: Sequence[Phase]
    repeat: bool = False

    if TYPE_CHECKING:  # Not fields at run time, since the phases determine them.
        _table: _Table = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.phases, Phase) or not isinstance(self.phases, Sequence):
            raise TypeError(f"`phases` must be a list of phases. {received('phases', self.phases)}")
        if not 1 <= len(self.phases) <= MOST_PHASES:
            raise ValueError(
                f"`phases` must be from 1 to {MOST_PHASES:,} phases. Received: {len(self.phases)}"
            )
        for each in self.phases:
            if not isinstance(each, Phase):
                raise TypeError(f"`phases` must be a list of phases. {received('phase', each)}")
        if not isinstance(self.repeat, bool):
            raise TypeError(f"`repeat` must be a bool. {received('repeat', self.repeat)}")
        has_none = [each.start_momentum is None for each in self.phases]
        if len(set(has_none)) > 1:
            raise ValueError(
                "`phases` must all have a momentum, or none. "
                f"Received: none in phase {has_none.index(True)}, counted from 0"
            )
        object.__setattr__(self, "phases", tuple(self.phases))
        object.__setattr__(self, "_table", _Table(self.phases, repeat=self.repeat))
        object.__setattr__(self, "_has_momentum", not any(has_none))

    @property
    def total_steps(self) -> float:
        """The sum of the phases' lengths."""
        return self._table.until[-1]

    @property
    def cycle_size(self) -> float:
        """The steps after which it begins again.

        Raises:
            AttributeError: It doesn't.
        """
        if not self.repeat:
            raise AttributeError("A schedule that doesn't repeat has no `cycle_size`")
        return self.total_steps

    def _value(self, name: str, step: Any, ops: Ops) -> Any:
        table, total = self._table, self.total_steps
        at = ops.fmod(step, total) if self.repeat else ops.minimum(step, total)
        # What differs between the phases is looked up; the curve is computed once. A step beyond
        # the last phase lies in it, so that the lookup needn't wait for the minimum.
        index = ops.interval(table.begin, at if self.repeat else step)

        def here(column: _Column) -> Any:
            return column if isinstance(column, float) else ops.take(column, index)

        begin, until, size = map(here, (table.begin, table.until, table.size))
        rise, fall = _ratio(at - begin, size, ops), _ratio(until - at, size, ops)
        if table.bent != 0.0:
            up, down = kernels.cosine(rise, fall, ops)
            bent = here(table.bent) > 0.5
            rise, fall = ops.where(bent, up, rise), ops.where(bent, down, fall)
        start, end, low, high = map(here, getattr(table, name))
        value = ops.rounded(start * fall) + ops.rounded(end * rise)
        # Rounding may leave the phase's values by the last bit if they are close.
        return ops.clip(value, low, high)

    def turns(self, first: int, last: int) -> Iterator[int]:
        """Steps between which the rate only rises or only falls.

            >>> schedule = PiecewiseSchedule([Phase(2.5, 0.0, 0.5), Phase(4, 0.5, 0.1)])
            >>> list(schedule.turns(0, 100))
            [0, 2, 3, 6, 7, 100]

        Yields `first`, the steps next to each boundary, and `last`, in order and one at a time. If
        the rate jumps at a boundary, these are the last step before it and the first one after.

        Raises:
            TypeError: Not integers.
            ValueError: Below 0 or above 2**53, or `first` above `last`.
        """
        first, last = in_order(first, last)
        until, jumps = self._table.until, self._table.jumps
        if self.repeat:
            return turning_steps(first, last, until[-1], until[:-1], jumps)
        near = {step for end in until for step in next_to(end, jump=end in jumps)}
        return iter(sorted({first, *(step for step in near if first < step < last), last}))

    def levels(self, of: str = "lr") -> dict[str, float]:
        """The smallest and the largest value: of the rate, or of the "momentum" if there is one.

        >>> PiecewiseSchedule([Phase(2, 0.0, 0.5), Phase(4, 0.5, 0.1)]).levels()
        {'lowest': 0.0, 'highest': 0.5}
        """
        if of != "lr" and not self._has_momentum:
            return {}
        names = ("start", "end") if of == "lr" else ("start_momentum", "end_momentum")
        values = [getattr(phase, name) for phase in self.phases for name in names]
        return {"lowest": min(values), "highest": max(values)}

    def rescaled(self, factor: float | Fraction) -> Self:
        """The same curve in `factor` times as many steps; see `CyclicSchedule.rescaled`.

        Raises:
            TypeError: `factor` isn't a number.
            ValueError: `factor` isn't positive, or a phase would be out of range.
        """
        from clr_core.schedules.rescaling import as_ratio, finite

        ratio = as_ratio(factor)
        return replace(
            self,
            phases=[
                replace(each, steps=finite(Fraction(each.steps) * ratio, factor))
                for each in self.phases
            ],
        )

    def to_dict(self, *, strict: bool = True) -> dict[str, Any]:
        """The schedule as plain data: every phase, and its "kind".

        >>> PiecewiseSchedule([Phase(2, 0.0, 0.5)]).to_dict()["phases"][0]["steps"]
        2.0
        """
        phases = [asdict(phase) for phase in self.phases]
        return {"kind": self.KIND, "phases": phases, "repeat": self.repeat}

    def __repr__(self) -> str:
        return f"PiecewiseSchedule({[*self.phases]!r}{', repeat=True' * self.repeat})"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return super().from_dict(each_read(document, "phases", MOST_PHASES, Phase.from_dict))


class _Table:
    """The phases' numbers, in columns."""

    def __init__(self, phases: Sequence[Phase], *, repeat: bool) -> None:
        ends = [_float(each) for each in accumulate(exact(phase.steps) for phase in phases)]
        self.begin = (0.0, *ends[:-1])
        self.until = tuple(ends)
        for index, (begin, until) in enumerate(zip(self.begin, self.until, strict=True)):
            if until == inf or until <= begin:
                raise ValueError(
                    "`steps` must not be lost in the sum of the lengths, which must be finite. "
                    f"Received: steps={phases[index].steps!r} after {begin!r}, in phase {index}, "
                    "counted from 0"
                )
        # After the last phase its end is held, unless all begins again.
        following = (*phases[1:], *phases[:repeat])
        self.jumps = {
            until
            for until, before, after in zip(self.until, phases, following, strict=False)
            if (before.end, before.end_momentum) != (after.start, after.start_momentum)
        }
        self.size = _column(b - a for a, b in zip(self.begin, self.until, strict=True))
        self.lr = _values([(each.start, each.end) for each in phases])
        if phases[0].start_momentum is not None:
            self.momentum = _values([(p.start_momentum, p.end_momentum) for p in phases])  # type: ignore[misc]
        self.bent = _column(float(phase.shape == "cosine") for phase in phases)


_Column = float | tuple[float, ...]
"""A number of each phase; a single one if they are the same."""
_Values = tuple[_Column, ...]
"""Of each phase: start, end, the lower of both, the higher of both."""


def _column(numbers: Iterable[float]) -> _Column:
    values = tuple(numbers)
    return values[0] if len({*values}) == 1 else values


def _values(ends: Sequence[tuple[float, float]]) -> _Values:
    return tuple(map(_column, (*zip(*ends, strict=True), map(min, ends), map(max, ends))))


def _ratio(part: Any, size: Any, ops: Ops) -> Any:
    # A size that is looked up is no constant, by whose reciprocal a compiler could multiply.
    return ops.divide(part, size) if isinstance(size, float) else part / size


def _float(number: int | Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf
