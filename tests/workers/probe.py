"""A Keras model whose own weights show the rate and the momentum that each update used."""

import keras
import numpy as np

from worker import log


@keras.saving.register_keras_serializable(package="workers")
class Probe(keras.layers.Layer):
    """Passes its input on, and has a weight with gradient 1 and one with gradient 0.

    With SGD, and with the former at 0 before an update, it is minus the rate afterwards. With the
    latter's velocity at 1 before an update, it is the momentum afterwards. Both exactly.
    """

    def build(self, _):
        self.moved = self.add_weight(shape=(), initializer="zeros", name="moved")
        self.still = self.add_weight(shape=(), initializer="zeros", name="still")

    def call(self, inputs):
        self.add_loss(self.moved + 0 * self.still)
        return inputs


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Input((8,)),
            Probe(),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )


def reset(model):
    """Make the probe ready for an update."""
    probe = model.layers[0]
    probe.moved.assign(0.0)
    if velocities(model):
        moved, still = velocities(model)
        moved.assign(0.0)
        still.assign(1.0)


def velocities(model):
    return (getattr(model.optimizer, "momentums", None) or [])[:2]


def log_update(model, step):
    """Log what the update used, on each device."""
    rates = copies(model.layers[0].moved)
    momenta = copies(velocities(model)[1]) if velocities(model) else [None] * len(rates)
    for device, (rate, momentum) in enumerate(zip(rates, momenta, strict=True)):
        log(step, -rate, momentum, device)


def copies(variable):
    """The value of a variable on each device."""
    value = variable.value
    if keras.backend.backend() == "jax":
        return [shard.data.item() for shard in value.addressable_shards]
    return [each.numpy().item() for each in getattr(value, "values", [value])]


class LogUpdates(keras.callbacks.Callback):
    """Logs each update of a `fit`, and calls `save` after it."""

    def __init__(self, save=lambda: None):
        super().__init__()
        self.save = save

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        self.step = int(optimizer.iterations.numpy()) if optimizer.built else 0

    def on_train_batch_begin(self, batch, logs=None):
        reset(self.model)

    def on_train_batch_end(self, batch, logs=None):
        log_update(self.model, self.step)
        self.step += 1
        self.save()


def batches(first, last):
    """The images and labels of updates `first` to `last - 1`: eight for each."""
    each = [np.random.default_rng(step).normal(size=(8, 9)) for step in range(first, last)]
    data = np.concatenate(each).astype(np.float32)
    return data[:, :8], data[:, 8:]
