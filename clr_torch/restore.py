"""Copy what a training changes in torch's objects, and put it back bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from clr_core.range_finding.restoring import Restore


def states(objects: Iterable[Any]) -> list[Restore]:
    """Restores the state of modules and optimizers, with their tensors and gradients.

    Of a module: parameters, buffers (also those that aren't persistent), extra state, and train or
    eval mode, of each module in it. Of an optimizer: its state and its parameter groups. The copies
    of tensors lie on the tensors' devices.
    """
    copies = _Copies()
    for each in objects:
        copies.add(each)
    return copies.restores


def device_random_states() -> list[Restore]:
    """Restores the random generators of the accelerators that are in use."""
    restores: list[Restore] = [
        partial(module.set_rng_state_all, module.get_rng_state_all())
        for module in (torch.cuda, torch.xpu)
        if module.is_initialized()
    ]
    if torch.backends.mps.is_available():
        restores.append(partial(torch.mps.set_rng_state, torch.mps.get_rng_state()))
    return restores


class _Copies:
    """Collects what restores a value and all that it contains, each object once."""

    def __init__(self) -> None:
        self.restores: list[Restore] = []
        # The values too, since an id belongs to another object once its own is gone.
        self._seen: dict[int, Any] = {}

    def add(self, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, Module):
            for module in value.modules():
                self._add_module(module)
        elif isinstance(value, Optimizer):
            # Also that it has made a step, which torch's schedulers ask for.
            self.add(vars(value))
        elif isinstance(value, dict):
            items = dict(value)
            self.restores.append(partial(_refill, value, items))
            for each in items.values():
                self.add(each)
        elif isinstance(value, list):
            elements = list(value)
            self.restores.append(partial(value.__setitem__, slice(None), elements))
            for each in elements:
                self.add(each)
        elif isinstance(value, tuple):
            for each in value:
                self.add(each)

    def _add_module(self, module: Module) -> None:
        training, tensors = module.training, _own(module)

        def restore() -> None:
            module.training = training
            there = _own(module)
            for name in there.keys() - tensors.keys():
                setattr(module, name, None)  # Before, it was registered without a tensor.
            for name, tensor in tensors.items():
                if there.get(name) is not tensor:
                    setattr(module, name, tensor)

        self.restores.append(restore)
        for tensor in tensors.values():
            self.add(tensor)
        if type(module).get_extra_state is not Module.get_extra_state:
            extra = deepcopy(module.get_extra_state())
            self.restores.append(lambda: module.set_extra_state(deepcopy(extra)))

    def _add_tensor(self, tensor: Tensor) -> None:
        there = tensor.detach()  # The same memory, in case another is put in its place.
        place = _without_repeats(there)
        copy = place.clone()
        # For any other tensor torch has no gradient, and warns when asked for it.
        has_grad = tensor.is_leaf or tensor.retains_grad
        grad = tensor.grad if has_grad else None

        def restore() -> None:
            with torch.no_grad():
                if not _same_memory(tensor, there):
                    tensor.data = there
                place.copy_(copy)
                if has_grad and tensor.grad is not grad:
                    tensor.grad = grad

        self.restores.append(restore)
        if grad is not None:
            self.add(grad)


def _own(module: Module) -> dict[str, Tensor]:
    """The parameters and buffers of the module itself."""
    parameters = module.named_parameters(recurse=False, remove_duplicate=False)
    buffers = module.named_buffers(recurse=False, remove_duplicate=False)
    return dict([*parameters, *buffers])


def _refill(there: dict[Any, Any], items: dict[Any, Any]) -> None:
    there.clear()
    there.update(items)


def _without_repeats(tensor: Tensor) -> Tensor:
    """The part of a tensor that has memory of its own: an expanded one repeats it."""
    if tensor.layout != torch.strided or 0 not in tensor.stride():
        return tensor
    return tensor[tuple(slice(None) if each else slice(0, 1) for each in tensor.stride())]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    if one.layout != torch.strided or other.layout != torch.strided:
        return one.layout == other.layout
    return (one.data_ptr(), one.shape, one.stride(), one.dtype) == (
        other.data_ptr(),
        other.shape,
        other.stride(),
        other.dtype,
    )
