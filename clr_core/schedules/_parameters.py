"""The rules for the parameters of a cyclic schedule, and the decay that they describe."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from clr_core._arguments import not_negative, number, one_of, positive_number, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.ops import Ops

MODES = ("triangular", "triangular2", "exp_range")
SCALE_MODES = ("cycle", "iterations")

# A smaller step size is lost beside one step: 1 + 2**-53 == 1.
SMALLEST_STEP_SIZE = 2.0**-53


class Decay:
    """The factor by which the wave is multiplied: a function of the step or of the cycle."""

    keeps_band = True
    """Whether it lies between 0 and 1, so that the rate stays between its boundaries."""

    def __call__(self, step: Any, position: Any, cycle_size: float, ops: Ops) -> Any:
        """The factor at a step, `position` steps into its cycle."""
        raise NotImplementedError

    def guard(self, product: Any, ops: Ops) -> Any:
        """A product of the factor, for a sum that may follow."""
        return ops.rounded(product)


class Halving(Decay):
    """`0.5 ** cycle`, the decay of "triangular2"; exact until it is 0."""

    def __call__(self, step: Any, position: Any, cycle_size: float, ops: Ops) -> Any:
        return ops.power(0.5, _cycle(step, position, cycle_size, ops))


class Exponential(Decay):
    """`gamma ** step`, the decay of "exp_range"."""

    def __init__(self, gamma: float) -> None:
        from clr_core.kernels import (
            power_of_steps,  # Imported here to keep `import clr_core` light.
        )

        self._power = power_of_steps(gamma)

    def __call__(self, step: Any, position: Any, cycle_size: float, ops: Ops) -> Any:
        return self._power(step, ops)


class Custom(Decay):
    """A `scale_fn`: of the cycle, counted from 1, or of the step, counted from 0."""

    keeps_band = False  # As in torch, a custom decay may take the rate beyond its boundaries.

    def __init__(self, function: Callable[[Any, Ops], Any], scale_mode: str) -> None:
        from clr_core.kernels import flushed

        self.function, self.of_cycle = function, scale_mode == "cycle"
        self._flushed = flushed

    def __call__(self, step: Any, position: Any, cycle_size: float, ops: Ops) -> Any:
        if not self.of_cycle:
            return self.function(step, ops)
        number = _cycle(step, position, cycle_size, ops) + 1.0
        return self.function(self.guard(number, ops), ops)  # Another constant may be added to it.

    def guard(self, product: Any, ops: Ops) -> Any:
        return self._flushed(product, ops)  # It may have any sign and size.


def _cycle(step: Any, position: Any, cycle_size: float, ops: Ops) -> Any:
    # `step - position` is a whole number of cycles, up to rounding.
    return ops.rint(ops.divide(step - position, cycle_size))


def normalized(given: dict[str, Any]) -> tuple[dict[str, Any], Decay | None]:
    """The parameters in their normal form and the decay, or an error that names the broken rule."""
    base_lr, max_lr = not_negative("base_lr", given["base_lr"]), number("max_lr", given["max_lr"])
    if base_lr > max_lr:
        raise ValueError(
            "`base_lr` must not be above `max_lr`. "
            f"{received('base_lr', given['base_lr'], max_lr=given['max_lr'])}"
        )
    step_size_up = _step_size("step_size_up", given["step_size_up"])
    step_size_down = (
        step_size_up
        if given["step_size_down"] is None
        else _step_size("step_size_down", given["step_size_down"])
    )
    cycle_size = step_size_up + step_size_down
    if cycle_size == float("inf") or cycle_size == step_size_up:
        raise ValueError(
            "`step_size_up` and `step_size_down` must have a finite sum in which neither is lost. "
            f"{received('step_size_up', given['step_size_up'], step_size_down=step_size_down)}"
        )
    modes = {
        "mode": one_of("mode", given["mode"], MODES),
        "scale_mode": one_of("scale_mode", given["scale_mode"], SCALE_MODES),
    }
    gamma, scale_fn, decay = _decay(given | modes)
    base_momentum, max_momentum = momenta(given["base_momentum"], given["max_momentum"])
    parameters = {
        "base_lr": base_lr,
        "max_lr": max_lr,
        **modes,
        "step_size_up": step_size_up,
        "step_size_down": step_size_down,
        "gamma": gamma,
        "scale_fn": scale_fn,
        "base_momentum": base_momentum,
        "max_momentum": max_momentum,
    }
    return parameters, decay


def _step_size(name: str, value: object) -> float:
    size = positive_number(name, value)
    if size < SMALLEST_STEP_SIZE:
        raise ValueError(f"`{name}` must be at least 2**-53. {received(name, value)}")
    return size


def _decay(given: dict[str, Any]) -> tuple[float, str | Callable[..., Any] | None, Decay | None]:
    """The normal form of `gamma` and `scale_fn`, and the decay; None: the wave doesn't decay."""
    mode, scale_fn, scale_mode = given["mode"], given["scale_fn"], given["scale_mode"]
    gamma = number("gamma", given["gamma"])
    if not 0.0 < gamma <= 1.0:
        raise ValueError(
            f"`gamma` must be above 0 and at most 1. {received('gamma', given['gamma'])}"
        )
    if gamma != 1.0 and (mode != "exp_range" or scale_fn is not None):
        raise ValueError(
            "`gamma` must be left out unless `mode` is 'exp_range'. "
            f"{received('gamma', given['gamma'], mode=mode)}"
        )
    if scale_fn is not None:
        if mode != "triangular":
            raise ValueError(
                f"`mode` must be left out if there is a `scale_fn`. {received('mode', mode)}"
            )
        scale_fn, function = _function(scale_fn, scale_mode)
        return gamma, scale_fn, Custom(function, scale_mode)
    if scale_mode != "cycle":
        raise ValueError(
            "`scale_mode` must be left out unless there is a `scale_fn`. "
            f"{received('scale_mode', scale_mode)}"
        )
    if mode == "exp_range" and gamma == 1.0:
        warnings.warn(
            "`mode` 'exp_range' with gamma=1 is 'triangular'. Give a `gamma` below 1.",
            stacklevel=5,  # _decay, normalized, __post_init__, __init__, the caller.
        )
    if mode == "exp_range":
        return gamma, None, Exponential(gamma) if gamma < 1.0 else None
    return gamma, None, Halving() if mode == "triangular2" else None


