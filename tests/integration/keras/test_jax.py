"""Features of JAX alone: its transformations, and x64."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import SCHEDULES, TRIANGULAR2, UPDATES, assert_same, at

STEPS = np.arange(UPDATES, dtype="int32")
TRANSFORMATIONS = {
    "jit": jax.jit,
    "vmap": jax.vmap,
    "scan": lambda rate: (
        lambda steps: jax.lax.scan(lambda _, step: (None, rate(step)), None, steps)[1]
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("transformed", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
def test_transformations(transformed, schedule):
    assert_same(transformed(CyclicLR(schedule))(jnp.asarray(STEPS)), at(schedule))


def test_strongly_typed_and_nothing_of_x64_leaks():
    rate = CyclicLR(TRIANGULAR2)(jnp.asarray(STEPS))
    assert (rate.dtype, rate.weak_type) == (jnp.float32, False)
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_float32_under_a_global_x64():
    with jax.enable_x64(True):
        for step in (3, STEPS, jnp.asarray(3), keras.Variable(3, dtype="int64", trainable=False)):
            assert CyclicLR(TRIANGULAR2)(step).dtype == jnp.float32
