"""The scheduler computes many steps ahead, and sets exactly `schedule.lr(step)`."""

import subprocess
import sys

import pytest

from clr_core import CyclicSchedule
from clr_torch import CyclicLR
from integration.torch.training import after, make

MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.95}
BLOCK = 960  # Steps computed at a time for one group.
SCHEDULES = [
    CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=700.3, **MOMENTA),
    CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=90, mode="triangular2"),
    CyclicSchedule(base_lr=0, max_lr=0.5, step_size_up=9, mode="exp_range", gamma=0.99994),
    CyclicSchedule(
        base_lr=0.1,
        max_lr=0.5,
        step_size_up=7,
        scale_fn="exp(-x / 100) + sin(x) * cos(x) / log(x + 2) * tanh(x / 9) ** 3",
        scale_mode="iterations",
        **MOMENTA,
    ),
]


@pytest.mark.parametrize("groups", [1, 3], ids=["one-group", "three-groups"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_same_bits_as_one_by_one(schedule, groups):
    scheduler = CyclicLR.from_schedule(make(groups=groups), schedule)
    for step in range(2 * BLOCK + 10):
        for group in scheduler.optimizer.param_groups:
            assert group["lr"] == schedule.lr(step)
            assert group["momentum"] == (schedule.momentum(step) or 0.9)
        after(scheduler, 1)


def test_up_to_the_last_step():
    scheduler = CyclicLR.from_schedule(make(), SCHEDULES[0], last_epoch=2**53 - 4)
    after(scheduler, 3)
    assert scheduler.get_last_lr() == [SCHEDULES[0].lr(2**53)]
    with pytest.raises(ValueError, match="`step` must lie between 0 and 2\\*\\*53"):
        scheduler.step()
    assert scheduler.get_last_lr() == [SCHEDULES[0].lr(2**53)]


def test_a_callable_is_asked_when_its_step_has_come():
    asked = []
    factor = 1.0

    def scale(cycle):
        asked.append(cycle)
        return factor

    scheduler = CyclicLR(make(), 0.25, 0.75, 1, 1, scale_fn=scale, cycle_momentum=False)
    after(scheduler, 1)
    assert max(asked) == 1
    assert scheduler.get_last_lr() == [0.75]
    factor = 0.5  # Values that a user's function reads may change during a run.
    after(scheduler, 2)
    assert scheduler.get_last_lr() == [0.5]


WITHOUT_NUMPY = """
import sys, warnings
sys.modules["numpy"] = None
warnings.simplefilter("ignore")  # torch itself says that NumPy is missing.
import torch
from clr_torch import CyclicLR
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
scheduler = CyclicLR(optimizer, 0.1, 0.5, 2)
for _ in range(2):
    optimizer.step()
    scheduler.step()
print(scheduler.get_last_lr(), scheduler.get_last_momentum())
"""


def test_without_numpy():
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_NUMPY], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[0.5] [0.8]\n"
