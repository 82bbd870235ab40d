"""The schedule in optimizers other than plain SGD."""

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

OLD = tuple(map(int, keras.version().split(".")[:2])) < (3, 13)
OPTIMIZERS = {
    name
    for name, each in vars(keras.optimizers).items()
    if isinstance(each, type)
    and issubclass(each, keras.Optimizer)
    and each not in (keras.Optimizer, keras.optimizers.LossScaleOptimizer)
    and name != "MultiOptimizer"
}


# It asks TensorFlow's variables for a `path`, which they don't have, whatever the rate.
BROKEN = {"Muon"} if keras.backend.backend() == "tensorflow" and OLD else set()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS - BROKEN))
def test_every_optimizer_shows_the_rate_and_trains(name):
    optimizer = getattr(keras.optimizers, name)(CyclicLR(TRIANGULAR))
    weight = keras.Variable(np.ones((3, 2), "float32"))
    for step in range(UPDATES):
        assert_same(numbers(optimizer.learning_rate), at(TRIANGULAR, step))
        optimizer.apply([keras.ops.ones((3, 2))], [weight])
    weights = numbers(weight)
    assert np.isfinite(weights).all()
    assert (weights < 1.0).all()


def test_a_schedule_shared_by_two_optimizers_keeps_no_step_of_its_own():
    shared = CyclicLR(TRIANGULAR2)
    one, other = (model(keras.optimizers.SGD(shared)) for _ in range(2))
    fit(one, range(5))
    fit(other, range(UPDATES))
    fit(one, range(5, UPDATES))
    assert_same(used(one), at(TRIANGULAR2))
    assert_same(used(other), at(TRIANGULAR2))
