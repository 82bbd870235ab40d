"""The adapter takes a kind of schedule that it has never heard of, also one that holds others."""

import io

import pytest
import torch

from clr_core import CyclicSchedule, Record
from clr_torch import CyclicLR, from_record, read_record, to_record, to_state_dict
from other_kinds import Cosine, Mean, other_kinds

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

COSINE = Cosine(peak=0.5, floor=0.1, steps=20, start_momentum=0.5)
NESTED = Mean((COSINE, Mean((CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7),))))
BOTH = pytest.mark.parametrize("schedule", [COSINE, NESTED], ids=["plain", "nested"])


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], lr=1.0, momentum=0.5)


def used(scheduler, steps):
    for _ in range(steps):
        (group,) = scheduler.optimizer.param_groups
        yield group["lr"], group["momentum"]
        scheduler.optimizer.step()
        scheduler.step()


@BOTH
def test_rates_and_momenta(schedule):
    scheduler = CyclicLR.from_schedule(optimizer(), schedule)
    momenta = [schedule.momentum(step) for step in range(30)]
    expected = [(schedule.lr(k), 0.5 if momenta[k] is None else momenta[k]) for k in range(30)]
    assert list(used(scheduler, 30)) == expected


@BOTH
def test_state_in_and_out(schedule):
    first = CyclicLR.from_schedule(optimizer(), schedule)
    list(used(first, 13))
    second = CyclicLR.from_schedule(optimizer(), schedule)
    second.load_state_dict(first.state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    other = CyclicLR.from_schedule(optimizer(), Mean((COSINE, COSINE)))
    with pytest.raises(ValueError, match="`state_dict` must be that of a scheduler with the same"):
        other.load_state_dict(first.state_dict())


@BOTH
def test_records(schedule, tmp_path):
    scheduler = CyclicLR.from_schedule(optimizer(), schedule)
    list(used(scheduler, 13))
    record = to_record(scheduler)
    assert record == Record(schedule, 13)
    assert from_record(record, optimizer()).get_last_lr() == scheduler.get_last_lr()
    torch.save({"epoch": 1, "scheduler": scheduler.state_dict()}, tmp_path / "run.pt")
    assert read_record(tmp_path / "run.pt") == record
    assert to_record(to_state_dict(record)) == record


def test_a_callable_within_a_nested_schedule(tmp_path):
    called = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn=lambda x: 1 / x)
    written = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn="1 / x")
    scheduler = CyclicLR.from_schedule(optimizer(), Mean((COSINE, Mean((called,)))))
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert to_record(state, scale_fn="1 / x").schedule == Mean((COSINE, Mean((written,))))
    with pytest.raises(TypeError, match="Python callable can't be carried"):
        to_record(state)
