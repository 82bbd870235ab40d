"""The fit of parameters: boundaries as a polygon, exactly; and the whole schedule."""

import pytest

from clr_core import CyclicSchedule
from clr_core.verification._fit import boundaries, other_parameters
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
