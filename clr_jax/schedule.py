"""A schedule as a function of optax's count."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Required, Unpack

import jax

from clr_core import CyclicSchedule, Schedule, check_schedule
from clr_core.adapter import lowest_lr, received
from clr_core.range_finding.result import ScheduleOptions
from clr_jax.evaluate import evaluate

if TYPE_CHECKING:
    import optax


class Parameters(ScheduleOptions, total=False):
    """The arguments of a `CyclicSchedule`."""

    base_lr: Required[float]
    max_lr: Required[float]
    step_size_up: float
    step_size_down: float | None


def scheduled_lr(schedule: Schedule, /) -> optax.Schedule:
    """The learning rate of a schedule of any kind as an `optax.Schedule`.

        rate(k) = float32(schedule.lr(k))

    for the update that `k` updates came before: computed in float64 and rounded once. A momentum of
    the schedule isn't in it: `scheduled_momentum` gives that, and `scheduled_optimizer` schedules
    both. Alone, as here, the optimizer's momentum stays constant.

        >>> import optax
        >>> from clr_core import one_cycle
        >>> rate = scheduled_lr(one_cycle(max_lr=0.5, total_steps=10, pct_start=0.2))
        >>> rate(2)
        Array(0.5, dtype=float32)
        >>> optimizer = optax.adam(rate)

    Args:
        schedule: The schedule: of `clr_core`, or any other with `lr` and `momentum`.

    Returns:
        A function from a count of updates (an integer of any dtype and shape, traced or not) to the
        rate for the next update: a strongly typed float32 array of the count's shape, or float64
        if `jax_enable_x64` is set. A negative count counts as 0. A float is taken if it is whole; a
        traced one is rounded down. The function raises a TypeError for a count that isn't a number,
        and a ValueError for a fraction.

    Raises:
        TypeError: `schedule` isn't a schedule.

    References:
        https://optax.readthedocs.io/en/latest/api/optimizer_schedules.html
    """
    check_schedule(schedule)
    return _schedule(schedule.lr, lowest_lr(schedule))


def cyclic_lr(
    schedule: Schedule | None = None, /, **parameters: Unpack[Parameters]
) -> optax.Schedule:
    """The `scheduled_lr` of a `CyclicSchedule`, also by its arguments.

        >>> rate = cyclic_lr(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> rate(2)
        Array(0.5, dtype=float32)

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = optax.adam(cyclic_lr(schedule))

    Args:
        schedule: A `clr_core.CyclicSchedule`, whose docstring has the formula, or another schedule.
        **parameters: Those of a `CyclicSchedule`, in place of a schedule.

    Returns:
        A function, as in `scheduled_lr`.

    Raises:
        TypeError: `schedule` isn't a schedule, both it and parameters are given, or a parameter is
            unknown or has the wrong type.
        ValueError: A parameter is out of range.

    Warns:
        UserWarning: `base_momentum` and `max_momentum` are among the parameters.
    """
    made = _given(schedule, parameters)
    if schedule is None and made.momentum(0) is not None:
        warnings.warn(
            "`base_momentum` and `max_momentum` have no effect in cyclic_lr, which gives the rate "
            "alone: leave them out of it. To schedule both, make a CyclicSchedule and pass it to "
            "clr_jax.cyclic_optimizer(factory, schedule), or to cyclic_lr and cyclic_momentum.",
            stacklevel=2,
        )
    return scheduled_lr(made)


def scheduled_momentum(schedule: Schedule, /) -> optax.Schedule:
    """The momentum of a schedule of any kind, for `optax.inject_hyperparams`.

        >>> import optax
        >>> from clr_core import one_cycle
        >>> schedule = one_cycle(
        ...     max_lr=0.5, total_steps=10, pct_start=0.2, base_momentum=0.85, max_momentum=0.95
        ... )
        >>> optimizer = optax.inject_hyperparams(optax.sgd)(
        ...     learning_rate=scheduled_lr(schedule), momentum=scheduled_momentum(schedule)
        ... )

    Args:
        schedule: A schedule with a momentum.

    Returns:
        A function from a count of updates to the momentum for the next one, as in `scheduled_lr`.

    Raises:
        TypeError: `schedule` isn't a schedule.
        ValueError: It has no momentum.
    """
    check_schedule(schedule)
    if schedule.momentum(0) is None:
        raise ValueError(
            "`schedule` must have a momentum (in CyclicSchedule: `base_momentum`, `max_momentum`). "
            f"{received('schedule', schedule)}"
        )
    return _schedule(schedule.momentum, 0.0)


def cyclic_momentum(
    schedule: Schedule | None = None, /, **parameters: Unpack[Parameters]
) -> optax.Schedule:
    """The `scheduled_momentum` of a `CyclicSchedule`, also by its arguments.

        >>> momentum = cyclic_momentum(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> momentum(2)
        Array(0.8, dtype=float32)

    Takes and raises the same as `cyclic_lr`; a ValueError, too, if there is no momentum.
    """
    return scheduled_momentum(_given(schedule, parameters))


def _given(schedule: Any, parameters: Any) -> Schedule:
    if parameters:
        if schedule is not None:
            raise TypeError(
                f"`{next(iter(parameters))}` must be left out beside a schedule, which has its own "
                f"parameters. {received('schedule', schedule)}"
            )
        return CyclicSchedule(**parameters)
    check_schedule(schedule)
    given: Schedule = schedule
    return given


def _schedule(value: Callable[[Any, Any], Any], lowest: float) -> optax.Schedule:
    def at(count: Any) -> jax.Array:
        # float64 if x64 is enabled, float32 otherwise.
        return evaluate(value, count, jax.dtypes.canonicalize_dtype("float64").name, lowest)

    return at
