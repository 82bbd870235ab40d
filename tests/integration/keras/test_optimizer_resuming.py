"""A training that was interrupted resumes from Keras's backup as if it had not been."""

import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from integration.keras.cycled import GRADIENTS, fit, model, optimizer, weights
from integration.keras.rates import numbers

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
