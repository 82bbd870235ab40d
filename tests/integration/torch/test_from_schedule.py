"""`CyclicLR.from_schedule`: schedules in place of thirteen parameters."""

import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR

SLOW = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=4)
QUICK = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.05,
    step_size_up=2,
    mode="triangular2",
    base_momentum=0.7,
    max_momentum=0.95,
)


def adam(groups=2):
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(groups)]
    return torch.optim.Adam([{"params": [each]} for each in weights], betas=(0.9, 0.99))


def steps(optimizer, scheduler, count):
    for _ in range(count):
        yield [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()


def test_one_schedule_for_all_groups():
    optimizer = adam()
    scheduler = CyclicLR.from_schedule(optimizer, QUICK)
    assert scheduler.schedules == (QUICK, QUICK)
    assert list(steps(optimizer, scheduler, 9)) == [[QUICK.lr(step)] * 2 for step in range(9)]


def test_one_schedule_per_group():
    optimizer = adam()
    scheduler = CyclicLR.from_schedule(optimizer, [SLOW, QUICK])
    assert scheduler.schedules == (SLOW, QUICK)
    assert list(steps(optimizer, scheduler, 9)) == [
        [SLOW.lr(step), QUICK.lr(step)] for step in range(9)
    ]


def test_momentum_cycles_in_the_groups_whose_schedule_has_one():
    optimizer = adam()
    scheduler = CyclicLR.from_schedule(optimizer, [SLOW, QUICK])
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


@pytest.mark.parametrize("last_epoch", [-1, 0, 1, 7, 2**40])
def test_last_epoch(last_epoch):
    optimizer = adam()
    scheduler = CyclicLR.from_schedule(optimizer, QUICK, last_epoch=last_epoch)
    assert scheduler.last_epoch == last_epoch + 1
    assert scheduler.get_last_lr() == [QUICK.lr(last_epoch + 1)] * 2
    assert scheduler.get_last_momentum() == [QUICK.momentum(last_epoch + 1)] * 2
