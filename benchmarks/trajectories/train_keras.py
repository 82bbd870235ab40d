"""Each optimizer in Keras, by `model.fit`, with those of `clr_keras` if momentum is cycled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import settings as given
from keras import optimizers as of_keras
from settings import rate, rate_and_momentum
from training import Results, run_as_script

import clr_keras
from problem import BATCH_SIZE, CLASSES, HIDDEN, PIXELS, Problem

ADAM: dict[str, Any] = {"beta_2": given.BETA_2, "epsilon": given.EPSILON}
ADAM_NO_EPSILON = {**ADAM, "epsilon": given.NO_EPSILON}
RMSPROP: dict[str, Any] = {"rho": given.DECAY_RMSPROP, "epsilon": given.EPSILON}
RMSPROP_NO_EPSILON = {**RMSPROP, "epsilon": given.NO_EPSILON}


class ScheduleFreeAdamWCopy(of_keras.ScheduleFreeAdamW):
    """Keras's own, in which a momentum's value is a copy.

    Keras's step takes `momentum.value`, changes the momentum, and then uses that value as the old
    one. On TensorFlow and on torch it isn't a copy and has changed too.
    """

    def build(self, variables: Any) -> None:
        """Makes the momenta, of a class whose `value` copies."""
        super().build(variables)
        for momentum in self._momentums:
            kind = type(momentum)
            copy = property(lambda self, value=kind.value.fget: keras.ops.copy(value(self)))
            momentum.__class__ = type("Copied", (kind,), {"value": copy})

    def assign_sub(self, variable: Any, value: Any) -> None:
        """As Keras does on JAX: on TensorFlow it would change the copy."""
        variable.assign(variable - value)


def scheduled(name: str) -> clr_keras.CyclicLR:
    """The rate alone, for an optimizer of Keras."""
    return clr_keras.CyclicLR(rate(name))


def muon(epsilon: float, nesterov: bool = True) -> keras.Optimizer:
    """Muon, with a constant momentum."""
    return of_keras.Muon(
        scheduled("Muon"),
        weight_decay=None,
        adam_weight_decay=None,
        adam_beta_1=given.BETA_1,
        adam_beta_2=given.BETA_2,
        epsilon=epsilon,
        momentum=given.MOMENTUM_MUON,
        nesterov=nesterov,
        rms_rate=given.RMS_MUON,
    )


def optimizers() -> dict[str, Callable[[], keras.Optimizer]]:
    """Every run, made when its turn comes. After a comma, a cause has been removed."""
    adam = rate_and_momentum("Adam")
    sgd = rate_and_momentum("SGD")
    adamax = rate_and_momentum("Adamax")
    rmsprop = rate_and_momentum("RMSprop with momentum")
    return {
        "SGD": lambda: clr_keras.SGD(sgd),
        "SGD, torch's velocity": lambda: clr_keras.SGD(sgd, torch_velocity=True),
        "SGD Nesterov": lambda: clr_keras.SGD(sgd, nesterov=True),
        "SGD Nesterov, torch's velocity": lambda: clr_keras.SGD(
            sgd, nesterov=True, torch_velocity=True
        ),
        "Adam": lambda: clr_keras.Adam(adam, **ADAM),
        "Adam, no epsilon": lambda: clr_keras.Adam(adam, **ADAM_NO_EPSILON),
        "AdamW": lambda: clr_keras.AdamW(adam, weight_decay=given.WEIGHT_DECAY, **ADAM),
        "AdamW, no epsilon": lambda: clr_keras.AdamW(
            adam, weight_decay=given.WEIGHT_DECAY, **ADAM_NO_EPSILON
        ),
        "AMSGrad": lambda: clr_keras.Adam(adam, amsgrad=True, **ADAM),
        "AMSGrad, no epsilon": lambda: clr_keras.Adam(adam, amsgrad=True, **ADAM_NO_EPSILON),
        "NAdam": lambda: clr_keras.Nadam(adam, **ADAM),
        "Adamax": lambda: clr_keras.Adamax(adamax, **ADAM),
        "Adamax, no epsilon": lambda: clr_keras.Adamax(adamax, **ADAM_NO_EPSILON),
        "RMSprop": lambda: of_keras.RMSprop(scheduled("RMSprop"), **RMSPROP),
        "RMSprop, no epsilon": lambda: of_keras.RMSprop(scheduled("RMSprop"), **RMSPROP_NO_EPSILON),
        "RMSprop with momentum": lambda: clr_keras.RMSprop(rmsprop, **RMSPROP),
        "RMSprop with momentum, no epsilon": lambda: clr_keras.RMSprop(
            rmsprop, **RMSPROP_NO_EPSILON
        ),
        "Adagrad": lambda: of_keras.Adagrad(
            scheduled("Adagrad"),
            initial_accumulator_value=given.INITIAL_ACCUMULATOR,
            epsilon=given.EPSILON,
        ),
        "Adadelta": lambda: of_keras.Adadelta(
            scheduled("Adadelta"), rho=given.DECAY_ADADELTA, epsilon=given.EPSILON_ADADELTA
        ),
        "Adafactor": lambda: of_keras.Adafactor(scheduled("Adafactor")),
        "Muon": lambda: muon(given.EPSILON),
        "Muon, no epsilon": lambda: muon(given.NO_EPSILON),
        "Muon, no epsilon, not Nesterov": lambda: muon(given.NO_EPSILON, nesterov=False),
        "Lion": lambda: clr_keras.Lion(rate_and_momentum("Lion"), beta_2=given.BETA_2_LION),
        "LAMB": lambda: of_keras.Lamb(scheduled("LAMB"), beta_1=given.BETA_1, **ADAM),
        "Schedule-free AdamW": lambda: of_keras.ScheduleFreeAdamW(
            scheduled("Schedule-free AdamW"), beta_1=given.BETA_1, **ADAM
        ),
        "Schedule-free AdamW, old momentum copied, built first": lambda: ScheduleFreeAdamWCopy(
            scheduled("Schedule-free AdamW"), beta_1=given.BETA_1, **ADAM
        ),
    }


def train(problem: Problem, optimizer: keras.Optimizer, *, built_by_fit: bool) -> list[np.ndarray]:
    """The weights after all batches."""
    model = keras.Sequential(
        [
            keras.layers.Input((PIXELS,)),
            keras.layers.Dense(HIDDEN, activation="tanh"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.set_weights(problem.weights)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # On TensorFlow, XLA takes longer to compile 300 small steps than to run them.
        jit_compile=keras.backend.backend() == "jax",
    )
    # If `fit` makes an optimizer's variables, TensorFlow traces the step twice, which only takes
    # longer. But schedule-free AdamW then starts elsewhere.
    if not built_by_fit:
        optimizer.build(model.trainable_variables)
    images, labels = problem.images.reshape(-1, PIXELS), problem.labels.ravel()
    model.fit(images, labels, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    return model.get_weights()


def train_all(problem: Problem) -> Results:
    """The weights at the end of every run; on JAX without those that have something removed."""
    for name, make in optimizers().items():
        if keras.backend.backend() == "tensorflow" or "," not in name:
            yield name, train(problem, make(), built_by_fit=name == "Schedule-free AdamW")


if __name__ == "__main__":
    run_as_script(train_all)
