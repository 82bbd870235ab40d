"""`ScheduledLR`, and `CyclicLR.from_schedule`: schedules in place of thirteen parameters."""

import functools
import io
import json
import pickle

import pytest
import torch

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, Record, one_cycle, warm_restarts
from clr_torch import CyclicLR, ScheduledLR, from_record, read_record, to_record
from integration.torch.training import after, make, run

SLOW = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=4)
QUICK = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.05,
    step_size_up=2,
    mode="triangular2",
    base_momentum=0.7,
    max_momentum=0.95,
)
MOMENTA = {"base_momentum": 0.85, "max_momentum": 0.95}
ONE_CYCLE = one_cycle(max_lr=0.5, total_steps=20, **MOMENTA)
SEQUENCE = (
    PiecewiseSchedule([Phase(3, 0.0, 0.1)])
    .then(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2), at=5)
    .then(warm_restarts(0.5, 4, growth=2), at=11)
)
OTHERS = pytest.mark.parametrize("schedule", [ONE_CYCLE, SEQUENCE], ids=["one cycle", "sequence"])
MAKERS = pytest.mark.parametrize(
    "start", [ScheduledLR, CyclicLR.from_schedule], ids=["ScheduledLR", "from_schedule"]
)
adam = functools.partial(make, "Adam", groups=2)


@MAKERS
@pytest.mark.parametrize("given", [QUICK, [SLOW, QUICK]], ids=["for all groups", "per group"])
def test_rates_and_momenta(start, given):
    scheduler = start(adam(), given)
    schedules = given if isinstance(given, list) else [given] * 2
    assert scheduler.schedules == tuple(schedules)
    assert run(scheduler, 9) == [
        # The momentum cycles in the groups whose schedule has one.
        [(each.lr(step), each.momentum(step) or 0.9) for each in schedules]
        for step in range(9)
    ]
    assert scheduler.get_last_momentum() == [each.momentum(9) for each in schedules]


def test_gives_the_class_it_is_called_on():
    class Mine(CyclicLR):
        pass

    assert type(Mine.from_schedule(adam(), SLOW)) is Mine


def test_is_the_scheduler_of_the_same_parameters():
    ours = CyclicLR.from_schedule(adam(), QUICK)
    theirs = CyclicLR(
        adam(), 0.01, 0.05, 2, mode="triangular2", base_momentum=0.7, max_momentum=0.95
    )
    assert ours.schedules == theirs.schedules
    assert ours.state_dict() == theirs.state_dict()


@MAKERS
@pytest.mark.parametrize("last_epoch", [-1, 0, 1, 7, 2**40])
def test_last_epoch(start, last_epoch):
    scheduler = start(adam(), QUICK, last_epoch=last_epoch)
    assert scheduler.last_epoch == last_epoch + 1
    assert scheduler.get_last_lr() == [QUICK.lr(last_epoch + 1)] * 2
    assert scheduler.get_last_momentum() == [QUICK.momentum(last_epoch + 1)] * 2


@OTHERS
@pytest.mark.parametrize("step", [0, 2, 4, 7, 13])
@pytest.mark.parametrize(
    "copied",
    [
        lambda scheduler: pickle.loads(pickle.dumps(scheduler)).state_dict(),
        lambda scheduler: json.loads(json.dumps(scheduler.state_dict())),
        lambda scheduler: saved(scheduler.state_dict()),
    ],
    ids=["pickle", "JSON", "torch.save"],
)
def test_a_state_from_within_a_phase(schedule, step, copied):
    scheduler = after(ScheduledLR(adam(), schedule), step)
    loaded = copied(scheduler)
    other = ScheduledLR(adam(), schedule)
    other.load_state_dict(loaded)
    CyclicLR.from_schedule(adam(), schedule).load_state_dict(loaded)  # The states are the same.
    assert other.last_epoch == step
    expected = [[(schedule.lr(k), schedule.momentum(k) or 0.9)] * 2 for k in range(step, step + 12)]
    assert run(scheduler, 12) == run(other, 12) == expected


def saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("schedule", [QUICK, ONE_CYCLE, SEQUENCE])
def test_a_record_becomes_the_class_of_its_schedule(schedule, tmp_path):
    scheduler = from_record(Record(schedule, 7), adam())
    assert type(scheduler) is (CyclicLR if schedule is QUICK else ScheduledLR)
    assert to_record(scheduler) == Record(schedule, 7)
    for content in (scheduler, scheduler.state_dict()):
        torch.save({"scheduler": content}, tmp_path / "run.pt")
        assert read_record(tmp_path / "run.pt") == Record(schedule, 7)


def test_the_attributes_of_torchs_class_are_those_of_the_drop_in():
    scheduler = ScheduledLR(adam(), ONE_CYCLE)
    assert scheduler.base_lrs == (ONE_CYCLE.lr(0), ONE_CYCLE.lr(0))
    assert not hasattr(scheduler, "max_lrs")
    assert isinstance(CyclicLR(adam(), 0.1, 0.5), ScheduledLR)
    with pytest.raises(AttributeError, match=r"`base_lrs` must stay .* last_epoch=-1\. Received"):
        scheduler.base_lrs = [0.1, 0.1]
    with pytest.raises(TypeError):
        scheduler.base_lrs[0] = 0.1


def test_a_derived_class_with_its_own_rates_and_attributes():
    class Floored(ScheduledLR):
        seen = 0

        def get_lr(self):
            self.seen += 1
            return [max(lr, 0.1) for lr in super().get_lr()]

    scheduler = Floored(adam(groups=1), ONE_CYCLE)
    expected = [[(max(ONE_CYCLE.lr(k), 0.1), ONE_CYCLE.momentum(k))] for k in range(22)]
    assert run(scheduler, 22) == expected
    other = Floored(adam(groups=1), ONE_CYCLE)
    other.load_state_dict(scheduler.state_dict())
    assert (other.last_epoch, other.seen) == (22, scheduler.seen)
