"""The cyclical schedule as a Keras schedule: `step` is the optimizer's `iterations`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

import keras
import numpy as np

from clr_core import CyclicSchedule, check_schedule, schedule_from_dict
from clr_core.evaluate import evaluate

# Where each backend's `evaluate` is: in native operations and not in `keras.ops`, since on torch
# `keras.ops.minimum` of two float64 tensors gives float32. Nothing there imports optax.
_OPS = {
    "tensorflow": "clr_keras.ops",
    "jax": "clr_jax.evaluate",
    "torch": "clr_keras._torch_backend.scalar",
}

# A name of this module and not an attribute of the schedule, which couldn't be copied with it. On
# another backend the import goes through, for who loads a model without its optimizer.
_BACKEND = keras.backend.backend()
_ops: Any = import_module(_OPS[_BACKEND]) if _BACKEND in _OPS else None


@keras.saving.register_keras_serializable(package="clr_keras")
class CyclicLR(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that cycles between two boundaries.

    The formula is that of `clr_core.CyclicSchedule`, in float64; the result is float32 whatever
    `keras.config.floatx()` says. Steps beyond 2**24 stay exact.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = keras.optimizers.Adam(CyclicLR(schedule))
        >>> [round(float(CyclicLR(schedule)(step)), 3) for step in range(5)]
        [0.1, 0.3, 0.5, 0.3, 0.1]

    It has no state: the position is the optimizer's `iterations`, which Keras saves and restores.
    A momentum of the schedule isn't used here.

    Args:
        schedule: A `clr_core.CyclicSchedule`. A `scale_fn` that is an expression is saved with the
            model; a callable must be registered with Keras for that.
        gradient_accumulation_steps: The optimizer's argument of the same name. Keras hands a
            schedule the count of micro-batches; with this, the schedule counts updates instead.
        name: A name of your own.

    Raises:
        TypeError: `schedule` isn't a schedule.
        ValueError: `gradient_accumulation_steps` isn't a positive integer, or Keras runs on another
            backend than TensorFlow, JAX and torch.
    """

    def __init__(
        self,
        schedule: CyclicSchedule,
        gradient_accumulation_steps: int | None = 1,
        name: str = "CyclicLR",
    ) -> None:
        if _ops is None:
            raise ValueError(
                f"Keras must run on one of the backends {', '.join(_OPS)}. "
                f"Received: KERAS_BACKEND={_BACKEND}"
            )
        check_schedule(schedule)
        self.schedule = schedule
        self.gradient_accumulation_steps = _positive(gradient_accumulation_steps)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate for the update after `step` of them (or of micro-batches).

        Args:
            step: An integer tensor or variable of the backend, from 0; also an int or a NumPy
                array.

        Returns:
            A float32 tensor of the same shape.

        Raises:
            TypeError: `step` isn't an integer.
            ValueError: An int or a number in an array is below 0 or above 2**53.
        """
        curve = self.schedule.lr if self.gradient_accumulation_steps == 1 else self._lr_of_update
        if isinstance(step, keras.Variable):
            step = step.value
        if keras.ops.is_tensor(step):
            dtype = keras.backend.standardize_dtype(step.dtype)
            if "int" not in dtype:
                raise TypeError(f"`step` must be an integer. Received: dtype {dtype}")
            return _ops.evaluate(curve, step)
        # Computed here and now, in plain Python or NumPy: 2**31 is no tensor in JAX.
        return keras.ops.convert_to_tensor(np.float32(evaluate(curve, step)), dtype="float32")

    def _lr_of_update(self, micro_batch: Any, ops: Any) -> Any:
        # In float64, which holds every step: an int32 or a uint8 may not hold the divisor.
        update = ops.floor(ops.divide(micro_batch, float(self.gradient_accumulation_steps)))
        return self.schedule.lr(update, ops)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.to_dict(strict=False),
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        # Keras writes a callable as a dict of its own and leaves it to us to read that.
        schedule = {
            name: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
            for name, value in config["schedule"].items()
        }
        return cls(**{**config, "schedule": schedule_from_dict(schedule)})


def _positive(gradient_accumulation_steps: Any) -> int:
    try:
        if isinstance(gradient_accumulation_steps, bool):
            raise TypeError
        steps = operator.index(
            1 if gradient_accumulation_steps is None else gradient_accumulation_steps
        )
    except TypeError:
        steps = 0
    if steps < 1:
        raise ValueError(
            "`gradient_accumulation_steps` must be a positive integer or None. "
            f"Received: gradient_accumulation_steps={gradient_accumulation_steps!r}"
        )
    return steps
