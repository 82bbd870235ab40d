"""Groups added later, as in fine-tuning: a new scheduler continues where the old one was."""

import re

import pytest
import torch

import oracle
from clr_torch import CyclicLR

HALVES = {"step_size_up": 3, "step_size_down": 4.5, "mode": "triangular2"}
BODY = {"base_lr": 0.0001, "max_lr": 0.0006, "base_momentum": 0.8, "max_momentum": 0.9}
HEAD = {"base_lr": 0.001, "max_lr": 0.006, "base_momentum": 0.7, "max_momentum": 0.95}
# The arguments of a scheduler with both, the head first, since the optimizer had it first.
BOTH = {name: [HEAD[name], BODY[name]] for name in HEAD}
STEPS = 20

OPTIMIZERS = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.3, momentum=0.9),
    "Adam": lambda weights: torch.optim.Adam(weights, lr=0.3),
    "tensors": lambda weights: torch.optim.Adam(
        weights, lr=torch.tensor(0.3), betas=(torch.tensor(0.9), torch.tensor(0.99))
    ),
}
optimizers = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def weight():
    return torch.nn.Parameter(torch.ones(3))


def update(optimizer):
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.grad = torch.ones_like(each)
    optimizer.step()


def run(optimizer, scheduler, steps):
    for _ in range(steps):
        update(optimizer)
        scheduler.step()


def float32(number):
    return torch.as_tensor(number, dtype=torch.float32).item()


def values(optimizer):
    return [
        (
            float32(group["lr"]),
            float32(group["betas"][0] if "betas" in group else group["momentum"]),
        )
        for group in optimizer.param_groups
    ]


def expected(step, *bands):
    """The values for the update that `step` updates came before."""
    dicts = [{"kind": "cyclic", "scale_fn": None} | HALVES | band for band in bands]
    return [
        (
            oracle.to_float32(oracle.lr(each, step)),
            oracle.to_float32(oracle.momentum(each, step)),
        )
        for each in dicts
    ]


def begun(make, steps):
    optimizer = make([weight()])
    scheduler = CyclicLR(optimizer, **HEAD, **HALVES)
    run(optimizer, scheduler, steps)
    return optimizer, scheduler


@optimizers
@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7, 8])
def test_between_two_updates(make, steps):
    # As documented, `last_epoch` is one less than the number of updates done.
    optimizer, scheduler = begun(make, steps)
    optimizer.add_param_group({"params": [weight()]})
    scheduler = CyclicLR(optimizer, **BOTH, **HALVES, last_epoch=scheduler.last_epoch - 1)
    for step in range(steps, STEPS):
        assert scheduler.last_epoch == step
        assert values(optimizer) == expected(step, HEAD, BODY), step
        run(optimizer, scheduler, 1)


@optimizers
@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7, 8])
def test_after_the_error(make, steps, unchanged):
    # An update was done with the new group, so the `last_epoch` of the message is right.
    optimizer, scheduler = begun(make, steps)
    optimizer.add_param_group({"params": [weight()]})
    update(optimizer)
    before = scheduler.last_epoch, scheduler.get_last_lr(), scheduler.get_last_momentum()
    for _ in range(2):
        with unchanged(optimizer), pytest.raises(ValueError, match="add_param_group") as caught:
            scheduler.step()
    after = scheduler.last_epoch, scheduler.get_last_lr(), scheduler.get_last_momentum()
    assert after == before
    last_epoch = int(re.search(r"last_epoch=(\d+)\.$", str(caught.value))[1])
    scheduler = CyclicLR(optimizer, **BOTH, **HALVES, last_epoch=last_epoch)
    for step in range(steps + 1, STEPS):
        assert values(optimizer) == expected(step, HEAD, BODY), step
        run(optimizer, scheduler, 1)


def unfrozen_from(steps, stop=STEPS, model=None):
    """Train a head, and from some update on its body too."""
    torch.manual_seed(0)
    body, head = model or (torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    body.requires_grad_(False)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.3, momentum=0.9)
    scheduler = CyclicLR(optimizer, **HEAD, **HALVES)
    x, used = torch.linspace(-1, 1, 32).reshape(8, 4), []
    for step in range(stop):
        if step == steps:
            body.requires_grad_(True)
            optimizer.add_param_group({"params": body.parameters()})
            scheduler = CyclicLR(optimizer, **BOTH, **HALVES, last_epoch=scheduler.last_epoch - 1)
        used.append(values(optimizer))
        optimizer.zero_grad()
        head(torch.tanh(body(x))).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return body, head, optimizer, scheduler, used


def test_unfreezing():
    body, head, *_, used = unfrozen_from(7)
    frozen_body, same_head, *_ = unfrozen_from(STEPS, stop=7)
    assert used[:7] == [expected(step, HEAD) for step in range(7)]
    assert used[7:] == [expected(step, HEAD, BODY) for step in range(7, STEPS)]
    torch.manual_seed(0)
    assert torch.equal(frozen_body.weight, torch.nn.Linear(4, 4).weight)
    assert not torch.equal(body.weight, frozen_body.weight)
    assert not torch.equal(head.weight, same_head.weight)


def test_resuming_after_unfreezing(tmp_path):
    *_, optimizer, scheduler, used = unfrozen_from(7)
    *_, early, begun, _ = unfrozen_from(7, stop=10)
    torch.save([early.state_dict(), begun.state_dict()], tmp_path / "state.pt")
    states = torch.load(tmp_path / "state.pt", weights_only=True)

    # Groups in the order in which they were added.
    groups = [{"params": [weight(), weight()]}, {"params": [weight(), weight()]}]
    again = torch.optim.SGD(groups, lr=0.3, momentum=0.9)
    resumed = CyclicLR(again, **BOTH, **HALVES)
    for part, state in zip((again, resumed), states, strict=True):
        part.load_state_dict(state)
    assert values(again) == used[10] == expected(10, HEAD, BODY)
    for step in range(10, STEPS):
        assert values(again) == used[step], step
        again.step()
        resumed.step()
    assert resumed.state_dict() == scheduler.state_dict()
    assert values(again) == values(optimizer)
