"""A schedule as a torch scheduler: `step` is `last_epoch`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, Self

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import check_schedule, integer
from clr_torch import foreign, state
from clr_torch._lookahead import Table
from clr_torch.param_groups import check_momentum, has_momentum, lrs, separate, write


class CyclicLR(LRScheduler):
    """Sets the learning rate and momentum of each parameter group to a point in a cycle.

    A drop-in for `torch.optim.lr_scheduler.CyclicLR`, with the same parameters in the same order
    and the same defaults; `clr_core.CyclicSchedule` has the formula. Call `step()` after each
    `optimizer.step()`, once per batch and not per epoch.

        >>> import torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.9)
        >>> scheduler = CyclicLR(optimizer, base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr(), scheduler.get_last_momentum()
        ([0.5], [0.8])

    The rate is a Python float in `group["lr"]`; if the optimizer was given a tensor, that tensor is
    filled in place and stays the same object. Momentum goes into `group["momentum"]`, or replaces
    the first of `group["betas"]`.

    Args:
        optimizer: The optimizer whose parameter groups the scheduler writes into.
        base_lr: Lower boundary: a number, a tensor with one value, or a list of these with one per
            parameter group.
        max_lr: Upper boundary, in the same forms.
        step_size_up: Steps (updates) in the rising half; may be fractional.
        step_size_down: Steps in the falling half; None: the same as `step_size_up`.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: Factor per step in "exp_range".
        scale_fn: A custom decay in place of `mode`: a callable, or an expression such as
            "1 / 2 ** (x - 1)", which is saved with the scheduler.
        scale_mode: The argument of `scale_fn`: the number of the "cycle", counted from 1, or the
            step ("iterations"), counted from 0.
        cycle_momentum: If True, momentum cycles too, inversely to the rate.
        base_momentum: Momentum at `max_lr`: a number, or a list with one per group.
        max_momentum: Momentum at `base_lr`, in the same forms.
        last_epoch: The number of updates done, less one; -1 for a fresh start. The next update uses
            the rate of step `last_epoch + 1`.

    Raises:
        TypeError, ValueError: An argument is out of range (see `clr_core.CyclicSchedule`), a list
            doesn't have one value per group, or `cycle_momentum` is True for an optimizer without
            momentum. In that case nothing in the optimizer has changed.

    Warns:
        UserWarning: Another argument makes one meaningless, which torch ignores silently; or a
            momentum (or beta1) is 0, which torch would switch on and which stays 0 here.

    References:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Tensor | Sequence[float | Tensor],
        max_lr: float | Tensor | Sequence[float | Tensor],
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[Any], Any] | str | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(optimizer)
        decay: dict[str, Any] = {"mode": mode, "gamma": gamma, "scale_mode": scale_mode}
        momenta = {"base_momentum": base_momentum, "max_momentum": max_momentum}
        _drop_meaningless(decay, momenta, scale_fn, cycle_momentum)
        columns = {
            name: _per_group(name, value, len(optimizer.param_groups))
            for name, value in {"base_lr": base_lr, "max_lr": max_lr, **momenta}.items()
        }
        schedules = [
            CyclicSchedule(
                step_size_up=_value(step_size_up),
                step_size_down=_value(step_size_down),
                scale_fn=scale_fn,
                **decay,
                **dict(zip(columns, row, strict=True)),
            )
            for row in zip(*columns.values(), strict=True)
        ]
        if cycle_momentum:
            check_momentum(optimizer)
            if not all(map(has_momentum, optimizer.param_groups)):
                warnings.warn(
                    "A momentum (or beta1) of 0 isn't cycled and stays 0, although torch would "
                    "switch it on. Pass cycle_momentum=False, or give the optimizer a momentum.",
                    stacklevel=2,
                )
        self._start(optimizer, schedules, last_epoch)

    @classmethod
    def from_schedule(
        cls,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
    ) -> Self:
        """A scheduler that follows `schedule`: one for all parameter groups, or one per group.

            >>> import torch
            >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
            >>> optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))])
            >>> CyclicLR.from_schedule(optimizer, schedule, last_epoch=1).get_last_lr()
            [0.5]

        The momentum of a group cycles if its schedule has one.

        Args:
            optimizer: The optimizer whose parameter groups the scheduler writes into.
            schedule: A schedule of any kind, or a list with one per parameter group.
            last_epoch: The number of updates done, less one; -1 for a fresh start.

        Raises:
            TypeError, ValueError: Not a schedule, not one per group, or a momentum for an optimizer
                that has none or whose momentum is 0. In that case nothing in the optimizer has
                changed.
        """
        _check_optimizer(optimizer)
        schedules = _per_group("schedule", schedule, len(optimizer.param_groups))
        for each in schedules:
            check_schedule(each)
        cycled = [each.momentum(0) is not None for each in schedules]
        if any(cycled):
            check_momentum(optimizer)
        for index, group in enumerate(optimizer.param_groups):
            if cycled[index] and not has_momentum(group):
                raise ValueError(
                    "`optimizer` must have a momentum (or beta1) above 0 for it to be cycled. "
                    f"Received: 0 in group {index}. Create it with the schedule's `max_momentum`."
                )
        scheduler = cls.__new__(cls)
        scheduler._start(optimizer, schedules, last_epoch)
        return scheduler

    def _start(self, optimizer: Optimizer, schedules: Sequence[Schedule], last_epoch: int) -> None:
        last_epoch = _last_epoch(last_epoch)
        # Groups with equal schedules share one, which is evaluated once per step.
        schedules = [schedules[schedules.index(schedule)] for schedule in schedules]
        # If its momentum is 0, the optimizer has no buffer for it, so it stays 0.
        table = Table(schedules, [has_momentum(group) for group in optimizer.param_groups])
        first, momenta = table.at(0)
        table.at(last_epoch + 1)  # Raises what the first update would raise.
        self._schedules = tuple(schedules)
        self._table = table
        separate(optimizer)
        for group, lr, momentum in zip(optimizer.param_groups, first, momenta, strict=True):
            # Torch's base class asks for it, and SequentialLR returns to it.
            group.setdefault("initial_lr", lr)
            if momentum is not None:
                group.setdefault("initial_momentum", momentum)  # See `has_momentum`.
        super().__init__(optimizer, last_epoch)
        self.base_lrs: list[float | Tensor] = [*first]

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The schedule of each parameter group."""
        return self._schedules

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at `last_epoch`, as floats. Changes nothing."""
        return [*self._table.at(max(self.last_epoch, 0))[0]]

    def get_last_lr(self) -> list[float | Tensor]:
        """The rate last set for each group; a new tensor if the group's rate is a tensor."""
        return [
            torch.full_like(group["lr"], float(lr)) if isinstance(group["lr"], Tensor) else lr
            for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=False)
        ]

    def get_last_momentum(self) -> list[float | None]:
        """The momentum (or beta1) last set for each group; None if it doesn't cycle."""
        return list(self._last_momentum)

    def _update_lr(self, epoch: int | None = None) -> None:
        # Torch's `step()` and SequentialLR call this. A compiled function calls it uncompiled, as
        # it would have to be recompiled at each step. (If it were always disabled, a step would
        # take half as long again.)
        if is_dynamo_compiling():
            torch.compiler.disable(self._go_to)(epoch)  # type: ignore[no-untyped-call]
        else:
            self._go_to(epoch)

    def _go_to(self, epoch: int | None) -> None:
        # Unlike torch's method, it computes everything before it changes anything, and doesn't set
        # momentum in `get_lr()`.
        step = self.last_epoch + 1 if epoch is None else integer("epoch", epoch)
        groups = self.optimizer.param_groups
        if len(groups) != len(self._schedules):
            raise ValueError(
                "The optimizer must have as many parameter groups as the scheduler was made for "
                f"({len(self._schedules)}). Received: {len(groups)} groups. "
                "Make a new scheduler after `add_param_group`, with one boundary per group and "
                f"last_epoch={self.last_epoch}."
            )
        rates, momenta = self._table.at(step)
        self.last_epoch = step
        self._last_momentum = momenta
        self._last_lr = [*rates]
        write(groups, rates, momenta)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot as plain data, which JSON can hold and `torch.load(weights_only=True)` loads.

        A `scale_fn` that is a Python callable is noted by its name.
        """
        last = state.plain(self.get_last_lr())
        return {
            "schedules": [state.written(schedule) for schedule in self._schedules],
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "_last_lr": last,
            # False while another scheduler sets the rate, as in SequentialLR.
            "applied": last == state.plain(lrs(self.optimizer)),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the step of a saved state, and set the optimizer to its rate and momentum.

        Args:
            state_dict: The `state_dict()` of this class or of torch's `CyclicLR`. It isn't changed.

        Raises:
            TypeError, ValueError: Not such a state, or its scheduler had other parameters or
                another number of groups. In that case nothing has changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"`state_dict` must be a mapping. Received: a {type(state_dict).__name__}"
            )
        of_torch = foreign.is_one(state_dict)
        check_same = foreign.check_same if of_torch else state.check_same
        check_same(state_dict, self._schedules)
        last_epoch = state.count(state_dict, "last_epoch", -1)
        step_count = state.count(state_dict, "_step_count", 0)
        last_lr = state.per_group(state_dict, "_last_lr", len(self._schedules))
        _, momenta = self._table.at(max(last_epoch, 0))
        if last_epoch >= 0 and state_dict.get("applied", True) is True:
            self._update_lr(last_epoch)
        else:
            self.last_epoch, self._last_lr, self._last_momentum = last_epoch, last_lr, momenta
        self._step_count = step_count


def _check_optimizer(optimizer: object) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"`optimizer` must be a torch.optim.Optimizer. Received: optimizer={optimizer!r}"
        )
    # Torch's base class wraps the method, unless it is wrapped already, and finds it by these.
    if not any(hasattr(optimizer.step, name) for name in ("__func__", "_wrapped_by_lr_sched")):
        raise ValueError(
            "`optimizer.step` must be a method. "
            f"Received: optimizer.step={optimizer.step!r}. "
            "Make the scheduler first, then compile or replace the step."
        )


def _last_epoch(given: Any) -> int:
    last_epoch = integer("last_epoch", given)
    if last_epoch < -1:
        raise ValueError(
            f"`last_epoch` must be at least -1, for a fresh start. Received: last_epoch={given!r}"
        )
    return last_epoch


def _value(number: Any) -> Any:
    return number.item() if isinstance(number, Tensor) and number.numel() == 1 else number


def _per_group(name: str, value: Any, groups: int) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [_value(value)] * groups
    if len(value) != groups:
        raise ValueError(
            f"`{name}` must be one value, or one per parameter group ({groups}). "
            f"Received: {len(value)} in {name}={value!r}"
        )
    return [_value(each) for each in value]


def _drop_meaningless(
    decay: dict[str, Any], momenta: dict[str, Any], scale_fn: object, cycle_momentum: bool
) -> None:
    """Remove, with a warning, the arguments that torch ignores without one."""
    unused = {
        "mode": scale_fn is not None and "a `scale_fn` takes its place",
        "gamma": (scale_fn is not None or decay["mode"] != "exp_range")
        and "only `mode` 'exp_range' uses it",
        "scale_mode": scale_fn is None and "only a `scale_fn` uses it",
        "base_momentum": not cycle_momentum and "`cycle_momentum` is False",
        "max_momentum": not cycle_momentum and "`cycle_momentum` is False",
    }
    parameters = signature(CyclicLR).parameters
    for arguments in (decay, momenta):
        for name, value in list(arguments.items()):
            if not unused[name]:
                continue
            del arguments[name]
            if value != parameters[name].default:
                warnings.warn(
                    f"`{name}` is ignored: {unused[name]}. Received: {name}={value!r}",
                    stacklevel=3,
                )
