"""Schedules of phases, held against the oracle, and their bad input."""

import copy
import dataclasses
import math
import pickle
import random
import time
import typing

import pytest

import oracle
from clr_core import Phase, PiecewiseSchedule, Record, schedule_from_dict, schedule_id
from clr_core.schedules.samples import usual_end
from schedules import PHASES, random_phases

UP, DOWN = Phase(4, 0.0, 0.5), Phase(6, 0.5, 0.1, "cosine")


def ulps(given, exact):
    return abs(given - exact) / math.ulp(float(exact)) if exact else (0 if given == 0 else math.inf)


def test_a_right_value_is_within_eight_ulps_of_the_exact_one():
    rng = random.Random(7)
    for _ in range(150):
        schedule = random_phases(rng)
        document, last = schedule.to_dict(), int(min(schedule.total_steps, 2**53))
        for step in [0, 1, last, 2**53, *(rng.randint(0, last) for _ in range(20))]:
            assert ulps(schedule.lr(step), oracle.lr(document, step)) <= 8
            if schedule.momentum(0) is not None:
                assert ulps(schedule.momentum(step), oracle.momentum(document, step)) <= 8


def test_each_boundary_is_exact_and_no_value_lies_outside_of_its_phase():
    rng = random.Random(8)
    for _ in range(100):
        lengths = [rng.randint(1, 10 ** rng.randint(1, 5)) for _ in range(5)]
        rates = [10 ** rng.uniform(-7, 0) for _ in range(6)]
        momenta = [rng.uniform(0, 0.99) for _ in range(6)]
        phases = [
            Phase(length, rates[i], rates[i + 1], rng.choice(("linear", "cosine")))
            for i, length in enumerate(lengths)
        ]
        phases = [
            dataclasses.replace(phase, start_momentum=momenta[i], end_momentum=momenta[i + 1])
            for i, phase in enumerate(phases)
        ]
        schedule, begin = PiecewiseSchedule(phases), 0
        for phase, length in zip(phases, lengths, strict=True):
            assert schedule.lr(begin) == phase.start
            assert schedule.momentum(begin) == phase.start_momentum
            for step in [
                begin + 1,
                begin + length - 1,
                *rng.sample(range(begin, begin + length), 1),
            ]:
                if step < begin + length:
                    low, high = sorted((phase.start, phase.end))
                    assert low <= schedule.lr(step) <= high
            begin += length
        assert schedule.lr(begin) == schedule.lr(begin + 1) == schedule.lr(2**53) == rates[-1]
        assert schedule.momentum(begin) == schedule.momentum(2**53) == momenta[-1]
        again = PiecewiseSchedule(phases, repeat=True)
        assert again.lr(begin) == again.lr(1000 * begin) == rates[0]
        assert again.cycle_size == again.total_steps == begin


def test_a_constant_phase_is_constant():
    schedule = PiecewiseSchedule([UP, Phase(7.3, 0.1, 0.1, "cosine"), Phase(1e6, 0.7, 0.7)])
    assert {schedule.lr(step) for step in range(4, 11)} == {0.1}
    assert {schedule.lr(step) for step in range(12, 999_999, 1237)} == {0.7}


def test_a_jump_belongs_to_the_phase_that_begins():
    schedule = PiecewiseSchedule([Phase(2.5, 0.1, 0.2), Phase(2, 0.9, 0.4)])
    assert schedule.lr(2) == pytest.approx(0.18)
    assert schedule.lr(3) == pytest.approx(0.775)


def test_numpy_has_the_bits_of_python(np):
    for schedule in PHASES.values():
        steps = np.array([*range(300), *(10**k for k in range(3, 16)), 2**53])
        assert schedule.lr(steps).tolist() == [schedule.lr(step) for step in steps.tolist()]
        if schedule.momentum(0) is None:
            assert schedule.momentum(steps) is None
        else:
            momenta = [schedule.momentum(step) for step in steps.tolist()]
            assert schedule.momentum(steps).tolist() == momenta


