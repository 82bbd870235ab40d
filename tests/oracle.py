"""The cyclical learning rate as the paper defines it, in exact arithmetic.

Smith 2017 (arXiv 1506.01186) with the semantics of torch's `CyclicLR`, piece by piece::

    cycle    = floor(step / cycle_size)              counted from 0
    position = step - cycle * cycle_size
    height   = position / up                         while position <= up
               1 - (position - up) / fall            after that
    lr       = base_lr + (max_lr - base_lr) * height * scale
    momentum = max_momentum - (max_momentum - base_momentum) * height * scale

    >>> schedule = {
    ...     "kind": "cyclic", "base_lr": 0.25, "max_lr": 0.75,
    ...     "step_size_up": 4.0, "step_size_down": 2.0,
    ...     "mode": "triangular2", "gamma": 1.0, "scale_fn": None, "scale_mode": "cycle",
    ...     "base_momentum": None, "max_momentum": None,
    ... }
    >>> [str(lr(schedule, step)) for step in (0, 1, 4, 5, 6, 10)]
    ['1/4', '3/8', '3/4', '1/2', '1/4', '1/2']

Every float of the schedule counts as the dyadic rational that it is. What is rational stays a
`Fraction`; other powers and functions are evaluated by mpmath with `BITS` bits.

A schedule of phases, and one of schedules, are evaluated likewise (see `_of_phase`, `_part`).

This is the reference that the product is held against, so it imports nothing of it.
"""

import ast
import math
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeAlias

from mpmath import mp, mpf

BITS = 400
"""Working precision of what is not rational, unless the caller asks for another."""

# A Fraction with more bits than this isn't built: it goes on as an mpf, or as a stand-in of the
# same sign (see `_exactly`).
_WIDEST = 4096

# mpmath reduces an argument x of exp or sin with log2(x) extra bits. Up to 2**10000 that is
# instant, and nothing beyond it is a float64.
_LARGEST_MAGNITUDE = 10_000

Number: TypeAlias = Fraction | mpf


def lr(schedule: Mapping[str, Any], step: int, bits: int = BITS) -> Fraction:
    """The learning rate used for the update that `step` updates came before.

    `base_lr + (max_lr - base_lr) * wave`, e.g. 3/8 a quarter of the way up from 1/4 to 3/4.

    Args:
        schedule: what `to_dict()` of a schedule returns.
        step: from 0, as large as one likes.
        bits: precision of what is not rational.

    Returns:
        The exact value where it is rational and else one that is right to about `bits` bits;
        either way it rounds as the exact value does.
    """
    schedule, step = _part(schedule, step)
    if schedule["kind"] == "piecewise":
        return _of_phase(schedule, step, "start", "end")
    base, top = Fraction(schedule["base_lr"]), Fraction(schedule["max_lr"])
    return base + (top - base) * _wave(schedule, step, bits)


def momentum(schedule: Mapping[str, Any], step: int, bits: int = BITS) -> Fraction | None:
    """The momentum used for the same update: the wave of `lr` upside down.

    `max_momentum - (max_momentum - base_momentum) * wave`, e.g. 7/8 at `base_lr` and 3/4 at
    `max_lr` where these are the two boundaries; `None` where the schedule has none.
    """
    schedule, step = _part(schedule, step)
    if schedule["kind"] == "piecewise":
        has_none = schedule["phases"][0]["start_momentum"] is None
        return None if has_none else _of_phase(schedule, step, "start_momentum", "end_momentum")
    if schedule["max_momentum"] is None:
        return None
    base, top = Fraction(schedule["base_momentum"]), Fraction(schedule["max_momentum"])
    return top - (top - base) * _wave(schedule, step, bits)


def _wave(schedule: Mapping[str, Any], step: int, bits: int) -> Fraction:
    """Where in the band: 0 at the lower boundary, 1 at the peak of an undecayed cycle."""
    if schedule["kind"] != "cyclic":
        raise ValueError(f"`kind` must be 'cyclic'. Received: kind={schedule['kind']!r}")
    if step < 0:
        raise ValueError(f"`step` must not be negative. Received: step={step}")
    up = Fraction(schedule["step_size_up"])
    # The length of a cycle is the float64 sum by definition, and the fall is what is left of it.
    cycle_size = Fraction(schedule["step_size_up"] + schedule["step_size_down"])
    fall = cycle_size - up

    cycle = step // cycle_size
    position = step - cycle * cycle_size
    height = position / up if position <= up else 1 - (position - up) / fall
    with mp.workprec(bits):
        return height * _exactly(_scale(schedule, step, cycle))


