"""Parameter groups with different boundaries."""

import pytest
import torch

from clr_torch import CyclicLR
from integration.torch.training import make, run, values


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
    scheduler = CyclicLR(make(groups=2), base_lr, max_lr, step_size_up=2)
    assert scheduler.base_lrs == at_base
    rates = [[lr for lr, _ in groups] for groups in run(scheduler, 5)]
    assert (rates[0], rates[2], rates[4]) == (at_base, at_peak, at_base)


def test_momenta():
    momenta = {"base_momentum": [0.5, 0.6], "max_momentum": (0.75, torch.tensor(0.875))}
    scheduler = CyclicLR(make(groups=2), 0.1, 0.5, 2, **momenta)
    assert scheduler.get_last_momentum() == [0.75, 0.875]
    run(scheduler, 2)
    assert [momentum for _, momentum in values(scheduler)] == [0.5, 0.6]


def test_a_tensor_for_a_step_size():
    scheduler = CyclicLR(make(), 0.1, 0.5, torch.tensor(2), torch.tensor(6.0))
    (schedule,) = scheduler.schedules
    assert (schedule.step_size_up, schedule.step_size_down) == (2, 6)


def test_one_tensor_for_both_betas_becomes_two():
    both = torch.tensor(0.5)
    optimizer = make("Adam", lr=torch.tensor(0.3), betas=(both, both), capturable=True)
    CyclicLR(optimizer, 0.1, 0.5, max_momentum=0.875)
    assert [beta.item() for beta in optimizer.param_groups[0]["betas"]] == [0.875, 0.5]
