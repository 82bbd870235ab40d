"""Counts the updates that an optimizer really makes, for the schedulers on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch.compiler import is_dynamo_compiling
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Counting(Protocol):
    """A scheduler that is told of updates."""

    step_with_optimizer: bool

    def _updated(self) -> None: ...


class _Counter:
    """The hooks of one optimizer, and the schedulers to tell of its updates."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.schedulers: WeakSet[Any] = WeakSet()
        self.paused = self.compiled = self.followed = self._within = False
        optimizer.register_step_pre_hook(self._before)
        optimizer.register_step_post_hook(self._after)

    def _before(self, *_: object) -> None:
        self._within = True

    def _after(self, *_: object) -> None:
        if self.followed and "torch._dynamo" in sys.modules:
            from clr_torch._uncompiled import uncompiled

            uncompiled(self._tell)
        elif is_dynamo_compiling():
            self.compiled = True  # Nothing else, so that the compiled step stays as it would be.
        else:
            self._tell()

    def _tell(self) -> None:
        # If a class overrides `step` and calls the inherited one, torch runs the hooks around both:
        # the second time, nothing came before.
        if self._within and not self.paused:
            self._within = False
            for scheduler in self.schedulers:
                scheduler._updated()


_counters: WeakKeyDictionary[Optimizer, _Counter] = WeakKeyDictionary()


def tell(scheduler: Counting, optimizer: Optimizer) -> list[Any]:
    """Tell a scheduler of each update from now on, as long as it lives.

    Returns:
        The others that are told.

    Raises:
        AttributeError: It is a wrapper without torch's hooks.
    """
    counter = _counters.get(optimizer)
    if counter is None:
        counter = _counters[optimizer] = _Counter(optimizer)
    counter.schedulers.add(scheduler)
    counter.followed |= scheduler.step_with_optimizer
    return others(scheduler, optimizer)


def others(scheduler: Counting, optimizer: Optimizer) -> list[Any]:
    """The other schedulers that are told of the optimizer's updates."""
    counter = _counters.get(optimizer)
    schedulers = () if counter is None else counter.schedulers
    return [each for each in schedulers if each is not scheduler]


def are_counted(optimizer: Optimizer) -> bool:
    """True unless the optimizer has no hooks, or they have been compiled away."""
    counter = _counters.get(optimizer)
    return counter is not None and not counter.compiled


@contextmanager
def paused(optimizer: Optimizer) -> Iterator[None]:
    """Updates within this context aren't counted: they will be taken back."""
    counter = _counters.get(optimizer)
    if counter is not None:
        counter.paused = True
    try:
        yield
    finally:
        if counter is not None:
            counter.paused = False


def overflowed(optimizer: Optimizer) -> bool:
    """True if a gradient isn't finite: then a GradScaler has left out the update."""
    gradients = (each.grad for group in optimizer.param_groups for each in group["params"])
    return any(
        each is not None and not bool(torch.isfinite(each.detach()).all()) for each in gradients
    )


def was_skipped(optimizer: Optimizer) -> bool:
    """True if a fused optimizer has left out the update, as a GradScaler told it to."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def within_another(scheduler: LRScheduler) -> bool:
    """True if another scheduler made this call, such as a ChainedScheduler."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        caller = frame.f_locals.get("self")
        if isinstance(caller, LRScheduler) and caller is not scheduler:
            return True
    return False


_LINES = {
    "lightning": 'return {"scheduler": scheduler, "interval": "step"} from `configure_optimizers`',
    "pytorch_lightning": 'return {"scheduler": scheduler, "interval": "step"} from '
    "`configure_optimizers`",
    "accelerate": "pass Accelerator(step_scheduler_with_optimizer=False)",
    "skorch": 'pass LRScheduler(…, step_every="batch")',
    "ignite": "call it at Events.ITERATION_COMPLETED, and with every=k if k batches make an update",
}


def advice() -> str:
    """The line that makes the running trainer step once per update."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in _LINES:
            return f"In {package}, {_LINES[package]}. Or pass step_with_optimizer=True."
        frame = frame.f_back
    return "Call it once after each `optimizer.step()`, or pass step_with_optimizer=True."
