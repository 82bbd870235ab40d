"""Features of TensorFlow alone: graphs, checkpoints, strategies."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.rates import BAND, SCHEDULES, TRIANGULAR2, UPDATES, assert_same, at

STEPS = np.arange(UPDATES)


@pytest.mark.parametrize("shape", [None, [None], [None, None]], ids=["rank", "vector", "matrix"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_graph_with_an_unknown_shape(schedule, shape):
    rates = tf.function(CyclicLR(schedule), input_signature=[tf.TensorSpec(shape, tf.int64)])
    steps = STEPS if shape == [None] else STEPS.reshape(3, 4)
    assert_same(rates(tf.constant(steps)).numpy(), at(schedule, steps))


def test_a_graph_is_traced_once_for_all_steps():
    traced = []

    def scale(x):
        traced.append(x)
        return 1.0 / x

    schedule = CyclicSchedule(**BAND, scale_fn=scale)
    rate, step = CyclicLR(schedule), tf.Variable(0, dtype=tf.int64)
    compiled = tf.function(lambda: rate(step))
    given = []
    for number in STEPS:
        step.assign(number)
        given.append(compiled().numpy())
    assert len(traced) == 1
    assert_same(given, at(schedule))


SCALES = {
    "float32 tensor": lambda x: tf.cast(1.0 / x, tf.float32),
    "int tensor": lambda x: tf.cast(x, tf.int32),
    "float": lambda x: 0.3,
    "int": lambda x: 1,
    "NumPy number": lambda x: np.float32(0.5),
    "keras.ops": lambda x: keras.ops.power(0.5, x - 1),
}


@pytest.mark.parametrize("scale_fn", SCALES.values(), ids=SCALES)
def test_a_callable_may_return_any_number(scale_fn):
    schedule = CyclicSchedule(**BAND, scale_fn=scale_fn)
    given = CyclicLR(schedule)(tf.constant(STEPS))
    expected = [
        CyclicSchedule(**BAND, scale_fn=lambda x, step=step: scale_fn(np.float64(x))).lr(step)
        for step in STEPS.tolist()
    ]
    assert_same(given.numpy(), np.float32(expected))


MIRRORED = """
import json
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from clr_core import CyclicSchedule
from clr_keras import CyclicLR

schedule = CyclicSchedule.from_json({schedule!r})
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    inputs = keras.layers.Input(({updates},))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.SGD(CyclicLR(schedule))
    model.compile(optimizer, "mean_absolute_error", jit_compile=False)
x = np.repeat(np.eye({updates}, dtype="float32"), 2, axis=0)
model.fit(x, np.full((len(x), 1), -1000.0), batch_size=2, shuffle=False, verbose=0)
print(json.dumps((-model.get_weights()[0][:, 0]).tolist()))
"""


def test_mirrored_strategy(python):
    """Two replicas, half of each batch to each."""
    program = MIRRORED.format(schedule=TRIANGULAR2.to_json(), updates=UPDATES)
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert_same(np.float32(eval(done.stdout.splitlines()[-1])), at(TRIANGULAR2))
