"""The code that `clr migrate` writes for JAX: the rates and momenta that each update uses."""

import jax.numpy as jnp
import pytest

import migrate_cases as cases
import oracle
from clr_cli.migrate import migrate
from clr_core import CyclicSchedule
from clr_jax import current_lr, current_momentum

STEPS = 20


@pytest.mark.parametrize("name", cases.all_cases())
def test_the_replacement_follows_the_schedule(name):
    source, means = cases.all_cases()[name]
    (finding,) = migrate(source, "train.py", to="jax")
    names = {}
    exec(compile(finding.replacement, "train.py", "exec"), names)
    document = CyclicSchedule(**means).to_dict()
    if "learning_rate" in names:
        for step in range(STEPS):
            rate = float(names["learning_rate"](step))
            assert rate == oracle.to_float32(oracle.lr(document, step))
        return
    weights = jnp.ones(3)
    state = names["optimizer"].init(weights)
    for step in range(STEPS):
        _, state = names["optimizer"].update(2 * weights, state, weights)
        assert float(current_lr(state)) == oracle.to_float32(oracle.lr(document, step))
        momentum = oracle.to_float32(oracle.momentum(document, step))
        assert float(current_momentum(state)) == momentum
