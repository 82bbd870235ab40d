"""Values that may be passed as `step`, and errors for any others."""

import re

import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import SCHEDULES, TRIANGULAR, TRIANGULAR2, assert_same, at, numbers

BACKEND = keras.backend.backend()
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
if BACKEND != "jax":  # JAX needs x64 enabled for the whole process.
    INTEGERS += ["int64"]
if BACKEND == "tensorflow":
    INTEGERS += ["uint64"]
SHAPES = [(), (5,), (2, 3), (0,), (2, 0, 3)]


@pytest.mark.parametrize("step", [0, 7, 2**24 + 1, 2**31, 2**40 + 1, 2**53])
def test_python_int(step):
    assert_same(numbers(CyclicLR(TRIANGULAR)(step)), at(TRIANGULAR, step))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_array(shape, dtype):
    steps = np.arange(100, 100 + np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    assert_same(numbers(CyclicLR(TRIANGULAR)(steps)), at(TRIANGULAR, steps))


def test_numpy_scalar():
    assert_same(numbers(CyclicLR(TRIANGULAR)(np.int64(2**40))), at(TRIANGULAR, 2**40))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tensor(shape, schedule):
    steps = np.arange(np.prod(shape, dtype=int), dtype="int32").reshape(shape)
    rates = CyclicLR(schedule)(keras.ops.convert_to_tensor(steps))
    assert keras.ops.is_tensor(rates)
    assert_same(numbers(rates), at(schedule, steps))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_tensor_of_every_integer_dtype_up_to_its_end(dtype):
    last = min(np.iinfo(dtype).max, 2**53)
    steps = np.array([0, 5, last - 2, last], dtype)
    rates = CyclicLR(TRIANGULAR)(keras.ops.convert_to_tensor(steps, dtype))
    assert_same(numbers(rates), at(TRIANGULAR, steps))


@pytest.mark.parametrize("steps", [3, [3, 4, 5]], ids=["scalar", "vector"])
def test_keras_variable(steps):
    variable = keras.Variable(np.asarray(steps), dtype="int", trainable=False)
    assert_same(numbers(CyclicLR(TRIANGULAR2)(variable)), at(TRIANGULAR2, steps))


def test_a_tensor_below_0_counts_as_0():
    rates = CyclicLR(TRIANGULAR2)(keras.ops.convert_to_tensor(np.array([-1, -7], "int32")))
    assert_same(numbers(rates), at(TRIANGULAR2, [0, 0]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool"])
@pytest.mark.parametrize("kind", ["tensor", "variable"])
def test_tensor_of_another_dtype_raises(kind, dtype):
    if kind == "variable":
        step = keras.Variable(1, dtype=dtype, trainable=False)
    else:
        step = keras.ops.cast(keras.ops.convert_to_tensor(1), dtype)
    message = f"`step` must be an integer. Received: dtype {dtype}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        CyclicLR(TRIANGULAR)(step)


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (7.0, TypeError, "`step` must be an integer. Received: step=7.0"),
        (np.float32(7), TypeError, "`step` must be an integer. Received: step=np.float32(7.0)"),
        (True, TypeError, "`step` must be an integer. Received: step=True"),
        ("7", TypeError, "`step` must be an integer. Received: step='7'"),
        (None, TypeError, "`step` must be an integer. Received: step=None"),
        ([1, 2], TypeError, "`step` must be an integer. Received: step=[1, 2]"),
        (
            np.array([7.0]),
            TypeError,
            "`step` must be an array of integers. Received: an array of float64",
        ),
        (
            np.array([True]),
            TypeError,
            "`step` must be an array of integers. Received: an array of bool",
        ),
        (-7, ValueError, "`step` must lie between 0 and 2**53. Received: step=-7"),
        (np.array([3, -7]), ValueError, "`step` must lie between 0 and 2**53. Received: step=-7"),
        (
            2**53 + 1,
            ValueError,
            "`step` must lie between 0 and 2**53. Received: step=9007199254740993",
        ),
    ],
)
def test_any_other_value_raises_and_is_shown(step, error, message, accumulation):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        CyclicLR(TRIANGULAR, accumulation)(step)
