"""A schedule's value at a tensor of torch, in plain Python if it is one number that can be read.

An update in eager torch asks for a rate and a momentum. Each takes twenty operations: on tensors of
one number, or on Python floats, which are twenty times as fast and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from clr_core import python_ops
from clr_torch.evaluate import evaluate as evaluate_tensor

is_compiling = torch.compiler.is_compiling
LARGEST = torch.iinfo(torch.int32).max


def _call(fn: Callable[[Any], Any], x: float) -> float:
    # A function for this backend may use torch's functions, which take no floats.
    return float(fn(torch.scalar_tensor(x, dtype=torch.float64, device="cpu")))


_OPS: Any = SimpleNamespace(**{**vars(python_ops), "call": _call})


def evaluate(value: Callable[[Any, Any], Any], step: torch.Tensor) -> torch.Tensor:
    """`value(step, ops)` as a float32 tensor of the shape of `step`, on its device.

    Args:
        value: A schedule's `lr` or `momentum`.
        step: An integer tensor. Below 0 it counts as 0; in int32, in which Keras counts, as
            2**31 - 1, after which the count has gone on to -2**31.
    """
    number = _read(step)
    wraps = step.dtype == torch.int32
    if number is None:
        # In operations on bits, none of which asks a device for a number.
        held = step ^ ((step >> 31) & (step ^ LARGEST)) if wraps else step
        return evaluate_tensor(value, held)
    if number < 0:
        number = LARGEST if wraps else 0
    result = value(float(number), _OPS)
    try:
        return torch.scalar_tensor(result, dtype=torch.float32, device="cpu")
    except RuntimeError:
        # Beyond float32: torch refuses such a number, but converts a tensor of it.
        return torch.scalar_tensor(result, dtype=torch.float64, device="cpu").to(torch.float32)


def _read(step: torch.Tensor) -> int | None:
    """The number in a tensor of one, or None if it isn't known yet.

    A compiled or traced step has no number yet; on a GPU, reading it would wait for the queue.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state():
        return None
    # Tracers pass tensors of their own types, such as `FakeTensor`.
    if type(step) not in (torch.Tensor, torch.nn.Parameter) or step.ndim or not step.is_cpu:
        return None
    try:
        return int(step)
    except RuntimeError:  # The only sign of `torch.vmap` and `make_fx`.
        return None
