"""The oracle against values worked out by hand.

Unless a test says otherwise the band reaches from 1/4 to 3/4, so that it is 1/2 wide, and a
cycle rises for 4 steps and falls for 4.
"""

import ast
import doctest
import math
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
from oracle import evaluate, lr, momentum, near_midpoint32, to_float32, to_float64, ulps32, ulps64
from schedules import random_schedule

F = Fraction


def cyclic(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "cyclic",
        "base_lr": 0.25,
        "max_lr": 0.75,
        "step_size_up": 4.0,
        "step_size_down": 4.0,
        "mode": "triangular",
        "gamma": 1.0,
        "scale_fn": None,
        "scale_mode": "cycle",
        "base_momentum": None,
        "max_momentum": None,
    } | changes


def test_equal_halves() -> None:
    # A quarter of the band, 1/8, for each step up and down again.
    expected = [F(n, 8) for n in (2, 3, 4, 5, 6, 5, 4, 3, 2, 3, 4, 5, 6)]
    assert [lr(cyclic(), step) for step in range(13)] == expected


def test_unequal_halves() -> None:
    schedule = cyclic(step_size_up=2.0, step_size_down=6.0)
    # Up by 1/2 / 2 = 1/4 for each step, down by 1/2 / 6 = 1/12: in twelfths 3 6 9, 8 7 6 5 4, 3.
    expected = [F(n, 12) for n in (3, 6, 9, 8, 7, 6, 5, 4, 3, 6)]
    assert [lr(schedule, step) for step in range(10)] == expected


def test_fractional_halves() -> None:
    schedule = cyclic(step_size_up=2.5, step_size_down=2.5)
    # Heights 0, 1/2.5 = 2/5, 2/2.5 = 4/5, then 1 - 0.5/2.5 = 4/5, 1 - 1.5/2.5 = 2/5; a half of
    # each is added to 1/4 = 5/20: 4/20 and 8/20.
    assert [lr(schedule, step) for step in range(6)] == [F(n, 20) for n in (5, 9, 13, 13, 9, 5)]


def test_a_cycle_is_the_float64_sum_of_its_halves() -> None:
    schedule = cyclic(base_lr=0.0, max_lr=1.0, step_size_up=0.1, step_size_down=0.2)
    # In units of 2**-55 the float64 numbers are
    #   0.1       =  3602879701896397
    #   0.2       =  7205759403792794
    #   0.1 + 0.2 = 10808639105689192, one unit more than the two together,
    # and the fall is what the sum leaves: 7205759403792795.
    unit = F(1, 2**55)
    assert F(0.1) == 3602879701896397 * unit
    assert F(0.2) == 7205759403792794 * unit
    assert F(0.1 + 0.2) == 10808639105689192 * unit
    # Step 1 is 36028797018963968 units, three cycles and 3602879701896392: still rising.
    assert lr(schedule, 1) == F(3602879701896392, 3602879701896397)
    # Step 2 is 72057594037927936 units, six cycles and 7205759403792784, of which
    # 7205759403792784 - 3602879701896397 = 3602879701896387 belong to the fall, and
    # 7205759403792795 - 3602879701896387 = 3602879701896408 of it remain.
    assert lr(schedule, 2) == F(3602879701896408, 7205759403792795)


@pytest.mark.parametrize("step", [2**24, 2**31, 2**53, 10**30])
def test_late_steps_are_exact(step: int) -> None:
    # A cycle of 7 steps, 3 of them rising. Divided by 7, 2**3 leaves 1, and so 2**n leaves
    # 2**(n % 3): 1, 2 and 4 for 24, 31 and 53. 10**6 leaves 1, and so does 10**30.
    position = {2**24: 1, 2**31: 2, 2**53: 4, 10**30: 1}[step]
    height = {1: F(1, 3), 2: F(2, 3), 4: F(3, 4)}[position]
    assert lr(cyclic(step_size_up=3.0), step) == F(1, 4) + height / 2


