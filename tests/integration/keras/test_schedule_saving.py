"""A training that is saved in the middle of a cycle resumes."""

import keras
import pytest

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.rates import (
    BAND,
    BY_CYCLE,
    BY_ITERATION,
    TRIANGULAR2,
    UPDATES,
    assert_same,
    at,
    fit,
    model,
    numbers,
    used,
)

SAVED_AT = 5


def new(schedule=BY_CYCLE):
    return model(keras.optimizers.SGD(CyclicLR(schedule)))


def saved_at(schedule, path):
    trained = new(schedule)
    fit(trained, range(SAVED_AT))
    trained.save(path)
    return trained


@pytest.mark.parametrize(
    "schedule", [TRIANGULAR2, BY_CYCLE, BY_ITERATION], ids=["mode", "by_cycle", "by_iteration"]
)
def test_a_saved_model_resumes_in_the_middle_of_the_cycle(schedule, tmp_path):
    saved_at(schedule, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer._learning_rate.schedule == schedule
    assert_same(numbers(loaded.optimizer.learning_rate), at(schedule, SAVED_AT))
    fit(loaded, range(SAVED_AT, UPDATES))
    assert_same(used(loaded), at(schedule))


@keras.saving.register_keras_serializable(package="tests")
def registered(x):
    return 1.0 / x


@keras.saving.register_keras_serializable(package="tests")
class Registered:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor / x

    def get_config(self):
        return {"factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def unregistered(x):
    return 1.0 / x


def of(scale_fn):
    return CyclicSchedule(**BAND, scale_fn=scale_fn)


@pytest.mark.parametrize("scale_fn", [registered, Registered(0.7)], ids=["function", "object"])
def test_a_registered_callable_comes_back_as_a_callable(scale_fn, tmp_path):
    saved_at(of(scale_fn), tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    read = loaded.optimizer._learning_rate.schedule.scale_fn
    assert read is scale_fn if scale_fn is registered else type(read) is Registered
    fit(loaded, range(SAVED_AT, UPDATES))
    assert_same(used(loaded), at(of(scale_fn)))


def test_an_unregistered_function_raises_unless_it_is_named(tmp_path):
    saved_at(of(unregistered), tmp_path / "model.keras")
    with pytest.raises(TypeError, match="unregistered"):
        keras.saving.load_model(tmp_path / "model.keras")
    named = {"unregistered": unregistered}
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects=named)
    assert loaded.optimizer._learning_rate.schedule.scale_fn is unregistered


def test_an_object_that_keras_cannot_serialize_raises_when_saved(tmp_path):
    class Unwritable:
        def __call__(self, x):
            return 1.0 / x

    with pytest.raises(TypeError, match="get_config"):
        new(of(Unwritable())).save(tmp_path / "model.keras")


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_raises_unless_the_file_is_trusted(tmp_path):
    saved_at(of(lambda x: 1.0 / x), tmp_path / "model.keras")
    with pytest.raises(ValueError, match="lambda"):
        keras.saving.load_model(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)
    fit(loaded, range(SAVED_AT, UPDATES))
    assert_same(used(loaded), at(of(registered)))
