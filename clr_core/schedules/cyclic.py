"""The cyclical schedule: its parameters, its formula, and how it is written down."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial

from clr_core import python_ops
from clr_core._arguments import integer, received
from clr_core.schedules._parameters import normalized

TYPE_CHECKING = False  # `typing` itself would double the time of `import clr_core`.
if TYPE_CHECKING:
    from typing import Any, Self, overload

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from clr_core.ops import Ops

LARGEST_STEP = 2**53  # Beyond it not every integer is a float64.


@dataclass(frozen=True, kw_only=True, repr=False)
class CyclicSchedule:
    """A learning rate, and a momentum against it, that cycle between two boundaries.

    With `position` the steps into the current cycle, `cycle` its index from 0, and
    `cycle_size = step_size_up + step_size_down`:

        position, cycle = step mod cycle_size, step div cycle_size
        height   = min(position / step_size_up, (cycle_size - position) / step_size_down)
        wave     = height * scale
        lr       = base_lr * (1 - wave) + max_lr * wave
        momentum = max_momentum * (1 - wave) + base_momentum * wave

    where `scale` is 1 in mode "triangular", `0.5 ** cycle` in "triangular2" and `gamma ** step` in
    "exp_range" (from the start of training, as torch computes it), or what `scale_fn` gives. All of
    it in float64, in the same order of operations in every framework.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, mode="triangular2")
        >>> [round(schedule.lr(step), 3) for step in range(9)]
        [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1]

    A schedule is immutable and hashable and has no state: `lr(step)` is the rate used *for* the
    update that `step` updates came before. Equal schedules compare equal, whatever they were
    written as (`step_size_up=2` or `2.0`, `step_size_down=None` or the same number).

    Args:
        base_lr: Lower boundary of the rate, at least 0.
        max_lr: Upper boundary of the rate, at least `base_lr`.
        step_size_up: Steps (updates, not epochs) in the rising half; may be fractional. The paper
            suggests 2 to 10 epochs.
        step_size_down: Steps in the falling half; None: as long as the rise.
        mode: "triangular", "triangular2" (the band halves with each cycle) or "exp_range" (the band
            shrinks by `gamma` with each step).
        gamma: Factor per step in "exp_range", 0 < gamma <= 1.
        scale_fn: A decay of one's own in place of `mode`: an expression in `x` as text, such as
            "1 / 5 ** (x * 1e-4)" (grammar: `clr_core.schedules._expression`), or a Python
            callable. An expression works in every framework and is written down with the schedule;
            a callable must be traceable where the framework traces, and can't be written down.
        scale_mode: What `scale_fn` is a function of: the number of the "cycle", counted from 1 as
            torch and the paper do, or the step, "iterations", from 0.
        base_momentum: Momentum at `max_lr`. Both momenta or neither.
        max_momentum: Momentum at `base_lr`; `0 <= base_momentum <= max_momentum < 1`.

    Raises:
        TypeError: An argument of the wrong kind, or an unknown one.
        ValueError: An argument outside its range, or one that another makes meaningless.

    References:
        Leslie N. Smith, Cyclical Learning Rates for Training Neural Networks,
        https://arxiv.org/abs/1506.01186; torch.optim.lr_scheduler.CyclicLR.
    """

    base_lr: float
    max_lr: float
    step_size_up: float = 2000.0
    step_size_down: float | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: str | Callable[[Any], Any] | None = None
    scale_mode: str = "cycle"
    base_momentum: float | None = None
    max_momentum: float | None = None

    # What follows from the parameters, computed once. The length of the fall isn't
    # `step_size_down`: after the sum was rounded, this is where both halves meet exactly.
    cycle_size: float = field(init=False, compare=False)
    _fall: float = field(init=False, compare=False)
    _scale_fn: Callable[[Any, Ops], Any] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Each argument gets its one form, so that equal schedules are equal, hash and print alike.
        for name, value in normalized(self).items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # The function of an expression doesn't pickle; the parameters say it all.
        return partial(type(self), **self._parameters()), ()

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
                return on_host(self.lr, step)
            step, ops = float(step), python_ops  # The usual case, straight away.
        return self._between(self.base_lr, self.max_lr, self._wave(step, ops), ops)

    if TYPE_CHECKING:

        @overload
        def momentum(self, step: int) -> float | None: ...
        @overload
        def momentum(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None: ...
        @overload
        def momentum(self, step: Any, ops: Ops) -> Any: ...

    def momentum(self, step: Any, ops: Ops | None = None) -> Any:
        """The momentum for that update: `max_momentum` where the rate is at `base_lr`.

            >>> momenta = dict(base_momentum=0.8, max_momentum=0.9)
            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006, **momenta).momentum(2000)
            0.8

        Takes, returns and raises what `lr` does. None where no momentum is set.
        """
        if self.base_momentum is None or self.max_momentum is None:
            return None
        if ops is None:
            if type(step) is not int or not 0 <= step <= LARGEST_STEP:
                return on_host(self.momentum, step)
            step, ops = float(step), python_ops
        return self._between(self.max_momentum, self.base_momentum, self._wave(step, ops), ops)

    def _wave(self, step: Any, ops: Ops) -> Any:
        """Where in the band: 0 at `base_lr`, 1 at `max_lr`."""
        position = ops.fmod(step, self.cycle_size)
        # The smaller of the two lines is the triangle, with no branch on a step that may be traced.
        height = ops.minimum(
            ops.divide(position, self.step_size_up),
            ops.divide(self.cycle_size - position, self._fall),
        )
        if self.scale_fn is None and self.mode == "triangular":
            return height
        return ops.rounded(height * self._scale(step, position, ops))

    def _scale(self, step: Any, position: Any, ops: Ops) -> Any:
        if self.scale_fn is None and self.mode == "exp_range":
            return ops.power(self.gamma, step)
        if self.scale_fn is not None and self.scale_mode == "iterations":
            x = step
        else:
            # `step - position` is a whole number of cycles but for rounding.
            x = ops.rint(ops.divide(step - position, self.cycle_size))
        if self.scale_fn is None:
            return ops.power(0.5, x)
        if self.scale_mode == "cycle":
            x = x + 1.0
        return self._scale_fn(x, ops)

    def _between(self, start: float, peak: float, wave: Any, ops: Ops) -> Any:
        """`start` where the wave is 0, `peak` where it is 1, both to the bit."""
        value = ops.rounded(start * (1.0 - wave)) + ops.rounded(peak * wave)
        if self.scale_fn is not None:
            return value  # A scale of one's own may leave the band, as in torch.
        # Rounding may lead out of the band by the last bit, where its boundaries are close.
        return ops.clip(value, start, peak) if start < peak else ops.clip(value, peak, start)

    def to_dict(self, *, strict: bool = True) -> dict[str, Any]:
        """The schedule as plain data: every parameter, and its "kind".

            >>> CyclicSchedule(base_lr=0.001, max_lr=0.006).to_dict()["step_size_down"]
            2000.0

        Args:
            strict: Whether a `scale_fn` that is a Python callable is an error. If not, it stands
                in the result as it is.

        Raises:
            TypeError: `scale_fn` is a Python callable, and `strict`.
        """
        if strict and callable(self.scale_fn):
            raise TypeError(
                "`scale_fn` must be an expression for the schedule to be written down. "
                f"{received('scale_fn', self.scale_fn)}. "
                'Write it as text in `x`, such as "1 / 2 ** (x - 1)".'
            )
        return {"kind": KIND, **self._parameters()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The schedule that `to_dict` wrote.

        Raises:
            TypeError: Not a mapping, or a value of the wrong kind.
            ValueError: Another kind, unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A schedule must be a mapping. {received('document', document)}")
        if document.get("kind") != KIND:
            raise ValueError(f"`kind` must be {KIND!r}. {received('kind', document.get('kind'))}")
        expected, given = {"kind", *_DEFAULTS}, set(document)
        if given != expected:
            raise ValueError(
                f"A schedule must have the keys {', '.join(sorted(expected))}. "
                f"Missing: {sorted(expected - given)}. "
                f"Unknown: {sorted(map(str, given - expected))}"
            )
        return cls(**{name: value for name, value in document.items() if name != "kind"})

    def to_json(self) -> str:
        """`to_dict` as JSON in one line; the same text for equal schedules."""
        import json  # Only who writes or reads pays for it.

        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The schedule that `to_json` wrote.

        Raises:
            TypeError: `text` isn't text.
            ValueError: Malformed JSON, or not a schedule (see `from_dict`).
        """
        import json

        if not isinstance(text, str):
            raise TypeError(f"`text` must be a str. {received('text', text)}")
        try:
            return cls.from_dict(
                json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_twins)
            )
        except (TypeError, ValueError, RecursionError) as error:
            # One type for everything that can be wrong with a document.
            raise ValueError(
                f"`text` must be the JSON of a schedule: {error}. {received('text', text)}"
            ) from None

    def plot(
        self,
        steps: int | None = None,
        *,
        steps_per_epoch: int | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """Draws the rate between its boundaries, and the momentum below. Needs the extra `plot`.

        Args:
            steps: Draws steps 0 to this one; None: three cycles.
            steps_per_epoch: Updates in an epoch, for a second axis in epochs.
            ax: Axes of matplotlib to draw the rate in, and nothing else; None: a new figure.

        Returns:
            A `matplotlib.figure.Figure`: `schedule.plot().savefig("schedule.png")`.

        Raises:
            ImportError: matplotlib isn't installed.
            TypeError: Not integers.
            ValueError: Not from 1 to 2**53, or a rate too large to be drawn.
        """
        from clr_core.schedules._draw import picture
        from clr_core.schedules._samples import curves

        given = {"steps": steps, "steps_per_epoch": steps_per_epoch}
        for name, value in given.items():
            if value is not None and not 1 <= integer(name, value) <= LARGEST_STEP:
                raise ValueError(f"`{name}` must be from 1 to 2**53. {received(name, value)}")
        return picture(curves([self], steps), steps_per_epoch=steps_per_epoch, axes=ax)

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

    def _repr_html_(self) -> str:
        """What a notebook shows: the first cycles as a picture."""
        from clr_core.schedules._svg import picture

        return picture(self)


KIND = "cyclic"
# The parameters and their defaults, in the order of the constructor.
_DEFAULTS = {each.name: each.default for each in fields(CyclicSchedule) if each.init}


def schedule_from_dict(document: Mapping[str, Any]) -> CyclicSchedule:
    """The schedule of whatever kind that a `to_dict` wrote.

        >>> schedule_from_dict(CyclicSchedule(base_lr=0.001, max_lr=0.006).to_dict())
        CyclicSchedule(base_lr=0.001, max_lr=0.006)

    Raises:
        TypeError: Not a mapping, or a value of the wrong kind.
        ValueError: An unknown kind, unknown or missing keys, or values out of range.
    """
    # There is one kind so far; another one is to be told apart here by its "kind".
    return CyclicSchedule.from_dict(document)


def check_schedule(schedule: object) -> None:
    """Raises a TypeError unless `schedule` has what an adapter asks of one.

    That is `lr(step, ops)`, `momentum(step, ops)` and `to_dict()`.
    """
    names = ("lr", "momentum", "to_dict")
    has_all = all(callable(getattr(schedule, name, None)) for name in names)
    if not has_all or isinstance(schedule, type):
        raise TypeError(
            "`schedule` must be a schedule such as CyclicSchedule. "
            f"{received('schedule', schedule)}"
        )


def on_host(curve: Callable[[Any, Ops], Any], step: Any) -> Any:
    """`curve` at an int, or at the elements of a NumPy array."""
    # Who passes an array has imported NumPy; the core itself doesn't need it.
    numpy = None if type(step) is int else sys.modules.get("numpy")
    if numpy is not None and isinstance(step, numpy.ndarray):
        from clr_core import numpy_ops

        return numpy_ops.evaluate(curve, step)
    return python_ops.evaluate(curve, step)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a key occurs twice")
    return document