def _function(scale_fn: object, scale_mode: str) -> tuple[Any, Callable[[Any, Ops], Any]]:
    """The normal form of a `scale_fn`, and the same as a function of (x, ops)."""
    if isinstance(scale_fn, str):
        # Imported here to keep `import clr_core` light: most schedules have no `scale_fn`.
        from clr_core.schedules.expression import parsed

        return parsed(scale_fn, first=1 if scale_mode == "cycle" else 0)
    if not callable(scale_fn):
        raise TypeError(
            "`scale_fn` must be an expression (text), a callable or None. "
            f"{received('scale_fn', scale_fn)}"
        )
    return scale_fn, lambda x, ops: ops.call(scale_fn, x)


def momenta(base: object, peak: object) -> tuple[float | None, float | None]:
    """Both momenta or None twice, or an error that names the broken rule."""
    both = received("base_momentum", base, max_momentum=peak)
    if base is None and peak is None:
        return None, None
    if base is None or peak is None:
        raise ValueError(f"`base_momentum` and `max_momentum` must be given together. {both}")
    low, high = number("base_momentum", base), number("max_momentum", peak)
    for name, value in (("base_momentum", low), ("max_momentum", high)):
        if not 0.0 <= value < 1.0:
            raise ValueError(f"`{name}` must be at least 0 and below 1. {received(name, value)}")
    if low > high:
        raise ValueError(f"`base_momentum` must not be above `max_momentum`. {both}")
    return low, high
