"""States written by earlier versions can be read: `states/` holds one of each kind.

That is a training as msgpack of flax (weights and state), and beside it as JSON: the schedule, the
step, and the float32 rate and momentum of the update that comes next. A state is added when the
form changes (write_states.py), and none is ever changed or taken away. Their decays are such as
every platform computes to the same last bit.
"""

import json
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oracle
from clr_core import CyclicSchedule, schedule_from_dict
from clr_jax import current_lr, current_momentum, cyclic_optimizer, schedule_counts

STATES = Path(__file__).with_name("states")
NAMES = sorted(path.stem for path in STATES.glob("*.json"))
MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.95}
# By the part of a file's name after the version.
OPTIMIZERS = {
    "adam": lambda schedule: cyclic_optimizer(optax.adam, schedule),
    "chain": lambda schedule: optax.chain(
        optax.clip_by_global_norm(1.0), cyclic_optimizer(optax.sgd, schedule, nesterov=True)
    ),
}
SCHEDULES = {
    "adam": CyclicSchedule(
        base_lr=0.001,
        max_lr=0.006,
        step_size_up=7,
        step_size_down=12.5,
        mode="triangular2",
        **MOMENTA,
    ),
    "chain": CyclicSchedule(
        base_lr=0.0001,
        max_lr=0.0006,
        step_size_up=20,
        scale_fn="1 / (1 + x / 1000)",
        scale_mode="iterations",
        **MOMENTA,
    ),
}


def fresh(name, schedule):
    optimizer, weights = OPTIMIZERS[name](schedule), {"w": jnp.linspace(-1.0, 1.0, 3)}
    return optimizer, weights, optimizer.init(weights)


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_state_is_read(name):
    about = json.loads((STATES / f"{name}.json").read_text(encoding="utf-8"))
    schedule = schedule_from_dict(about["schedule"])
    optimizer, weights, state = fresh(name.partition("-")[2], schedule)
    restored = flax.serialization.from_bytes(
        {"weights": weights, "state": state}, (STATES / f"{name}.msgpack").read_bytes()
    )
    counts = schedule_counts(restored["state"])
    assert len(counts) == 3
    assert {int(count) for count in counts.values()} == {about["step"]}
    weights, state = restored["weights"], restored["state"]
    updates, state = optimizer.update(weights, state, weights)
    assert np.all(updates["w"])
    for exact, used, stored in (
        (oracle.lr, current_lr(state), about["next update"]["lr"]),
        (oracle.momentum, current_momentum(state), about["next update"]["momentum"]),
    ):
        assert used.dtype == np.float32
        assert float(used) == float.fromhex(stored)
        assert float(used) == oracle.to_float32(exact(about["schedule"], about["step"]))


def test_there_are_stored_states():
    assert NAMES
    assert {path.stem for path in STATES.glob("*.msgpack")} == set(NAMES)
