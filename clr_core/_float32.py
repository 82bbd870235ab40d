"""float32 in plain Python."""

from __future__ import annotations

import math
import struct


def float32(number: float) -> float:
    """`number` rounded to float32.

    >>> float32(0.1)
    0.10000000149011612
    """
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return math.copysign(math.inf, number)
    return float(rounded)


def same_bits(a: float, b: float) -> bool:
    """True if two float32 numbers have the same bits: 0.0 and -0.0 don't, NaN and NaN do."""
    return struct.pack("<f", a) == struct.pack("<f", b)


def ulps_apart(a: float, b: float) -> int:
    """The distance between two numbers, once rounded, in float32 numbers; neither is NaN.

    >>> ulps_apart(0.5, 0.50000006)
    1
    """
    return abs(_ordinal(float32(a)) - _ordinal(float32(b)))


def _ordinal(number: float) -> int:
    """The index of a float32 number, counted from 0.0: neighbours differ by 1."""
    (bits,) = struct.unpack("<I", struct.pack("<f", abs(number)))
    return int(math.copysign(bits, number))
