"""The schedule on torch, where one step that can be read is computed in plain Python.

An update in eager torch asks for a rate and a momentum. Each is twenty operations on tensors of one
number, or as many on Python floats, which take a twentieth of the time and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from clr_core import python_ops
from clr_torch.evaluate import evaluate as evaluate_tensor


def _call(fn: Callable[[Any], Any], x: float) -> float:
    # Written for this backend, it may use torch's functions, which take no floats.
    return float(fn(torch.scalar_tensor(x, dtype=torch.float64, device="cpu")))


_OPS: Any = SimpleNamespace(**{**vars(python_ops), "call": _call})


def evaluate(curve: Callable[[Any, Any], Any], step: torch.Tensor) -> torch.Tensor:
    """`curve(step, ops)`, float32, of `step`'s shape, on its device; below 0 a step counts as 0."""
    number = _read(step)
    if number is None:
        return evaluate_tensor(curve, step)
    value = curve(float(max(number, 0)), _OPS)
    try:
        return torch.scalar_tensor(value, dtype=torch.float32, device="cpu")
    except RuntimeError:  # Beyond float32: torch refuses a number there, and converts a tensor.
        return torch.scalar_tensor(value, dtype=torch.float64, device="cpu").to(torch.float32)


def _read(step: torch.Tensor) -> int | None:
    """The number in a tensor of one, or None where that isn't known now, or has to be waited for.

    A compiled or traced step has no number yet, and that of a GPU comes when its queue is empty.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state():
        return None
    # The tensors of a tracer are of types of their own, such as `FakeTensor`.
    if type(step) not in (torch.Tensor, torch.nn.Parameter) or step.ndim or not step.is_cpu:
        return None
    try:
        return int(step)
    except RuntimeError:  # Under `torch.vmap` and `make_fx`, which show by nothing but that.
        return None
