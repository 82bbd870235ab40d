"""The kernels against exact values, at their ends, and with the same bits on every `Ops` here."""

import math
import random
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import pytest
from mpmath import mp, mpf

import oracle
from clr_core import kernels, python_ops

FUNCTIONS = {
    "exp": (kernels.exp, mpmath.exp, (-700, 700)),
    "log": (kernels.log, mpmath.log, (1e-300, 1e300)),
    "sin": (kernels.sin, mpmath.sin, (-1e6, 1e6)),
    "cos": (kernels.cos, mpmath.cos, (-1e6, 1e6)),
    "tanh": (kernels.tanh, mpmath.tanh, (-30, 30)),
}
ULPS = {"tanh": 4.0}
GAMMAS = (5e-324, 0.5, 0.7, 0.9, 0.99994, 0.99999, 1 - 1e-7, 1 - 1e-9, 1 - 2**-53)


@pytest.fixture(autouse=True)
def precision():
    with mp.workprec(300):
        yield


def ulps(given, exact):
    """The distance in units in the last place of the float64 next to `exact`."""
    return float(abs(mpf(given) - exact) / mpf(math.ulp(float(exact))))


def numbers(rng, low, high, count):
    """Numbers of every magnitude between the two, and near 1."""
    for _ in range(count):
        yield rng.uniform(low, high)
        number = 10 ** rng.uniform(-20, math.log10(high))
        yield -number if low < 0 and rng.random() < 0.5 else max(number, low)
        yield 1 + rng.gauss(0, 1e-3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name):
    kernel, exact, (low, high) = FUNCTIONS[name]
    for x in numbers(random.Random(name), low, high, 500):
        assert ulps(kernel(x, python_ops), exact(mpf(x))) < ULPS.get(name, 2.0), x


