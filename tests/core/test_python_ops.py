"""The primitives of plain Python give what IEEE 754 says, also if `math` raises an error."""

import math
from math import inf, nan

import pytest

from clr_core import python_ops


def same(given, expected):
    """True if both are the same float, zeros of the same sign."""
    if math.isnan(expected):
        return math.isnan(given)
    return given == expected and math.copysign(1.0, given) == math.copysign(1.0, expected)


@pytest.mark.parametrize(
    ("a", "b", "quotient"),
    [
        (3.0, 2.0, 1.5),
        (1.0, 0.0, inf),
        (-1.0, 0.0, -inf),
        (1.0, -0.0, -inf),
        (-2.5, -0.0, inf),
        (inf, 0.0, inf),
        (0.0, 0.0, nan),
        (-0.0, 0.0, nan),
        (nan, 0.0, nan),
    ],
)
def test_divide(a, b, quotient):
    assert same(python_ops.divide(a, b), quotient)


@pytest.mark.parametrize(
    ("a", "b", "power"),
    [
        (0.5, 3.0, 0.125),
        (0.0, -1.0, inf),
        (-0.0, -1.0, -inf),
        (-0.0, -2.0, inf),
        (-0.0, -0.5, inf),
        (1e308, 2.0, inf),
        (-1e308, 2.0, inf),
        (-1e308, 3.0, -inf),
        (1e308, 2.5, inf),
        (-2.0, 0.5, nan),
        (0.5, 2000.0, 0.0),
        (nan, 0.0, 1.0),
    ],
)
def test_power(a, b, power):
    assert same(python_ops.power(a, b), power)


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("rint", 2.5, 2.0),
        ("rint", 3.5, 4.0),
        ("rint", 2.6, 3.0),
        ("floor", 2.7, 2.0),
        ("floor", -2.1, -3.0),
        ("floor", inf, inf),
        ("floor", nan, nan),
        ("sin", 0.0, 0.0),
        ("sin", inf, nan),
        ("cos", 0.0, 1.0),
        ("cos", -inf, nan),
        ("exp", 0.0, 1.0),
        ("exp", 1000.0, inf),
        ("exp", -inf, 0.0),
        ("log", 1.0, 0.0),
        ("log", 0.0, -inf),
        ("log", -1.0, nan),
        ("log", inf, inf),
        ("log", nan, nan),
        ("sqrt", 6.25, 2.5),
        ("sqrt", 0.0, 0.0),
        ("sqrt", -0.25, nan),
        ("sqrt", nan, nan),
        ("abs", -0.5, 0.5),
        ("tanh", inf, 1.0),
        ("rounded", 0.1, 0.1),
    ],
)
def test_functions_of_one_number(name, x, value):
    given = getattr(python_ops, name)(x)
    assert same(given, value)
    assert type(given) is float


@pytest.mark.parametrize(
    ("a", "b", "least", "most"),
    [
        (1.0, 2.0, 1.0, 2.0),
        (2.0, 1.0, 1.0, 2.0),
        (-inf, inf, -inf, inf),
        (nan, 1.0, nan, nan),
        (1.0, nan, nan, nan),
    ],
)
def test_the_smaller_and_the_larger(a, b, least, most):
    assert same(python_ops.minimum(a, b), least)
    assert same(python_ops.maximum(a, b), most)


def test_clip():
    values = [python_ops.clip(x, 1.0, 2.0) for x in (0.5, 1.0, 1.5, 2.0, 2.5)]
    assert values == [1.0, 1.0, 1.5, 2.0, 2.0]


def test_the_remainder():
    assert python_ops.fmod(7.5, 2.0) == 1.5
    assert python_ops.fmod(2.0**53 - 1, 2.0**52) == 2.0**52 - 1


def test_lookup():
    values = [python_ops.lookup([10.0, 20.0], [1.0, 2.0], n) for n in (0.0, 1.0, 3.0)]
    assert values == [(10.0, 1.0), (10.0, 2.0), (20.0, 2.0)]


def test_a_callable_gets_an_int_and_gives_a_float():
    # With a float, this would be too large in cycle 2000.
    value = python_ops.call(lambda x: 1 / 2 ** (x - 2000), 2000.0)
    assert same(value, 1.0)
    assert type(python_ops.call(lambda x: x, 3.0)) is float
    seen = []
    python_ops.call(lambda x: seen.append(x) or 0, 3.0)
    assert [type(x) for x in seen] == [int]
