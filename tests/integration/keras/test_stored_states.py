"""Models in `states/`, saved by earlier versions, can be read and resume.

Each is a `.keras` file and the config of its optimizer, from `write_stored_states.py` beside this.
A pair is added when the format changes; none is ever changed or removed. They were trained on
the gradients of `cycled.py`, so those mustn't change either.
"""

import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import oracle
from integration.keras.cycled import (
    CLOSE,
    GRADIENTS,
    SCHEDULE,
    START,
    WEIGHTS,
    expected,
    fit,
    shown,
)
from integration.keras.rates import numbers
from needs import needs

SAVED_AT = 7
MODELS = sorted(Path(__file__).with_name("states").glob("*.keras"))
VARIANTS = [path.stem.partition("-")[2] for path in MODELS]
stored = pytest.mark.parametrize(
    ("path", "variant"), list(zip(MODELS, VARIANTS, strict=True)), ids=VARIANTS
)
# Keras doesn't read what a newer one wrote.
pytestmark = needs(
    "layers of Keras 3.13",
    "quantization_config" in inspect.signature(keras.layers.Dense).parameters,
)


def config(path):
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def rate_and_momentum(path):
    """The rate and momentum of the next update, from the oracle, in float32."""
    schedule = config(path)["config"]["learning_rate"]["config"]["schedule"]
    exact = oracle.lr(schedule, SAVED_AT), oracle.momentum(schedule, SAVED_AT)
    return tuple(map(oracle.to_float32, exact))


@stored
def test_the_next_update_has_the_rate_and_the_momentum_of_its_step(path, variant):
    resumed = keras.saving.load_model(path)
    rate, momentum = rate_and_momentum(path)
    assert numbers(resumed.optimizer.iterations) == SAVED_AT
    assert numbers(resumed.optimizer.learning_rate) == rate
    assert shown(resumed.optimizer) == momentum
    velocity = resumed.optimizer.variables[1]
    assert "momentum" in velocity.name
    # From 1, a gradient of 0 takes it to exactly the momentum.
    velocity.assign(np.ones((WEIGHTS, 1)))
    resumed.train_on_batch(np.zeros((1, WEIGHTS), "float32"), np.float32([[-1000.0]]))
    np.testing.assert_array_equal(numbers(velocity), np.full((WEIGHTS, 1), np.float32(momentum)))


@stored
def test_the_final_weights_are_those_of_the_definition(path, variant):
    resumed = keras.saving.load_model(path)
    given = fit(resumed, GRADIENTS[SAVED_AT:])
    np.testing.assert_allclose(given, expected(variant), **CLOSE)
    assert abs(given - START).max() > 0.01


@stored
def test_the_config_alone_makes_the_same_optimizer_at_step_0(path, variant):
    made = keras.optimizers.deserialize(config(path))
    assert type(made).__name__ == variant.partition("-")[0]
    assert getattr(made, "torch_velocity", False) == variant.endswith("-torch")
    assert made.learning_rate == np.float32(SCHEDULE.base_lr)
    assert shown(made) == np.float32(SCHEDULE.max_momentum)
    assert made.get_config() == keras.saving.load_model(path).optimizer.get_config()


def test_there_are_stored_states():
    assert sorted(VARIANTS) == ["Adam", "SGD-torch"]
