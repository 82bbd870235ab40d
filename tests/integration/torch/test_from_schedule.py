"""`ScheduledLR`, and `CyclicLR.from_schedule`: schedules in place of thirteen parameters."""

import io
import json
import pickle

import pytest
import torch

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, Record, one_cycle, warm_restarts
from clr_torch import CyclicLR, ScheduledLR, from_record, read_record, to_record

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
    "make", [ScheduledLR, CyclicLR.from_schedule], ids=["ScheduledLR", "from_schedule"]
)


def adam(groups=2):
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(groups)]
    return torch.optim.Adam([{"params": [each]} for each in weights], betas=(0.9, 0.99))


def steps(optimizer, scheduler, count):
    for _ in range(count):
        yield [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()


@MAKERS
def test_one_schedule_for_all_groups(make):
    optimizer = adam()
    scheduler = make(optimizer, QUICK)
    assert scheduler.schedules == (QUICK, QUICK)
    assert list(steps(optimizer, scheduler, 9)) == [[QUICK.lr(step)] * 2 for step in range(9)]


@MAKERS
def test_one_schedule_per_group(make):
    optimizer = adam()
    scheduler = make(optimizer, [SLOW, QUICK])
    assert scheduler.schedules == (SLOW, QUICK)
    assert list(steps(optimizer, scheduler, 9)) == [
        [SLOW.lr(step), QUICK.lr(step)] for step in range(9)
    ]


@MAKERS
def test_momentum_cycles_in_the_groups_whose_schedule_has_one(make):
    optimizer = adam()
    scheduler = make(optimizer, [SLOW, QUICK])
    for _ in steps(optimizer, scheduler, 2):
        pass
    assert [group["betas"] for group in optimizer.param_groups] == [(0.9, 0.99), (0.7, 0.99)]
    assert scheduler.get_last_momentum() == [None, 0.7]


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
def test_last_epoch(make, last_epoch):
    optimizer = adam()
    scheduler = make(optimizer, QUICK, last_epoch=last_epoch)
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
    optimizer = adam()
    scheduler = ScheduledLR(optimizer, schedule)
    for _ in steps(optimizer, scheduler, step):
        pass
    resumed, loaded = adam(), copied(scheduler)
    other = ScheduledLR(resumed, schedule)
    other.load_state_dict(loaded)
    CyclicLR.from_schedule(adam(), schedule).load_state_dict(loaded)  # The states are the same.
    assert other.last_epoch == step
    expected = list(steps(optimizer, scheduler, 12))
    assert list(steps(resumed, other, 12)) == expected
    assert expected == [[schedule.lr(step + k)] * 2 for k in range(12)]


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

    optimizer = adam(1)
    scheduler = Floored(optimizer, ONE_CYCLE)
    found = [(lr, scheduler.get_last_momentum()[0]) for (lr,) in steps(optimizer, scheduler, 22)]
    assert found == [(max(ONE_CYCLE.lr(k), 0.1), ONE_CYCLE.momentum(k)) for k in range(22)]
    other = Floored(adam(1), ONE_CYCLE)
    other.load_state_dict(scheduler.state_dict())
    assert (other.last_epoch, other.seen) == (22, scheduler.seen)
