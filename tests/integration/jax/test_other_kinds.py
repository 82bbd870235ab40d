"""The adapter takes any kind of schedule, also an unknown one, and one that holds others."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import Record
from clr_core.adapter import rate_only
from clr_jax import (
    current_lr,
    current_momentum,
    from_record,
    scheduled_lr,
    scheduled_momentum,
    scheduled_optimizer,
    set_step,
    to_record,
)
from other_kinds import DRIVEN, other_kinds

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

EACH = pytest.mark.parametrize("schedule", DRIVEN.values(), ids=DRIVEN)
STEPS = np.arange(40, dtype=np.int32)


@EACH
def test_rates_jitted_and_not(schedule):
    # A library's cosine may differ from Python's in the last bit of a float64, which a float32
    # shows at a midpoint only; there is none among these.
    expected = np.array([schedule.lr(int(step)) for step in STEPS], np.float32)
    for curve in (scheduled_lr(rate_only(schedule)), jax.jit(scheduled_lr(rate_only(schedule)))):
        np.testing.assert_array_equal(curve(STEPS), expected)
    momenta = np.array([schedule.momentum(int(step)) for step in STEPS], np.float32)
    np.testing.assert_array_equal(jax.jit(scheduled_momentum(schedule))(STEPS), momenta)


@EACH
def test_state_and_records(schedule):
    optimizer = scheduled_optimizer(optax.sgd, schedule)
    weight = jnp.zeros(3)

    @jax.jit
    def update(state):
        return optimizer.update(jnp.ones(3), state, weight)[1]

    state = optimizer.init(weight)
    for _ in range(13):
        state = update(state)
    record = to_record(schedule, state)
    assert record == Record(schedule, 13)
    _, resumed = from_record(record, optax.sgd, weight)
    for each in (resumed, set_step(optimizer.init(weight), record.step)):
        assert current_lr(update(each)) == np.float32(schedule.lr(13))
        assert current_momentum(update(each)) == np.float32(schedule.momentum(13))
