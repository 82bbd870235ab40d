"""`Ops` of torch: float64 tensors, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _of_tensors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    # Some of torch's functions take a Python float in place of a tensor and some don't.
    def of_tensors(*arguments: Any) -> torch.Tensor:
        return function(*(torch.as_tensor(x, dtype=torch.float64) for x in arguments))

    return of_tensors


divide = _of_tensors(torch.div)
fmod = _of_tensors(torch.fmod)
power = _of_tensors(torch.pow)
minimum = _of_tensors(torch.minimum)
maximum = _of_tensors(torch.maximum)
clip = torch.clamp
rint = torch.round
sin = torch.sin
cos = torch.cos
tanh = torch.tanh
exp = torch.exp
log = torch.log
sqrt = torch.sqrt
abs = torch.abs
floor = torch.floor


def rounded(x: Any) -> Any:
    # Eager torch stores each result, and torch.compile turns contraction off (-ffp-contract=off).
    return x


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    return fn(x)
