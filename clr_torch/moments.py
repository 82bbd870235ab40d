"""The memory of past gradients in torch's optimizers, as arrays: read and written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RAdam

from clr_core.adapter import listed, received, refusing
from clr_torch import checkpoint
from clr_torch._tensors import Stored, Unread
from clr_torch._unpickler import Foreign, mapping
from clr_torch.param_groups import has_momentum

if TYPE_CHECKING:  # It needs NumPy, and torch runs without it.
    from numpy.typing import NDArray

    from clr_core.moments import Moments

# Torch's names for the slots of `clr_core.moments.SLOTS`. NAdam isn't included, since it remembers
# a product of its momenta as well; nor are derived classes, which may remember anything.
NAMES = {
    "sgd": {"velocity": "momentum_buffer"},
    "adam": {"first": "exp_avg", "second": "exp_avg_sq"},
}
OPTIONS = {"sgd": {"momentum", "dampening", "nesterov"}, "adam": {"betas", "eps"}}
"""What the groups of each kind have in a file."""

NOT_SHOWN = {
    *("params", "param_names", "foreach", "fused", "capturable", "differentiable"),
    *("initial_lr", "base_momentum", "max_momentum", "initial_momentum"),
}
"""What is in a group and isn't a hyperparameter: how torch computes, and marks of schedulers."""

TORCHS_OWN = NOT_SHOWN | {
    *("lr", "momentum", "dampening", "nesterov", "weight_decay", "maximize"),
    *("betas", "eps", "amsgrad", "decoupled_weight_decay"),
    *("base_lr", "min_lr", "max_lr", "swa_lr", "lr_scale", "name", "step"),
}
"""What the groups of SGD, Adam, AdamW and RAdam have, and what schedulers and users add."""

MANY = 20
"""How many values an error or a list shows."""

NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)

MAX_PARTS, LONGEST_NAME = 200_000, 500
"""How many parameters, buffers and modules a model may have, and the characters of a name."""

LARGER = 16
"""How many times as large as their file the arrays in it may be; a tensor may repeat numbers."""

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
            _array(torch.zeros_like(each) if state.get(name) is None else state[name]).copy()
            for each, state in zip(parameters, states, strict=True)
        ]
        for slot, name in NAMES[kind].items()
    }
    stored = None
    if kind == "adam":
        stored = _agreed([int(state["step"]) if state else 0 for state in states])
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
    groups = [group for group in optimizer.param_groups for _ in group["params"]]
    states: list[dict[str, Tensor]] = []
    for index, (group, parameter) in enumerate(zip(groups, parameters, strict=True)):
        state = {} if kind == "sgd" else {"step": _step(moments.count, group, parameter)}
        for slot, name in NAMES[kind].items():
            # By way of float64, which holds every float of another library exactly.
            given = torch.tensor(moments.slots[slot][index].astype("float64"))
            like = torch.empty_like(parameter, memory_format=torch.preserve_format)
            state[name] = like.copy_(given)
        states.append(state)
    optimizer.state.update(zip(parameters, states, strict=True))


