"""Train on the digits in JAX: the schedule is optax's, inside a jitted step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import clr_jax
from clr_core import Record
from leg import run_as_leg
from problem import Problem


def mean_loss(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    (hidden_kernel, hidden_bias), (output_kernel, output_bias) = params
    logits = jnp.tanh(images @ hidden_kernel + hidden_bias) @ output_kernel + output_bias
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


class JaxLeg:
    def __init__(self, problem: Problem, record: Record, weights: Any, moments: Any) -> None:
        hidden, output = map(tuple, (weights[:2], weights[2:]))
        self.params = jax.tree.map(jnp.asarray, (hidden, output))
        optimizer, self.state = clr_jax.from_record(record, optax.sgd, self.params)
        if moments is not None:
            self.state = clr_jax.from_moments(moments, self.state)
        self.schedule = record.schedule

        @jax.jit
        def step(params: Any, state: Any, images: jax.Array, labels: jax.Array) -> tuple:
            loss, gradients = jax.value_and_grad(mean_loss)(params, images, labels)
            updates, state = optimizer.update(gradients, state, params)
            return optax.apply_updates(params, updates), state, loss

        self.step = step

    def update(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any, float]:
        self.params, self.state, loss = self.step(self.params, self.state, images, labels)
        # The state has what this update used.
        cycled = self.schedule.momentum(0) is not None
        momentum = clr_jax.current_momentum(self.state) if cycled else 0.0
        return clr_jax.current_lr(self.state), momentum, float(loss)

    def weights(self) -> Sequence[np.ndarray]:
        return [np.asarray(array) for array in jax.tree.leaves(self.params)]

    def save(self, folder: Path) -> None:
        record = clr_jax.to_record(self.schedule, self.state)
        record.write(folder / "record.json")
        clr_jax.to_moments(self.state, record.step).write(folder / "moments.npz")


if __name__ == "__main__":
    run_as_leg("JAX", JaxLeg)
