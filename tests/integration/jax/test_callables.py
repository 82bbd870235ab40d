"""A Python callable as `scale_fn` is traced, so that JAX must be able to trace it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clr_core import CyclicSchedule
from clr_jax import cyclic_lr


def schedule(scale_fn, **arguments):
    return CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=3, scale_fn=scale_fn, **arguments)


WRITTEN_TWICE = [
    (lambda x: 1 / (1 + x), "1 / (1 + x)"),
    (lambda x: 0.5 ** (x - 1), "0.5 ** (x - 1)"),
    (lambda x: jnp.minimum(x, 5.0) / 8, "min(x, 5) / 8"),
    (lambda x: jnp.where(x < 3, 1.0, 0.5), "0.5 + 0.5 * min(1, max(0, 3 - x))"),
    (lambda x: 0.25, "0.25"),
]


@pytest.mark.parametrize(
    ("scale_fn", "text"), WRITTEN_TWICE, ids=[text for _, text in WRITTEN_TWICE]
)
@pytest.mark.parametrize("scale_mode", ["cycle", "iterations"])
def test_a_callable_gives_the_rates_of_its_expression(scale_fn, text, scale_mode, same_bits):
    steps = np.arange(100, dtype=np.int32)
    expected = [schedule(text, scale_mode=scale_mode).lr(int(step)) for step in steps]
    rate = cyclic_lr(schedule(scale_fn, scale_mode=scale_mode))
    for each in (rate, jax.jit(rate), jax.vmap(rate)):
        same_bits(each(steps), np.array(expected, np.float32))
    scanned = jax.lax.scan(lambda step, _: (step + 1, rate(step)), 0, length=100)[1]
    same_bits(scanned, np.array(expected, np.float32))


def test_is_traced_in_float64_with_the_number_of_the_cycle():
    seen = []

    def note(x):
        seen.append((x.dtype, x.shape, isinstance(x, jax.core.Tracer)))
        return x * 0.0 + 1.0

    jax.jit(cyclic_lr(schedule(note)))(jnp.arange(3))
    assert seen == [(jnp.float64, (3,), True)]
    assert float(cyclic_lr(schedule(lambda x: x))(3)) == np.float32(0.5)  # Cycle 1.


@pytest.mark.parametrize(
    ("scale_fn", "error"),
    [
        (lambda x: math.sin(x), TypeError),
        (lambda x: np.sin(x), jax.errors.TracerArrayConversionError),
        (lambda x: 1.0 if x > 3 else 0.5, jax.errors.TracerBoolConversionError),
    ],
    ids=["math", "NumPy", "if"],
)
def test_what_cannot_be_traced_is_jaxs_error(scale_fn, error):
    # And not one of ours, which would hide the remedy.
    for rate in (cyclic_lr(schedule(scale_fn)), jax.jit(cyclic_lr(schedule(scale_fn)))):
        with pytest.raises(error):
            rate(jnp.int32(3))