def read_moments(
    path: str | os.PathLike[str], *, key: str | None = None, count: int | None = None
) -> Moments:
    """Read an optimizer's moments from a file that `torch.save` wrote, without running any of it.

    The file has the state dict of an optimizer anywhere in it, as a checkpoint does. What kind of
    optimizer it was is told by the state: a "momentum_buffer" is SGD's, "exp_avg" and "exp_avg_sq"
    are Adam's, AdamW's or RAdam's.

        >>> import tempfile, torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.Adam([weights])
        >>> weights.grad = torch.ones(3)
        >>> optimizer.step()
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     torch.save({"epoch": 1, "optimizer": optimizer.state_dict()}, file.name)
        ...     read_moments(file.name)
        Moments('adam', count=1: first and second of 1 parameters, 6 numbers, 24 bytes)

    Args:
        path: The file.
        key: The keys that lead to the state dict, joined by dots, such as "optimizer_states.0".
            Needed if there are several.
        count: The number of updates done. For SGD, which doesn't count them; None: the step of
            the cyclical scheduler in the file.

    Returns:
        The moments in the order of the optimizer's parameters. A parameter without a state, such as
        a frozen one, is left out with a warning, since the file doesn't say what shape it has.
        There is a warning too if the groups have keys that none of these optimizers has.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file has no such state or several, another optimizer's, or one with
            `dampening`, `maximize` or `amsgrad`; the parameters have different counts, or there is
            no count. The message has one line.
        OSError: The file doesn't exist or can't be read.
    """
    from clr_core.moments import Moments, agreed_count

    with refusing(path, "moments") as name:
        tree = checkpoint.read(name)
        state, groups = _optimizer(tree, key)
        kind = _kind_of(state, groups)
        places = [place for group in groups for place in group["params"]]
        # Torch's tools for distributed checkpoints make text of each key.
        states = [mapping(state.get(place, state.get(str(place)))) or {} for place in places]
        kept = {
            index: each
            for index, each in enumerate(states)
            if all(each.get(theirs) is not None for theirs in NAMES[kind].values())
        }
        missing = [index for index in range(len(states)) if index not in kept]
        if not kept:
            raise ValueError("its optimizer has a state for none of its parameters")
        stored = None
        if kind == "adam":
            stored = _agreed([_step_of(each, groups) for each in kept.values()])
        elif count is None:
            count = _scheduler_step(tree)
        slots = {}
        for slot, theirs in NAMES[kind].items():
            named = {f"{theirs} of parameter {each}": kept[each][theirs] for each in kept}
            slots[slot] = [*_arrays(named, name).values()]
        moments = Moments(kind, agreed_count(count, stored, "optimizer"), slots)
    others = {each for group in groups for each in group} - TORCHS_OWN
    if others:
        warnings.warn(
            f"{name!r} may be of another optimizer, whose moments mean something else: its groups "
            f"have {listed(sorted(map(str, others)), MANY)}",
            stacklevel=2,
        )
    if missing:
        warnings.warn(
            f"{name!r} has no state for {len(missing)} of {len(places)} parameters, which are left "
            f"out of the moments: {listed(missing, MANY)}",
            stacklevel=2,
        )
    return moments


def read_weights(
    path: str | os.PathLike[str], *, key: str | None = None
) -> dict[str, NDArray[Any]]:
    """Read the weights of a model from a file that `torch.save` wrote, without running any of it.

    The file has a state dict anywhere in it, or the whole model.

        >>> import tempfile, torch
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     torch.save({"epoch": 1, "model": torch.nn.Linear(3, 2).state_dict()}, file.name)
        ...     {name: array.shape for name, array in read_weights(file.name).items()}
        {'weight': (2, 3), 'bias': (2,)}

    Args:
        path: The file.
        key: The keys that lead to the state dict, joined by dots, such as "model_ema". Needed if
            there are several.

    Returns:
        An array for each name in the state dict, in its order. Types that NumPy lacks, such as
        bfloat16, become float32. What isn't a tensor is left out.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file has no weights, or several models'; a tensor is sparse, quantized or
            sharded. The message has one line.
        OSError: The file doesn't exist or can't be read.
    """
    with refusing(path, "weights") as name:
        tree = checkpoint.read(name)
        known = checkpoint.within(tree, lambda node: _is_optimizer(node) or _is_model(node))
        found = [(place, node) for place, node in known if not _is_optimizer(node)]
        if not found:
            raise ValueError(
                f"There must be a model's state dict. Received: {checkpoint.described(tree)}"
            )
        _, node = checkpoint.choose(found, key, "state dict")
        named = dict(_of_module(node)) if _is_module(node) else node
        return _arrays(
            {each: value for each, value in named.items() if isinstance(value, Stored | Unread)},
            name,
        )


def read_hyperparameters(
    path: str | os.PathLike[str], *, key: str | None = None
) -> list[dict[str, Any]]:
    """Read what an optimizer was made with from a file that `torch.save` wrote.

        >>> import tempfile, torch
        >>> optimizer = torch.optim.SGD([torch.zeros(3)], lr=0.1, momentum=0.9, weight_decay=1e-4)
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     torch.save({"optimizer": optimizer.state_dict()}, file.name)
        ...     (group,) = read_hyperparameters(file.name)
        >>> group["weight_decay"], group["nesterov"], group["parameters"]
        (0.0001, False, 1)

    Args:
        path: The file.
        key: See `read_moments`.

    Returns:
        For each parameter group the values by torch's names, without what is about torch itself
        such as `foreach`, and the number of its "parameters".

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file has no state dict of an optimizer, or several.
        OSError: The file doesn't exist or can't be read.
    """
    with refusing(path, "an optimizer's state") as name:
        _, groups = _optimizer(checkpoint.read(name), key)
        return [
            {each: _shown(value) for each, value in group.items() if each not in NOT_SHOWN}
            | {"parameters": len(group["params"])}
            for group in groups
        ]


