"""The next update of an interrupted training is the one of an uninterrupted run.

The state saved after some update is loaded into a new model. Its rate and momentum are then the
oracle's, and the weights after the next update are those of the uninterrupted run, in every bit.
"""

import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from integration.keras.cycled import (
    BACKEND,
    GRADIENTS,
    SCHEDULE,
    fit,
    model,
    optimizer,
    shown,
    weights,
)
from integration.keras.rates import numbers
from schedules import expected, expected_momenta

# The start, the step after it, the peak, and steps in the second and third cycle of 5.5 each.
SAVED_AT = [0, 1, 3, 6, 13]
RATES, _ = expected(SCHEDULE, SAVED_AT)
MOMENTA, _ = expected_momenta(SCHEDULE, SAVED_AT)
WAYS = ["model", "weights"] + (["checkpoint"] if BACKEND == "tensorflow" else [])


def new(variant):
    return model(optimizer(variant), run_eagerly=True)  # Otherwise TensorFlow traces each model.


def update(trained, step):
    trained.train_on_batch(GRADIENTS[step : step + 1], np.float32([[-1000.0]]))
    return weights(trained)


def save(trained, path):
    trained.save(path.with_suffix(".keras"))
    trained.save_weights(path.with_suffix(".weights.h5"))
    if BACKEND == "tensorflow":
        _checkpoint(trained).write(path)


def loaded(way, path, variant):
    if way == "model":
        return keras.saving.load_model(path.with_suffix(".keras"))
    made = new(variant)
    if way == "weights":
        made.load_weights(path.with_suffix(".weights.h5"))
    else:
        _checkpoint(made).read(path).assert_consumed()
    return made


def _checkpoint(trained):
    import tensorflow as tf

    return tf.train.Checkpoint(model=trained, optimizer=trained.optimizer)


@pytest.fixture(scope="module", params=["SGD-torch-nesterov", "Adam"])
def run(request, tmp_path_factory):
    """The variant, a path for each saved step, and the weights one update later."""
    folder, trained = tmp_path_factory.mktemp("run"), new(request.param)
    paths, then = {}, {}
    for step in range(max(SAVED_AT) + 1):
        if step in SAVED_AT:
            paths[step] = folder / str(step)
            save(trained, paths[step])
        then[step] = update(trained, step)
    return request.param, paths, then


@pytest.mark.parametrize("step", SAVED_AT)
@pytest.mark.parametrize("way", WAYS)
def test_the_next_update_is_the_one_of_an_uninterrupted_run(way, step, run):
    variant, paths, then = run
    resumed = loaded(way, paths[step], variant)
    assert numbers(resumed.optimizer.learning_rate) == RATES[step]
    assert shown(resumed.optimizer) == MOMENTA[step]
    np.testing.assert_array_equal(update(resumed, step), then[step])


EPOCH, EPOCHS = GRADIENTS[:4], 3


class Interrupted(Exception):
    pass


class InterruptIn(keras.callbacks.Callback):
    def __init__(self, update):
        super().__init__()
        self.updates_left = update

    def on_train_batch_begin(self, batch, logs=None):
        if not self.updates_left:
            raise Interrupted
        self.updates_left -= 1


def backed_up(variant, folder, *callbacks, save_freq="epoch"):
    backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
    trained = model(optimizer(variant))
    fit(trained, EPOCH, epochs=EPOCHS, callbacks=[backup, *callbacks])
    return trained


@pytest.mark.parametrize("variant", ["SGD", "Nadam", "RMSprop"])
def test_a_backup_resumes_with_the_interrupted_epoch(variant, tmp_path):
    uninterrupted = fit(model(optimizer(variant)), EPOCH, epochs=EPOCHS)
    with pytest.raises(Interrupted):
        backed_up(variant, tmp_path / "backup", InterruptIn(6))
    resumed = backed_up(variant, tmp_path / "backup")
    assert numbers(resumed.optimizer.iterations) == EPOCHS * len(EPOCH)
    np.testing.assert_array_equal(weights(resumed), uninterrupted)


def test_a_backup_within_an_epoch_repeats_batches_and_no_step(tmp_path):
    """Keras repeats the epoch, but keeps the 6 updates done, 2 of them in this epoch."""
    seen = np.concatenate([EPOCH, EPOCH[:2], EPOCH, EPOCH])
    uninterrupted = fit(model(optimizer("SGD-torch")), seen)
    with pytest.raises(Interrupted):
        backed_up("SGD-torch", tmp_path / "backup", InterruptIn(7), save_freq=3)
    resumed = backed_up("SGD-torch", tmp_path / "backup", save_freq=3)
    assert numbers(resumed.optimizer.iterations) == len(seen)
    np.testing.assert_array_equal(weights(resumed), uninterrupted)


def test_a_backup_resumes_after_the_process_was_killed(tmp_path, python):
    uninterrupted = fit(model(optimizer("Adam")), EPOCH, epochs=EPOCHS)
    model(optimizer("Adam")).save(tmp_path / "model.keras")
    np.save(tmp_path / "gradients.npy", EPOCH)
    script = Path(__file__).with_name("train_until_killed.py")
    done = python(script, tmp_path / "model.keras", tmp_path / "gradients.npy", tmp_path / "backup")
    assert done.returncode == -signal.SIGKILL, done.stderr
    np.testing.assert_array_equal(weights(backed_up("Adam", tmp_path / "backup")), uninterrupted)


def test_a_test_of_these_tests():
    """A training that starts over instead of resuming gives very different weights."""
    restarted = fit(model(optimizer("Adam")), EPOCH, epochs=EPOCHS - 1)
    assert abs(restarted - fit(model(optimizer("Adam")), EPOCH, epochs=EPOCHS)).max() > 1e-3
    assert len(set(RATES.values())) == len(set(MOMENTA.values())) == len(SAVED_AT)
