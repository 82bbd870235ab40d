"""The fit of parameters: of the boundaries, of the sizes, and of the whole schedule."""

import math

import pytest

from clr_core import CyclicSchedule
from clr_core.verification._fit import (
    Family,
    boundary_between,
    closest_boundaries,
    other_parameters,
    sizes_scanned,
    solved,
)
from clr_core.verification._search import GivenUp, LoggedRate, Target
from clr_core.verification.faults import OtherParameters

SCHEDULE = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64)


def lines_of(schedule, steps, half=2.0**-30):
    rates = ((step, schedule.lr(step)) for step in steps)
    return [LoggedRate(step, rate - half, rate + half) for step, rate in rates]


@pytest.mark.parametrize(
    ("name", "waves", "between"),
    [
        ("max_lr", [0.0, 0.5], (3.0, 4.0)),
        ("base_lr", [1.0, 0.5], (2.0, 3.0)),
        ("max_lr", [0.0, 0.0], None),  # Nothing bounds it.
        ("max_lr", [0.5, 1.0], (2.0, 2.0)),
        ("max_lr", [1.0, 0.5], None),  # At most 1.5, and at least 3.
    ],
)
def test_what_a_boundary_may_be(name, waves, between):
    lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(1, 2.0, 2.5)]
    assert boundary_between(waves, lines, {"base_lr": 1.0, "max_lr": 2.0}, name) == between


@pytest.mark.parametrize(("every", "count"), [(3, 100), (9, 400)])
def test_finds_the_size_of_few_cycles_and_of_many(every, count):
    # Some lines from all over the log show the size of five cycles; only the first ones, of 58.
    steps = range(0, every * count, every)
    lines = lines_of(CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=31), steps)
    found = list(other_parameters(Target(SCHEDULE, steps[-1], 10**6), lines, None))
    assert found == [OtherParameters({"step_size_up": 31})]


def test_finds_a_size_and_a_decay_of_hundreds_of_cycles():
    # The first cycles alone don't show the size well enough for the last ones.
    other = CyclicSchedule(
        base_lr=0.25, max_lr=0.5, step_size_up=67, mode="exp_range", gamma=0.9999
    )
    lines = lines_of(other, range(0, 60_000, 101), half=1e-5)
    found = list(other_parameters(Target(SCHEDULE, lines[-1].step, 10**6), lines, None))
    assert found == [OtherParameters({"step_size_up": 67, "mode": "exp_range", "gamma": 0.9999})]


def test_a_boundary_keeps_its_value_if_the_log_admits_it():
    # The log is coarse: 0.5 would have fewer digits.
    given = {"base_lr": 0.25, "max_lr": 0.5003}
    lines = lines_of(CyclicSchedule(**given, step_size_up=31), range(500), half=0.001)
    target = Target(CyclicSchedule(**given, step_size_up=64), 500, 10**6)
    assert list(other_parameters(target, lines, None)) == [OtherParameters({"step_size_up": 31})]


def test_one_line_that_is_off_is_no_other_schedule():
    lines = lines_of(SCHEDULE, range(500), half=0.001)
    step, low, high = lines[77]
    lines[77] = LoggedRate(step, low + 0.0011, high + 0.0011)
    assert list(other_parameters(Target(SCHEDULE, 500, 10**6), lines, None)) == []


def test_a_schedule_explains_every_line_or_none():
    lines = lines_of(SCHEDULE, range(500))
    family = Family(Target(SCHEDULE, 500, 10**6), SCHEDULE, "triangular")
    numbers = {"base_lr": 0.25, "max_lr": 0.5, "step_size_up": 64.0, "step_size_down": 64.0}
    assert family.explaining(numbers, lines) == SCHEDULE
    step, low, high = lines[77]
    assert family.explaining(numbers, [*lines, LoggedRate(step, low + 0.001, high + 0.001)]) is None
    assert family.explaining(numbers | {"max_lr": 0.2}, lines) is None


