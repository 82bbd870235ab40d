"""keras.distribution on the JAX backend: data parallel on four devices, saved after each update."""

import os

import keras
import numpy as np

import clr_keras
from probe import batches, make_model, reset, used
from worker import log_each, schedule, updates

devices = keras.distribution.list_devices()
assert len(devices) == 4
keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))

if os.path.exists("run.keras"):
    model = keras.saving.load_model("run.keras")
else:
    model = make_model()
    model.compile(clr_keras.SGD(schedule, torch_velocity=True), "mse")
    model.optimizer.build(model.trainable_variables)

for step in range(clr_keras.to_record(model).step, updates):
    reset(model)
    model.train_on_batch(*batches(step, step + 1))
    log_each(step, used(model))
    model.save("new.keras")
    os.replace("new.keras", "run.keras")

np.savez("weights-0.npz", *model.get_weights())
