"""`gradient_accumulation_steps`: Keras counts micro-batches, the schedule counts updates."""

import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import (
    TRIANGULAR,
    TRIANGULAR2,
    UPDATES,
    assert_same,
    at,
    fit,
    model,
    numbers,
    used,
)

# A power of two, since Keras averages the gradients: in TensorFlow's graphs a third of three
# gradients of 1 isn't 1 to the last bit, and the rate can't be read back (a plain table of rates
# shows the same).
OF_EACH = 4
MICRO_BATCHES = np.repeat(np.arange(UPDATES), OF_EACH)
LOOPS = {"eager": {"run_eagerly": True, "jit_compile": False}, "default": {}}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_the_rates_are_those_of_one_step_per_update(loop):
    optimizer = keras.optimizers.SGD(
        CyclicLR(TRIANGULAR2, gradient_accumulation_steps=OF_EACH),
        gradient_accumulation_steps=OF_EACH,
    )
    trained = model(optimizer, **loop)
    fit(trained, MICRO_BATCHES)
    assert_same(used(trained), at(TRIANGULAR2))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_without_it_the_schedule_runs_as_many_times_too_fast():
    optimizer = keras.optimizers.SGD(CyclicLR(TRIANGULAR2), gradient_accumulation_steps=OF_EACH)
    trained = model(optimizer)
    with pytest.warns(UserWarning, match=r"should be the same in the .*=4 and 1\. .* give it 4"):
        fit(trained, MICRO_BATCHES)
    assert_same(used(trained), at(TRIANGULAR2, np.arange(OF_EACH - 1, len(MICRO_BATCHES), OF_EACH)))


@pytest.mark.parametrize("none", [None, 1])
def test_one_and_none_are_the_same(none):
    rates = CyclicLR(TRIANGULAR2, gradient_accumulation_steps=none)
    assert rates.get_config() == CyclicLR(TRIANGULAR2).get_config()


STEPS = {
    "int": lambda steps: steps[-1].item(),
    "array": lambda steps: steps,
    "tensor": keras.ops.convert_to_tensor,
    "variable": lambda steps: keras.Variable(steps, dtype="int", trainable=False),
}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("of_each", [2, 3, 7, 1000, 2**31])
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
