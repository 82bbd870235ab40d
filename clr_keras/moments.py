"""What Keras's optimizers remember of past gradients, as arrays, in and out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from clr_core.adapter import received
from clr_core.moments import FLOATS, Moments, check_shapes
from clr_keras import _keras_internals as internals
from clr_keras import optimizer as ours
from clr_keras.schedule import accumulation_steps

# Keras's name of each slot of `clr_core.moments.SLOTS`.
NAMES = {
    "sgd": {"velocity": "momentums"},
    "sgd-keras": {"velocity": "momentums"},
    "adam": {"first": "_momentums", "second": "_velocities"},
}
# Nadam isn't among these: it remembers a product of its momenta as well. Nor is a class derived
# from one, which may remember what it likes.
SGDS = (internals.SGD, ours.SGD)
ADAMS = (internals.Adam, ours.Adam, internals.AdamW, ours.AdamW)


def to_moments(optimizer: Any) -> Moments:
    """The velocity of `SGD`, or the moments of `Adam` or `AdamW`: Keras's own or this package's.

    In the order of the variables that the optimizer was built on, and in their shapes: a `Dense`
    has its kernel as (inputs, outputs), where torch's `Linear` has (outputs, inputs).

        >>> weights = keras.Variable([1.0, 1.0])
        >>> optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        >>> optimizer.apply([2 * weights], [weights])
        >>> moments = to_moments(optimizer)
        >>> moments.kind, moments.count, moments.slots["velocity"][0].tolist()
        ('sgd-keras', 1, [-1.0, -1.0])

    The gradients of an update that isn't complete, with `gradient_accumulation_steps`, aren't
    carried.

    Args:
        optimizer: The optimizer, or a `LossScaleOptimizer` around it.

    Raises:
        TypeError: Another optimizer.
        ValueError: It isn't built, or has `amsgrad`, `use_ema`, or no momentum.
    """
    optimizer, kind = _checked(optimizer)
    slots = {
        slot: [_array(each) for each in getattr(optimizer, name)]
        for slot, name in NAMES[kind].items()
    }
    return Moments(kind, _updates(optimizer), slots)


def from_moments(moments: Moments, optimizer: Any) -> None:
    """Puts the moments into an optimizer, in the place of its own.

        >>> weights = keras.Variable([1.0, 1.0])
        >>> old, new = (keras.optimizers.SGD(0.5, momentum=0.9) for _ in range(2))
        >>> old.apply([2 * weights], [weights])
        >>> new.build([weights])
        >>> from_moments(to_moments(old), new)
        >>> keras.ops.convert_to_numpy(new.momentums[0]).tolist()
        [-1.0, -1.0]

    Keras has one count, `iterations`, for Adam's correction of the bias and for the schedule. So
    moments of Adam must be of as many updates: make the optimizer with `clr_keras.from_record`.

    Args:
        moments: One array for each variable that the optimizer was built on, of its shape. Where
            they come from another framework, turn its arrays with `moments.rearranged`.
        optimizer: An `SGD` with a momentum, an `Adam` or an `AdamW`, or a `LossScaleOptimizer`
            around it.

    Raises:
        TypeError: Not moments, or another optimizer.
        ValueError: Moments of another kind, for other variables or of another number of updates; an
            optimizer that isn't built, or has `amsgrad`, `use_ema`, or no momentum. Nothing in the
            optimizer has changed then.
    """
    if not isinstance(moments, Moments):
        raise TypeError(
            f"`moments` must be clr_core.moments.Moments. {received('moments', moments)}"
        )
    optimizer, kind = _checked(optimizer)
    if moments.kind != kind:
        raise ValueError(
            f"`moments` must be of the kind {kind!r} for this {type(optimizer).__name__}. "
            f"{received('kind', moments.kind)}{_hint(moments.kind, kind)}"
        )
    variables = {slot: getattr(optimizer, name) for slot, name in NAMES[kind].items()}
    for slot, arrays in moments.slots.items():
        check_shapes(slot, arrays, variables[slot], what="variables")
    # The velocity of SGD has no bias to correct.
    updates = _updates(optimizer)
    if kind == "adam" and moments.count != updates:
        raise ValueError(
            "`moments` must have the count of the optimizer's `iterations`, by which Keras "
            f"corrects Adam's bias. {received('count', moments.count)} and {updates}. "
            "Make the optimizer with clr_keras.from_record, from a record of that step"
        )
    for slot, arrays in moments.slots.items():
        for variable, array in zip(variables[slot], arrays, strict=True):
            variable.assign(keras.ops.convert_to_tensor(array, dtype=variable.dtype))


def _checked(given: Any) -> tuple[Any, str]:
    """The optimizer that makes the updates, and which kind of moments it has."""
    found = list(internals.inner_optimizers(given))
    optimizer = found[0] if len(found) == 1 else given
    if type(optimizer) not in SGDS + ADAMS:
        several = ". Take each of its `optimizers` by itself" if len(found) > 1 else ""
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
            "`optimizer` must have a momentum: without, SGD remembers nothing. "
            f"{received('momentum', optimizer.momentum)}"
        )
    if any(each is None for name in NAMES[kind].values() for each in getattr(optimizer, name)):
        raise ValueError(
            "`optimizer` must remember something of each variable. Received: one that is "
            "overwritten with its gradient, as those of float8 are"
        )
    return optimizer, kind


def _updates(optimizer: Any) -> int:
    return int(keras.ops.convert_to_numpy(optimizer._iterations)) // accumulation_steps(
        optimizer.gradient_accumulation_steps
    )


def _array(variable: Any) -> Any:
    array = np.array(keras.ops.convert_to_numpy(variable))
    # Each number of bfloat16 is a float32.
    return array if str(array.dtype) in FLOATS else array.astype("float32")


def _hint(given: str, wanted: str) -> str:
    if (given, wanted) == ("sgd", "sgd-keras"):
        return (
            ". Keras's velocity has the rate of each update in it, so that it can't be computed "
            "from torch's. clr_keras.SGD(…, torch_velocity=True) has torch's"
        )
    if (given, wanted) == ("sgd-keras", "sgd"):
        return (
            ". Keras's velocity has the rate of each update in it, so that torch's can't be "
            "computed from it. Go on with torch_velocity=False"
        )
    return ""
