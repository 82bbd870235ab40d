"""Schedules in optax's optimizers: the rate that an update used is how far a parameter moved."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from clr_core import CyclicSchedule
from clr_jax import cyclic_lr

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=3, step_size_down=5)
OTHER = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, mode="triangular2")
STEPS = 20


def rates(schedule, steps=range(STEPS)):
    return np.array([schedule.lr(step) for step in steps], np.float32)


def test_a_chain_that_scans(same_bits):
    optimizer = optax.chain(
        optax.clip_by_global_norm(2.0),
        optax.scale_by_schedule(cyclic_lr(SCHEDULE)),
        optax.scale(-1),
    )

    def step(state, _):
        update, state = optimizer.update(-jnp.ones(()), state)
        return state, update

    _, seen = jax.lax.scan(step, optimizer.init(jnp.zeros(())), length=STEPS)
    same_bits(seen, rates(SCHEDULE))


def test_join_schedules(same_bits):
    # It evaluates every schedule at `count - boundary`, at first a negative one.
    warm_up = optax.linear_schedule(0.0, 0.001, 5)
    joined = optax.join_schedules([warm_up, cyclic_lr(SCHEDULE), cyclic_lr(OTHER)], [5, 12])
    optimizer = optax.sgd(joined)
    state, seen = optimizer.init(jnp.zeros(())), []
    step = jax.jit(optimizer.update)
    for _ in range(STEPS):
        update, state = step(-jnp.ones(()), state)
        seen.append(update)
    np.testing.assert_allclose(seen[:5], [warm_up(count) for count in range(5)], rtol=1e-6)
    same_bits(seen[5:12], rates(SCHEDULE, range(7)))
    same_bits(seen[12:], rates(OTHER, range(8)))


def test_a_skipped_update_does_not_count(same_bits):
    optimizer = optax.apply_if_finite(optax.sgd(cyclic_lr(SCHEDULE)), max_consecutive_errors=9)
    state, seen = optimizer.init(jnp.zeros(())), []
    step = jax.jit(optimizer.update)
    for count in range(12):
        update, state = step(jnp.float32(jnp.nan if count % 3 == 1 else -1), state)
        if count % 3 != 1:
            seen.append(update)
    same_bits(seen, rates(SCHEDULE, range(8)))
