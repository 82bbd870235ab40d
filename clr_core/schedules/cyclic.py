"""The cyclical schedule: its parameters, its formula, and its plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from clr_core import python_ops
from clr_core._arguments import LARGEST_STEP, received
from clr_core.schedules._parameters import MODES as MODES
from clr_core.schedules._parameters import normalized
from clr_core.schedules._shared import Described, evaluated, in_order

TYPE_CHECKING = False  # `typing` itself would double the time of `import clr_core`.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction
    from typing import Any, Self, overload

    import numpy as np
    from numpy.typing import NDArray

    from clr_core.ops import Ops
    from clr_core.schedules._parameters import Decay

    ScaleFn = str | Callable[..., Any] | None
else:
    ScaleFn = str | None  # What a configuration can hold, for libraries that read annotations.


@dataclass(frozen=True, kw_only=True, repr=False)
class CyclicSchedule(Described):
    """A learning rate, and optionally an opposed momentum, that cycle between two boundaries.

    With `position` the steps into the current cycle, `cycle` its index from 0, and
    `cycle_size = step_size_up + step_size_down`:

        position, cycle = step mod cycle_size, step div cycle_size
        height   = min(position / step_size_up, (cycle_size - position) / step_size_down)
        wave     = height * scale
        lr       = base_lr * (1 - wave) + max_lr * wave
        momentum = max_momentum * (1 - wave) + base_momentum * wave

    The `scale` is 1 in mode "triangular", `0.5 ** cycle` in "triangular2", `gamma ** step` in
    "exp_range" (counted from the start of training, as torch computes it), or the value of
    `scale_fn`. Everything is computed in float64, in the same order of operations in every
    framework.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, mode="triangular2")
        >>> [round(schedule.lr(step), 3) for step in range(9)]
        [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1]

    A schedule is immutable, hashable and stateless: `lr(step)` is the rate used *for* the update
    that `step` updates came before. Equal schedules compare equal, however they were written
    (`step_size_up=2` or `2.0`, `step_size_down=None` or the same number).

    Args:
        base_lr: Lower boundary of the rate, at least 0.
        max_lr: Upper boundary of the rate, at least `base_lr`.
        step_size_up: Steps (updates, not epochs) in the rising half; may be fractional. The paper
            suggests 2 to 10 epochs.
        step_size_down: Steps in the falling half; None: the same as `step_size_up`.
        mode: "triangular", "triangular2" (the band halves with each cycle) or "exp_range" (the band
            shrinks by `gamma` with each step).
        gamma: Factor per step in "exp_range", 0 < gamma <= 1.
        scale_fn: A custom decay in place of `mode`: an expression in `x` as text, such as
            "1 / 5 ** (x * 1e-4)" (grammar: `clr_core.schedules.expression`), or a Python callable.
            An expression works in every framework and is saved with the schedule; a callable must
            be traceable if the framework traces it, and can't be saved.
        scale_mode: The argument of `scale_fn`: the number of the "cycle", counted from 1 as in
            torch and the paper, or the step ("iterations"), counted from 0.
        base_momentum: Momentum at `max_lr`. Give both momenta or neither.
        max_momentum: Momentum at `base_lr`; `0 <= base_momentum <= max_momentum < 1`.

    Raises:
        TypeError: An argument has the wrong type, or is unknown.
        ValueError: An argument is out of range, or another argument makes it meaningless.

    References:
        Leslie N. Smith, Cyclical Learning Rates for Training Neural Networks,
        https://arxiv.org/abs/1506.01186; torch.optim.lr_scheduler.CyclicLR.
    """

    KIND = "cyclic"

    base_lr: float
    max_lr: float
    step_size_up: float = 2000.0
    step_size_down: float | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: ScaleFn = None
    scale_mode: str = "cycle"
    base_momentum: float | None = None
    max_momentum: float | None = None

    if TYPE_CHECKING:  # Not fields at run time, since the parameters determine them.
        cycle_size: float = field(init=False)
        """The steps in a cycle, which are `step_size_up + step_size_down`, rounded to float64."""
        _fall: float = field(init=False)
        _decay: Decay | None = field(init=False)

    def __post_init__(self) -> None:
        # Each argument gets one normal form, so that equal schedules are equal, hash and print
        # alike.
        parameters, decay = normalized(self._parameters())
        # The length of the fall isn't `step_size_down`: after the sum was rounded, this is where
        # both halves meet exactly.
        size = parameters["step_size_up"] + parameters["step_size_down"]
        rest = {"cycle_size": size, "_fall": size - parameters["step_size_up"], "_decay": decay}
        # Not by `vars(self)`: an object whose dict has been asked for has slower attributes.
        for name, value in (parameters | rest).items():
            object.__setattr__(self, name, value)

    if TYPE_CHECKING:

        @overload
        def lr(self, step: int) -> float: ...
        @overload
        def lr(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
        @overload
        def lr(self, step: Any, ops: Ops) -> Any: ...

    def lr(self, step: Any, ops: Ops | None = None) -> Any:
        """The learning rate for the update that `step` updates came before.

            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006).lr(2000)
            0.006

        Args:
            step: An int from 0 to 2**53, or a NumPy integer array of any shape. With `ops`: a
                float64 array of that library, whole numbers from 0.
            ops: The array library to compute with, for adapters.

        Returns:
            A float; for an array, a float64 array of the same shape.

        Raises:
            TypeError: `step` isn't an integer.
            ValueError: `step` is below 0 or above 2**53.
        """
        if ops is None:
            if type(step) is not int or not 0 <= step <= LARGEST_STEP:
                return evaluated(self.lr, step)
            step, ops = float(step), python_ops  # The fast path for the usual case.
        return self._between(self.base_lr, self.max_lr, self._wave(step, ops), ops)

    if TYPE_CHECKING:

        @overload
        def momentum(self, step: int) -> float | None: ...
        @overload
        def momentum(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None: ...
        @overload
        def momentum(self, step: Any, ops: Ops) -> Any: ...

    def momentum(self, step: Any, ops: Ops | None = None) -> Any:
        """The momentum for that update: `max_momentum` when the rate is `base_lr`.

            >>> momenta = dict(base_momentum=0.8, max_momentum=0.9)
            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006, **momenta).momentum(2000)
            0.8

        Takes, returns and raises the same as `lr`. Returns None if no momentum is set.
        """
        if self.base_momentum is None or self.max_momentum is None:
            return None
        if ops is None:
            if type(step) is not int or not 0 <= step <= LARGEST_STEP:
                return evaluated(self.momentum, step)
            step, ops = float(step), python_ops
        return self._between(self.max_momentum, self.base_momentum, self._wave(step, ops), ops)

    def scale(self, x: float) -> float:
        """The `scale` of the formula: the factor of the decay.

            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="triangular2").scale(3)
            0.25

        Args:
            x: The number of the cycle, counted from 1. In mode "exp_range", and for a `scale_fn` of
                "iterations": the step.
        """
        if self._decay is None:
            return 1.0
        of_step = self.mode == "exp_range" or self.scale_mode == "iterations"
        factor: float = self._decay(x if of_step else x - 1.0, 0.0, 1.0, python_ops)
        return factor

    def _wave(self, step: Any, ops: Ops) -> Any:
        """The place in the band: 0 at `base_lr`, 1 at `max_lr`."""
        position = ops.fmod(step, self.cycle_size)
        # The minimum of the two lines is the triangle, without a branch on a traced step.
        height = ops.minimum(
            ops.divide(position, self.step_size_up),
            ops.divide(self.cycle_size - position, self._fall),
        )
        if self._decay is None:
            return height
        scale = self._decay(step, position, self.cycle_size, ops)
        return self._decay.guard(height * scale, ops)

    def _between(self, start: float, peak: float, wave: Any, ops: Ops) -> Any:
        """From `start` at wave 0 to `peak` at wave 1, exact to the bit at both."""
        if self._decay is not None and not self._decay.keeps_band:
            guard = self._decay.guard
            return guard(start * (1.0 - wave), ops) + guard(peak * wave, ops)
        value = ops.rounded(start * (1.0 - wave)) + ops.rounded(peak * wave)
        # Rounding may leave the band by the last bit if its boundaries are close.
        return ops.clip(value, start, peak) if start < peak else ops.clip(value, peak, start)

    def turns(self, first: int, last: int) -> Iterator[int]:
        """Steps between which the rate only rises or only falls, up to rounding.

            >>> schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=250)
            >>> list(schedule.turns(0, 1000))
            [0, 250, 500, 750, 1000]

        Yields `first`, each turn, and `last`, in order and one at a time; at a turning point that
        lies between two steps, both. Little is known about a `scale_fn` of the step: a half-cycle
        with one is cut into 32 pieces, so short that it hardly turns within them.

        Raises:
            TypeError: Not integers.
            ValueError: Below 0 or above 2**53, or `first` above `last`.
        """
        from clr_core.schedules.cycles import turning_steps

        first, last = in_order(first, last)
        return turning_steps(first, last, self.cycle_size, self._turns_of_cycle())

    def _turns_of_cycle(self) -> list[float]:
        """The turning points in a cycle, as steps from its start, without its end."""
        up, pieces = self.step_size_up, 32
        if self.gamma < 1.0:
            from math import log

            # In a rise, position * gamma**position has its maximum here.
            top = -1.0 / log(self.gamma)
            return [top, up] if top < up else [up]
        if self.scale_fn is None or self.scale_mode == "cycle":
            return [up]
        parts = [i / pieces for i in range(pieces)]
        return [up * part for part in parts] + [up + self._fall * part for part in parts]

    def rescaled(self, factor: float | Fraction) -> Self:
        """The same curve in `factor` times as many steps, for another batch size or world size.

        Step `k * factor` has the rate and the momentum of step `k` here, up to rounding: the step
        sizes are multiplied by `factor`, `gamma` becomes `gamma ** (1 / factor)`, and `x` in a
        `scale_fn` of "iterations" becomes `x / factor`.

            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006).rescaled(0.5)
            CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=1000.0)

        Args:
            factor: Updates of the new run for one of the old: old batch size / new batch size. A
                float that is nearest to a simple ratio, as 1 / 3 is, stands for the ratio.

        Raises:
            TypeError: `factor` isn't a number, or `scale_fn` is a Python callable of the step.
            ValueError: `factor` isn't positive, or a parameter would be out of range.
        """
        from clr_core.schedules.rescaling import rescaled

        schedule: Self = rescaled(self, factor)
        return schedule

    def levels(self, of: str = "lr") -> dict[str, float]:
        """The boundaries by name: of the rate, or of the "momentum" if there is one.

        >>> CyclicSchedule(base_lr=0.001, max_lr=0.006).levels()
        {'base_lr': 0.001, 'max_lr': 0.006}
        """
        values = {name: getattr(self, name) for name in (f"base_{of}", f"max_{of}")}
        return {} if None in values.values() else values

    def to_dict(self, *, strict: bool = True) -> dict[str, Any]:
        """The schedule as plain data: every parameter, and its "kind".

            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006).to_dict()["step_size_down"]
            2000.0

        Args:
            strict: Raise an error if `scale_fn` is a Python callable. Otherwise the callable is in
                the result as it is.

        Raises:
            TypeError: `scale_fn` is a Python callable, and `strict` is set.
        """
        if strict and callable(self.scale_fn):
            raise TypeError(
                "`scale_fn` must be an expression for the schedule to be saved. "
                f"{received('scale_fn', self.scale_fn)}. "
                'Write it as text in `x`, such as "1 / 2 ** (x - 1)".'
            )
        return {"kind": self.KIND, **self._parameters()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build a schedule from what `to_dict` returned, or from a hand-written mapping.

        `kind`, and parameters that have a default, may be left out.

            >>> CyclicSchedule.from_dict({"base_lr": 0.001, "max_lr": 0.006})
            CyclicSchedule(base_lr=0.001, max_lr=0.006)

        Raises:
            TypeError: Not a mapping, or a value has the wrong type.
            ValueError: Another kind, unknown or missing keys, or values out of range.
        """
        is_mapping = isinstance(document, Mapping)
        if not is_mapping or document.get("mode") != "exp_range" or "gamma" not in document:
            return super().from_dict(document)
        import warnings  # Imported here to keep `import clr_core` light.

        with warnings.catch_warnings():
            # A gamma of 1 that is written down was warned of when the schedule was made.
            warnings.filterwarnings("ignore", ".*'exp_range' with gamma=1", UserWarning)
            return super().from_dict(document)

    def _parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DEFAULTS}

    def __repr__(self) -> str:
        shown = {
            name: value
            for name, value in self._parameters().items()
            if value != _DEFAULTS[name]
            and not (name == "step_size_down" and value == self.step_size_up)
        }
        arguments = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"CyclicSchedule({arguments})"


# The parameters and their defaults, in the order of the constructor.
_DEFAULTS = {each.name: each.default for each in fields(CyclicSchedule) if each.init}
