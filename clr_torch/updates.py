"""A scheduler that knows of each update that its optimizer really makes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import FrameType, SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from clr_core.adapter import received

FIRST = 2**40
"""The count of updates before the first step, and before the first one after a load."""
IDLE = 8
"""Two steps without an update that are at most so many steps apart aren't a GradScaler's."""
MOST_LEFT_OUT = 40
"""As many updates a GradScaler may leave out at first: each halves its scale."""
LINES = {
    "lightning": 'return {"scheduler": scheduler, "interval": "step"} in `configure_optimizers`; '
    "in manual optimization, call step() after each update",
    "accelerate": "pass Accelerator(step_scheduler_with_optimizer=False), and step only if "
    "accelerator.sync_gradients",
    "skorch": 'pass LRScheduler(…, step_every="batch")',
    "ignite": "call scheduler.step() at Events.ITERATION_COMPLETED, with every=k if k batches make "
    "an update, and without LRScheduler",
    "fastai": "call it in `after_step` of a callback",
}
LINES["pytorch_lightning"] = LINES["lightning"]
"""What makes a trainer, by the name of its package, step once per update."""
RATE_LINES = {
    "fastai": "`fit` writes the Learner's `lr` first: pass step_with_optimizer=True, and call "
    "scheduler.step() in `before_fit` of a callback",
}
"""What keeps a trainer from writing the rate itself."""
_DCP = "torch.distributed.checkpoint.state_dict"


def _step_before_2_9(scheduler: LRScheduler, epoch: int | None) -> None:
    """The `step` that torch has since 2.9, which leaves it to `_update_lr` to set the rate.

    It doesn't warn of `epoch`, which SequentialLR passes here.
    """
    if scheduler._step_count == 1:
        # Torch's own method warns of a wrong order. It is given an optimizer without groups, as it
        # would set the rate, too.
        order = SimpleNamespace(
            step=scheduler.optimizer.step,
            _opt_called=getattr(scheduler.optimizer, "_opt_called", False),
            param_groups=[],
        )
        stand_in = SimpleNamespace(optimizer=order, _step_count=1, last_epoch=0, get_lr=list)
        LRScheduler.step(stand_in)  # type: ignore[arg-type]
    scheduler._step_count += 1
    scheduler._update_lr(epoch)


HOOKS = {"_initial_step": "2.4", "_update_lr": "2.9"}
"""The private methods of torch's base class that are overridden here, and since when it has them.

