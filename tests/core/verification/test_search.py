"""The search for the counts that a log admits, on schedules whose rates are exact."""

import math

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
    found = explaining(Target(SCHEDULE, 3, 10**6), lines, shifted, -5, -3)
    assert found == [(-5, -3)]  # None beyond those that were asked for.
    assert explaining(Target(SCHEDULE, 3, 10**6), lines, shifted, -4, -4) == [(-4, -4)]


def test_no_count_lies_beyond_2_to_the_53():
    line = LoggedRate(2**53, 0.0, 1.0)
    found = narrowed(Target(SCHEDULE, 2**53, 10**6), line, shifted, [(-3, 3)])
    assert found == [(-3, 0)]


def test_a_coarse_line_admits_a_range_on_each_side_of_the_peak():
    # 0.25 + 0.25 * 512 / 1024 is the rate at 512 and at 1536; a step makes 2**-12.
    line = LoggedRate(0, 0.375 - 2.0**-11, 0.375 + 2.0**-11)
    found = narrowed(Target(SCHEDULE, 0, 10**6), line, shifted, [(0, 2048)])
    assert found == [(510, 514), (1534, 1538)]


@pytest.mark.parametrize(
    ("count", "step", "last", "most"),
    [
        (shifted, 0, 4, 5),  # Five rates.
        (shifted, 0, 1000, 60),  # By bisection: half a cycle has two turns, and 2 * 10 rates.
        (times, 10**5, 1000, 1001),  # A rate for each number, as each is many cycles further.
    ],
)
def test_the_cheaper_way_to_narrow_a_range_is_taken(count, step, last, most):
    line = LoggedRate(step, 0.25, 0.375)
    found = narrowed(Target(SCHEDULE, step, most), line, count, [(0, last)])
    good = [n for n in range(last + 1) if SCHEDULE.lr(count(n, step)) <= 0.375]
    assert [n for low, high in found for n in range(low, high + 1)] == good


def test_every_line_counts_though_few_are_looked_at_first():
    lines = [LoggedRate(step, 0.0, 1.0) for step in range(600, 700)]
    at = next(i for i, line in enumerate(lines) if line not in spread(lines, 24))
    lines[at] = exact(SCHEDULE, lambda step: step + 7, [lines[at].step])[0]
    target = Target(SCHEDULE, 700, 10**6)
    assert explaining(target, lines, shifted, -200, 200) == [(7, 7)]


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


class Zigzag:
    """Another kind: it rises for 4 steps, falls for 6, and so on."""

    def lr(self, step):
        return min(step % 10 / 4, (10 - step % 10) / 6)

    def turns(self, first, last):
        yield first
        yield from (turn for turn in range(first + 1, last) if turn % 10 in (0, 4))
        yield last

    def levels(self):
        return {"peak": 1.0}


@pytest.mark.parametrize(("last", "size"), [(0, 1), (1, 1), (9, 9), (10, 10), (500, 10)])
def test_the_size_of_another_kind_is_that_of_its_first_cycle(last, size):
    target = Target(Zigzag(), last, 10)
    assert (target.size, target.repeats, target.constant) == (size, False, False)
    assert target.cyclic is None
    assert target.levels == {"peak": 1.0}


def test_what_a_search_computes_is_counted():
    target = Target(SCHEDULE, 100, 3)
    assert [target.lr(0), target.lr(1024), target.lr(2048)] == [0.25, 0.5, 0.25]
    with pytest.raises(GivenUp):
        target.lr(0)
    # A turn takes as long as 5 rates; a rate with a decay as long as 2, with a `scale_fn` as 4, and
    # with an expression one more for five letters.
    turns = Target(SCHEDULE, 100, 14).turns(0, 2**53)
    assert [next(turns), next(turns)] == [0, 1024]
    with pytest.raises(GivenUp):
        next(turns)
    custom = CyclicSchedule(base_lr=0.25, max_lr=0.5, scale_fn=lambda x: 1 / x)
    expression = CyclicSchedule(base_lr=0.25, max_lr=0.5, scale_fn="(1 + sin(x)) / 2 * 0.9 ** x")
    for schedule, cost in ((DECAYING, 2), (Zigzag(), 2), (custom, 4), (expression, 9)):
        target = Target(schedule, 100, 3 * cost - 1)
        target.lr(0)
        target.lr(1)
        with pytest.raises(GivenUp):
            target.lr(2)


