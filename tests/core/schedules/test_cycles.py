"""Where steps lie in cycles, and between which steps the rate only rises or only falls."""

import math
import random
from fractions import Fraction
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clr_core import CyclicSchedule
from clr_core.schedules.cycles import cycle_of, cycles
from schedules import random_phases, random_schedule, random_sequence

LAST = 2**53


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.integers(0, LAST))
def test_the_cycle_of_a_step_is_exact(up, down, step):
    size = up + down
    cycle = cycle_of(step, size)
    assert cycle * Fraction(size) <= step < (cycle + 1) * Fraction(size)


@given(st.floats(0.01, 50), st.floats(0.01, 50))
def test_cycles_cover_every_step_once(up, down):
    size = up + down
    covered = [(each.first, each.last) for each in islice(cycles(up, size), 40)]
    assert covered[0][0] == 0
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(covered))
    for each in islice(cycles(up, size), 40):
        assert cycle_of(each.first, size) == cycle_of(each.last, size) == each.index
        # The step nearest to the top.
        top = each.index * Fraction(size) + Fraction(up)
        steps = {
            min(max(step, each.first), each.last) for step in (math.floor(top), math.ceil(top))
        }
        assert abs(each.turn - top) == min(abs(step - top) for step in steps)


@pytest.mark.parametrize(
    ("up", "covered"),
    [(2.0**52, [(0, 2**53 - 1), (2**53, 2**53)]), (1e300, [(0, 2**53)])],
)
def test_cycles_end_at_the_last_step(up, covered):
    assert [(each.first, each.last) for each in cycles(up, 2 * up)] == covered


def _one_way(rates):
    # Rounding may turn the rate by a few last bits.
    slack = 1e-14 * max(map(abs, rates))
    rises = all(after >= before - slack for before, after in pairwise(rates))
    falls = all(after <= before + slack for before, after in pairwise(rates))
    return rises or falls


@pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")
def test_between_two_turns_the_rate_only_rises_or_only_falls():
    rng = random.Random(3)
    checked = 0
    for _ in range(400):
        schedule = rng.choice((random_schedule, random_phases, random_sequence))(rng)
        if getattr(schedule, "scale_fn", None) and schedule.scale_mode == "iterations":
            continue  # Nothing is known of these; the pieces are only short.
        first = rng.choice([0, rng.randrange(1000), rng.randrange(10**9)])
        last = first + rng.randrange(400)
        turns = list(schedule.turns(first, last))
        assert turns == sorted(set(turns))
        assert (turns[0], turns[-1]) == (first, last)
        for start, stop in pairwise(turns):
            rates = [schedule.lr(step) for step in range(start, stop + 1)]
            assert _one_way(rates), f"{schedule!r} from {start} to {stop}"
            checked += 1
    assert checked > 2000


def test_a_peak_between_two_steps_is_both():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.4, step_size_down=100)
    assert list(schedule.turns(0, 50)) == [0, 2, 3, 50]


def test_a_fast_decay_has_its_peak_before_the_rise_ends():
    # position * gamma**position is largest at -1 / log(gamma): 10 steps into the rise.
    def turns(**decay):
        schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=25, **decay)
        return list(schedule.turns(0, 60))

    assert turns(mode="exp_range", gamma=math.exp(-1 / 10.5)) == [0, 10, 11, 25, 50, 60]
    assert turns(mode="exp_range", gamma=math.exp(-1 / 30.5)) == [0, 25, 50, 60]
    with pytest.warns(UserWarning, match="is 'triangular'"):
        assert turns(mode="exp_range", gamma=1) == [0, 25, 50, 60]


def test_a_decay_by_the_step_is_cut_into_pieces():
    decay = {"scale_fn": "1 / (x + 1)", "scale_mode": "iterations"}
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=32, step_size_down=64, **decay)
    assert list(schedule.turns(0, 100)) == [*range(33), *range(34, 97, 2), 97, 98, 99, 100]


def test_a_cycle_is_a_value():
    one, other = (next(cycles(2.5, 5.0)) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))


def test_no_step_is_a_turn_twice_where_a_step_has_many_cycles():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1e-3)
    assert list(schedule.turns(5, 12)) == list(range(5, 13))


@pytest.mark.parametrize("step", [0, 7, 10**6, 2**53])
def test_one_step_is_one_turn(step):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7)
    assert list(schedule.turns(step, int(str(step)))) == [step]


def test_a_half_cycle_that_is_nearly_too_long_for_a_float_has_turns():
    schedule = CyclicSchedule(
        base_lr=0.1,
        max_lr=0.5,
        step_size_up=2.0,
        step_size_down=1e308,
        scale_fn="cos(x)",
        scale_mode="iterations",
    )
    assert list(schedule.turns(0, 4)) == [0, 1, 2, 4]


def test_turns_are_lazy():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
    assert list(islice(schedule.turns(0, LAST), 4)) == [0, 2, 4, 6]
    assert list(schedule.turns(LAST, LAST)) == [LAST]


@pytest.mark.parametrize(
    ("first", "last", "error", "text"),
    [
        (-1, 5, ValueError, r"^`first` must lie between 0 and 2\*\*53. Received: first=-1$"),
        (0, LAST + 1, ValueError, r"^`last` must lie between 0 and 2\*\*53. Received: last="),
        (6, 5, ValueError, "^`first` must not be above `last`. Received: first=6, last=5$"),
        (0.5, 5, TypeError, "^`first` must be an integer. Received: first=0.5$"),
    ],
)
def test_bad_input(first, last, error, text):
    with pytest.raises(error, match=text):
        CyclicSchedule(base_lr=0.1, max_lr=0.5).turns(first, last)
