"""Updates of whole lists of torch tensors, as in Keras's optimizers on the torch backend."""

from __future__ import annotations

import torch

Tensors = list[torch.Tensor] | tuple[torch.Tensor, ...]


def scale(tensors: Tensors, factor: torch.Tensor) -> None:
    """Multiply each tensor by the factor, in place."""
    torch._foreach_mul_(tensors, factor)


def sgd(
    gradients: Tensors,
    weights: Tensors,
    velocities: Tensors,
    rate: torch.Tensor,
    momentum: torch.Tensor,
    nesterov: bool,
) -> None:
    """Update by Keras's form: `v = momentum * v - rate * g; w += v`."""
    torch._foreach_mul_(velocities, momentum)
    _add(velocities, gradients, -rate)
    if nesterov:
        _add(weights, gradients, -rate)
        _add(weights, velocities, momentum)
    else:
        torch._foreach_add_(weights, velocities)


def torch_sgd(
    gradients: Tensors,
    weights: Tensors,
    velocities: Tensors,
    rate: torch.Tensor,
    momentum: torch.Tensor,
    nesterov: bool,
) -> None:
    """Update by torch's form: `v = momentum * v + g; w -= rate * v`."""
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, gradients)
    directions = velocities
    if nesterov:
        directions = torch._foreach_mul(velocities, momentum)
        torch._foreach_add_(directions, gradients)
    _add(weights, directions, -rate)


def _add(tensors: Tensors, others: Tensors, factor: torch.Tensor) -> None:
    """Compute `tensors += factor * others`, in place."""
    # A number takes one pass instead of two. A compiled step has no number, and reading one from a
    # GPU would wait for it.
    if torch.compiler.is_compiling() or not factor.is_cpu:
        torch._foreach_add_(tensors, torch._foreach_mul(others, factor))
    else:
        torch._foreach_add_(tensors, others, alpha=factor.item())
