"""The simple faults: each search by itself, on logs of a few exact lines."""

import json
from itertools import pairwise

import pytest

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
from clr_core.verification import faults
from clr_core.verification._faults import (
    Deviation,
    common,
    constant_rate,
    float32_formula,
    simple_faults,
    still,
)
from clr_core.verification._search import LoggedRate, Target

SCHEDULE = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=8)
DECAYING = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=8, mode="triangular2")


def log(count, first, steps=range(40), schedule=SCHEDULE, rate=lambda rate: rate):
    """The lines of a run at `count(step)`, the first that differs, and what it was to follow."""
    rates = [rate(schedule.lr(max(count(step), 0))) for step in steps]
    lines = [LoggedRate(step, lr, lr) for step, lr in zip(steps, rates, strict=True)]
    return Target(schedule, steps[-1], 10**6), Deviation(lines, first)


@pytest.mark.parametrize(("n", "roundest", "between"), [(2, 1, (1, 3)), (-2, -1, (-3, -1))])
def test_of_the_shifts_that_fit_the_roundest_is_named(n, roundest, between):
    schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64)
    half = 1.1 / 256  # A step makes 1/256.
    rates = [(step, schedule.lr(step + n)) for step in range(20, 300, 7)]
    lines = [LoggedRate(step, rate - half, rate + half) for step, rate in rates]
    found = list(simple_faults(Target(schedule, 300, 10**6), Deviation(lines, 0)))
    assert found == [faults.Shift(roundest, between)]


def test_other_shifts_that_fit_are_named_but_not_those_by_whole_cycles():
    # With a line in each half of a cycle, 3 steps before its foot look like 3 steps after.
    target, deviation = log(lambda step: step + 3, 0, range(32, 200, 8))
    (shift,) = (each for each in simple_faults(target, deviation) if each.name == "shift")
    assert shift == faults.Shift(-3, (-3, -3), also=(3, -13))


def test_other_shifts_of_a_schedule_that_does_not_repeat():
    # A line at the top says only that the rate is a quarter lower.
    phases = [(20, 0.125, 0.125), (12, 0.125, 0.5), (4, 0.5, 0.125), (20, 0.125, 0.125)]
    schedule = PiecewiseSchedule([Phase(*each) for each in phases])
    target, deviation = log(lambda step: step + 1, 0, range(4, 60, 14), schedule)
    assert list(simple_faults(target, deviation)) == [faults.Shift(1, (1, 1), also=(-3,))]


def test_five_other_shifts_are_named():
    # Each rise and each fall has the rate of the only line once.
    rates = [0.125, 0.5] * 5
    phases = [Phase(3 * k, a, b) for k, (a, b) in enumerate(pairwise(rates), start=1)]
    target, deviation = log(lambda step: step + 1, 0, range(99, 100), PiecewiseSchedule(phases))
    (shift,) = (each for each in simple_faults(target, deviation) if each.name == "shift")
    assert shift == faults.Shift(1, (1, 1), also=(-29, -42, -64, -73, -87))


@pytest.mark.parametrize(
    ("n", "steps", "named"),
    [(160, range(40), True), (161, range(40), False), (161, range(40, 180), True)],
)
def test_up_to_ten_cycles_ahead_or_as_many_steps_as_the_log_has(n, steps, named):
    target, deviation = log(lambda step: step + n, 0, steps, DECAYING)
    assert list(simple_faults(target, deviation)) == ([faults.Shift(n, (n, n))] if named else [])


def test_five_other_speeds_are_named():
    # A line in each eighth of a cycle looks the same if the run is 4 times faster still.
    schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=64)
    target, deviation = log(lambda step: 2 * step, 1, range(0, 1600, 16), schedule)
    (fault,) = simple_faults(target, deviation)
    assert fault == faults.Speed(2, "fast", (2, 2), also=(6, 10, 14, 18, 22))


@pytest.mark.parametrize(("k", "named"), [(64, True), (65, False)])
def test_up_to_64_times_too_fast_from_some_step_on(k, named):
    schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=128)
    target, deviation = log(lambda s: s + (k - 1) * max(0, s - 20), 21, range(60), schedule)
    found = [fault for fault in simple_faults(target, deviation) if fault.name == "speed"]
    assert found == ([faults.Speed(k, "fast", (k, k), since=20)] if named else [])


