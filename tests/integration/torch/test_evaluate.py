"""`clr_torch.evaluate`: a schedule's value at steps in a tensor, rounded once to float32."""

import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch.evaluate import evaluate
from other_kinds import Cosine

SCHEDULE = CyclicSchedule(
    base_lr=0.001, max_lr=0.006, step_size_up=7, base_momentum=0.8, max_momentum=0.9
)
STEPS = [[0, 1, 6], [7, 13, 2**53]]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64])
@pytest.mark.parametrize("value", [SCHEDULE.lr, SCHEDULE.momentum], ids=["lr", "momentum"])
def test_the_float32_of_the_float64_value(value, dtype):
    result = evaluate(value, torch.tensor(STEPS, dtype=dtype))
    assert result.dtype == torch.float32
    assert torch.equal(result, torch.tensor([[value(step) for step in row] for row in STEPS]))


def test_a_number_and_a_step_below_0():
    assert evaluate(SCHEDULE.lr, 7) == torch.tensor(0.006)
    assert evaluate(SCHEDULE.lr, torch.tensor([-1, -7])).tolist() == [torch.tensor(0.001)] * 2


def test_a_value_that_does_not_depend_on_the_step_has_the_shape_of_the_steps():
    result = evaluate(lambda step, ops: 0.25, torch.zeros(2, 3, dtype=torch.int64))
    assert torch.equal(result, torch.full((2, 3), 0.25))


def test_a_schedule_of_another_kind():
    schedule = Cosine(peak=0.5, floor=0.1, steps=20)
    steps = torch.arange(30)
    expected = torch.tensor([schedule.lr(step) for step in range(30)])
    assert torch.equal(evaluate(schedule.lr, steps), expected)
