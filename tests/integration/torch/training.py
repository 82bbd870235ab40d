"""Optimizers on small weights, and what the updates of a run use."""

import torch


def make(name="SGD", groups=1, momentum=0.9, **options):
    """An optimizer of torch, with a weight in each group; `momentum` is Adam's beta1, too."""
    weights = [{"params": [torch.nn.Parameter(torch.zeros(3))]} for _ in range(groups)]
    own = {"betas": (momentum, 0.99)} if name == "Adam" else {"momentum": momentum}
    return getattr(torch.optim, name)(weights, **{"lr": 0.3} | own | options)


def values(scheduler):
    """The rate and the momentum of each group."""
    return [
        (float(group["lr"]), group["betas"][0] if "betas" in group else group["momentum"])
        for group in scheduler.optimizer.param_groups
    ]


def run(scheduler, steps):
    """Make so many updates; returns the values that each of them used."""
    used = []
    for _ in range(steps):
        used.append(values(scheduler))
        scheduler.optimizer.step()
        scheduler.step()
    return used


def after(scheduler, steps):
    """The scheduler after so many updates."""
    run(scheduler, steps)
    return scheduler
