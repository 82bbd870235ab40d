"""A schedule's value at a tensor of TensorFlow, rounded once to float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from clr_keras import ops


def evaluate(value: Callable[[Any, Any], Any], step: Any) -> tf.Tensor:
    """`value(step, ops)` as a float32 tensor of the shape of `step`.

    Args:
        value: A schedule's `lr` or `momentum`.
        step: An integer tensor; below 0 it counts as 0.
    """
    at = tf.maximum(tf.cast(step, tf.float64), 0.0)
    x = tf.broadcast_to(tf.convert_to_tensor(value(at, ops), tf.float64), tf.shape(step))
    # TensorFlow's own conversion flushes numbers below float32's normal range to zero; other hosts
    # don't. In that range float32 is fixed-point: its bits are the number of times that 2**-149
    # fits in.
    subnormal = tf.bitcast(tf.cast(tf.math.rint(x * 2.0**149), tf.int32), tf.float32)
    return tf.where((x >= 0.0) & (x < 2.0**-126), subnormal, tf.cast(x, tf.float32))
