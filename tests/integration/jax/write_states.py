"""Writes a state of this version for test_stored_states.py. Run by hand if the format changes.

    PYTHONPATH=tests .venv/bin/python -P tests/integration/jax/write_states.py

A stored state is never changed: if a file exists already, this stops.
"""

import json
from importlib.metadata import version

import flax.serialization
import jax.numpy as jnp
import optax

from clr_jax import current_lr, current_momentum
from integration.jax.test_stored_states import OPTIMIZERS, SCHEDULES, STATES, fresh

UPDATES = 25


def write(name):
    stem = f"{version('cyclical-lr')}-{name}"
    optimizer, weights, state = fresh(name, SCHEDULES[name])
    for update in range(UPDATES):
        gradients = {"w": jnp.cos(weights["w"] + update)}
        updates, state = optimizer.update(gradients, state, weights)
        weights = optax.apply_updates(weights, updates)
    _, after = optimizer.update(weights, state, weights)
    used = {
        "lr": float(current_lr(after)).hex(),
        "momentum": float(current_momentum(after)).hex(),
    }
    about = {"schedule": SCHEDULES[name].to_dict(), "step": UPDATES, "next update": used}
    with (STATES / f"{stem}.msgpack").open("xb") as file:
        file.write(flax.serialization.to_bytes({"weights": weights, "state": state}))
    with (STATES / f"{stem}.json").open("x", encoding="utf-8") as file:
        file.write(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    for each in OPTIMIZERS:
        write(each)
