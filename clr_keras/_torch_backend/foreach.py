"""Steps over whole lists of torch's tensors, as Keras's optimizers take them on that backend."""

from __future__ import annotations

import torch

Tensors = list[torch.Tensor] | tuple[torch.Tensor, ...]


def scale(tensors: Tensors, factor: torch.Tensor) -> None:
    """Each tensor times the factor, in place."""
    torch._foreach_mul_(tensors, factor)


def sgd(
    gradients: Tensors,
    weights: Tensors,
    velocities: Tensors,
    rate: torch.Tensor,
    momentum: torch.Tensor,
    nesterov: bool,
) -> None:
    """Keras's form, `v = momentum * v - rate * g; w += v`."""
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
    """Torch's form, `v = momentum * v + g; w -= rate * v`."""
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, gradients)
    directions = velocities
    if nesterov:
        directions = torch._foreach_mul(velocities, momentum)
        torch._foreach_add_(directions, gradients)
    _add(weights, directions, -rate)


def _add(tensors: Tensors, others: Tensors, factor: torch.Tensor) -> None:
    """`tensors += factor * others`, in place."""
    # In one pass with a number. A compiled step has none, and that of a GPU would be waited for.
    if torch.compiler.is_compiling() or not factor.is_cpu:
        torch._foreach_add_(tensors, torch._foreach_mul(others, factor))
    else:
        torch._foreach_add_(tensors, others, alpha=factor.item())