def _part(schedule: Mapping[str, Any], step: int) -> tuple[Mapping[str, Any], int]:
    """The schedule of a sequence that a step belongs to, and the step there."""
    while schedule["kind"] == "sequence":
        begins = [0, *schedule["boundaries"]]
        index = max(i for i, begin in enumerate(begins) if begin <= step)
        schedule, step = schedule["schedules"][index], step - begins[index]
    return schedule, step


def _of_phase(schedule: Mapping[str, Any], step: int, start: str, end: str) -> Fraction:
    """`start + (end - start) * rise` in the phase that a step belongs to."""
    phases = schedule["phases"]
    # A boundary is the float64 nearest to the sum of the lengths, by definition.
    sums = accumulate((Fraction(phase["steps"]) for phase in phases), initial=Fraction(0))
    bounds = [Fraction(to_float64(each)) for each in sums]
    at = step % bounds[-1] if schedule["repeat"] else min(Fraction(step), bounds[-1])
    index = max(i for i in range(len(phases)) if bounds[i] <= at)
    x = (at - bounds[index]) / (bounds[index + 1] - bounds[index])
    phase = phases[index]
    rise = {"linear": x, "cosine": sine(x / 2) ** 2}[phase["shape"]]
    return Fraction(phase[start]) * (1 - rise) + Fraction(phase[end]) * rise


_ONE = 10**60


def _arctan_of_inverse(n: int) -> int:
    term, total, k = _ONE // n, 0, 0
    while term:
        total += (-1) ** k * term // (2 * k + 1)
        term, k = term // (n * n), k + 1
    return total


_PI = Fraction(4 * (4 * _arctan_of_inverse(5) - _arctan_of_inverse(239)), _ONE)  # Machin's formula.


def sine(x: Fraction) -> Fraction:
    """sin(pi * x) for x from 0 to 1/2 by its Taylor series, to 50 digits; at both ends exactly."""
    if x in (0, Fraction(1, 2)):
        return 2 * x
    angle = _PI * x
    term, total, k = angle, Fraction(0), 1
    while abs(term) > Fraction(1, 10**50):
        total, term, k = total + term, -term * angle * angle / ((k + 1) * (k + 2)), k + 2
        term = Fraction(round(term * _ONE), _ONE)
    return total


def _scale(schedule: Mapping[str, Any], step: int, cycle: int) -> Number:
    """The factor by which the band has shrunk; `cycle` is counted from 0."""
    if schedule["scale_fn"] is not None:
        # The paper's and torch's functions of the cycle see the first one as number 1.
        x = {"cycle": cycle + 1, "iterations": step}[schedule["scale_mode"]]
        return _evaluate(_parse(schedule["scale_fn"]), Fraction(x))
    match schedule["mode"]:
        case "triangular":
            return Fraction(1)
        case "triangular2":
            return _power(Fraction(1, 2), Fraction(cycle))
        case "exp_range":
            return _power(Fraction(schedule["gamma"]), Fraction(step))
        case mode:
            raise ValueError(f"`mode` must be one of the paper's three. Received: mode={mode!r}")


def _exactly(number: Number) -> Fraction:
    """The number as a `Fraction`, or for one below 2**-4096 a stand-in with its sign.

    A float64 is a multiple of 2**-1074 below 2**1024. So whatever is less than 2**-4096 of a
    band moves no rounding except by its sign, and a Fraction for 0.5**(10**15) isn't needed.
    """
    if isinstance(number, Fraction):
        return number
    _require_real(number)
    if number == 0:
        return Fraction(0)
    sign = 1 if number > 0 else -1
    magnitude = mp.mag(number)
    if magnitude > _WIDEST:
        raise OverflowError("the scale is beyond every float64")
    if magnitude < -_WIDEST:
        return Fraction(sign, 2**_WIDEST)
    mantissa, exponent = number.man_exp  # The mantissa of mpmath has no sign.
    return sign * Fraction(mantissa) * Fraction(2) ** int(exponent)


