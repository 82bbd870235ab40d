"""`Ops` of plain Python: one float at a time, using the `math` of the platform.

If `math` raises, these return what IEEE 754 and every array library give: NaN or an infinity.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import getitem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Python rounds each operation separately, so a product needs no guard; `float` returns a float
# unchanged.
rounded = float
fmod = math.fmod
abs = abs
tanh = math.tanh


def divide(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        return (
            math.nan if a == 0.0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)
        )


def rint(x: float) -> float:
    try:
        return float(round(x))
    except (OverflowError, ValueError):  # Infinite, or NaN.
        return x


def lookup(high: Sequence[float], low: Sequence[float], n: float) -> tuple[float, float]:
    upper, lower = divmod(int(n), len(low))
    return high[upper], low[lower]


def interval(begins: Sequence[float], x: float) -> int:
    return bisect_right(begins, x) - 1


take = getitem


def power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except (OverflowError, ValueError):  # Too large; a power of zero below 0; a root of a negative.
        if a < 0.0 and not b.is_integer():
            return math.nan
        return math.copysign(math.inf, a) if b % 2.0 == 1.0 else math.inf


def minimum(a: float, b: float) -> float:
    return a if a < b or a != a else b


def maximum(a: float, b: float) -> float:
    return a if a > b or a != a else b


def clip(x: float, low: float, high: float) -> float:
    return low if x < low else high if x > high else x


def where(condition: bool, a: float, b: float) -> float:
    return a if condition else b


def sin(x: float) -> float:
    return math.sin(x) if math.isfinite(x) else math.nan


def cos(x: float) -> float:
    return math.cos(x) if math.isfinite(x) else math.nan


def exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def log(x: float) -> float:
    if x > 0.0:
        return math.log(x)
    return -math.inf if x == 0.0 else math.nan


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0.0 else math.nan


def floor(x: float) -> float:
    return float(math.floor(x)) if math.isfinite(x) else x


def call(fn: Callable[[Any], Any], x: float) -> float:
    # Python's own ints don't overflow: `1 / 2 ** (x - 1)` is fine in cycle 2,000.
    return float(fn(int(x)))
