"""The learning rate range test on a torch model, which is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from clr_core import RangeTestResult
from clr_core.adapter import received
from clr_core.range_finding.ask_tell import RangeTestOptions, scalar
from clr_core.range_finding.driver import Batches, check_callable, positive, repeated, run
from clr_core.range_finding.restoring import loader_position, random_states, restore, restored
from clr_torch.param_groups import check_optimizer, write
from clr_torch.restore import device_random_states, states
from clr_torch.updates import paused


def range_test(
    model: Module,
    optimizer: Optimizer,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    *,
    accumulation_steps: int = 1,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    score: Callable[[Any, Any], Any] | None = None,
    repeats: int = 1,
    trials: bool = True,
    **options: Unpack[RangeTestOptions],
) -> RangeTestResult:
    """Trains with a rate that rises, and reads the boundaries of a cycle from the losses.

    Afterwards the state of everything is as it was, bit for bit, also if the test fails or is
    interrupted: parameters and their gradients, buffers, train or eval mode, the optimizer's state
    and rates, the random states of Python, NumPy and torch, and the loader's position (its
    `state_dict` if it has one, and its generators). `scaler` is copied, and a scheduler isn't
    stepped. What a module or a data set keeps in other attributes isn't put back. The copies lie on
    the model's device: as much memory again as the parameters, gradients and the optimizer's state
    take.

        >>> _ = torch.manual_seed(0)
        >>> inputs, targets = torch.randn(2000, 8), torch.randn(2000, 1)
        >>> data = torch.utils.data.TensorDataset(inputs, inputs[:, :1] + 0.1 * targets)
        >>> loader = torch.utils.data.DataLoader(data, batch_size=200, shuffle=True)
        >>> model = torch.nn.Linear(8, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.123)
        >>> result = range_test(model, optimizer, loader, torch.nn.functional.mse_loss)
        >>> 0.01 < result.max_lr < 1, optimizer.param_groups[0]["lr"]
        (True, 0.123)

    Each batch is a pair: `loss_fn(model(inputs), targets)`. Inputs that are a mapping or a tuple
    are the model's arguments: `model(**inputs)`. Tensors are moved to the device of the first
    parameter. All parameter groups get the same rate; their momentum stays. Anything else before an
    update, such as clipping, can be an `optimizer.register_step_pre_hook`.

    Args:
        model: The model. If it is in eval mode, it is trained in train mode; parts in eval mode of
            a model in train mode stay in eval mode.
        optimizer: An optimizer of its parameters. The test starts with its state.
        loader: A `DataLoader`, or another iterable of batches that starts over with each `iter()`.
            If it runs out it starts over, and the result's warnings say so.
        loss_fn: The loss of outputs and targets: the mean over the batch.
        accumulation_steps: Batches per update; the loss of the update is their mean.
        autocast: A dtype such as torch.bfloat16 for `torch.autocast`.
        scaler: The `GradScaler` for torch.float16. The loss of an update that it skips counts.
        score: The score of outputs and targets, such as the accuracy: a number of which more is
            better. The result then has `scores`, and the paper's own reading of them.
        repeats: Number of tests, with other batches and random numbers; see `RangeTestResult.of`.
        trials: Whether to compare trainings with `max_lr` and with rates around it, each of
            `num_steps` updates with the same batches, and to take the best. That is the time of
            three to seven more tests.
        **options: `start_lr`, `end_lr`, `num_steps`, `ramp` and `divergence`, as in
            `clr_core.RangeTest`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, a model without
            parameters to train, an optimizer without any of these or that needs a closure, such as
            `LBFGS`, no batches, batches that aren't pairs, or a loss or a score that isn't a single
            number.
    """
    tests = repeated(repeats, trials, **options)
    accumulation_steps = positive("accumulation_steps", accumulation_steps)
    batches = Batches("loader", _with_own_workers(loader))
    device = _check(model, optimizer, loss_fn, autocast, scaler)
    if score is not None:
        check_callable("score", score)
    before, own_scaler = states([model, optimizer, loss_fn, score]), scaler

    def start() -> None:
        nonlocal own_scaler
        restore(before)
        own_scaler = deepcopy(scaler)
        if not model.training:
            model.train()

    def update(lr: float) -> tuple[Any, ...]:
        groups = optimizer.param_groups
        write(groups, [None] * len(groups), [lr] * len(groups), ())
        optimizer.zero_grad()
        total, scored = 0.0, 0.0
        for _ in range(accumulation_steps):
            inputs, targets = _moved(_pair(batches.take()), device)
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                outputs = _called(model, inputs)
                loss = loss_fn(outputs, targets)
            _check_loss(loss)
            if score is not None:
                with torch.no_grad():
                    scored += scalar("score", score(outputs, targets)) / accumulation_steps
            total += loss.item() / accumulation_steps
            part = loss / accumulation_steps
            (part if own_scaler is None else own_scaler.scale(part)).backward()  # type: ignore[no-untyped-call]
        try:
            if own_scaler is None:
                optimizer.step()
            else:
                own_scaler.step(optimizer)
                own_scaler.update()
        except Exception as error:
            # LBFGS raises a TypeError without a closure; SAM and the like raise errors of any kind.
            if "closure" not in f"{type(error).__name__} {error}".lower():
                raise
            raise ValueError(
                "`optimizer` must make an update without a closure. "
                f"Received: {type(optimizer).__name__}. Drive clr_core.RangeTest in your own loop."
            ) from error
        return (total,) if score is None else (total, scored)

    around = [*before, *loader_position(loader), *device_random_states(), *random_states()]
    with restored(around), paused(optimizer), torch.enable_grad():
        return run(tests, start, update, batches, trials=trials)


def _check(model: Any, optimizer: Any, loss_fn: Any, autocast: Any, scaler: Any) -> torch.device:
    """The device of the model, or an error before anything has changed."""
    if not isinstance(model, Module):
        raise TypeError(f"`model` must be a torch.nn.Module. Received: a {type(model).__name__}")
    check_optimizer(optimizer)
    check_callable("loss_fn", loss_fn)
    if autocast is not None and not isinstance(autocast, torch.dtype):
        raise TypeError(f"`autocast` must be a torch.dtype. {received('autocast', autocast)}")
    if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
        raise TypeError(
            f"`scaler` must be a torch.amp.GradScaler. Received: a {type(scaler).__name__}"
        )
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ValueError(
            "`model` must have parameters to train. "
            f"Received: {len(parameters)}, none of which requires a gradient"
        )
    lazy = [name for name, each in model.named_parameters() if is_lazy(each)]
    if lazy:
        raise ValueError(
            "`model` must have all its parameters. "
            f"Received: {', '.join(lazy)} without a shape yet. Call the model on a batch first."
        )
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    if not any(id(each) in held for each in trained):
        raise ValueError(
            f"`optimizer` must have parameters of `model`. Received: none of its {len(trained)}. "
            "Create it from model.parameters(), after moving the model to its device."
        )
    return trained[0].device


def _with_own_workers(loader: Any) -> Any:
    """The loader, or if its workers stay for all epochs, one like it: an epoch may be under way."""
    if type(loader) is not DataLoader or not loader.persistent_workers:
        return loader
    other = copy(loader)
    other._iterator = None  # It holds the workers. The next `iter()` makes another.
    return other


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        kind = f"a {type(batch).__name__}"
        if isinstance(batch, tuple | list):
            kind += f" of {len(batch)}"
        raise ValueError(
            f"`loader` must give pairs of inputs and targets. Received: {kind}. "
            "Wrap it, or drive clr_core.RangeTest in your own loop."
        )
    return batch[0], batch[1]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {name: _moved(each, device) for name, each in value.items()}
    if isinstance(value, tuple | list):
        moved = [_moved(each, device) for each in value]
        if hasattr(value, "_fields"):
            return type(value)(*moved)
        return moved if isinstance(value, list) else tuple(moved)
    # Not only tensors: a batch of tokens or graphs may be an object that moves itself.
    return value.to(device) if hasattr(value, "to") else value


def _called(model: Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        kind = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(
            f"`loss_fn` must give a tensor of one number. Received: {kind}. Take the mean."
        )