Without them the scheduler would set wrong values, and nobody would be told.
"""
for _name, _since in HOOKS.items():
    if torch.__version__ >= _since and not hasattr(LRScheduler, _name):
        raise ImportError(
            f"`clr_torch` needs `LRScheduler.{_name}`, which torch has from {_since} to 2.15. "
            f"Received: torch {torch.__version__}. Install one of these, or a newer cyclical-lr."
        )
_torchs_step = LRScheduler.step if hasattr(LRScheduler, "_update_lr") else _step_before_2_9
_compiler: Callable[[], object]
if torch.__version__ >= "2.8":  # Not None while the compiler looks at each function that is called.
    _compiler = torch._C._dynamo.eval_frame.get_eval_frame_callback
else:  # Torch 2.6 and 2.7 have it, too, but each call takes a reference too many away from None.
    _compiler = partial(sys.modules.get, "torch._dynamo")


class CountingScheduler(LRScheduler):
    """The part of a scheduler that counts updates.

    A derived class sets the rate of a step in `_go_to`, and notes the step in `_set_at`.
    """

    step_with_optimizer: bool
    """Whether each update of the optimizer is a step. Turn it on before compiling the update."""
    _set_at: int | None
    _since = FIRST
    _composed = _told_of_rate = False
    _deviation = ""
    """The rate that the first update was made with, if it wasn't the schedule's."""
    _settled = False
    """True once nothing more is to be said about the count of updates."""
    _idle_at = -(IDLE + 1)
    _never = 0
    """Steps before the first update."""
    _asked_at = -1
    """The last step whose rate something else has taken."""
    _asked = _crowded = 0
    """How many it has taken since the last update, and how many updates had several before them."""

    def _count_updates(self, optimizer: Optimizer, step_with_optimizer: bool, step: int) -> None:
        if not isinstance(step_with_optimizer, bool):
            raise TypeError(
                "`step_with_optimizer` must be a bool. "
                f"{received('step_with_optimizer', step_with_optimizer)}"
            )
        self.step_with_optimizer = step_with_optimizer
        others = self._be_told(optimizer)
        if others is None and step_with_optimizer:
            raise ValueError(
                "`optimizer` must have torch's hooks for the scheduler to step with it. "
                f"Received: {type(optimizer).__name__}. Pass the optimizer inside of it."
            )
        for other in others or ():
            if step_with_optimizer and other.step_with_optimizer:
                other.step_with_optimizer = False
                if other.last_epoch != step:
                    warnings.warn(
                        "The optimizer had another scheduler that stepped with it, and has it no "
                        f"more. That one was at step {other.last_epoch}, and this one starts at "
                        f"step {step}.",
                        stacklevel=outside(),
                    )

    def _be_told(self, optimizer: Optimizer) -> list[CountingScheduler] | None:
        """Ask to be told of each update; returns the others that are, or None without hooks."""
        self._since, self._asked = FIRST, 0
        inner = _with_hooks(optimizer)
        counter = _counters.get(inner)
        if counter is None:
            try:
                counter = _counters[inner] = _Counter(inner)
            except AttributeError:
                return None
        counter.add(self)
        return counter.others(self)

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, after an update of the optimizer.

        With `step_with_optimizer` the update itself has done so, and this sets the same again.
        """
        if is_dynamo_compiling():
            torch.compiler.disable(_torchs_step)(self, epoch)  # type: ignore[no-untyped-call]
        elif epoch is None and (
            self._since == 1 or (self._settled and not self.step_with_optimizer)
        ):
            # The usual case. Torch's method asks once more whether the optimizer has stepped.
            self._since = 0
            self._step_count += 1
            self._go_to(None)
        elif self._step_count == 0:  # In the constructor.
            _torchs_step(self, epoch)
        else:
            self._step_with_a_look(epoch)

    def _step_with_a_look(self, epoch: int | None) -> None:
        since, self._since = self._since, 0
        if since >= FIRST:
            since -= FIRST
            self._composed |= self._is_stepped_by_another()
            if self._deviation and not self._composed:
                self._say_who_writes()
        if self.step_with_optimizer and self.last_epoch != self._set_at:
            self._hand_over()
        if self.step_with_optimizer and epoch is None:
            self._go_to(self.last_epoch)  # One before it in a ChainedScheduler has written, too.
            return
        if since != 1 and epoch is None:
            self._notice(since)
        _torchs_step(self, epoch)

    def _go_to(self, epoch: int | None) -> None:
        raise NotImplementedError

    def _initial_step(self) -> None:
        if self._set_at is not None:  # It has been put first into a SequentialLR.
            self._composed = True
            if self.step_with_optimizer:
                self._hand_over()
        super()._initial_step()

    def _is_asked(self) -> None:
        """Something else, as ignite's LRScheduler, takes the rate of `last_epoch` and counts on."""
        since, self._since = self._since, 0
        is_next, self._asked_at = self.last_epoch == self._asked_at + 1, self.last_epoch
        self._asked += 1
        if since == FIRST + 1 and self.last_epoch == self._set_at and not self._deviation:
            self._say("1 update before the first step")
        elif 1 < since < FIRST and is_next:
            self._say(f"{since} updates since the last step")

    def _updated(self, found_inf: Tensor | None) -> None:
        """The optimizer has made an update, which `found_inf` has told a fused one to leave out."""
        groups, last = self.optimizer.param_groups, self._last_lr
        if len(groups) != 1 or groups[0]["lr"] is not last[0]:
            if _initializes_state():
                return
            if not (self._composed or self._told_of_rate):
                self._compare_rates(groups, last)
        if self._asked:
            self._crowded = self._crowded + 1 if self._asked > 1 else 0
            self._asked = 0
            if self._crowded > 2:  # A GradScaler doesn't leave out updates so regularly.
                self._say("no update since the last step")
        if not self.step_with_optimizer:
            self._since += 1
        elif self.last_epoch != self._set_at:
            self._since += 1
            self._hand_over()
        elif found_inf is None or not bool(found_inf):
            self._step_count += 1
            self._go_to(None)

    def _hand_over(self) -> None:
        """Let others count the steps, as SequentialLR and ignite's LRScheduler do."""
        self.step_with_optimizer, self._composed = False, True
        warnings.warn(
            "`step_with_optimizer` has been turned off, since something else set `last_epoch`, as "
            "SequentialLR does. The calls of `step()` count from here on.",
            stacklevel=outside(),
        )

    def _notice(self, made: int) -> None:
        """Say that a step hasn't been an update, unless it is a GradScaler's."""
        counter = _counters.get(_with_hooks(self.optimizer))
        if counter is None or counter.unsure:
            self._settled = True
            return
        if made == 0 and not getattr(self.optimizer, "_opt_called", False):
            # Torch itself warns of a loop without updates. A GradScaler may leave out the first.
            self._never += 1
            self._settled = self._never > MOST_LEFT_OUT
            return
        if made == 0:
            if _overflowed(self.optimizer):
                return
            before, self._idle_at = self._idle_at, self.last_epoch
            if self.last_epoch - before > IDLE:
                return
        self._say(f"{f'{made} updates' if made else 'no update'} since the last `step()`")

    def _say(self, made: str) -> None:
        if self._settled:
            return
        self._settled = True
        line = self._line(LINES)
        advice = f"{line};" if line else "Call it once after each update,"
        warnings.warn(
            f"A step is an update, but the optimizer made {made}. {advice} or pass "
            "step_with_optimizer=True.",
            stacklevel=outside(),
        )

    def _compare_rates(self, groups: list[dict[str, Any]], last: list[Any]) -> None:
        """See if an update was made with another rate than the schedule's, and say so once."""
        for index, (group, lr) in enumerate(zip(groups, last, strict=False)):
            found = group.get("lr")
            # To compare tensors would be to wait for their device.
            if found is lr or isinstance(found, Tensor) or found == lr:
                continue
            # If no step came since the update before, one such as SWALR may have taken over.
            has_set = self.step_with_optimizer or self._since in (0, FIRST)
            counter = _counters[_with_hooks(self.optimizer)]
            if not has_set or self.last_epoch != self._set_at or counter.others(self):
                return
            self._deviation = f"{found!r} in group {index}, where the schedule has {lr!r}"
            if self.step_with_optimizer or self._since == 0:
                self._say_who_writes()
            return  # Before the first step, it may be another scheduler's turn.

    def _say_who_writes(self) -> None:
        found, self._deviation, self._told_of_rate = self._deviation, "", True
        advice = self._line(RATE_LINES) or (
            "To have other rates, make a scheduler with another schedule and the same step"
        )
        warnings.warn(
            f"The optimizer made an update with the rate {found}: something else wrote "
            f"it, and `step()` writes over it. {advice}.",
            stacklevel=outside(),
        )

    def _line(self, lines: dict[str, str]) -> str:
        """The line for the trainer that is running, if any."""
        modules = (frame.f_globals.get("__name__", "") for frame in _frames())
        packages = (each.partition(".")[0] for each in (type(self.optimizer).__module__, *modules))
        return next((f"In {each}, {lines[each]}" for each in packages if each in lines), "")

    def _is_stepped_by_another(self) -> bool:
        """True if another scheduler makes this call, such as a ChainedScheduler."""
        # Once asked for, a frame's variables live as long as it: those of the user's loop mustn't.
        steps = (frame for frame in _frames() if frame.f_code.co_name == "step")
        callers = (frame.f_locals.get("self") for frame in steps)
        return any(isinstance(each, LRScheduler) and each is not self for each in callers)


