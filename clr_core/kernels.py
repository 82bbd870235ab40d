"""Powers, logarithms and circular functions with the same float64 bits in every array library.

    >>> from clr_core import python_ops
    >>> exp(1.0, python_ops), log(10.0, python_ops), sin(1.0, python_ops)
    (2.718281828459045, 2.302585092994046, 0.8414709848078965)

Libraries differ in the last bit of `pow`, `exp` or `sin`. IEEE 754 fixes the results of `+ - * /`,
of the square root and of rounding to whole numbers, so these functions consist of nothing else.
Three rules keep compilers from changing them:

- Each product that a sum follows is guarded, and each sum with a constant that another one follows,
  unless it is exact: then nothing is lost when it is fused or reordered.
- Sums whose parts nearly cancel are computed in two floats, `high + low`, with the error of each
  operation kept (Dekker 1971, Knuth).
- There are no branches: what differs is selected at the end.

Accuracy, in units in the last place (ulp): 2 for all but `tanh`, which has 4. Results below
2**-1022 count as 0, since XLA and TensorFlow have no smaller numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cache, lru_cache, reduce
from itertools import accumulate, repeat
from operator import mul
from typing import TYPE_CHECKING, Any

from clr_core import python_ops
from clr_core._arguments import LARGEST_STEP
from clr_core.ops import unguarded

if TYPE_CHECKING:
    from clr_core.ops import Ops

UNGUARDED = (float, unguarded)
LARGEST, SMALLEST = sys.float_info.max, sys.float_info.min
LARGEST_ANGLE = 2.0**50
"""`sin` and `cos` of a larger number are NaN."""


def _floats(text: str) -> tuple[float, ...]:
    return tuple(map(float.fromhex, text.split()))


# Constants of more than one float are unevaluated sums.
LOG2_E = _floats("0x1.71547652b82fep+0 0x1.777d0ffda0d24p-56")
TWO_THIRDS = _floats("0x1.5555555555555p-1 0x1.5555555555555p-55")
HALF_PI = _floats("0x1.921fb54442d18p+0 0x1.1a62633145c07p-54 -0x1.f1976b7ed8fbcp-110")
LN_2 = _floats(
    "0x1.62e42fefa4000p-1 -0x1.8432a1b0e2634p-43"
)  # The first is short: n * LN_2[0] is exact.

# Chebyshev interpolations, highest power first, each with its largest relative error.
# 2**r = 1 + r * P(r), |r| <= 1/2: 2**-54.2.
EXP2 = _floats(
    "0x1.c4a29324a1038p-36 0x1.e9ec1fcb69a7fp-32 0x1.e4cf10dec0f59p-28 "
    "0x1.b524ebd13a55fp-24 0x1.62c02242b879cp-20 0x1.ffcbfc6da6ed1p-17 "
    "0x1.430912f86b7dbp-13 0x1.5d87fe78a3f9cp-10 0x1.3b2ab6fba4e79p-7 "
    "0x1.c6b08d704a0c6p-5 0x1.ebfbdff82c58fp-3 0x1.62e42fefa39efp-1"
)
# 2**(-r / 256) = 1 - r * (c0 - c1 * r + r**2 * (c2 - c3 * r)), |r| <= 1/2: 2**-57.5.
POWER = _floats(
    "0x1.62e42fefa39d9p-9 0x1.ebfbdff82c585p-19 0x1.c6b0902b5a0abp-29 0x1.3b2ab83eadfb0p-39"
)
# sin(r) = r + r**3 * P(r * r), |r| <= pi / 4: 2**-54.
SIN = _floats(
    "-0x1.ab161790d481ep-41 0x1.61217c18c5ad8p-33 -0x1.ae64540f0c1bcp-26 "
    "0x1.71de3a545e704p-19 -0x1.a01a01a019926p-13 0x1.1111111111110p-7 "
    "-0x1.5555555555555p-3"
)
# cos(r) = 1 - r**2 / 2 + r**4 * P(r * r), |r| <= pi / 4: 2**-54.
COS = _floats(
    "-0x1.907c0e977e8bdp-37 0x1.1eeb66b6cb12cp-29 -0x1.27e4fa15bdc69p-22 "
    "0x1.a01a019f4d0f0p-16 -0x1.6c16c16c16960p-10 0x1.5555555555555p-5"
)
# log((1 + s) / (1 - s)) = 2 s + 2/3 s**3 + s**5 * P(s * s), |s| <= 0.172: 2**-54.
ATANH = _floats(
    "0x1.b8eeb377232eep-4 0x1.ac479c6a9c191p-4 0x1.e1f81beeb683fp-4 "
    "0x1.1110df49ea07ap-3 0x1.3b13b1bdb9348p-3 0x1.745d174511206p-3 "
    "0x1.c71c71c71cff7p-3 0x1.2492492492491p-2 0x1.999999999999ap-2"
)
# sin(pi s / 2)**2 = z (c0 - z (c1 - z (c2 - ...))), z = s * s, 0 <= s <= 1/2: 2**-53.7.
HUMP = _floats(
    "0x1.179a329ef4140p-19 0x1.b6a6feabe52e9p-15 0x1.f9d2c1f3b2167p-11 "
    "0x1.a6d1f12b0bef2p-7 0x1.e1f5068620bcbp-4 0x1.55d3c7e3c9051p-1 "
    "0x1.03c1f081b5a9fp+1 0x1.3bd3cc9be45dep+1"
)


class Power:
    """`gamma ** step` for a `gamma` above 0 and below 1, and whole steps from 0.

        >>> Power(0.5)(10.0, python_ops), Power(0.99994)(0.0, python_ops)
        (0.0009765625, 1.0)

    With `-256 * log2(gamma) = high + low`, computed once with 60 digits, `step * high` is exact.
    The power at the nearest whole `n` is looked up: `0.25 ** (n // 512)` in one table and
    `2 ** (-(n % 512) / 256)` in another. A polynomial of the rest is subtracted from it.
    """

    def __init__(self, gamma: float) -> None:
        from decimal import Decimal, localcontext
        from fractions import Fraction

        with localcontext() as context:
            context.prec = 60
            log = -256 * Fraction(Decimal(gamma).ln() / Decimal(2).ln())
        self.limit = float(min(LARGEST_STEP, math.ceil(256 * 1100 / log)))  # Beyond, it is 0.
        unit = Fraction(2) ** (math.frexp(float(log))[1] - 53 + int(self.limit).bit_length())
        self.high = float(log // unit * unit)  # Rounded down, so that no product is negative.
        self.low = float(log - Fraction(self.high))
        self.quarters = tuple(0.25**k for k in range(int(self.limit * log / 512) + 2))
        self.roots = _roots()

    def __call__(self, step: Any, ops: Ops) -> Any:
        rounded = ops.rounded
        step = ops.minimum(step, self.limit)
        high, low = step * self.high, rounded(step * self.low)
        whole = ops.rint(high + low)
        rest = (high - whole) + low
        # Two short sums in place of Horner's long one, which takes longer. In this form neither is
        # a sum with a constant that another sum follows.
        square = rounded(rest * rest)
        upper = POWER[2] - rounded(rest * POWER[3])
        slope = (POWER[0] - rounded(rest * POWER[1])) + rounded(square * upper)
        scale, root = ops.lookup(self.quarters, self.roots, whole)
        return (root - rounded(root * rounded(rest * slope))) * scale


@cache
def _roots() -> tuple[float, ...]:
    """`2 ** (-k / 256)` for k from 0 to 511, correctly rounded."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        root = Decimal(2) ** (Decimal(-1) / 256)
        return tuple(map(float, accumulate(repeat(root, 511), mul, initial=Decimal(1))))


