"""Train on the digits in Keras on TensorFlow: the schedule is the optimizer's learning rate."""

import os

# Keras reads this once, when it is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"

from pathlib import Path
from typing import Any

import keras
import numpy as np

import clr_keras
from clr_core import Record
from leg import run_as_leg
from problem import Problem


def recorded(optimizer: keras.Optimizer) -> keras.Variable:
    """A variable that keeps the rate and the momentum of the optimizer's last update.

    Reading `optimizer.learning_rate` between two steps would evaluate it again, outside the
    compiled step. What counts here are the numbers that went into the update.
    """
    used = keras.Variable([0.0, 0.0], dtype="float32", trainable=False)
    inner = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        used.assign(keras.ops.stack([learning_rate, optimizer.momentum]))
        inner(gradient, variable, learning_rate)

    optimizer.update_step = update_step
    return used


class KerasLeg:
    def __init__(self, problem: Problem, record: Record, weights: Any, moments: Any) -> None:
        self.model = keras.Sequential(
            [
                keras.layers.Input(shape=problem.hidden[0].shape[:1]),
                keras.layers.Dense(problem.hidden[0].shape[1], activation="tanh"),
                keras.layers.Dense(problem.output[0].shape[1]),
            ]
        )
        self.model.set_weights(weights)
        # The velocity of Keras's own SGD contains past rates; torch's and optax's don't.
        self.optimizer = clr_keras.from_record(record, clr_keras.SGD, torch_velocity=True)
        self.optimizer.build(self.model.trainable_variables)
        if moments is not None:
            clr_keras.from_moments(moments, self.optimizer)
        self.used = recorded(self.optimizer)
        self.model.compile(
            self.optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )

    def update(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, float, float]:
        # Keras reports a running mean of the loss, so reset it before each step.
        self.model.reset_metrics()
        loss = float(self.model.train_on_batch(images, labels))
        lr, momentum = keras.ops.convert_to_numpy(self.used)
        return lr, momentum, loss

    def weights(self) -> list[np.ndarray]:
        return self.model.get_weights()

    def save(self, folder: Path) -> None:
        clr_keras.to_record(self.model).write(folder / "record.json")
        clr_keras.to_moments(self.optimizer).write(folder / "moments.npz")


if __name__ == "__main__":
    run_as_leg("Keras", KerasLeg)
