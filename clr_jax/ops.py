"""The primitives of `clr_core.ops.Ops` in JAX, on float64 arrays, under every transformation."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_FEW = 8
"""To select from so many numbers takes less time than to look them up."""
_LARGEST = float(np.finfo(np.float64).max)

rint = jnp.rint
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
where = jnp.where


def divide(a: Any, b: Any) -> Any:
    # XLA turns a division by a constant into a product with its reciprocal, which may differ in the
    # last bit. This divisor isn't a constant: it is NaN where `a` is. If `a` is the constant, it is
    # no `sqrt(x)` to the compiler, which would take `1 / sqrt(x)` for an operation of its own.
    known = b if isinstance(a, float) else a
    return a / jnp.where(jnp.equal(known, known), b, jnp.nan)


def rounded(x: Any) -> Any:
    # LLVM would fuse `a * b + c` and skip the rounding of the product. It can't look through this
    # minimum; it does look through `lax.optimization_barrier` and `lax.reduce_precision`.
    return jnp.minimum(x, _LARGEST)


def clip(x: Any, low: Any, high: Any) -> Any:
    return jnp.minimum(jnp.maximum(x, low), high)


def fmod(a: Any, b: float) -> Any:
    # The C library's `fmod` is slow, and slower with each doubling of `a / b`. If `b` is whole, the
    # remainder of the integers plus the fraction of `a` is the same number, exactly.
    if not (b.is_integer() and b <= 2.0**53):
        return jnp.fmod(a, b)
    whole = a.astype(jnp.int64)
    return jnp.fmod(whole, int(b)).astype(jnp.float64) + (a - whole.astype(jnp.float64))


def lookup(high: Sequence[float], low: Sequence[float], n: Any) -> tuple[Any, Any]:
    n, size = n.astype(jnp.int32), len(low)  # Shifted and masked: `//` and `%` allow for n < 0.
    return _element(high, n >> size.bit_length() - 1), _element(low, n & size - 1)


def _element(table: Sequence[float], index: Any, dtype: Any = jnp.float64) -> Any:
    # Without the promise, the index is clamped first; without a sharding, an index with an explicit
    # one is refused.
    return (
        jnp.asarray(table, dtype)
        .at[index]
        .get(mode="promise_in_bounds", out_sharding=jax.typeof(index).sharding)
    )


def interval(begins: Sequence[float], x: Any) -> Any:
    if len(begins) <= _FEW:
        return sum((x >= begin).astype(jnp.int32) for begin in begins[1:])
    # A table has the interval at the start of each of some buckets of equal width, so that what is
    # left is to tell apart those that begin within one bucket.
    shift = max(0, int(begins[-1]).bit_length() - len(begins).bit_length() - 1)
    bucket = [int(begin) >> shift for begin in begins[1:]]
    before = [bisect_left(bucket, each) for each in range(bucket[-1] + 1)]
    at = jnp.minimum(x.astype(jnp.int64) >> shift, bucket[-1])
    index = _element(before, at, jnp.int32)
    # By halving, without a branch. Each bit of the rest is set if the interval begins at most at x.
    size = 1 << max(Counter(bucket).values()).bit_length()
    padded = [*begins, *[math.inf] * size]
    while size > 1:
        size //= 2
        index = jnp.where(x >= _element(padded, index + size), index + size, index)
    return index


def take(values: Sequence[float], index: Any) -> Any:
    if len(values) > _FEW:
        return _element(values, index)
    value = jnp.asarray(values[0], jnp.float64)
    for place, (before, each) in enumerate(pairwise(values), start=1):
        if each != before:
            value = jnp.where(index >= place, each, value)
    return value


def power(a: Any, b: Any) -> Any:
    # Halving needs no call of the C library, which takes as long as the rest: the exponent is in
    # the bits of a float32 (those of a float64 aren't available on a TPU). LLVM turns this `where`
    # into a branch and skips the call; with `(b >= 0) & (b < 127)` in it, it would not.
    if not (isinstance(a, float) and a == 0.5):
        return jnp.power(a, b)
    halved = jax.lax.bitcast_convert_type((127 - b.astype(jnp.int32)) << 23, jnp.float32)
    small = (jnp.rint(b) == b) & (jnp.abs(b) < 127.0)
    return jnp.where(small, halved.astype(jnp.float64), jnp.power(a, b))


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    return fn(x)
