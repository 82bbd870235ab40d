"""Types of `clr_jax`'s names, checked by mypy and never run."""

from typing import assert_type

import jax
import optax

from clr_core import CyclicSchedule, one_cycle
from clr_jax import (
    current_lr,
    current_momentum,
    cyclic_optimizer,
    schedule_counts,
    scheduled_lr,
    set_step,
)

schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006)
optimizer = cyclic_optimizer(optax.adamw, schedule, weight_decay=0.01)
state = (1, {"a": 2.0})
assert_type(set_step(state, 3), tuple[int, dict[str, float]])
assert_type(schedule_counts(state), dict[str, jax.Array])
assert_type(current_lr(state), jax.Array)
assert_type(current_momentum(state), jax.Array)
optax.adam(scheduled_lr(one_cycle(0.1, 9)))
scheduled_lr(base_lr=0.1)  # type: ignore[call-arg]
cyclic_optimizer(optax.adamw, 0.1)  # type: ignore[arg-type]