# Expressions. A number literal means its float64 value, `pi` and `e` mean the float64 constants
# `math.pi` and `math.e`, because an expression is defined on float64 inputs; what happens to
# them from there on is exact.


@lru_cache(maxsize=4096)
def _parse(expression: str) -> ast.expr:
    return ast.parse(expression.strip(), mode="eval").body


def evaluate(expression: str, x: int | float | Fraction, bits: int = BITS) -> Fraction:
    """The value of a portable `scale_fn` at x, e.g. 1/4 for `"1 / 2 ** x"` at 2."""
    with mp.workprec(bits):
        return _exactly(_evaluate(_parse(expression), Fraction(x)))


def _evaluate(node: ast.expr, x: Fraction) -> Number:
    match node:
        case ast.Constant(value=int() | float() as literal) if not isinstance(literal, bool):
            return Fraction(float(literal))
        case ast.Name(id="x"):
            return x
        case ast.Name(id="pi"):
            return Fraction(math.pi)
        case ast.Name(id="e"):
            return Fraction(math.e)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, x)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](_evaluate(left, x), _evaluate(right, x))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _UNARY:
            return _UNARY[name](_evaluate(argument, x))
        case ast.Call(func=ast.Name(id=name), args=[a, b], keywords=[]) if name in _BINARY:
            return _BINARY[name](_evaluate(a, x), _evaluate(b, x))
        case _:
            raise ValueError(f"not in the grammar of a scale_fn: {ast.unparse(node)!r}")


def _inexact(number: Number) -> mpf:
    """The number as mpmath's float of the current precision."""
    if isinstance(number, Fraction):
        return mpf(number.numerator) / mpf(number.denominator)
    return number


def _require_real(number: mpf) -> mpf:
    if not isinstance(number, mpf) or not mp.isfinite(number):
        raise ValueError(f"a scale_fn must be real and finite. Received: {number}")
    return number


def _either_way(operation: Callable[[Any, Any], Any]) -> Callable[[Number, Number], Number]:
    """The operation on two Fractions, or on two mpf as soon as one of them is irrational."""

    def apply(a: Number, b: Number) -> Number:
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return operation(a, b)
        return operation(_inexact(a), _inexact(b))

    return apply


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        width = base.numerator.bit_length() + base.denominator.bit_length()
        if width * abs(exponent.numerator) <= _WIDEST:
            # An integer exponent, so that the result is a Fraction again.
            return base**exponent.numerator
    base, exponent = _inexact(base), _inexact(exponent)
    if mp.mag(exponent) > _LARGEST_MAGNITUDE and base > 0:
        return _exp(exponent * mp.log(base))
    _require_small(exponent)
    return _require_real(base**exponent)


def _require_small(number: mpf) -> mpf:
    if mp.mag(number) > _LARGEST_MAGNITUDE:
        raise OverflowError("an argument is beyond every float64, and its function meaningless")
    return number


def _exp(x: Number) -> Number:
    x = _inexact(x)
    if x < 0 and mp.mag(x) > _LARGEST_MAGNITUDE:
        return mp.ldexp(mpf(1), -(2**_LARGEST_MAGNITUDE))
    return mp.exp(_require_small(x))


def _sqrt(x: Number) -> Number:
    if isinstance(x, Fraction) and x >= 0:
        root = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
        if root * root == x:
            return root
    return _require_real(mp.sqrt(_inexact(x)))


def _tanh(x: Number) -> Number:
    x = _inexact(x)
    # Beyond a million the distance from 1 is below 2**-1000000, and mpmath asks for the memory.
    return mp.sign(x) if mp.mag(x) > 20 else mp.tanh(x)


def _floor(x: Number) -> Number:
    if isinstance(x, Fraction):
        return Fraction(math.floor(x))
    if mp.isint(x):
        return x
    if abs(x - mp.nint(x)) < mp.ldexp(1, -mp.prec // 2) * max(1, abs(x)):
        raise ArithmeticError(f"floor of {mp.nstr(x, 20)} cannot be decided with {mp.prec} bits")
    return Fraction(int(mp.floor(x)))


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: _either_way(lambda a, b: a + b),
    ast.Sub: _either_way(lambda a, b: a - b),
    ast.Mult: _either_way(lambda a, b: a * b),
    ast.Div: _either_way(lambda a, b: a / b),
    ast.Pow: _power,
}