@lru_cache(maxsize=64)
def power_of_steps(gamma: float) -> Power:
    """`Power(gamma)`, made once: each group of a training may have a schedule with this gamma."""
    return Power(gamma)


def cosine(x: Any, y: Any, ops: Ops) -> tuple[Any, Any]:
    """`(1 - cos(pi * x)) / 2` and `(1 + cos(pi * x)) / 2`, each accurate to the end where it is 0.

        >>> cosine(0.0, 1.0, python_ops), cosine(0.5, 0.5, python_ops), cosine(1.0, 0.0, python_ops)
        ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0))

    Args:
        x: From 0 to 1.
        y: `1 - x`, computed from the other end: `step / size` and `(size - step) / size`.
        ops: The array library.
    """
    nearest = ops.minimum(x, y)
    square = ops.rounded(nearest * nearest)
    p: Any = 0.0
    for c in HUMP:
        p = c - ops.rounded(p * square)
    low = ops.rounded(square * p)  # sin(pi * nearest / 2)**2, up to 1/2.
    right = ops.rint(x)  # 0 in the left half, 1 in the right half.
    change = (1.0 - 2.0 * right) * low  # Exact, so that nothing is lost when it is fused.
    return right + change, (1.0 - right) - change


def exp(x: Any, ops: Ops) -> Any:
    """E to the power of x."""
    guard = _guard(ops)
    x = ops.clip(x, -800.0, 800.0)
    high, low = _product(x, LOG2_E[0], ops)
    return _exp2(high, guard(low + guard(x * LOG2_E[1])), ops)