def test_triangular2_halves_the_band() -> None:
    schedule = cyclic(mode="triangular2")
    # Peaks at 4, 12, 20: 1/2, 1/4, 1/8 above 1/4. Halfway down in the second cycle: 1/8 above.
    assert [lr(schedule, step) for step in (4, 12, 20)] == [F(3, 4), F(1, 2), F(3, 8)]
    assert lr(schedule, 14) == F(3, 8)
    assert [lr(schedule, step) for step in (8, 16, 24)] == [F(1, 4)] * 3
    assert lr(schedule, 4 + 8 * 1024) == F(1, 4) + F(1, 2**1025)


def test_exp_range_counts_steps_from_the_start() -> None:
    schedule = cyclic(mode="exp_range", gamma=0.5)
    # Step 2: height 1/2, decayed by 1/4, of a band of 1/2: 1/16. Step 4: 1/16 of 1/2 is 1/32.
    assert [lr(schedule, step) for step in (0, 2, 4)] == [F(1, 4), F(5, 16), F(9, 32)]
    # The second peak is decayed by 2**-12, not by the 2**-4 of its position.
    assert lr(schedule, 12) == F(1, 4) + F(1, 2**13)


def test_exp_range_in_decimals() -> None:
    schedule = cyclic(
        base_lr=0.0,
        max_lr=1.0,
        mode="exp_range",
        gamma=0.9999,
        step_size_up=2000.0,
        step_size_down=2000.0,
    )
    # log(0.9999) = -0.0001 - 0.0001**2 / 2 - 0.0001**3 / 3 = -1.000050003333e-4, and 2000 times
    # that -0.2000100006667. exp(-0.2) = 0.81873075308, times 1 - 1.00006667e-5 + 5.0e-11:
    # 0.81873075308 - 0.81873075308 * 1.00006167e-5 = 0.81873075308 - 0.00000818781.
    assert abs(lr(schedule, 2000) - F("0.81872256527")) < F(1, 10**10)


@pytest.mark.parametrize(
    "decay",
    [
        {"mode": "triangular2", "step_size_up": 0.1, "step_size_down": 0.1},
        {"mode": "exp_range", "gamma": 1e-300},
        {"mode": "exp_range", "gamma": 0.5},
        {"scale_fn": "exp(-x)", "scale_mode": "iterations"},
        {"scale_fn": "exp(-exp(x / 10 ** 9))", "scale_mode": "iterations"},
    ],
    ids=str,
)
def test_a_band_that_has_vanished_still_rounds_right(decay: dict[str, Any]) -> None:
    step = 2**53 - 1  # Position 7 of 8 in the cycle; with halves of 0.1 somewhere on the way.
    assert to_float64(lr(cyclic(base_lr=0.0, **decay), step)) == 0.0
    assert to_float64(lr(cyclic(**decay), step)) == 0.25
    # 1/4 + 2**-26 is halfway between two float32 numbers, of which the lower one is even. What
    # is above it by the least trifle rounds up.
    assert to_float32(F(1, 4) + F(1, 2**26)) == 0.25
    assert to_float32(lr(cyclic(base_lr=0.25 + 2.0**-26, **decay), step)) == 0.25 + 2.0**-25
    # Upside down, the same trifle is missing.
    turned = cyclic(base_momentum=0.0, max_momentum=0.25 + 3 * 2.0**-26, **decay)
    height = momentum(turned, step)
    assert height is not None
    assert to_float32(height) == 0.25 + 2.0**-25


def test_a_function_of_the_cycle_sees_the_first_one_as_1() -> None:
    schedule = cyclic(scale_fn="x", scale_mode="cycle")
    # Peaks: 1/4 + 1/2 * 1, 1/4 + 1/2 * 2, 1/4 + 1/2 * 3.
    assert [lr(schedule, step) for step in (4, 12, 20)] == [F(3, 4), F(5, 4), F(7, 4)]
    # Cycle 1 lasts until step 7 (height 1/4), and 8 is at the bottom of the next.
    assert [lr(schedule, step) for step in (7, 8, 9)] == [F(3, 8), F(1, 4), F(1, 2)]


def test_a_function_of_the_step_sees_the_first_one_as_0() -> None:
    schedule = cyclic(scale_fn="x + 1", scale_mode="iterations")
    # Step 1: height 1/4, times 2, of 1/2 is 1/4. Step 4: 5/2. Step 12: 13/2.
    assert [lr(schedule, step) for step in (0, 1, 4, 12)] == [F(n, 4) for n in (1, 2, 11, 27)]


