"""The place of momentum in each optimizer, and the values that don't change."""

import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR

SCHEDULE = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.75, max_momentum=0.875
)
MOMENTA = [0.875, 0.8125, 0.75, 0.8125, 0.875]


def make(name, **arguments):
    weight = torch.nn.Parameter(torch.ones(4, 4))
    return getattr(torch.optim, name)([weight], **{"lr": 0.3} | arguments)


def over(optimizer, scheduler):
    """The parameter group before each of five updates."""
    for _ in range(5):
        yield optimizer.param_groups[0]
        optimizer.param_groups[0]["params"][0].grad = torch.ones(4, 4)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Muon"])
def test_momentum(name):
    optimizer = make(name, momentum=0.5)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    assert [group["momentum"] for group in over(optimizer, scheduler)] == MOMENTA


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax"])
def test_the_first_of_betas(name):
    optimizer = make(name, betas=(0.5, 0.99))
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    seen = [group["betas"] for group in over(optimizer, scheduler)]
    assert seen == [(momentum, 0.99) for momentum in MOMENTA]
    assert "momentum" not in optimizer.param_groups[0]


@pytest.mark.parametrize(("name", "key"), [("SGD", "momentum"), ("Adam", "betas")])
def test_without_cycle_momentum_it_is_left_alone(name, key):
    optimizer = make(name, **({"momentum": 0.5} if key == "momentum" else {"betas": (0.5, 0.99)}))
    before = optimizer.param_groups[0][key]
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, cycle_momentum=False)
    assert all(group[key] == before for group in over(optimizer, scheduler))
    assert scheduler.get_last_momentum() == [None]


def test_get_last_momentum_beside_get_last_lr():
    optimizer = make("SGD", momentum=0.5)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    for step, group in enumerate(over(optimizer, scheduler)):
        assert scheduler.get_last_momentum() == [group["momentum"]] == [MOMENTA[step]]
        assert scheduler.get_last_lr() == [group["lr"]] == [SCHEDULE.lr(step)]


def test_get_last_momentum_is_a_copy():
    scheduler = CyclicLR.from_schedule(make("SGD", momentum=0.5), SCHEDULE)
    scheduler.get_last_momentum().clear()
    assert scheduler.get_last_momentum() == [0.875]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_get_lr_writes_nothing(name, unchanged):
    # Torch's own `get_lr()` sets the momentum, and warns unless `step()` calls it.
    momentum = {"momentum": 0.5} if name == "SGD" else {"betas": (0.5, 0.99)}
    optimizer = make(name, **momentum)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    assert scheduler.get_lr() == [SCHEDULE.lr(0)]
    optimizer.step()
    scheduler.step()
    optimizer.param_groups[0] |= {"lr": 7.0} | momentum
    before = scheduler.state_dict()
    with unchanged(optimizer):
        assert scheduler.get_lr() == [SCHEDULE.lr(1)]
    assert scheduler.state_dict() == before


def test_a_momentum_that_reaches_0_comes_back():
    # It is 0 at the peak, but the optimizer isn't one without momentum. A scheduler made at that
    # step must see this too, for the same optimizer or for a loaded one.
    schedule = CyclicSchedule(
        base_lr=0.1, max_lr=0.5, step_size_up=1, base_momentum=0.0, max_momentum=0.5
    )
    optimizer = make("SGD", momentum=0.5)
    scheduler = CyclicLR.from_schedule(optimizer, schedule)
    seen = [group["momentum"] for group in over(optimizer, scheduler)]
    assert seen == [0.5, 0.0, 0.5, 0.0, 0.5]
    assert optimizer.param_groups[0]["momentum"] == 0.0

    other = make("SGD", momentum=0.5)
    other.load_state_dict(optimizer.state_dict())
    for each in (optimizer, other):
        CyclicLR(each, 0.1, 0.5, 1, base_momentum=0.0, max_momentum=0.5, last_epoch=5)
        assert each.param_groups[0]["momentum"] == 0.5


def test_sgd_without_momentum_makes_no_buffer():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, cycle_momentum=False)
    weight.grad = torch.ones(3)
    optimizer.step()
    scheduler.step()
    assert optimizer.state[weight].get("momentum_buffer") is None