def test_so_are_the_rates_of_other_schedules():
    lines, target = exact(DECAYING, lambda step: step, range(4)), Target(SCHEDULE, 4, 15)
    assert target.explained_by(DECAYING, lines)
    with pytest.raises(GivenUp):
        target.explained_by(DECAYING, lines)


def test_a_count_agrees_if_its_rate_does():
    target = Target(SCHEDULE, 100, 10)
    assert target.agrees(0, LoggedRate(7, 0.25, 0.25))
    assert target.agrees(-5, LoggedRate(7, 0.25, 0.25))
    assert not target.agrees(1, LoggedRate(7, 0.25, 0.25))
    assert target.agrees(2**53, LoggedRate(7, 0.25, 0.5))
    assert not target.agrees(2**53 + 1, LoggedRate(7, 0.25, 0.5))


def test_neighbours_are_one_range():
    # At the foot and at the peak of a coarse log, the rates of some steps look the same.
    line = LoggedRate(0, 0.25, 0.25 + 2.0**-11)
    target = Target(SCHEDULE, 0, 10**6)
    assert narrowed(target, line, shifted, [(0, 4096)]) == [(0, 2), (2046, 2050), (4094, 4096)]
    assert narrowed(target, line, shifted, [(0, 9), (2040, 2049)]) == [(0, 2), (2046, 2049)]
    # Not what lies on either side of one that doesn't fit: here the peak.
    line = LoggedRate(0, SCHEDULE.lr(1023), SCHEDULE.lr(1023))
    assert narrowed(target, line, shifted, [(0, 2048)]) == [(1023, 1023), (1025, 1025)]
    assert explaining(target, [line], shifted, 3, 2) == []


def test_spread_begins_with_the_last_and_the_first():
    lines = [LoggedRate(step, 0.0, 1.0) for step in range(101)]
    assert [line.step for line in spread(lines, 5)] == [100, 0, 50, 75, 25]
    assert spread(lines, 101) == spread(lines, 200) == lines
    assert len(set(spread(lines, 100))) == 100


def test_the_simplest_numbers():
    assert simplest_integer(95, 1250) == 1000
    assert simplest_integer(95, 105) == 100
    assert simplest_integer(101, 109) == 101
    assert [simplest_integer(n, n) for n in (1, 9, 10, 99, 100)] == [1, 9, 10, 99, 100]
    assert simplest_integer(9, 10) == 10
    assert simplest_integer(11, 99) == 20
    assert simplest_integer(1, 9) == 1
    assert simplest(0.29, 0.31) == 0.3
    assert simplest(0.31411, 0.31419) == 0.31415
    assert simplest(0.0, 0.3) == simplest(-0.1, 0.3) == 0.0
    assert simplest(-0.31, -0.29) == -0.3
    assert simplest(-0.3, 0.0) == 0.0
    assert simplest(0.1 + 0.2, 0.1 + 0.2) == 0.30000000000000004
    assert simplest(5.2, 5.8) == 5.5
    assert simplest_ratio(1.99, 2.01) == 2.0
    assert simplest_ratio(0.0999, 0.1001) == 0.1
    assert simplest_ratio(0.1428, 0.1429) == 1 / 7
    assert simplest_ratio(1 / 3, 0.34) == 1 / 3
    # 9 lies between the inverses of these two numbers, but 1 / 9, once rounded, below both.
    low = math.nextafter(1 / 9, 1)
    assert low <= simplest_ratio(low, math.nextafter(low, 1))
