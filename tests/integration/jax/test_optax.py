"""Schedules in optax's optimizers: the rate that an update used is how far a parameter moved."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_momentum

SCHEDULE = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.006,
    step_size_up=3,
    step_size_down=5,
    base_momentum=0.8,
    max_momentum=0.95,
)
OTHER = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, mode="triangular2")
STEPS = 20


def updates(optimizer, count=STEPS, grads=None, dtype=jnp.float32):
    """The updates of `count` steps of gradient -1: for plain SGD, the rates that they used."""
    params = jnp.zeros((), dtype) if grads is None else grads
    grads = jnp.full((), -1, dtype) if grads is None else grads

    @jax.jit
    def step(state):
        update, state = optimizer.update(grads, state, params)
        return state, update

    state, seen = optimizer.init(params), []
    for _ in range(count):
        state, update = step(state)
        seen.append(update)
    return seen, state


def rates(schedule, steps=range(STEPS)):
    return np.array([schedule.lr(step) for step in steps], np.float32)


def momenta(schedule, steps=range(STEPS)):
    return np.array([schedule.momentum(step) for step in steps], np.float32)


def test_sgd(same_bits):
    seen, _ = updates(optax.sgd(cyclic_lr(rate_only(SCHEDULE))))
    same_bits(seen, rates(SCHEDULE))


def test_a_chain_that_scans(same_bits):
    optimizer = optax.chain(
        optax.clip_by_global_norm(2.0),
        optax.scale_by_schedule(cyclic_lr(rate_only(SCHEDULE))),
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
    joined = optax.join_schedules(
        [warm_up, cyclic_lr(rate_only(SCHEDULE)), cyclic_lr(OTHER)], [5, 12]
    )
    seen, _ = updates(optax.sgd(joined))
    np.testing.assert_allclose(seen[:5], [warm_up(count) for count in range(5)], rtol=1e-6)
    same_bits(seen[5:12], rates(SCHEDULE, range(7)))
    same_bits(seen[12:], rates(OTHER, range(8)))


def test_inject_hyperparams(same_bits):
    optimizer = optax.inject_hyperparams(optax.sgd)(
        learning_rate=cyclic_lr(SCHEDULE), momentum=cyclic_momentum(SCHEDULE)
    )
    state = optimizer.init(jnp.zeros(()))
    step = jax.jit(lambda state: optimizer.update(-jnp.ones(()), state)[1])
    seen = []
    for _ in range(STEPS):
        state = step(state)
        seen.append(state.hyperparams)
    same_bits([each["learning_rate"] for each in seen], rates(SCHEDULE))
    same_bits([each["momentum"] for each in seen], momenta(SCHEDULE))


def test_injected_into_a_bfloat16_training(same_bits):
    # A weakly typed rate would be rounded to the parameters' bfloat16.
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=cyclic_lr(rate_only(SCHEDULE)))
    _, state = updates(optimizer, count=3, dtype=jnp.bfloat16)
    same_bits(state.hyperparams["learning_rate"], rates(SCHEDULE)[2])


def test_multi_steps_counts_updates_and_not_micro_batches(same_bits):
    optimizer = optax.MultiSteps(optax.sgd(cyclic_lr(rate_only(SCHEDULE))), every_k_schedule=3)
    seen, _ = updates(optimizer, count=3 * 6)
    same_bits(seen[2::3], rates(SCHEDULE, range(6)))
    assert not np.any([seen[0::3], seen[1::3]])


@pytest.mark.parametrize("how", ["partition", "multi_transform"])
def test_a_schedule_per_group_of_parameters(how, same_bits):
    optimizer = getattr(optax, how)(
        {"slow": optax.sgd(cyclic_lr(rate_only(SCHEDULE))), "quick": optax.sgd(cyclic_lr(OTHER))},
        {"kernel": "slow", "bias": "quick"},
    )
    grads = {"kernel": -jnp.ones(()), "bias": -jnp.ones(())}
    seen, _ = updates(optimizer, grads=grads)
    same_bits([each["kernel"] for each in seen], rates(SCHEDULE))
    same_bits([each["bias"] for each in seen], rates(OTHER))


def test_a_masked_schedule(same_bits):
    optimizer = optax.masked(optax.sgd(cyclic_lr(rate_only(SCHEDULE))), {"a": True, "b": False})
    grads = {"a": -jnp.ones(()), "b": -jnp.ones(())}
    seen, _ = updates(optimizer, grads=grads)
    same_bits([each["a"] for each in seen], rates(SCHEDULE))
    assert {float(each["b"]) for each in seen} == {-1.0}


def test_a_skipped_update_does_not_count(same_bits):
    optimizer = optax.apply_if_finite(
        optax.sgd(cyclic_lr(rate_only(SCHEDULE))), max_consecutive_errors=9
    )
    state, seen = optimizer.init(jnp.zeros(())), []
    step = jax.jit(optimizer.update)
    for count in range(12):
        update, state = step(jnp.float32(jnp.nan if count % 3 == 1 else -1), state)
        if count % 3 != 1:
            seen.append(update)
    same_bits(seen, rates(SCHEDULE, range(8)))


def test_is_a_plain_function():
    # optax takes an object with both `init` and `update` for a StatefulSchedule.
    for schedule in (cyclic_lr(SCHEDULE), cyclic_momentum(SCHEDULE)):
        assert callable(schedule)
        assert not isinstance(schedule, optax.schedules.StatefulSchedule)
