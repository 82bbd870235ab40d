"""Smooth a noisy curve without a lag, and the numbers that the whole room shares."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, sqrt
from statistics import median

RAMPS = ("exponential", "linear")
# The first losses together say where the curve starts, a few in a row that it has diverged: one bad
# batch says neither.
FIRST, IN_A_ROW = 5, 3
# A fall as small as this may be nothing but the rounding of float32 sums.
ROUNDING = 2.0**-20

MOST = 1e100  # Of a loss or a score: sums of squares of them are floats.
FEWEST_NEIGHBOURS = 3
MOST_PLACES = 200  # More places would show no more of a smooth curve.
WIDTH = 0.6  # Half the window, in decades of the rate.


@dataclass(frozen=True)
class SmoothedLoss:
    """A loss or a score over the rate, smoothed over the rate's logarithm.

    Args:
        lrs: At most 200 of the tested rates, evenly spaced on the logarithm.
        values: The smooth curve at these rates.
        error: The standard error of the smooth curve, estimated from neighbouring points.
    """

    lrs: tuple[float, ...]
    values: tuple[float, ...]
    error: float

    @classmethod
    def of(cls, lrs: Sequence[float], values: Sequence[float]) -> SmoothedLoss:
        """The smooth curve through at least three points; `lrs` must rise."""
        x = [log10(lr) for lr in lrs]
        span = x[-1] - x[0]
        spacing = span / (len(x) - 1)
        width = max(min(WIDTH, span / 5), 3 * spacing)
        grid = (x[0] + span * k / (MOST_PLACES - 1) for k in range(MOST_PLACES))
        # The tolerance absorbs the rounding of the grid, so that each point is its own place.
        places = sorted({bisect_left(x, at - 1e-9) for at in grid})
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


def can_be_smoothed(lrs: Sequence[float]) -> bool:
    """True if there are enough rates, and not so close together that their logarithms are equal."""
    return len(lrs) >= FEWEST_NEIGHBOURS and log10(lrs[-1]) - log10(lrs[0]) > 1e-9


def within_bounds(values: Sequence[float]) -> list[float]:
    """The values, no further from zero than sums and squares of them can be computed."""
    return [min(max(value, -MOST), MOST) for value in values]


def beginning(values: Sequence[float]) -> float:
    """The median of the first tenth."""
    return median(values[: max(1, len(values) // 10)])


def clipped(losses: Sequence[float]) -> list[float]:
    """The losses, limited to as far above the start as the lowest is below it.

    How high a diverged loss is says nothing, and would lift its neighbours.
    """
    losses = within_bounds(losses)
    start = beginning(losses)
    most = max(start + (start - min(losses)), *losses[:FIRST])
    return [min(loss, most) for loss in losses]


def smoothed(
    x: Sequence[float], y: Sequence[float], at: Sequence[float], width: float
) -> list[float]:
    """The curve `y(x)` at each of `at`, read from a line through the neighbouring points.

    The line is fitted by least squares to the points within `width` on either side, each with the
    weight `(1 - (distance / width)**3)**3`. So a slope is followed without a lag, up to both ends:

        >>> smoothed(range(9), [2 * x for x in range(9)], [0, 3.5, 8], width=2)
        [0.0, 7.0, 16.0]

    Args:
        x: Coordinates of the points, rising.
        y: Their values.
        at: Coordinates at which to evaluate, within the span of `x`.
        width: Half the window, in the unit of `x`. It grows if it holds fewer than 3 points.

    Returns:
        A float for each of `at`.
    """
    values = []
    for place in at:
        here = width
        while True:
            low, high = bisect_right(x, place - here), bisect_left(x, place + here)
            if high - low >= min(FEWEST_NEIGHBOURS, len(x)):
                break
            here *= 1.5
        values.append(_on_the_line(x[low:high], y[low:high], place, here))
    return values


def _on_the_line(x: Sequence[float], y: Sequence[float], place: float, width: float) -> float:
    s0 = s1 = s2 = t0 = t1 = 0.0
    for each, value in zip(x, y, strict=True):
        distance = each - place
        weight = (1.0 - abs(distance / width) ** 3) ** 3
        s0 += weight
        s1 += weight * distance
        s2 += weight * distance * distance
        t0 += weight * value
        t1 += weight * distance * value
    spread = s0 * s2 - s1 * s1
    # But for rounding, all weight lies on one point, and no line goes through that.
    return t0 / s0 if spread <= 1e-12 * s0 * s2 else (s2 * t0 - s1 * t1) / spread