def log(x: Any, ops: Ops) -> Any:
    """The natural logarithm; NaN below 0, minus infinity at 0."""
    guard = _guard(ops)
    whole, high, low = _log(x, ops)
    total, rest = _sum(whole * LN_2[0], high, ops)  # The product is exact.
    rest = guard(rest + guard(low + guard(whole * LN_2[1])))
    result = total + rest
    result = ops.where(x > LARGEST, math.inf, result)
    result = ops.where(x < SMALLEST, ops.where(x <= -SMALLEST, math.nan, -math.inf), result)
    return ops.where(x == x, result, math.nan)


def power(x: Any, y: Any, ops: Ops) -> Any:
    """`x ** y`, as IEEE 754 defines it."""
    return _power(x, y, _log2(x, ops), ops)


def power_of(base: float) -> Callable[[Any, Ops], Any]:
    """The function `base ** y` of (y, ops), with the logarithm of the base computed once."""
    log2 = _log2(base, python_ops)
    return lambda y, ops: _power(base, y, log2, ops)


def power_to(exponent: float) -> Callable[[Any, Ops], Any]:
    """The function `x ** exponent` of (x, ops): products and roots for small halves of integers."""
    if exponent == 0.0:
        return lambda x, ops: ops.where(x == x, 1.0, 1.0)
    if abs(exponent) > 3.0 or not (2.0 * exponent).is_integer():
        return lambda x, ops: power(x, ops.where(x == x, exponent, math.nan), ops)

    def small(x: Any, ops: Ops) -> Any:
        guard = _guard(ops)
        factors = [x] * int(abs(exponent)) + [ops.sqrt(x)] * (not exponent.is_integer())
        result = reduce(lambda a, b: guard(a * b), factors)
        return ops.divide(1.0, result) if exponent < 0.0 else result

    return small


def _power(x: Any, y: Any, log2: tuple[Any, Any], ops: Ops) -> Any:
    guard = _guard(ops)
    exponent = ops.clip(y, -(2.0**64), 2.0**64)  # Beyond, the result is 0, 1 or infinite.
    product, error = _product(exponent, log2[0], ops)
    error = ops.clip(guard(error + guard(exponent * log2[1])), -1.0, 1.0)
    result = _exp2(ops.clip(product, -1200.0, 1200.0), error, ops)
    result = ops.where(abs(x) > LARGEST, ops.where(y < 0.0, 0.0, math.inf), result)
    half = 0.5 * y
    negative = ops.where(ops.floor(half) == half, result, -result)  # Even or odd.
    negative = ops.where(ops.floor(y) == y, negative, math.nan)
    result = ops.where(x < 0.0, negative, result)
    result = ops.where(abs(x) < SMALLEST, ops.where(y < 0.0, math.inf, 0.0), result)
    result = ops.where((x == x) & (y == y), result, math.nan)
    return ops.where((x == 1.0) | (y == 0.0), 1.0, result)


def sin(x: Any, ops: Ops) -> Any:
    """The sine of x radians."""
    return _circular(x, 0.0, ops)


