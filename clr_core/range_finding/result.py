"""What a range test has found: plain data, and the schedule that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from statistics import median
from typing import Any, Self

from clr_core._arguments import number, received
from clr_core.range_finding._reading import read
from clr_core.range_finding.ask_tell import RAMPS
from clr_core.schedules.cyclic import CyclicSchedule

BASE_PART = 4  # The paper: `base_lr` is a third or a quarter of `max_lr`.
CONTRADICTION = 10.0  # Between the `max_lr` of one seed and that of another.


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
        scores: The score at each, such as the accuracy; None: none were told.
        ramp: "exponential" or "linear".
        stop_reason: Why the test stopped before the end of its ramp, as a sentence; None: it
            didn't, or was only broken off.
        suggestions: For each name a rate, or None where the curve gives none. See
            `clr_core.range_finding._reading.read`.
        max_lr: The suggested upper boundary; None: there is none, and `warnings` says what to
            change.
        base_lr: The suggested lower boundary, a quarter of `max_lr`.
        warnings: Sentences.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: Rates that don't rise, numbers that aren't finite, or more of one than of
            the other.
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
        lrs, losses = _numbers("lrs", self.lrs), _numbers("losses", self.losses)
        scores = None if self.scores is None else _numbers("scores", self.scores)
        for name, others in (("losses", losses), ("scores", scores)):
            if others is not None and len(others) != len(lrs):
                raise ValueError(
                    f"`lrs` and `{name}` must have the same length. "
                    f"Received: {len(lrs)} lrs, {len(others)} {name}"
                )
        if any(a >= b for a, b in zip((0.0, *lrs), lrs, strict=False)):
            raise ValueError(f"`lrs` must be positive and rise. {received('lrs', self.lrs)}")
        if not isinstance(self.ramp, str) or self.ramp not in RAMPS:
            raise ValueError(
                f"`ramp` must be one of {', '.join(map(repr, RAMPS))}. "
                f"{received('ramp', self.ramp)}"
            )
        if self.stop_reason is not None and not isinstance(self.stop_reason, str):
            raise TypeError(
                f"`stop_reason` must be a sentence or None. "
                f"{received('stop_reason', self.stop_reason)}"
            )
        if not isinstance(self.suggestions, Mapping):
            raise TypeError(
                "`suggestions` must be a dict of names and rates. "
                f"{received('suggestions', self.suggestions)}"
            )
        suggestions = {
            str(name): _rate(f"suggestions[{name!r}]", rate)
            for name, rate in self.suggestions.items()
        }
        sentences = isinstance(self.warnings, list | tuple)
        if not sentences or not all(isinstance(each, str) for each in self.warnings):
            raise TypeError(
                f"`warnings` must be a list of sentences. {received('warnings', self.warnings)}"
            )
        checked = {
            "lrs": lrs,
            "losses": losses,
            "scores": scores,
            "suggestions": suggestions,
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
            losses: The loss of the batch at each, as it was told: not smoothed.
            scores: The score at each, of which more is better.
            ramp: How the rates rise.
            stop_reason: Why the test stopped early: training broke at the last rate or after it.

        Raises:
            TypeError: An argument of the wrong kind.
            ValueError: Rates that don't rise, numbers that aren't finite, or more of one than of
                the other.
        """
        plain = cls(lrs, losses, scores, ramp, stop_reason, {}, None, None, ())
        reading = read(plain.lrs, plain.losses, plain.scores, stopped=stop_reason is not None)
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
        """Several runs of one test, with other seeds, read as one.

        Its losses are the medians over the runs. A run that has stopped counts as infinitely high
        from there on; so the joined curve ends where half of them have stopped.

        Raises:
            TypeError: Not results.
            ValueError: No results, or of tests with other rates.
        """
        runs = list(results)
        for run in runs:
            if not isinstance(run, RangeTestResult):
                raise TypeError(
                    f"`results` must be results of range tests. {received('result', run)}"
                )
        if not runs:
            raise ValueError("`results` must have a result at least. Received: none")
        longest = max(runs, key=lambda run: len(run.lrs))
        for run in runs:
            if run.ramp != longest.ramp or run.lrs != longest.lrs[: len(run.lrs)]:
                raise ValueError(
                    "`results` must be of tests with the same `start_lr`, `end_lr`, `num_steps` "
                    "and `ramp`. Received: other rates"
                )
        joined = [
            median([run.losses[i] if i < len(run.losses) else float("inf") for run in runs])
            for i in range(len(longest.losses))
        ]
        losses = [loss for loss in joined if loss < float("inf")]
        scored = [run.scores for run in runs if run.scores is not None]
        scores = None
        if len(scored) == len(runs):
            scores = [
                median([each[i] for each in scored if i < len(each)]) for i in range(len(losses))
            ]
        stops = [run.stop_reason for run in runs if run.stop_reason is not None]
        halted = f"{len(stops)} of {len(runs)} runs stopped. {stops[0]}" if stops else None
        result = cls.from_curve(
            longest.lrs[: len(losses)],
            losses,
            scores,
            ramp=longest.ramp,
            stop_reason=halted if 2 * len(stops) >= len(runs) else None,
        )
        found = [run.max_lr for run in runs if run.max_lr is not None]
        warnings = [*result.warnings]
        if len(found) < len(runs):
            warnings.append(f"{len(runs) - len(found)} of {len(runs)} runs alone give no `max_lr`.")
        if found and max(found) / min(found) > CONTRADICTION:
            warnings.append(
                f"The seeds contradict each other: `max_lr` is from {min(found):.2g} to "
                f"{max(found):.2g}. Take larger batches or more steps."
            )
        return replace(result, warnings=warnings)

    def schedule(self, step_size_up: float, **parameters: Any) -> CyclicSchedule:
        """The schedule between `base_lr` and `max_lr`.

        Args:
            step_size_up: Steps in the rising half; the paper suggests 2 to 10 epochs.
            parameters: What else a `CyclicSchedule` takes; also a `max_lr` of one's own, of which
                `base_lr` then is a quarter unless it is given too.

        Raises:
            TypeError: An argument of the wrong kind, or an unknown one.
            ValueError: There is no `max_lr`, and none is given; or an argument outside its range.
        """
        if "max_lr" in parameters:
            own = number("max_lr", parameters["max_lr"])
            if own <= 0.0:
                raise ValueError(f"`max_lr` must be positive. {received('max_lr', own)}")
            parameters.setdefault("base_lr", own / BASE_PART)
        elif self.max_lr is None:
            raise ValueError(f"The range test gives no `max_lr`. {' '.join(self.warnings)}")
        boundaries = {"base_lr": self.base_lr, "max_lr": self.max_lr}
        return CyclicSchedule(step_size_up=step_size_up, **(boundaries | parameters))

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        } | {"suggestions": dict(self.suggestions)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote.

        Raises:
            TypeError: Not a mapping, or a value of the wrong kind.
            ValueError: Unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A result must be a mapping. {received('document', document)}")
        expected, given = {each.name for each in fields(cls)}, set(document)
        if given != expected:
            raise ValueError(
                f"A result must have the keys {', '.join(sorted(expected))}. "
                f"Missing: {sorted(expected - given)}. "
                f"Unknown: {sorted(map(str, given - expected))}"
            )
        return cls(**document)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draws the curve, the suggestions and both boundaries. Needs the extra `plot`.

        Args:
            path: Where the picture goes; its ending says in what format, such as `.png`. None: it
                is only returned.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: matplotlib isn't installed.
        """
        from clr_core.range_finding._draw import picture

        return picture(self, path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the curve as a picture, and what there is to say."""
        from clr_core.range_finding._svg import picture

        return picture(self)

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


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TypeError(f"`{name}` must be a list of numbers. {received(name, values)}")
    return tuple(number(name, value) for value in values)


def _rate(name: str, value: object) -> float | None:
    if value is None:
        return None
    rate = number(name, value)
    if rate <= 0.0:
        raise ValueError(f"`{name}` must be positive or None. {received(name, value)}")
    return rate
