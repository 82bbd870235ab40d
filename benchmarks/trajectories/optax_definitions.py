"""Optimizers as other frameworks define them, made of optax's parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


def rmsprop(
    learning_rate: Any, momentum: Any, decay: float, eps: float
) -> optax.GradientTransformation:
    """Torch's RMSprop: epsilon outside the root, and the rate outside the velocity."""
    return optax.chain(
        optax.scale_by_rms(decay, eps, eps_in_sqrt=False),
        optax.trace(momentum),
        optax.scale_by_learning_rate(learning_rate),
    )


def rmsprop_of_optax(
    learning_rate: Any, momentum: Any, decay: float, eps: float
) -> optax.GradientTransformation:
    """`optax.rmsprop` itself, which `clr_jax.cyclic_optimizer` refuses to cycle with a momentum."""
    return optax.rmsprop(learning_rate, decay, eps, momentum=momentum)


def amsgrad(learning_rate: Any, b1: Any, b2: float, eps: float) -> optax.GradientTransformation:
    """Keras's AMSGrad: the largest second moment is kept, and its bias is corrected after that."""
    return optax.chain(
        optax.scale_by_amsgrad(b1, b2, eps, bias_correction_nu=False),
        optax.scale_by_schedule(lambda count: jnp.sqrt(1 - b2 ** (count + 1))),
        optax.scale_by_learning_rate(learning_rate),
    )


class NAdamState(NamedTuple):
    """The moments, the number of updates and the product of all momenta so far."""

    count: jax.Array
    product: jax.Array
    mu: Any
    nu: Any


def scale_by_nadam(b1: Any, b2: float, eps: float) -> optax.GradientTransformation:
    """Keras's NAdam: a momentum of `b1 * (1 - 0.5 * 0.96**t)`, and the product of all of these."""

    def init(params: Any) -> NAdamState:
        zeros = optax.tree.zeros_like(params)
        return NAdamState(jnp.zeros([], jnp.int32), jnp.ones([]), zeros, zeros)

    def update(updates: Any, state: NAdamState, params: Any = None) -> tuple[Any, NAdamState]:
        count = state.count + 1
        momentum, following = (b1 * (1 - 0.5 * 0.96**t) for t in (count, count + 1))
        product = state.product * momentum
        mu = jax.tree.map(lambda g, m: b1 * m + (1 - b1) * g, updates, state.mu)
        nu = jax.tree.map(lambda g, v: b2 * v + (1 - b2) * g * g, updates, state.nu)
        of_mean, of_gradient = following / (1 - product * following), (1 - momentum) / (1 - product)
        moved = jax.tree.map(
            lambda g, m, v: (of_mean * m + of_gradient * g) / (jnp.sqrt(v / (1 - b2**count)) + eps),
            updates,
            mu,
            nu,
        )
        return moved, NAdamState(count, product, mu, nu)

    return optax.GradientTransformation(init, update)


def nadam(learning_rate: Any, b1: Any, b2: float, eps: float) -> optax.GradientTransformation:
    """Keras's NAdam, with its rate."""
    return optax.chain(scale_by_nadam(b1, b2, eps), optax.scale_by_learning_rate(learning_rate))


def rprop(learning_rate: float, max_step_size: float) -> optax.GradientTransformation:
    """`optax.rprop` that makes each update at once: it keeps what it is about to do in its state,
    and returns that of the step before.
    """
    late = optax.rprop(learning_rate, max_step_size=max_step_size)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        _, state = late.update(updates, state, params)
        return jax.tree.map(jnp.negative, state[0].prev_updates), state

    return optax.GradientTransformation(late.init, update)