def _checked(optimizer: Optimizer) -> tuple[str, list[Tensor]]:
    """The optimizer's kind of moments, and its parameters."""
    kind = KINDS.get(type(optimizer))
    if kind is None:
        raise TypeError(
            "`optimizer` must be one of torch.optim's SGD, Adam, AdamW and RAdam. "
            f"Received: {type(optimizer).__module__}.{type(optimizer).__name__}"
        )
    for index, group in enumerate(optimizer.param_groups):
        _check_group(group, index, type(optimizer).__name__)
        if kind == "sgd" and not has_momentum(optimizer, group):
            raise ValueError(
                "`optimizer` must have a momentum, since plain SGD keeps no state. "
                f"Received: momentum={group['momentum']!r} in group {index}"
            )
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for index, parameter in enumerate(parameters):
        if not parameter.is_floating_point():
            raise TypeError(
                "`optimizer` must have parameters of floats. "
                f"Received: {parameter.dtype} in parameter {index}"
            )
    return kind, parameters


def _check_group(group: Mapping[str, Any], index: int, owner: str) -> None:
    for name in ("dampening", "maximize", "amsgrad"):
        if group.get(name):
            raise ValueError(
                f"`{name}` must be off: it changes what {owner} remembers. "
                f"Received: {name}={_shown(group[name])!r} in group {index}"
            )


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    # NumPy has neither bfloat16 nor the smaller floats; each of their numbers is a float32.
    small = tensor.is_floating_point() and tensor.dtype not in NUMPY_FLOATS
    return (tensor.float() if small else tensor).numpy()


def _agreed(counts: Sequence[int]) -> int:
    """Adam's own count of updates, which it keeps for each parameter."""
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


def _optimizer(tree: object, key: str | None) -> tuple[Mapping[Any, Any], list[Mapping[str, Any]]]:
    """The state and the groups of the optimizer in a file."""
    found = list(checkpoint.within(tree, _is_optimizer))
    if not found:
        raise ValueError(
            f"There must be an optimizer's state dict. Received: {checkpoint.described(tree)}"
        )
    _, node = checkpoint.choose(found, key, "optimizer")
    if "param_groups" not in node:
        node = _unflattened(node)
    state = mapping(node["state"])
    groups = [mapping(each) or {} for each in node["param_groups"]]
    if state is None or not groups or not all(isinstance(g.get("params"), list) for g in groups):
        raise ValueError("its optimizer's state isn't one of torch")
    # A list in a pickle may have the same group a million times.
    count = sum(len(group["params"]) for group in groups)
    if max(count, len(groups)) > MAX_PARTS or len(set(map(id, groups))) < len(groups):
        raise ValueError("its optimizer has a group twice, or too many parameters")
    return state, groups


def _is_optimizer(node: Mapping[Any, Any]) -> bool:
    if {"state", "param_groups"} <= node.keys():
        return isinstance(node["param_groups"], list)
    return bool(node) and all(str(each).startswith(("state.", "param_groups.")) for each in node)


