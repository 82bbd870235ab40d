"""A schedule as a torch scheduler: `step` is `last_epoch`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, Self

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.optim import Optimizer

from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import check_schedule, count, integer, number, received
from clr_torch import foreign, state, updates
from clr_torch._lookahead import Table
from clr_torch.param_groups import (
    check_optimizer,
    has_value,
    is_cycled,
    lrs,
    momentum_keys,
    separate,
    write,
)

BOUNDARIES = ("base_lr", "max_lr", "base_momentum", "max_momentum")
OWN_ATTRIBUTES = {
    *("optimizer", "last_epoch", "verbose", "_step_count", "_last_lr", "_is_initial"),
    *("_get_lr_called_within_step", "_schedules", "_table", "_groups", "_seen", "_momentum_key"),
    *("_lists", "_keys", "_last_momentum", "_zeros", "_set_at", "step_with_optimizer", "_since"),
    *("_composed", "_settled", "_told_of_rate", "_idle_at", "_never"),
    *("_deviation", "_asked_at", "_asked", "_crowded"),
}
"""What these classes and torch's base class keep in a scheduler; all else is a derived class's."""


class ScheduledLR(updates.CountingScheduler):
    """Sets the learning rate and momentum of each parameter group to those of its schedule.

        rate(k) = schedule.lr(k)    momentum(k) = schedule.momentum(k)

    for the update that `k` updates came before, in float64. Call `step()` after each
    `optimizer.step()`, once per batch and not per epoch. `CyclicLR` is the same with the arguments
    of torch's class in place of a schedule.

        >>> import torch
        >>> from clr_core import one_cycle
        >>> schedule = one_cycle(
        ...     max_lr=0.5, total_steps=10, pct_start=0.2, base_momentum=0.85, max_momentum=0.95
        ... )
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([weights], momentum=0.95)
        >>> scheduler = ScheduledLR(optimizer, schedule)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr(), scheduler.get_last_momentum()
        ([0.5], [0.85])

    The rate is a Python float in `group["lr"]`; if the optimizer was given a tensor, that tensor is
    filled in place and stays the same object. The momentum of a group is scheduled if its schedule
    has one: it goes into `group["momentum"]`, or replaces the first of `group["betas"]`.

    Args:
        optimizer: The optimizer whose parameter groups the scheduler writes into.
        schedule: A schedule of any kind, or a list with one per parameter group.
        last_epoch: The number of updates done, less one; -1 for a fresh start. The next update uses
            the rate of step `last_epoch + 1`.
        momentum_key: The key of the momentum in the groups, if it is neither "momentum" nor
            "betas", or the other one of both.
        step_with_optimizer: Advance with each update that the optimizer makes. Then `step()` may be
            called by anyone, any number of times, or never: it sets the rate that is set already.
            The attribute of the same name turns it on and off.

    Raises:
        TypeError, ValueError: Not a schedule, not one per group, or a momentum for an optimizer
            that has none or whose momentum is 0. In that case nothing in the optimizer has changed.

    Warns:
        UserWarning: A momentum (or beta1) is 0 in a state that the optimizer has loaded, and stays
            0.
        UserWarning: Once in each case: the optimizer made no update or several since the last
            `step()`; or it made one with a rate that something else has written.

    References:
        https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
        *,
        momentum_key: str | None = None,
        step_with_optimizer: bool = False,
    ) -> None:
        _check_optimizer(optimizer)
        schedules = _per_group("schedule", schedule, len(optimizer.param_groups))
        for each in schedules:
            check_schedule(each)
        self._start(
            optimizer, schedules, last_epoch, momentum_key, step_with_optimizer, strict=True
        )

    def _start(
        self,
        optimizer: Optimizer,
        schedules: Sequence[Schedule],
        last_epoch: int,
        momentum_key: str | None,
        step_with_optimizer: bool,
        *,
        strict: bool = False,
    ) -> None:
        last_epoch = integer("last_epoch", last_epoch)
        if last_epoch < -1:
            raise ValueError(
                "`last_epoch` must be at least -1, for a fresh start. "
                f"{received('last_epoch', last_epoch)}"
            )
        if momentum_key is not None and not isinstance(momentum_key, str):
            raise TypeError(
                f"`momentum_key` must be text or None. {received('momentum_key', momentum_key)}"
            )
        keys = momentum_keys(optimizer, schedules, momentum_key)
        zeros = _zeros(optimizer, keys, schedules, last_epoch + 1)
        if zeros and strict:
            raise ValueError(
                "`optimizer` must have a momentum (or beta1) above 0 for it to be cycled. "
                f"Received: 0 in group {min(zeros)}. Create it with one that the schedule has."
            )
        first = [schedule.lr(0) for schedule in schedules]
        self._follow(schedules)
        self._table.at(last_epoch + 1)  # Raises what the first update would raise.
        if zeros:
            warnings.warn(
                "A momentum (or beta1) of 0 isn't cycled and stays 0, although torch would "
                "switch it on. Pass cycle_momentum=False, or give the optimizer a momentum.",
                stacklevel=updates.outside(),
            )
        if momentum_key is not None and not any(keys):
            warnings.warn(
                "`momentum_key` is ignored: the momentum isn't cycled. "
                f"{received('momentum_key', momentum_key)}",
                stacklevel=updates.outside(),
            )
        if last_epoch >= 0:
            updates.check_count_of_epochs(last_epoch + 1)
        self._count_updates(optimizer, step_with_optimizer, last_epoch + 1)
        self._momentum_key = momentum_key
        self._lists: dict[str, Any] = {}
        self._keys: Sequence[str | None] = [None] * len(schedules)
        self._last_momentum: Sequence[float | None] = [None] * len(schedules)
        self._zeros: Mapping[int, str] = {}
        self._set_at: int | None = None
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            # Torch's base class asks for it, and SequentialLR returns to it.
            group.setdefault("initial_lr", lr)
        if last_epoch == -1 and self._has_own_get_lr():
            # It may go by the rate before, or leave the momentum alone, which torch's class sets.
            separate(optimizer.param_groups, keys)
            used = [None if index in zeros else key for index, key in enumerate(keys)]
            write(optimizer.param_groups, used, first, [each.momentum(0) for each in schedules])
        super().__init__(optimizer, last_epoch)

    def _follow(self, schedules: Sequence[Schedule]) -> None:
        # Groups with equal schedules share one, which is evaluated once per step.
        self._schedules = tuple(schedules[schedules.index(schedule)] for schedule in schedules)
        self._table = Table(self._schedules)
        self._groups: list[dict[str, Any]] | None = None

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The schedule of each parameter group."""
        self._take_over()
        return self._schedules

    @property
    def base_lrs(self) -> Any:
        """The rate of each group at step 0."""
        return tuple(schedule.lr(0) for schedule in self._schedules)

    @base_lrs.setter
    def base_lrs(self, values: Any) -> None:
        if hasattr(self, "last_epoch"):  # Otherwise it is torch's base class, in its constructor.
            raise AttributeError(
                "`base_lrs` must stay as it is, since the rates are those of the schedule. Make a "
                f"new scheduler with last_epoch={self.last_epoch - 1}. "
                f"{received('base_lrs', values)}"
            )

    def _take_over(self) -> None:
        """Follow what was written into the lists of torch's class, which `CyclicLR` has."""

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at `last_epoch`, as floats.

        Within a step, it sets the momentum, as torch's class does; otherwise it changes nothing.
        """
        self._take_over()
        step = max(self.last_epoch, 0)
        rates, momenta = self._table.at(step)
        if self._get_lr_called_within_step:
            groups = self._groups_at(step)
            write(groups, self._keys, None, momenta)
            self._last_momentum = momenta
            if not self._has_own_get_lr():  # Otherwise it may be `_go_to` that asks.
                self._is_asked()
        return [*rates]

    def _groups_at(self, step: int) -> list[dict[str, Any]]:
        """The parameter groups, in which everything can be written."""
        groups = self.optimizer.param_groups
        try:
            # Lists that hold the same objects are equal at once. Only an optimizer that makes a
            # list at each call is looked at in each step.
            seen = groups is self._groups and groups == self._seen
        except RuntimeError:  # Other objects, with tensors that can't be compared.
            seen = False
        if not seen or any(has_value(groups[index], key) for index, key in self._zeros.items()):
            self._look_at(groups, step)
        return groups

    def _look_at(self, groups: list[dict[str, Any]], step: int) -> None:
        """Find out what to write where: a state that the optimizer loads brings other dicts."""
        if len(groups) != len(self._schedules):
            more = len(groups) > len(self._schedules)
            raise ValueError(
                "The optimizer must have as many parameter groups as the scheduler was made for "
                f"({len(self._schedules)}). Received: {len(groups)} groups. "
                f"Make a new scheduler {'after `add_param_group`' if more else 'for those left'}, "
                f"with a schedule for each group and last_epoch={step - 1}."
            )
        check_optimizer(self.optimizer)
        keys = momentum_keys(self.optimizer, self._schedules, self._momentum_key)
        zeros = _zeros(self.optimizer, keys, self._schedules, step)
        lost = [index for index, key in enumerate(self._keys) if key and index in zeros]
        if lost:
            warnings.warn(
                "The momentum (or beta1) isn't cycled any more in group "
                f"{', '.join(map(str, lost))}: it is 0 in the state that the optimizer has "
                "loaded, and stays 0.",
                stacklevel=updates.outside(),
            )
        separate(groups, keys)
        self._groups, self._seen, self._zeros = groups, [*groups], zeros
        self._keys = [None if index in zeros else key for index, key in enumerate(keys)]

    def get_last_lr(self) -> list[float | Tensor]:
        """The rate last set for each group; a new tensor if the group's rate is a tensor."""
        return [
            torch.full_like(group["lr"], float(lr)) if isinstance(group.get("lr"), Tensor) else lr
            for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=False)
        ]

    def get_last_momentum(self) -> list[float | None]:
        """The momentum (or beta1) last set for each group; None if it doesn't cycle."""
        pairs = zip(self._keys, self._last_momentum, strict=False)
        return [None if key is None else momentum for key, momentum in pairs]

    def _update_lr(self, epoch: int | None = None) -> None:
        # Torch's `step()` and SequentialLR call this. A compiled function calls it uncompiled, as
        # it would have to be recompiled at each step. (If it were always disabled, a step would
        # take half as long again.)
        if is_dynamo_compiling():
            torch.compiler.disable(self._go_to)(epoch)  # type: ignore[no-untyped-call]
        else:
            self._go_to(epoch)

    def _has_own_get_lr(self) -> bool:
        """True if a derived class, or an attribute, has taken the place of the method."""
        try:  # To ask for the attributes in `vars(self)` would slow down every one of them.
            return self.get_lr.__func__ is not _GET_LR  # type: ignore[attr-defined]
        except AttributeError:
            return True

    def _go_to(self, epoch: int | None) -> None:
        if epoch is None:
            step = self.last_epoch + 1
        else:
            step, self._since = integer("epoch", epoch), 0
        groups = self.optimizer.param_groups
        try:  # What the methods below ask, written out: a call takes a tenth of a step's time.
            usual = (
                self.get_lr.__func__ is _GET_LR  # type: ignore[attr-defined]
                and groups is self._groups
                and groups == self._seen
                and not self._zeros
                and not self._lists
            )
        except (AttributeError, RuntimeError):
            usual = False
        table = self._table
        index = step - table.first
        if usual and 0 <= index < table.kept:
            rates, momenta = table.lrs[index], table.momenta[index]
        elif usual or not self._has_own_get_lr():
            self._take_over()
            rates, momenta = self._table.at(step)
            groups = self._groups_at(step)
        else:
            self._ask(step)
            return
        self.last_epoch = self._set_at = step
        self._last_lr, self._last_momentum = [*rates], momenta
        write(groups, self._keys, rates, momenta)

    def _ask(self, step: int) -> None:
        """Go to a step by the `get_lr` of a derived class."""
        before, _ = self.last_epoch, count("step", step)
        self.last_epoch, self._get_lr_called_within_step = step, True
        try:
            asked, groups = [_value(lr) for lr in self.get_lr()], self.optimizer.param_groups
            if len(asked) != len(groups):
                raise ValueError(
                    "`get_lr` must return one rate per parameter group "
                    f"({len(groups)}). Received: {len(asked)}"
                )
        except BaseException:
            self.last_epoch = before  # Torch's method leaves it changed.
            raise
        finally:
            self._get_lr_called_within_step = False
        keys = [None] * len(groups)  # As in torch's class, it is `get_lr` that sets the momentum.
        separate(groups, keys)
        write(groups, keys, asked, ())
        self._last_lr, self._set_at = asked, step

    def state_dict(self) -> dict[str, Any]:
        """A snapshot as plain data, which JSON can hold and `torch.load(weights_only=True)` loads.

        A `scale_fn` that is a Python callable is noted by its name. The attributes that a derived
        class gives to the scheduler are added as they are, as in torch's class.
        """
        last = state.plain("_last_lr", self.get_last_lr())
        attributes = self._attributes()
        return ({"attributes": attributes} if attributes else {}) | {
            "schedules": state.written(self.schedules),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "_last_lr": last,
            # False while another scheduler sets the rate, as in SequentialLR, or `last_epoch` was
            # set by hand.
            "applied": self._set_at == self.last_epoch
            and not (self._composed and last != state.plain("lr", lrs(self.optimizer))),
        }

    def _attributes(self) -> dict[str, Any]:
        """What a derived class keeps in the scheduler."""
        if type(self) in (ScheduledLR, CyclicLR):
            return {}
        return {
            name: each
            for name, each in vars(self).items()
            if name not in OWN_ATTRIBUTES and not callable(each)
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the step of a saved state, and set the optimizer to its rate and momentum.

        Args:
            state_dict: The `state_dict()` of such a scheduler, or of torch's `CyclicLR`. It isn't
                changed.

        Raises:
            TypeError, ValueError: Not such a state, or its scheduler had other parameters or
                another number of groups. In that case nothing has changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"`state_dict` must be a mapping. Received: a {type(state_dict).__name__}"
            )
        saved = foreign.read(state_dict, len(self.schedules), like=self._schedules)
        state.check_same(saved, self._schedules)
        own = self._has_own_get_lr()
        if not own:
            state.check_last_rates(saved, self._schedules)
        _, momenta = self._table.at(max(saved.last_epoch, 0))
        if saved.last_epoch < 0 or not saved.applied:
            self.last_epoch, self._last_momentum, self._set_at = saved.last_epoch, momenta, None
            self._last_lr = self._last_lr if saved.last_lr is None else [*saved.last_lr]
        elif own and saved.last_lr is not None:
            # The method isn't called again, since it may depend on the rate that it finds.
            groups = self.optimizer.param_groups
            if any(each is not None for each in self._last_momentum):  # It asks this class's, too.
                groups, self._last_momentum = self._groups_at(saved.last_epoch), momenta
            self.last_epoch = self._set_at = saved.last_epoch
            self._last_lr = [*saved.last_lr]
            write(groups, self._keys, saved.last_lr, momenta)
        else:
            self._update_lr(saved.last_epoch)
        self._step_count = saved.step_count
        self._since = updates.FIRST
        attributes = state_dict.get("attributes", state_dict)
        for name in self._attributes():
            if name in attributes:
                setattr(self, name, attributes[name])

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_table", "_groups", "_seen")  # They are computed or found out again.
        return {name: each for name, each in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._follow(self._schedules)
        self._be_told(self.optimizer)  # Copies of an optimizer have no hooks.


_GET_LR = ScheduledLR.get_lr


def _boundaries(parameter: str) -> Any:
    """A list of torch's class: a parameter of each group, also to be assigned or written into."""
    name = f"{parameter}s"

    def get(scheduler: CyclicLR) -> Any:
        if parameter not in scheduler._lists:
            values = scheduler._column(parameter)
            if None in values:
                raise AttributeError(
                    f"A scheduler whose schedules have no {parameter} has no {name}"
                )
            scheduler._lists[parameter] = values
        return scheduler._lists[parameter]

    def put(scheduler: CyclicLR, values: Any) -> None:
        if not hasattr(scheduler, "last_epoch"):
            return  # Torch's base class, in its constructor, with the `initial_lr`.
        if not isinstance(values, list | tuple):
            raise TypeError(f"`{name}` must be a list. {received(name, values)}")
        get(scheduler)  # Raises an error if there is none.
        scheduler._lists[parameter] = values

    return property(get, put, doc=f"The `{parameter}` of each group, as in torch's class.")


def _shared(name: str) -> Any:
    """An attribute of torch's class, which has one value for all groups."""

    def get(scheduler: CyclicLR) -> Any:
        schedules = scheduler.schedules
        if name == "cycle_momentum":
            return any(schedule.momentum(0) is not None for schedule in schedules)
        if name == "use_beta1":
            return "betas" in scheduler._keys
        try:
            if name == "scale_fn":
                return _alike(schedules).scale
            return foreign.shared(schedules)[name]
        except (TypeError, ValueError) as error:
            raise AttributeError(f"There isn't one `{name}` for all groups. {error}") from None

    def put(scheduler: CyclicLR, value: Any) -> None:
        raise AttributeError(
            f"`{name}` must stay as it is: torch's class ignores some changes of it. Make a new "
            f"scheduler with last_epoch={scheduler.last_epoch - 1}. {received(name, value)}"
        )

    return property(get, put, doc=f"The `{name}` of torch's class; it can't be set.")


class CyclicLR(ScheduledLR):
    """Sets the learning rate and momentum of each parameter group to a point in a cycle.

    A drop-in for `torch.optim.lr_scheduler.CyclicLR`, with the same parameters in the same order
    and the same defaults: a `ScheduledLR` of `clr_core.CyclicSchedule`, which has the formula. Call
    `step()` after each `optimizer.step()`, once per batch and not per epoch.

        >>> import torch
        >>> weights = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.9)
        >>> scheduler = CyclicLR(optimizer, base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr(), scheduler.get_last_momentum()
        ([0.5], [0.8])

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
        last_epoch, momentum_key, step_with_optimizer: See `ScheduledLR`.

    Raises:
        TypeError, ValueError: An argument is out of range (see `clr_core.CyclicSchedule`), a list
            doesn't have one value per group, or `cycle_momentum` is True for an optimizer without
            momentum. In that case nothing in the optimizer has changed.

    Warns:
        UserWarning: Another argument makes one meaningless, which torch ignores silently; or a
            momentum (or beta1) is 0, which torch would switch on and which stays 0 here.
        UserWarning: See `ScheduledLR`.

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
        *,
        momentum_key: str | None = None,
        step_with_optimizer: bool = False,
    ) -> None:
        _check_derived(type(self))
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
        self._start(optimizer, schedules, last_epoch, momentum_key, step_with_optimizer)

    @classmethod
    def from_schedule(
        cls,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
        *,
        momentum_key: str | None = None,
        step_with_optimizer: bool = False,
    ) -> Self:
        """A `ScheduledLR` that has the attributes of torch's class, too.

            >>> import torch
            >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
            >>> optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))])
            >>> CyclicLR.from_schedule(optimizer, schedule, last_epoch=1).get_last_lr()
            [0.5]

        Takes, raises and warns the same as `ScheduledLR`, which is the name for a schedule that
        isn't cyclic.
        """
        _check_derived(cls)
        scheduler = cls.__new__(cls)
        ScheduledLR.__init__(
            scheduler,
            optimizer,
            schedule,
            last_epoch,
            momentum_key=momentum_key,
            step_with_optimizer=step_with_optimizer,
        )
        return scheduler

    base_lrs = _boundaries("base_lr")
    max_lrs = _boundaries("max_lr")
    base_momentums = _boundaries("base_momentum")
    max_momentums = _boundaries("max_momentum")
    total_size = _shared("total_size")
    step_ratio = _shared("step_ratio")
    mode = _shared("mode")
    gamma = _shared("gamma")
    scale_mode = _shared("scale_mode")
    scale_fn = _shared("scale_fn")
    cycle_momentum = _shared("cycle_momentum")
    use_beta1 = _shared("use_beta1")

    def _column(self, parameter: str) -> list[Any]:
        """A parameter of each group; None if its schedule has none."""
        return [
            getattr(schedule, parameter)
            if isinstance(schedule, CyclicSchedule)
            else schedule.lr(0)
            if parameter == "base_lr"
            else None
            for schedule in self._schedules
        ]

    def _take_over(self) -> None:
        """Follow what was written into the lists of boundaries."""
        given = {
            name: [number(f"{name}s", _value(each)) for each in values]
            for name, values in self._lists.items()
        }
        changed = [name for name, values in given.items() if values != self._column(name)]
        if not changed:
            return
        if not all(isinstance(each, CyclicSchedule) for each in self._schedules):
            raise TypeError(
                f"`{changed[0]}s` must stay as it is unless each schedule is a CyclicSchedule. "
                "Make a new scheduler from other schedules."
            )
        groups = len(self.optimizer.param_groups)
        schedules: tuple[Any, ...] = self._schedules
        columns = {name: given.get(name, self._column(name)) for name in BOUNDARIES}
        for name, values in columns.items():
            if len(values) != groups and None not in values:
                raise ValueError(
                    f"`{name}s` must have one value per parameter group ({groups}). "
                    f"Received: {len(values)}"
                )
        if groups != len(schedules):
            schedules = (_alike(schedules),) * groups
        self._follow(
            [
                replace(schedule, **{name: values[index] for name, values in given.items()})
                for index, schedule in enumerate(schedules)
            ]
        )


def _check_derived(cls: type[CyclicLR]) -> None:
    if cls.scale_fn is not CyclicLR.scale_fn:
        raise TypeError(
            "`scale_fn` must not be a method of a derived class. "
            f"Received: {cls.__name__}. Pass the function as the argument `scale_fn`."
        )


def _check_optimizer(optimizer: Any) -> None:
    check_optimizer(optimizer)
    # Torch's base class wraps the method, unless it is wrapped already, and finds it by these.
    if not any(hasattr(optimizer.step, name) for name in ("__func__", "_wrapped_by_lr_sched")):
        raise ValueError(
            "`optimizer.step` must be a method. "
            f"{' '.join(received('optimizer.step', optimizer.step).split())}. "
            "Make the scheduler first, then compile or replace the step."
        )


def _zeros(
    optimizer: Optimizer, keys: Sequence[str | None], schedules: Sequence[Schedule], step: int
) -> dict[int, str]:
    """The groups whose momentum is to stay 0, and its key there."""
    return {
        index: key
        for index, key in enumerate(keys)
        if key is not None and not is_cycled(optimizer, index, key, schedules[index], step)
    }


def _alike(schedules: Sequence[Any]) -> Any:
    """One of the schedules, which may differ in their boundaries only."""
    same = dict.fromkeys(BOUNDARIES) | {"base_lr": 0.0, "max_lr": 1.0}
    if len({replace(each, **same) for each in schedules}) > 1:
        raise ValueError(
            "The groups must have the same cycle for another group to be given boundaries. "
            f"Make a new scheduler. {received('schedules', schedules)}"
        )
    return schedules[0]


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
