"""A model whose weights show, to the bit, the rates that it was trained with.

It has a weight for each update: the input of update k is 1 in place k and 0 elsewhere, and the
gradient at a 1 is exactly 1. Plain SGD moves weight k from 0 to minus the rate, and no other.
"""

import keras
import numpy as np

from clr_core import CyclicSchedule

UPDATES = 12
# Far below each output, so that the gradient of the absolute error is 1.
TARGET = -1000.0

BAND = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 3, "step_size_down": 2.5}
TRIANGULAR = CyclicSchedule(**BAND)
TRIANGULAR2 = CyclicSchedule(**BAND, mode="triangular2")
EXP_RANGE = CyclicSchedule(**BAND, mode="exp_range", gamma=0.9)
BY_CYCLE = CyclicSchedule(**BAND, scale_fn="0.5 + 0.5 / x")
BY_ITERATION = CyclicSchedule(**BAND, scale_fn="1 / 5 ** (x * 0.1)", scale_mode="iterations")
SCHEDULES = {
    "triangular": TRIANGULAR,
    "triangular2": TRIANGULAR2,
    "exp_range": EXP_RANGE,
    "by_cycle": BY_CYCLE,
    "by_iteration": BY_ITERATION,
}


def model(optimizer, **options):
    made = keras.Sequential(
        [
            keras.layers.Input((UPDATES,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    made.compile(optimizer, loss="mean_absolute_error", **options)
    return made


def data(updates):
    """A batch of one for each of `updates`."""
    x = np.eye(UPDATES, dtype="float32")[list(updates)]
    return x, np.full((len(x), 1), TARGET, dtype="float32")


def fit(trained, updates=range(UPDATES), **options):
    options = {"batch_size": 1, "shuffle": False, "verbose": 0} | options
    trained.fit(*data(updates), **options)


def used(trained):
    """The rate of each update."""
    return -trained.get_weights()[0][:, 0]


def at(schedule, steps=range(UPDATES)):
    """The expected rates."""
    return np.float32(schedule.lr(np.asarray(steps)))


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def assert_same(given, expected):
    """The same shape, float32, and the same bits."""
    given, expected = np.asarray(given), np.asarray(expected)
    assert (given.dtype, given.shape) == (np.float32, expected.shape)
    np.testing.assert_array_equal(given, expected)
