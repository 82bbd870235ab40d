"""Parameter groups with different boundaries."""

import pytest
import torch

from clr_torch import CyclicLR


def weight():
    return torch.nn.Parameter(torch.zeros(3))


def sgd(groups=2, **arguments):
    return torch.optim.SGD(
        [{"params": [weight()]} for _ in range(groups)], **{"lr": 0.3, "momentum": 0.9} | arguments
    )


def after(optimizer, scheduler, count):
    for _ in range(count):
        optimizer.step()
        scheduler.step()
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize(
    ("base_lr", "max_lr", "at_base", "at_peak"),
    [
        (0.1, 0.5, [0.1, 0.1], [0.5, 0.5]),
        ([0.1, 0.2], 0.5, [0.1, 0.2], [0.5, 0.5]),
        (0.1, (0.5, 0.6), [0.1, 0.1], [0.5, 0.6]),
        ([0.1, 0.2], [0.5, 0.6], [0.1, 0.2], [0.5, 0.6]),
        (torch.tensor(0.125), torch.tensor([0.5]), [0.125, 0.125], [0.5, 0.5]),
        ([torch.tensor(0.125), 0.2], [0.5, torch.tensor(0.75)], [0.125, 0.2], [0.5, 0.75]),
    ],
    ids=["numbers", "a list", "a tuple", "two lists", "tensors", "tensors in lists"],
)
def test_boundaries(base_lr, max_lr, at_base, at_peak):
    optimizer = sgd()
    scheduler = CyclicLR(optimizer, base_lr, max_lr, step_size_up=2)
    assert after(optimizer, scheduler, 0) == scheduler.base_lrs == at_base
    assert after(optimizer, scheduler, 2) == at_peak
    assert after(optimizer, scheduler, 2) == at_base


def test_momenta():
    optimizer = sgd()
    scheduler = CyclicLR(
        optimizer, 0.1, 0.5, 2, base_momentum=[0.5, 0.6], max_momentum=(0.75, torch.tensor(0.875))
    )
    assert scheduler.get_last_momentum() == [0.75, 0.875]
    after(optimizer, scheduler, 2)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.5, 0.6]


def test_a_tensor_for_a_step_size():
    optimizer = sgd()
    scheduler = CyclicLR(optimizer, 0.1, 0.5, torch.tensor(2), torch.tensor(6.0))
    assert {(each.step_size_up, each.step_size_down) for each in scheduler.schedules} == {(2, 6)}


def test_one_tensor_for_both_betas_becomes_two():
    both = torch.tensor(0.5)
    optimizer = torch.optim.Adam(
        [weight()], lr=torch.tensor(0.3), betas=(both, both), capturable=True
    )
    CyclicLR(optimizer, 0.1, 0.5, max_momentum=0.875)
    assert [beta.item() for beta in optimizer.param_groups[0]["betas"]] == [0.875, 0.5]
