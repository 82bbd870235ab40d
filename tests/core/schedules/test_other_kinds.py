"""Another kind of schedule needs its own file and a row in the table, and nothing else."""

import copy
import pickle

import pytest

from clr_core import (
    CyclicSchedule,
    Record,
    SequenceSchedule,
    check_schedule,
    schedule_from_dict,
    schedule_id,
    verify,
)
from clr_core.adapter import lowest_lr, portable, rate_only
from clr_core.schedules.samples import usual_end
from other_kinds import Cosine, Mean, Ramp, other_kinds

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

COSINE = Cosine(peak=0.5, floor=0.1, steps=50, start_momentum=0.9)
NESTED = Mean((COSINE, Mean((CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7), COSINE))))
CYCLIC = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7)
RAMP = Ramp((0.5, 0.1))
EACH = pytest.mark.parametrize(
    "schedule", [COSINE, NESTED, RAMP], ids=["plain", "nested", "with other keys than fields"]
)


def test_the_values_of_the_kind():
    assert [COSINE.lr(step) for step in (0, 25, 50, 10**12)] == [0.5, 0.3, 0.1, 0.1]
    assert NESTED.lr(0) == (0.5 + (0.1 + 0.5) / 2) / 2


@EACH
def test_arrays(schedule, np):
    steps = np.arange(200).reshape(2, 100)
    expected = [[schedule.lr(step) for step in row] for row in steps.tolist()]
    # NumPy's cosine may differ from Python's in the last bit.
    assert schedule.lr(steps) == pytest.approx(np.array(expected), rel=1e-15)


@EACH
def test_plain_data(schedule):
    check_schedule(schedule)
    assert schedule_from_dict(schedule.to_dict()) == schedule
    assert copy.deepcopy(schedule) == pickle.loads(pickle.dumps(schedule)) == schedule
    assert portable(schedule) is schedule


@EACH
def test_records(schedule, tmp_path):
    record = Record((schedule, CyclicSchedule(base_lr=0.1, max_lr=0.5)), step=30)
    assert Record.from_dict(record.to_dict()) == record
    assert Record.from_json(record.to_json()) == record
    record.write(tmp_path / "run.json")
    assert Record.read(tmp_path / "run.json") == record
    assert schedule_id(schedule) == schedule_id(schedule_from_dict(schedule.to_dict()))
    assert schedule_id(schedule) != schedule_id(COSINE if schedule is NESTED else NESTED)


def test_a_record_may_leave_out_what_has_a_default():
    document = {"format": "cyclical-lr/1", "schedule": {"kind": "test-cosine", "peak": 0.5}}
    assert Record.from_dict(document).schedule == Cosine(peak=0.5)
    with pytest.raises(ValueError, match=r"key='peek'. Did you mean 'peak'\?"):
        Record.from_dict(document | {"schedule": {"kind": "test-cosine", "peek": 0.5}})


def test_what_cannot_be_read_is_not_written(monkeypatch):
    import clr_core.schedules

    monkeypatch.delitem(clr_core.schedules.KINDS, "test-cosine")
    with pytest.raises(
        ValueError, match=r"`kind` must be one of 'cyclic', .*, 'test-ramp'\. Received"
    ):
        Record(COSINE)


def test_a_callable_anywhere_gives_way_to_an_expression():
    called = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=lambda x: 1 / x)
    written = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn="1 / x")
    assert portable(Mean((COSINE, Mean((called,)))), "1 / x") == Mean((COSINE, Mean((written,))))
    with pytest.raises(TypeError, match="can't be carried to another framework, and this is one"):
        portable(Mean((COSINE, Mean((called,)))))
    with pytest.raises(ValueError, match="`scale_fn` must be left out unless"):
        portable(NESTED, "1 / x")


@pytest.mark.parametrize("total_steps", [60, 60.0])
@pytest.mark.parametrize("cycle_size", [None, 20])
def test_what_is_optional_may_be_an_int_or_none(monkeypatch, cycle_size, total_steps):
    monkeypatch.setattr(Ramp, "cycle_size", cycle_size)
    monkeypatch.setattr(Ramp, "total_steps", total_steps)
    assert usual_end(RAMP) == 60
    verdict = verify(RAMP, range(90), [RAMP.lr(max(step - 3, 0)) for step in range(90)])
    assert (verdict.status, verdict.fault.name) == ("deviated", "shift")
    sequence = SequenceSchedule([RAMP, RAMP], [30])
    if cycle_size is None:
        assert sequence.then(RAMP).boundaries == (30, 90)
    else:
        with pytest.raises(ValueError, match="Received: one with no end"):
            sequence.then(RAMP)


def test_a_length_must_be_one(monkeypatch):
    monkeypatch.setattr(Ramp, "total_steps", 0)
    with pytest.raises(ValueError, match=r"`total_steps` must be positive\. Received"):
        usual_end(RAMP)


@pytest.mark.parametrize("wrap", [Record, lambda schedule: Record([CYCLIC, schedule])])
@pytest.mark.parametrize("depth", range(3))
def test_what_cannot_be_rescaled_is_named(wrap, depth):
    schedule = RAMP
    for _ in range(depth):
        schedule = SequenceSchedule([CYCLIC, schedule], [20])
    with pytest.raises(TypeError, match=r"^`schedule` must be of a .* schedule=Ramp\("):
        wrap(schedule).rescaled(2)


def test_momentum_can_be_left_out():
    assert rate_only(Mean((COSINE, COSINE))).momentum(3) is None
    assert rate_only(COSINE) == Cosine(peak=0.5, floor=0.1, steps=50)


def test_a_kind_may_know_its_lowest_rate(monkeypatch):
    alone = rate_only(COSINE)
    sequence = SequenceSchedule([alone, CyclicSchedule(base_lr=0.2, max_lr=0.5)], [8])
    assert lowest_lr(alone) == lowest_lr(sequence) == 0.0
    monkeypatch.setattr(Cosine, "lowest_lr", property(lambda self: self.floor), raising=False)
    assert lowest_lr(alone) == lowest_lr(sequence) == 0.1


def test_a_momentum_that_stays_is_said(monkeypatch):
    # A kind with its momentum under another key.
    monkeypatch.setattr(Cosine, "from_dict", lambda document: COSINE)
    message = r'keys that end in "momentum", in `to_dict`\. Received: schedule=Cosine\('
    with pytest.raises(ValueError, match=message):
        rate_only(COSINE)


@EACH
def test_pictures(schedule):
    from clr_core.schedules.svg import svg

    assert svg(schedule).startswith("<svg ")
    pytest.importorskip("matplotlib")
    from clr_core.schedules.draw import plot

    upper, *_ = plot(schedule).axes
    line, *_ = upper.lines
    for step, rate in zip(*line.get_data(), strict=True):
        assert rate == schedule.lr(int(step))


@EACH
def test_a_verdict(schedule):
    steps = range(100)
    rates = [schedule.lr(step) for step in steps]
    assert verify(schedule, steps, rates).status == "followed"
    late = [schedule.lr(max(step - 3, 0)) for step in steps]
    verdict = verify(schedule, steps, late)
    assert (verdict.status, verdict.first_difference) == ("deviated", 1)
