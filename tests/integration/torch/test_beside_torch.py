"""Beside torch's own class: the float32 rates and momenta of a training are the same.

Each computes in float64 with its own formula, and an update rounds to float32.
"""

import random

import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR as Torchs

import oracle
from clr_torch import CyclicLR

ORDINARY = {
    "the defaults": {"base_lr": 0.001, "max_lr": 0.006},
    "triangular2": {"base_lr": 0.0001, "max_lr": 0.01, "step_size_up": 470, "mode": "triangular2"},
    "exp_range": {"base_lr": 0.01, "max_lr": 0.1, "mode": "exp_range", "gamma": 0.99994},
    "unequal": {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 37, "step_size_down": 90},
    "fractional": {"base_lr": 3e-5, "max_lr": 3e-4, "step_size_up": 312.5, "max_momentum": 0.95},
    "per group": {
        "base_lr": [0.001, 0.0002],
        "max_lr": [0.006, 0.003],
        "base_momentum": [0.85, 0.7],
        "max_momentum": [0.95, 0.9],
        "step_size_up": 600,
        "mode": "triangular2",
    },
}
STEPS = 4500


def make(name="SGD", initial_lr=None):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    momentum = {"momentum": 0.9} if name == "SGD" else {"betas": (0.9, 0.999)}
    optimizer = getattr(torch.optim, name)(groups, lr=0.1, **momentum)
    if initial_lr is not None:
        for group in optimizer.param_groups:
            group["initial_lr"] = initial_lr
    return optimizer


def used(optimizer):
    """The rate and momentum of each group, as float32."""
    numbers = [
        number
        for group in optimizer.param_groups
        for number in (group["lr"], group["betas"][0] if "betas" in group else group["momentum"])
    ]
    return torch.tensor(numbers, dtype=torch.float64).float().tolist()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("arguments", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_trainings(arguments, name):
    runs = []
    for kind in (CyclicLR, Torchs):
        optimizer = make(name)
        runs.append((optimizer, kind(optimizer, **arguments)))
    for step in range(STEPS):
        ours, torchs = (used(optimizer) for optimizer, _ in runs)
        assert ours == torchs, f"step {step}"
        for optimizer, scheduler in runs:
            optimizer.step()
            scheduler.step()


def at(kind, step, **arguments):
    # Torch's class starts in the middle only if there is an `initial_lr`, and from that.
    optimizer = make(initial_lr=arguments["base_lr"])
    kind(optimizer, **arguments, last_epoch=step - 1)
    return used(optimizer)


def random_arguments(rng):
    def number(low, high):
        value = 10 ** rng.uniform(low, high)
        return rng.choice((value, float(f"{value:.2g}"), torch.tensor(value).item()))

    max_lr, up = number(-4, 0), number(0, 4)
    arguments = {
        "base_lr": max_lr * rng.uniform(0.01, 1),
        "max_lr": max_lr,
        "step_size_up": up,
        "step_size_down": up * 10 ** rng.uniform(-1, 1),
        "base_momentum": rng.uniform(0.1, 0.8),
        "max_momentum": rng.uniform(0.8, 0.99),
    }
    decay = rng.choice(({"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.999}, {}))
    return arguments | decay


def test_any_schedule_in_a_thousand_cycles():
    """They differ by at most one float32 ulp, and hardly ever.

    Torch reduces the step by `1 + step / size - cycle`, which loses as many bits as `cycle` has:
    2**-53 * 1000 of a cycle, times 11 (the steepest half here) and 100 (the largest `max_lr`
    beside its `base_lr`), is 1.3e-10 of the rate, where half a float32 ulp is 3e-8 or more. So two
    roundings differ only if a midpoint lies between them, and then they are neighbours.
    """
    rng, points, apart = random.Random(3), 0, 0
    for _ in range(300):
        arguments = random_arguments(rng)
        size = arguments["step_size_up"] + arguments["step_size_down"]
        for step in (rng.randrange(int(1000 * size)) for _ in range(20)):
            pairs = zip(at(CyclicLR, step, **arguments), at(Torchs, step, **arguments), strict=True)
            for ours, torchs in pairs:
                assert oracle.ulps32(ours, torchs) <= 1, (arguments, step, ours, torchs)
                apart += ours != torchs
                points += 1
    assert apart <= points / 1000, f"{apart} of {points} differ"


def test_far_out_it_is_torchs_class_that_is_off():
    """At a billion steps, or 8 million cycles, the bits that torch loses are 1e-9 of a cycle.

    Here that is 2e-8 of the rate, not much less than half a float32 ulp (3e-8 to 6e-8), so
    many of its rates are neighbours of the right one. Ours is the right one.
    """
    arguments = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 37, "step_size_down": 90}
    (schedule, _) = CyclicLR(make(), **arguments).schedules
    apart = 0
    for step in range(10**9, 10**9 + 127):
        (ours, *_), (torchs, *_) = (at(kind, step, **arguments) for kind in (CyclicLR, Torchs))
        assert oracle.ulps32(ours, torchs) <= 1, (step, ours, torchs)
        assert ours == oracle.to_float32(oracle.lr(schedule.to_dict(), step)), step
        apart += ours != torchs
    assert apart  # Otherwise this test has lost its reason.
