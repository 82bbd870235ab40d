"""A training on digits that is saved to files and resumes in a new process.

Run as a script, it prints the bits of the final weights. Arguments: the folder, the name of the
library that wrote it, the name of the optimizer, the number of the next update.
"""

import functools
import json
import sys
from pathlib import Path

import equinox
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
from sklearn.datasets import load_digits

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_optimizer

CALLS = 14
SCHEDULE = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.01,
    step_size_up=3,
    step_size_down=2.5,
    mode="triangular2",
    base_momentum=0.0,
    max_momentum=0.9,
)
OTHER = CyclicSchedule(base_lr=0.002, max_lr=0.02, step_size_up=4, mode="exp_range", gamma=0.97)
LABELS = {"hidden": "body", "last": "head"}

OPTIMIZERS = {
    "sgd": lambda schedule: cyclic_optimizer(optax.sgd, schedule),
    "adam": lambda schedule: cyclic_optimizer(optax.adam, schedule),
    "a rate": lambda schedule: optax.adam(cyclic_lr(rate_only(schedule))),
    "chain": lambda schedule: optax.chain(
        optax.clip_by_global_norm(1.0), cyclic_optimizer(optax.sgd, schedule, nesterov=True)
    ),
    "MultiSteps": lambda schedule: optax.MultiSteps(cyclic_optimizer(optax.adam, schedule), 2),
    "masked": lambda schedule: optax.masked(
        cyclic_optimizer(optax.adam, schedule), {"hidden": True, "last": False}
    ),
    "partition": lambda schedule: optax.partition(
        {
            "body": cyclic_optimizer(optax.adam, schedule),
            "head": cyclic_optimizer(optax.sgd, OTHER, momentum=0.9),
        },
        LABELS,
    ),
}


@functools.cache
def digits():
    pixels, labels = load_digits(return_X_y=True)
    return jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(labels)


def initial(optimizer):
    keys = jax.random.split(jax.random.key(0))
    weights = {
        "hidden": 0.1 * jax.random.normal(keys[0], (64, 16)),
        "last": 0.1 * jax.random.normal(keys[1], (16, 10)),
    }
    return {"weights": weights, "state": optimizer.init(weights)}


def call(optimizer, training, pixels, labels):
    """One call of the optimizer, on one batch: in MultiSteps, an update every second time."""

    def loss(weights):
        logits = jax.nn.relu(pixels @ weights["hidden"]) @ weights["last"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    weights, state = training["weights"], training["state"]
    updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
    return {"weights": optax.apply_updates(weights, updates), "state": state}


@functools.cache
def compiled(optimizer):
    return jax.jit(functools.partial(call, optimizer))


def run(optimizer, training, first, last):
    """The calls from `first` up to `last`, exclusive; the number of a call selects its batch."""
    pixels, labels = digits()
    for number in range(first, last):
        batch = slice(32 * number, 32 * (number + 1))
        training = compiled(optimizer)(training, pixels[batch], labels[batch])
    return training


def bits(training):
    return {name: np.asarray(each).tobytes().hex() for name, each in training["weights"].items()}


class Orbax:
    """A folder; the loaded tree must have the requested structure, shapes and dtypes."""

    @staticmethod
    def save(path, tree):
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, tree)

    @staticmethod
    def load(path, like):
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(path, like)


class Flax:
    """One file of msgpack, with the names of fields and keys."""

    @staticmethod
    def save(path, tree):
        path.write_bytes(flax.serialization.to_bytes(tree))

    @staticmethod
    def load(path, like):
        return flax.serialization.from_bytes(like, path.read_bytes())


class Equinox:
    """One file with the leaves, one after the other and without their names."""

    @staticmethod
    def save(path, tree):
        equinox.tree_serialise_leaves(path, tree)

    @staticmethod
    def load(path, like):
        return equinox.tree_deserialise_leaves(path, like)


LIBRARIES = {"orbax": Orbax, "flax": Flax, "equinox": Equinox}


def save(folder, library, schedule, training):
    """None of the libraries saves the schedule, so it is written beside the state."""
    (folder / "schedule.json").write_text(schedule.to_json(), encoding="utf-8")
    LIBRARIES[library].save(folder / "training", training)


def main(folder, library, name, number):
    text = (Path(folder) / "schedule.json").read_text(encoding="utf-8")
    optimizer = OPTIMIZERS[name](CyclicSchedule.from_json(text))
    training = LIBRARIES[library].load(Path(folder) / "training", initial(optimizer))
    print(json.dumps(bits(run(optimizer, training, int(number), CALLS))))


if __name__ == "__main__":
    main(*sys.argv[1:])