@pytest.mark.parametrize(
    ("expression", "x", "expected"),
    [
        ("x", 7, F(7)),
        ("1 / 3", 0, F(1, 3)),
        ("7 - 2 - 1", 0, F(4)),
        ("12 / 2 / 3", 0, F(2)),
        ("-x ** 2", 3, F(-9)),
        ("2 ** 3 ** 2", 0, F(512)),
        ("2 ** -x", 3, F(1, 8)),
        ("4 ** 0.5", 0, F(2)),
        ("abs(x - 5)", 2, F(3)),
        ("floor(-x / 2)", 7, F(-4)),
        ("min(x, 3)", 5, F(3)),
        ("max(x, 3)", 5, F(5)),
        ("sqrt(x)", F(9, 4), F(3, 2)),
        ("sin(0) + tanh(0) + log(1)", 0, F(0)),
        ("cos(0) * exp(0)", 0, F(1)),
        # Literals and constants are float64 numbers: 0.1 is 3602879701896397 / 2**55.
        ("0.1", 0, F(3602879701896397, 2**55)),
        ("pi", 0, F(3.141592653589793)),
        ("e", 0, F(2.718281828459045)),
    ],
)
def test_rational_expressions_are_exact(expression: str, x: Any, expected: Fraction) -> None:
    assert evaluate(expression, x) == expected


@pytest.mark.parametrize(
    ("expression", "digits"),
    [
        # From the tables, to forty digits.
        ("sqrt(x + 1)", "1.4142135623730950488016887242096980785697"),
        ("exp(x)", "2.7182818284590452353602874713526624977572"),
        ("log(x + 1)", "0.6931471805599453094172321214581765680755"),
        ("sin(x)", "0.8414709848078965066525023216302989996226"),
        ("cos(x)", "0.5403023058681397174009366074429766037323"),
        ("tanh(x)", "0.7615941559557648881194582826047935904128"),
        ("sin(-x)", "-0.8414709848078965066525023216302989996226"),
        ("log(exp(x))", "1"),
        # The float64 pi falls short of pi by 1.2246467991473531772e-16, and that is its sine.
        ("sin(pi)", "0.00000000000000012246467991473531772260659323"),
    ],
)
def test_functions_have_far_more_digits_than_float64(expression: str, digits: str) -> None:
    assert abs(evaluate(expression, 1) - F(digits)) < F(1, 10**38)


def test_momentum_is_the_wave_upside_down() -> None:
    schedule = cyclic(base_momentum=0.75, max_momentum=0.875)
    # The band is 1/8, a step moves by 1/32: 28/32 at the bottom, 24/32 at the peak.
    expected = [F(n, 32) for n in (28, 27, 26, 25, 24, 25, 26, 27, 28)]
    assert [momentum(schedule, step) for step in range(9)] == expected


def test_momentum_decays_with_the_rate() -> None:
    schedule = cyclic(base_momentum=0.75, max_momentum=0.875, mode="triangular2")
    # At the second peak half of the band: 7/8 - 1/16 = 13/16. Then a quarter: 27/32.
    assert [momentum(schedule, step) for step in (4, 12, 20)] == [F(3, 4), F(13, 16), F(27, 32)]


# The tutorial: Adam, triangular2, 79 epochs of 17,000 batches, six epochs up and six down.

TUTORIAL = cyclic(
    base_lr=0.0015,
    max_lr=0.006,
    step_size_up=102000.0,
    step_size_down=102000.0,
    mode="triangular2",
)


