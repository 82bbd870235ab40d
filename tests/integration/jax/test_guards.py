"""Guards keep XLA and LLVM from changing the arithmetic: without them some float64 bits differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import guards
from clr_core import numpy_ops
from clr_jax import ops
from clr_jax.evaluate import evaluate


def differing(schedule, expected):
    with jax.enable_x64(True):
        rate = jax.jit(lambda count: evaluate(schedule.lr, count, "float64"))
        given = rate(jnp.arange(guards.STEPS, dtype=jnp.int32))
    return np.count_nonzero(np.asarray(given) != expected)


@pytest.mark.parametrize("guard", guards.GUARDS)
def test_each_guard_is_needed(guard):
    schedule = guards.GUARDS[guard][1]()
    expected = schedule.lr(np.arange(guards.STEPS))
    assert differing(schedule, expected) == 0
    with guards.without(guard, ops) as unguarded:
        assert differing(unguarded, expected) > 100


@pytest.mark.parametrize("expression", guards.FRAGILE)
def test_fragile_expressions(expression):
    schedule = guards.fragile(expression)
    assert differing(schedule, schedule.lr(np.arange(guards.STEPS))) == 0


def test_cosine():
    steps = np.arange(300_001)
    with jax.enable_x64(True):
        given = jax.jit(lambda count: evaluate(guards.cosine, count, "float64"))(steps)
    assert np.count_nonzero(np.asarray(given) != guards.cosine(steps.astype(float), numpy_ops)) == 0


def test_the_inverse_of_a_root_is_a_division():
    """Not `rsqrt`, which XLA takes for `1 / sqrt(x)` and which isn't correctly rounded."""
    x = np.random.default_rng(0).uniform(0.1, 10, 100_000)
    with jax.enable_x64(True):
        guarded = jax.jit(lambda x: ops.divide(1.0, ops.sqrt(x)))(x)
        plain = jax.jit(lambda x: 1.0 / jnp.sqrt(x))(x)
    assert np.count_nonzero(np.asarray(guarded) != 1.0 / np.sqrt(x)) == 0
    assert np.count_nonzero(np.asarray(plain) != 1.0 / np.sqrt(x)) > 100
