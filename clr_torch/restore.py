"""A copy of all that a training changes in torch's objects, and the way back, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from clr_core.range_finding._interrupts import uninterrupted
from clr_core.range_finding._random_states import restore_of, same_random_states
from clr_core.range_finding.restoring import Opened, Snapshot


def snapshot(*objects: Any) -> Snapshot:
    """What modules, optimizers and gradient scalers hold now, with their tensors and gradients.

        >>> layer = torch.nn.Linear(2, 1)
        >>> before = snapshot(layer)
        >>> weight, bits = layer.weight, layer.weight.tolist()
        >>> _ = torch.nn.init.zeros_(layer.weight)
        >>> layer.note = "new"
        >>> before.restore()
        >>> layer.weight is weight, layer.weight.tolist() == bits, hasattr(layer, "note")
        (True, True, False)

    The copies of tensors lie on the tensors' devices.
    """
    return Snapshot(objects, _opened)


@contextmanager
def same_randomness() -> Iterator[None]:
    """The random generators of Python, NumPy and torch's devices are afterwards as before."""
    generators: list[torch.Generator] = []
    for module in (torch.cuda, torch.xpu):
        if module.is_initialized():
            generators += module.default_generators
    if torch.backends.mps.is_available():
        generators.append(torch.mps._get_default_mps_generator())
    restores = [*filter(None, map(restore_of, generators))]
    with same_random_states():
        try:
            yield
        finally:
            with uninterrupted():
                for restore in restores:
                    restore()


def _opened(value: Any) -> Opened | None:
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, Module | Optimizer | torch.amp.GradScaler):
        return None, [vars(value)]
    return None


def _tensor(tensor: Tensor) -> Opened:
    there = tensor.detach()  # The same memory, should another be put in its place.
    place = _written_to(there)
    copy = place.clone()
    # Of any other tensor torch has no gradient, and warns who asks.
    has_grad = tensor.is_leaf or tensor.retains_grad
    grad = tensor.grad if has_grad else None

    def restore() -> None:
        with torch.no_grad():
            if not _same_memory(tensor, there):
                tensor.data = there
            place.copy_(copy)
            if has_grad and tensor.grad is not grad:
                tensor.grad = grad

    return restore, [grad]


def _written_to(tensor: Tensor) -> Tensor:
    """The part of a tensor that has memory of its own: an expanded one repeats it."""
    if tensor.layout != torch.strided or 0 not in tensor.stride():
        return tensor
    return tensor[tuple(slice(None) if each else slice(0, 1) for each in tensor.stride())]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    if one.layout != torch.strided or other.layout != torch.strided:
        return one.layout == other.layout
    return (one.data_ptr(), one.shape, one.stride(), one.dtype) == (
        other.data_ptr(),
        other.shape,
        other.stride(),
        other.dtype,
    )