@pytest.mark.parametrize(
    ("step", "quarters_of_max_lr", "decimal"),
    [
        # max_lr is 4 quarters, base_lr 1, the band 3.
        (0, F(1), "0.0015"),
        # Halfway up: 1 + 3/2.
        (51_000, F(5, 2), "0.00375"),
        (102_000, F(4), "0.006"),
        # Halfway down again, and the end of the cycle.
        (153_000, F(5, 2), "0.00375"),
        (204_000, F(1), "0.0015"),
        # The second cycle, with half of the band: halfway up 1 + 3/4, at the peak 1 + 3/2.
        (255_000, F(7, 4), "0.002625"),
        (306_000, F(5, 2), "0.00375"),
        # The third peak, with a quarter of it: 1 + 3/4.
        (510_000, F(7, 4), "0.002625"),
        # The peak of cycle 6 (from 0), with 1/64 of it: 6 * 204000 + 102000, 1 + 3/64.
        (1_326_000, F(67, 64), "0.0015703125"),
        # The last update: 1342999 = 6 * 204000 + 118999, so 16999 steps into the fall, of which
        # 1 - 16999/102000 = 85001/102000 remains, of 3/64 of the band:
        # 1 + 85001 * 3 / (102000 * 64) = 1 + 85001/2176000 = 1.039062959558...
        (1_342_999, 1 + F(85001, 2176000), "0.001558594439338"),
    ],
)
def test_tutorial(step: int, quarters_of_max_lr: Fraction, decimal: str) -> None:
    rate = lr(TUTORIAL, step)
    assert rate == quarters_of_max_lr * F(0.0015)
    # The float64 0.0015 is within 2**-63 of the decimal number.
    assert abs(rate - F(decimal)) < F(1, 10**14)


@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        # 1/10 = 13421772.8 * 2**-27, so 13421773 * 2**-27.
        (F(1, 10), 13421773 * 2.0**-27),
        # Ties: above 1 the neighbours are 2**-23 apart. Down to 0 of them, up to 2.
        (1 + F(1, 2**24), 1.0),
        (-1 - F(3, 2**24), -1 - 2.0**-22),
        # By way of float64 this would be a tie, and 1.
        (1 + F(1, 2**24) + F(1, 2**200), 1 + 2.0**-23),
        (1 + F(3, 2**24) - F(1, 2**200), 1 + 2.0**-23),
        # Subnormal numbers are multiples of 2**-149.
        (F(1, 2**150), 0.0),
        (F(1, 2**150) + F(1, 2**400), 2.0**-149),
        (F(1, 2**5000), 0.0),
        # The largest float32 is 2**128 - 2**104; from halfway to 2**128 on it is infinite.
        (F(2**128 - 2**103 - 1), 2.0**128 - 2.0**104),
        (F(-(2**128 - 2**103)), -math.inf),
    ],
)
def test_to_float32(exact: Fraction, expected: float) -> None:
    assert to_float32(exact) == expected


