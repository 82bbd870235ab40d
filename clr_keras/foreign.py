"""Schedules of Keras itself, of TensorFlow Addons and of bckenstler's callback, converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from clr_core import CyclicSchedule, PiecewiseSchedule
from clr_core.adapter import HINT, listed, number, received, schedules_from_documents
from clr_core.schedules import originals
from clr_keras import _keras_internals as internals

KERAS: dict[str, tuple[type, Callable[..., PiecewiseSchedule]]] = {
    "CosineDecay": (keras.optimizers.schedules.CosineDecay, originals.keras_cosine_decay),
    "CosineDecayRestarts": (
        keras.optimizers.schedules.CosineDecayRestarts,
        originals.keras_cosine_decay_restarts,
    ),
}
"""Keras's own schedules that are made of phases."""

MODES = {
    "TriangularCyclicalLearningRate": "triangular",
    "Triangular2CyclicalLearningRate": "triangular2",
    "ExponentialCyclicalLearningRate": "exp_range",
    "CyclicalLearningRate": None,
}
NEEDED = ("initial_learning_rate", "maximal_learning_rate", "step_size")


def schedule_from_keras(source: Any) -> PiecewiseSchedule:
    """Convert Keras's own `CosineDecay` or `CosineDecayRestarts`.

        >>> cosine = keras.optimizers.schedules.CosineDecay(
        ...     0.0, decay_steps=1000, warmup_target=0.1, warmup_steps=100
        ... )
        >>> schedule_from_keras(cosine)
        PiecewiseSchedule([Phase(100.0, 0.0, 0.1), Phase(1000.0, 0.1, 0.0, 'cosine')])

    The curve is the same, from the same step 0. Theirs is computed in float32; ours isn't.

    Args:
        source: The schedule, or its Keras config, a mapping with "class_name" and "config".

    Raises:
        TypeError: Neither, or a value isn't a number.
        ValueError: Another class, unknown keys, or a curve that isn't made of phases, such as one
            whose cycles become shorter.
    """
    config = source
    if not isinstance(source, Mapping):
        own = {kind: name for name, (kind, _) in KERAS.items()}
        if type(source) not in own:
            raise TypeError(
                f"`source` must be Keras's {' or '.join(KERAS)}, or its config. "
                f"{received('source', source)}"
            )
        config = {"class_name": own[type(source)], "config": source.get_config()}
    if not is_keras(config):
        raise ValueError(
            f"`class_name` must be that of Keras's {' or '.join(KERAS)}. "
            f"{received('class_name', config.get('class_name'))}"
        )
    name, given = config["class_name"], config.get("config")
    if not isinstance(given, Mapping):
        raise ValueError(
            f"`config` must have the config of the {name}. {received('config', given)}"
        )
    arguments = {
        key: None if given[key] is None else _number(key, given) for key in given if key != "name"
    }
    try:
        return KERAS[name][1](**arguments)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(
            f"The config of {name} must have the keys of its class. Received: {listed(given)}"
        ) from None


def is_keras(config: Mapping[str, Any]) -> bool:
    """True if it is the config of a schedule of Keras's own that is read."""
    name, module = config.get("class_name"), config.get("module") or "keras"
    registered = config.get("registered_name") or name
    own = isinstance(name, str) and name in KERAS and registered == name
    return own and str(module).partition(".")[0] in ("keras", "tf_keras")


def schedule_from_addons(config: Mapping[str, Any], scale_fn: str | None = None) -> CyclicSchedule:
    """Convert a tensorflow-addons `CyclicalLearningRate` from its Keras config.

    The config is what `tf.keras.optimizers.schedules.serialize` returns and what a model's config
    contains: the name of the class and the config of the object.

        >>> schedule_from_addons(
        ...     {
        ...         "class_name": "Addons>Triangular2CyclicalLearningRate",
        ...         "config": {
        ...             "initial_learning_rate": 1e-4,
        ...             "maximal_learning_rate": 1e-2,
        ...             "step_size": 2000,
        ...             "scale_mode": "cycle",
        ...         },
        ...     }
        ... )
        CyclicSchedule(base_lr=0.0001, max_lr=0.01, mode='triangular2')

    The curve is the same, from the same step 0. Theirs is computed in float32 and off by some
    thousandths at step 10^6; ours isn't. Their Triangular2 accepts a `scale_mode` of "iterations",
    and their Exponential one of "cycle": these become the equivalent expressions.

    Args:
        config: A mapping with "class_name" and "config".
        scale_fn: The decay as an expression, for their `CyclicalLearningRate`, whose `scale_fn` is
            a Python callable.

    Raises:
        TypeError: Not such a mapping, or a boundary or `scale_fn` that is a Python callable.
        ValueError: Another class, unknown or missing keys, a `scale_fn` for a class that has its
            own, or values that `CyclicSchedule` refuses.
    """
    document = document_from_addons(config)
    if scale_fn is not None and not internals.is_note(document.get("scale_fn")):
        raise ValueError(
            f"`scale_fn` must be left out: {config['class_name']} has its own. "
            f"{received('scale_fn', scale_fn)}"
        )
    (schedule,) = schedules_from_documents([document], scale_fn, internals.name_of_note)
    assert isinstance(schedule, CyclicSchedule)
    return schedule


