"""The position is optax's count, which every checkpoint contains: 4 steps and 6 resumed are 10."""

import functools
import pickle

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_momentum

SCHEDULE = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.1,
    step_size_up=3,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.95,
)

OPTIMIZERS = {
    "sgd": lambda: optax.sgd(cyclic_lr(rate_only(SCHEDULE)), momentum=0.9),
    "adam": lambda: optax.adam(cyclic_lr(rate_only(SCHEDULE))),
    "momentum": lambda: optax.inject_hyperparams(optax.sgd)(
        learning_rate=cyclic_lr(SCHEDULE), momentum=cyclic_momentum(SCHEDULE)
    ),
    "micro-batches": lambda: optax.MultiSteps(optax.adam(cyclic_lr(rate_only(SCHEDULE))), 2),
}


def predict(params, x):
    return jnp.tanh(x @ params["a"]) @ params["b"]


@functools.cache  # A state is immutable; a new optimizer would be compiled again.
def start(make):
    keys = jax.random.split(jax.random.key(0))
    params = {"a": jax.random.normal(keys[0], (4, 8)), "b": jax.random.normal(keys[1], (8,))}
    return TrainState.create(apply_fn=predict, params=params, tx=make())


@jax.jit
def step(state, x):
    def loss(params):
        return ((state.apply_fn(params, x) - x.sum(1)) ** 2).mean()

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


def run(state, first, last):
    for number in range(first, last):
        state = step(state, jax.random.normal(jax.random.key(number), (16, 4)))
    return state


def through_flax(state, fresh):
    return flax.serialization.from_bytes(fresh, flax.serialization.to_bytes(state))


def through_a_state_dict(state, fresh):
    return flax.serialization.from_state_dict(fresh, flax.serialization.to_state_dict(state))


def through_pickle(state, fresh):
    saved = pickle.loads(pickle.dumps((state.step, state.params, state.opt_state)))
    return fresh.replace(step=saved[0], params=saved[1], opt_state=saved[2])


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(
    "through", [through_flax, through_a_state_dict, through_pickle], ids=lambda each: each.__name__
)
def test_bit_for_bit(make, through):
    straight = run(start(make), 0, 10)
    stopped = run(start(make), 0, 4)
    resumed = run(through(stopped, start(make)), 4, 10)
    assert resumed.step == straight.step == 10
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(straight), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    moved = np.asarray(straight.params["a"] != stopped.params["a"])
    assert moved.all()
