"""The simple faults: each search by itself, on logs of a few exact lines."""

import json

import pytest

from clr_core import CyclicSchedule
from clr_core.verification import faults
from clr_core.verification._faults import Deviation, float32_formula, simple_faults
from clr_core.verification._search import LoggedRate, Target

SCHEDULE = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=8)


def log(count, first, steps=range(40), schedule=SCHEDULE, rate=lambda rate: rate):
    """The lines of a run at `count(step)`, the first that differs, and what it was to follow."""
    rates = [rate(schedule.lr(max(count(step), 0))) for step in steps]
    lines = [LoggedRate(step, lr, lr) for step, lr in zip(steps, rates, strict=True)]
    return Target(schedule, steps[-1], 10**6), Deviation(lines, first)


@pytest.mark.parametrize(
    ("count", "first", "found"),
    [
        (lambda step: 0, 1, [faults.Constant(0.25, "base_lr")]),
        (lambda step: min(step, 8), 9, [faults.Constant(0.5, "max_lr", since=9)]),
        (lambda step: step - 1, 1, [faults.Shift(-1, (-1, -1))]),
        (lambda step: step + 2 * (step > 20), 21, [faults.Shift(2, (2, 2), since=21)]),
        (
            lambda step: 3 * step,
            1,
            [faults.Speed(3, "fast", (3, 3))],
        ),
        (lambda step: step // 2, 1, [faults.Speed(2, "slow", (2, 2))]),
        (
            lambda step: 3 * (step + 1),
            0,
            [faults.Speed(3, "fast", (3, 3), offset=1)],
        ),
        (
            lambda step: step + max(0, step - 20),
            21,
            [faults.Speed(2, "fast", (2, 2), since=20)],
        ),
    ],
)
def test_simple_faults(count, first, found):
    assert list(simple_faults(*log(count, first))) == found


def test_scale():
    target, deviation = log(lambda step: step, 0, rate=lambda rate: rate / 2)
    assert list(simple_faults(target, deviation)) == [faults.Scale(0.5)]
    target, deviation = log(lambda step: step, 0, rate=lambda rate: -rate)
    assert list(simple_faults(target, deviation)) == []


def test_a_long_shift_to_the_start_of_the_schedule_is_a_restart():
    decaying = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=8, mode="triangular2")
    target, deviation = log(lambda step: step if step < 30 else step - 30, 30, range(60), decaying)
    assert list(simple_faults(target, deviation)) == [faults.Restart(30, (30, 30))]
    # After 5 steps it may as well be a shift by 5 steps.
    target, deviation = log(lambda step: step if step < 5 else step - 5, 5, range(60), decaying)
    assert [fault.name for fault in simple_faults(target, deviation)] == ["restart", "shift"]


def test_a_restart_lies_between_the_lines_that_agree_and_those_that_differ():
    # Every fifth step is logged, and only the lines from step 35 on show the restart.
    target, deviation = log(lambda step: step if step < 33 else step - 33, 7, range(0, 90, 5))
    (restart, *_) = simple_faults(target, deviation)
    assert restart == faults.Restart(33, (33, 33))


def test_a_rate_that_stands_still_is_neither_late_nor_slow():
    target, deviation = log(lambda step: 0, 1)
    assert [fault.name for fault in simple_faults(target, deviation)] == ["constant"]


@pytest.mark.parametrize(("ulps", "named"), [(4, True), (100, False)])
def test_float32_formula(ulps, named):
    target, deviation = log(lambda step: step, 0, rate=lambda rate: rate + ulps * 2.0**-25)
    found = list(float32_formula(target, SCHEDULE, deviation))
    error = ulps * 2.0**-25
    expected = [faults.Float32Formula(error, error / 0.25, 0)] if named else []
    assert found == expected


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.Constant(0.25), "kept the rate 0.25 from the start"),
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
            "times, as if each of 2 processes stepped the schedule (the log names its steps late "
            "by one)",
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
