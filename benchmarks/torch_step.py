"""A step of the scheduler beside one of torch's own CyclicLR: writes benchmarks/torch_step.md.

Each timing is of 2,048 steps in a row, so it includes the whole cost of a block computed ahead.
With `step_with_optimizer`, it is what torch calls after each update of the optimizer. Targets: 0.35
for a rate alone and for different boundaries, 0.3 with momentum, 0.5 with a tensor rate.
"""

from functools import partial

import measuring
import torch
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR

from clr_torch import CyclicLR

STEPS = 2048
CASES = {
    "1 group": {"target": 0.35, "momentum": False},
    "1 group, momentum": {"target": 0.3},
    "1 group, Adam's beta1": {"target": 0.3, "optimizer": torch.optim.Adam},
    "10 groups, momentum": {"target": 0.3, "groups": 10},
    "10 groups, momentum, different boundaries": {"target": 0.35, "groups": 10, "own": True},
    "1 group, tensor rate": {"target": 0.5, "tensor": True, "momentum": False},
    "1 group, tensor rate, momentum": {"target": 0.5, "tensor": True},
    "1 group, exp_range": {"target": 0.35, "momentum": False, "gamma": 0.9999},
    "1 group, step_with_optimizer": {"target": 0.35, "momentum": False, "with_optimizer": True},
}
ABOUT = """
A profile of one of our steps, in one group with a rate alone: 0.15 µs in torch's own `step`, 0.1 µs
for its share of the block of 2,048 steps that NumPy computes ahead, 0.2 µs to write into the group,
and the rest in the calls between them.

- *Different boundaries*: ten rates and ten momenta are computed for each step; the remainders of
  the step, half of the work, once for all groups with one cycle size. It takes 0.2 µs to put them
  side by side.
- *exp_range*: NumPy computes the powers of the block, with the bits of `schedule.lr(step)`.
- *Adam's beta1*: a new tuple for each step, which torch makes too.
"""


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
        return partial(hook, made, (), {})
    return scheduler.step


def main() -> None:
    rows = []
    for name, case in CASES.items():
        options = {key: value for key, value in case.items() if key != "target"}
        works = {cls: stepper(cls, **options) for cls in (TorchCyclicLR, CyclicLR)}
        times = measuring.interleaved(works, calls=STEPS, rounds=measuring.rounds())
        torchs, ours = (times[cls] * 1e6 for cls in works)
        rows.append(
            [name, f"{torchs:.2f}", f"{ours:.2f}", f"{ours / torchs:.2f}", f"{case['target']}"]
        )
    measuring.write(
        __file__,
        "scheduler.step(), beside torch's CyclicLR",
        [
            "Microseconds per step, medians of interleaved rounds of 2,048 steps. "
            + measuring.machine("torch"),
            "",
            *measuring.table(["", "torch", "clr_torch", "ratio", "target"], rows),
            *ABOUT.rstrip().split("\n"),
        ],
    )


if __name__ == "__main__":
    main()
