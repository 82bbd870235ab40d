"""Each optimizer in optax, with `clr_jax.cyclic_optimizer`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax_definitions
import settings as given
from settings import rate, rate_and_momentum
from training import Results, run_as_script

from clr_jax import cyclic_lr, cyclic_optimizer
from problem import Problem

ADAM: dict[str, Any] = {"b2": given.BETA_2, "eps": given.EPSILON}
ADAM_NO_EPSILON = {**ADAM, "eps": given.NO_EPSILON}
RMSPROP: dict[str, Any] = {"decay": given.DECAY_RMSPROP, "eps": given.EPSILON}


def muon(eps: float, nesterov: bool = True) -> optax.GradientTransformation:
    """Muon, with a constant momentum: `cyclic_optimizer` doesn't know it by the name of `beta`."""
    return optax.contrib.muon(
        cyclic_lr(rate("Muon")),
        beta=given.MOMENTUM_MUON,
        eps=eps,
        nesterov=nesterov,
        adam_b1=given.BETA_1,
        adam_b2=given.BETA_2,
        consistent_rms=given.RMS_MUON,
    )


def schedule_free(weight_lr_power: float) -> optax.GradientTransformation:
    """Schedule-free AdamW, with a schedule."""
    return optax.contrib.schedule_free_adamw(
        cyclic_lr(rate("Schedule-free AdamW")),
        b1=given.BETA_1,
        b2=given.BETA_2,
        eps=given.EPSILON,
        weight_lr_power=weight_lr_power,
    )


def optimizers() -> dict[str, optax.GradientTransformation]:
    """Every run. After a comma, a cause has been removed."""
    of = cyclic_optimizer
    adam = rate_and_momentum("Adam")
    rmsprop = rate_and_momentum("RMSprop with momentum")
    step = given.MAX_LR["Rprop"] / 4
    return {
        "SGD": of(optax.sgd, rate_and_momentum("SGD")),
        "SGD Nesterov": of(optax.sgd, rate_and_momentum("SGD"), nesterov=True),
        "Adam": of(optax.adam, adam, **ADAM),
        "Adam, no epsilon": of(optax.adam, adam, **ADAM_NO_EPSILON),
        "AdamW": of(optax.adamw, adam, weight_decay=given.WEIGHT_DECAY, **ADAM),
        "AdamW, no epsilon": of(
            optax.adamw, adam, weight_decay=given.WEIGHT_DECAY, **ADAM_NO_EPSILON
        ),
        "AMSGrad": of(optax.amsgrad, adam, **ADAM),
        "AMSGrad, corrected after the maximum": of(optax_definitions.amsgrad, adam, **ADAM),
        "AMSGrad, corrected after the maximum, no epsilon": of(
            optax_definitions.amsgrad, adam, **ADAM_NO_EPSILON
        ),
        "NAdam": of(optax.nadam, adam, **ADAM),
        "NAdam, constant momentum": of(optax.nadam, rate("Adam"), b1=given.BETA_1, **ADAM),
        "NAdam, Keras's momentum": of(optax_definitions.nadam, adam, **ADAM),
        "RAdam": of(optax.radam, rate_and_momentum("RAdam"), **ADAM),
        "RAdam, no epsilon, float64": of(
            optax.radam, rate_and_momentum("RAdam"), **ADAM_NO_EPSILON
        ),
        "Adamax": of(optax.adamax, rate_and_momentum("Adamax"), **ADAM),
        "Adamax, no epsilon": of(optax.adamax, rate_and_momentum("Adamax"), **ADAM_NO_EPSILON),
        "RMSprop": of(optax.rmsprop, rate("RMSprop"), **RMSPROP),
        "RMSprop, epsilon outside": of(
            optax.rmsprop, rate("RMSprop"), eps_in_sqrt=False, **RMSPROP
        ),
        "RMSprop with momentum": of(optax_definitions.rmsprop_of_optax, rmsprop, **RMSPROP),
        "RMSprop with momentum, torch's": of(optax_definitions.rmsprop, rmsprop, **RMSPROP),
        "Adagrad": of(
            optax.adagrad,
            rate("Adagrad"),
            initial_accumulator_value=given.INITIAL_ACCUMULATOR,
            eps=given.EPSILON,
        ),
        "Adadelta": of(
            optax.adadelta, rate("Adadelta"), rho=given.DECAY_ADADELTA, eps=given.EPSILON_ADADELTA
        ),
        "Adafactor": of(optax.adafactor, rate("Adafactor"), min_dim_size_to_factor=1),
        # Takes no schedule: a rate is only the size of the first step.
        "Rprop": optax.rprop(step, max_step_size=given.LARGEST_STEP_RPROP),
        "Rprop, at once": optax_definitions.rprop(step, given.LARGEST_STEP_RPROP),
        "Muon": muon(given.EPSILON),
        "Muon, no epsilon, not Nesterov": muon(given.NO_EPSILON, nesterov=False),
        "Lion": of(optax.lion, rate_and_momentum("Lion"), b2=given.BETA_2_LION, weight_decay=0.0),
        "LAMB": of(optax.lamb, rate("LAMB"), b1=given.BETA_1, **ADAM),
        "Schedule-free AdamW": schedule_free(weight_lr_power=2.0),
        "Schedule-free AdamW, equal weights": schedule_free(weight_lr_power=0.0),
    }


def mean_loss(weights: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss of a batch."""
    hidden_kernel, hidden_bias, output_kernel, output_bias = weights
    logits = jnp.tanh(images @ hidden_kernel + hidden_bias) @ output_kernel + output_bias
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train(problem: Problem, optimizer: optax.GradientTransformation, dtype: str) -> Any:
    """The weights after all batches, in one compiled scan."""

    def update(carry: tuple, batch: tuple) -> tuple:
        weights, state = carry
        gradients = jax.grad(mean_loss)(weights, *batch)
        updates, state = optimizer.update(gradients, state, weights)
        return (optax.apply_updates(weights, updates), state), None

    @jax.jit
    def run(weights: Any, images: jax.Array, labels: jax.Array) -> Any:
        start = weights, optimizer.init(weights)
        return jax.lax.scan(update, start, (images, labels))[0][0]

    weights = [jnp.asarray(weight, dtype) for weight in problem.weights]
    return run(weights, jnp.asarray(problem.images, dtype), problem.labels)


def train_all(problem: Problem) -> Results:
    """The weights at the end of every run."""
    for name, optimizer in optimizers().items():
        dtype = "float64" if name.endswith("float64") else "float32"
        with jax.enable_x64(dtype == "float64"):
            yield name, train(problem, optimizer, dtype)


if __name__ == "__main__":
    run_as_script(train_all)
