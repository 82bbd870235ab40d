"""The memory of past gradients in Keras's optimizers, as arrays: read and written."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from clr_core.adapter import received
from clr_core.moments import FLOATS, Moments, check_moments
from clr_keras import _keras_internals as internals
from clr_keras import optimizer as ours
from clr_keras.schedule import accumulation_steps

# Nadam isn't included, since it remembers a product of its momenta as well; nor are derived
# classes, which may remember anything.
SGDS = (internals.SGD, ours.SGD)
ADAMS = (internals.Adam, ours.Adam, internals.AdamW, ours.AdamW)


def to_moments(optimizer: Any) -> Moments:
    """The velocity of `SGD`, or the moments of `Adam` or `AdamW`: Keras's own or this package's.

        >>> weights = keras.Variable([1.0, 1.0])
        >>> optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        >>> optimizer.apply([2 * weights], [weights])
        >>> moments = to_moments(optimizer)
        >>> moments.kind, moments.count, moments.slots["velocity"][0].tolist()
        ('sgd-keras', 1, [-1.0, -1.0])

    The arrays are in the order of the variables that the optimizer was built on, and have their
    shapes: the kernel of a `Dense` is (inputs, outputs), in torch's `Linear` it is (outputs,
    inputs). With `gradient_accumulation_steps`, the gradients of an incomplete update aren't
    carried.

    Args:
        optimizer: The optimizer, or a `LossScaleOptimizer` around it.

    Raises:
        TypeError: Another optimizer.
        ValueError: The optimizer isn't built, or has `amsgrad`, `use_ema`, or no momentum.
    """
    optimizer, kind = _checked(optimizer)
    slots = {
        slot: [_array(each) for each in getattr(optimizer, name)]
        for slot, name in internals.SLOTS[kind].items()
    }
    return Moments(kind, _updates(optimizer), slots)


def from_moments(moments: Moments, optimizer: Any) -> None:
    """Put moments into an optimizer, in place of its own.

        >>> weights = keras.Variable([1.0, 1.0])
        >>> old, new = (keras.optimizers.SGD(0.5, momentum=0.9) for _ in range(2))
        >>> old.apply([2 * weights], [weights])
        >>> new.build([weights])
        >>> from_moments(to_moments(old), new)
        >>> keras.ops.convert_to_numpy(new.momentums[0]).tolist()
        [-1.0, -1.0]

    Keras has one count, `iterations`, both for the schedule and for Adam's correction of the bias.
    So Adam's moments must contain that many updates: make the optimizer with
    `clr_keras.from_record`.

    Args:
        moments: One array for each variable that the optimizer was built on, of its shape. Arrays
            of another framework are converted with `moments.rearranged`.
        optimizer: An `SGD` with a momentum, an `Adam` or an `AdamW`, or a `LossScaleOptimizer`
            around it.

    Raises:
        TypeError: `moments` aren't moments, or another optimizer.
        ValueError: Moments of another kind, for other variables or of another number of updates; an
            optimizer that isn't built, or has `amsgrad`, `use_ema`, or no momentum. The optimizer
            is then unchanged.
    """
    optimizer, kind = _checked(optimizer)
    variables = {slot: getattr(optimizer, name) for slot, name in internals.SLOTS[kind].items()}
    shapes = [tuple(each.shape) for each in next(iter(variables.values()))]
    check_moments(moments, kind, f"this {type(optimizer).__name__}", shapes, "variables")
    # SGD's velocity has no bias to correct.
    updates = _updates(optimizer)
    if kind == "adam" and moments.count != updates:
        raise ValueError(
            "`moments` must have a count equal to the optimizer's `iterations`, by which Keras "
            f"corrects Adam's bias. {received('count', moments.count)} and {updates}. "
            "Make the optimizer with clr_keras.from_record from a record of that step"
        )
    for slot, arrays in moments.slots.items():
        for variable, array in zip(variables[slot], arrays, strict=True):
            variable.assign(keras.ops.convert_to_tensor(array, dtype=variable.dtype))


def _checked(given: Any) -> tuple[Any, str]:
    """The optimizer that makes the updates, and its kind of moments."""
    found = list(internals.inner_optimizers(given))
    optimizer = found[0] if len(found) == 1 else given
    if type(optimizer) not in SGDS + ADAMS:
        several = ". Pass each of its `optimizers` by itself" if len(found) > 1 else ""
        raise TypeError(
            "`optimizer` must be SGD, Adam or AdamW, of Keras or of clr_keras. "
            f"Received: {type(optimizer).__module__}.{type(optimizer).__name__}{several}"
        )
    if not optimizer.built:
        raise ValueError(
            "`optimizer` must be built. Received: one that isn't. "
            "Call optimizer.build(model.trainable_variables)"
        )
    if getattr(optimizer, "amsgrad", False):
        raise ValueError(
            "`amsgrad` must be off: Adam remembers a maximum as well. Received: amsgrad=True"
        )
    if optimizer.use_ema:
        raise ValueError(
            "`use_ema` must be off: the average of the weights isn't carried. "
            "Received: use_ema=True"
        )
    kind = "sgd" if getattr(optimizer, "torch_velocity", False) else "sgd-keras"
    if type(optimizer) in ADAMS:
        kind = "adam"
    elif not optimizer.momentum and not isinstance(optimizer, ours.SGD):
        raise ValueError(
            "`optimizer` must have a momentum, since plain SGD keeps no state. "
            f"{received('momentum', optimizer.momentum)}"
        )
    if any(
        each is None for name in internals.SLOTS[kind].values() for each in getattr(optimizer, name)
    ):
        raise ValueError(
            "`optimizer` must have moments of each variable. Received: a variable that is "
            "overwritten with its gradient, as in float8"
        )
    return optimizer, kind


def _updates(optimizer: Any) -> int:
    iterations = int(keras.ops.convert_to_numpy(internals.iterations(optimizer)))
    return iterations // accumulation_steps(optimizer.gradient_accumulation_steps)


def _array(variable: Any) -> Any:
    array = np.array(keras.ops.convert_to_numpy(variable))
    # Each number of bfloat16 is a float32.
    return array if str(array.dtype) in FLOATS else array.astype("float32")