_UNARY: dict[str, Callable[[Number], Number]] = {
    "sin": lambda x: mp.sin(_require_small(_inexact(x))),
    "cos": lambda x: mp.cos(_require_small(_inexact(x))),
    "tanh": _tanh,
    "exp": _exp,
    "log": lambda x: _require_real(mp.log(_inexact(x))),
    "sqrt": _sqrt,
    "abs": abs,
    "floor": _floor,
}

_BINARY: dict[str, Callable[[Number, Number], Number]] = {
    "min": _either_way(min),
    "max": _either_way(max),
}


def to_float32(exact: Fraction) -> float:
    """The nearest float32, ties to even, as a Python float: 1/10 gives 0.10000000149011612."""
    return _nearest(exact, digits=24, smallest=-149, limit=128)


def to_float64(exact: Fraction) -> float:
    """The nearest float64, ties to even: 1/10 gives 0.1."""
    return _nearest(exact, digits=53, smallest=-1074, limit=1024)


def _nearest(exact: Fraction, *, digits: int, smallest: int, limit: int) -> float:
    """Round once, from the exact value; over float64 to float32 would be twice.

    Args:
        exact: the value.
        digits: of the significand, with the leading one.
        smallest: the exponent of the least subnormal number.
        limit: 2**limit is the first power of two that is infinite.
    """
    unit = _spacing_exponent(exact, digits, smallest)
    count = round(abs(exact) / Fraction(2) ** unit)  # `Fraction` rounds ties to even.
    # Rounded up from 0b111…1, `count` is a power of two with a digit more, which is exact too.
    magnitude = math.inf if count.bit_length() + unit > limit else math.ldexp(count, unit)
    return -magnitude if exact < 0 else magnitude


def _spacing_exponent(exact: Fraction, digits: int, smallest: int) -> int:
    """The exponent of the distance between the representable numbers around the value."""
    if exact == 0:
        return smallest
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** exponent:
        exponent -= 1  # Now 2**exponent <= abs(exact) < 2**(exponent + 1).
    return max(exponent - digits + 1, smallest)


def near_midpoint32(exact: Fraction, float64_ulps: int = 4) -> bool:
    """Whether a float64 error of so many ulps could change the float32 that one rounds to.

    True where the value lies within `float64_ulps` of the midpoint between two float32 numbers,
    as 1 + 2**-24 + 2**-51 does (two ulps), and 1 + 2**-24 + 2**-49 does not (eight).
    """
    gap = Fraction(2) ** _spacing_exponent(exact, 24, -149)
    midpoint = (abs(exact) // gap + Fraction(1, 2)) * gap
    ulp = Fraction(2) ** _spacing_exponent(midpoint, 53, -1074)
    return abs(abs(exact) - midpoint) <= float64_ulps * ulp


def ulps32(a: float, b: float) -> int:
    """How many float32 numbers one passes from a to b: 1 for neighbours, 0 for 0.0 and -0.0.

    Raises:
        ValueError: for NaN, and for a number that no float32 is.
    """
    return abs(_ordinal(a, "<f", "<I", 31) - _ordinal(b, "<f", "<I", 31))


def ulps64(a: float, b: float) -> int:
    """How many float64 numbers one passes from a to b: 1 for 1.0 and 1.0000000000000002."""
    return abs(_ordinal(a, "<d", "<Q", 63) - _ordinal(b, "<d", "<Q", 63))


def _ordinal(number: float, float_format: str, integer_format: str, sign_bit: int) -> int:
    """Number the floats in their order, with 0 for both zeros."""
    # A float that is too large for float32 makes struct raise OverflowError.
    try:
        packed = struct.pack(float_format, number)
    except OverflowError:
        packed = struct.pack(float_format, math.nan)
    if struct.unpack(float_format, packed)[0] != number:
        raise ValueError(f"`number` must be a number of its format. Received: number={number!r}")
    bits: int = struct.unpack(integer_format, packed)[0]
    magnitude = bits & ((1 << sign_bit) - 1)
    return -magnitude if bits >> sign_bit else magnitude
