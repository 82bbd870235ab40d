"""The rate and the momentum in a torch optimizer's parameter groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from clr_core import Schedule
from clr_core.adapter import received


def check_optimizer(optimizer: object) -> None:
    """Raise an error unless it is an optimizer with a rate in each parameter group."""
    if not isinstance(optimizer, Optimizer):
        inner = None if isinstance(optimizer, type) else _inner(optimizer)
        hint = "" if inner is None else f". Pass the optimizer inside of it, its `.{inner}`"
        got = " ".join(received("optimizer", optimizer).split())  # A module has several lines.
        raise TypeError(f"`optimizer` must be a torch.optim.Optimizer. {got}{hint}")
    if not optimizer.param_groups:
        raise ValueError("`optimizer` must have a parameter group. Received: none")
    for index, group in enumerate(optimizer.param_groups):
        if "lr" not in group:
            keys = ", ".join(str(key) for key in [*group][:20])
            raise ValueError(
                "`optimizer` must have a rate under 'lr' in each parameter group. "
                f"Received: {type(optimizer).__name__} with {keys} in group {index}"
            )


def _inner(wrapper: Any) -> str | None:
    """The name of a wrapper's attribute that is an optimizer, a public name if possible."""
    names = [
        "optimizer",
        *sorted(getattr(wrapper, "__dict__", ()), key=lambda name: name[:1] == "_"),
    ]
    found = (name for name in names if isinstance(getattr(wrapper, name, None), Optimizer))
    return next(found, None)


def lrs(optimizer: Optimizer) -> list[Any]:
    """The rate of each group; a tensor is copied."""
    values = (group.get("lr") for group in optimizer.param_groups)
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def momentum_key(optimizer: Optimizer, group: Mapping[str, Any]) -> str | None:
    """The key of the group's momentum or betas; None if the optimizer uses neither.

    An optimizer writes its defaults into the dicts that it is given, so that a group may have keys
    of another optimizer (pytorch #51794). Its own defaults tell which it reads. Those of wrappers
    and of hybrids may be empty, without a rate; then the group has the say.
    """
    defaults = getattr(optimizer, "defaults", None)
    read = defaults if isinstance(defaults, Mapping) and "lr" in defaults else group
    names = (name for name in ("betas", "momentum") if name in read)
    return next((name for name in names if group.get(name, 0.0) is not None), None)


def momentum_keys(
    optimizer: Optimizer, schedules: Sequence[Schedule], named: str | None
) -> list[str | None]:
    """The key of each group's momentum, `named` if it is given; None if its schedule has none."""
    keys: list[str | None] = []
    for index, (group, schedule) in enumerate(zip(optimizer.param_groups, schedules, strict=True)):
        if schedule.momentum(0) is None:
            keys.append(None)
            continue
        key = momentum_key(optimizer, group) if named is None else named
        value = None if key is None else _first(group.get(key))
        if isinstance(value, bool) or not isinstance(value, int | float | Tensor):
            raise _no_momentum(optimizer, index, key)
        keys.append(key)
    return keys


def _no_momentum(optimizer: Optimizer, index: int, key: str | None) -> ValueError:
    group, name = optimizer.param_groups[index], type(optimizer).__name__
    if key is None:
        rule = "have `momentum` or `betas`"
        key = next((each for each in ("betas", "momentum") if group.get(each, 0) is None), None)
    else:
        rule = f"have a number or a tuple of numbers under {key!r} in each group"
    if key is None:
        value = name
    else:
        got = received(key, group[key])[10:] if key in group else f"no {key!r}"
        value = f"{name} with {got} in group {index}"
    others = [each for each in ("beta1", "beta", "mu") if each in group]
    hint = f"Name the key, such as momentum_key={others[0]!r}. Or pass" if others else "Pass"
    return ValueError(
        f"`optimizer` must {rule} for its momentum to be cycled. Received: {value}. {hint} "
        "cycle_momentum=False, or leave the momenta out of the schedule."
    )


def is_cycled(optimizer: Optimizer, index: int, key: str, schedule: Schedule, step: int) -> bool:
    """True if a group's momentum isn't 0, or a schedule took it there.

    If it is 0 otherwise, the optimizer has no buffer for it. The group is about to be given the
    momentum of the step.
    """
    if has_value(optimizer.param_groups[index], key):
        return True
    if 0.0 not in schedule.levels("momentum").values():
        return False
    near = (schedule.momentum(each) for each in (step - 1, step) if each >= 0)
    return 0.0 in near or _made_with(optimizer, key)


def has_value(group: Mapping[str, Any], key: str) -> bool:
    """True if the momentum isn't 0."""
    return bool(_first(group[key]) != 0.0)


def has_momentum(optimizer: Optimizer, group: Mapping[str, Any]) -> bool:
    """True if the group has a momentum, or the optimizer was made with one."""
    key = momentum_key(optimizer, group)
    return key is not None and (has_value(group, key) or _made_with(optimizer, key))


def _made_with(optimizer: Optimizer, key: str) -> bool:
    defaults = getattr(optimizer, "defaults", None) or {}
    return defaults.get(key) is not None and has_value(defaults, key)


def _first(value: Any) -> Any:
    """The momentum: beta1 of betas."""
    several = isinstance(value, tuple | list) or (isinstance(value, Tensor) and value.ndim)
    return value[0] if several and len(value) else value


def separate(groups: Sequence[dict[str, Any]], keys: Sequence[str | None]) -> None:
    """Give each group separate tensors: torch puts one and the same default into all groups."""
    seen: set[tuple[str, int]] = set()

    def own(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(map(own, value))
        if not isinstance(value, Tensor):
            return value
        # Also two tensors that are views of the same memory, if they have a memory.
        place = (str(value.device), value.data_ptr())
        value = value.clone() if place in seen and place[1] else value
        seen.add((str(value.device), value.data_ptr()))
        return value

    for group, key in zip(groups, keys, strict=True):
        group.update({name: own(group[name]) for name in ("lr", key) if name is not None})


def write(
    groups: Sequence[dict[str, Any]],
    keys: Sequence[str | None],
    rates: Sequence[Any] | None,
    momenta: Sequence[Any],
) -> None:
    """Set the rate of each group, unless there are none, and the momentum of each that has a key.

    A tensor is filled in place, since a compiled step may hold on to it.
    """
    # This runs at every step. The value is almost always a float, and testing for that takes a
    # third of the time of testing for a tensor. `enumerate` takes longer for one group.
    index = 0
    for group in groups:
        if rates is not None:
            lr = rates[index]
            group["lr"] = lr if type(group["lr"]) is float else _written(group["lr"], lr)
        key = keys[index]
        if key is not None:
            value, momentum = group[key], momenta[index]
            if type(value) is float:
                group[key] = momentum
            elif type(value) is tuple and type(value[0]) is float:
                two = len(value) == 2
                group[key] = (momentum, value[1]) if two else (momentum, *value[1:])
            else:
                group[key] = _written(value, momentum)
        index += 1  # noqa: SIM113


def _written(place: Any, value: Any) -> Any:
    if isinstance(place, tuple | list):
        return (_written(place[0], value), *place[1:])
    if not isinstance(place, Tensor):
        return value
    (place[0] if place.ndim else place).fill_(value)
    return place
