"""JAX: an optax schedule in a real `optax.sgd`, jitted over all steps."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import clr_jax
from clr_core.adapter import rate_only
from clr_jax.evaluate import evaluate

MAX_STEP = 2**31 - 1
LONGEST = 1000  # Steps of a curve.


@lru_cache(maxsize=1)  # One compilation for rates, momenta and moves.
def _used(schedule, steps):
    """The rate and momentum that each update used, and how far it moved a weight."""
    hyperparams = {"learning_rate": clr_jax.cyclic_lr(schedule)}
    if schedule.momentum(0) is not None:
        hyperparams["momentum"] = clr_jax.cyclic_momentum(schedule)
    optimizer = optax.inject_hyperparams(optax.sgd)(**hyperparams)
    weight = jnp.zeros(())
    start = optimizer.init(weight)

    def update(count):
        # A schedule reads a count of its own and not the outermost one.
        counts = {
            name: state._replace(count=count) for name, state in start.hyperparams_states.items()
        }
        state = start._replace(count=count, hyperparams_states=counts)
        moved, state = optimizer.update(jnp.float32(-1.0), state, weight)
        return state.hyperparams, optax.apply_updates(weight, moved)

    return jax.jit(lambda counts: jax.lax.map(update, counts))(jnp.asarray(steps, jnp.int32))


def lrs(schedule, steps):
    return _used(schedule, tuple(steps))[0]["learning_rate"].tolist()


def moves(schedule, steps):
    return _used(schedule, tuple(steps))[1].tolist()


def momenta(schedule, steps):
    return _used(schedule, tuple(steps))[0]["momentum"].tolist()


def _float64(how):
    """Rates of several schedules, as a program computes them for which `jax_enable_x64` is set."""

    def float64(schedules, steps):
        with jax.enable_x64(True):
            rates = [partial(evaluate, schedule.lr, dtype="float64") for schedule in schedules]

            def program(counts):
                return [how(rate)(each) for rate, each in zip(rates, counts, strict=True)]

            return jax.jit(program)([jnp.asarray(each, jnp.int32) for each in steps])

    return float64


def _rate(schedule):
    return clr_jax.cyclic_lr(rate_only(schedule))


def _eager(schedule, steps):
    """At so many steps always, since JAX compiles each operation for each shape."""
    with jax.disable_jit():
        return _rate(schedule)(np.resize(steps, LONGEST))[: len(steps)]


CURVES = {
    "called": lambda schedule, steps: _rate(schedule)(steps),
    "jit": lambda schedule, steps: jax.jit(_rate(schedule))(steps),
    "vmap": lambda schedule, steps: jax.jit(jax.vmap(_rate(schedule)))(steps),
    "operation by operation": _eager,
}
FLOAT64 = {
    "jit": _float64(lambda rate: rate),
    "scan": _float64(lambda rate: lambda counts: jax.lax.map(rate, counts)),
}
