"""torch: a scheduler on a real `torch.optim.SGD`."""

import torch

import clr_torch
import clr_torch.ops
from clr_torch.evaluate import evaluate

MAX_STEP = 2**53


def _used(schedule, steps):
    """The rate and momentum in the optimizer, and how far one update moves a weight."""
    weight = torch.nn.Parameter(torch.zeros(()))
    for step in steps:
        momentum = 0 if schedule.momentum(0) is None else 0.5
        optimizer = torch.optim.SGD([weight], lr=123.0, momentum=momentum)
        clr_torch.CyclicLR.from_schedule(optimizer, schedule, last_epoch=step - 1)
        with torch.no_grad():
            weight.zero_()
        weight.grad = torch.tensor(-1.0)
        optimizer.step()
        (group,) = optimizer.param_groups
        yield group["lr"], group["momentum"], weight.item()


def lrs(schedule, steps):
    return [lr for lr, _, _ in _used(schedule, steps)]


def moves(schedule, steps):
    return [move for _, _, move in _used(schedule, steps)]


def momenta(schedule, steps):
    return [momentum for _, momentum, _ in _used(schedule, steps)]


def _tensors(schedule, steps):
    return evaluate(schedule.lr, torch.from_numpy(steps)).numpy()


def _float64(schedule, steps):
    at = torch.from_numpy(steps).to(torch.float64)
    return torch.as_tensor(schedule.lr(at, clr_torch.ops)).expand(at.shape).numpy()


CURVES = {"tensor": _tensors}
FLOAT64 = {"tensor": lambda *curves: list(map(_float64, *curves))}
