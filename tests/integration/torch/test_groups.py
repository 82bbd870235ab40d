"""Parameter groups with different boundaries."""

import re

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


def test_a_tensor_for_a_boundary_is_copied():
    # Torch's own class puts the tensor itself into the group, and then fills it.
    base_lr, optimizer = torch.tensor(0.125), sgd()
    scheduler = CyclicLR(optimizer, base_lr, 0.5, step_size_up=2)
    after(optimizer, scheduler, 1)
    assert base_lr.item() == 0.125
    base_lr.fill_(7.0)
    assert after(optimizer, scheduler, 3) == [0.125, 0.125]


def test_a_tensor_for_a_step_size():
    optimizer = sgd()
    scheduler = CyclicLR(optimizer, 0.1, 0.5, torch.tensor(2), torch.tensor(6.0))
    assert {(each.step_size_up, each.step_size_down) for each in scheduler.schedules} == {(2, 6)}


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_groups_that_share_a_tensor_get_one_each(name):
    # Torch puts the same tensor into every group; filled for the second, it would be the second's
    # rate everywhere.
    shared, groups = torch.tensor(0.3), [{"params": [weight()]} for _ in range(3)]
    optimizer = getattr(torch.optim, name)(groups, lr=shared)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"] is shared
    scheduler = CyclicLR(optimizer, [0.1, 0.2, 0.3], 0.5, 2, cycle_momentum=False)
    assert optimizer.param_groups[0]["lr"] is shared
    assert after(optimizer, scheduler, 0) == pytest.approx([0.1, 0.2, 0.3])
    assert after(optimizer, scheduler, 4) == pytest.approx([0.1, 0.2, 0.3])


def test_groups_that_share_tensor_betas_get_their_own():
    betas = (torch.tensor(0.5), torch.tensor(0.99))
    optimizer = torch.optim.Adam(
        [{"params": [weight()]} for _ in range(2)],
        lr=torch.tensor(0.3),
        betas=betas,
        capturable=True,
    )
    CyclicLR(optimizer, 0.1, 0.5, max_momentum=[0.875, 0.9375])
    assert [group["betas"][0].item() for group in optimizer.param_groups] == [0.875, 0.9375]
    assert optimizer.param_groups[0]["betas"][0] is betas[0]


def test_one_tensor_for_both_betas_becomes_two():
    both = torch.tensor(0.5)
    optimizer = torch.optim.Adam(
        [weight()], lr=torch.tensor(0.3), betas=(both, both), capturable=True
    )
    CyclicLR(optimizer, 0.1, 0.5, max_momentum=0.875)
    assert [beta.item() for beta in optimizer.param_groups[0]["betas"]] == [0.875, 0.5]


def test_a_group_added_later(unchanged):
    optimizer = sgd(groups=1)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, step_size_up=2)
    after(optimizer, scheduler, 2)
    optimizer.add_param_group({"params": [weight()]})
    optimizer.step()
    message = (
        "The optimizer must have as many parameter groups as the scheduler was made for "
        "(1). Received: 2 groups. Make a new scheduler after `add_param_group`, with one boundary "
        "per group and last_epoch=2."
    )
    state = scheduler.state_dict()
    with unchanged(optimizer), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        scheduler.step()
    assert scheduler.last_epoch == 2

    # A scheduler as the message advises continues where the other one stopped: at step 3.
    scheduler = CyclicLR(optimizer, [0.1, 0.2], [0.5, 0.6], step_size_up=2, last_epoch=2)
    assert after(optimizer, scheduler, 0) == [0.3, pytest.approx(0.4)]

    # A state has as many groups as its scheduler was made for.
    with unchanged(optimizer), pytest.raises(ValueError, match="must be for 2 parameter groups"):
        scheduler.load_state_dict(state)
