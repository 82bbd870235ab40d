"""Tensor rates and betas: filled in place, since a compiled step may hold on to them."""

import pytest
import torch

from clr_torch import CyclicLR


def weight():
    return torch.nn.Parameter(torch.ones(3))


def adam():
    return torch.optim.Adam(
        [weight()],
        lr=torch.tensor(0.3),
        betas=(torch.tensor(0.5), torch.tensor(0.99)),
        capturable=True,
    )


def step(optimizer, scheduler):
    # Without a gradient: to update weights on the CPU, Adam has no capturable form.
    optimizer.step()
    scheduler.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_rate_stays_the_same_tensor(name):
    lr = torch.tensor(0.3, dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([weight()], lr=lr)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, cycle_momentum=False)
    for count in range(6):
        assert optimizer.param_groups[0]["lr"] is lr
        assert lr.item() == scheduler.schedules[0].lr(count)
        optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
        step(optimizer, scheduler)


def test_betas_stay_the_same_tensors():
    optimizer = adam()
    first, second = optimizer.param_groups[0]["betas"]
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, base_momentum=0.75, max_momentum=0.875)
    for momentum in (0.875, 0.8125, 0.75, 0.8125, 0.875):
        assert optimizer.param_groups[0]["betas"][0] is first
        assert optimizer.param_groups[0]["betas"][1] is second
        assert (first.item(), second.item()) == (momentum, torch.tensor(0.99).item())
        assert scheduler.get_last_momentum() == [momentum]
        step(optimizer, scheduler)


def test_nothing_else_holds_the_tensor():
    optimizer = adam()
    scheduler = CyclicLR(optimizer, 0.125, 0.5, 2)
    group = optimizer.param_groups[0]
    last, base, initial = scheduler.get_last_lr(), scheduler.base_lrs, group["initial_lr"]
    assert last[0] is not group["lr"]
    state = scheduler.state_dict()
    step(optimizer, scheduler)
    assert (float(last[0]), base, float(initial)) == (0.125, [0.125], 0.125)
    assert state["_last_lr"] == [0.125]


def test_loading_fills_the_tensors():
    source = adam()
    scheduler = CyclicLR(source, 0.125, 0.5, 2)
    step(source, scheduler)
    optimizer = adam()
    lr, betas = optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"]
    CyclicLR(optimizer, 0.125, 0.5, 2).load_state_dict(scheduler.state_dict())
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.3125
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert betas[0].item() == torch.tensor(0.85).item()


def test_a_tensor_momentum_stays_the_same_tensor():
    momentum = torch.tensor(0.5)
    optimizer = torch.optim.SGD([weight()], momentum=momentum)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, base_momentum=0.75, max_momentum=0.875)
    step(optimizer, scheduler)
    assert optimizer.param_groups[0]["momentum"] is momentum
    assert momentum.item() == 0.8125
