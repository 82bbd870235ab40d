"""The result of a range test: plain data, and the schedule that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, Self, TypedDict, Unpack

from clr_core._arguments import listed, number, one_of, positive_number, received
from clr_core.range_finding._draw import figure, svg
from clr_core.range_finding._reading import RULES, read
from clr_core.range_finding._smoothing import RAMPS, SmoothedLoss, can_be_smoothed, clipped
from clr_core.schedules.cyclic import CyclicSchedule

BASE_PART = 4  # The paper: `base_lr` is a third or a quarter of `max_lr`.
CONTRADICTION = 10.0  # The largest factor between the `max_lr` of one seed and that of another.


class ScheduleOptions(TypedDict, total=False):
    """The arguments of a `CyclicSchedule` that don't depend on a range test or on the data set."""

    mode: str
    gamma: float
    scale_fn: str | Callable[[Any], Any] | None
    scale_mode: str
    base_momentum: float | None
    max_momentum: float | None


@dataclass(frozen=True)
class RangeTestResult:
    """The curve of a range test, and the boundaries read from it.

        >>> lrs = [10.0**k for k in range(-6, 5)]
        >>> losses = [2.3, 2.3, 2.3, 2.2, 1.8, 0.9, 0.5, 1.5, 4.0, 9.0, 9.0]
        >>> result = RangeTestResult.from_curve(lrs, losses)
        >>> result.max_lr, result.base_lr
        (0.1, 0.025)
        >>> result.schedule(step_size_up=500)
        CyclicSchedule(base_lr=0.025, max_lr=0.1, step_size_up=500.0)

    Args:
        lrs: The rates, rising.
        losses: The loss of the batch at each.
        scores: The score at each, such as the accuracy; None: none were given.
        ramp: "exponential" or "linear".
        stop_reason: Why the test stopped before the end of its ramp, as a sentence; None: it
            reached the end, or the caller stopped it.
        suggestions: For each name a rate, or None if the curve gives none: "edge" (the default),
            "valley", "steepest", "minimum", "minimum/10", with scores "score rises" and "score
            stalls", and after trials "trials". docs/find-the-boundaries.md defines them.
        max_lr: The suggested upper boundary; None: there is none, and `warnings` says what to
            change.
        base_lr: The suggested lower boundary, a quarter of `max_lr`.
        warnings: Sentences.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: Rates that don't rise, numbers that aren't finite, or sequences of different
            lengths.
    """

    lrs: Sequence[float]
    losses: Sequence[float]
    scores: Sequence[float] | None
    ramp: str
    stop_reason: str | None
    suggestions: Mapping[str, float | None]
    max_lr: float | None
    base_lr: float | None
    warnings: Sequence[str]

    def __post_init__(self) -> None:
        _check_kinds(self)
        checked = {
            "ramp": one_of("ramp", self.ramp, RAMPS),
            **_checked_curve(self.lrs, self.losses, self.scores),
            "suggestions": {
                name: _rate(f"suggestions[{listed([name])}]", rate)
                for name, rate in self.suggestions.items()
            },
            "max_lr": _rate("max_lr", self.max_lr),
            "base_lr": _rate("base_lr", self.base_lr),
            "warnings": tuple(self.warnings),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_curve(
        cls,
        lrs: Sequence[float],
        losses: Sequence[float],
        scores: Sequence[float] | None = None,
        *,
        ramp: str = "exponential",
        stop_reason: str | None = None,
    ) -> Self:
        """Reads a curve, however it was recorded.

        Args:
            lrs: The rates, rising.
            losses: The loss of the batch at each, not smoothed.
            scores: The score at each, of which more is better.
            ramp: How the rates rise.
            stop_reason: Why the test stopped early: training broke at the last rate or after it.

        Raises:
            TypeError: An argument of the wrong kind.
            ValueError: Rates that don't rise, numbers that aren't finite, or sequences of different
                lengths.
        """
        plain = cls(lrs, losses, scores, ramp, stop_reason, {}, None, None, ())
        reading = read(plain.lrs, plain.losses, plain.scores, stop_reason)
        max_lr = reading.max_lr
        return replace(
            plain,
            suggestions=reading.suggestions,
            max_lr=max_lr,
            base_lr=None if max_lr is None else max_lr / BASE_PART,
            warnings=reading.warnings,
        )

    @classmethod
    def of(cls, results: Sequence[RangeTestResult]) -> Self:
        """The run in the middle of several runs of one test, with different seeds.

        It is the run whose `max_lr` is the median; of an even number the lower one of the two in
        the middle. Runs without a `max_lr` don't count, and a warning says how many there are.
        Another says if the rates are more than a factor of ten apart.

        Raises:
            TypeError: An element isn't a result.
            ValueError: There are no results.
        """
        runs: list[Any] = list(results) if isinstance(results, Iterable) else [results]
        for run in runs:
            if not isinstance(run, RangeTestResult):
                raise TypeError(
                    f"`results` must be results of range tests. {received('result', run)}"
                )
        if not runs:
            raise ValueError("`results` must contain at least one result. Received: none")
        found = sorted((run.max_lr, i) for i, run in enumerate(runs) if run.max_lr is not None)
        middle: Self = runs[found[(len(found) - 1) // 2][1] if found else 0]
        said = _disagreements([max_lr for max_lr, _ in found], len(runs))
        return replace(middle, warnings=(*middle.warnings, *said))

    def schedule(
        self,
        step_size_up: float,
        *,
        max_lr: float | None = None,
        base_lr: float | None = None,
        step_size_down: float | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> CyclicSchedule:
        """The schedule between `base_lr` and `max_lr`.

        Args:
            step_size_up: Steps in the rising half; the paper suggests 2 to 10 epochs.
            max_lr: Overrides the suggestion; `base_lr` then defaults to a quarter of it.
            base_lr: Overrides the suggestion.
            step_size_down: Steps in the falling half; None: as many as in the rising half.
            **options: `mode`, `gamma`, `scale_fn`, `scale_mode`, `base_momentum` and
                `max_momentum`, as in `CyclicSchedule`.

        Raises:
            TypeError: An argument of the wrong kind, or an unknown one.
            ValueError: The test suggests no `max_lr` and none is given, or an argument is outside
                its range.
        """
        if max_lr is None:
            if self.max_lr is None:
                raise ValueError(f"The range test gives no `max_lr`. {' '.join(self.warnings)}")
            max_lr, base_lr = self.max_lr, self.base_lr if base_lr is None else base_lr
        return CyclicSchedule(
            step_size_up=step_size_up,
            step_size_down=step_size_down,
            **boundaries(max_lr, base_lr),
            **options,
        )

    @property
    def rule(self) -> str | None:
        """The name of the suggestion that `max_lr` is, such as "edge"; None: it is none of them."""
        # A file may have other names, which are anybody's text.
        names = [name for name in RULES if self.suggestions.get(name) == self.max_lr is not None]
        return names[0] if names else None

    def smoothed(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The smooth curve that is read and drawn: rates and losses; empty if there are too few."""
        if not can_be_smoothed(self.lrs):
            return (), ()
        curve = SmoothedLoss.of(self.lrs, clipped(self.losses))
        return curve.lrs, curve.values

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        } | {"suggestions": dict(self.suggestions)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Builds a result from the output of `to_dict`.

        Raises:
            TypeError: `document` isn't a mapping, or a value is of the wrong kind.
            ValueError: Keys are unknown or missing, or a value is out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A result must be a mapping. {received('document', document)}")
        expected, given = {each.name for each in fields(cls)}, set(document)
        if given != expected:
            raise ValueError(
                f"A result must have the keys {', '.join(sorted(expected))}. "
                f"Missing: [{listed(sorted(expected - given))}]. "
                f"Unknown: [{listed(sorted(map(str, given - expected)))}]"
            )
        return cls(**document)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draws the curve, the suggestions and both boundaries. Needs the extra `plot`.

        Args:
            path: A file to write, in the format that its suffix names, such as `.png`. None: the
                figure is only returned.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: matplotlib isn't installed.
        """
        drawn = figure(self)
        if path is not None:
            drawn.savefig(path, dpi=150, facecolor="white")
        return drawn

    def _repr_html_(self) -> str:
        """The curve as a picture and the sentences below it, for notebooks."""
        return svg(self)

    def __repr__(self) -> str:
        said = {
            "max_lr": self.max_lr,
            "base_lr": self.base_lr,
            "losses": len(self.losses),
            "stop_reason": self.stop_reason,
            "warnings": list(self.warnings),
        }
        shown = ", ".join(f"{name}={value!r}" for name, value in said.items() if value)
        return f"<RangeTestResult: {shown}>"


def boundaries(max_lr: object, base_lr: float | None) -> dict[str, float]:
    """Both boundaries by name; without a `base_lr`, a quarter of `max_lr`.

    >>> boundaries(0.4, None)
    {'base_lr': 0.1, 'max_lr': 0.4}
    """
    # Otherwise the error would be about the quarter, which the caller never gave.
    upper = positive_number("max_lr", max_lr)
    return {"base_lr": upper / BASE_PART if base_lr is None else base_lr, "max_lr": upper}


def _check_kinds(result: RangeTestResult) -> None:
    for name, kind, rule in (
        ("stop_reason", str | None, "a sentence or None"),
        ("suggestions", Mapping, "a dict of names and rates"),
        ("warnings", list | tuple, "a list of sentences"),
    ):
        value: Any = getattr(result, name)
        if not isinstance(value, kind) or not all(isinstance(each, str) for each in value or ()):
            raise TypeError(f"`{name}` must be {rule}. {received(name, value)}")


def _checked_curve(lrs: object, losses: object, scores: object) -> dict[str, Any]:
    rates = _numbers("lrs", lrs)
    curve = {
        "lrs": rates,
        "losses": _numbers("losses", losses),
        "scores": None if scores is None else _numbers("scores", scores),
    }
    for name, values in curve.items():
        if values is not None and len(values) != len(rates):
            raise ValueError(
                f"`lrs` and `{name}` must have the same length. "
                f"Received: {len(rates)} lrs, {len(values)} {name}"
            )
    if any(a >= b for a, b in zip((0.0, *rates), rates, strict=False)):
        raise ValueError(f"`lrs` must be positive and rise. {received('lrs', lrs)}")
    return curve


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        with suppress(TypeError):  # An array without dimensions has `__iter__`, too.
            values = tuple(values)
    if not isinstance(values, tuple):
        raise TypeError(f"`{name}` must be a list of numbers. {received(name, values)}")
    return tuple(number(name, value) for value in values)


def _rate(name: str, value: object) -> float | None:
    if value is None:
        return None
    rate = number(name, value)
    if rate <= 0.0:
        raise ValueError(f"`{name}` must be positive or None. {received(name, value)}")
    return rate


def _disagreements(found: Sequence[float], runs: int) -> list[str]:
    said = []
    if len(found) < runs and runs > 1:
        said.append(f"{runs - len(found)} of {runs} runs give no `max_lr`.")
    if found and found[-1] / found[0] > CONTRADICTION:
        said.append(
            f"The runs contradict each other: `max_lr` ranges from {found[0]:.2g} to "
            f"{found[-1]:.2g}. Take larger batches."
        )
    return said