def cos(x: Any, ops: Ops) -> Any:
    """The cosine of x radians."""
    return _circular(x, 1.0, ops)


def tanh(x: Any, ops: Ops) -> Any:
    """The hyperbolic tangent: `-e / (2 + e)` with `e = exp(-2 * abs(x)) - 1`, and the sign of x."""
    guard = _guard(ops)
    doubled = guard(-2.0 * ops.minimum(abs(x), 25.0))  # 1 from there on.
    high, low = _product(doubled, LOG2_E[0], ops)
    whole, fraction = _exp2_parts(high, guard(low + guard(doubled * LOG2_E[1])), ops)
    scale = ops.power(0.5, -whole)
    e = guard(guard(scale - 1.0) + guard(scale * fraction))
    result = ops.divide(-e, 2.0 + e)
    return ops.where(x < 0.0, -result, result)


def flushed(x: Any, ops: Ops) -> Any:
    """A result, or 0 in place of one below 2**-1022, which XLA and TensorFlow don't have.

    It guards as `ops.rounded` does, infinity included: no compiler fuses a product or reorders a
    sum that is compared with a number first.

    >>> flushed(1e-310, python_ops), flushed(0.1, python_ops)
    (0.0, 0.1)
    """
    return ops.where(abs(x) < SMALLEST, 0.0, x)


def _guard(ops: Ops) -> Callable[[Any], Any]:
    """`ops.rounded` from both sides: if a compiler knows the sign, it drops one bound, not both."""
    rounded = ops.rounded
    return rounded if rounded in UNGUARDED else lambda x: ops.maximum(rounded(x), -LARGEST)


def _horner(coefficients: tuple[float, ...], x: Any, guard: Callable[[Any], Any]) -> Any:
    result: Any = coefficients[0]
    if guard is float:  # In plain Python there is nothing to guard, which takes half the time.
        for c in coefficients[1:]:
            result = c + result * x
    else:
        for c in coefficients[1:]:
            result = c + guard(result * x)
    return result


def _sum(a: Any, b: Any, ops: Ops) -> tuple[Any, Any]:
    """`a + b` and its rounding error."""
    guard = _guard(ops)
    total = guard(a + b)
    other = guard(total - a)
    error = guard(a - guard(total - other)) + guard(b - other)
    return total, guard(error)


def _product(a: Any, b: Any, ops: Ops) -> tuple[Any, Any]:
    """`a * b` and its rounding error."""
    guard = _guard(ops)
    product = guard(a * b)
    (a_high, a_low), (b_high, b_low) = _halves(a, ops), _halves(b, ops)
    # Each product and each sum from here on is exact.
    error = guard(guard(a_high * b_high) - product)
    error = guard(error + a_high * b_low)
    error = guard(error + a_low * b_high)
    return product, guard(error + a_low * b_low)


def _halves(x: Any, ops: Ops) -> tuple[Any, Any]:
    """Two numbers of 26 bits with the sum x."""
    guard = float if isinstance(x, float) else _guard(ops)
    scaled = guard(134217729.0 * x)  # 2**27 + 1
    high = scaled - guard(scaled - x)
    return high, x - high


def _exp2_parts(high: Any, low: Any, ops: Ops) -> tuple[Any, Any]:
    """A whole n and `2 ** (high + low - n) - 1`, with n the nearest to `high`."""
    guard = _guard(ops)
    whole = ops.rint(high)
    rest = guard(guard(high - whole) + low)
    return whole, guard(rest * _horner(EXP2, rest, guard))


def _exp2(high: Any, low: Any, ops: Ops) -> Any:
    """`2 ** (high + low)`; 0 below 2**-1022."""
    whole, fraction = _exp2_parts(high, low, ops)
    result = _scaled(1.0 + fraction, whole, ops)
    return ops.where(result < SMALLEST, 0.0, result)


def _scaled(x: Any, whole: Any, ops: Ops) -> Any:
    """`x * 2 ** whole`, in two steps, neither of which leaves the range of float64 by itself."""
    half = ops.rint(0.5 * whole)
    return (x * ops.power(0.5, -half)) * ops.power(0.5, half - whole)


