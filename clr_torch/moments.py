"""What torch's optimizers remember of past gradients, as arrays, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RAdam

from clr_core.adapter import integer, received
from clr_torch.param_groups import has_momentum

if TYPE_CHECKING:  # It needs NumPy, and torch runs without.
    from clr_core.moments import Moments

# Torch's name of each slot of `clr_core.moments.SLOTS`. NAdam isn't among these: it remembers a
# product of its momenta as well. Nor is a class derived from one, which may remember what it likes.
NAMES = {
    "sgd": {"velocity": "momentum_buffer"},
    "adam": {"first": "exp_avg", "second": "exp_avg_sq"},
}
KINDS: dict[type[Optimizer], str] = {SGD: "sgd", Adam: "adam", AdamW: "adam", RAdam: "adam"}


def to_moments(optimizer: Optimizer, count: int | None = None) -> Moments:
    """The velocity of `SGD`, or the moments of `Adam`, `AdamW` or `RAdam`.

    In the order of the optimizer's parameters, group after group, and in their shapes: a `Linear`
    has its weight as (outputs, inputs), where Keras and JAX have (inputs, outputs).

        >>> import torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.5)
        >>> weights.grad = torch.ones(3)
        >>> optimizer.step()
        >>> optimizer.step()
        >>> to_moments(optimizer, count=2).slots["velocity"][0].tolist()
        [1.5, 1.5, 1.5]

    A parameter that had no gradient so far has zeros, which is what torch starts from.

    Args:
        optimizer: The optimizer.
        count: How many updates were done: `record.step`. It is needed for `SGD` once it has made
            one, as torch doesn't count them there.

    Raises:
        TypeError: Another optimizer, or a parameter that isn't of floats.
        ValueError: It has `dampening`, `maximize` or `amsgrad`, or no momentum; its parameters had
            different numbers of gradients; `count` is missing, or another than Adam's.
    """
    from clr_core.moments import Moments

    kind, parameters = _checked(optimizer)
    states = [optimizer.state.get(each, {}) for each in parameters]
    slots = {
        slot: [
            _array(torch.zeros_like(each) if state.get(name) is None else state[name])
            for each, state in zip(parameters, states, strict=True)
        ]
        for slot, name in NAMES[kind].items()
    }
    return Moments(kind, _count(kind, states, count), slots)


def from_moments(moments: Moments, optimizer: Optimizer) -> None:
    """Puts the moments into an optimizer, in the place of its own.

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
            Where they come from another framework, turn its arrays with `moments.rearranged`.
        optimizer: An `SGD` with a momentum, an `Adam`, `AdamW` or `RAdam`.

    Raises:
        TypeError: Not moments, another optimizer, or a parameter that isn't of floats.
        ValueError: Moments of another kind, or for other parameters; an optimizer that has
            `dampening`, `maximize` or `amsgrad`, or no momentum; a count that torch's float can't
            hold. Nothing in the optimizer has changed then.
    """
    from clr_core.moments import Moments, check_shapes

    if not isinstance(moments, Moments):
        raise TypeError(
            f"`moments` must be clr_core.moments.Moments. {received('moments', moments)}"
        )
    kind, parameters = _checked(optimizer)
    if moments.kind != kind:
        hint = (
            ". Keras's velocity has the rate of each update in it, so that torch's can't be "
            "computed from it. clr_keras.SGD(…, torch_velocity=True) has torch's"
            if moments.kind == "sgd-keras"
            else ""
        )
        raise ValueError(
            f"`moments` must be of the kind {kind!r} for a torch {type(optimizer).__name__}. "
            f"{received('kind', moments.kind)}{hint}"
        )
    for slot, arrays in moments.slots.items():
        check_shapes(slot, arrays, parameters)
    steps = [_step(moments.count, group, each) for group, each in _grouped(optimizer)]
    states: list[dict[str, Tensor]] = []
    for index, (parameter, step) in enumerate(zip(parameters, steps, strict=True)):
        state = {} if kind == "sgd" else {"step": step}
        for slot, name in NAMES[kind].items():
            # By way of float64, which every float of another library is exactly.
            given = torch.tensor(moments.slots[slot][index].astype("float64"))
            like = torch.empty_like(parameter, memory_format=torch.preserve_format)
            state[name] = like.copy_(given)
        states.append(state)
    for parameter, state in zip(parameters, states, strict=True):
        optimizer.state[parameter] = state


def _checked(optimizer: Optimizer) -> tuple[str, list[Tensor]]:
    """Which kind of moments it has, and its parameters."""
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
        if kind == "sgd" and not has_momentum(group):
            raise ValueError(
                "`optimizer` must have a momentum: without, SGD remembers nothing. "
                f"Received: momentum={group['momentum']!r} in group {index}"
            )
    parameters = [parameter for _, parameter in _grouped(optimizer)]
    for index, parameter in enumerate(parameters):
        if not parameter.is_floating_point():
            raise TypeError(
                f"`optimizer` must have parameters of floats. "
                f"Received: {parameter.dtype} in parameter {index}"
            )
    return kind, parameters


def _grouped(optimizer: Optimizer) -> Iterator[tuple[dict[str, Any], Tensor]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield group, parameter


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16 and none of the smaller ones; each of their numbers is a float32.
    exact = (
        tensor if tensor.dtype in (torch.float16, torch.float32, torch.float64) else tensor.float()
    )
    return exact.numpy().copy()


def _count(kind: str, states: list[Any], given: int | None) -> int:
    if given is not None:
        given = integer("count", given)
    if kind == "sgd":
        begun = any(state.get("momentum_buffer") is not None for state in states)
        if given is None and begun:
            raise ValueError(
                "`count` must be given where SGD has made an update, since it doesn't count them: "
                "to_moments(optimizer, count=record.step)"
            )
        return given or 0
    counts = [int(state["step"]) if state else 0 for state in states]
    for index, each in enumerate(counts):
        if each != counts[0]:
            raise ValueError(
                "`optimizer` must have made the same number of updates of each parameter. "
                f"Received: {counts[0]} of parameter 0, {each} of parameter {index}"
            )
    if given not in (None, counts[0]):
        raise ValueError(f"`count` must be Adam's, {counts[0]}. {received('count', given)}")
    return counts[0]


def _step(count: int, group: dict[str, Any], parameter: Tensor) -> Tensor:
    """Adam's count as torch makes it itself when it starts."""
    fused, capturable = group.get("fused"), group.get("capturable")
    wide = torch.get_default_dtype() is torch.float64 and not fused
    dtype = torch.float64 if wide else torch.float32
    most = int(2.0 / torch.finfo(dtype).eps)
    if count > most:  # There the next update would no longer count.
        raise ValueError(f"`moments` must have a count up to {most}. {received('count', count)}")
    return torch.tensor(
        float(count), dtype=dtype, device=parameter.device if fused or capturable else "cpu"
    )
