"""torch.distributed.checkpoint's states, in which each parameter has its own keys."""

import pytest
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_torch import CyclicLR

# torch warns of its own functions that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore")
FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


def run(kind, steps, name="SGD"):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias]}]
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(torch.optim, name)(groups, lr=0.1, **momentum)
    scheduler = kind(optimizer, [0.01, 0.02], 0.1, step_size_up=4)
    return train(model, optimizer, scheduler, steps)


def train(model, optimizer, scheduler, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).mean().backward()
        optimizer.step()
        scheduler.step()
    return model, optimizer, scheduler


def flat(model, optimizer):
    return get_optimizer_state_dict(model, optimizer, options=FLAT)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
@pytest.mark.parametrize("scheduler_first", [True, False])
def test_a_flat_state_of_either_class_goes_on(kind, name, scheduler_first):
    model, optimizer, scheduler = run(kind, 3, name)
    states = flat(model, optimizer), scheduler.state_dict()
    *again, resumed = run(CyclicLR, 0, name)
    again[0].load_state_dict(model.state_dict())
    if scheduler_first:
        resumed.load_state_dict(states[1])
    set_optimizer_state_dict(*again, states[0], options=FLAT)
    if not scheduler_first:
        resumed.load_state_dict(states[1])
    train(*again, resumed, 9)
    straight, _, expected = run(CyclicLR, 12, name)
    assert resumed.get_last_lr() == expected.get_last_lr()
    assert resumed.get_last_momentum() == expected.get_last_momentum()
    for one, other in zip(again[0].parameters(), straight.parameters(), strict=True):
        assert torch.allclose(one, other)
