"""Train on the digits in JAX: the schedule is optax's learning rate, inside a jitted step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import clr_jax
from problem import Problem
from progress import counted
from training import Training, run_as_script


def logits(weights: Any, images: jax.Array) -> jax.Array:
    (hidden_kernel, hidden_bias), (output_kernel, output_bias) = weights
    return jnp.tanh(images @ hidden_kernel + hidden_bias) @ output_kernel + output_bias


def mean_loss(weights: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits(weights, images), labels)
    return losses.mean()


def train(problem: Problem) -> Training:
    # `inject_hyperparams` records in the state which rate an update used. Without it,
    # `optax.sgd(clr_jax.cyclic_lr(schedule))` trains just the same.
    optimizer = optax.inject_hyperparams(optax.sgd)(
        learning_rate=clr_jax.cyclic_lr(problem.schedule)
    )

    @jax.jit
    def update(weights: Any, state: Any, images: jax.Array, labels: jax.Array) -> tuple:
        loss, gradients = jax.value_and_grad(mean_loss)(weights, images, labels)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, loss

    weights = jax.tree.map(jnp.asarray, (problem.hidden, problem.output))
    state = optimizer.init(weights)
    rates, losses = [], []
    for step in counted("JAX", problem.steps):
        batch = problem.batches[step]
        weights, state, loss = update(weights, state, problem.images[batch], problem.labels[batch])
        rates.append(np.asarray(state.hyperparams["learning_rate"]))
        losses.append(float(loss))

    return Training(
        version=jax.__version__,
        rates=np.array(rates, np.float32),
        losses=np.array(losses),
        held_out_logits=np.asarray(logits(weights, problem.held_out_images)),
    )


if __name__ == "__main__":
    run_as_script(train)
