"""A Keras model whose own weights show the rate and the momentum that each update used."""

import keras
import numpy as np


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
        self.add_loss(keras.ops.cast(self.moved + 0 * self.still, "float32"))
        return inputs


def make_model():
    keras.utils.set_random_seed(0)
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
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # Of a loss scale.
    return (getattr(optimizer, "momentums", None) or [])[:2]


def used(model):
    """The rate and the momentum that the update used, on each device."""
    rates = copies(model.layers[0].moved)
    momenta = copies(velocities(model)[1]) if velocities(model) else [None] * len(rates)
    return [(-rate, momentum) for rate, momentum in zip(rates, momenta, strict=True)]


def copies(variable):
    """The value of a variable on each device."""
    value = variable.value
    if keras.backend.backend() == "jax":
        return [shard.data.item() for shard in value.addressable_shards]
    if keras.backend.backend() == "torch":
        return [value.item()]
    return [each.numpy().item() for each in getattr(value, "values", [value])]


class EachUpdate(keras.callbacks.Callback):
    """Tells, after each update of a `fit`, its step and what it used on each device."""

    def __init__(self, tell):
        super().__init__()
        self.tell = tell

    def step(self):
        optimizer = self.model.optimizer
        return int(keras.ops.convert_to_numpy(optimizer.iterations)) if optimizer.built else 0

    def on_train_batch_begin(self, batch, logs=None):
        self.before = self.step()
        reset(self.model)

    def on_train_batch_end(self, batch, logs=None):
        if self.step() > self.before:
            self.tell(self.before, used(self.model))


def batches(first, last):
    """The images and labels of updates `first` to `last - 1`: eight for each."""
    each = [np.random.default_rng(step).normal(size=(8, 9)) for step in range(first, last)]
    data = np.concatenate(each).astype(np.float32)
    return data[:, :8], data[:, 8:]
