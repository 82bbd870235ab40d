"""The points by which a schedule is drawn: an even grid from 0, and every turn."""

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
from clr_core.schedules.samples import (
    logarithmic_from,
    round_size,
    sampled_steps,
    samples,
    usual_end,
)
from other_kinds import Cosine

CYCLIC = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, step_size_down=5)
LAST = 2**53


class Given:
    """The least of a schedule: the turns that it is given, and one rate."""

    def __init__(self, *turns, rate=0.5, momentum=None):
        self.turning, self.rate, self.constant = turns, rate, momentum

    def lr(self, step):
        return self.rate

    def momentum(self, step):
        return self.constant

    def turns(self, first, last):
        yield first
        yield from (turn for turn in self.turning if first < turn < last)
        if last > first:
            yield int(str(last))  # Equal, but another object.


def even(end, points):
    return {round(Fraction(end * i, points)) for i in range(points + 1)}


@pytest.mark.parametrize(
    ("schedule", "cycles", "end"),
    [
        (CYCLIC, 3, 21),
        (CYCLIC, 2, 14),
        (CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=4.5, step_size_down=2.75), 3, 22),
        (CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1e15), 3, 6 * 10**15),
        (CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1e16), 3, LAST),
        # Of other kinds: after the last turn, but never after more than two turns a cycle.
        (Given(7), 3, 7),
        (Given(10, 20, 30, 40, 50), 3, 50),
        (Given(10, 20, 30, 40, 50, 60, 70, 80), 3, 60),
        (Given(10, 20, 30, 40, 50, 60, 70, 80), 2, 40),
        (Given(LAST - 1), 3, LAST - 1),
        # Without a turn: as far as there are points.
        (Given(), 3, 4000),
        (Given(1), 3, 1),
    ],
)
def test_the_step_at_which_a_picture_ends(schedule, cycles, end):
    assert usual_end(schedule, cycles) == end
    if cycles == 3:
        assert usual_end(schedule) == end


def test_a_picture_of_cycles_shorter_than_a_step_has_a_step():
    schedule = Given()
    schedule.cycle_size = 0.1
    assert usual_end(schedule) == 1


@pytest.mark.parametrize("end", [1, 9, 10, 10**6 + 1, 10**12])
@pytest.mark.parametrize("points", [4, 5, 400])
def test_an_even_grid(end, points):
    assert sampled_steps(Given(), end, points) == sorted(even(end, points))


def test_an_even_grid_of_4000_points():
    assert sampled_steps(Given(), 10**6) == list(range(0, 10**6 + 1, 250))


def test_the_turns_between_the_points_of_the_grid():
    assert sampled_steps(Given(3, 5, 31), 40, 4) == [0, 3, 5, 10, 20, 30, 31, 40]
    assert sampled_steps(CYCLIC, 14, 2) == [0, 2, 7, 9, 14]
    assert sampled_steps(CYCLIC, 14, 2, first=6) == [6, 7, 9, 10, 14]
    assert sampled_steps(CYCLIC, 7, first=7) == [7]


def test_no_turns_if_they_are_too_many_to_be_told_apart():
    turns = range(3, 3 + 1998)
    assert sampled_steps(Given(*turns), 10**6, 2) == [0, *turns, 500_000, 10**6]
    assert sampled_steps(Given(*turns, 2002), 10**6, 2) == [0, 500_000, 10**6]


@pytest.mark.parametrize("size", [0.3, 2.5, 10, 250])
@pytest.mark.parametrize("kind", [CyclicSchedule, "phases"])
def test_cycles_that_a_grid_cannot_tell_apart_are_as_high_as_they_are(kind, size):
    """The grid alone meets each cycle of 500 steps at the same place, and draws a flat line."""
    if kind is CyclicSchedule:
        schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=size)
    else:
        phases = [Phase(size, 0.1, 0.5), Phase(size, 0.5, 0.1)]
        schedule = PiecewiseSchedule(phases, repeat=True)
    (drawn,) = samples([schedule], 10**6)
    assert drawn.steps == sorted(set(drawn.steps))
    assert drawn.steps[-1] == 10**6
    highest = max(schedule.lr(step) for step in range(2000))
    for first in range(0, len(drawn.lrs) - 100, 97):
        part = drawn.lrs[first : first + 50]
        assert min(part) == pytest.approx(0.1, abs=0.02)
        assert max(part) >= highest - 0.02


def test_an_axis_for_curves_of_different_magnitudes():
    nan = float("nan")
    assert logarithmic_from([[0.1, 2.0], [0.1, 0.2]]) is None
    assert logarithmic_from([[0.1, 2.0], [0.05, 0.09]]) == 0.05
    assert logarithmic_from([[0.1, 2.0, nan], [0.0, 0.09], None]) == 0.09
    assert logarithmic_from([[1e-9, 2.0], [0.0, 0.01]]) == 1e-6  # Not as far down as that.
    assert logarithmic_from([[0.1, 2.0], [-0.1, 0.05]]) is None
    assert logarithmic_from([[0.1, 2.0], [0.0, 0.0]]) is None
    assert logarithmic_from([[nan], None]) is None


def test_as_many_turns_are_asked_for_as_it_takes():
    class Endless(Given):
        def turns(self, first, last):
            yield from range(self.turning[0])
            raise AssertionError("Nobody needs another turn.")

    assert sampled_steps(Endless(2001), 10**6, 2) == [0, 500_000, 10**6]
    assert usual_end(Endless(7)) == 6
    assert usual_end(Endless(3), cycles=1) == 2


def test_each_schedule_as_far_as_the_longest():
    short, long = samples([CYCLIC, Cosine(peak=0.5, steps=50)])
    assert (short.schedule, long.schedule) == (CYCLIC, Cosine(peak=0.5, steps=50))
    assert short.steps == long.steps == list(range(51))
    assert short.lrs[:10] == [CYCLIC.lr(step) for step in range(10)]
    assert (short.momenta, long.momenta) == (None, None)
    assert [drawn.steps[-1] for drawn in samples([CYCLIC, Given()], 30)] == [30, 30]


def test_the_momentum_at_each_step():
    (drawn,) = samples([Given(momentum=0.0)], 2)
    assert drawn.momenta == [0.0, 0.0, 0.0]
    cycled = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.95)
    (drawn,) = samples([cycled], 4000)
    assert dict(zip(drawn.steps, drawn.momenta, strict=True))[2000] == 0.8
    with pytest.raises(FrozenInstanceError):
        drawn.momenta = None


@pytest.mark.parametrize("rate", [1e300, -1e300, float("inf"), float("-inf")])
def test_a_large_rate(rate):
    assert samples([Given(rate=rate)], 1)[0].lrs == [rate, rate]


@pytest.mark.parametrize("rate", [1.1e300, -1.1e300])
def test_a_rate_too_large_to_be_drawn(rate):
    with pytest.raises(
        ValueError, match=r"^A rate must be at most 1e\+300 to be drawn\. "
    ) as caught:
        samples([Given(rate=rate)], 1)
    assert str(caught.value).endswith(f"Received: {rate}")


@pytest.mark.parametrize("size", [0.0, 5e-324, 1.5e-301, 1.5e301, math.inf])
def test_a_size_that_cannot_be_made_round(size):
    assert round_size(size) == size
