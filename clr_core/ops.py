"""What the formula asks of an array library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


def unguarded(x: Any) -> Any:
    """The `rounded` of a library that rounds each result before it computes the next."""
    return x


class Ops(Protocol):
    """The primitives that each array library spells differently, all in float64.

    A plain module with these functions is an `Ops` (`clr_core.python_ops` is the shortest one).
    Arguments are the library's float64 arrays or Python floats, at least one of them an array;
    results are float64 arrays. Each is the IEEE operation: NaN and infinity are values, nothing
    raises.

    `divide` and `rounded` exist because compilers change float arithmetic, and the curve is to be
    the same to the bit in all of them:

    - XLA rewrites a division by a constant into a product with its reciprocal, which costs the last
      bit. `divide(a, b)` must be the correctly rounded quotient; where the compiler does that, let
      the divisor depend on the data.
    - LLVM contracts `a * b + c` into one fused operation. `rounded(product)` must be the product
      rounded to float64 before it is used; where the compiler contracts, put an operation between
      them that it can't look through. Otherwise it is `unguarded`.

    Libraries differ in the last bit of `power`, `sin`, `cos`, `tanh`, `exp` and `log`. The same in
    all of them are `power(0.5, n)` for a whole `n`, and the functions of `clr_core.kernels`.
    """

    def divide(self, a: Any, b: Any, /) -> Any:
        """The correctly rounded quotient a / b."""

    def rounded(self, x: Any, /) -> Any:
        """`x`, a product, rounded to float64 and not fused with what comes next."""

    def fmod(self, a: Any, b: float, /) -> Any:
        """The exact remainder of a / b, for a >= 0 and b > 0."""

    def rint(self, x: Any, /) -> Any:
        """The nearest whole number."""

    def lookup(self, high: Sequence[float], low: Sequence[float], n: Any, /) -> tuple[Any, Any]:
        """`high[n // len(low)]` and `low[n % len(low)]`, for a whole `n` from 0.

        Both are sequences of Python floats; the length of `low` is a power of 2.
        """

    def interval(self, begins: Sequence[float], x: Any, /) -> Any:
        """The index of the last of `begins` that is at most `x`: integers, for `take`.

        `begins` is a sequence of Python floats in ascending order, of which the first is 0, and `x`
        is at least 0.
        """

    def take(self, values: Sequence[float], index: Any, /) -> Any:
        """`values[index]`, for an index from `interval`; `values` are Python floats."""

    def power(self, a: Any, b: Any, /) -> Any:
        """`a ** b`, exact where a = 0.5 and b is a whole number."""

    def minimum(self, a: Any, b: Any, /) -> Any:
        """The smaller of each pair."""

    def maximum(self, a: Any, b: Any, /) -> Any:
        """The larger of each pair."""

    def where(self, condition: Any, a: Any, b: Any, /) -> Any:
        """`a` if the condition holds, else `b`; the condition is the library's, or a bool."""

    def clip(self, x: Any, low: Any, high: Any, /) -> Any:
        """`x`, or the boundary that it lies beyond; NaN stays NaN."""

    def sin(self, x: Any, /) -> Any:
        """The sine of x, in radians."""

    def cos(self, x: Any, /) -> Any:
        """The cosine of x, in radians."""

    def tanh(self, x: Any, /) -> Any:
        """The hyperbolic tangent."""

    def exp(self, x: Any, /) -> Any:
        """E to the power of x."""

    def log(self, x: Any, /) -> Any:
        """The natural logarithm."""

    def sqrt(self, x: Any, /) -> Any:
        """The correctly rounded square root."""

    def abs(self, x: Any, /) -> Any:
        """The absolute value."""

    def floor(self, x: Any, /) -> Any:
        """The largest whole number not above x."""

    def call(self, fn: Callable[[Any], Any], x: Any, /) -> Any:
        """What a user's Python callable gives for x (whole numbers)."""