def _unflattened(node: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict that `torch.distributed.checkpoint` flattened, with a group per parameter."""
    parts: dict[str, dict[str, dict[str, Any]]] = {"state": {}, "param_groups": {}}
    for key, value in node.items():
        part, _, path = key.partition(".")
        parameter, _, name = path.rpartition(".")
        parts[part].setdefault(parameter, {})[name] = value
    groups = [{"params": [each], **group} for each, group in parts["param_groups"].items()]
    return {"state": parts["state"], "param_groups": groups}


def _kind_of(state: Mapping[Any, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    """The kind of moments in a file."""
    nodes = [mapping(each) or {} for each in state.values()]
    kept = {key for node in nodes for key, value in node.items() if value is not None}
    if not kept:
        raise ValueError(
            "its optimizer has no state: it made no update, or is SGD without momentum"
        )
    for kind, options in OPTIONS.items():
        names = {*NAMES[kind].values()}
        if names == kept - {"step", "max_exp_avg_sq"} and all(options <= set(g) for g in groups):
            for index, group in enumerate(groups):
                _check_group(group, index, "the optimizer")
            if "max_exp_avg_sq" in kept:
                raise ValueError("`amsgrad` must be off: it changes what the optimizer remembers")
            return kind
    others = (str(key) for key in groups[0] if key != "params")
    raise ValueError(
        "its optimizer must be SGD, Adam, AdamW or RAdam of torch. Received: one that keeps "
        f"{listed(sorted(map(str, kept)), MANY)} and has {listed(sorted(others), MANY)}"
    )


def _step_of(state: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> int:
    """Adam's count for a parameter; DeepSpeed and Apex keep it in the group."""
    step = _shown(state.get("step", groups[0].get("step")))
    if isinstance(step, bool) or not isinstance(step, int | float) or step != step // 1:
        raise ValueError(
            f"the `step` of a parameter must be a whole number. {received('step', step)}"
        )
    return int(step)


def _scheduler_step(tree: object) -> int:
    """The updates done according to the one cyclical scheduler in a file."""
    try:
        return max(int(checkpoint.find(tree)["last_epoch"]), 0)
    except (TypeError, ValueError):
        raise ValueError(
            "`count`, the number of updates done, must be given, since SGD doesn't count them and "
            "there isn't one cyclical scheduler in the file"
        ) from None


def _is_model(node: Mapping[Any, Any]) -> bool:
    """True for a model's state dict, and for the content of a module."""
    values = [value for key, value in node.items() if not str(key).endswith("_extra_state")]
    return _is_module(node) or (
        all(isinstance(key, str) for key in node)
        and all(isinstance(each, Stored | Unread) for each in values)
        # Not the generators' states or some losses.
        and any(
            isinstance(each, Unread) or (each.dtype.is_floating_point and each.shape != ())
            for each in values
        )
    )


def _is_module(node: Mapping[Any, Any]) -> bool:
    return {"_parameters", "_buffers", "_modules"} <= node.keys()


def _of_module(node: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The state dict of a module that was saved whole."""
    left, count = [("", node)], 0
    while left:
        path, each = left.pop()
        parts = (mapping(each.get(part)) or {} for part in ("_parameters", "_buffers"))
        named = [(name, value) for part in parts for name, value in part.items()]
        children = list((mapping(each.get("_modules")) or {}).items())
        count += 1 + len(named) + len(children)
        if count > MAX_PARTS or len(path) > LONGEST_NAME:
            raise ValueError("its model contains itself, or has too many parts")
        for name, value in named:
            if value is not None:
                yield f"{path}{str(name)[:LONGEST_NAME]}", value
        for name, child in reversed(children):
            if isinstance(child, Foreign):
                left.append((f"{path}{str(name)[:LONGEST_NAME]}.", child.contents))


def _arrays(values: Mapping[Any, Any], name: str) -> dict[Any, NDArray[Any]]:
    """The numbers of tensors in a file."""
    for place, value in values.items():
        if not isinstance(value, Stored):
            raise ValueError(
                f"{place!r:.100} must be a plain tensor. Received: {_named(value)}. Convert it "
                "before saving, by `full_tensor()`, `to_dense()` or `dequantize()`"
            )
    size = sum(each.size * max(each.dtype.itemsize, 4) for each in values.values())
    if size > LARGER * os.path.getsize(name) + 2**20:
        raise ValueError(f"its tensors repeat their numbers, and would take {size} bytes")
    return {place: _array(each.tensor().contiguous()) for place, each in values.items()}


def _shown(value: Any) -> Any:
    """A value of a group as plain data that isn't nested."""
    if isinstance(value, list | tuple):
        return [_number(each) for each in value[:MANY]]
    return _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, Tensor | Stored) and value.shape.count(1) == len(value.shape):
        return value.item()
    if isinstance(value, int) and abs(value) >= 2**63:  # It may have too many digits for Python.
        return "int"
    return value if isinstance(value, int | float | str | None) else _named(value)


def _named(value: Any) -> str:
    return value.name if isinstance(value, Foreign) else type(value).__name__
