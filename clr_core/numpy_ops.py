"""`Ops` of NumPy: many steps in one call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clr_core import python_ops
from clr_core._arguments import received

BLOCK = 2**15  # Steps at a time: what the formula computes in between stays in the cache.
_THIS = sys.modules[__name__]  # An `Ops` is a module.

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


def clip(x: Any, low: float, high: float) -> Any:
    return np.minimum(np.maximum(x, low), high)  # `np.clip` takes longer.


def rounded(x: Any) -> Any:
    # NumPy stores each result before it computes the next.
    return x


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    # Element by element, because a function written for one step may use `math` or an `if`.
    return np.vectorize(lambda value: python_ops.call(fn, value), otypes=[np.float64])(x)


def evaluate(
    curve: Callable[[NDArray[np.float64], Any], Any], step: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """`curve(step, ops)` at each of `step`, an array of integers from 0 to 2**53, any shape."""
    if step.dtype.kind not in "iu":
        raise TypeError(
            f"`step` must be an array of integers. Received: an array of {step.dtype.name}"
        )
    if step.size and not 0 <= step.min() <= step.max() <= 2**53:
        outside = step[(step < 0) | (step > 2**53)]
        raise ValueError(
            f"`step` must lie between 0 and 2**53. {received('step', outside.flat[0].item())}"
        )
    result = np.empty(step.shape)
    flat, steps = result.reshape(-1), step.reshape(-1)
    with np.errstate(all="ignore"):  # NaN and infinity are values here, as in every other host.
        for start in range(0, steps.size, BLOCK):
            block = slice(start, start + BLOCK)
            flat[block] = curve(steps[block].astype(np.float64), _THIS)
    return result
