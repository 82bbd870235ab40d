"""The rate and the momentum in a torch optimizer's parameter groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

PLACES = ("lr", "momentum", "betas")


def lrs(optimizer: Optimizer) -> list[Any]:
    """The rate of each group; a tensor is copied."""
    values = (group["lr"] for group in optimizer.param_groups)
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def check_momentum(optimizer: Optimizer) -> None:
    """Raise a ValueError unless every group has a momentum or betas."""
    if not all("momentum" in group or "betas" in group for group in optimizer.param_groups):
        raise ValueError(
            "`optimizer` must have `momentum` or `betas` for its momentum to be cycled. "
            f"Received: {type(optimizer).__name__}. Pass cycle_momentum=False, or leave "
            "`base_momentum` and `max_momentum` out of the schedule."
        )


def has_momentum(group: dict[str, Any]) -> bool:
    """True if the momentum or beta1 isn't 0, or wasn't before a schedule took it there."""
    momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
    return bool(momentum != 0.0) or group.get("initial_momentum", 0.0) != 0.0


def separate(optimizer: Optimizer) -> None:
    """Give each group separate tensors: torch puts one and the same default into all groups."""
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


def write(
    groups: Sequence[dict[str, Any]], rates: Sequence[float], momenta: Sequence[float | None]
) -> None:
    """Set the rate of each group, and its momentum unless that is None.

    A tensor is filled in place, since a compiled step may hold on to it.
    """
    # This runs at every step. The value is almost always a float, and testing for that takes a
    # third of the time of testing for a tensor.
    for index, group in enumerate(groups):
        lr, momentum = rates[index], momenta[index]
        group["lr"] = lr if type(group["lr"]) is float else _written(group["lr"], lr)
        if momentum is None:
            continue
        if "betas" in group:
            betas = group["betas"]
            beta1 = momentum if type(betas[0]) is float else _written(betas[0], momentum)
            group["betas"] = (beta1, *betas[1:])
        elif type(group["momentum"]) is float:
            group["momentum"] = momentum
        else:
            group["momentum"] = _written(group["momentum"], momentum)


def _written(place: Any, value: float) -> Any:
    return place.fill_(value) if isinstance(place, Tensor) else value
