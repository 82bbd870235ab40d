"""Copy what a training changes in a Keras model, and put it back bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from clr_core import CyclicSchedule
from clr_core.range_finding.restoring import Restore
from clr_keras._keras_internals import inner_optimizers
from clr_keras.optimizer import CyclicOptimizer


def values(variables: Iterable[Any]) -> list[Restore]:
    """Restores the values of variables; the copies lie on their devices."""
    return [_value(each) for each in variables]


def _value(variable: Any) -> Restore:
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


def rate_of(optimizer: Any) -> Any:
    """The variable that holds the rate; None if that comes from a schedule or a callable."""
    rate = optimizer.learning_rate
    return rate if isinstance(rate, keras.Variable) else None


def twin(optimizer: Any, variables: list[Any]) -> Any:
    """An optimizer with the same configuration and state, built for these variables.

    In the twin of one of Keras's optimizers the rate is a variable, whatever it was. A momentum
    that is cycled keeps its present value. What isn't in a configuration isn't in the twin either,
    such as `exclude_from_weight_decay`.
    """
    with warnings.catch_warnings(action="ignore"):  # Keras warns of a lambda in a configuration.
        other = _copy(optimizer)
    other.build(variables)
    for old, new in zip(_parts(optimizer), _parts(other), strict=True):
        # What isn't built yet has the first of the variables.
        for source, target in zip(old, new, strict=False):
            target.assign(keras.ops.copy(source.value))
    return other


def _copy(optimizer: Any) -> Any:
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = _copy(optimizer.inner_optimizer)
        return type(optimizer)(**{**config, "inner_optimizer": inner})
    if isinstance(optimizer, CyclicOptimizer):
        # The momentum of the next update at every step, and no rate to use.
        momentum = getattr(optimizer, optimizer.scheduled) if optimizer.cycles else None
        config["learning_rate"] = CyclicSchedule(
            base_lr=0.0, max_lr=1.0, base_momentum=momentum, max_momentum=momentum
        )
    elif "learning_rate" in config:
        config["learning_rate"] = 0.0
    return type(optimizer).from_config(config)


def _parts(optimizer: Any) -> Iterator[list[Any]]:
    """The variables of each optimizer inside, without their rates, and then all others."""
    rest = {id(each): each for each in optimizer.variables}
    for inner in inner_optimizers(optimizer):
        rate = rate_of(inner)
        yield [each for each in inner.variables if each is not rate]
        for each in inner.variables:
            rest.pop(id(each), None)
    yield list(rest.values())
