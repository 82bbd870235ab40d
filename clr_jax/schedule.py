"""A schedule as a function of optax's count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from clr_core import Schedule, check_schedule
from clr_core.adapter import received
from clr_jax.evaluate import evaluate

if TYPE_CHECKING:
    import optax


def cyclic_lr(schedule: Schedule) -> optax.Schedule:
    """The learning rate of a schedule as an `optax.Schedule`.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> cyclic_lr(schedule)(2)
        Array(0.5, dtype=float32)

        >>> import optax
        >>> optimizer = optax.adam(cyclic_lr(schedule))

    Args:
        schedule: A `clr_core.CyclicSchedule`, whose docstring has the formula, or another schedule.

    Returns:
        A function from a count of updates (an integer of any dtype and shape, traced or not) to the
        rate for the next update: a strongly typed float32 array of the count's shape, or float64
        if `jax_enable_x64` is set. A negative count counts as 0. The function raises a TypeError
        for a count that isn't an integer.

    Raises:
        TypeError: `schedule` isn't a schedule.
    """
    check_schedule(schedule)
    return _schedule(schedule.lr)


def cyclic_momentum(schedule: Schedule) -> optax.Schedule:
    """The momentum of a schedule as an `optax.Schedule`, for `optax.inject_hyperparams`.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = optax.inject_hyperparams(optax.sgd)(
        ...     learning_rate=cyclic_lr(schedule), momentum=cyclic_momentum(schedule)
        ... )

    Args:
        schedule: A schedule with a momentum.

    Returns:
        A function from a count of updates to the momentum for the next one, as in `cyclic_lr`.

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
    return _schedule(schedule.momentum)


def _schedule(value: Callable[[Any, Any], Any]) -> optax.Schedule:
    def at(count: Any) -> jax.Array:
        # float64 if x64 is enabled, float32 otherwise.
        return evaluate(value, count, jax.dtypes.canonicalize_dtype("float64").name)

    return at
