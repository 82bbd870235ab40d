"""Where a rate and a momentum stand in a torch optimizer's parameter groups."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer


def read(optimizer: Optimizer, name: str) -> list[Any]:
    """The value of `name` in each group, None where there is none. Tensors are copied."""
    values = (group.get(name) for group in optimizer.param_groups)
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def check_momentum(optimizer: Optimizer) -> None:
    """Raises a ValueError unless every group has a momentum or betas."""
    if not all("momentum" in group or "betas" in group for group in optimizer.param_groups):
        raise ValueError(
            "`optimizer` must have `momentum` or `betas` for its momentum to be cycled. "
            f"Received: {type(optimizer).__name__}. Pass cycle_momentum=False, or leave "
            "`base_momentum` and `max_momentum` out of the schedule."
        )


def write_lr(group: dict[str, Any], lr: float) -> None:
    """Sets the rate; a tensor is filled, since a compiled step may hold on to it."""
    group["lr"] = _written(group["lr"], lr)


def write_momentum(group: dict[str, Any], momentum: float) -> None:
    """Sets `betas[0]`, or `momentum`; a tensor is filled."""
    if "betas" in group:
        first, *others = group["betas"]
        group["betas"] = (_written(first, momentum), *others)
    else:
        group["momentum"] = _written(group["momentum"], momentum)


def _written(place: Any, value: float) -> Any:
    return place.fill_(value) if isinstance(place, Tensor) else value
