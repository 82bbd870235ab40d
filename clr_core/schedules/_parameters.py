"""The rules for a schedule's parameters, and the one form of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

from clr_core._arguments import number, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.ops import Ops
    from clr_core.schedules.cyclic import CyclicSchedule

MODES = ("triangular", "triangular2", "exp_range")
SCALE_MODES = ("cycle", "iterations")

# Below this a step size is lost beside one step: 1 + 2**-53 == 1.
SMALLEST_STEP_SIZE = 2.0**-53


def normalized(given: CyclicSchedule) -> dict[str, Any]:
    """Every parameter in its one form, or an error that says which rule it breaks."""
    base_lr, max_lr = number("base_lr", given.base_lr), number("max_lr", given.max_lr)
    if base_lr < 0.0:
        raise ValueError(f"`base_lr` must not be negative. {received('base_lr', given.base_lr)}")
    if base_lr > max_lr:
        raise ValueError(
            "`base_lr` must not be above `max_lr`. "
            f"{received('base_lr', given.base_lr)}, max_lr={given.max_lr!r}"
        )
    step_size_up = _step_size("step_size_up", given.step_size_up)
    step_size_down = (
        step_size_up
        if given.step_size_down is None
        else _step_size("step_size_down", given.step_size_down)
    )
    cycle_size = step_size_up + step_size_down
    if cycle_size == float("inf") or cycle_size == step_size_up:
        raise ValueError(
            "`step_size_up` and `step_size_down` must have a finite sum in which neither is lost. "
            f"{received('step_size_up', given.step_size_up)}, step_size_down={step_size_down!r}"
        )
    gamma, scale_fn, function = _decay(given)
    base_momentum, max_momentum = _momenta(given)
    return {
        "base_lr": base_lr,
        "max_lr": max_lr,
        "step_size_up": step_size_up,
        "step_size_down": step_size_down,
        "gamma": gamma,
        "scale_fn": scale_fn,
        "base_momentum": base_momentum,
        "max_momentum": max_momentum,
        "cycle_size": cycle_size,
        "_fall": cycle_size - step_size_up,
        "_scale_fn": function,
    }


def _step_size(name: str, value: object) -> float:
    size = number(name, value)
    if size <= 0.0:
        raise ValueError(f"`{name}` must be positive. {received(name, value)}")
    if size < SMALLEST_STEP_SIZE:
        raise ValueError(f"`{name}` must be at least 2**-53. {received(name, value)}")
    return size


def _decay(given: CyclicSchedule) -> tuple[float, Any, Any]:
    """`gamma`, `scale_fn` and the function of an expression, once all four go together."""
    if not isinstance(given.mode, str) or given.mode not in MODES:
        raise ValueError(f"`mode` must be one of {_listed(MODES)}. {received('mode', given.mode)}")
    if not isinstance(given.scale_mode, str) or given.scale_mode not in SCALE_MODES:
        raise ValueError(
            f"`scale_mode` must be one of {_listed(SCALE_MODES)}. "
            f"{received('scale_mode', given.scale_mode)}"
        )
    gamma, scale_fn, function = number("gamma", given.gamma), given.scale_fn, None
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"`gamma` must be above 0 and at most 1. {received('gamma', given.gamma)}")
    if gamma != 1.0 and (given.mode != "exp_range" or scale_fn is not None):
        raise ValueError(
            "`gamma` must be left out unless `mode` is 'exp_range'. "
            f"{received('gamma', given.gamma)}, mode={given.mode!r}"
        )
    if scale_fn is None:
        if given.scale_mode != "cycle":
            raise ValueError(
                "`scale_mode` must be left out where there is no `scale_fn`. "
                f"{received('scale_mode', given.scale_mode)}"
            )
        if given.mode == "exp_range" and gamma == 1.0:
            warnings.warn(
                "`mode` 'exp_range' with gamma=1 is 'triangular'. Give a `gamma` below 1.",
                stacklevel=5,  # _decay, normalized, __post_init__, __init__, the caller.
            )
    elif given.mode != "triangular":
        raise ValueError(
            "`mode` must be left out where a `scale_fn` takes its place. "
            f"{received('mode', given.mode)}"
        )
    elif isinstance(scale_fn, str):
        # Here and not at the top: most schedules have none, and `import clr_core` is to be light.
        from clr_core.schedules._expression import parsed

        scale_fn, function = parsed(scale_fn, first=1 if given.scale_mode == "cycle" else 0)
    elif callable(scale_fn):
        function = partial(_called, scale_fn)
    else:
        raise TypeError(
            "`scale_fn` must be an expression (text), a callable or None. "
            f"{received('scale_fn', scale_fn)}"
        )
    return gamma, scale_fn, function


def _momenta(given: CyclicSchedule) -> tuple[float | None, float | None]:
    both = {"base_momentum": given.base_momentum, "max_momentum": given.max_momentum}
    text = ", ".join(f"{name}={value!r}" for name, value in both.items())
    if given.base_momentum is None and given.max_momentum is None:
        return None, None
    if given.base_momentum is None or given.max_momentum is None:
        raise ValueError(
            f"`base_momentum` and `max_momentum` must be given both or neither. Received: {text}"
        )
    base, peak = (number(name, value) for name, value in both.items())
    for name, value in (("base_momentum", base), ("max_momentum", peak)):
        if not 0.0 <= value < 1.0:
            raise ValueError(f"`{name}` must be at least 0 and below 1. {received(name, value)}")
    if base > peak:
        raise ValueError(f"`base_momentum` must not be above `max_momentum`. Received: {text}")
    return base, peak


def _called(scale_fn: Callable[[Any], Any], x: Any, ops: Ops) -> Any:
    return ops.call(scale_fn, x)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))
