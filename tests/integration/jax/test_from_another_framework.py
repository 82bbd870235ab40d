"""A run of a dense network that began in torch resumes in JAX with its momentum."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core.moments import Moments
from clr_core.record import Record
from clr_jax import from_moments, from_record

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="it isn't installed")
SCRIPT = Path(__file__).parents[1] / "keras" / "train_in_torch.py"
BATCHES = 20
SHAPES = [(32, 64), (32,), (10, 32), (10,)]
FACTORIES = {"SGD": optax.sgd, "Adam": optax.adam}
# The libraries' own `matmul` and `tanh` differ by about 1e-7 in each update. Adam divides by the
# root of the second moment, which enlarges the difference where the gradient is small.
CLOSE = {"SGD": 5e-7, "Adam": 2e-5}


def to_tree(arrays):
    """Torch keeps the layers' order and has weights as (out, in); JAX sorts a dict by its keys."""
    weights, biases = arrays[0::2], arrays[1::2]
    return {
        layer: {"bias": np.asarray(bias), "kernel": np.asarray(weight).T}
        for layer, weight, bias in zip(("hidden", "last"), weights, biases, strict=True)
    }


def stored(path):
    with np.load(path) as file:
        return to_tree([file[str(index)] for index in range(len(SHAPES))])


@pytest.fixture(params=FACTORIES)
def begun(request, tmp_path):
    random = np.random.default_rng(3)
    start = {f"start/{n}": random.normal(size=shape) / 8 for n, shape in enumerate(SHAPES)}
    images = random.random((BATCHES, 16, 64)).astype("float32")
    labels = random.integers(0, 10, (BATCHES, 16))
    np.savez(tmp_path / "data.npz", images=images, labels=labels, **start)
    done = subprocess.run(
        [sys.executable, "-P", SCRIPT, tmp_path, request.param],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return request.param, tmp_path, images[BATCHES // 2 :], labels[BATCHES // 2 :]


def resume(begun, with_moments):
    name, folder, images, labels = begun
    weights = jax.tree.map(jnp.asarray, stored(folder / "half.npz"))
    record = Record.read(folder / "run.json")
    assert record.step == BATCHES // 2
    optimizer, state = from_record(record, FACTORIES[name], weights)
    if with_moments:
        moments = Moments.read(folder / "moments.npz")
        state = from_moments(moments.rearranged(lambda each: jax.tree.leaves(to_tree(each))), state)

    @jax.jit
    def update(weights, state, images, labels):
        def loss(weights):
            hidden, last = weights["hidden"], weights["last"]
            outputs = jnp.tanh(images @ hidden["kernel"] + hidden["bias"])
            logits = outputs @ last["kernel"] + last["bias"]
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
        return optax.apply_updates(weights, updates), state

    for each in zip(images, labels, strict=True):
        weights, state = update(weights, state, *each)
    end = stored(folder / "end.npz")
    return max(
        np.abs(given - wanted).max()
        for given, wanted in zip(jax.tree.leaves(weights), jax.tree.leaves(end), strict=True)
    )


def test_the_weights_are_those_of_the_run_that_stayed(begun):
    assert resume(begun, with_moments=True) < CLOSE[begun[0]]
    # Without its momentum it is another run.
    assert resume(begun, with_moments=False) > 10 * CLOSE[begun[0]]
