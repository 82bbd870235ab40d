"""`Ops` of JAX: float64 in an x64 context of its own, under every transformation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_THIS = sys.modules[__name__]  # An `Ops` is a module.
_LARGEST = float(np.finfo(np.float64).max)

fmod = jnp.fmod
rint = jnp.rint
power = jnp.power
minimum = jnp.minimum
maximum = jnp.maximum
sin = jnp.sin
cos = jnp.cos
tanh = jnp.tanh
exp = jnp.exp
log = jnp.log
sqrt = jnp.sqrt
abs = jnp.abs
floor = jnp.floor


def divide(a: Any, b: Any) -> Any:
    # XLA turns a division by a constant into a product with its reciprocal, which may differ in the
    # last bit. This divisor isn't a constant: it is NaN where `a` is.
    return a / jnp.where(jnp.equal(a, a), b, jnp.nan)


def rounded(x: Any) -> Any:
    # LLVM would fuse `a * b + c` and skip the rounding of the product. It can't look through this
    # minimum; it does look through `lax.optimization_barrier` and `lax.reduce_precision`.
    return jnp.minimum(x, _LARGEST)


def clip(x: Any, low: float, high: float) -> Any:
    return jnp.minimum(jnp.maximum(x, low), high)


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    return fn(x)


def evaluate(curve: Callable[[Any, Any], Any], step: Any, dtype: str = "float32") -> jax.Array:
    """`curve(step, ops)`, strongly typed, of `step`'s shape; below 0 a step counts as 0."""
    with jax.enable_x64(True):
        return _evaluate(curve, dtype, step)


# Inlined, so that it leaves no trace in a traced program; eagerly it is one call and not twenty.
@partial(jax.jit, static_argnums=(0, 1), inline=True)
def _evaluate(curve: Callable[[Any, Any], Any], dtype: str, step: Any) -> jax.Array:
    if not jnp.issubdtype(jnp.result_type(step), jnp.integer):
        raise TypeError(f"`count` must be an integer. Received: dtype {jnp.result_type(step)}")
    value = curve(jnp.maximum(jnp.asarray(step, jnp.float64), 0.0), _THIS)
    value = jnp.broadcast_to(value, jnp.shape(step))
    return value.astype(jnp.float64) if dtype == "float64" else _to_float32(value)


def _to_float32(x: Any) -> Any:
    # XLA's own conversion flushes what is below float32's normal range to zero, other hosts don't.
    # There, float32 is fixed-point: its bits are the number of times that 2**-149 fits in.
    subnormal = jax.lax.bitcast_convert_type(jnp.rint(x * 2.0**149).astype(jnp.int32), jnp.float32)
    return jnp.where((x >= 0.0) & (x < 2.0**-126), subnormal, x.astype(jnp.float32))