def document_from_addons(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of such a schedule, with a note in place of a Python callable."""
    name, given = _class_and_config(config)
    own = {"exp_range": ["gamma"], None: ["scale_fn"]}.get(MODES[name], [])
    known = [*NEEDED, "scale_mode", "name", *own]
    for key in given:
        if key not in known:
            raise ValueError(
                f"The config of {name} has no such key. {received('key', key)}. "
                f"Its keys are {', '.join(known)}"
            )
    for key in NEEDED:
        if key not in given:
            raise ValueError(f"The config of {name} must have the key `{key}`. It is missing")
    band: dict[str, Any] = {
        "base_lr": _number("initial_learning_rate", given),
        "max_lr": _number("maximal_learning_rate", given),
        "step_size_up": _number("step_size", given),
    }
    mode = MODES[name]
    usual = "iterations" if mode == "exp_range" else "cycle"
    scale_mode = given.get("scale_mode", usual)
    if mode is None:
        theirs = given.get("scale_fn")
        noted = internals.name_of_note(theirs) or f"{theirs!r:.100}"
        return {**band, "scale_fn": internals.note(noted), "scale_mode": scale_mode}
    gamma = _number("gamma", {"gamma": 1.0, **given})
    if scale_mode == usual or (mode == "triangular" and scale_mode == "iterations"):
        return {**band, "mode": mode, "gamma": gamma}
    # TFA treats any `scale_mode` other than "cycle" as "iterations"; here a typo is an error.
    decays = {"triangular": "1", "triangular2": "0.5 ** (x - 1)", "exp_range": f"{gamma!r} ** x"}
    return {**band, "scale_fn": decays[mode], "scale_mode": scale_mode}


def schedule_from_callback(
    base_lr: float = 0.001,
    max_lr: float = 0.006,
    step_size: float = 2000.0,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: str | None = None,
    scale_mode: str = "cycle",
) -> CyclicSchedule:
    """Convert bckenstler's callback `CyclicLR` from its arguments.

        >>> schedule_from_callback(step_size=500.0, mode="triangular2")
        CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=500.0, mode='triangular2')

    Its `clr_iterations` after k batches is our step k, and starts at 0 again after a `_reset`. The
    curve is the same. As in the callback, `mode` and `gamma` are ignored if there is a `scale_fn`,
    and `scale_mode` is ignored if there is none. The callback of keras-contrib has the same
    arguments and the same curve.

    Args:
        base_lr: Lower boundary of the rate.
        max_lr: Upper boundary of the rate.
        step_size: Batches in half a cycle.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: Factor per batch in "exp_range".
        scale_fn: The callback's `scale_fn` as an expression in `x`.
        scale_mode: The argument of `scale_fn`: "cycle", from 1, or "iterations", from 0.

    Raises:
        TypeError: An argument has the wrong type, such as a Python callable as `scale_fn`.
        ValueError: `CyclicSchedule` refuses an argument.
    """
    band: dict[str, Any] = {
        "base_lr": base_lr,
        "max_lr": max_lr,
        "step_size_up": number("step_size", step_size),
    }
    if scale_fn is not None:
        if not isinstance(scale_fn, str):
            raise TypeError(
                "A `scale_fn` that is a Python callable can't be carried. "
                f"{received('scale_fn', scale_fn)}. {HINT}"
            )
        return CyclicSchedule(**band, scale_fn=scale_fn, scale_mode=scale_mode)
    return CyclicSchedule(**band, mode=mode, gamma=gamma if mode == "exp_range" else 1.0)


def is_addons(config: Mapping[str, Any]) -> bool:
    """True if Keras wrote this config for a class of tensorflow-addons."""
    name = config.get("registered_name") or config.get("class_name")
    return isinstance(name, str) and name.startswith("Addons>")


def _class_and_config(config: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(config, Mapping):
        raise TypeError(f"`config` must be a mapping. {received('config', config)}")
    name, given = config.get("class_name"), config.get("config")
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise ValueError(
            "`config` must have the name of the class and the config of the object: {"
            '"class_name": "TriangularCyclicalLearningRate", "config": {…}}. Received the keys: '
            + ", ".join(map(str, list(config)[:20]))
        )
    name = name.rpartition(">")[2]
    if name not in MODES:
        raise ValueError(
            f"`class_name` must be one of {', '.join(MODES)}. {received('class_name', name)}"
        )
    return name, given


def _number(name: str, given: Mapping[str, Any]) -> float:
    value = given[name]
    # Keras notes a number that was a tensor or an array.
    if internals.name_of_note(value) in ("__tensor__", "__numpy__"):
        value = value["config"].get("value")
    return number(name, value)
