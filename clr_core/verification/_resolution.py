"""How finely a log gives its rates, and so what counts as equal to one of them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# With so many digits or fewer, a decimal number may stand for a float32 (`repr` of one has at most
# nine), so that float32's own rounding comes on top of the decimal one.
FLOAT32_DIGITS = 9
MOST_DIGITS = 17  # What `repr` of a float64 may need.


@dataclass(frozen=True)
class Resolution:
    """The rounding that the rates of a log went through: decimal, to float32, or hardly any.

        >>> log = Resolution.of_texts(["1.00e-03", "1.25e-03", "1.50e-03"])
        >>> print(log)
        3 digits
        >>> round(log.half_unit(0.00125), 10)
        5.0001e-06

    A rate may be off by half a unit of the last digit, and whether the log was rounded to
    significant digits or to decimals needn't be known: the larger of both half units is that of
    whichever it was. For a log of float32 numbers it is half the distance to the next float32.

    Args:
        digits: Most significant digits of any rate.
        decimals: Most decimals of any rate, 3 in "0.001" and in "1e-03".
        float32: Whether each rate is a float32 number.
    """

    digits: int
    decimals: int
    float32: bool

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Resolution:
        """The resolution of rates as they were written."""
        digits, decimals, float32 = 1, -MOST_DIGITS, True
        for text in texts:
            rate = float(text)
            if rate - rate != 0.0:
                continue  # NaN and infinity have no digits.
            float32 = float32 and is_float32(rate)
            digits_here, decimals_here = _precision(text)
            digits, decimals = max(digits, digits_here), max(decimals, decimals_here)
            if digits >= MOST_DIGITS - 1 and not float32:
                break  # As fine as it gets.
        return cls(digits=digits, decimals=decimals, float32=float32)

    @classmethod
    def of_rates(cls, rates: Iterable[float]) -> Resolution:
        """The resolution of floats: that of the shortest texts that mean them."""
        return cls.of_texts(map(repr, rates))

    def half_unit(self, rate: float) -> float:
        """How far the rate that was used may be from the logged one."""
        if self.digits > FLOAT32_DIGITS and self.float32:
            return _half_ulp32(rate)
        decimal = 0.5 * 10.0**-self.decimals
        if rate:
            # log10 of a power of ten may come out as the float64 below.
            exponent = math.floor(math.log10(abs(rate)) + 1e-12)
            decimal = max(decimal, 0.5 * 10.0 ** (exponent + 1 - self.digits))
        if self.digits > FLOAT32_DIGITS:
            return decimal
        return decimal + _half_ulp32(rate)

    def __str__(self) -> str:
        if self.digits > FLOAT32_DIGITS:
            return "float32" if self.float32 else "float64"
        return f"{self.digits} digit{'s' if self.digits > 1 else ''}"


FLOAT32 = Resolution(digits=MOST_DIGITS, decimals=60, float32=True)


def is_float32(rate: float) -> bool:
    """Whether float32 has this number.

    >>> is_float32(0.5), is_float32(0.1)
    (True, False)
    """
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", rate))
    except OverflowError:
        return False
    return bool(rounded == rate)


def _half_ulp32(rate: float) -> float:
    exponent = math.frexp(rate)[1] if rate else -125
    return math.ldexp(1.0, max(exponent, -125) - 25)


def _precision(text: str) -> tuple[int, int]:
    """The significant digits and the decimals of a number: 3 and 5 for "1.20e-03"."""
    mantissa, _, exponent = text.strip().lstrip("+-").lower().partition("e")
    whole, _, fraction = mantissa.replace("_", "").partition(".")
    return len((whole + fraction).lstrip("0")), len(fraction) - int(exponent or 0)
