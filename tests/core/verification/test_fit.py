"""The fit of parameters: boundaries as a polygon, exactly; and the whole schedule."""

import math

import pytest

from clr_core import CyclicSchedule
from clr_core.verification._fit import (
    _closest,
    _Family,
    _section,
    _simplest_in,
    _sizes_scanned,
    _solved,
    _turns,
    boundaries,
    other_parameters,
)
from clr_core.verification._search import LoggedRate, Target
from clr_core.verification.faults import OtherParameters

SCHEDULE = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64)


def lines_of(schedule, steps, half=2.0**-30):
    rates = ((step, schedule.lr(step)) for step in steps)
    return [LoggedRate(step, rate - half, rate + half) for step, rate in rates]


def wave(step):
    return step / 4


def test_two_fine_lines_leave_next_to_one_point():
    tiny = 1e-14
    lines = [LoggedRate(0, 1.0 - tiny, 1.0), LoggedRate(2, 2.0 - tiny, 2.0)]
    corners = boundaries(wave, lines)
    assert len(corners) == 4
    for corner in corners:
        assert corner == pytest.approx((1.0, 3.0), rel=2 * tiny)


def test_the_corners_of_four_inequalities():
    lines = [LoggedRate(0, 1.0, 2.0), LoggedRate(4, 3.0, 5.0)]
    assert set(boundaries(wave, lines)) == {(1.0, 3.0), (1.0, 5.0), (2.0, 3.0), (2.0, 5.0)}


def test_a_line_that_none_explains_leaves_nothing():
    lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(4, 3.0, 3.5)]
    assert boundaries(wave, [*lines, LoggedRate(2, 1.5, 2.5)])
    assert boundaries(wave, [*lines, LoggedRate(2, 2.6, 2.7)]) == []


@pytest.mark.parametrize(
    "line", [LoggedRate(0, -2.0, -1.0), LoggedRate(4, -2.0, -1.0), LoggedRate(2, -2.0, -1.0)]
)
def test_a_rate_below_0_leaves_nothing(line):
    assert boundaries(wave, [line]) == []


def test_the_upper_boundary_is_no_lower_than_the_base():
    assert boundaries(wave, [LoggedRate(0, 2.0, 3.0), LoggedRate(4, 1.0, 1.5)]) == []


def test_a_rate_of_a_float32_ulp_around_0_bounds_the_base_only():
    lines = [LoggedRate(0, -(2.0**-150), 2.0**-150), LoggedRate(3, 0.75, 0.75)]
    corners = boundaries(wave, lines)
    assert [top for _, top in corners] == pytest.approx([1.0] * len(corners))
    assert max(base for base, _ in corners) == 2.0**-150


@pytest.mark.parametrize(
    "changes",
    [
        {"base_lr": 0.125},
        {"max_lr": 0.75},
        {"base_lr": 0.0, "max_lr": 0.4},
        {"step_size_up": 50},
        {"step_size_down": 96},
        {"step_size_up": 31, "step_size_down": 47},
        {"mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.995},
        {"step_size_up": 33.5},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_finds_what_was_changed(changes):
    other = CyclicSchedule(**{"base_lr": 0.25, "max_lr": 0.5, "step_size_up": 64} | changes)
    lines = lines_of(other, range(500))
    found = list(other_parameters(Target(SCHEDULE, 500, 10**6), SCHEDULE, lines, 7))
    assert found == [OtherParameters(changes, since=7)]


def test_one_line_that_is_off_is_no_other_schedule():
    lines = lines_of(SCHEDULE, range(500), half=0.001)
    step, low, high = lines[77]
    lines[77] = LoggedRate(step, low + 0.0011, high + 0.0011)
    assert list(other_parameters(Target(SCHEDULE, 500, 10**6), SCHEDULE, lines, None)) == []


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"max_lr": 0.75}, 50_000),
        ({"step_size_up": 50}, 50_000),
        ({"mode": "exp_range", "gamma": 0.995}, 160_000),
    ],
    ids=["max_lr", "step_size_up", "gamma"],
)
def test_a_fit_takes_no_longer_than_it_must(changes, most):
    # About a fifth more rates than it needs: with more, a verdict would give up sooner.
    other = CyclicSchedule(**{"base_lr": 0.25, "max_lr": 0.5, "step_size_up": 64} | changes)
    target = Target(SCHEDULE, 500, most)
    lines = lines_of(other, range(500))
    assert list(other_parameters(target, SCHEDULE, lines, None)) == [OtherParameters(changes)]


def test_two_changes_that_explain_as_much_are_both_told():
    # Within the first rise, half the size is twice the slope; so is a higher boundary.
    schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64, step_size_down=1000)
    other = CyclicSchedule(base_lr=0.25, max_lr=0.75, step_size_up=64, step_size_down=1000)
    lines = lines_of(other, range(30))
    found = list(other_parameters(Target(schedule, 30, 10**6), schedule, lines, None))
    assert {tuple(each.parameters) for each in found} >= {("max_lr",), ("step_size_up",)}


def test_the_closest_boundaries():
    waves = [0.0, 0.25, 0.5, 1.0]
    lines = lines_of(CyclicSchedule(base_lr=1, max_lr=3, step_size_up=4), [0, 1, 2, 4], 0.125)
    errors, point = _closest(waves, lines, None, None)
    assert point == pytest.approx((1.0, 3.0))
    assert errors == pytest.approx([0.0] * 4, abs=1e-12)
    # A boundary that is kept: the other one makes up for it, and the errors are in half widths.
    errors, point = _closest(waves, lines, None, 3.0)
    assert point == pytest.approx((1.0, 3.0))
    errors, point = _closest([0.0, 1.0], [lines[0], lines[3]], 1.5, None)
    assert point == pytest.approx((1.5, 3.0))
    assert errors == pytest.approx([4.0, 0.0])
    errors, point = _closest([0.0, 0.0], [lines[0], lines[0]], 0.5, None)
    assert (errors, point) == ([-4.0, -4.0], (0.5, 0.5))
    errors, point = _closest([1.0], [lines[3]], None, 3.0)
    assert (errors, point) == ([0.0], (0.0, 3.0))


