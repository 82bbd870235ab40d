"""`Ops` of TensorFlow: float64 tensors, eager, in a graph, or compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def _of_float64(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    # TensorFlow converts a Python float to float32, unless the other operand is a tensor.
    def of_float64(*arguments: Any) -> tf.Tensor:
        return function(*(tf.convert_to_tensor(x, tf.float64) for x in arguments))

    return of_float64


def divide(a: Any, b: Any) -> tf.Tensor:
    # XLA turns a division by a constant into a product with its reciprocal, which may differ in the
    # last bit. This divisor isn't a constant: it is NaN where `a` is. If `a` is the constant, it is
    # no `sqrt(x)` to the compiler, which would take `1 / sqrt(x)` for an operation of its own.
    nan = tf.constant(float("nan"), tf.float64)
    known = b if isinstance(a, float) else a
    return tf.convert_to_tensor(a, tf.float64) / tf.where(
        tf.equal(known, known), tf.convert_to_tensor(b, tf.float64), nan
    )


@_of_float64
def rounded(x: tf.Tensor) -> tf.Tensor:
    # LLVM would fuse `a * b + c` and skip the rounding of the product. It can't look through this.
    return tf.minimum(x, tf.float64.max)


fmod = _of_float64(tf.math.floormod)  # The same for a >= 0 and b > 0.
clip = _of_float64(tf.clip_by_value)
rint = _of_float64(tf.math.rint)
power = _of_float64(tf.pow)
minimum = _of_float64(tf.minimum)
maximum = _of_float64(tf.maximum)
sin = _of_float64(tf.sin)
cos = _of_float64(tf.cos)
tanh = _of_float64(tf.tanh)
exp = _of_float64(tf.exp)
log = _of_float64(tf.math.log)
sqrt = _of_float64(tf.sqrt)
abs = _of_float64(tf.abs)
floor = _of_float64(tf.floor)


def lookup(high: Sequence[float], low: Sequence[float], n: Any) -> tuple[Any, Any]:
    n = tf.cast(n, tf.int32)
    upper, lower = (tf.constant(x, tf.float64) for x in (high, low))
    return tf.gather(upper, n // len(low)), tf.gather(lower, n % len(low))


def interval(begins: Sequence[float], x: Any) -> Any:
    flat = tf.reshape(x, [-1])
    found = tf.searchsorted(tf.constant(begins, tf.float64), flat, side="right") - 1
    return tf.reshape(found, tf.shape(x))


def take(values: Sequence[float], index: Any) -> Any:
    return tf.gather(tf.constant(values, tf.float64), index)


def where(condition: Any, a: Any, b: Any) -> tf.Tensor:
    a, b = (tf.convert_to_tensor(x, tf.float64) for x in (a, b))
    return tf.where(condition, a, b)


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    value = fn(x)
    # TensorFlow multiplies no float32 with a float64, and `keras.ops` gives float32 at times.
    return tf.cast(value, tf.float64) if tf.is_tensor(value) else value
