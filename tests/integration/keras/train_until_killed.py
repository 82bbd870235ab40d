"""Train a saved model with a backup after each epoch, until killed in the second one.

Arguments: the model, the gradients of an epoch, the folder of the backup.
"""

import os
import signal
import sys

import keras
import numpy as np

import clr_keras  # noqa: F401  Registers the optimizers.


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            os.kill(os.getpid(), signal.SIGKILL)


def main(path, gradients, folder):
    gradients, model = np.load(gradients), keras.saving.load_model(path)
    targets = np.full((len(gradients), 1), -1000.0, "float32")
    backup = keras.callbacks.BackupAndRestore(folder)
    options = {"batch_size": 1, "shuffle": False, "verbose": 0}
    model.fit(gradients, targets, epochs=3, callbacks=[backup, Kill()], **options)


main(*sys.argv[1:])
