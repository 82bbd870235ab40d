"""Under JAX's switches for finding errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_momentum

STEPS = np.arange(60, dtype=np.int32)

SWITCHES = {
    "strict dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "rank promotion raises": lambda: jax.numpy_rank_promotion("raise"),
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "no jit": jax.disable_jit,
    "leaks": jax.checking_leaks,
}


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_same_bits_under(switch, schedule, on_host, same_bits):
    expected = on_host(schedule.lr, STEPS)
    with switch():
        rate, momentum = cyclic_lr(schedule), cyclic_momentum(schedule)
        same_bits(rate(STEPS), expected)
        same_bits(jax.jit(rate)(STEPS), expected)
        same_bits(momentum(STEPS), on_host(schedule.momentum, STEPS))
        scanned = jax.lax.scan(lambda step, _: (step + 1, rate(step)), jnp.int32(0), length=20)[1]
        same_bits(scanned, expected[:20])
        same_bits(rate(7), expected[7])


@pytest.mark.parametrize(
    ("scale_fn", "cycle"),
    [(lambda x: jnp.sqrt(11 - x), 20), (lambda x: 1 / (7 - x), 6)],
    ids=["a root", "infinity"],
)
def test_a_rate_that_is_not_a_number_is_found(scale_fn, cycle):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1, scale_fn=scale_fn)
    with jax.debug_nans(True):
        cyclic_lr(rate_only(schedule))(jnp.int32(1))
        with pytest.raises(FloatingPointError):
            cyclic_lr(rate_only(schedule))(jnp.int32(2 * cycle + 1))


def test_transfer_guard(schedule, on_host, same_bits):
    # Jitted, with its count on the device, nothing has to be sent there.
    step = jax.jit(lambda count: (cyclic_lr(rate_only(schedule))(count), count + 1))
    count, seen = jax.device_put(jnp.int32(0)), []
    with jax.transfer_guard("disallow"):
        for _ in range(20):
            rate, count = step(count)
            seen.append(rate)
    same_bits(seen, on_host(schedule.lr)[:20])
