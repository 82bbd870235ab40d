"""The primitives that don't call the C library have the bits of Python's, which does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clr_jax import ops

HOW = pytest.mark.parametrize(
    "how",
    [lambda fn: fn, jax.jit, lambda fn: jax.jit(lambda xs: jax.lax.map(fn, xs))],
    ids=["eager", "jit", "one at a time"],
)


def computed(how, fn, values):
    with jax.enable_x64(True):
        return np.asarray(how(fn)(jnp.asarray(values, jnp.float64)))


@HOW
@pytest.mark.parametrize(
    "size", [1.0, 3.0, 4000.0, 2.0**31, 2.0**40 + 3, 2.0**53 - 1, 2.0**53, 2.0**60, 2.5, 33.3]
)
def test_remainder(how, size, same_bits):
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            np.arange(1000.0),
            rng.integers(0, 2**53, 500, endpoint=True).astype(float),
            rng.uniform(0, 10_000, 500),
            np.nextafter(size * np.arange(1, 6), 0),
            [2.0**53, 2.0**62, 0.5, 2.0**-1000],
        ]
    )
    expected = np.array([math.fmod(value, size) for value in values])
    same_bits(computed(how, lambda value: ops.fmod(value, size), values), expected)


@HOW
def test_halvings_are_exact(how, same_bits):
    exponents = np.arange(-1022.0, 1023.0)
    expected = np.ldexp(1.0, -exponents.astype(int))
    same_bits(computed(how, lambda exponent: ops.power(0.5, exponent), exponents), expected)


@HOW
def test_other_powers(how):
    rng = np.random.default_rng(0)
    exponents = np.concatenate([rng.uniform(-130, 130, 1000), [1e-300, 126.5, 2.0**52 + 1, -0.0]])
    for base in (0.5, 0.25, 0.999, 2.0):
        values = computed(how, lambda exponent, base=base: ops.power(base, exponent), exponents)
        with np.errstate(over="ignore", under="ignore"):
            expected = np.power(base, exponents)
        # Each library's `pow` is correct to about an ulp, and XLA has one more, vectorized.
        np.testing.assert_allclose(values, expected, rtol=4 * np.finfo(float).eps)


@HOW
def test_powers_at_the_ends(how):
    exponents = [np.inf, -np.inf, np.nan, 2000.0, -2000.0]
    values = computed(how, lambda exponent: ops.power(0.5, exponent), exponents)
    np.testing.assert_array_equal(values, [0.0, np.inf, np.nan, 0.0, np.inf])
