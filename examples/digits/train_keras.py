"""Train on the digits in Keras on TensorFlow: the schedule is the optimizer's learning rate."""

import os

# Keras reads this once, when it is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"

from typing import Any

import keras
import numpy as np

import clr_keras
from problem import Problem
from progress import counted
from training import Training, run_as_script


class RecordingSGD(keras.optimizers.SGD):
    """SGD that keeps the rate of its last update.

    Reading `optimizer.learning_rate` between two steps would evaluate it again, outside the
    compiled step. What counts here is the number that went into the update.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate_used = keras.Variable(0.0, dtype="float32", trainable=False, name="rate_used")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.rate_used.assign(learning_rate)
        super().update_step(gradient, variable, learning_rate)


def train(problem: Problem) -> Training:
    (hidden_kernel, _), (output_kernel, _) = problem.hidden, problem.output
    model = keras.Sequential(
        [
            keras.layers.Input(shape=hidden_kernel.shape[:1]),
            keras.layers.Dense(hidden_kernel.shape[1], activation="tanh"),
            keras.layers.Dense(output_kernel.shape[1]),
        ]
    )
    model.set_weights([*problem.hidden, *problem.output])

    # No momentum, since Keras's velocity contains past rates, and torch's and optax's don't.
    optimizer = RecordingSGD(learning_rate=clr_keras.CyclicLR(problem.schedule))
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    rates, losses = [], []
    for step in counted("Keras", problem.steps):
        batch = problem.batches[step]
        # Keras reports a running mean of the loss, so reset it before each step.
        model.reset_metrics()
        loss = model.train_on_batch(problem.images[batch], problem.labels[batch])
        rates.append(keras.ops.convert_to_numpy(optimizer.rate_used))
        losses.append(float(loss))

    return Training(
        version=keras.__version__,
        rates=np.array(rates, np.float32),
        losses=np.array(losses),
        held_out_logits=model.predict_on_batch(problem.held_out_images),
    )


if __name__ == "__main__":
    run_as_script(train)
