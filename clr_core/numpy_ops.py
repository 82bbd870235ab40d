"""`Ops` of NumPy: many steps in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from clr_core.ops import unguarded

divide = np.divide
fmod = np.fmod
rint = np.rint
power = np.power
minimum = np.minimum
maximum = np.maximum
sin = np.sin
cos = np.cos
tanh = np.tanh
exp = np.exp
log = np.log
sqrt = np.sqrt
abs = np.abs
floor = np.floor
rounded = unguarded
where = np.where


def lookup(high: Sequence[float], low: Sequence[float], n: Any) -> tuple[Any, Any]:
    n, size = n.astype(np.intp), len(low)  # Shifted and masked: `//` takes longer.
    return take(high, n >> size.bit_length() - 1), take(low, n & size - 1)


@lru_cache(maxsize=64)
def _array(values: tuple[float, ...]) -> Any:
    # A thousand numbers, at each block of steps.
    return np.array(values)


def interval(begins: Sequence[float], x: Any) -> Any:
    return np.searchsorted(_array(tuple(begins)), x, side="right") - 1


def take(values: Sequence[float], index: Any) -> Any:
    return np.take(_array(tuple(values)), index)


def clip(x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)  # `np.clip` takes longer.


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    # Element by element, because a function written for one step may use `math` or an `if`.
    return np.vectorize(lambda value: float(fn(int(value))), otypes=[np.float64])(x)
