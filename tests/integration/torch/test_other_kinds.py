"""The adapter takes kinds of schedules that it doesn't know, also one that holds others."""

import functools
import io
import json

import pytest
import torch

from clr_core import CyclicSchedule, Record, schedule_from_dict
from clr_torch import ScheduledLR, from_record, read_record, to_record, to_state_dict
from integration.torch.training import after, make, run
from other_kinds import Cosine, Mean, other_kinds

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

COSINE = Cosine(peak=0.5, floor=0.1, steps=20, start_momentum=0.5)
NESTED = Mean((COSINE, Mean((CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7),))))
BOTH = pytest.mark.parametrize("schedule", [COSINE, NESTED], ids=["plain", "nested"])


optimizer = functools.partial(make, momentum=0.5)


@BOTH
def test_rates_and_momenta(schedule):
    scheduler = ScheduledLR(optimizer(), schedule)
    momenta = [schedule.momentum(step) for step in range(30)]
    expected = [[(schedule.lr(k), 0.5 if momenta[k] is None else momenta[k])] for k in range(30)]
    assert run(scheduler, 30) == expected


@BOTH
def test_state_in_and_out(schedule):
    first = after(ScheduledLR(optimizer(), schedule), 13)
    second = ScheduledLR(optimizer(), schedule)
    second.load_state_dict(first.state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    other = ScheduledLR(optimizer(), Mean((COSINE, COSINE)))
    with pytest.raises(ValueError, match="`state_dict` must come from a scheduler with the same"):
        other.load_state_dict(first.state_dict())


@BOTH
def test_records(schedule, tmp_path):
    scheduler = after(ScheduledLR(optimizer(), schedule), 13)
    record = to_record(scheduler)
    assert record == Record(schedule, 13)
    assert from_record(record, optimizer()).get_last_lr() == scheduler.get_last_lr()
    torch.save({"epoch": 1, "scheduler": scheduler.state_dict()}, tmp_path / "run.pt")
    assert read_record(tmp_path / "run.pt") == record
    assert to_record(to_state_dict(record)) == record


def test_one_per_group():
    schedules = NESTED, CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7)
    scheduler = after(ScheduledLR(optimizer(groups=2), schedules), 1)
    assert scheduler.get_last_lr() == [schedule.lr(1) for schedule in schedules]
    assert to_record(scheduler) == Record(schedules, 1)


@BOTH
def test_torchs_own_class_follows_a_cyclic_schedule_only(schedule):
    message = r"^Torch's own CyclicLR has a state for a CyclicSchedule only\. Received: schedule="
    with pytest.raises(TypeError, match=message):
        to_state_dict(Record(schedule, 13), of="torch")
    theirs = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.1, 0.5)
    with pytest.raises(TypeError, match=message):
        ScheduledLR(optimizer(), schedule).load_state_dict(theirs.state_dict())


class Reduced:
    """A schedule that is pickled as a call of `schedule_from_dict` with plain data."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __reduce__(self):
        return schedule_from_dict, (self.schedule.to_dict(),)


@BOTH
def test_a_checkpoint_that_holds_the_schedule_itself(schedule):
    file = io.BytesIO()
    torch.save({"epoch": 1, "schedule": Reduced(schedule)}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == {"epoch": 1, "schedule": schedule}


def test_a_callable_within_a_nested_schedule(tmp_path):
    called = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn=lambda x: 1 / x)
    written = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn="1 / x")
    scheduler = ScheduledLR(optimizer(), Mean((COSINE, Mean((called,)))))
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert to_record(state, scale_fn="1 / x").schedule == Mean((COSINE, Mean((written,))))
    with pytest.raises(TypeError, match=r"Python callable can't be carried .* one: .*<lambda>\. "):
        to_record(state)
    with pytest.raises(ValueError, match="The rate of the scheduler must follow from"):
        to_record(state | {"last_epoch": 9}, scale_fn="1 / x")
    same = ScheduledLR(optimizer(), scheduler.schedules)
    same.load_state_dict(state)
    other = ScheduledLR(optimizer(), Mean((COSINE, Mean((written,)))))
    with pytest.raises(ValueError, match="`state_dict` must come from a scheduler with the same"):
        other.load_state_dict(state)