class _Counter:
    """The hooks of one optimizer, and the schedulers to tell of its updates."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.paused = self._followed = False
        self.unsure = False
        """True if it can't be known how many updates have been made."""
        self._schedulers: list[ref[CountingScheduler]] = []
        self._only: Callable[[], CountingScheduler | None] = _nothing
        optimizer.register_step_post_hook(self._after)
        # If a class overrides `step` and calls the inherited one, torch runs the hooks around both:
        # the second time, nothing came before.
        steps = [each for each in type(optimizer).__mro__ if "step" in vars(each)]
        self._within = self._is_single = len(steps) <= 2  # Torch's base class has one, too.
        if not self._is_single:
            optimizer.register_step_pre_hook(self._before)

    def add(self, scheduler: CountingScheduler) -> None:
        self._schedulers = [ref(each) for each in [*self.others(scheduler), scheduler]]
        if self._is_single and len(self._schedulers) == 1:
            self._only = self._schedulers[0]
        else:
            self._only = _nothing
        self._followed |= scheduler.step_with_optimizer

    def others(self, scheduler: CountingScheduler) -> list[CountingScheduler]:
        """The other schedulers that live."""
        alive = (each() for each in self._schedulers)
        return [each for each in alive if each is not None and each is not scheduler]

    def _before(self, *_: object) -> None:
        self._within = True

    def _after(self, optimizer: Optimizer, _: object, __: object) -> None:  # *_ takes twice as long
        is_compiled = is_dynamo_compiling()
        if self._followed and (is_compiled or _compiler() is not None):
            from clr_torch._uncompiled import uncompiled

            uncompiled(self._tell, optimizer)
            return
        if is_compiled:
            self.unsure = True  # Nothing else, so that the compiled update stays as it would be.
            return
        scheduler, groups = self._only(), optimizer.param_groups
        if (  # The usual case, for which what follows takes half as long again.
            scheduler is not None
            and scheduler.step_with_optimizer
            and scheduler.last_epoch == scheduler._set_at
            and not (self.paused or scheduler._asked or hasattr(optimizer, "found_inf"))
            and len(groups) == 1
            and groups[0]["lr"] is scheduler._last_lr[0]
        ):
            scheduler._step_count += 1
            scheduler._go_to(None)
        else:
            self._tell(optimizer)

    def _tell(self, optimizer: Optimizer) -> None:
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None:
            # Whether a fused optimizer leaves out the update, its device decides.
            self.unsure = True
        if self._within and not self.paused:
            self._within = self._is_single
            for each in self._schedulers:
                scheduler = each()
                if scheduler is not None:
                    scheduler._updated(found_inf)


