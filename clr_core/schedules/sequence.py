"""Schedules one after another, each from its own step 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from clr_core._arguments import LARGEST_STEP, check_schedule, integer, received
from clr_core.schedules import schedule_from_dict
from clr_core.schedules._shared import Described, each_read, in_order
from clr_core.schedules.protocol import Schedule, total_steps_of
from clr_core.schedules.rescaling import all_rescaled, as_ratio

if TYPE_CHECKING:
    from clr_core.ops import Ops

MOST = 100


@dataclass(frozen=True)
class SequenceSchedule(Described):
    """Schedules one after another: each begins at its boundary, from its own step 0.

        >>> from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
        >>> warm_up = PiecewiseSchedule([Phase(4, 0.0, 0.1)])
        >>> cycles = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> schedule = SequenceSchedule([warm_up, cycles], [4])
        >>> [round(schedule.lr(step), 3) for step in range(8)]
        [0.0, 0.025, 0.05, 0.075, 0.1, 0.3, 0.5, 0.3]

    `warm_up.then(cycles)` is the same. In frameworks that compile, all are evaluated at each step.

    Args:
        schedules: At least two schedules of any kinds, at most 100. All have a momentum, or none.
        boundaries: The first step of each schedule but the first, in ascending order.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Not a boundary between each two schedules, boundaries that don't ascend, or a
            momentum in some schedules only.

    References:
        optax.join_schedules; torch.optim.lr_scheduler.SequentialLR.
    """

    KIND = "sequence"

    schedules: Sequence[Schedule]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        for name in ("schedules", "boundaries"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple):
                raise TypeError(f"`{name}` must be a list. {received(name, given)}")
        if not 2 <= len(self.schedules) <= MOST:
            raise ValueError(
                f"`schedules` must be from 2 to {MOST} schedules. Received: {len(self.schedules)}"
            )
        for each in self.schedules:
            check_schedule(each)
        boundaries = tuple(integer("boundary", each) for each in self.boundaries)
        if len(boundaries) != len(self.schedules) - 1:
            raise ValueError(
                "`boundaries` must have one for each schedule but the first "
                f"({len(self.schedules) - 1}). Received: {len(boundaries)}"
            )
        for before, boundary in zip((0, *boundaries), boundaries, strict=False):
            if not before < boundary <= LARGEST_STEP:
                raise ValueError(
                    "`boundaries` must ascend from above 0 to at most 2**53. "
                    f"Received: {boundary} after {before}"
                )
        has_none = [each.momentum(0) is None for each in self.schedules]
        if len(set(has_none)) > 1:
            raise ValueError(
                "`schedules` must all have a momentum, or none. "
                f"Received: none in schedule {has_none.index(True)}, counted from 0. To ignore "
                "the momentum of the others: clr_core.adapter.rate_only(schedule)"
            )
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "_has_momentum", not any(has_none))

    def _value(self, name: str, step: Any, ops: Ops) -> Any:
        value = getattr(self.schedules[0], name)(step, ops)
        for following, boundary in zip(self.schedules[1:], self.boundaries, strict=True):
            at = ops.maximum(step - float(boundary), 0.0)
            value = ops.where(step >= boundary, getattr(following, name)(at, ops), value)
        return value

    def turns(self, first: int, last: int) -> Iterator[int]:
        """Steps between which the rate only rises or only falls, as its schedules tell.

        Yields `first`, each turn and the steps around each boundary, and `last`, in order.

        Raises:
            TypeError: Not integers.
            ValueError: Below 0 or above 2**53, or `first` above `last`.
        """
        first, last = in_order(first, last)
        return (step for step, _ in groupby(self._turns(first, last)))

    def _turns(self, first: int, last: int) -> Iterator[int]:
        starts = (0, *self.boundaries)
        ends = (*(boundary - 1 for boundary in self.boundaries), LARGEST_STEP)
        for schedule, start, end in zip(self.schedules, starts, ends, strict=True):
            low, high = max(first, start), min(last, end)
            if low <= high:
                yield from (start + turn for turn in schedule.turns(low - start, high - start))

    def levels(self, of: str = "lr") -> dict[str, float]:
        """The levels of all its schedules, by their names.

        A name of several values says of which schedule, counted from 0; a value that has a name
        already needs no such one.

        >>> from clr_core import Phase, PiecewiseSchedule
        >>> up, hold, down = (
        ...     PiecewiseSchedule([Phase(4, *band)]) for band in ((0, 0.1), (0.1, 0.1), (0.1, 0))
        ... )
        >>> up.then(down).levels(), hold.then(down).levels()
        ({'lowest': 0.0, 'highest': 0.1}, {'highest': 0.1, 'lowest of 1': 0.0})
        """
        # In a sequence within, a name may have a number already.
        levels = [
            (index, name, name.partition(" of ")[0], value)
            for index, schedule in enumerate(self.schedules)
            for name, value in schedule.levels(of).items()
        ]
        values: dict[str, set[float]] = {}
        for _, _, plain, value in levels:
            values.setdefault(plain, set()).add(value)
        found = {name: value for _, name, plain, value in levels if len(values[plain]) == 1}
        for index, name, _, value in levels:
            if value not in found.values():
                found[f"{name} of {index}"] = value
        return found

    def rescaled(self, factor: float | Fraction) -> Self:
        """The same curve in `factor` times as many steps; see `CyclicSchedule.rescaled`.

        Raises:
            TypeError: `factor` isn't a number, or a schedule can't be rescaled.
            ValueError: `factor` isn't positive, a parameter would be out of range, or a boundary
                wouldn't be whole.
        """
        ratio = as_ratio(factor)
        boundaries = [boundary * ratio for boundary in self.boundaries]
        for before, after in zip(self.boundaries, boundaries, strict=True):
            if after.denominator != 1:
                raise ValueError(
                    "`boundaries` must stay whole. "
                    f"{received('boundary', before, factor=factor)}, which give {float(after)!r}"
                )
        schedules = all_rescaled(self.schedules, factor)
        return type(self)(schedules, [int(each) for each in boundaries])

    def to_dict(self, *, strict: bool = True) -> dict[str, Any]:
        """The schedule as plain data: all its schedules, the boundaries, and its "kind".

        Raises:
            TypeError: A schedule has a Python callable, and `strict` is set.
        """
        schedules = [each.to_dict(strict=strict) for each in self.schedules]
        return {"kind": self.KIND, "schedules": schedules, "boundaries": [*self.boundaries]}

    @classmethod
    def joined(cls, first: Any, second: Schedule, at: int | None) -> Self:
        """`first` up to step `at`, or to its end, and from there on `second`; see `then`."""
        check_schedule(second)
        schedules: Sequence[Any] = [first]
        boundaries: Sequence[int] = ()
        last = first
        if isinstance(first, SequenceSchedule):
            schedules, boundaries, last = first.schedules, first.boundaries, first.schedules[-1]
        start = boundaries[-1] if boundaries else 0
        if at is None:
            total = total_steps_of(last)
            if total is None or not total.is_integer():
                got = "no end" if total is None else f"an end after {total!r} steps"
                raise ValueError(
                    "`at` must be given unless the schedule ends after a whole number of steps. "
                    f"Received: one with {got}"
                )
            at = int(total) + start
        elif not start < integer("at", at) <= LARGEST_STEP:
            raise ValueError(
                f"`at` must be above {start}, where the schedule before begins, and at most 2**53. "
                f"{received('at', at)}"
            )
        return cls((*schedules, second), (*boundaries, at))

    def __repr__(self) -> str:
        return f"SequenceSchedule({[*self.schedules]!r}, {[*self.boundaries]!r})"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return super().from_dict(each_read(document, "schedules", MOST, schedule_from_dict))
