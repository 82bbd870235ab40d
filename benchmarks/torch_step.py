"""A step of a scheduler beside one of torch's own: writes benchmarks/torch_step.md.

Each timing is of 1,920 steps in a row, so it includes the whole cost of two blocks computed ahead.
With `step_with_optimizer`, it is what torch calls after each update of the optimizer. Targets: 0.35
for a rate alone and for different boundaries, 0.3 with momentum, 0.5 with a tensor rate; 0.35
beside torch's OneCycleLR; and 1,000 phases cost at most twice what 3 cost.
"""

from functools import partial

import measuring
import torch
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR
from torch.optim.lr_scheduler import OneCycleLR

from clr_core import Phase, PiecewiseSchedule, one_cycle
from clr_torch import CyclicLR, ScheduledLR

STEPS = 1920
ABOUT = """
A profile of one of our steps, in one group with a rate alone: 0.15 µs in torch's own `step`, 0.1 µs
for its share of the block of 960 steps that NumPy computes ahead, 0.2 µs to write into the group,
and the rest in the calls between them.

- *Different boundaries*: ten rates and ten momenta are computed for each step; the remainders of
  the step, half of the work, once for all groups with one cycle size. It takes 0.2 µs to put them
  side by side.
- *exp_range*: NumPy computes the powers of the block, with the bits of `schedule.lr(step)`.
- *Adam's beta1*: a new tuple for each step, which torch makes too.
- *Phases*: NumPy computes the block, and looks the phases of its steps up at once.
"""
MANY_STEPS = 2_000_000  # More than are measured: torch's class raises an error beyond its last.
MOMENTA = {"base_momentum": 0.85, "max_momentum": 0.95}


def phases(number):
    """As many phases of both shapes, which go up and down in turn."""
    ends = (0.1, 0.5, 0.1)
    return PiecewiseSchedule(
        [
            Phase(MANY_STEPS / number, *ends[index % 2 :][:2], ("cosine", "linear")[index // 2 % 2])
            for index in range(number)
        ]
    )


def stepper(
    cls,
    *,
    optimizer=torch.optim.SGD,
    groups=1,
    own=False,
    tensor=False,
    momentum=True,
    gamma=None,
    with_optimizer=False,
):
    weights = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    options = {"momentum": 0.9} if momentum and optimizer is torch.optim.SGD else {}
    made = optimizer(weights, lr=torch.tensor(0.1) if tensor else 0.1, **options)
    base_lr = [0.1 + 0.01 * group for group in range(groups)] if own else 0.1
    decay = {} if gamma is None else {"mode": "exp_range", "gamma": gamma}
    scheduler = cls(made, base_lr, 0.5, 2000, cycle_momentum=momentum, **decay)
    made.step()
    if with_optimizer and cls is CyclicLR:
        scheduler.step_with_optimizer = True
        made.scheduler = scheduler  # The hook alone doesn't keep it.
        (hook,) = made._optimizer_step_post_hooks.values()
        # Torch calls it directly; as a method, a partial one would take 0.05 µs more.
        return partial(hook.__func__, hook.__self__, made, (), {})
    return scheduler.step


def of_cyclic(target, **options):
    """A case beside torch's CyclicLR, with its target."""
    return (
        "CyclicLR",
        target,
        *(partial(stepper, cls, **options) for cls in (TorchCyclicLR, CyclicLR)),
    )


def one_group(cls, *arguments, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.95)
    scheduler = cls(optimizer, *arguments, **options)
    optimizer.step()
    return scheduler.step


def of_one_cycle(anneal_strategy="cos", shape="cosine", **momenta):
    """A case beside torch's OneCycleLR, with its target."""
    theirs = {"anneal_strategy": anneal_strategy, **(momenta or {"cycle_momentum": False})}
    ours = one_cycle(0.5, MANY_STEPS, shape=shape, **momenta)
    return (
        "OneCycleLR",
        0.35,
        partial(one_group, OneCycleLR, 0.5, total_steps=MANY_STEPS, **theirs),
        partial(one_group, ScheduledLR, ours),
    )


CASES = {
    "1 group": of_cyclic(0.35, momentum=False),
    "1 group, momentum": of_cyclic(0.3),
    "1 group, Adam's beta1": of_cyclic(0.3, optimizer=torch.optim.Adam),
    "10 groups, momentum": of_cyclic(0.3, groups=10),
    "10 groups, momentum, different boundaries": of_cyclic(0.35, groups=10, own=True),
    "1 group, tensor rate": of_cyclic(0.5, tensor=True, momentum=False),
    "1 group, tensor rate, momentum": of_cyclic(0.5, tensor=True),
    "1 group, exp_range": of_cyclic(0.35, momentum=False, gamma=0.9999),
    "1 group, step_with_optimizer": of_cyclic(0.35, momentum=False, with_optimizer=True),
    "one cycle": of_one_cycle(),
    "one cycle, momentum": of_one_cycle(**MOMENTA),
    "one cycle, linear, momentum": of_one_cycle("linear", "linear", **MOMENTA),
    "1,000 phases": (
        "3 phases of ours",
        2,
        partial(one_group, ScheduledLR, phases(3)),
        partial(one_group, ScheduledLR, phases(1000)),
    ),
}
"""A case: what it is beside, the target, and both."""


def main() -> None:
    rows = []
    for name, (beside, target, theirs, ours) in CASES.items():
        works = {"theirs": theirs(), "ours": ours()}
        times = measuring.interleaved(works, calls=STEPS, rounds=measuring.rounds())
        took = [times[name] * 1e6 for name in works]
        ratio = took[1] / took[0]
        rows.append([name, beside, *(f"{each:.2f}" for each in took), f"{ratio:.2f}", f"{target}"])
    measuring.write(
        __file__,
        "scheduler.step(), beside torch's schedulers",
        [
            "Microseconds per step, medians of interleaved rounds of 1,920 steps. "
            + measuring.machine("torch"),
            "",
            *measuring.table(["", "beside", "theirs", "ours", "ratio", "target"], rows),
            *ABOUT.rstrip().split("\n"),
        ],
    )


if __name__ == "__main__":
    main()