def _nothing() -> None:
    return None


_counters: WeakKeyDictionary[Optimizer, _Counter] = WeakKeyDictionary()


@contextmanager
def paused(optimizer: Optimizer) -> Iterator[None]:
    """Updates within this context aren't counted: they will be taken back."""
    counter = _counters.get(_with_hooks(optimizer))
    if counter is not None:
        counter.paused = True
    try:
        yield
    finally:
        if counter is not None:
            counter.paused = False


def _with_hooks(optimizer: Optimizer) -> Optimizer:
    """The optimizer that has torch's hooks: the one inside of a wrapper that doesn't call them."""
    if hasattr(optimizer, "_optimizer_step_post_hooks"):
        return optimizer
    inner = getattr(optimizer, "optimizer", None)
    return inner if isinstance(inner, Optimizer) else optimizer


def _frames() -> Iterator[FrameType]:
    """The frames that are being executed, from the innermost one outwards."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def outside() -> int:
    """The `stacklevel` of the caller's line, for a warning within a step."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in ("clr_torch", "torch"):
        frame, level = frame.f_back, level + 1
    return level


def _initializes_state() -> bool:
    """True if a distributed checkpoint makes this update, at rate 0, for the optimizer's state."""
    if _DCP not in sys.modules:
        return False
    near = islice(_frames(), 11)  # Torch's wrappers lie in between.
    return any(frame.f_globals.get("__name__") == _DCP for frame in near)


def _overflowed(optimizer: Optimizer) -> bool:
    """True if a gradient isn't finite: then a GradScaler has left out the update."""
    gradients = (each.grad for group in optimizer.param_groups for each in group["params"])
    return any(each is not None and not bool(each.isfinite().all()) for each in gradients)


def check_count_of_epochs(step: int) -> None:
    """Say if skorch starts a scheduler at its number of epochs, though it makes several updates."""
    for frame in _frames():
        if frame.f_globals.get("__name__") == "skorch.callbacks.lr_scheduler":
            callback, net = (frame.f_locals.get(name) for name in ("self", "net"))
            batches = getattr(callback, "batch_idx_", step)
            if step == len(getattr(net, "history", ())) != batches:
                warnings.warn(
                    "A step is an update, but skorch starts the scheduler at its number of epochs: "
                    f"at step {step}, after {batches} batches. Make the policy a function that "
                    "passes on last_epoch=(last_epoch + 1) * batches_per_epoch - 1.",
                    stacklevel=outside(),
                )
            return
