"""What the curve of a range test suggests, and where it suggests nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, sqrt
from statistics import median

from clr_core.range_finding._smoothing import smoothed
from clr_core.range_finding.ask_tell import FIRST, IN_A_ROW, ROUNDING

DEFAULT = "edge"
# Chosen on half of the tasks of benchmarks/range_test.py, from the middle of what does well there.
EDGE_PART = 10.0
BROKEN = 0.75  # Of the fall, regained: then training has broken.

FEWEST_POINTS = 10
MOST_PLACES = 200  # A smooth curve has no more to show in more of them.
WIDTH = 0.6  # Half the window, in decades of the rate.
FLAT = 4.0  # A fall of fewer standard errors of the smooth curve is found in noise alone.
APART = 3.0  # Decades between the suggestions, from where on they contradict each other.
BEGUN, STALLED = 0.1, 0.9  # Of the whole fall of the loss, or rise of the score.


@dataclass(frozen=True)
class Curve:
    """A loss or a score over the rate, smoothed over the rate's logarithm.

    Args:
        lrs: At most 200 of the tested rates, evenly over the logarithm.
        values: The smooth curve there.
        error: The standard error of the smooth curve, from the noise between neighbours.
    """

    lrs: tuple[float, ...]
    values: tuple[float, ...]
    error: float

    @classmethod
    def of(cls, lrs: Sequence[float], values: Sequence[float]) -> Curve:
        """The curve through these points; `lrs` rises."""
        x = [log10(lr) for lr in lrs]
        span = x[-1] - x[0]
        spacing = span / (len(x) - 1)
        width = max(min(WIDTH, span / 5), 3 * spacing)
        grid = (x[0] + span * k / (MOST_PLACES - 1) for k in range(MOST_PLACES))
        # The tolerance is for the rounding of the grid, so that each point is its own place.
        places = sorted({min(bisect_left(x, at - 1e-9), len(x) - 1) for at in grid})
        bends = [
            abs(b - (a + c) / 2) for a, b, c in zip(values, values[1:], values[2:], strict=False)
        ]
        # From the median of |b - (a + c) / 2| to the standard deviation of b, in normal noise.
        noise = median(bends) / 0.6745 / sqrt(1.5)
        return cls(
            lrs=tuple(lrs[i] for i in places),
            values=tuple(smoothed(x, values, [x[i] for i in places], width)),
            error=max(noise / sqrt(width / spacing), ROUNDING * max(map(abs, values))),
        )


@dataclass(frozen=True)
class Reading:
    """What was read from a curve: the suggestions, the one chosen, and what there is to say."""

    suggestions: dict[str, float | None]
    max_lr: float | None = None
    warnings: tuple[str, ...] = ()


NAMES = ("steepest", "valley", "minimum", "minimum/10", "edge")


def read(
    lrs: Sequence[float],
    losses: Sequence[float],
    scores: Sequence[float] | None,
    *,
    stopped: bool,
) -> Reading:
    """The suggestions for `max_lr` from what a range test recorded.

    With the loss smoothed over the logarithm of the rate, `low` where it is lowest and `broken`
    where it has then regained three quarters of its fall:

        valley:     halfway, on the logarithm, from where a tenth of the fall is done to `low`
        steepest:   where it falls most steeply, per decade, between these two
        minimum:    low, and minimum/10 a tenth of it
        edge:       sqrt(low * broken) / 10, the default

    Args:
        lrs: The rates, rising.
        losses: The loss at each.
        scores: A score at each, or None.
        stopped: Whether the test has stopped because training broke at the last rate, or after it.

    Returns:
        The suggestions, to two digits. `max_lr` is None where none of them can be relied on, and
        then a warning says what to change.
    """
    found: dict[str, float | None] = dict.fromkeys(NAMES)
    if len(lrs) < FEWEST_POINTS:
        few = f"{len(lrs)} losses are too few to read a curve from; it takes {FEWEST_POINTS}. "
        fix = "Lower `start_lr`, or raise `num_steps`." if stopped else "Let the test run on."
        return Reading(found, None, (few + fix,))
    if scores is not None:
        found |= _paper(Curve.of(lrs, scores))
    curve = Curve.of(lrs, clipped(losses))
    values = curve.values
    beginning = median(values[: max(1, len(values) // 10)])
    low = min(range(len(values)), key=values.__getitem__)
    fall, clear = beginning - values[low], FLAT * curve.error
    if fall <= clear:
        rises = stopped or min(losses[-IN_A_ROW:]) > max(losses[:FIRST])
        return Reading(found, None, (_no_fall(lrs, rises=rises),))
    top = max((i for i in range(low) if values[i] >= beginning - BEGUN * fall), default=0)
    found["steepest"] = _steepest(curve, top, low)
    found["valley"] = sqrt(curve.lrs[top] * curve.lrs[low])
    regained = [i for i in range(low, len(values)) if values[i] >= values[low] + BROKEN * fall]
    warnings: tuple[str, ...] = ()
    if not regained and not stopped:
        if max(values[low:]) <= values[low] + clear:
            still = f"The loss is still at its lowest at the last rate, {curve.lrs[-1]:.2g}"
            return Reading(found, None, (f"{still}: training hasn't broken. Raise `end_lr`.",))
        warnings = (
            f"Training hadn't broken by the last rate, {curve.lrs[-1]:.2g}: with a larger `end_lr` "
            "`max_lr` may come out higher.",
        )
    broken = curve.lrs[regained[0] if regained else -1]
    found["minimum"], found["minimum/10"] = curve.lrs[low], curve.lrs[low] / 10
    found["edge"] = edge = sqrt(curve.lrs[low] * broken) / EDGE_PART
    found = {name: value and float(f"{value:.1e}") for name, value in found.items()}
    if edge <= lrs[0]:
        early = f"The loss breaks so early that the suggestion, {edge:.2g}, is below the first rate"
        return Reading(found, None, (f"{early}, {lrs[0]:.2g}. Lower `start_lr`.",))
    named = {value: name for name, value in found.items() if name in NAMES and value is not None}
    least, largest = min(named), max(named)
    if log10(largest / least) > APART:
        return Reading(
            found,
            None,
            (
                f"The suggestions contradict each other, from {least:.2g} ({named[least]}) to "
                f"{largest:.2g} ({named[largest]}): the loss is too noisy. Take larger batches, "
                "more steps, or several runs with `repeats`.",
            ),
        )
    return Reading(found, found[DEFAULT], warnings)


def clipped(losses: Sequence[float]) -> list[float]:
    """The losses, at most as far above where they start as the lowest is below that.

    How high a loss is that has diverged says nothing, and would lift its neighbours.
    """
    start = median(losses[: max(1, len(losses) // 10)])
    most = max(start + (start - min(losses)), *losses[:FIRST])
    return [min(loss, most) for loss in losses]


def _no_fall(lrs: Sequence[float], *, rises: bool) -> str:
    if rises:
        return (
            "The loss rises, but it doesn't fall before that by more than its noise. Take larger "
            "batches, or several runs with `repeats`; or lower `start_lr`, which is "
            f"{lrs[0]:.2g}, if it rises from there on."
        )
    return (
        "The loss is flat: it doesn't change by more than its noise. Raise `end_lr`, which is "
        f"{lrs[-1]:.2g}, and see that the rate arrives in the optimizer."
    )


def _steepest(curve: Curve, top: int, low: int) -> float:
    x, y = [log10(lr) for lr in curve.lrs], curve.values
    slopes = {i: (y[i + 1] - y[i - 1]) / (x[i + 1] - x[i - 1]) for i in range(max(1, top), low)}
    return curve.lrs[min(slopes, key=slopes.__getitem__) if slopes else low]


def _paper(curve: Curve) -> dict[str, float | None]:
    """Where the score begins to rise, and where it stops rising: the paper's own boundaries."""
    values = curve.values
    beginning = median(values[: max(1, len(values) // 10)])
    rise = max(values) - beginning
    if rise <= FLAT * curve.error:
        return {"score rises": None, "score stalls": None}
    above = [(value - beginning) / rise for value in values]
    return {
        "score rises": curve.lrs[next(i for i, part in enumerate(above) if part >= BEGUN)],
        "score stalls": curve.lrs[next(i for i, part in enumerate(above) if part >= STALLED)],
    }
