"""float32 in plain Python: rounding, bits, and distances."""

import math

import pytest

from clr_core._float32 import float32, same_bits, ulps_apart

LARGEST = (2 - 2.0**-23) * 2.0**127
SMALLEST = 2.0**-149


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (0.1, 0.10000000149011612),
        (1 + 2.0**-24, 1.0),  # Halfway between two, to the even one.
        (1 + 3 * 2.0**-24, 1 + 2.0**-22),
        (SMALLEST, SMALLEST),
        (SMALLEST / 2, 0.0),
        (LARGEST, LARGEST),
        (1e39, math.inf),
        (-1e39, -math.inf),
        (math.inf, math.inf),
    ],
)
def test_rounding(number, rounded):
    assert float32(number) == rounded
    assert float32(-number) == -rounded
    assert type(float32(number)) is float


def test_nan_stays_nan():
    assert math.isnan(float32(math.nan))


def test_the_same_bits():
    assert same_bits(0.5, 0.5)
    assert same_bits(math.nan, math.nan)
    assert not same_bits(0.0, -0.0)
    assert not same_bits(1.0, 1 + 2.0**-23)


@pytest.mark.parametrize(
    ("a", "b", "ulps"),
    [
        (1.0, 1.0, 0),
        (0.0, -0.0, 0),
        (1.0, 1 + 2.0**-23, 1),
        (1.0, 1 - 2.0**-24, 1),
        (-SMALLEST, SMALLEST, 2),
        (-1.0, -1 - 2.0**-22, 2),
        (0.5, 1.0, 2**23),
        (-1.0, 1.0, 2 * 127 * 2**23),
        (LARGEST, math.inf, 1),
        (LARGEST, 1e300, 1),
    ],
)
def test_the_distance_of_two_numbers(a, b, ulps):
    assert ulps_apart(a, b) == ulps_apart(b, a) == ulps
