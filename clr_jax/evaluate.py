"""A schedule's value at JAX's steps: float64 inside, rounded once.

It needs JAX and no optax, since `clr_keras` uses it on its JAX backend.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clr_core.adapter import LARGEST_STEP
from clr_jax import ops

SMALLEST_NORMAL = 2.0**-126
"""The smallest number of which float32 has all digits."""


def evaluate(
    value: Callable[[Any, Any], Any], step: Any, dtype: str = "float32", lowest: float = 0.0
) -> jax.Array:
    """`value(step, ops)` in float64, rounded once to `dtype`.

        >>> evaluate(lambda step, ops: ops.minimum(step, 2.0) / 4.0, 1)
        Array(0.25, dtype=float32)

    Args:
        value: A schedule's `lr` or `momentum`, or a function of (step, ops) like these.
        step: An integer or an array of integers, traced or not. A step below 0 counts as 0. Floats
            are taken if they are whole; traced ones are rounded down.
        dtype: "float32" or "float64".
        lowest: A number that no value lies below, if one is known. Below 2**-126 it takes longer to
            round to float32.

    Returns:
        A strongly typed array of the shape of `step`.

    Raises:
        TypeError: `step` isn't a number, or a bool or complex.
        ValueError: `step` is a float that isn't whole.
    """
    if isinstance(step, jax.Array | np.ndarray | np.generic | float):
        _check_whole(step)
    with jax.enable_x64(True):
        return _evaluate(value, dtype, lowest >= SMALLEST_NORMAL, step)


# Eagerly it is one call and not twenty. Inlined, so that the compiler sees no call: JAX does that
# when it traces a program or, since 0.11.2, when it lowers one.
@partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _evaluate(
    value: Callable[[Any, Any], Any], dtype: str, is_normal: bool, step: Any
) -> jax.Array:
    # As an integer and clamped: the compiler then knows that the float64 is whole.
    if jnp.issubdtype(jnp.result_type(step), jnp.floating):
        step = jnp.floor(jnp.asarray(step, jnp.float64)).astype(jnp.int64)
    if not jnp.issubdtype(jnp.result_type(step), jnp.integer):
        raise TypeError(f"`count` must be an integer. Received: dtype {jnp.result_type(step)}")
    result = value(jnp.asarray(jnp.maximum(step, 0), jnp.float64), ops)
    result = jnp.broadcast_to(result, jnp.shape(step))
    if dtype == "float64" or is_normal:
        return result.astype(dtype)
    return _to_float32(result)


def _check_whole(step: Any) -> None:
    """Raise a ValueError for known floats that aren't whole numbers up to 2**53."""
    if isinstance(step, jax.core.Tracer) or not jnp.issubdtype(jnp.result_type(step), jnp.floating):
        return
    values = np.asarray(step, np.float64)
    others = values[~((values == np.floor(values)) & (abs(values) <= LARGEST_STEP))]
    if others.size:
        raise ValueError(f"`count` must be a whole number. Received: count={others[0]}")


def _to_float32(x: Any) -> Any:
    # XLA's own conversion flushes numbers below float32's normal range to zero; other hosts don't.
    # There, float32 is fixed-point: its bits are x as a multiple of 2**-149. Adding 2**52 rounds
    # this to a whole number n, and the float32 of 2**23 + n has n in its last bits. A conversion to
    # an integer takes longer.
    multiple = ops.rounded(x * 2.0**149 + 2.0**52) - (2.0**52 - 2.0**23)
    bits = jax.lax.bitcast_convert_type(multiple.astype(jnp.float32), jnp.int32)
    # As a difference it would be computed elsewhere than where floats are.
    subnormal = jax.lax.bitcast_convert_type(bits ^ 0x4B000000, jnp.float32)
    return jnp.where((x >= 0.0) & (x < SMALLEST_NORMAL), subnormal, x.astype(jnp.float32))
