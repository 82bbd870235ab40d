"""Smoothing: a line stays a line, and nothing lags behind."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clr_core.range_finding._smoothing import SmoothedLoss, beginning, clipped, smoothed


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


def ramp(points, decades):
    return [10.0 ** (decades * i / (points - 1)) for i in range(points)]


def test_a_window_that_holds_fewer_than_three_points_grows():
    # From 0.5 by halves to 1.125: besides the place, the points at a distance of 1.
    weight = (1 - (1 / 1.125) ** 3) ** 3
    (value,) = smoothed([0, 1, 2, 3, 4], [0, 0, 3, 0, 0], [2], 0.5)
    assert value == pytest.approx(3 / (1 + 2 * weight), rel=1e-12)
    # From 0.6 by halves to 2.025: two points at a distance of 0.5, and two at 1.5.
    near, far = ((1 - (distance / 2.025) ** 3) ** 3 for distance in (0.5, 1.5))
    (value,) = smoothed([0, 1, 2, 3], [0, 0, 3, 0], [1.5], 0.6)
    assert value == pytest.approx(3 * near / (2 * near + 2 * far), rel=1e-12)


def test_a_single_point_is_its_own_curve():
    assert smoothed([2.0], [5.5], [2.0], 1.0) == [5.5]


@pytest.mark.parametrize(
    ("decades", "in_half_a_window"), [(5, 600), (1, 1000)], ids=["0.6 decades", "a fifth"]
)
def test_the_error_of_normal_noise(decades, in_half_a_window):
    rng = random.Random(0)
    curve = SmoothedLoss.of(ramp(5001, decades), [rng.gauss(7, 1) for _ in range(5001)])
    # The median of 5,000 bends has an error of 2 %.
    assert curve.error == pytest.approx(1 / math.sqrt(in_half_a_window), rel=0.05)


def test_half_a_window_is_at_least_three_points():
    curve = SmoothedLoss.of(ramp(10, 1), [1.0, -1.0] * 5)
    # Each point is 2 away from the middle of its neighbours. In normal noise, half of the points
    # are less than 0.6745 * sqrt(1 + 1/4 + 1/4) standard deviations away.
    assert curve.error == pytest.approx(2 / 0.6745 / math.sqrt(1.5) / math.sqrt(3), rel=1e-12)
    # Of five points, the middle one sees all others, of which the outer ones are 2/3 away.
    far, near = (1 - (2 / 3) ** 3) ** 3, (1 - (1 / 3) ** 3) ** 3
    middle = SmoothedLoss.of(ramp(5, 1), [1.0, 0.0, 0.0, 0.0, 1.0]).values[2]
    assert middle == pytest.approx(2 * far / (1 + 2 * near + 2 * far), rel=1e-9)


def test_without_noise_the_error_is_the_rounding_of_float32():
    assert SmoothedLoss.of(ramp(10, 1), [-8.0] * 10).error == 8.0 * 2.0**-20


@pytest.mark.parametrize(("points", "places"), [(100, 100), (200, 200), (1000, 200)])
def test_at_most_200_places_from_the_first_to_the_last(points, places):
    lrs = ramp(points, 7)
    curve = SmoothedLoss.of(lrs, lrs)
    assert len(curve.lrs) == len(curve.values) == places
    assert (curve.lrs[0], curve.lrs[-1]) == (lrs[0], lrs[-1])
    assert set(curve.lrs) <= set(lrs)


def test_the_beginning_is_the_median_of_the_first_tenth():
    assert beginning(range(110)) == 5  # Of 0 to 10.
    assert beginning([4.0, 0.0, 0.0]) == 4.0


def test_losses_are_clipped_as_far_above_the_start_as_the_lowest_is_below_it():
    assert clipped([3.0] * 10 + [1.0, 9.0]) == [3.0] * 10 + [1.0, 5.0]
    # But never below one of the first five.
    assert clipped([3.0] * 4 + [7.0] * 2 + [8.0, 1.0]) == [3.0] * 4 + [7.0] * 3 + [1.0]
    assert clipped([3.0] * 5 + [7.0, 1.0]) == [3.0] * 5 + [5.0, 1.0]


def test_if_one_point_has_all_the_weight_its_value_counts():
    # The others lie within a millionth of the ends of the window; a line through all is rounding.
    (value,) = smoothed([-1 + 1e-6, 0.5, 1 - 1e-6], [0.0, 5.5, 0.0], [0.0], 1)
    assert value == pytest.approx(5.5, rel=1e-9)
