"""Keras's `fit` under MirroredStrategy, on as many logical CPUs as it is told, saved each time."""

import os
import sys

import keras
import numpy as np
import tensorflow as tf

import clr_keras
from clr_core.adapter import rate_only
from probe import EachUpdate, batches, make_model
from worker import log_each, schedule, updates

replicas, made = int(sys.argv[1]), sys.argv[2]
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
tf.config.threading.set_inter_op_parallelism_threads(1)
devices = [f"CPU:{index}" for index in range(replicas)]


def of_keras():
    return keras.optimizers.SGD(clr_keras.CyclicLR(rate_only(schedule)))


outside = of_keras()
strategy = tf.distribute.MirroredStrategy(devices)
with strategy.scope():  # the optimizer too
    if os.path.exists("run.keras"):
        model = keras.saving.load_model("run.keras")
    else:
        model = make_model()
        model.compile(clr_keras.SGD(schedule, torch_velocity=True), "mse")
if made != "clr_keras":
    with strategy.scope():
        model.compile(of_keras() if made == "keras" else outside, "mse")


def log_and_save(step, used):
    log_each(step, used)
    model.save("new.keras")
    os.replace("new.keras", "run.keras")


first = clr_keras.to_record(model).step if model.optimizer.built else 0
model.fit(
    *batches(first, updates),
    batch_size=8,
    shuffle=False,
    verbose=0,
    callbacks=[EachUpdate(log_and_save)],
)
np.savez("weights-0.npz", *model.get_weights())
