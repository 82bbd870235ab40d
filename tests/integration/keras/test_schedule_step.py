"""Values that may be passed as `step`, and errors for any others."""

import re

import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import (
    SCHEDULES,
    TRIANGULAR,
    TRIANGULAR2,
    assert_same,
    at,
    fit,
    model,
    numbers,
    used,
)

BACKEND = keras.backend.backend()
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
if BACKEND != "jax":  # JAX needs x64 enabled for the whole process.
    INTEGERS += ["int64"]
if BACKEND == "tensorflow":
    INTEGERS += ["uint64"]
SHAPES = [(), (5,), (2, 3), (0,), (2, 0, 3)]


@pytest.mark.parametrize("step", [0, 7, 2**24 + 1, 2**31, 2**40 + 1, 2**53, np.int64(2**40)])
def test_an_int_of_python_or_numpy(step):
    assert_same(numbers(CyclicLR(TRIANGULAR)(step)), at(TRIANGULAR, step))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_array(shape, dtype):
    steps = np.arange(100, 100 + np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    assert_same(numbers(CyclicLR(TRIANGULAR)(steps)), at(TRIANGULAR, steps))


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


def test_a_tensor_below_0_counts_as_0():
    rates = CyclicLR(TRIANGULAR2)(keras.ops.convert_to_tensor(np.array([-1, -7], "int32")))
    assert_same(numbers(rates), at(TRIANGULAR2, [0, 0]))


FLOATS = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24}


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["tensor", "variable"])
def test_a_whole_float_is_a_step_as_far_as_it_is_exact(kind, dtype, accumulation):
    steps = np.array([0, 7, FLOATS[dtype] - 1, FLOATS[dtype]])
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(steps), dtype)
    if kind == "variable":
        tensor = keras.Variable(tensor, dtype=dtype, trainable=False)
    rates = CyclicLR(TRIANGULAR2, accumulation)(tensor)
    assert_same(numbers(rates), at(TRIANGULAR2, steps // accumulation))


@pytest.mark.parametrize("dtype", [*FLOATS, "float64"])
@pytest.mark.parametrize("value", [2.5, float("nan"), "beyond"])
def test_any_other_float_raises(value, dtype):
    most = FLOATS.get(dtype, 2**53)
    if value == "beyond":
        value = 2.0 * most
        if dtype == "float16":
            value = 4096.0
    steps = [value] if dtype == "float64" else []
    if dtype != "float64":
        steps.append(keras.ops.cast(keras.ops.convert_to_tensor(value, "float32"), dtype))
    if dtype != "bfloat16":
        steps += [np.array([3.0, value], dtype), np.dtype(dtype).type(value)]
    message = f"`step` must be a whole number of at most {most} if it is such a float. Received: "
    for step in steps:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}step="):
            CyclicLR(TRIANGULAR)(step)


@pytest.mark.parametrize("step", [7.0, np.float32(7), np.array([7.0]), np.array([7, 8], "float16")])
def test_a_whole_float_of_python_or_numpy(step):
    rates = CyclicLR(TRIANGULAR)(step)
    assert_same(numbers(rates), at(TRIANGULAR, np.asarray(step).astype(int)))


def test_a_warm_up_around_it_may_cast_the_count():
    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, after):
            self.after = after

        def __call__(self, step):
            step = keras.ops.cast(step, "float32")
            early = 0.01 * (step + 1.0)
            late = self.after(keras.ops.maximum(step - 2.0, 0.0))
            return keras.ops.where(step < 2.0, early, late)

    trained = model(keras.optimizers.SGD(WarmUp(CyclicLR(TRIANGULAR))))
    fit(trained, np.arange(7))
    assert_same(used(trained)[2:7], at(TRIANGULAR)[:5])


@pytest.mark.parametrize("kind", ["tensor", "variable"])
def test_tensor_of_another_dtype_raises(kind):
    step = keras.ops.cast(keras.ops.convert_to_tensor(1), "bool")
    if kind == "variable":
        step = keras.Variable(1, dtype="bool", trainable=False)
    with pytest.raises(TypeError, match=r"^`step` must be an integer\. Received: dtype bool$"):
        CyclicLR(TRIANGULAR)(step)


NO_ARRAY = "`step` must be an array of integers. Received: an array of bool"
OUTSIDE = "`step` must lie between 0 and 2**53. Received: step="


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (True, TypeError, "`step` must be an integer. Received: step=True"),
        ([1, 2], TypeError, "`step` must be an integer. Received: step=[1, 2]"),
        (np.array([True]), TypeError, NO_ARRAY),
        (-7.0, ValueError, f"{OUTSIDE}-7"),
        (np.array([3, -7]), ValueError, f"{OUTSIDE}-7"),
        (2**53 + 1, ValueError, f"{OUTSIDE}9007199254740993"),
    ],
)
def test_any_other_value_raises_and_is_shown(step, error, message, accumulation):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        CyclicLR(TRIANGULAR, accumulation)(step)


STEPS = {
    "int": lambda steps: steps[-1].item(),
    "array": lambda steps: steps,
    "tensor": keras.ops.convert_to_tensor,
    "variable": lambda steps: keras.Variable(steps, dtype="int", trainable=False),
}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("of_each", [1, 2, 3, 7, 1000, 2**31])
def test_micro_batches_of_every_kind_are_counted_exactly(of_each, kind):
    micro_batches = np.array([0, 1, 2, 3, 6, 7, 999, 1000, 2**24 + 1, 2**31 - 1], "int32")
    rates = numbers(CyclicLR(TRIANGULAR, of_each)(STEPS[kind](micro_batches)))
    expected = at(TRIANGULAR, micro_batches.astype("int64") // of_each)
    assert_same(rates, expected[-1] if kind == "int" else expected)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_the_divisor_need_not_fit_the_dtype_of_the_step(kind):
    micro_batches = np.array([0, 44, 200, 255], "uint8")
    assert_same(
        numbers(CyclicLR(TRIANGULAR, 300)(STEPS[kind](micro_batches))), at(TRIANGULAR, [0] * 4)
    )