def test_boundaries_that_cannot_be_are_none():
    lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(1, 2.0, 2.5)]
    assert _closest([0.5, 0.5], lines, None, None) is None  # No two unknowns from one wave.
    assert _closest([1.0, 0.0], lines, None, None) is None  # The upper one would be the lower.
    assert _closest([math.nan, 0.0], lines, None, None) is None
    assert _closest([0.0, 1.0], lines, 3.0, None) is None


def test_a_fine_line_weighs_more_than_a_coarse_one():
    # The weights are 1 and 1/16, by the squares of the widths: (16 * 1 + 2) / 17.
    lines = [LoggedRate(0, 0.75, 1.25), LoggedRate(0, 1.0, 3.0), LoggedRate(0, 4.0, 4.5)]
    _, (base, top) = _closest([0.0, 0.0, 1.0], lines, None, None)
    assert (base, top) == pytest.approx((18 / 17, 4.25))


def test_the_damped_step_of_least_squares():
    slopes, errors = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [3.0, 4.0, 5.0]
    assert _solved(slopes, errors, 0.0) == pytest.approx([-3.0, -2.0])
    assert _solved(slopes, errors, 1.0) == pytest.approx([-1.5, -1.0])
    # 2 x + y = -1 and x + 3 y = -8, from slopes (1, 1) and (-1, 2) by their products.
    assert _solved([[1.0, 1.0], [0.0, 1.0]], [2.0, 5.0], 0.0) == pytest.approx([-2.0, -3.0])
    assert _solved([[0.0, 1.0, 1.0], [1e9, 1e9, 0.0], [0.0, 0.0, 1e-6]], [1.0, 2.0, 3.0], 0.0) == (
        pytest.approx([-1.0, -1e-9, -2e6])
    )
    assert _solved([[0.0, 0.0]], [1.0, 2.0], 0.0) == [0.0]


def test_turns_that_are_more_than_rounding():
    rates = [1.0, 2.0, 5.0, 4.9, 5.0, 3.0, 1.0, 1.1, 4.0, 5.0, 2.0]
    lines = [LoggedRate(10 * i, rate - 0.02, rate + 0.02) for i, rate in enumerate(rates)]
    assert _turns(lines) == [40, 60, 90]
    # A fall by four widths of a line may be rounding.
    coarse = [LoggedRate(10 * i, rate - 0.6, rate + 0.6) for i, rate in enumerate(rates)]
    assert _turns(coarse) == []
    coarse = [LoggedRate(10 * i, rate - 0.4, rate + 0.4) for i, rate in enumerate(rates)]
    assert _turns(coarse) == [40, 60]
    assert _turns(lines[2:3]) == []
    assert _turns([LoggedRate(0, 5.0, 5.0), LoggedRate(1, 4.0, 4.0), LoggedRate(2, 5.0, 5.0)]) == [
        1
    ]


def test_sizes_are_scanned_on_the_first_lines():
    other = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=5)
    lines = lines_of(other, range(0, 14_000, 7))
    family = _Family(Target(SCHEDULE, 14_000, 10**7), SCHEDULE, "triangular")
    found = list(_sizes_scanned(family, lines))
    assert found == list(_sizes_scanned(family, lines[:48]))
    # At these steps, the rates of a cycle of 10 are also those of one of 10 / 3 times seven.
    assert len(found) == 3
    assert all(2 * 7 <= sum(sizes) < 4 * lines[47].step for sizes in found)


@pytest.mark.parametrize(("dip", "turns"), [(98.5, [1, 2]), (99.5, [])])
def test_a_turn_is_more_than_a_fiftieth_of_the_range(dip, turns):
    rates = [1.0, 101.0, dip, 101.0]
    assert _turns([LoggedRate(step, rate, rate) for step, rate in enumerate(rates)]) == turns


SQUARE = [(1.04, 2.04), (1.04, 3.06), (2.06, 3.06), (2.06, 2.04)]


def test_the_sections_of_a_polygon():
    assert _section(SQUARE, 0, 1.5) == (2.04, 3.06)
    assert _section(SQUARE, 1, 2.5) == (1.04, 2.06)
    assert _section(SQUARE, 0, 2.06) == (2.04, 3.06)
    assert _section(SQUARE, 0, 2.07) is None
    assert _section([(0.0, 0.0), (4.0, 2.0), (4.0, 6.0)], 0, 2.0) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("base", "top", "kept", "point"),
    [
        (1.23, 2.34, {}, (1.23, 2.34)),
        (1.23, 4.0, {}, (1.23, 3.0)),
        (0.5, 2.34, {}, (2.0, 2.34)),
        (0.5, 4.0, {}, (2.0, 3.0)),
        (0.5, 4.0, {"max_lr": 4.0}, None),
        (1.23, 4.0, {"max_lr": 4.0}, None),
        (0.5, 2.34, {"base_lr": 0.5}, None),
        (1.23, 2.34, {"base_lr": 1.23, "max_lr": 2.34}, (1.23, 2.34)),
    ],
)
def test_the_simplest_point_keeps_what_it_can(base, top, kept, point):
    own = CyclicSchedule(base_lr=base, max_lr=top)
    assert _simplest_in(SQUARE, own, kept) == point
