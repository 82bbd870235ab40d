"""A noisy curve made smooth, centred and without a lag."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

FEWEST_NEIGHBOURS = 3


def smoothed(
    x: Sequence[float], y: Sequence[float], at: Sequence[float], width: float
) -> list[float]:
    """The value of the curve `y(x)` at each of `at`, on a line through its neighbours there.

    The line is fitted by least squares to the points within `width` on either side, each with the
    weight `(1 - (distance / width)**3)**3`. So a slope is followed without a lag, up to both ends:

        >>> smoothed(range(9), [2 * x for x in range(9)], [0, 3.5, 8], width=2)
        [0.0, 7.0, 16.0]

    Args:
        x: Where the points are, rising.
        y: Their values.
        at: Where to evaluate, within the span of `x`.
        width: Half the window, in the unit of `x`. Where this holds fewer than 3 points it grows.

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
    # All weight on one point, but for rounding: no line goes through that.
    return t0 / s0 if spread <= 1e-12 * s0 * s2 else (s2 * t0 - s1 * t1) / spread
