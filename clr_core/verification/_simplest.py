"""The simplest number of those that a log admits: what somebody will have written."""

from __future__ import annotations


def simplest_integer(low: int, high: int) -> int:
    """The integer between two positive ones with the most zeros at its end.

    >>> simplest_integer(998, 1003), simplest_integer(7, 7)
    (1000, 7)
    """
    power = 10
    while power <= high:
        power *= 10
    while True:
        first = -(-low // power) * power
        if first <= high:
            return first
        power //= 10


def simplest(low: float, high: float) -> float:
    """The number between two others that has the fewest digits.

    >>> simplest(0.0029988, 0.0030004)
    0.003
    """
    middle = low + (high - low) / 2
    for digits in range(17):
        number = float(f"{middle:.{digits}e}")
        if low <= number <= high:
            return number
    return middle


def simplest_ratio(low: float, high: float) -> float:
    """The simplest number between two positive ones, 1/3 among them."""
    number, inverse = simplest(low, high), simplest(1 / high, 1 / low)
    inverted = 1 / inverse
    shorter = len(repr(inverse)) < len(repr(number)) and low <= inverted <= high
    return inverted if shorter else number
