"""Any schedule of `clr_core` as a Keras schedule, a function of the optimizer's `iterations`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Self
from weakref import WeakKeyDictionary

import keras
import numpy as np

from clr_core import CyclicSchedule, Schedule, check_schedule, schedule_from_dict
from clr_core.adapter import LARGEST_STEP, integer, received
from clr_core.evaluate import evaluate as evaluate_on_host
from clr_keras import _keras_internals as internals
from clr_keras._keras_internals import BACKEND

# The module of each backend's `evaluate`, in native operations and not in `keras.ops`: on torch
# `keras.ops.minimum` of two float64 tensors returns float32. None of them imports optax.
_EVALUATE = {
    "tensorflow": "clr_keras.evaluate",
    "jax": "clr_jax.evaluate",
    "torch": "clr_keras._torch_backend.evaluate",
}

# A name in this module, since an attribute of the schedule couldn't be copied with it. On any other
# backend it is None: a model can be loaded there without its optimizer.
evaluate: Any = import_module(_EVALUATE[BACKEND]).evaluate if BACKEND in _EVALUATE else None

WHOLE = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "float64": LARGEST_STEP}
"""The step to which a float of each dtype holds every whole number."""

compiled: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""The schedule that an optimizer had when its step was compiled last. The step keeps it."""


registered = keras.saving.register_keras_serializable(package="clr_keras")


