"""A schedule's value at steps that Python or NumPy hold."""

from __future__ import annotations

import sys
from collections.abc import Callable

from clr_core._arguments import LARGEST_STEP, count, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from clr_core.ops import Ops

BLOCK = 2**15  # Steps at a time, so that intermediate results stay in the cache.


def evaluate(value: Callable[..., Any], step: Any) -> Any:
    """`value(step)` at an int, or at each element of a NumPy array of integers.

    Args:
        value: A schedule's `lr` or `momentum`, or a function of (step, ops) like these that takes
            an int by itself.
        step: An integer from 0 to 2**53, or an array of them of any shape.

    Raises:
        TypeError: `step` isn't an integer.
        ValueError: `step` is below 0 or above 2**53.
    """
    # A caller who passes an array has imported NumPy; the core itself doesn't need it.
    numpy = None if type(step) is int else sys.modules.get("numpy")
    if numpy is not None and isinstance(step, numpy.ndarray):
        from clr_core import numpy_ops

        return evaluate_array(value, step, numpy_ops)
    return value(count("step", step))


def evaluate_array(
    value: Callable[..., Any], steps: NDArray[np.integer[Any]], ops: Ops
) -> NDArray[np.float64]:
    """`value(step, ops)` at each of `steps`, with primitives that take NumPy arrays.

    Raises:
        TypeError: `steps` isn't an array of integers.
        ValueError: One is below 0 or above 2**53.
    """
    import numpy as np

    if steps.dtype.kind not in "iu":
        raise TypeError(
            f"`step` must be an array of integers. Received: an array of {steps.dtype.name}"
        )
    if steps.size and not 0 <= steps.min() <= steps.max() <= LARGEST_STEP:
        outside = steps[(steps < 0) | (steps > LARGEST_STEP)]
        raise ValueError(
            f"`step` must lie between 0 and 2**53. {received('step', outside.flat[0].item())}"
        )
    result = np.empty(steps.shape)
    flat, given = result.ravel(), steps.ravel()
    with np.errstate(all="ignore"):  # NaN and infinity are values here, as in every other host.
        for start in range(0, given.size, BLOCK):
            block = slice(start, start + BLOCK)
            flat[block] = value(given[block].astype(np.float64), ops)
    return result