@pytest.mark.parametrize(
    ("k", "named", "also", "since"), [(2, 2, (6,), 25), (5, 3, (5, 11, 13), 24)]
)
def test_of_the_speeds_from_some_step_on_that_fit_the_least_is_named(k, named, also, since):
    # With a line in four steps, each of them has begun at another.
    schedule, begun = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=16), 25 - 5 * (k > 2)
    target, deviation = log(
        lambda s: s + (k - 1) * max(0, s - begun), begun // 4 + 1, range(0, 70, 4), schedule
    )
    (found,) = (each for each in simple_faults(target, deviation) if each.name == "speed")
    assert found == faults.Speed(named, "fast", (named, named), also=also, since=since)


def test_of_the_steps_at_which_a_run_can_have_become_slow_the_latest_is_named():
    # Every second step is logged: at half the speed from step 20, or from 21, is the same.
    target, deviation = log(lambda step: min(step, 10 + step // 2), 11, range(0, 80, 2))
    found = [each for each in simple_faults(target, deviation) if each.name == "speed"]
    assert found == [faults.Speed(2, "slow", (2, 2), since=21)]


@pytest.mark.parametrize("k", [7, 8])
def test_half_a_cycle_in_each_step_is_no_speed(k):
    # It would go back as well as forth.
    target, deviation = log(lambda step: k * step, 1)
    found = [each for each in simple_faults(target, deviation) if each.name == "speed"]
    assert found == ([faults.Speed(7, "fast", (7, 7))] if k == 7 else [])


def test_scale():
    target, deviation = log(lambda step: step, 0, rate=lambda rate: rate / 2)
    assert list(simple_faults(target, deviation)) == [faults.Scale(0.5)]
    target, deviation = log(lambda step: step, 0, rate=lambda rate: -rate)
    assert list(simple_faults(target, deviation)) == []


def test_a_scale_from_some_step_on():
    target, deviation = log(lambda step: step, 20)
    lines = [
        LoggedRate(step, low / 2, high / 2) if step >= 20 else LoggedRate(step, low, high)
        for step, low, high in deviation.lines
    ]
    found = list(simple_faults(target, Deviation(lines, 20)))
    assert found == [faults.Scale(0.5, since=20)]


FROM_ZERO = CyclicSchedule(base_lr=0, max_lr=0.5, step_size_up=8)


def test_a_multiple_of_0_is_0():
    target, deviation = log(lambda step: step, 1, schedule=FROM_ZERO, rate=lambda rate: rate * 3)
    assert faults.Scale(3.0) in list(simple_faults(target, deviation))
    target, deviation = log(lambda step: step, 0, schedule=FROM_ZERO, rate=lambda rate: rate + 1)
    assert list(simple_faults(target, deviation)) == []
    target, deviation = log(lambda step: step, 1, [0, 8], rate=lambda rate: 0.0)
    assert list(simple_faults(target, deviation)) == [faults.Constant(0.0)]


def test_a_long_shift_to_the_start_of_the_schedule_is_a_restart():
    target, deviation = log(lambda step: step if step < 30 else step - 30, 30, range(60), DECAYING)
    assert list(simple_faults(target, deviation)) == [faults.Restart(30, (30, 30))]
    # After 5 steps it may as well be a shift by 5 steps.
    target, deviation = log(lambda step: step if step < 5 else step - 5, 5, range(60), DECAYING)
    assert [fault.name for fault in simple_faults(target, deviation)] == ["restart", "shift"]


def test_a_restart_lies_between_the_lines_that_agree_and_those_that_differ():
    # Every fifth step is logged, and only the lines from step 35 on show the restart.
    target, deviation = log(lambda step: step if step < 33 else step - 33, 7, range(0, 90, 5))
    (restart, *_) = simple_faults(target, deviation)
    assert restart == faults.Restart(33, (33, 33))


def test_a_restart_isnt_before_a_line_that_contradicts_it():
    # Step 33 still has its own rate: the run lost its count only after that.
    target, deviation = log(lambda step: step if step < 34 else step - 33, 34, range(60), DECAYING)
    assert list(simple_faults(target, deviation)) == [faults.Shift(-33, (-33, -33), since=34)]


def test_a_restart_names_the_latest_step_and_the_whole_range():
    # After the restart there is one line, with a coarse rate of the rise or the fall: 5 or 6 steps
    # had been done by then, or 10 or 11.
    target, deviation = log(lambda step: step, 25, [*range(25), 40], DECAYING)
    coarse = LoggedRate(40, DECAYING.lr(5), DECAYING.lr(6))
    found = simple_faults(target, Deviation([*deviation.lines[:-1], coarse], 25))
    restart = [each for each in found if each.name in ("restart", "shift")]
    assert restart == [faults.Restart(35, (29, 35))]


def test_a_rate_that_stands_still_is_neither_late_nor_slow():
    target, deviation = log(lambda step: 0, 1)
    assert [fault.name for fault in simple_faults(target, deviation)] == ["constant"]


def at(*steps):
    return [LoggedRate(step, 0.0, 1.0) for step in steps]


def test_where_a_deviation_can_have_begun():
    lines = at(100, 110, 120, 130, 140)
    deviation = Deviation(lines, 2)
    assert (list(deviation.rest), deviation.spacing) == (lines[2:], 10)
    assert deviation.window() == (101, 120)
    assert list(deviation.backwards()) == [lines[1], lines[0]]
    # Before the first line there is a gap like the others.
    assert Deviation(lines, 0).window() == (91, 100)
    assert Deviation(at(4, 14), 0).window() == (1, 4)
    assert Deviation(at(0, 7), 1).window() == (1, 7)
    assert Deviation(at(7), 0).spacing == 1
    assert Deviation(at(*range(100)), 80).window() == (31, 80)


def test_a_deviation_is_followed_back_to_a_resume():
    lines = at(0, 10, 20, 5, 15, 25)
    assert [line.step for line in Deviation(lines, 5).backwards()] == [15, 5]
    assert [line.step for line in Deviation(at(0, 10, 10, 20), 3).backwards()] == [10]


def test_the_rate_that_lines_have_in_common():
    lines = [LoggedRate(0, 0.1, 0.4), LoggedRate(1, 0.2, 0.6), LoggedRate(2, 0.1, 0.3)]
    assert common(lines) == (0.2, 0.3)
    target = Target(SCHEDULE, 2, 100)
    assert constant_rate(target, 0.2, 0.3) == (0.25, "base_lr")
    assert constant_rate(target, 0.5, 0.5) == (0.5, "max_lr")
    assert constant_rate(target, 0.29, 0.31) == (0.3, None)


@pytest.mark.parametrize("rate", [3.0, 1e-6, 0.0])
def test_however_a_log_rounds_it_rounds_one_rate_to_one(rate):
    unit = 1e-3 * (rate or 1.0)
    lines = [LoggedRate(step, rate - unit, rate + unit) for step in range(3)]
    assert still(lines)
    for other in (rate + unit / 4, rate + 2):  # The first is within the width of a line.
        assert not still([*lines, LoggedRate(3, other - unit, other + unit)])


def off_by(error, step, schedule=SCHEDULE):
    """What is said of a log that is off at one step."""
    rate = schedule.lr(step) + error
    target = Target(schedule, step, 10**6)
    deviation = Deviation([LoggedRate(step, rate, rate)], 0)
    return [fault.name for fault in float32_formula(target, deviation)]


@pytest.mark.parametrize(
    ("schedule", "step", "error"),
    [
        # Eight roundings, of max_lr and of the band's part for each half that was counted.
        (SCHEDULE, 0, 0.5 + 0.25),
        (SCHEDULE, 16, 0.5 + 0.25 * 5),
        (SCHEDULE, 2_000_000, 0.5 + 0.25 * (1 + 500_000)),
        (
            CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=8, step_size_down=2),
            10,
            0.5 + 0.25 * (1 + 10 / 8 + 5),
        ),
        (DECAYING, 80, 0.5 + 0.25 / 16 * (1 + 20)),  # As if it was in cycle 4.
        # In a decay by the step, also those of the exponent.
        (
            CyclicSchedule(
                base_lr=0, max_lr=0.5, step_size_up=8, mode="exp_range", gamma=0.5**0.125
            ),
            24,
            0.5 + 0.5 / 8 * 7 + 0.5 / 8 * 24,
        ),
        (
            CyclicSchedule(
                base_lr=0, max_lr=0.5, step_size_up=8, scale_fn="0.5", scale_mode="iterations"
            ),
            8,
            0.5 + 0.5 * 3 + 0.25 * 8,
        ),
        (
            CyclicSchedule(base_lr=0, max_lr=0.5, step_size_up=8, scale_fn="0.5"),
            8,
            0.5 + 0.5 * 3,
        ),
    ],
)
def test_the_errors_of_float32(schedule, step, error):
    for sign in (1, -1):
        limit = sign * error * 2.0**-21
        assert off_by(0.99 * limit, step, schedule) == ["float32 formula"]
        assert off_by(1.01 * limit, step, schedule) == []


def test_where_float32_gives_anything_it_explains_nothing():
    # There the errors are larger than a quarter of the band.
    assert off_by(2.0**-20, 2_050_000) == ["float32 formula"]
    assert off_by(2.0**-20, 2_150_000) == []
    assert off_by(0.0, 2_150_000) == ["float32 formula"]


def test_the_largest_error_of_float32_is_told():
    lines = [LoggedRate(0, 2.0**-25, 2.0**-25)]
    # As large in the fall as in the rise, where it is told.
    lines += [LoggedRate(step, 0.25 - 2.0**-23, 0.25 - 2.0**-23) for step in (4, 12)]
    target = Target(FROM_ZERO, 12, 100)
    (fault,) = float32_formula(target, Deviation(lines, 0))
    assert fault == faults.Float32Formula(2.0**-23, 2.0**-21, 4)
    (fault,) = float32_formula(target, Deviation(lines[:1], 0))
    assert fault == faults.Float32Formula(2.0**-25, 2.0**-24, 0)  # A part of max_lr.


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            faults.Shift(100, (98, 103), (7, 9), since=40),
            "was 100 steps ahead of the schedule (98 to 103 or 7, 9 would look the same) "
            "from step 40 on",
        ),
        (
            faults.Restart(500, (480, 500)),
            "started the schedule over at step 500 (480 to 500 would look the same)",
        ),
        (
            faults.Speed(2, "fast", (2, 2), (3, 99), offset=-1),
            "ran 2 times too fast from the start (3 would look the same): each step counted 2 "
            "times, as if each of 2 processes stepped the schedule, or it was stepped for each of "
            "2 micro-batches whose gradients are accumulated; or the log counts epochs "
            "(`steps_per_epoch=2`) (the log names its steps late by one)",
        ),
        (faults.Constant(0.25, "max_lr", since=9), "kept the rate 0.25 (max_lr) from step 9 on"),
        (faults.Scale(1 / 3), "used the schedule's rates times 0.333333 from the start"),
        (
            faults.Shift(2, (1, 3)),
            "was 2 steps ahead of the schedule (1 to 3 would look the same) from the start, or the "
            "log gives the rate of the next update (`first_step=-1`)",
        ),
        (
            faults.Shift(-2, (-3, -1)),
            "was 2 steps behind the schedule (-3 to -1 would look the same) from the start, or the "
            "log counts from 1 (`first_step=1`)",
        ),
        (
            faults.Shift(-2, (-2, -2), (3, 4, 5, 6, 7)),
            "was 2 steps behind the schedule (3, 4, 5, 6, 7 … would look the same) from the start",
        ),
        (
            # What is eight times as many is far-fetched.
            faults.Speed(3, "slow", (3, 4), (23, 24), offset=1, since=8),
            "ran 3 times too slowly from step 8 on (3 to 4 or 23 would look the same): it advanced "
            "by one step in 3, as if it was stepped once per epoch, or once for several logged "
            "micro-batches (the log names its steps early by one)",
        ),
        (
            faults.Float32Formula(1e-5, 0.0123, 999),
            "computed the rate with a formula in float32, whose errors grow with the step "
            "(here up to 0.012 of the rate, at step 999)",
        ),
        (
            faults.OtherParameters({"max_lr": 0.5, "mode": "triangular2"}),
            "followed a schedule with max_lr=0.5, mode='triangular2'",
        ),
    ],
)
def test_faults_in_words_and_as_data(fault, text):
    assert str(fault) == text
    data = fault.to_dict()
    assert data["name"] == fault.name
    assert json.loads(json.dumps(data)) == data
    assert fault == type(fault)(**vars(fault))
    hash(fault)


def test_the_factor_of_a_speed():
    fast, slow = (faults.Speed(4, direction, (4, 4)) for direction in ("fast", "slow"))
    assert (fast.factor, slow.factor) == (4, 0.25)
    assert (fast.to_dict()["factor"], slow.to_dict()["factor"]) == (4, 0.25)


@pytest.mark.parametrize("kind", faults.Fault.__subclasses__())
def test_a_fault_stays_as_it_is(kind):
    assert kind.__dataclass_params__.frozen
    assert kind.__hash__ is not None
