"""The cyclical schedule as functions of optax's count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from clr_core import CyclicSchedule, check_schedule
from clr_jax import ops

if TYPE_CHECKING:
    import optax


def cyclic_lr(schedule: CyclicSchedule) -> optax.Schedule:
    """The learning rate of `schedule` as an `optax.Schedule`.

    Args:
        schedule: A `clr_core.CyclicSchedule`; see there for the formula.

    Returns:
        A function from a count of updates (an integer of any dtype and shape, traced or not) to the
        rate for the next update: a strongly typed float32 array of the count's shape, or float64
        where `jax_enable_x64` is set. A negative count counts as 0. Raises TypeError for a count
        that isn't an integer.

    Examples:
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> cyclic_lr(schedule)(2)
        Array(0.5, dtype=float32)

        >>> import optax
        >>> optimizer = optax.adam(cyclic_lr(schedule))
    """
    check_schedule(schedule)
    return _schedule(schedule.lr)


def cyclic_momentum(schedule: CyclicSchedule) -> optax.Schedule:
    """The momentum of `schedule` as an `optax.Schedule`, for `optax.inject_hyperparams`.

    Args and returns as `cyclic_lr`; raises ValueError where the schedule has no momentum.

    Examples:
        >>> import optax
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = optax.inject_hyperparams(optax.sgd)(
        ...     learning_rate=cyclic_lr(schedule), momentum=cyclic_momentum(schedule)
        ... )
    """
    check_schedule(schedule)
    if schedule.momentum(0) is None:
        raise ValueError(
            "`schedule` must have a `base_momentum` and a `max_momentum`. "
            f"Received: schedule={schedule!r}"
        )
    return _schedule(schedule.momentum)


def _schedule(curve: Callable[[Any, Any], Any]) -> optax.Schedule:
    def rate(count: Any) -> jax.Array:
        # float64 where x64 is enabled, float32 elsewhere.
        return ops.evaluate(curve, count, jax.dtypes.canonicalize_dtype("float64").name)

    return rate
