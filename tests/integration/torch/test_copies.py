"""Pickling and copying: whole trainings travel that way, to other processes too."""

import copy
import pickle

import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR

SCHEDULE = CyclicSchedule(
    base_lr=0.1,
    max_lr=0.5,
    step_size_up=2,
    scale_fn="1 / x",
    base_momentum=0.75,
    max_momentum=0.875,
)


def squared(x):
    return 1 / x**2


def scheduler(schedule=SCHEDULE, lr=0.3):
    weight = torch.nn.Parameter(torch.zeros(3))
    made = CyclicLR.from_schedule(torch.optim.SGD([weight], lr=lr, momentum=0.5), schedule)
    step(made, 3)
    return made


def step(made, count):
    for _ in range(count):
        made.optimizer.step()
        made.step()


def pickled(made):
    return pickle.loads(pickle.dumps(made))


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3)], ids=["float", "tensor"])
def test_a_copy_goes_on_by_itself(copied, lr):
    made = scheduler(lr=lr)
    before = made.state_dict()
    other = copied(made)
    assert other.state_dict() == before
    assert other.optimizer is not made.optimizer

    step(other, 4)
    assert made.state_dict() == before
    (group,) = other.optimizer.param_groups
    assert float(group["lr"]) == pytest.approx(SCHEDULE.lr(7))
    assert group["momentum"] == SCHEDULE.momentum(7)
    step(made, 4)
    assert made.state_dict() == other.state_dict()


def test_a_copy_from_the_start():
    # At `last_epoch` 0 torch's base class looks whether the optimizer's `step` is one that it has
    # wrapped; a copy's isn't, so it warns, as it does for its own classes.
    weight = torch.nn.Parameter(torch.zeros(3))
    made = CyclicLR.from_schedule(torch.optim.SGD([weight], momentum=0.5), SCHEDULE)
    other = copy.deepcopy(made)
    other.optimizer.step()
    with pytest.warns(UserWarning, match="has been overridden"):
        other.step()
    assert other.get_last_lr() == [SCHEDULE.lr(1)]


def test_with_a_function_of_a_module():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=squared)
    other = copy.deepcopy(scheduler(schedule))
    assert other.schedules == (schedule,)
    step(other, 2)
    assert other.get_last_lr() == [schedule.lr(5)]


def test_a_lambda_is_not_pickled_silently():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=lambda x: 1 / x)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickled(scheduler(schedule))