@pytest.mark.parametrize(("differ", "named"), [(3, False), (4, True)])
def test_four_lines_that_differ_show_one_change(differ, named):
    # Through fewer lines, other numbers go by chance.
    other = CyclicSchedule(base_lr=0.25, max_lr=0.75, step_size_up=64)
    steps = sorted([*range(0, 1281, 128), *[64, 160, 304, 400][:differ]])
    found = list(other_parameters(Target(SCHEDULE, 1280, 10**6), lines_of(other, steps), None))
    assert found == ([OtherParameters({"max_lr": 0.75})] if named else [])


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"max_lr": 0.75}, 20_000),
        ({"step_size_up": 50}, 50_000),
        ({"mode": "exp_range", "gamma": 0.995}, 70_000),
    ],
    ids=["max_lr", "step_size_up", "gamma"],
)
def test_a_fit_takes_no_longer_than_it_must_and_no_longer_than_it_may(changes, most):
    # About a fifth more rates than it needs: with more, a verdict would give up sooner.
    other = CyclicSchedule(**{"base_lr": 0.25, "max_lr": 0.5, "step_size_up": 64} | changes)
    target = Target(SCHEDULE, 500, most)
    lines = lines_of(other, range(500))
    assert list(other_parameters(target, lines, None)) == [OtherParameters(changes)]
    with pytest.raises(GivenUp):  # It counts what it takes, so that a verdict ends in time.
        list(other_parameters(Target(SCHEDULE, 500, most // 2), lines, None))


def test_two_changes_that_explain_as_much_are_both_told():
    # Within the first rise, half the size is twice the slope; so is a higher boundary.
    schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64, step_size_down=1000)
    other = CyclicSchedule(base_lr=0.25, max_lr=0.75, step_size_up=64, step_size_down=1000)
    lines = lines_of(other, range(30))
    found = list(other_parameters(Target(schedule, 30, 10**6), lines, None))
    assert {tuple(each.parameters) for each in found} >= {("max_lr",), ("step_size_up",)}


def closest(waves, lines, base=None, top=None):
    """The boundaries closest to the lines, and the errors."""
    given = {"base_lr": base, "max_lr": top}
    free = [name for name, value in given.items() if value is None]
    fit = closest_boundaries(waves, lines, given, free)
    return fit and (fit.errors, (fit.numbers["base_lr"], fit.numbers["max_lr"]))


def test_the_closest_boundaries():
    waves = [0.0, 0.25, 0.5, 1.0]
    lines = lines_of(CyclicSchedule(base_lr=1, max_lr=3, step_size_up=4), [0, 1, 2, 4], 0.125)
    errors, point = closest(waves, lines)
    assert point == pytest.approx((1.0, 3.0))
    assert errors == pytest.approx([0.0] * 4, abs=1e-12)
    # A boundary that is kept: the other one makes up for it, and the errors are in half widths.
    assert closest(waves, lines, top=3.0)[1] == pytest.approx((1.0, 3.0))
    errors, point = closest([0.0, 1.0], [lines[0], lines[3]], base=1.5)
    assert point == pytest.approx((1.5, 3.0))
    assert errors == pytest.approx([4.0, 0.0])
    assert closest([0.0, 0.0], [lines[0], lines[0]], base=0.5) == ([-4.0, -4.0], (0.5, 0.5))
    assert closest([1.0], [lines[3]], top=3.0) == ([0.0], (0.0, 3.0))


def test_boundaries_that_cannot_be_are_none():
    lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(1, 2.0, 2.5)]
    assert closest([0.5, 0.5], lines) is None  # No two unknowns from one wave.
    assert closest([1.0, 0.0], lines) is None  # The upper one would be the lower.
    assert closest([math.nan, 0.0], lines) is None
    assert closest([0.0, 1.0], lines, base=3.0) is None


def test_a_fine_line_weighs_more_than_a_coarse_one():
    # The weights are 1 and 1/16, by the squares of the widths: (16 * 1 + 2) / 17.
    lines = [LoggedRate(0, 0.75, 1.25), LoggedRate(0, 1.0, 3.0), LoggedRate(0, 4.0, 4.5)]
    assert closest([0.0, 0.0, 1.0], lines)[1] == pytest.approx((18 / 17, 4.25))


def test_the_step_of_least_squares():
    slopes, errors = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [3.0, 4.0, 5.0]
    assert solved(slopes, errors) == pytest.approx([-3.0, -2.0])
    # 2 x + y = -1 and x + 3 y = -8, from slopes (1, 1) and (-1, 2) by their products.
    assert solved([[1.0, 1.0], [0.0, 1.0]], [2.0, 5.0]) == pytest.approx([-2.0, -3.0])
    assert solved([[0.0, 1.0, 1.0], [1e9, 1e9, 0.0], [0.0, 0.0, 1e-6]], [1.0, 2.0, 3.0]) == (
        pytest.approx([-1.0, -1e-9, -2e6])
    )
    assert solved([[0.0, 0.0]], [1.0, 2.0]) == [0.0]


@pytest.mark.parametrize("every", [7, 20, 40])
def test_sizes_that_a_log_shows_are_among_those_scanned(every):
    other = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=90)
    lines = lines_of(other, range(0, 36 * every, every))
    found = list(
        sizes_scanned(Family(Target(SCHEDULE, 2000, 10**7), SCHEDULE, "triangular"), lines)
    )
    assert len(found) == 3
    assert any([*each.values()] == pytest.approx([90, 90], rel=0.1) for each in found)
