"""A schedule's value at a step that is a torch tensor: cast, clamp, evaluate, round once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from clr_torch import ops


def evaluate(value: Callable[[Any, Any], Any], step: Any) -> torch.Tensor:
    """`value(step, ops)` in float32, in the shape and on the device of `step`.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=2)
        >>> evaluate(schedule.lr, torch.arange(4))
        tensor([0.2500, 0.3750, 0.5000, 0.3750])

    Args:
        value: A schedule's `lr`, or its `momentum` if it has one.
        step: A tensor of whole numbers up to 2**53, or a number. Below 0 it counts as 0.
    """
    step = torch.as_tensor(step)
    # Apple's GPUs have no float64; other devices evaluate where the step is.
    device = torch.device("cpu") if step.device.type == "mps" else step.device
    result = torch.as_tensor(value(step.to(device).to(torch.float64).clamp(min=0.0), ops))
    return result.to(torch.float32).to(step.device).expand(step.shape)
