"""Smoothing: a line stays a line, and nothing lags behind."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clr_core.range_finding._smoothing import smoothed


@given(
    slope=st.integers(-1000, 1000),
    level=st.integers(-1000, 1000),
    x=st.lists(st.integers(0, 500), min_size=3, max_size=40, unique=True).map(sorted),
    width=st.integers(1, 100),
)
def test_a_line_stays_a_line_up_to_both_ends(slope, level, x, width):
    y = [level + slope * each for each in x]
    for value, smooth in zip(y, smoothed(x, y, x, width), strict=True):
        # Sums of some forty products of up to a million, and a difference of such sums.
        assert math.isclose(value, smooth, rel_tol=1e-9, abs_tol=1e-3)


def test_no_lag():
    x = [i / 10 for i in range(-40, 41)]
    smooth = smoothed(x, [abs(each) for each in x], x, 0.6)
    assert smooth.index(min(smooth)) == 40
    for left, right in zip(smooth, reversed(smooth), strict=True):
        assert left == pytest.approx(right, abs=1e-12)  # Sums in the other order.
