"""Read boundaries from the curve of a range test, or say why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, sqrt

from clr_core.range_finding._smoothing import (
    FIRST,
    IN_A_ROW,
    SmoothedLoss,
    beginning,
    can_be_smoothed,
    clipped,
    within_bounds,
)

NAMES = ("steepest", "valley", "minimum", "minimum/10", "edge")
DEFAULT = "edge"
RULES = ("trials", DEFAULT, *NAMES[:-1], "score rises", "score stalls")
"""All suggestions, those that become `max_lr` first."""
# Chosen on half of the tasks of benchmarks/range_test.py, from the middle of what does well there.
EDGE_PART = 10.0
LEARNED = 0.8  # Of the fall: what comes after it may be the bottom, as wide as it likes.
BROKEN = 0.75  # Training has broken once this part of the fall is regained.
WIDER = 100.0  # What to multiply or divide an end of the ramp by, if it was too narrow.

FEWEST_POINTS = 10
SMALLEST, LARGEST = 1e-150, 1e150  # Of a rate: the product of two is a float.
FLAT = 5.0  # Noise alone produces a fall of fewer standard errors of the smooth curve.
BEGUN, STALLED = 0.1, 0.9  # Of the whole fall of the loss, or rise of the score.


@dataclass(frozen=True)
class Reading:
    """The suggestions read from a curve, the chosen one, and warnings about it."""

    suggestions: dict[str, float | None]
    max_lr: float | None = None
    warnings: tuple[str, ...] = ()


def read(
    lrs: Sequence[float],
    losses: Sequence[float],
    scores: Sequence[float] | None,
    stop_reason: str | None,
) -> Reading:
    """Read suggestions for `max_lr` from the curve of a range test.

    The loss is smoothed over the logarithm of the rate. With `low` the rate at which it is lowest,
    `learned` the first rate at which four fifths of the fall are done, and `broken` the rate at
    which three quarters of it are then regained, or the last one:

        valley:     halfway, on the logarithm, from where a tenth of the fall is done to `low`
        steepest:   where it falls most steeply, per decade, between these two
        minimum:    low, and minimum/10 a tenth of it
        edge:       sqrt(learned * broken) / 10, the default

    Args:
        lrs: The rates, rising.
        losses: The loss at each.
        scores: A score at each, or None.
        stop_reason: Why the test stopped: training broke at the last rate or after it.

    Returns:
        The suggestions, to two digits. `max_lr` is None if none of them can be relied on, and a
        warning then says what to change.
    """
    found: dict[str, float | None] = dict.fromkeys(NAMES)
    stopped = stop_reason is not None
    if len(lrs) < FEWEST_POINTS:
        return Reading(found, None, (_too_few(lrs, stop_reason),))
    if not SMALLEST <= lrs[0] < lrs[-1] <= LARGEST or not can_be_smoothed(lrs):
        odd = f"Boundaries can't be read from rates from {lrs[0]:.2g} to {lrs[-1]:.2g}: "
        fix = f"they must lie between {SMALLEST} and {LARGEST}, and not so close together."
        return Reading(found, None, (odd + fix,))
    if scores is not None:
        found |= _paper(SmoothedLoss.of(lrs, within_bounds(scores)))
    curve = SmoothedLoss.of(lrs, clipped(losses))
    values = curve.values
    start = beginning(values)
    low = min(range(len(values)), key=values.__getitem__)
    fall, clear = start - values[low], FLAT * curve.error
    if fall <= clear:
        rises = stopped or min(losses[-IN_A_ROW:]) > max(losses[:FIRST])
        return Reading(found, None, (_no_fall(lrs, rises=rises),))
    top = max((i for i in range(low) if values[i] >= start - BEGUN * fall), default=0)
    found["steepest"] = _steepest(curve, top, low)
    found["valley"] = sqrt(curve.lrs[top] * curve.lrs[low])
    learned = next(
        lr for lr, v in zip(curve.lrs, values, strict=True) if v <= start - LEARNED * fall
    )
    regained = [i for i in range(low, len(values)) if values[i] >= values[low] + BROKEN * fall]
    broken = curve.lrs[regained[0] if regained else -1]
    found["minimum"], found["minimum/10"] = curve.lrs[low], curve.lrs[low] / 10
    found["edge"] = edge = sqrt(learned * broken) / EDGE_PART
    found = {name: value and float(f"{value:.1e}") for name, value in found.items()}
    if edge <= lrs[0]:
        early = f"The loss breaks so early that the suggestion, {edge:.2g}, is below the first rate"
        return Reading(found, None, (f"{early}, {lrs[0]:.2g}. {_lower(lrs)}",))
    warnings: tuple[str, ...] = ()
    if not regained and not stopped:
        warnings = (
            f"Training hadn't broken by the last rate, {curve.lrs[-1]:.2g}: `max_lr` may come out "
            f"higher with `end_lr={curve.lrs[-1] * WIDER:.2g}`.",
        )
    return Reading(found, found[DEFAULT], warnings)


def _too_few(lrs: Sequence[float], stop_reason: str | None) -> str:
    few = f"{len(lrs)} losses are too few to read a curve from; it takes {FEWEST_POINTS}. "
    if stop_reason is None:
        return few + "Let the test run on."
    if not lrs:
        fix = "No update had been made, so it isn't the rate: check the model and the data."
    else:
        fix = f"{_lower(lrs)} Check the batches if that doesn't help: then it isn't the rate."
    return f"{few}{stop_reason} {fix}"


def _lower(lrs: Sequence[float]) -> str:
    return f"Lower the first rate: `start_lr={lrs[0] / WIDER:.2g}`."


def _no_fall(lrs: Sequence[float], *, rises: bool) -> str:
    if rises:
        return (
            "The loss rises, but it doesn't fall before that by more than its noise. Take larger "
            f"batches, or compare trainings, as `range_test` does. {_lower(lrs)[:-1]}, if the loss "
            "rises right from the start."
        )
    return (
        "The loss is flat: it doesn't change by more than its noise. Raise the last rate: "
        f"`end_lr={lrs[-1] * WIDER:.2g}`. If that changes nothing, check that the rate reaches the "
        "optimizer."
    )


def _steepest(curve: SmoothedLoss, top: int, low: int) -> float:
    x, y = [log10(lr) for lr in curve.lrs], curve.values
    slopes = {i: (y[i + 1] - y[i - 1]) / (x[i + 1] - x[i - 1]) for i in range(max(1, top), low)}
    return curve.lrs[min(slopes, key=slopes.__getitem__) if slopes else low]


def _paper(curve: SmoothedLoss) -> dict[str, float | None]:
    """The paper's own boundaries: the rates at which the score begins and stops to rise."""
    values = curve.values
    start = beginning(values)
    rise = max(values) - start
    if rise <= FLAT * curve.error:
        return {"score rises": None, "score stalls": None}
    above = [(value - start) / rise for value in values]
    return {
        "score rises": curve.lrs[next(i for i, part in enumerate(above) if part >= BEGUN)],
        "score stalls": curve.lrs[next(i for i, part in enumerate(above) if part >= STALLED)],
    }
