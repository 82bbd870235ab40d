"""Keras's `fit`, saved and restored at each epoch by its callback BackupAndRestore."""

import keras
import numpy as np

import clr_keras
from probe import EachUpdate, batches, make_model
from worker import log_each, schedule, updates

BATCHES = 4

model = make_model()
model.compile(clr_keras.SGD(schedule, torch_velocity=True), "mse")
model.optimizer.build(model.trainable_variables)
# Keras doesn't write these files atomically. With `double_checkpoint` it keeps the former ones.
backup = keras.callbacks.BackupAndRestore("backup", double_checkpoint=True)
model.fit(
    *batches(0, BATCHES),
    batch_size=8,
    epochs=updates // BATCHES,
    shuffle=False,
    verbose=0,
    callbacks=[backup, EachUpdate(log_each)],
)
np.savez("weights-0.npz", *model.get_weights())