@pytest.mark.parametrize("schedule", PHASES.values(), ids=PHASES)
def test_plain_data(schedule):
    document = schedule.to_dict()
    assert schedule_from_dict(document) == type(schedule).from_json(schedule.to_json()) == schedule
    assert Record.from_json(Record(schedule, 3).to_json()) == Record(schedule, 3)
    assert hash(copy.deepcopy(schedule)) == hash(pickle.loads(pickle.dumps(schedule)))
    function, (written,) = schedule.__reduce__()
    assert function is schedule_from_dict
    assert written == document
    assert schedule_id(schedule) == schedule_id(copy.copy(schedule))
    assert typing.get_type_hints(type(schedule))
    assert eval(repr(schedule), dict(vars(__import__("clr_core")))) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "Phase(4.0, 0.0, 0.5)",
        "Phase(4.0, 0.0, 0.5, 'cosine')",
        "Phase(4.0, 0.0, 0.5, 'linear', 0.9, 0.8)",
    ],
)
def test_a_phase_prints_as_it_is_written(text):
    assert repr(eval(text)) == text


def test_a_phase_may_be_written_in_short():
    document = {"kind": "piecewise", "phases": [{"steps": 4, "start": 0, "end": 0.5}]}
    assert schedule_from_dict(document) == PiecewiseSchedule([UP])
    assert PiecewiseSchedule([UP]) == PiecewiseSchedule((Phase(4.0, 0, 0.5, "linear"),))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Phase(0, 0, 1), ValueError, "`steps` must be positive. Received: steps=0"),
        (lambda: Phase(-1, 0, 1), ValueError, "`steps` must be positive. Received: steps=-1"),
        (lambda: Phase(math.inf, 0, 1), ValueError, "`steps` must be finite. Received: steps=inf"),
        (lambda: Phase(math.nan, 0, 1), ValueError, "`steps` must be finite. Received: steps=nan"),
        (lambda: Phase("5", 0, 1), TypeError, "`steps` must be a number. Received: steps='5'"),
        (lambda: Phase(5, -1, 1), ValueError, "`start` must not be negative. Received: start=-1"),
        (lambda: Phase(5, 0, math.nan), ValueError, "`end` must be finite. Received: end=nan"),
        (lambda: Phase(5, 0, 1, "cos"), ValueError, "`shape` must be one of 'linear', 'cosine'"),
        (
            lambda: Phase(5, 0, 1, end_momentum=0.5),
            ValueError,
            "`start_momentum` and `end_momentum` must be given together. "
            "Received: start_momentum=None, end_momentum=0.5",
        ),
        (
            lambda: Phase(5, 0, 1, start_momentum=0.5),
            ValueError,
            "`start_momentum` and `end_momentum` must be given together. "
            "Received: start_momentum=0.5, end_momentum=None",
        ),
        (
            lambda: Phase(5, 0, 1, "linear", 1, 0.5),
            ValueError,
            "`start_momentum` must be at least 0 and below 1. Received: start_momentum=1",
        ),
        (
            lambda: Phase(5, 0, 1, "linear", 0.5, -0.1),
            ValueError,
            "`end_momentum` must be at least 0 and below 1. Received: end_momentum=-0.1",
        ),
        (lambda: PiecewiseSchedule([]), ValueError, "`phases` must be from 1 to 10,000 phases"),
        (
            lambda: PiecewiseSchedule([UP] * 100_000),
            ValueError,
            "`phases` must be from 1 to 10,000 phases. Received: 100000",
        ),
        (lambda: PiecewiseSchedule(UP), TypeError, "`phases` must be a list of phases. Received"),
        (lambda: PiecewiseSchedule([3]), TypeError, "`phases` must be a list of phases. Received"),
        (lambda: PiecewiseSchedule([UP], 1), TypeError, "`repeat` must be a bool. Received"),
        (
            lambda: PiecewiseSchedule([UP, Phase(5, 0, 1, "linear", 0.8, 0.9)]),
            ValueError,
            "`phases` must all have a momentum, or none. Received: none in phase 0",
        ),
        (
            lambda: PiecewiseSchedule([Phase(1e300, 0, 1), UP]),
            ValueError,
            "`steps` must not be lost in the sum of the lengths, which must be finite. Received: "
            "steps=4.0 after 1e+300, in phase 1",
        ),
        (
            lambda: PiecewiseSchedule([Phase(1.7e308, 0, 1)] * 2),
            ValueError,
            "`steps` must not be lost in the sum of the lengths, which must be finite.",
        ),
        (
            lambda: PiecewiseSchedule.from_dict({"phases": [{"steps": 3, "start": 0}]}),
            ValueError,
            "A phase must have the key `end`. It is missing",
        ),
        (
            lambda: PiecewiseSchedule.from_dict({"phases": [{"steps": 3, "begin": 0, "end": 1}]}),
            ValueError,
            "A phase has no such key. Received: key='begin'.",
        ),
        (
            lambda: PiecewiseSchedule.from_dict({"phases": {"steps": 3}}),
            TypeError,
            "`phases` must be a list of phases. Received",
        ),
        (
            lambda: PiecewiseSchedule.from_dict({"kind": "cyclic", "phases": [UP]}),
            ValueError,
            "`kind` must be 'piecewise'. Received: kind='cyclic'",
        ),
        (lambda: PiecewiseSchedule([UP]).lr(-1), ValueError, "`step` must lie between 0 and 2**53"),
        (lambda: PiecewiseSchedule([UP]).lr(2.5), TypeError, "`step` must be an integer"),
    ],
)
def test_bad_input(make, error, text):
    begun = time.process_time()
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert time.process_time() - begun < 0.5


