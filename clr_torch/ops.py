"""`Ops` of torch: float64 tensors, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from clr_core.ops import unguarded


def _of_tensors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    # Some of torch's functions take a Python float in place of a tensor and some don't.
    def of_tensors(*arguments: Any) -> torch.Tensor:
        return function(*(torch.as_tensor(x, dtype=torch.float64) for x in arguments))

    return of_tensors


divide = _of_tensors(torch.div)
fmod = _of_tensors(torch.fmod)
power = _of_tensors(torch.pow)
minimum = _of_tensors(torch.minimum)
maximum = _of_tensors(torch.maximum)
clip = _of_tensors(torch.clamp)
rint = torch.round
sin = torch.sin
cos = torch.cos
tanh = torch.tanh
exp = torch.exp
log = torch.log
abs = torch.abs
floor = torch.floor
# Eager torch stores each result, and torch.compile turns contraction off (-ffp-contract=off).
rounded = unguarded


def lookup(high: Sequence[float], low: Sequence[float], n: Any) -> tuple[Any, Any]:
    n = n.to(torch.int64)
    upper, lower = (torch.tensor(x, dtype=torch.float64, device=n.device) for x in (high, low))
    n = n[None]  # For an index without a dimension, its number would be read.
    return upper[n // len(low)][0], lower[n % len(low)][0]


def interval(begins: Sequence[float], x: Any) -> Any:
    table = torch.tensor(begins, dtype=torch.float64, device=x.device)
    return torch.searchsorted(table, x[None], right=True)[0] - 1


def take(values: Sequence[float], index: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, device=index.device)[index[None]][0]


def where(condition: Any, a: Any, b: Any) -> torch.Tensor:
    a, b = (torch.as_tensor(x, dtype=torch.float64) for x in (a, b))
    return torch.where(torch.as_tensor(condition), a, b)


def sqrt(x: torch.Tensor) -> torch.Tensor:
    # Torch's own is off by one float at times. Here `near - root**2` is exact (Dekker 1971), and is
    # compared with the middle between `root` and its neighbours. Scaling keeps squares in range.
    scale = where(x >= 1.0, 2.0**256, 2.0**-256)
    near = x / scale / scale
    root = torch.sqrt(near)
    above, below = torch.nextafter(root, 2.0 * root), torch.nextafter(root, 0.0 * root)
    square, split = root * root, root * 134217729.0  # 2**27 + 1
    high = split - (split - root)
    low = root - high
    rest = (near - square) - (((high * high - square) + 2.0 * high * low) + low * low)
    rounded = torch.where(rest > root * (above - root), above, root)
    rounded = torch.where(rest <= root * (below - root), below, rounded)
    return torch.where(root > 0.0, rounded, root) * scale


def call(fn: Callable[[Any], Any], x: Any) -> Any:
    return fn(x)
