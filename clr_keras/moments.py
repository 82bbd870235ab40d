"""The memory of past gradients in Keras's optimizers, as arrays: read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import keras
import numpy as np

from clr_core.adapter import listed, received
from clr_core.moments import FLOATS, SLOTS, Moments, check_moments
from clr_keras import _keras_internals as internals
from clr_keras import checkpoint
from clr_keras import optimizer as ours
from clr_keras.schedule import accumulation_steps, updates

# Nadam isn't included, since it remembers a product of its momenta as well; nor are derived
# classes, which may remember anything.
SGDS = (internals.SGD, ours.SGD)
ADAMS = (internals.Adam, ours.Adam, internals.AdamW, ours.AdamW)
# Classes in files, also of tensorflow-addons, whose weight decay changes no moments.
KINDS = {"SGD": "sgd-keras", "SGDW": "sgd-keras", "Adam": "adam", "AdamW": "adam"}
# The names that optimizers have in Keras 3, unless they are given another; before 3.15 "SGD" and
# "adamw".
NAMES = {
    **dict.fromkeys(("sgd", "SGD"), "sgd-keras"),
    "sgd_torch_velocity": "sgd",
    **dict.fromkeys(("adam", "adam_w", "adamw"), "adam"),
}


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


def read_moments(
    path: str | PathLike[str], *, key: str | None = None, kind: str | None = None
) -> Moments:
    """The moments in a file that `model.save` or `model.save_weights` wrote.

    As `to_moments` of the model's optimizer, but no model is built and nothing in the file is
    executed. It may be a `.keras` file, a whole model in an `.h5` file, or a `.weights.h5` file, of
    Keras 3 or Keras 2, and on any backend.

        >>> import tempfile
        >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.Adam(0.1), "mse")
        >>> _ = model.fit(np.ones((2, 3)), np.ones((2, 1)), batch_size=1, verbose=0)
        >>> with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        ...     model.save(file.name)
        ...     moments = read_moments(file.name)
        >>> moments.kind, moments.count, [each.shape for each in moments.slots["first"]]
        ('adam', 2, [(3, 1), (1,)])

    Args:
        path: The file.
        key: The name of the optimizer, if a `MultiOptimizer` has several.
        kind: The kind of moments in a file of weights, if the name of the optimizer isn't one that
            Keras gives: "sgd-keras", "sgd" for `clr_keras.SGD(torch_velocity=True)`, or "adam".

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file isn't one of these, or has no moments of SGD, Adam or AdamW, with the
            reason in one line.
        OSError: The file doesn't exist or can't be read.
    """
    with checkpoint.opened(path, "a Keras file with moments") as file:
        stored = _chosen(file.optimizers(), key)
        if stored.config is None:
            shapes = [each.shape for each in file.model_weights().values()]
            kind, datasets = _of_weights(stored, shapes, kind)
            steps, by_slot = 1, False
        elif kind is not None:
            raise ValueError(f"its config has the kind: leave out `kind`. {received('kind', kind)}")
        else:
            kind, steps, datasets, by_slot = _of_config(stored)
        count, arrays = updates(stored.count(), steps), file.arrays(datasets)
        width = len(SLOTS[kind])
        size = len(arrays) // width
        slots = {
            name: arrays[index * size : (index + 1) * size] if by_slot else arrays[index::width]
            for index, name in enumerate(SLOTS[kind])
        }
        return Moments(kind, count, slots)


def read_weights(path: str | PathLike[str], *, key: str | None = None) -> dict[str, Any]:
    """The model's weights in a file that `model.save` or `model.save_weights` wrote.

    No model is built and nothing in the file is executed; see `read_moments` for the files.

        >>> import tempfile
        >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        >>> with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        ...     model.save(file.name)
        ...     weights = read_weights(file.name)
        >>> {name: array.shape for name, array in weights.items()}
        {'layers/dense/vars/0': (3, 1), 'layers/dense/vars/1': (1,)}

    The weights come in the order of the layers, a layer's in the order in which it made them; in a
    `.weights.h5` file, which has no order of layers, sorted by name. What isn't trained is among
    them, such as the mean in a `BatchNormalization`.

    Args:
        path: The file.
        key: A part of the model, such as "layers.dense" for the weights in that group.

    Returns:
        A NumPy array for each name in the file; bfloat16 as float32.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file isn't one of these, with the reason in one line, or has no such part.
        OSError: The file doesn't exist or can't be read.
    """
    with checkpoint.opened(path, "a Keras file with weights") as file:
        found = file.model_weights()
        if key is not None:
            start = key.replace(".", "/")
            names = [each for each in found if f"{each}/".startswith(f"{start}/")]
            if not names:
                raise ValueError(f"`key` must be one of {listed(found)}. {received('key', key)}")
            found = {name: found[name] for name in names}
        if not found:
            raise ValueError("it has no weights")
        return dict(zip(found, file.arrays(list(found.values())), strict=True))


def _chosen(optimizers: list[checkpoint.Optimizer], key: str | None) -> checkpoint.Optimizer:
    """The optimizer of this name, or the only one."""
    found = [each for each in optimizers if each.variables]
    if not found:
        raise ValueError(
            "it was saved without the state of an optimizer. Keras saves that in a compiled model; "
            "Keras 2 that of a legacy optimizer only in a whole model in an .h5 file"
        )
    matching = [each for each in found if key in (None, each.name)]
    if len(matching) != 1:
        names = listed(each.name for each in found)
        raise ValueError(
            f"`key` must be the optimizer's name, one of {names}. {received('key', key)}"
        )
    return matching[0]


def _of_config(optimizer: checkpoint.Optimizer) -> tuple[str, int, list[Any], bool]:
    """Kind, micro-batches per update, slots, and if they come one slot after the other.

    The optimizer's variables after `iterations` are its rate, the moving averages, the accumulated
    gradients and the slots, each of them if there are any.
    """
    config: Any = optimizer.config
    options, rest = config["config"], optimizer.variables[1:]
    package, name = checkpoint.class_name(config)
    # Keras 2 registers its own as "Custom".
    if package not in ("", "Custom", "Addons", "clr_keras") or name not in KINDS:
        raise ValueError(f"its optimizer must be SGD, Adam or AdamW. Received: {name[:100]}")
    kind = "sgd" if options.get("torch_velocity") else KINDS[name]
    _check_off(options)
    if kind != "adam" and not options.get("momentum", 1.0):
        raise ValueError("its SGD has no momentum, and plain SGD keeps no state")
    if "wrapper" in config:
        raise ValueError(f"its {str(config['wrapper'])[:100]} remembers more than the {name} in it")
    legacy = "decay" in options
    of_keras_2 = legacy or "is_legacy_optimizer" in options
    if not of_keras_2 and isinstance(options["learning_rate"], int | float):
        rest = rest[1:]  # In Keras 3 a rate that is a number is among the variables.
    steps, width = accumulation_steps(options.get("gradient_accumulation_steps")), len(SLOTS[kind])
    parts = width if steps == 1 else width + 1
    if not rest or len(rest) % parts:
        raise ValueError(f"its {name} has an odd number of slots: {len(rest)}")
    return kind, steps, rest[len(rest) // parts * (parts - width) :], legacy


def _of_weights(
    optimizer: checkpoint.Optimizer, shapes: list[Any], kind: str | None
) -> tuple[str, list[Any]]:
    """Kind and slots in a file of weights, by the optimizer's name and the weights' shapes."""
    if kind is None:
        kind = NAMES.get(re.sub(r"_[0-9]+$", "", optimizer.name))
        if kind is None:
            raise ValueError(
                "it has weights and doesn't say what its optimizer is: pass `kind`, one of "
                f"{listed(SLOTS)}, or save the model as a .keras file"
            )
    elif kind not in SLOTS:
        raise ValueError(f"`kind` must be one of {listed(SLOTS)}. {received('kind', kind)}")
    rest, width = optimizer.variables[1:], len(SLOTS[kind])
    # A rate that is a number is among the variables in Keras 3.
    if rest and rest[0].shape == () and () not in shapes:
        rest = rest[1:]
    if not checkpoint.are_slots([each.shape for each in rest], width, shapes):
        raise ValueError(
            f"its optimizer hasn't {' and '.join(SLOTS[kind])} alone for weights of the model: a "
            ".keras file says what else it remembers, such as accumulated gradients"
        )
    return kind, rest


def _check_off(options: Mapping[str, Any]) -> None:
    for option in ("amsgrad", "use_ema"):
        if options.get(option):
            raise ValueError(
                f"`{option}` must be off: what the optimizer remembers with it isn't carried. "
                f"Received: {option}=True"
            )


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
    _check_off(vars(optimizer))
    kind = "sgd" if getattr(optimizer, "torch_velocity", False) else "sgd-keras"
    if type(optimizer) in ADAMS:
        kind = "adam"
    elif not optimizer.momentums:
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
    return updates(iterations, accumulation_steps(optimizer.gradient_accumulation_steps))


def _array(variable: Any) -> Any:
    array = np.array(keras.ops.convert_to_numpy(variable))
    # Each number of bfloat16 is a float32.
    return array if str(array.dtype) in FLOATS else array.astype("float32")