def test_a_document_with_too_many_phases_is_refused_at_once():
    phases = [{"steps": 1, "start": 0, "end": 1}] * 100_000
    begun = time.process_time()
    with pytest.raises(ValueError, match="`phases` must be from 1 to 10,000 phases"):
        Record.from_dict(
            {"format": "cyclical-lr/1", "schedule": {"kind": "piecewise", "phases": phases}}
        )
    assert time.process_time() - begun < 0.5


def test_turns_and_levels():
    schedule = PiecewiseSchedule([Phase(2.5, 0.0, 0.5), Phase(4, 0.5, 0.1)])
    assert list(schedule.turns(0, 100)) == [0, 2, 3, 6, 7, 100]
    assert list(schedule.turns(3, 6)) == [3, 6]
    assert list(schedule.turns(5, 5)) == [5]
    again = PiecewiseSchedule(schedule.phases, repeat=True)
    assert list(again.turns(0, 13)) == [0, 2, 3, 6, 7, 9, 12, 13]
    assert schedule.levels() == {"lowest": 0.0, "highest": 0.5}
    assert schedule.levels("momentum") == {}
    opposed = PiecewiseSchedule([Phase(2, 0, 1, "linear", 0.9, 0.8)])
    assert opposed.levels("momentum") == {"lowest": 0.8, "highest": 0.9}
    with pytest.raises(ValueError, match="`first` must not be above `last`"):
        schedule.turns(3, 2)


def test_a_jump_lies_between_two_turns():
    """Of the rate or the momentum; the last value is held, so that there is none at the end."""
    down = Phase(5, 0.5, 0.1, "cosine", 0.8, 0.9)
    for after in (down, dataclasses.replace(down, start=0.1)):
        schedule = PiecewiseSchedule([down, after, dataclasses.replace(after, steps=2.5)])
        assert list(schedule.turns(0, 20)) == [0, 4, 5, 9, 10, 12, 13, 20]
        assert list(schedule.turns(4, 9)) == [4, 5, 9]
    wave = PiecewiseSchedule([Phase(2, 0.0, 0.5), Phase(3, 0.5, 0.0)], repeat=True)
    assert list(wave.turns(0, 11)) == [0, 2, 5, 7, 10, 11]
    again = PiecewiseSchedule([down], repeat=True)
    assert list(again.turns(0, 12)) == [0, 4, 5, 9, 10, 12]
    assert list(again.turns(4, 5)) == [4, 5]


def test_a_picture_shows_all_phases():
    assert usual_end(PiecewiseSchedule([UP] * 30)) == 120
    assert usual_end(PiecewiseSchedule([UP, DOWN], repeat=True)) == 30
    assert usual_end(PHASES["warm_restarts growth=2"]) == 700


def test_rescaled():
    schedule = PiecewiseSchedule([UP, DOWN])
    half = schedule.rescaled(0.5)
    assert [each.steps for each in half.phases] == [2.0, 3.0]
    assert [half.lr(step) for step in range(9)] == [schedule.lr(2 * step) for step in range(9)]
    assert Record(schedule, 6).rescaled(2).step == 12
    with pytest.raises(ValueError, match="`factor` must be positive"):
        schedule.rescaled(0)