@registered
class ScheduledLR(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that follows a schedule of `clr_core`, of any kind.

        rate(k) = float32(schedule.lr(k))

    for the update that `k` updates came before: computed in float64 and rounded once, whatever
    `keras.config.floatx()` is. Steps beyond 2**24 stay exact.

        >>> from clr_core import Phase, PiecewiseSchedule
        >>> schedule = PiecewiseSchedule([Phase(2, 0.1, 0.5), Phase(2, 0.5, 0.0, "cosine")])
        >>> optimizer = keras.optimizers.Adam(ScheduledLR(schedule))
        >>> [round(float(ScheduledLR(schedule)(step)), 3) for step in range(6)]
        [0.1, 0.3, 0.5, 0.25, 0.0, 0.0]

    It has no state: the position is the optimizer's `iterations`, which Keras saves and restores.
    It gives the rate alone: to schedule the momentum too, pass the schedule itself to
    `clr_keras.SGD` or another optimizer of this package. `CyclicLR` is the same, and also takes the
    parameters of a `CyclicSchedule`.

    Args:
        schedule: A schedule of any kind. A `scale_fn` that is an expression is saved with the
            model; a Python callable must be registered with Keras for that.
        gradient_accumulation_steps: The optimizer's argument of the same name. Keras passes a
            schedule the number of micro-batches; with this argument, the schedule counts updates.
            The optimizers of this package need it in one place only.
        name: A name for the Keras object.

    Raises:
        TypeError: `schedule` isn't a schedule.
        ValueError: `gradient_accumulation_steps` isn't a positive integer; or the backend of Keras
            isn't TensorFlow, JAX or torch.

    Warns:
        UserWarning: The schedule has a momentum, which is ignored.

    References:
        https://keras.io/api/optimizers/learning_rate_schedules/learning_rate_schedule/
    """

    def __init__(
        self,
        schedule: Schedule,
        gradient_accumulation_steps: int | None = 1,
        name: str = "ScheduledLR",
    ) -> None:
        self.hold(schedule, gradient_accumulation_steps, name)
        self._warn_of_momentum()

    def _warn_of_momentum(self) -> None:
        if self.schedule.momentum(0) is not None:
            warnings.warn(
                f"A {type(self).__name__} gives the rate alone: the momentum of its schedule isn't "
                "cycled by Keras's own optimizers. To cycle it, pass the schedule itself to an "
                "optimizer of this package: clr_keras.SGD(schedule). To ignore it, leave out the "
                "momenta, or pass clr_core.adapter.rate_only(schedule).",
                stacklevel=3,
            )

    def hold(self, schedule: Any, gradient_accumulation_steps: object, name: str) -> None:
        """Check the arguments and keep them."""
        if evaluate is None:
            raise ValueError(
                f"Keras must run on one of the backends {', '.join(_EVALUATE)}. "
                f"Received: KERAS_BACKEND={BACKEND}"
            )
        check_schedule(schedule)
        self.schedule = schedule
        self.gradient_accumulation_steps = accumulation_steps(gradient_accumulation_steps)
        self.name = name

    @classmethod
    def of(
        cls,
        schedule: Schedule,
        gradient_accumulation_steps: int | None = 1,
        name: str | None = None,
    ) -> Self:
        """The same without a warning: for an optimizer that cycles the momentum, or is loaded."""
        rates = cls.__new__(cls)
        rates.hold(schedule, gradient_accumulation_steps, cls.__name__ if name is None else name)
        return rates

    def __call__(self, step: Any) -> Any:
        """The learning rate for the update that `step` updates (or micro-batches) came before.

        Args:
            step: An integer tensor or variable of the backend, from 0; also an int or a NumPy
                array. Floats are accepted as far as they hold every whole number: float32 to 2**24.

        Returns:
            A float32 tensor of the same shape.

        Raises:
            TypeError: `step` isn't a number.
            ValueError: A number is below 0 or above 2**53, not whole, or a float beyond the whole
                numbers that it holds. In a compiled step, no number is known.
        """
        value = self.of_updates("lr")
        if isinstance(step, keras.Variable):
            self._notice(internals.asking(step), step)
            step = internals.counted(step)
        if keras.ops.is_tensor(step):
            dtype = keras.backend.standardize_dtype(step.dtype)
            if "int" in dtype:
                return evaluate(value, step)
            if dtype not in WHOLE:
                raise TypeError(f"`step` must be an integer. Received: dtype {dtype}")
            # NumPy has no bfloat16; float32 holds each of its numbers.
            wide = dtype in ("float32", "float64")
            known = internals.known(step if wide else keras.ops.cast(step, "float32"))
            if known is not None:
                _integers(known, WHOLE[dtype])
            # As wide as the float, if the backend has such integers.
            step = keras.ops.maximum(step, 0)
            return evaluate(value, keras.ops.cast(step, "int64" if dtype == "float64" else "int32"))
        if isinstance(step, float | np.floating | np.ndarray) and np.result_type(step).kind == "f":
            array = np.asarray(step)
            whole = _integers(array, WHOLE.get(array.dtype.name, LARGEST_STEP))
            step = whole if whole.ndim else int(whole)
        # Computed immediately, in plain Python or NumPy: JAX has no tensor of 2**31.
        return keras.ops.convert_to_tensor(np.float32(evaluate_on_host(value, step)), "float32")

    def _notice(self, optimizer: Any, step: Any) -> None:
        """Note what an optimizer that asks for its rate does with this schedule."""
        if optimizer is None:
            return
        replicas = internals.counts_replicas(step)
        if replicas > 1:
            raise ValueError(
                "The optimizer must be made within `strategy.scope()`. Made outside of it, it has "
                f"one count for all {replicas} replicas, to which each adds its update: the "
                f"schedule would run {replicas} times too fast."
            )
        # On torch, a compiled step notices by itself what has changed.
        is_new = BACKEND != "torch" and compiled.get(optimizer) is not self
        if is_new and internals.known(step.value) is None:
            compiled[optimizer] = self
        steps = accumulation_steps(optimizer.gradient_accumulation_steps)
        if steps != self.gradient_accumulation_steps:
            warnings.warn(
                "`gradient_accumulation_steps` should be the same in the optimizer and in its "
                f"{type(self).__name__}. {received('gradient_accumulation_steps', steps)} and "
                f"{self.gradient_accumulation_steps}. The schedule counts micro-batches as it is "
                f"told to: give it {steps}, or it runs at another speed; or pass the schedule "
                f"itself to clr_keras.{type(optimizer).__name__}",
                stacklevel=3,
            )

    def of_updates(self, name: str) -> Callable[..., Any]:
        """The schedule's "lr" or "momentum" as a function of the count of micro-batches.

        A method, since JAX keeps what it has compiled for each function that is equal.
        """
        value: Callable[..., Any]
        if self.gradient_accumulation_steps == 1:
            value = getattr(self.schedule, name)
        else:
            value = getattr(self, f"_{name}_of_update")
        return value

    def _lr_of_update(self, micro_batch: Any, ops: Any = None) -> Any:
        return self.schedule.lr(*self._update(micro_batch, ops))

    def _momentum_of_update(self, micro_batch: Any, ops: Any = None) -> Any:
        return self.schedule.momentum(*self._update(micro_batch, ops))

    def _update(self, micro_batch: Any, ops: Any) -> tuple[Any, Any]:
        if ops is None:
            return micro_batch // self.gradient_accumulation_steps, None
        # In float64, which holds every step: an int32 or a uint8 may not hold the divisor.
        return ops.floor(ops.divide(micro_batch, float(self.gradient_accumulation_steps))), ops

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.to_dict(strict=False),
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        # Keras notes each callable as a dict and leaves it to us to read that.
        schedule = keras.tree.traverse(_read, config["schedule"])
        return cls.of(**{**config, "schedule": schedule_from_dict(schedule)})


@registered
class CyclicLR(ScheduledLR):
    """A learning rate that rises and falls: a `ScheduledLR` by the arguments of `CyclicSchedule`.

        >>> rates = CyclicLR(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = keras.optimizers.Adam(rates)
        >>> [round(float(rates(step)), 3) for step in range(5)]
        [0.1, 0.3, 0.5, 0.3, 0.1]

    Its arguments are those of torch's `CyclicLR`. It takes a schedule in their place:

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> CyclicLR(schedule).schedule == rates.schedule
        True

    Args:
        schedule, gradient_accumulation_steps, name: See `ScheduledLR`.
        base_lr, max_lr, …: The parameters of `clr_core.CyclicSchedule`, in place of a `schedule`;
            None: its default.

    Raises:
        TypeError: `schedule` isn't a schedule, or a parameter is missing or of a wrong type.
        ValueError: `schedule` and parameters are given, or parameters that `CyclicSchedule`
            refuses; otherwise see `ScheduledLR`.

    Warns:
        UserWarning: See `ScheduledLR`.
    """

    def __init__(
        self,
        schedule: Schedule | None = None,
        gradient_accumulation_steps: int | None = 1,
        name: str = "CyclicLR",
        *,
        base_lr: float | None = None,
        max_lr: float | None = None,
        step_size_up: float | None = None,
        step_size_down: float | None = None,
        mode: str | None = None,
        gamma: float | None = None,
        scale_fn: str | Callable[..., Any] | None = None,
        scale_mode: str | None = None,
        base_momentum: float | None = None,
        max_momentum: float | None = None,
    ) -> None:
        parameters: dict[str, Any] = {
            "base_lr": base_lr,
            "max_lr": max_lr,
            "step_size_up": step_size_up,
            "step_size_down": step_size_down,
            "mode": mode,
            "gamma": gamma,
            "scale_fn": scale_fn,
            "scale_mode": scale_mode,
            "base_momentum": base_momentum,
            "max_momentum": max_momentum,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        if schedule is None and given:
            schedule = CyclicSchedule(**given)
        elif given:
            raise ValueError(
                "`schedule` must be given by itself, since it has its own parameters. "
                f"Received: schedule and {', '.join(given)}"
            )
        self.hold(schedule, gradient_accumulation_steps, name)
        self._warn_of_momentum()


def rates_of(schedule: Schedule, gradient_accumulation_steps: int | None = 1) -> ScheduledLR:
    """The `CyclicLR` of a `CyclicSchedule`, or the `ScheduledLR` of another; without a warning."""
    kind = CyclicLR if isinstance(schedule, CyclicSchedule) else ScheduledLR
    return kind.of(schedule, gradient_accumulation_steps)


def _read(value: Any) -> Any:
    return keras.saving.deserialize_keras_object(value) if internals.is_note(value) else None


def _integers(steps: Any, most: int) -> Any:
    """The same steps as integers, or an error if one isn't whole or beyond `most`."""
    steps = np.asarray(steps, np.float64)
    wrong = steps[~((steps == np.floor(steps)) & (np.abs(steps) <= most))]
    if wrong.size:
        raise ValueError(
            f"`step` must be a whole number of at most {most} if it is such a float. "
            f"{received('step', wrong.flat[0].item())}"
        )
    return steps.astype(np.int64)


def updates(iterations: int, accumulated: int) -> int:
    """The updates that an optimizer has made in so many micro-batches."""
    if iterations < 0:
        made = (iterations + 2**32) // accumulated
        raise ValueError(
            "`iterations` must be at least 0: Keras counts in int32 on JAX and on torch, and this "
            "count has gone on from 2**31 - 1 to -2**31, where the schedule holds its last value. "
            f"{received('iterations', iterations)}, which is update {made} if that has happened "
            "once. Make the record of it: Record(schedule, step)"
        )
    return iterations // accumulated


def accumulation_steps(given: object) -> int:
    """The micro-batches per update, as an int: 1 for None."""
    with suppress(TypeError):
        steps = 1 if given is None else integer("gradient_accumulation_steps", given)
        if steps >= 1:
            return steps
    raise ValueError(
        "`gradient_accumulation_steps` must be a positive integer or None. "
        f"{received('gradient_accumulation_steps', given)}"
    )
