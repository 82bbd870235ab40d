"""A training that is saved in the middle of a cycle resumes."""

import keras
import numpy as np
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


def test_gradient_accumulation_resumes_in_the_middle_of_an_update(tmp_path):
    micro_batches = np.repeat(np.arange(UPDATES), 4)
    trained = model(keras.optimizers.SGD(CyclicLR(BY_CYCLE, 4), gradient_accumulation_steps=4))
    fit(trained, micro_batches[:10])
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    fit(loaded, micro_batches[10:])
    assert_same(used(loaded), at(BY_CYCLE))


def test_saved_weights_carry_the_step(tmp_path):
    trained = new()
    fit(trained, range(SAVED_AT))
    trained.save_weights(tmp_path / "model.weights.h5")
    other = new()
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    fit(other, range(SAVED_AT, UPDATES))
    assert_same(used(other), at(BY_CYCLE))


def test_a_cloned_model_starts_at_step_0_with_the_same_schedule():
    trained = new()
    fit(trained, range(SAVED_AT))
    clone = keras.models.clone_model(trained)
    if not clone.compiled:  # Older than 3.13 or so.
        clone.compile(**trained.get_compile_config())
    fit(clone)
    assert_same(used(clone), at(BY_CYCLE))
    assert_same(numbers(trained.optimizer.learning_rate), at(BY_CYCLE, SAVED_AT))


class Interrupted(Exception):
    pass


class InterruptIn(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Interrupted


def test_backup_and_restore(tmp_path):
    def resumed(*callbacks):
        trained = new()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        fit(trained, range(4), epochs=3, callbacks=[backup, *callbacks])
        return trained

    with pytest.raises(Interrupted):
        resumed(InterruptIn(epoch=1))
    trained = resumed()
    assert numbers(trained.optimizer.iterations) == 12
    # Weight k was moved in updates k, k + 4 and k + 8.
    first, second, third = at(BY_CYCLE).reshape(3, 4)
    assert_same(used(trained)[:4], (first + second) + third)


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
