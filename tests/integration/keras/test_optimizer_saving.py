"""Trainings with a cycled momentum, written down in the middle of a cycle and gone on with."""

import json
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.cycled import (
    BACKEND,
    GRADIENTS,
    NAMES,
    SCHEDULE,
    START,
    UPDATES,
    VARIANTS,
    fit,
    model,
    momenta,
    optimizer,
    shown,
)
from needs import needs

SAVED_AT = 5
IN_ANOTHER_PROCESS = ["SGD", "SGD-torch", "Adam", "Nadam", "RMSprop"]  # Each is loaded 3 times.
BY_CYCLE = CyclicSchedule.from_dict(
    SCHEDULE.to_dict() | {"mode": "triangular", "scale_fn": "0.5 + 0.5 / x"}
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loaded_model_goes_on_bit_for_bit(variant, tmp_path):
    uninterrupted = fit(model(optimizer(variant, BY_CYCLE)))
    trained = model(optimizer(variant, BY_CYCLE))
    fit(trained, GRADIENTS[:SAVED_AT])
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(trained.optimizer)
    assert loaded.optimizer.get_config() == trained.optimizer.get_config()
    assert shown(loaded.optimizer) == momenta(BY_CYCLE)[SAVED_AT]
    np.testing.assert_array_equal(fit(loaded, GRADIENTS[SAVED_AT:]), uninterrupted)


def test_gradient_accumulation_goes_on_in_the_middle_of_an_update(tmp_path):
    def new():
        return model(optimizer("Adam", gradient_accumulation_steps=4), jit_compile=jit)

    jit = BACKEND == "jax"  # Its eager loop takes 0.4 s a batch here.
    micro_batches = np.random.default_rng(3).normal(size=(4 * UPDATES, len(START)))
    uninterrupted, trained = fit(new(), micro_batches), new()
    fit(trained, micro_batches[:22])
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(fit(loaded, micro_batches[22:]), uninterrupted)


@pytest.mark.parametrize("way", ["weights"] + ["checkpoint"] * (BACKEND == "tensorflow"))
@pytest.mark.parametrize("variant", ["SGD", "SGD-torch", "Nadam", "RMSprop"])
def test_saved_weights_carry_velocity_and_step(variant, way, tmp_path):
    uninterrupted, trained = fit(model(optimizer(variant))), model(optimizer(variant))
    fit(trained, GRADIENTS[:SAVED_AT])
    other = model(optimizer(variant))
    if way == "weights":
        trained.save_weights(tmp_path / "model.weights.h5")
        other.load_weights(tmp_path / "model.weights.h5")
    else:
        path = checkpoint(trained).write(tmp_path / "checkpoint")
        checkpoint(other).read(path).assert_consumed()
    np.testing.assert_array_equal(fit(other, GRADIENTS[SAVED_AT:]), uninterrupted)


def checkpoint(trained):
    import tensorflow as tf

    return tf.train.Checkpoint(model=trained, optimizer=trained.optimizer)


def test_weights_of_keras_own_optimizer_with_a_schedule_fit(tmp_path):
    theirs = model(keras.optimizers.SGD(CyclicLR.of(SCHEDULE), momentum=0.9))
    fit(theirs, GRADIENTS[:SAVED_AT])
    theirs.save_weights(tmp_path / "model.weights.h5")
    ours = model(optimizer("SGD"))
    ours.load_weights(tmp_path / "model.weights.h5")
    for one, other in zip(theirs.optimizer.variables, ours.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert ours.optimizer.momentum == momenta()[SAVED_AT]


@pytest.mark.parametrize("name", NAMES)
def test_a_cloned_model_starts_at_step_0_with_the_same_schedule(name):
    trained = model(optimizer(name))
    uninterrupted = fit(trained)
    clone = keras.models.clone_model(trained)
    if not clone.compiled:  # Older than 3.13 or so.
        clone.compile(**trained.get_compile_config())
    clone.set_weights([START[:, None]])
    assert type(clone.optimizer) is type(trained.optimizer)
    assert clone.optimizer is not trained.optimizer
    np.testing.assert_array_equal(fit(clone), uninterrupted)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Models after `SAVED_AT` updates, the gradients, and what all updates come to."""
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "gradients.npy", GRADIENTS)
    paths, uninterrupted = [], []
    for variant in IN_ANOTHER_PROCESS:
        trained = model(optimizer(variant, BY_CYCLE))
        fit(trained, GRADIENTS[:SAVED_AT])
        paths.append(folder / f"{variant}.keras")
        trained.save(paths[-1])
        uninterrupted.append(fit(trained, GRADIENTS[SAVED_AT:]))
    return folder / "gradients.npy", paths, np.stack(uninterrupted)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(each, marks=needs(each, find_spec(each) is not None))
        for each in ("tensorflow", "jax", "torch")
    ],
)
def test_every_saved_model_goes_on_in_another_process(other, saved, python):
    gradients, paths, uninterrupted = saved
    script = Path(__file__).with_name("resume_cycled.py")
    done = python(script, SAVED_AT, gradients, *paths, backend=other)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    given = np.float32([[float.fromhex(weight) for weight in row] for row in rows])
    # The backends order their operations differently; the same one doesn't.
    atol = 0 if other == BACKEND else UPDATES * 2.0**-24
    np.testing.assert_allclose(given, uninterrupted, rtol=0, atol=atol)
    assert abs(given - START).min(axis=1).max() > 0.001
