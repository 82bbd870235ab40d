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
    steps = torch._foreach_mul(gradients, rate)
    torch._foreach_sub_(velocities, steps)
    if nesterov:
        torch._foreach_sub_(weights, steps)
        torch._foreach_add_(weights, torch._foreach_mul(velocities, momentum))
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
    torch._foreach_sub_(weights, torch._foreach_mul(directions, rate))
