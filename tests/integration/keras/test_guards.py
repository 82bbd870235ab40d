"""Guards keep TensorFlow from changing the arithmetic: without them some float64 bits differ."""

import keras
import numpy as np
import pytest

import guards

if keras.backend.backend() != "tensorflow":
    pytest.skip("on TensorFlow only", allow_module_level=True)

import tensorflow as tf

from clr_core import numpy_ops
from clr_keras import ops

# Grappler, which optimizes graphs, fuses nothing and keeps divisions.
XLA_ONLY = ("product", "quotient", "sum with the number of the cycle")
PATHS = [("XLA", guard) for guard in guards.GUARDS]
PATHS += [("graph", guard) for guard in guards.GUARDS if guard not in XLA_ONLY]


def differing(path, schedule, expected):
    @tf.function(jit_compile=path == "XLA", autograph=False)
    def rate(step):
        return schedule.lr(tf.maximum(tf.cast(step, tf.float64), 0.0), ops)

    return np.count_nonzero(rate(tf.range(guards.STEPS)).numpy() != expected)


@pytest.mark.parametrize(("path", "guard"), PATHS)
def test_each_guard_is_needed(path, guard):
    schedule = guards.GUARDS[guard][1]()
    expected = schedule.lr(np.arange(guards.STEPS))
    assert differing(path, schedule, expected) == 0
    with guards.without(guard, ops) as unguarded:
        assert differing(path, unguarded, expected) > 100


@pytest.mark.parametrize("path", ["XLA", "graph"])
@pytest.mark.parametrize("expression", guards.FRAGILE)
def test_fragile_expressions(path, expression):
    schedule = guards.fragile(expression)
    assert differing(path, schedule, schedule.lr(np.arange(guards.STEPS))) == 0


@pytest.mark.parametrize("path", ["XLA", "graph"])
def test_cosine(path):
    steps = np.arange(300_001.0)
    rate = tf.function(
        lambda step: guards.cosine(step, ops), jit_compile=path == "XLA", autograph=False
    )
    given = rate(tf.constant(steps)).numpy()
    assert np.count_nonzero(given != guards.cosine(steps, numpy_ops)) == 0


def test_the_inverse_of_a_root_is_a_division():
    """Not `rsqrt`, which XLA takes for `1 / sqrt(x)` and which isn't correctly rounded."""
    x = np.random.default_rng(0).uniform(0.1, 10, 100_000)
    functions = (lambda x: ops.divide(1.0, ops.sqrt(x)), lambda x: 1.0 / tf.sqrt(x))
    guarded, plain = (
        tf.function(function, jit_compile=True, autograph=False)(tf.constant(x)).numpy()
        for function in functions
    )
    assert np.count_nonzero(guarded != 1.0 / np.sqrt(x)) == 0
    # The compiler of TensorFlow 2.18 divides; when that changed isn't known.
    divides = tf.__version__.startswith("2.18.")
    assert (np.count_nonzero(plain != 1.0 / np.sqrt(x)) > 100) is not divides
