"""A leg of the relay in JAX, with optax."""

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
from train_jax import mean_loss


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
        used = clr_jax.current_lr(self.state), clr_jax.current_momentum(self.state)
        return *used, float(loss)

    def weights(self) -> Sequence[np.ndarray]:
        return [np.asarray(array) for array in jax.tree.leaves(self.params)]

    def save(self, folder: Path) -> None:
        record = clr_jax.to_record(self.schedule, self.state)
        record.write(folder / "record.json")
        clr_jax.to_moments(self.state, record.step).write(folder / "moments.npz")


if __name__ == "__main__":
    run_as_leg("JAX", JaxLeg)
