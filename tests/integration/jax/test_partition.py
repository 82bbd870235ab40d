"""A schedule for each label of `optax.partition`: like torch's groups, each with its boundaries."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oracle
from clr_core import CyclicSchedule
from clr_jax import current_lr, current_momentum, cyclic_optimizer, schedule_counts, set_step

SCHEDULES = {
    "body": CyclicSchedule(
        base_lr=0.001,
        max_lr=0.006,
        step_size_up=3,
        step_size_down=5,
        base_momentum=0.8,
        max_momentum=0.95,
    ),
    "head": CyclicSchedule(
        base_lr=0.01,
        max_lr=0.06,
        step_size_up=4.5,
        mode="triangular2",
        base_momentum=0.5,
        max_momentum=0.9,
    ),
    "bias": CyclicSchedule(base_lr=0.0, max_lr=0.1, step_size_up=7, mode="exp_range", gamma=0.5),
}
FACTORIES = {"body": optax.adam, "head": optax.sgd, "bias": optax.sgd}
LABELS = {"embedding": "body", "hidden": {"kernel": "body", "bias": "bias"}, "last": "head"}
WEIGHTS = {
    "embedding": np.ones((3, 2), np.float32),
    "hidden": {"kernel": np.ones(2, np.float32), "bias": np.float32(1.0)},
    "last": np.ones((2, 2), np.float32),
}


@pytest.fixture(params=["partition", "multi_transform"])
def optimizer(request):
    parts = {
        label: cyclic_optimizer(FACTORIES[label], schedule) for label, schedule in SCHEDULES.items()
    }
    return getattr(optax, request.param)(parts, LABELS)


def used(optimizer, state, count):
    """The states after each of `count` updates, stacked along a first axis."""

    def step(carry, _):
        weights, state = carry
        updates, state = optimizer.update(jax.tree.map(jnp.cos, weights), state, weights)
        return (optax.apply_updates(weights, updates), state), state

    return jax.jit(lambda state: jax.lax.scan(step, (WEIGHTS, state), length=count)[1])(state)


def check(states, first, count):
    """Each label used the oracle's rates and momenta of the steps from `first` on, to the bit."""
    for label, schedule in SCHEDULES.items():
        part, document = states.inner_states[label], schedule.to_dict()
        steps = range(first, first + count)
        rates = [oracle.to_float32(oracle.lr(document, step)) for step in steps]
        assert current_lr(part).tolist() == rates, label
        if schedule.max_momentum is not None:
            momenta = [oracle.to_float32(oracle.momentum(document, step)) for step in steps]
            assert current_momentum(part).tolist() == momenta, label


def test_each_label_has_rates_and_momenta_of_its_own(optimizer):
    check(used(optimizer, optimizer.init(WEIGHTS), 40), 0, 40)


@pytest.mark.parametrize("step", [0, 4, 1000, 2**24 + 1])
def test_the_step_of_all_is_set(optimizer, step):
    states = used(optimizer, optimizer.init(WEIGHTS), 5)
    state = jax.tree.map(lambda each: each[-1], states)
    moved = set_step(state, step)
    assert len(schedule_counts(moved)) == 8  # A count each, and one for each rate and momentum.
    assert {int(count) for count in schedule_counts(moved).values()} == {step}
    check(used(optimizer, moved, 10), step, 10)


def test_the_step_of_one_label_is_set(optimizer):
    state = optimizer.init(WEIGHTS)
    parts = state.inner_states | {"head": set_step(state.inner_states["head"], 3)}
    part = used(optimizer, state._replace(inner_states=parts), 1).inner_states
    assert current_lr(part["head"])[0] == np.float32(SCHEDULES["head"].lr(3))
    assert current_lr(part["body"])[0] == np.float32(SCHEDULES["body"].lr(0))
