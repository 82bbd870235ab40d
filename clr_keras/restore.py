"""A copy of all that a training changes in a Keras model, and the way back, bit for bit."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.utils.tracking import Tracker

from clr_core.range_finding._random_states import Restore
from clr_core.range_finding.restoring import Opened, Snapshot


def snapshot(model: Any) -> Snapshot:
    """What a model holds now, with its optimizer, metrics, losses and seed generators.

        >>> model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> before, kernel = snapshot(model), model.get_weights()[0]
        >>> _ = model.train_on_batch(keras.ops.ones((4, 2)), keras.ops.ones((4, 1)))
        >>> before.restore()
        >>> bool((model.get_weights()[0] == kernel).all()), model.optimizer.built
        (True, False)

    Also what Keras keeps for the whole process: the generator of what draws without a seed, and the
    numbers in the names of what is made. The copies of variables lie on the variables' devices.
    """
    return Snapshot([vars(global_state.GLOBAL_STATE_TRACKER), model], _opened)


def values(variables: list[Any]) -> Snapshot:
    """What these variables hold now."""
    return Snapshot(variables, _opened)


def _opened(value: Any) -> Opened | None:
    if isinstance(value, keras.Variable):
        return _variable(value), ()
    # Layers, optimizers, metrics and losses; and what each knows its variables by.
    if isinstance(value, KerasSaveable | Tracker | keras.random.SeedGenerator):
        return None, [vars(value)]
    # TensorFlow makes an optimizer's lists its own, which keep their elements elsewhere.
    if isinstance(value, list) and hasattr(value, "_storage"):
        return None, [vars(value)]
    return None


def _variable(variable: Any) -> Restore:
    ops = keras.ops
    copy = ops.copy(ops.stop_gradient(variable.value))
    # Torch's gradients of the last step, which Keras leaves there.
    has_grad = hasattr(type(variable.value), "grad")
    grad = variable.value.grad if has_grad else None

    def restore() -> None:
        # A copy each time, since JAX gives the arrays themselves away to the compiled step.
        variable.assign(ops.copy(copy))
        if has_grad:
            variable.value.grad = grad

    return restore
