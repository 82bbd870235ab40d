"""Where a rate and a momentum stand in a torch optimizer's parameter groups."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

PLACES = ("lr", "momentum", "betas")


def lrs(optimizer: Optimizer) -> list[Any]:
    """The rate of each group. Tensors are copied."""
    values = (group["lr"] for group in optimizer.param_groups)
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def check_momentum(optimizer: Optimizer) -> None:
    """Raises a ValueError unless every group has a momentum or betas."""
    if not all("momentum" in group or "betas" in group for group in optimizer.param_groups):
        raise ValueError(
            "`optimizer` must have `momentum` or `betas` for its momentum to be cycled. "
            f"Received: {type(optimizer).__name__}. Pass cycle_momentum=False, or leave "
            "`base_momentum` and `max_momentum` out of the schedule."
        )


def has_momentum(group: dict[str, Any]) -> bool:
    """Whether the group's momentum or beta1 is above 0, or was before a schedule took it there."""
    momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
    return bool(momentum != 0.0) or group.get("initial_momentum", 0.0) != 0.0


def separate(optimizer: Optimizer) -> None:
    """Gives each group tensors of its own: torch puts its default, one tensor, into all of them."""
    seen: set[int] = set()

    def own(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(map(own, value))
        if not isinstance(value, Tensor):
            return value
        value = value.clone() if id(value) in seen else value
        seen.add(id(value))
        return value

    for group in optimizer.param_groups:
        group.update({name: own(group[name]) for name in PLACES if name in group})


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
