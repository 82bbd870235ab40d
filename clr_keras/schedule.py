"""Any schedule of `clr_core` as a Keras schedule, a function of the optimizer's `iterations`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

import keras
import numpy as np

from clr_core import Schedule, check_schedule, schedule_from_dict
from clr_core.adapter import integer, received
from clr_core.evaluate import evaluate as evaluate_on_host
from clr_keras import _keras_internals as internals

BACKEND = keras.backend.backend()

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


@keras.saving.register_keras_serializable(package="clr_keras")
class CyclicLR(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that follows a schedule of `clr_core`, such as `CyclicSchedule`.

    The rate is the schedule's `lr(step)`, computed in float64 and rounded once to float32, whatever
    `keras.config.floatx()` is. Steps beyond 2**24 stay exact.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = keras.optimizers.Adam(CyclicLR(schedule))
        >>> [round(float(CyclicLR(schedule)(step)), 3) for step in range(5)]
        [0.1, 0.3, 0.5, 0.3, 0.1]

    It has no state: the position is the optimizer's `iterations`, which Keras saves and restores.
    It doesn't use the schedule's momentum, if any; `clr_keras.SGD` and the other optimizers of this
    package do.

    Args:
        schedule: A schedule of any kind. A `scale_fn` that is an expression is saved with the
            model; a Python callable must be registered with Keras for that.
        gradient_accumulation_steps: The optimizer's argument of the same name. Keras passes a
            schedule the number of micro-batches; with this argument, the schedule counts updates.
        name: A name for the Keras object.

    Raises:
        TypeError: `schedule` isn't a schedule.
        ValueError: `gradient_accumulation_steps` isn't a positive integer, or the backend of Keras
            isn't TensorFlow, JAX or torch.
    """

    def __init__(
        self,
        schedule: Schedule,
        gradient_accumulation_steps: int | None = 1,
        name: str = "CyclicLR",
    ) -> None:
        if evaluate is None:
            raise ValueError(
                f"Keras must run on one of the backends {', '.join(_EVALUATE)}. "
                f"Received: KERAS_BACKEND={BACKEND}"
            )
        check_schedule(schedule)
        self.schedule = schedule
        self.gradient_accumulation_steps = accumulation_steps(gradient_accumulation_steps)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate for the update that `step` updates (or micro-batches) came before.

        Args:
            step: An integer tensor or variable of the backend, from 0; also an int or a NumPy
                array.

        Returns:
            A float32 tensor of the same shape.

        Raises:
            TypeError: `step` isn't an integer.
            ValueError: An int or a number in an array is below 0 or above 2**53.
        """
        value = self.schedule.lr if self.gradient_accumulation_steps == 1 else self._lr_of_update
        if isinstance(step, keras.Variable):
            step = step.value
        if keras.ops.is_tensor(step):
            dtype = keras.backend.standardize_dtype(step.dtype)
            if "int" not in dtype:
                raise TypeError(f"`step` must be an integer. Received: dtype {dtype}")
            return evaluate(value, step)
        # Computed immediately, in plain Python or NumPy: JAX has no tensor of 2**31.
        return keras.ops.convert_to_tensor(np.float32(evaluate_on_host(value, step)), "float32")

    def _lr_of_update(self, micro_batch: Any, ops: Any = None) -> Any:
        if ops is None:
            return self.schedule.lr(micro_batch // self.gradient_accumulation_steps)
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
        # Keras notes each callable as a dict and leaves it to us to read that.
        schedule = internals.read_notes(config["schedule"], keras.saving.deserialize_keras_object)
        return cls(**{**config, "schedule": schedule_from_dict(schedule)})


def accumulation_steps(given: object) -> int:
    """The micro-batches per update, as an int: 1 for None.

    Raises:
        ValueError: Not a positive integer.
    """
    try:
        steps = 1 if given is None else integer("gradient_accumulation_steps", given)
    except TypeError:
        steps = 0
    if steps < 1:
        raise ValueError(
            "`gradient_accumulation_steps` must be a positive integer or None. "
            f"{received('gradient_accumulation_steps', given)}"
        )
    return steps