def _log(x: Any, ops: Ops) -> tuple[Any, Any, Any]:
    """A whole n, and the logarithm of `x / 2**n` in two floats; n brings x next to 1."""
    guard = _guard(ops)
    x = ops.where(x >= SMALLEST, ops.minimum(x, LARGEST), 1.0)
    guess = ops.rint(ops.log(x) * LOG2_E[0])  # Off by one at most, whatever the library.
    near = _scaled(x, -guess, ops)
    above, below = near >= math.sqrt(2.0), near < math.sqrt(0.5)
    near = ops.where(above, 0.5 * near, ops.where(below, 2.0 * near, near))
    whole = ops.where(above, guess + 1.0, ops.where(below, guess - 1.0, guess))
    # log(near) = log((1 + s) / (1 - s)) with s = (near - 1) / (near + 1)
    upper = guard(near - 1.0)  # Exact.
    lower, lower_rest = _sum(near, 1.0, ops)
    s = ops.divide(upper, lower)
    product, error = _product(s, lower, ops)
    left = guard(guard(guard(upper - product) - error) - guard(s * lower_rest))
    s_rest = ops.divide(left, lower)
    square, square_rest = _product(s, s, ops)
    square_rest = guard(square_rest + guard(guard(2.0 * s) * s_rest))
    cube, cube_rest = _product(square, TWO_THIRDS[0], ops)
    cube_rest = guard(cube_rest + guard(square * TWO_THIRDS[1]))
    cube_rest = guard(cube_rest + guard(square_rest * TWO_THIRDS[0]))
    third, third_rest = _product(cube, s, ops)
    third_rest = guard(guard(third_rest + guard(cube * s_rest)) + guard(cube_rest * s))
    fifth = guard(guard(square * _horner(ATANH, square, guard)) * guard(square * s))
    high, low = _sum(2.0 * s, third, ops)
    low = guard(low + guard(2.0 * s_rest + guard(third_rest + fifth)))
    high, low = _sum(high, low, ops)
    return whole, high, low


def _log2(x: Any, ops: Ops) -> tuple[Any, Any]:
    """The logarithm of `abs(x)` to the base 2, in two floats."""
    guard = _guard(ops)
    whole, high, low = _log(abs(x), ops)
    product, error = _product(high, LOG2_E[0], ops)
    error = guard(guard(error + guard(high * LOG2_E[1])) + guard(low * LOG2_E[0]))
    total, rest = _sum(whole, product, ops)
    return _sum(total, guard(rest + error), ops)


def _circular(x: Any, quarters: float, ops: Ops) -> Any:
    """`sin(x + quarters * pi / 2)`."""
    guard = _guard(ops)
    inside = abs(x) <= LARGEST_ANGLE
    x = ops.where(inside, x, 0.0)
    turns = ops.rint(guard(x * 0.6366197723675814))  # 2 / pi
    # x - turns * pi / 2, in two floats: the first difference is exact.
    product, error = _product(turns, HALF_PI[0], ops)
    second, second_error = _product(turns, HALF_PI[1], ops)
    rest, low = _sum(guard(x - product), -error, ops)
    rest, lower = _sum(rest, -second, ops)
    low = guard(guard(low + lower) - guard(second_error + guard(turns * HALF_PI[2])))
    rest, low = _sum(rest, low, ops)
    square = guard(rest * rest)
    sine = rest + guard(low + guard(guard(rest * square) * _horner(SIN, square, guard)))
    half = 0.5 * square
    one = guard(1.0 - half)
    fourth = guard(guard(square * square) * _horner(COS, square, guard))
    cosine = one + guard(guard(guard(1.0 - one) - half) + guard(fourth - guard(rest * low)))
    turns = guard(turns + quarters)
    quarter = turns - 4.0 * ops.floor(0.25 * turns)  # 0, 1, 2 or 3, exact.
    second_or_fourth = (quarter == 1.0) | (quarter == 3.0)
    result = ops.where(second_or_fourth, cosine, sine)
    result = ops.where(quarter >= 2.0, -result, result)
    return ops.where(inside, result, math.nan)
