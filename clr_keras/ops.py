"""`Ops` of TensorFlow: float64 tensors, eager, in a graph, or compiled by XLA."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_THIS = sys.modules[__name__]  # An `Ops` is a module.


def _of_float64(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    # Of itself TensorFlow makes a Python float a float32, unless a tensor stands beside it.
    def of_float64(*arguments: Any) -> tf.Tensor:
        return function(*(tf.convert_to_tensor(x, tf.float64) for x in arguments))

    return of_float64


def _divide(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    # XLA turns a division by a constant into a product with its reciprocal, which may differ in the
    # last bit. This divisor isn't a constant: it is NaN where `a` is.
    return a / tf.where(tf.equal(a, a), b, tf.constant(float("nan"), tf.float64))


def _rounded(x: tf.Tensor) -> tf.Tensor:
    # LLVM would fuse `a * b + c` and skip the rounding of the product. It can't look through this.
    return tf.minimum(x, tf.float64.max)


divide = _of_float64(_divide)
rounded = _of_float64(_rounded)
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


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    value = fn(x)
    # TensorFlow multiplies no float32 with a float64, and `keras.ops` gives float32 at times.
    return tf.cast(value, tf.float64) if tf.is_tensor(value) else value


def evaluate(curve: Callable[[Any, Any], Any], step: Any) -> tf.Tensor:
    """`curve(step, ops)` as a float32 tensor of `step`'s shape; below 0 a step counts as 0."""
    at = tf.maximum(tf.cast(step, tf.float64), 0.0)
    value = tf.convert_to_tensor(curve(at, _THIS), tf.float64)
    return _to_float32(tf.broadcast_to(value, tf.shape(step)))


def _to_float32(x: tf.Tensor) -> tf.Tensor:
    # TensorFlow's own conversion flushes what is below float32's normal range to zero, other hosts
    # don't. There, float32 is fixed-point: its bits are the number of times that 2**-149 fits in.
    subnormal = tf.bitcast(tf.cast(tf.math.rint(x * 2.0**149), tf.int32), tf.float32)
    return tf.where((x >= 0.0) & (x < 2.0**-126), subnormal, tf.cast(x, tf.float32))