def struct_float32(number: float) -> float:
    """What the C compiler's conversion makes of it."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return rounded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_to_float32_of_a_float64(number: float) -> None:
    assert to_float32(F(number)) == struct_float32(number)


@given(st.integers(0, 0x7F7FFFFE), st.sampled_from([0, 1, -1, 2**20]))
def test_to_float32_around_every_midpoint(bits: int, float64_ulps: int) -> None:
    low, high = (struct.unpack("<f", struct.pack("<I", bits + n))[0] for n in (0, 1))
    midpoint = (low + high) / 2  # Exact in float64.
    number = midpoint + float64_ulps * math.ulp(midpoint)
    assert to_float32(F(number)) == struct_float32(number)
    assert to_float32(F(number)) in (low, high)


@given(st.fractions(), st.integers(-1200, 1000))
def test_to_float64_is_the_division_of_integers(fraction: Fraction, exponent: int) -> None:
    exact = fraction * F(2) ** exponent
    assume(abs(exact) < F(2) ** 1023)  # Beyond, the division raises.
    # Python divides two integers with one correct rounding.
    assert to_float64(exact) == exact.numerator / exact.denominator


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.0, 1 - 2.0**-24, 1),
        (0.0, -0.0, 0),
        (-(2.0**-149), 2.0**-149, 2),
        (2.0**128 - 2.0**104, math.inf, 1),
    ],
)
def test_ulps32(a: float, b: float, expected: int) -> None:
    assert ulps32(a, b) == ulps32(b, a) == ulps32(-a, -b) == expected


@given(st.floats(-1e300, 1e300), st.integers(0, 50))
def test_ulps64_counts_the_steps_of_nextafter(number: float, steps: int) -> None:
    later = number
    for _ in range(steps):
        later = math.nextafter(later, math.inf)
    assert ulps64(number, later) == steps


@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        # The midpoint above 1 is 1 + 2**-24, and a float64 ulp there is 2**-52.
        (1 + F(1, 2**24), True),
        (1 + F(1, 2**24) + F(4, 2**52), True),
        (1 + F(1, 2**24) + F(4, 2**52) + F(1, 2**300), False),
        (1 + F(1, 2**24) - F(4, 2**52), True),
        (1 + F(1, 2**24) - F(5, 2**52), False),
        (-1 - F(1, 2**24), True),
        (F(0), False),
        (F(1, 10), False),
        # Below 1 the midpoint is 1 - 2**-25, and an ulp 2**-53.
        (1 - F(1, 2**25) + F(4, 2**53), True),
        (1 - F(1, 2**25) + F(5, 2**53), False),
        # Between the subnormal numbers 2**-149 and 2**-148: 3 * 2**-150, with an ulp of 2**-201.
        (F(3, 2**150) + F(4, 2**201), True),
        (F(3, 2**150) + F(5, 2**201), False),
    ],
)
def test_near_midpoint32(exact: Fraction, expected: bool) -> None:
    assert near_midpoint32(exact) is expected


def test_twice_the_precision_changes_no_bit() -> None:
    rng = random.Random(1506)
    for _ in range(400):
        schedule = random_schedule(rng).to_dict()
        step = rng.randrange(rng.choice([100, 10**4, 10**6, 2**53]))
        for curve in (lr, momentum):
            coarse, fine = curve(schedule, step, bits=300), curve(schedule, step, bits=600)
            if coarse is None or fine is None:  # No momentum.
                continue
            assert to_float32(coarse) == to_float32(fine), (schedule, step)
            assert to_float64(coarse) == to_float64(fine), (schedule, step)
            assert near_midpoint32(coarse) == near_midpoint32(fine), (schedule, step)


def test_nothing_of_the_product_is_imported() -> None:
    assert oracle.__file__ is not None
    imported = set()
    for node in ast.walk(ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names == {"mpmath"}


def test_docstring() -> None:
    results = doctest.testmod(oracle)
    assert results.attempted > 0
    assert results.failed == 0


WARM_UP = {
    "kind": "piecewise",
    "phases": [
        {"steps": 4.0, "start": 0.0, "end": 0.5, "shape": "linear"}
        | {"start_momentum": 0.75, "end_momentum": 0.5},
        {"steps": 6.0, "start": 0.5, "end": 0.25, "shape": "cosine"}
        | {"start_momentum": 0.5, "end_momentum": 0.75},
    ],
    "repeat": False,
}


@pytest.mark.parametrize(
    ("step", "rate", "opposed"),
    [
        (0, F(0), F(3, 4)),
        (1, F(1, 8), F(11, 16)),
        (4, F(1, 2), F(1, 2)),
        (6, F(7, 16), F(9, 16)),  # A third of the way is a quarter of the cosine's height.
        (7, F(3, 8), F(5, 8)),
        (8, F(5, 16), F(11, 16)),
        (10, F(1, 4), F(3, 4)),
        (99, F(1, 4), F(3, 4)),
    ],
)
def test_phases(step, rate, opposed):
    for of, exact in ((lr, rate), (momentum, opposed)):
        assert abs(of(WARM_UP, step) - exact) < F(1, 10**45)
        endless = WARM_UP | {"repeat": True}
        assert of(endless, step + 30) == of(WARM_UP, step % 10)


def test_schedules_one_after_another():
    both = {
        "kind": "sequence",
        "schedules": [WARM_UP, cyclic(base_momentum=0.5, max_momentum=0.75)],
        "boundaries": [3],
    }
    for step in range(10):
        part = (WARM_UP, step) if step < 3 else (both["schedules"][1], step - 3)
        assert (lr(both, step), momentum(both, step)) == (lr(*part), momentum(*part))


def test_the_sine_is_that_of_a_right_triangle():
    assert abs(oracle.sine(F(1, 6)) - F(1, 2)) < F(1, 10**45)
    for x in (F(1, 7), F(1, 4), F(2, 5), F(1, 10**9)):
        assert abs(oracle.sine(x) ** 2 + oracle.sine(F(1, 2) - x) ** 2 - 1) < F(1, 10**45)
    assert oracle.sine(F(0)) == 0
    assert oracle.sine(F(1, 2)) == 1
