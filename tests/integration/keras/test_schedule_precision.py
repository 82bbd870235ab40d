"""float32 whatever Keras is set to, and down to its smallest numbers."""

import keras
import numpy as np
import pytest

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.rates import TRIANGULAR2, assert_same, at, numbers

BACKEND = keras.backend.backend()
STEPS = np.arange(24, dtype="int32")
FORMS = {"int": 5, "array": STEPS, "tensor": keras.ops.convert_to_tensor(STEPS)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
def test_float32_whatever_floatx_says(floatx, form):
    keras.config.set_floatx(floatx)
    rates = CyclicLR(TRIANGULAR2)(FORMS[form])
    assert keras.backend.standardize_dtype(rates.dtype) == "float32"
    assert_same(numbers(rates), at(TRIANGULAR2, 5 if form == "int" else STEPS))


@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
def test_an_optimizer_made_under_another_floatx_shows_float32(floatx):
    keras.config.set_floatx(floatx)
    optimizer = keras.optimizers.SGD(CyclicLR(TRIANGULAR2))
    optimizer.iterations.assign(2**24 + 1)
    assert_same(numbers(optimizer.learning_rate), at(TRIANGULAR2, 2**24 + 1))


def compiled(function):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.compile(function)


@pytest.mark.parametrize("made", [lambda rates: rates, compiled], ids=["eager", "compiled"])
def test_below_the_normal_range_of_float32(made):
    schedule = CyclicSchedule(base_lr=2.0**-149, max_lr=3e-38, step_size_up=STEPS[-1])
    expected = at(schedule, STEPS)
    smallest = np.finfo("float32").smallest_normal
    assert min(expected) == 2.0**-149
    assert sum(expected < smallest) > 4
    assert sum(expected >= smallest) > 1
    rates = made(CyclicLR(schedule))(keras.ops.convert_to_tensor(STEPS))
    assert_same(numbers(rates), expected)
