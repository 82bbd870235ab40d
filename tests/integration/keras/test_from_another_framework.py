"""A run of a dense network that began in torch resumes in Keras with its momentum."""

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

import clr_keras
from clr_core.moments import Moments
from clr_core.record import Record
from integration.keras.rates import numbers

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="it isn't installed")
BATCHES = 20
SHAPES = [(32, 64), (32,), (10, 32), (10,)]
MAKERS = {
    "SGD": lambda record: clr_keras.from_record(record, clr_keras.SGD, torch_velocity=True),
    "Adam": lambda record: clr_keras.from_record(record, clr_keras.Adam, epsilon=1e-8),
}
# The libraries' own `matmul` and `tanh` part by about 1e-7 in each update. Adam divides by the root
# of the second moment, and adds its epsilon to it at another place.
CLOSE = {"SGD": 5e-7, "Adam": 2e-5}


def turned(arrays):
    """Torch's `Linear` is (out, in), Keras's `Dense` (in, out)."""
    return [np.asarray(array).T for array in arrays]


def stored(path):
    with np.load(path) as file:
        return turned([file[str(index)] for index in range(len(SHAPES))])


@pytest.fixture(params=MAKERS)
def begun(request, tmp_path, python):
    random = np.random.default_rng(3)
    start = {f"start/{n}": random.normal(size=shape) / 8 for n, shape in enumerate(SHAPES)}
    images = random.random((BATCHES, 16, 64)).astype("float32")
    labels = random.integers(0, 10, (BATCHES, 16))
    np.savez(tmp_path / "data.npz", images=images, labels=labels, **start)
    script = Path(__file__).with_name("train_in_torch.py")
    done = python(script, tmp_path, request.param)
    assert done.returncode == 0, done.stderr
    return request.param, tmp_path, images[BATCHES // 2 :], labels[BATCHES // 2 :]


def resumed(begun, with_moments):
    name, folder, images, labels = begun
    dense = keras.layers.Dense
    network = keras.Sequential([keras.layers.Input((64,)), dense(32, activation="tanh"), dense(10)])
    network.set_weights(stored(folder / "half.npz"))
    record = Record.read(folder / "run.json")
    assert record.step == BATCHES // 2
    optimizer = MAKERS[name](record)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer, loss, jit_compile=False)
    optimizer.build(network.trainable_variables)
    if with_moments:
        moments = Moments.read(folder / "moments.npz").rearranged(turned)
        clr_keras.from_moments(moments, optimizer)
    for each in zip(images, labels, strict=True):
        network.train_on_batch(*each)
    assert numbers(optimizer.iterations) == BATCHES
    end = stored(folder / "end.npz")
    pairs = zip(network.get_weights(), end, strict=True)
    return max(np.abs(given - wanted).max() for given, wanted in pairs)


def test_the_weights_are_those_of_the_run_that_stayed(begun):
    assert resumed(begun, with_moments=True) < CLOSE[begun[0]]
    # Without its momentum it is another run.
    assert resumed(begun, with_moments=False) > 10 * CLOSE[begun[0]]
