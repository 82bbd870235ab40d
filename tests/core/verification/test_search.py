"""The search for the counts that a log admits, on schedules whose rates are exact."""

import pytest

from clr_core import CyclicSchedule
from clr_core.verification._search import (
    GivenUp,
    LoggedRate,
    Target,
    explaining,
    narrowed,
    simplest,
    simplest_integer,
    simplest_ratio,
    spread,
)

SCHEDULE = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=1024)
DECAYING = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=1024, mode="triangular2")


def shifted(n, step):
    return step + n


def times(n, step):
    return n * step


def exact(schedule, count, steps):
    return [LoggedRate(step, *[schedule.lr(max(count(step), 0))] * 2) for step in steps]


@pytest.mark.parametrize("n", [-5000, -1, 1, 700, 5000])
def test_finds_a_shift_in_a_wide_range(n):
    lines = exact(DECAYING, lambda step: step + n, range(6000, 9000, 100))
    target = Target(DECAYING, 9000, 10**6)
    assert explaining(target, lines, shifted, -6000, 6000) == [(n, n)]


def test_finds_the_shifts_by_whole_cycles_of_a_wave():
    lines = exact(SCHEDULE, lambda step: step + 3, range(8000, 9000, 10))
    found = explaining(Target(SCHEDULE, 9000, 10**6), lines, shifted, -5000, 5000)
    assert found == [(3 + 2048 * cycle,) * 2 for cycle in (-2, -1, 0, 1, 2)]


@pytest.mark.parametrize("k", [2, 77, 1023])
def test_finds_a_speed(k):
    lines = exact(SCHEDULE, lambda step: k * step, range(200))
    assert explaining(Target(SCHEDULE, 200, 10**6), lines, times, 1, 1023) == [(k, k)]


def test_counts_below_0_have_the_rate_of_step_0():
    lines = exact(SCHEDULE, lambda step: 0, range(3))
    found = explaining(Target(SCHEDULE, 3, 10**6), lines, shifted, -100, 100)
    assert found == [(-100, -2)]


def test_no_count_lies_beyond_2_to_the_53():
    line = LoggedRate(2**53, 0.0, 1.0)
    found = narrowed(Target(SCHEDULE, 2**53, 10**6), line, shifted, [(-3, 3)])
    assert found == [(-3, 0)]


def test_a_coarse_line_admits_a_range_on_each_side_of_the_peak():
    # 0.25 + 0.25 * 512 / 1024 is the rate at 512 and at 1536; a step makes 2**-12.
    line = LoggedRate(0, 0.375 - 2.0**-11, 0.375 + 2.0**-11)
    found = narrowed(Target(SCHEDULE, 0, 10**6), line, shifted, [(0, 2048)])
    assert found == [(510, 514), (1534, 1538)]


def test_a_search_ends_with_its_rates():
    lines = exact(DECAYING, lambda step: step + 9, range(6000, 9000, 100))
    with pytest.raises(GivenUp):
        explaining(Target(DECAYING, 9000, 50), lines, shifted, -6000, 6000)


@pytest.mark.parametrize(
    ("schedule", "size", "repeats", "constant"),
    [
        (SCHEDULE, 2048, True, False),
        (DECAYING, 2048, False, False),
        (CyclicSchedule(base_lr=0.25, max_lr=0.5, scale_fn="1 / x"), 4000, False, False),
        (CyclicSchedule(base_lr=0.25, max_lr=0.25), 4000, True, True),
    ],
)
def test_what_a_target_knows(schedule, size, repeats, constant):
    target = Target(schedule, 100, 10)
    assert (target.size, target.repeats, target.constant) == (size, repeats, constant)
    assert target.cyclic is schedule


def test_spread_begins_with_the_last_and_the_first():
    lines = [LoggedRate(step, 0.0, 1.0) for step in range(101)]
    chosen = [line.step for line in spread(lines, 5)]
    assert chosen[0] == 100
    assert sorted(chosen) == [0, 25, 50, 75, 100]
    assert spread(lines, 200) == lines


def test_the_simplest_numbers():
    assert simplest_integer(95, 1250) == 1000
    assert simplest_integer(95, 105) == 100
    assert simplest_integer(101, 109) == 101
    assert simplest(0.29, 0.31) == 0.3
    assert simplest(0.31411, 0.31419) == 0.31415
    assert simplest(0.0, 0.3) == simplest(-0.1, 0.3) == 0.0
    assert simplest_ratio(1.99, 2.01) == 2.0
    assert simplest_ratio(0.0999, 0.1001) == 0.1
    assert simplest_ratio(0.1428, 0.1429) == 1 / 7
