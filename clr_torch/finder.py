"""The learning rate range test on a torch model, which is afterwards as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from clr_core.adapter import integer, received

if TYPE_CHECKING:
    from clr_core import RangeTestResult


def range_test(
    model: Module,
    optimizer: Optimizer,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    *,
    accumulation_steps: int = 1,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    repeats: int = 1,
    progress: bool | None = None,
    **options: Any,
) -> RangeTestResult:
    """Trains with a rate that rises, and reads from the losses where a cycle should lie.

    Afterwards everything is as it was, bit for bit, also if it fails or is interrupted: parameters
    and their gradients, buffers, the optimizer's state and rates, train or eval mode, `scaler`, the
    random states of Python, NumPy and torch, and the loader's generators, sampler and position. A
    scheduler isn't stepped. The copies for that lie on the model's device: as much memory again as
    the parameters, gradients and the optimizer's state take.

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
    are the model's arguments: `model(**inputs)`. Tensors go to the device of the first parameter.
    All parameter groups get the same rate; their momentum stays. What else is done before an
    update, such as clipping, can be an `optimizer.register_step_pre_hook`.

    Args:
        model: The model. Where it is in eval mode it is trained in train mode; where a part of one
            in train mode is in eval mode, that part stays so.
        optimizer: An optimizer of its parameters. What it remembers is used, and put back.
        loader: A `DataLoader`, or another iterable of batches that starts anew with each `iter()`.
            Where it runs out it is started anew, which the result's warnings say.
        loss_fn: The loss of outputs and targets: the mean over the batch.
        accumulation_steps: Batches per update; the loss of the update is their mean.
        autocast: A dtype such as torch.bfloat16 for `torch.autocast`.
        scaler: The `GradScaler` for torch.float16. An update that it leaves out keeps its loss.
        repeats: How many times, with other batches and random numbers; see `RangeTestResult.of`.
        progress: Whether a line on stderr shows how far it is; None: where that is a terminal.
        **options: What `clr_core.RangeTest` takes: `start_lr`, `end_lr`, `num_steps`, `ramp` and
            `divergence`.

    Returns:
        A `clr_core.RangeTestResult`: `max_lr`, `base_lr`, `schedule(step_size_up)`, `plot()` …

    Raises:
        TypeError, ValueError: An argument of the wrong kind or outside its range, a model without
            parameters to train, an optimizer without any of these, no batches, batches that aren't
            pairs, or a loss that isn't a single number.
    """
    from clr_core.range_finding.ask_tell import RangeTest
    from clr_core.range_finding.driver import Batches, check_run, run
    from clr_core.range_finding.restoring import restored_loader
    from clr_torch.restore import same_randomness, snapshot

    repeats = check_run(repeats, progress)
    accumulation_steps = _positive("accumulation_steps", accumulation_steps)
    tests = [RangeTest(**options) for _ in range(repeats)]
    batches = Batches("loader", loader)
    device = _check(model, optimizer, loss_fn, autocast, scaler)

    def update(lr: float) -> float:
        for group in optimizer.param_groups:
            # A tensor is filled in place, since a compiled step may hold on to it.
            group["lr"] = group["lr"].fill_(lr) if isinstance(group["lr"], Tensor) else lr
        optimizer.zero_grad()
        total = 0.0
        for _ in range(accumulation_steps):
            inputs, targets = _moved(_pair(batches.take()), device)
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                loss = loss_fn(_called(model, inputs), targets)
            _check_loss(loss)
            total += loss.item() / accumulation_steps
            part = loss / accumulation_steps
            (part if scaler is None else scaler.scale(part)).backward()  # type: ignore[no-untyped-call]
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        return total

    # An epoch under way, of workers that stay or of torchdata's loader, would be started anew.
    aside = ("_iterator",) if isinstance(loader, torch.utils.data.DataLoader) else ()
    with same_randomness(), restored_loader(loader, aside), torch.enable_grad():
        before = snapshot(model, optimizer, loss_fn, scaler)

        def start() -> None:
            if not model.training:
                model.train()

        def anew() -> None:
            before.restore()
            start()

        try:
            start()
            return run(tests, update, batches, anew, progress)
        finally:
            before.restore()


def _check(model: Any, optimizer: Any, loss_fn: Any, autocast: Any, scaler: Any) -> torch.device:
    """Where the model lies; or an error, before anything has changed."""
    if not isinstance(model, Module):
        raise TypeError(f"`model` must be a torch.nn.Module. Received: a {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"`optimizer` must be a torch.optim.Optimizer. Received: a {type(optimizer).__name__}"
        )
    if not callable(loss_fn):
        raise TypeError(f"`loss_fn` must be callable. {received('loss_fn', loss_fn)}")
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
            if parameters
            else "`model` must have parameters to train. Received: none"
        )
    lazy = [name for name, each in model.named_parameters() if is_lazy(each)]
    if lazy:
        raise ValueError(
            "`model` must have all its parameters. "
            f"Received: {', '.join(lazy)} without a shape yet. Call it on a batch first."
        )
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    if not any(id(each) in held for each in trained):
        raise ValueError(
            "`optimizer` must have parameters of `model`. Received: none of its "
            f"{len(trained)}. Make it of model.parameters(), after the model is where it belongs."
        )
    return trained[0].device


def _positive(name: str, value: Any) -> int:
    number = integer(name, value)
    if number < 1:
        raise ValueError(f"`{name}` must be at least 1. {received(name, value)}")
    return number


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        kind = f"a {type(batch).__name__}"
        if isinstance(batch, tuple | list):
            kind += f" of {len(batch)}"
        raise ValueError(
            f"`loader` must give pairs of inputs and targets. Received: {kind}. "
            "Wrap it, or drive clr_core.RangeTest in a loop of your own."
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
    # Not only tensors: a batch of tokenizers or graphs is a class of its own, and moves itself.
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