@pytest.mark.parametrize("kernel", ["sin", "cos"])
def test_accuracy_next_to_multiples_of_half_a_pi(kernel):
    """There almost all digits of the angle cancel."""
    kernel, exact, _ = FUNCTIONS[kernel]
    rng = random.Random(0)
    for quarters in [*range(1, 200), *(rng.randrange(10**15 // 2) for _ in range(200))]:
        angle = float(quarters * mp.pi / 2)
        assert ulps(kernel(angle, python_ops), exact(mpf(angle))) < 2.0, quarters


def test_accuracy_of_powers():
    rng = random.Random(0)
    for _ in range(1500):
        base = rng.choice((10 ** rng.uniform(-5, 5), rng.uniform(0.5, 2), 1 + rng.gauss(0, 1e-5)))
        exponent = rng.uniform(-1, 1) * min(1e6, 700 / abs(math.log(base)))
        exact = mpf(base) ** mpf(exponent)
        assert ulps(kernels.power(base, exponent, python_ops), exact) < 2.0, (base, exponent)
        assert ulps(kernels.power_of(base)(exponent, python_ops), exact) < 2.0, (base, exponent)


@pytest.mark.parametrize(
    "exponent", [-3.0, -2.5, -1.0, -0.5, 1 / 3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, -0.3]
)
def test_accuracy_of_powers_to_a_constant(exponent):
    power = kernels.power_to(exponent)
    for x in numbers(random.Random(0), 1e-3, 1e3, 300):
        assert ulps(power(x, python_ops), mpf(x) ** mpf(exponent)) < 3.0, x


def test_small_powers_are_products_and_roots():
    cube, root = kernels.power_to(3.0), kernels.power_to(2.5)
    inverse = kernels.power_to(-3.0)
    for x in numbers(random.Random(0), 1e-3, 1e3, 300):
        assert cube(x, python_ops) == x * x * x
        assert root(x, python_ops) == x * x * math.sqrt(x)
        assert inverse(x, python_ops) == 1.0 / (x * x * x)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_accuracy_of_gamma_to_the_power_of_the_step(gamma):
    power, rng = kernels.Power(gamma), random.Random(gamma)
    steps = [*range(50), 2**53, *(int(10 ** rng.uniform(0, 15.9)) for _ in range(300))]
    steps += [int(rng.uniform(0, power.limit)) for _ in range(300)]
    assert power(0.0, python_ops) == 1.0
    for step in steps:
        exact = mpf(gamma) ** step
        assert ulps(power(float(step), python_ops), exact) < 2.0, step
    # A product that is exact may be fused with a sum, and no bit changes.
    last = range(int(power.limit) - 1000, int(power.limit) + 1)
    for step in [*(step for step in steps if step <= power.limit), *last]:
        assert Fraction(step * power.high) == step * Fraction(power.high), step


@pytest.mark.parametrize("size", [2, 3, 7, 1000, 10_007, 300_000])
def test_cosine_is_accurate_to_both_ends(size):
    rng = random.Random(size)
    for step in {0, 1, size // 2, size - 1, size, *(rng.randint(0, size) for _ in range(60))}:
        x = Fraction(step, size)
        up, down = kernels.cosine(step / size, (size - step) / size, python_ops)
        for given, exact in ((up, oracle.sine(x / 2) ** 2), (down, oracle.sine((1 - x) / 2) ** 2)):
            if step in (0, size):
                assert given == round(exact)
            else:
                error = abs(Fraction(given) - exact) / Fraction(math.ulp(float(exact)))
                assert error < 4, step  # The division that gives x has half an ulp, squared twice.


def test_cosine_meets_in_the_middle():
    assert kernels.cosine(0.5, 0.5, python_ops) == (0.5, 0.5)


SPECIAL = (0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.0, -7.0, 1e300, -1e300, 1e-300, math.nan)
SPECIAL += (math.inf, -math.inf)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(np, name):
    """What IEEE 754 and every array library give, but for angles that are too large."""
    for x in SPECIAL:
        given = FUNCTIONS[name][0](x, python_ops)
        with np.errstate(all="ignore"):
            expected = float(getattr(np, name)(x))
        if name in ("sin", "cos") and abs(x) > kernels.LARGEST_ANGLE:
            expected = math.nan
        assert given == pytest.approx(expected, rel=1e-15, nan_ok=True), x


@pytest.mark.parametrize("error", [-0.3, 0.3])
def test_a_library_may_be_wrong_about_the_power_of_2_next_to_a_number(error):
    ops = SimpleNamespace(**vars(python_ops) | {"log": lambda x: math.log(x) + error})
    for x in (0.7, 0.72, 1.0, 1.4, 1.42, 1e300, 1.5e-300):
        assert ulps(kernels.log(x, ops), mpmath.log(mpf(x))) < 2.0, x


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_the_largest_angle(name):
    function = FUNCTIONS[name][0]
    assert abs(function(2.0**50, python_ops) - getattr(math, name)(2.0**50)) < 1e-15
    assert math.isnan(function(math.nextafter(2.0**50, math.inf), python_ops))


def test_special_powers(np):
    for x in SPECIAL:
        for y in SPECIAL:
            with np.errstate(all="ignore"):
                expected = float(np.power(x, y))
            if x == -math.inf and y != np.floor(y):
                expected = math.nan  # As its square root; IEEE 754 gives 0 or infinity.
            for given in (
                kernels.power(x, y, python_ops),
                kernels.power_of(x)(y, python_ops),
                kernels.power_to(y)(x, python_ops),
            ):
                assert given == pytest.approx(expected, rel=1e-15, abs=0, nan_ok=True), (x, y)


def test_results_next_to_the_largest_number():
    assert ulps(kernels.exp(709.7, python_ops), mpmath.exp(mpf(709.7))) < 2.0
    assert ulps(kernels.power(1.9, 1105.5, python_ops), mpmath.power(mpf(1.9), mpf(1105.5))) < 2.0


def test_results_below_the_normal_range_are_zero():
    assert kernels.exp(-708.3, python_ops) > 0.0 == kernels.exp(-709.0, python_ops)
    assert kernels.power(0.5, 1022.0, python_ops) == 2.0**-1022
    assert kernels.power(0.5, 1023.0, python_ops) == 0.0


def test_flushed():
    given = [math.inf, -math.inf, 5e-324, -1e-310, 2.0**-1022, -0.1]
    expected = [math.inf, -math.inf, 0.0, 0.0, 2.0**-1022, -0.1]
    assert [kernels.flushed(each, python_ops) for each in given] == expected
    assert math.isnan(kernels.flushed(math.nan, python_ops))


@pytest.mark.parametrize("name", [*FUNCTIONS, "power", "cosine", *GAMMAS])
def test_numpy_has_the_bits_of_python(np, name):
    from clr_core import numpy_ops

    rng = random.Random(str(name))
    if isinstance(name, float):
        arguments = [[float(int(10 ** rng.uniform(0, 15.9))) for _ in range(500)]]
        function = kernels.Power(name)
    elif name == "cosine":
        steps = [rng.randint(0, 10_007) for _ in range(500)]
        arguments = [[s / 10_007 for s in steps], [(10_007 - s) / 10_007 for s in steps]]
        function = kernels.cosine
    elif name == "power":
        arguments = [[rng.gauss(0, 50) for _ in range(500)] for _ in "xy"]
        function = kernels.power
    else:
        function, _, (low, high) = FUNCTIONS[name]
        arguments = [list(numbers(rng, low, high, 200))]
    with np.errstate(all="ignore"):
        given = function(*map(np.array, arguments), numpy_ops)
    expected = [function(*each, python_ops) for each in zip(*arguments, strict=True)]
    np.testing.assert_array_equal(np.array(given).T, expected)
