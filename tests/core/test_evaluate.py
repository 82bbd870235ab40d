"""A schedule's value at integers of any kind, and at arrays of them."""

import pytest

from clr_core import CyclicSchedule
from clr_core.evaluate import BLOCK, evaluate

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=7, mode="triangular2")


def test_an_int():
    assert evaluate(SCHEDULE.lr, 3) == SCHEDULE.lr(3)


def test_a_numpy_integer(np):
    value = evaluate(SCHEDULE.lr, np.uint8(200))
    assert (value, type(value)) == (SCHEDULE.lr(200), float)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_arrays_longer_and_shorter_than_a_block(np, size):
    values = evaluate(SCHEDULE.lr, np.arange(size))
    assert (values.shape, values.dtype) == ((size,), np.float64)
    for step in {0, BLOCK - 1, BLOCK, size - 1} & set(range(size)):
        assert values[step] == SCHEDULE.lr(step)


def test_the_bounds_themselves(np):
    assert evaluate(SCHEDULE.lr, np.array([0, 2**53])).tolist() == [
        SCHEDULE.lr(0),
        SCHEDULE.lr(2**53),
    ]


@pytest.mark.parametrize("outside", [-1, 2**53 + 1])
def test_the_step_outside_the_bounds_is_named(np, outside):
    with pytest.raises(ValueError, match=rf"between 0 and 2\*\*53. Received: step={outside}$"):
        evaluate(SCHEDULE.lr, np.array([0, outside, 2**53]))


def test_what_is_not_finite_is_a_value(np):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn="exp(1e-6 * x)")
    with np.errstate(all="raise"):
        values = schedule.lr(np.array([1, 2**53 - 1])).tolist()
    assert values[0] == schedule.lr(1) == 0.30000020000009997
    assert values[1] != values[1]
    assert schedule.lr(2**53 - 1) != schedule.lr(2**53 - 1)
