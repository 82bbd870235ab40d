"""Portable expressions: their values, and the same values on every `Ops` of the core."""

import math

import pytest

import oracle
from clr_core import CyclicSchedule, python_ops
from clr_core.schedules.expression import CONSTANTS, FUNCTIONS, parsed
from schedules import BY_CYCLE, BY_ITERATION


@pytest.mark.parametrize("text", BY_CYCLE + BY_ITERATION)
@pytest.mark.parametrize("x", [1, 2, 3, 10, 999, 10_000])
def test_value_is_the_exact_one_but_for_rounding(text, x):
    _, function = parsed(text, 1)
    exact = float(oracle.evaluate(text, x))
    # A dozen roundings at most, each relative to terms of size 1.
    assert function(float(x), python_ops) == pytest.approx(exact, rel=1e-12, abs=3e-15)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4 ** 2 / 8 - 1", 7.0),
        ("2 ** 3 ** 2", 512.0),
        ("-2 ** 2", -4.0),
        ("2 ** -1", 0.5),
        ("(1 + 2) * 3", 9.0),
        ("8 / 4 / 2", 1.0),
        ("1 - 2 - 3", -4.0),
        ("min(3, 2) + max(3, 2)", 5.0),
        ("floor(2.7) + abs(-3)", 5.0),
        ("sqrt(16) + log(1) + exp(0)", 5.0),
        ("cos(0) + sin(0) + tanh(0)", 1.0),
        ("pi", math.pi),
        ("e", math.e),
        ("1_000 + 0x10", 1016.0),
        ("x", 5.0),
        ("--x", 5.0),
        ("x - -x", 10.0),
    ],
)
def test_grammar(text, value):
    normalized, function = parsed(text, 0)
    assert function(5.0, python_ops) == value
    again, function = parsed(normalized, 0)
    assert again == normalized
    assert function(5.0, python_ops) == value


def test_how_long_and_how_deep_an_expression_may_be():
    parsed("-" * 40 + "x", 0)
    parsed("x" + " " * 499, 0)
    with pytest.raises(ValueError, match=r"^`scale_fn` must be nested at most 40 deep\. Received"):
        parsed("-" * 41 + "x", 0)
    with pytest.raises(ValueError, match=r"^`scale_fn` must be an expression of at most 500 char"):
        parsed("x" + " " * 500, 0)


def test_everything_in_the_grammar_is_listed_in_its_error():
    with pytest.raises(ValueError, match="must be an expression of") as caught:
        parsed("y", 0)
    assert all(name in str(caught.value) for name in [*CONSTANTS, *FUNCTIONS, "x", "**"])


def test_an_expression_scales_the_band_and_may_leave_it():
    schedule = CyclicSchedule(base_lr=1, max_lr=2, step_size_up=1, scale_fn="3 * x")
    assert [schedule.lr(step) for step in range(5)] == [1, 4, 1, 7, 1]
