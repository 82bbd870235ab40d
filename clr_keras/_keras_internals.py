"""Everything that this package uses of Keras beyond its documented interface.

Each part names the versions of Keras in which it was read. When Keras changes, change this file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

BACKEND = keras.backend.backend()

# On torch, Keras makes an object of a subclass, which updates whole lists of tensors, but only for
# exactly its own classes and not for ours. Read in 3.10.0 and 3.15.1.
if BACKEND == "torch":
    from keras.src.backend.torch.optimizers.torch_adam import Adam
    from keras.src.backend.torch.optimizers.torch_adamax import Adamax
    from keras.src.backend.torch.optimizers.torch_adamw import AdamW
    from keras.src.backend.torch.optimizers.torch_lion import Lion
    from keras.src.backend.torch.optimizers.torch_nadam import Nadam
    from keras.src.backend.torch.optimizers.torch_rmsprop import RMSprop
    from keras.src.backend.torch.optimizers.torch_sgd import SGD

    from clr_keras._torch_backend.evaluate import is_compiling as torch_compiles
else:
    from keras.optimizers import SGD, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop"]


class UpdateHooks(keras.Optimizer):
    """An optimizer with documented hooks in the two private methods that make an update."""

    def during_update(self) -> AbstractContextManager[None]:
        """The context in which each update is made."""
        return nullcontext()

    def update_lists(self, gradients: Any, variables: Any, learning_rate: Any) -> None:
        """Make an update on torch, where Keras doesn't call `update_step`."""
        super()._parallel_update_step(gradients, variables, learning_rate)

    # All backends call it once per update and not per micro-batch. Read in 3.10.0 and 3.15.1.
    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        with self.during_update():
            super()._backend_update_step(grads, trainable_variables, learning_rate)

    # Torch calls it in place of `update_step`. Read in 3.10.0 and 3.15.1.
    def _parallel_update_step(self, grads: Any, variables: Any, learning_rate: Any) -> None:
        self.update_lists(grads, variables, learning_rate)


def rate(optimizer: Any) -> Any:
    """The schedule, variable or number that an optimizer takes its rate from.

    The public `learning_rate` gives the value of a schedule. Read in 3.10.0 and 3.15.1.
    """
    return optimizer._learning_rate


def set_rate(optimizer: Any, schedule: Any) -> None:
    """Put another schedule in the place of an optimizer's. Read in 3.10.0 and 3.15.1."""
    optimizer._learning_rate = schedule


def iterations(optimizer: Any) -> Any:
    """The variable in which an optimizer counts: micro-batches, if it accumulates gradients.

    The public `iterations` counts updates and isn't a variable then. Read in 3.10.0 and 3.15.1.
    """
    return optimizer._iterations


def counted(iterations: Any) -> Any:
    """The count in such a variable, as a tensor; the largest one if it has wrapped.

    Keras counts in int32 on JAX and on torch, and goes on from 2**31 - 1 to -2**31. On torch,
    `evaluate` takes care of that. Read in 3.15.1.
    """
    count = iterations.value
    if BACKEND != "jax" or keras.backend.standardize_dtype(count.dtype) != "int32":
        return count
    return keras.ops.where(count < 0, keras.ops.full_like(count, np.iinfo(np.int32).max), count)


def asking(iterations_of: Any) -> Any:
    """The optimizer that asks a schedule for the rate at its `iterations`, None if another does.

    A schedule is passed nothing else. Call it in the schedule's `__call__`, which a method of the
    optimizer calls. Read in 3.10.0 and 3.15.1.
    """
    if BACKEND == "torch" and torch_compiles():
        return None
    caller = sys._getframe(2).f_locals.get("self")
    found = isinstance(caller, keras.Optimizer) and iterations(caller) is iterations_of
    return caller if found else None


def known(value: Any) -> Any:
    """The numbers in a tensor; None in a step that is being compiled, which has none yet."""
    if BACKEND == "torch" and torch_compiles():
        return None
    try:
        # Keras's conversion makes NumPy warn on the other backends.
        array = keras.ops.convert_to_numpy(value) if BACKEND == "torch" else np.asarray(value)
    except Exception:  # Each backend has its own.
        return None
    return None if array.dtype == object else array


def counts_replicas(count: Any) -> int:
    """How many replicas each add their update to one and the same count, 1 if it counts updates.

    They do if the optimizer was made outside of the scope of a TensorFlow strategy. `_value` read
    in 3.10.0 and 3.15.1.
    """
    if BACKEND != "tensorflow":
        return 1
    import tensorflow as tf

    if tf.distribute.in_cross_replica_context():
        return 1
    replicas: int = tf.distribute.get_strategy().num_replicas_in_sync
    return 1 if isinstance(count._value, tf.distribute.DistributedValues) else replicas


def velocities(optimizer: Any, variables: Any) -> list[Any]:
    """The velocity of each variable in an SGD or RMSprop. Read in 3.10.0 and 3.15.1."""
    all_of_them = optimizer.momentums if isinstance(optimizer, SGD) else optimizer._momentums
    return [all_of_them[optimizer._get_variable_index(each)] for each in variables]


# Keras's names for the slots of `clr_core.moments.SLOTS`. Read in 3.10.0 and 3.15.1.
SLOTS = {
    "sgd": {"velocity": "momentums"},
    "sgd-keras": {"velocity": "momentums"},
    "adam": {"first": "_momentums", "second": "_velocities"},
}


def bias_product(nadam: Any) -> Any:
    """The product of all `beta_1` so far in a Nadam. Read in 3.10.0 and 3.15.1."""
    return nadam._u_product


# `MultiOptimizer` is newer than 3.10.0.
_MULTI = getattr(keras.optimizers, "MultiOptimizer", ())


def inner_optimizers(optimizer: Any) -> Iterator[Any]:
    """The optimizers that make the updates: those inside of wrappers, or the optimizer itself.

    `inner_optimizer` and `optimizers` aren't documented. Read in 3.10.0 and 3.15.1.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        yield from inner_optimizers(optimizer.inner_optimizer)
    elif isinstance(optimizer, _MULTI):
        for each in optimizer.optimizers:
            yield from inner_optimizers(each)
    else:
        yield optimizer


def is_note(value: Any) -> bool:
    """True for what Keras writes into a config in place of an object or a function.

    A schedule's own dicts have a "kind". Read in 3.10.0 and 3.15.1.
    """
    if not isinstance(value, Mapping) or "kind" in value:
        return False
    return "class_name" in value and "config" in value


def note(name: str) -> dict[str, Any]:
    """What Keras writes in place of a function of this name."""
    return {"class_name": "function", "config": name}


def name_of_note(value: Any) -> str | None:
    """The name of the function or object that Keras noted, None for any other value."""
    if not is_note(value):
        return None
    name = value["config"] if isinstance(value["config"], str) else value["class_name"]
    return str(name)
