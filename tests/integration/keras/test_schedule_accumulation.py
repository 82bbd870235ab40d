"""`gradient_accumulation_steps`: Keras counts micro-batches, the schedule counts updates."""

import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import (
    TRIANGULAR,
    TRIANGULAR2,
    assert_same,
    at,
    numbers,
)


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
