"""The memory of past gradients in torch's optimizers, as arrays: read and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RAdam

from clr_core.adapter import received
from clr_torch.param_groups import has_momentum

if TYPE_CHECKING:  # It needs NumPy, and torch runs without it.
    from clr_core.moments import Moments

# Torch's names for the slots of `clr_core.moments.SLOTS`. NAdam isn't included, since it remembers
# a product of its momenta as well; nor are derived classes, which may remember anything.
NAMES = {
    "sgd": {"velocity": "momentum_buffer"},
    "adam": {"first": "exp_avg", "second": "exp_avg_sq"},
}
KINDS: dict[type[Optimizer], str] = {SGD: "sgd", Adam: "adam", AdamW: "adam", RAdam: "adam"}


def to_moments(optimizer: Optimizer, count: int | None = None) -> Moments:
    """The velocity of `SGD`, or the moments of `Adam`, `AdamW` or `RAdam`.

        >>> import torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.5)
        >>> weights.grad = torch.ones(3)
        >>> optimizer.step()
        >>> optimizer.step()
        >>> to_moments(optimizer, count=2).slots["velocity"][0].tolist()
        [1.5, 1.5, 1.5]

    The arrays are in the order of the optimizer's parameters, group after group, and have their
    shapes: the weight of a `Linear` is (outputs, inputs), in Keras and JAX it is (inputs, outputs).
    A parameter that had no gradient so far has zeros, from which torch starts.

    Args:
        optimizer: The optimizer.
        count: The number of updates done: `record.step`. Needed for `SGD` after its first update,
            since torch doesn't count the updates there.

    Raises:
        TypeError: Another optimizer, or a parameter that isn't of floats.
        ValueError: The optimizer has `dampening`, `maximize` or `amsgrad`, or no momentum; its
            parameters had different numbers of gradients; `count` is missing or isn't Adam's.
    """
    from clr_core.moments import Moments, agreed_count

    kind, parameters = _checked(optimizer)
    states = [optimizer.state.get(each, {}) for each in parameters]
    slots = {
        slot: [
            _array(torch.zeros_like(each) if state.get(name) is None else state[name])
            for each, state in zip(parameters, states, strict=True)
        ]
        for slot, name in NAMES[kind].items()
    }
    stored = _stored(states) if kind == "adam" else None
    begun = any(state.get("momentum_buffer") is not None for state in states)
    if count is None and kind == "sgd" and not begun:
        count = 0
    return Moments(kind, agreed_count(count, stored, "optimizer"), slots)


def from_moments(moments: Moments, optimizer: Optimizer) -> None:
    """Put moments into an optimizer, in place of its own.

        >>> import torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> weights.grad = torch.ones(3)
        >>> old, new = (torch.optim.SGD([weights], lr=0.1, momentum=0.9) for _ in range(2))
        >>> old.step()
        >>> from_moments(to_moments(old, count=1), new)
        >>> new.state[weights]["momentum_buffer"]
        tensor([1., 1., 1.])

    Args:
        moments: One array for each of the optimizer's parameters, group after group, of its shape.
            Arrays of another framework are converted with `moments.rearranged`.
        optimizer: An `SGD` with a momentum, an `Adam`, `AdamW` or `RAdam`.

    Raises:
        TypeError: `moments` aren't moments, another optimizer, or a parameter that isn't of floats.
        ValueError: Moments of another kind or for other parameters; an optimizer that has
            `dampening`, `maximize` or `amsgrad`, or no momentum; a count that torch's float can't
            hold. The optimizer is then unchanged.
    """
    from clr_core.moments import check_moments

    kind, parameters = _checked(optimizer)
    owner = f"a torch {type(optimizer).__name__}"
    check_moments(moments, kind, owner, [each.shape for each in parameters])
    steps = [_step(moments.count, group, each) for group, each in _grouped(optimizer)]
    states: list[dict[str, Tensor]] = []
    for index, (parameter, step) in enumerate(zip(parameters, steps, strict=True)):
        state = {} if kind == "sgd" else {"step": step}
        for slot, name in NAMES[kind].items():
            # By way of float64, which holds every float of another library exactly.
            given = torch.tensor(moments.slots[slot][index].astype("float64"))
            like = torch.empty_like(parameter, memory_format=torch.preserve_format)
            state[name] = like.copy_(given)
        states.append(state)
    for parameter, state in zip(parameters, states, strict=True):
        optimizer.state[parameter] = state


def _checked(optimizer: Optimizer) -> tuple[str, list[Tensor]]:
    """The optimizer's kind of moments, and its parameters."""
    kind = KINDS.get(type(optimizer))
    if kind is None:
        raise TypeError(
            "`optimizer` must be one of torch.optim's SGD, Adam, AdamW and RAdam. "
            f"Received: {type(optimizer).__module__}.{type(optimizer).__name__}"
        )
    for index, group in enumerate(optimizer.param_groups):
        for name in ("dampening", "maximize", "amsgrad"):
            if group.get(name):
                raise ValueError(
                    f"`{name}` must be off: it changes what {type(optimizer).__name__} remembers. "
                    f"Received: {name}={group[name]!r} in group {index}"
                )
        if kind == "sgd" and not has_momentum(optimizer, group):
            raise ValueError(
                "`optimizer` must have a momentum, since plain SGD keeps no state. "
                f"Received: momentum={group['momentum']!r} in group {index}"
            )
    parameters = [parameter for _, parameter in _grouped(optimizer)]
    for index, parameter in enumerate(parameters):
        if not parameter.is_floating_point():
            raise TypeError(
                "`optimizer` must have parameters of floats. "
                f"Received: {parameter.dtype} in parameter {index}"
            )
    return kind, parameters


def _grouped(optimizer: Optimizer) -> Iterator[tuple[dict[str, Any], Tensor]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield group, parameter


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    # NumPy has neither bfloat16 nor the smaller floats; each of their numbers is a float32.
    exact = (
        tensor if tensor.dtype in (torch.float16, torch.float32, torch.float64) else tensor.float()
    )
    return exact.numpy().copy()


def _stored(states: list[Any]) -> int:
    """Adam's own count of updates."""
    counts = [int(state["step"]) if state else 0 for state in states]
    for index, each in enumerate(counts):
        if each != counts[0]:
            raise ValueError(
                "`optimizer` must have made the same number of updates of each parameter. "
                f"Received: {counts[0]} of parameter 0, {each} of parameter {index}"
            )
    return counts[0]


def _step(count: int, group: dict[str, Any], parameter: Tensor) -> Tensor:
    """Adam's count as the tensor that torch itself would make."""
    fused, capturable = group.get("fused"), group.get("capturable")
    wide = torch.get_default_dtype() is torch.float64 and not fused
    dtype = torch.float64 if wide else torch.float32
    most = int(2.0 / torch.finfo(dtype).eps)
    if count > most:  # Beyond, adding 1 would change nothing.
        raise ValueError(f"`moments` must have a count up to {most}. {received('count', count)}")
    return torch.tensor(
        float(count), dtype=dtype, device=parameter.device if fused or capturable else "cpu"
    )
