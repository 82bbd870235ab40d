"""Keras on the backend that KERAS_BACKEND names: a schedule in a real `keras.optimizers.SGD`."""

import keras

import clr_keras

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
MAX_STEP = 2**53 if BACKEND == "tensorflow" else 2**31 - 1  # `iterations` is int64 there only.


def _compiled_if_many(function, steps):
    """The function, in a graph if it is called often: tracing takes as long as 50 calls."""
    if BACKEND == "tensorflow" and len(steps) > 50:
        return tf.function(function, autograph=False)
    return function


def lrs(schedule, steps):
    """The rate that an optimizer has after so many updates."""
    optimizer = keras.optimizers.SGD(clr_keras.CyclicLR.of(schedule))
    rate = _compiled_if_many(lambda: optimizer.learning_rate, steps)
    used = []
    for step in steps:
        optimizer.iterations.assign(step)
        used.append(float(rate()))
    return used


def moves(schedule, steps):
    """How far one update moves a weight."""
    optimizer = keras.optimizers.SGD(clr_keras.CyclicLR.of(schedule))
    weight = keras.Variable(0.0)
    optimizer.build([weight])
    gradient = keras.ops.convert_to_tensor(-1.0)
    moved = []
    for step in steps:
        optimizer.iterations.assign(step)
        weight.assign(0.0)
        optimizer.apply([gradient])
        moved.append(keras.ops.convert_to_numpy(weight).item())
    return moved


def momenta(schedule, steps):
    """What is left of a velocity of 1 when an update has no gradient: the momentum that it used."""
    optimizer = clr_keras.SGD(schedule)
    optimizer.build([keras.Variable(0.0)])
    (velocity,) = optimizer.momentums
    gradient = keras.ops.convert_to_tensor(0.0)
    apply = _compiled_if_many(lambda: optimizer.apply([gradient]), steps)
    used = []
    for step in steps:
        optimizer.iterations.assign(step)
        velocity.assign(1.0)
        apply()
        used.append(keras.ops.convert_to_numpy(velocity).item())
    return used


def _called(schedule, steps):
    steps = keras.ops.convert_to_tensor(steps)
    return keras.ops.convert_to_numpy(clr_keras.CyclicLR.of(schedule)(steps))


def _compiled(compiler):
    def compiled(schedule, steps):
        steps = keras.ops.convert_to_tensor(steps)
        return keras.ops.convert_to_numpy(compiler(clr_keras.CyclicLR.of(schedule))(steps))

    return compiled


CURVES = {"called": _called}
FLOAT64 = {}
if BACKEND == "tensorflow":
    import clr_keras.ops

    CURVES |= {
        "graph": _compiled(lambda rate: tf.function(rate, autograph=False)),
        "XLA": _compiled(lambda rate: tf.function(rate, jit_compile=True, autograph=False)),
    }

    def _float64(how):
        def float64(schedules, steps):
            def rate(schedule, step):
                at = tf.maximum(tf.cast(step, tf.float64), 0.0)
                return tf.broadcast_to(schedule.lr(at, clr_keras.ops), tf.shape(step))

            def program(*steps):
                return list(map(rate, schedules, steps))

            return [each.numpy() for each in how(program)(*map(tf.constant, steps))]

        return float64

    FLOAT64 = {
        "eager": _float64(lambda rate: rate),
        "graph": _float64(lambda rate: tf.function(rate, autograph=False)),
        "XLA": _float64(lambda rate: tf.function(rate, jit_compile=True, autograph=False)),
    }
elif BACKEND == "jax":
    import jax

    CURVES |= {"jit": _compiled(jax.jit)}
else:
    import torch

    # Without the reset, the limit on recompilations would make it eager after a few schedules.
    def _torch_compile(rate):
        torch.compiler.reset()
        return torch.compile(rate)

    CURVES |= {"torch.compile": _compiled(_torch_compile)}
    EVERY = {"torch.compile": 3}
