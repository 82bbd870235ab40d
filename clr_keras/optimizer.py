"""Keras's optimizers with the momentum cycled beside the rate, inside the compiled step.

To Keras a momentum is a Python number, which its compiled step keeps for good: a callback that
assigns another one changes nothing there, and says nothing. The optimizers here read it from the
schedule in each update, as Keras's own read the rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypedDict, Unpack

import keras

from clr_core import Schedule
from clr_core.adapter import received
from clr_keras import _keras_internals as internals
from clr_keras._keras_internals import BACKEND
from clr_keras.schedule import CyclicLR, ScheduledLR, compiled, evaluate, rates_of, registered

_foreach: Any = import_module("clr_keras._torch_backend.foreach") if BACKEND == "torch" else None


class _Options(TypedDict, total=False):
    """The keywords of every Keras optimizer, with Keras's defaults."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class _SGDOptions(_Options, total=False):
    momentum: float
    nesterov: bool


class _RMSpropOptions(_Options, total=False):
    momentum: float
    rho: float
    epsilon: float
    centered: bool


class _LionOptions(_Options, total=False):
    beta_1: float
    beta_2: float


class _NadamOptions(_LionOptions, total=False):
    epsilon: float


class _AdamOptions(_NadamOptions, total=False):
    amsgrad: bool


# What a compiled step has read, and keeps.
_KEPT = {"learning_rate", "torch_velocity"}.union(
    *(each.__annotations__ for each in (_SGDOptions, _RMSpropOptions, _AdamOptions))
) - {"name"}


class _Cycled(float):
    """Stands for a cycled momentum in Keras's constructors, which assign it to its attribute."""


class CyclicOptimizer(internals.UpdateHooks):
    """The common part of all these optimizers: one schedule for the rate and for the momentum.

    Keras reads its momentum from an attribute, which is a property here: within an update the
    momentum of that update, a tensor; otherwise the momentum of the next one, a float. If the
    schedule has no momentum, it is Keras's constant.
    """

    scheduled: str
    """The name of that attribute: "momentum" or "beta_1"."""
    _momentum_of_update: Any = None
    """The momentum of the update that is being made; None between updates."""
    _constant_momentum: float
    """The momentum if the schedule has none; TensorFlow asks before it is set."""

    def __init__(self, learning_rate: Schedule | ScheduledLR, **options: Any) -> None:
        rate = _checked(learning_rate, options.get("gradient_accumulation_steps"))
        if rate.schedule.momentum(0) is not None:
            if self.scheduled in options:
                raise ValueError(
                    f"`{self.scheduled}` must be left out: the schedule cycles it. "
                    f"{received(self.scheduled, options[self.scheduled])}"
                )
            options[self.scheduled] = _Cycled(1.0)
        super().__init__(learning_rate=rate, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _KEPT and self in compiled and value is not getattr(self, name, None):
            raise ValueError(
                f"`{name}` must not be changed after a step was compiled, which keeps what it was. "
                f"{received(name, value)}. Compile the model with a new optimizer: one of "
                "clr_keras.from_record(clr_core.Record(schedule, step), …), and its moments by "
                "clr_keras.from_moments(clr_keras.to_moments(model.optimizer), optimizer); then "
                "call model.compile(optimizer, …)"
            )
        # The schedule counts by it, and Keras makes the variables for it.
        if name == "gradient_accumulation_steps" and vars(self).get(name, value) != value:
            raise AttributeError(
                f"`{name}` must be given to the constructor. {received(name, value)}"
            )
        super().__setattr__(name, value)

    @property
    def learning_rate(self) -> Any:
        return super().learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Schedule | ScheduledLR) -> None:
        rate = _checked(learning_rate, self.gradient_accumulation_steps)
        if (rate.schedule.momentum(0) is None) is self.cycles:
            raise ValueError(
                "`learning_rate` must have a momentum to cycle if the former schedule has one, and "
                f"none otherwise. {received('learning_rate', rate.schedule)}. Make an optimizer of "
                "it"
            )
        internals.set_rate(self, rate)

    @property
    def cycles(self) -> bool:
        """True if the schedule has a momentum."""
        return internals.rate(self).schedule.momentum(0) is not None

    def _momentum(self) -> Any:
        """The momentum of the next update, a float32 tensor."""
        value = internals.rate(self).of_updates("momentum")
        return evaluate(value, internals.counted(internals.iterations(self)))

    def _read_momentum(self) -> Any:
        if self._momentum_of_update is not None:
            return self._momentum_of_update
        if not self.cycles:
            return self._constant_momentum
        return float(keras.ops.convert_to_numpy(self._momentum()))

    def _write_momentum(self, value: Any) -> None:
        if isinstance(value, _Cycled):
            return
        if self.cycles:
            raise AttributeError(
                f"`{self.scheduled}` must be left to the schedule. "
                f"{received(self.scheduled, value)}. "
                "Make an optimizer of another schedule."
            )
        self._constant_momentum = value

    @contextmanager
    def _with_momentum(self, momentum: Any) -> Iterator[None]:
        # Set to None afterwards, not to what was there before: the replicas of a `tf.distribute`
        # strategy are threads that take turns, and one would find the momentum of another.
        self._momentum_of_update = momentum
        try:
            yield
        finally:
            self._momentum_of_update = None

    def during_update(self) -> Any:
        return self._with_momentum(self._momentum() if self.cycles else None)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.cycles:
            del config[self.scheduled]
        return config


def _checked(learning_rate: Any, accumulation: int | None) -> ScheduledLR:
    """A `ScheduledLR` that counts the optimizer's updates, or an error."""
    rate = learning_rate
    if not isinstance(rate, ScheduledLR):
        try:
            rate = rates_of(learning_rate)
        except TypeError:
            raise TypeError(
                "`learning_rate` must be a schedule such as CyclicSchedule, or a ScheduledLR. "
                f"{received('learning_rate', learning_rate)}"
            ) from None
    kind = CyclicLR if isinstance(rate, CyclicLR) else ScheduledLR
    of_updates = kind.of(rate.schedule, accumulation, rate.name)
    if rate.gradient_accumulation_steps not in (1, of_updates.gradient_accumulation_steps):
        raise ValueError(
            "`gradient_accumulation_steps` must be the same in the optimizer and in its "
            f"{kind.__name__}. {received('gradient_accumulation_steps', accumulation)} and "
            f"{rate.gradient_accumulation_steps}. Leave it out of the {kind.__name__}."
        )
    return of_updates


class _WithMomentum(CyclicOptimizer):
    """The common part of SGD and RMSprop."""

    scheduled = "momentum"
    momentum = property(CyclicOptimizer._read_momentum, CyclicOptimizer._write_momentum)

    def build(self, variables: Any) -> None:
        # Keras makes velocities only if it reads a momentum above 0; that of the next update may
        # be 0.
        with self._with_momentum(1.0 if self.cycles else None):
            super().build(variables)


class _WithBeta(CyclicOptimizer):
    """The common part of the Adams and Lion."""

    scheduled = "beta_1"
    beta_1 = property(CyclicOptimizer._read_momentum, CyclicOptimizer._write_momentum)


@registered
class SGD(_WithMomentum, internals.SGD):
    """`keras.optimizers.SGD` whose rate and momentum both follow a schedule.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = SGD(schedule, nesterov=True)
        >>> round(float(optimizer.learning_rate), 3), round(optimizer.momentum, 3)
        (0.1, 0.9)
        >>> _ = optimizer.iterations.assign(2)
        >>> round(float(optimizer.learning_rate), 3), round(optimizer.momentum, 3)
        (0.5, 0.8)

    `optimizer.momentum` is the momentum of the next update, as `optimizer.learning_rate` is its
    rate. Both are the float32 values of the schedule at `optimizer.iterations`, which Keras saves
    and restores.

    With `v` the velocity, `g` the gradient and `w` the weight, the update is

        v = momentum * v - rate * g;  w = w + v         as in Keras
        v = momentum * v + g;         w = w - rate * v  with `torch_velocity`, as in torch and optax

    With a constant rate both give the same weights. With a changing rate they don't: Keras's
    velocity holds each gradient times the rate of its own update, while torch's is multiplied as a
    whole by the current rate. Under CLR, weights of about 1 differ by a few tenths after 60
    updates. A velocity saved in one form is meaningless in the other.

    Args:
        learning_rate: A schedule such as a `clr_core.CyclicSchedule`, or a `ScheduledLR` of one. If
            it has a momentum, that is cycled.
        torch_velocity: Use torch's form of the velocity. (`weight_decay` remains Keras's: torch's
            SGD adds it to the gradient.)
        **options: The keywords of `keras.optimizers.SGD`; `momentum` only if the schedule has none.
            With `gradient_accumulation_steps` the schedule counts updates.

    Raises:
        TypeError: `learning_rate` isn't a schedule.
        ValueError: The schedule has a momentum and `momentum` is given as well;
            `gradient_accumulation_steps` isn't the same in the optimizer and in its ScheduledLR; or
            Keras refuses an option.
    """

    def __init__(
        self,
        learning_rate: Schedule | ScheduledLR,
        *,
        torch_velocity: bool = False,
        **options: Unpack[_SGDOptions],
    ) -> None:
        if torch_velocity and options.get("name") is None:
            options["name"] = "sgd_torch_velocity"  # A file of weights has nothing else to tell it.
        super().__init__(learning_rate, **options)
        self.torch_velocity = torch_velocity

    @property
    def _is_plain(self) -> bool:
        """Whether the update is Keras's own: with a constant momentum, in its form if not 0."""
        return not self.cycles and not (self.torch_velocity and self.momentums)

    # Keras's own compares the momentum with 0, which a traced one doesn't allow; at a momentum of 0
    # it would leave the velocity as it is.
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._is_plain:
            super().update_step(gradient, variable, learning_rate)
            return
        ops = keras.ops
        rate, gradient, momentum = (
            ops.cast(x, variable.dtype) for x in (learning_rate, gradient, self.momentum)
        )
        (velocity,) = internals.velocities(self, [variable])
        if self.torch_velocity:
            self.assign(velocity, ops.add(ops.multiply(velocity, momentum), gradient))
            step = velocity
            if self.nesterov:
                step = ops.add(ops.multiply(velocity, momentum), gradient)
            self.assign_sub(variable, ops.multiply(step, rate))
        else:
            step = ops.multiply(gradient, rate)
            self.assign(velocity, ops.subtract(ops.multiply(velocity, momentum), step))
            if self.nesterov:
                step = ops.subtract(ops.multiply(velocity, momentum), step)
            self.assign_add(variable, step if self.nesterov else velocity)

    def update_lists(self, gradients: Any, variables: Any, learning_rate: Any) -> None:
        if self._is_plain:
            super().update_lists(gradients, variables, learning_rate)
            return
        step = _foreach.torch_sgd if self.torch_velocity else _foreach.sgd
        step(
            gradients,
            [each.value for each in variables],
            [each.value for each in internals.velocities(self, variables)],
            learning_rate,
            keras.ops.convert_to_tensor(self.momentum, "float32"),
            self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "torch_velocity": self.torch_velocity}


@registered
class Adam(_WithBeta, internals.Adam):
    """`keras.optimizers.Adam` whose rate and `beta_1` both follow a schedule.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.001, max_lr=0.006, base_momentum=0.85, max_momentum=0.95
        ... )
        >>> optimizer = Adam(schedule, beta_2=0.99)
        >>> round(float(optimizer.learning_rate), 4), round(optimizer.beta_1, 4)
        (0.001, 0.95)

    `optimizer.beta_1` is the `beta_1` of the next update, as `optimizer.learning_rate` is its rate.
    Both are the float32 values of the schedule at `optimizer.iterations`, which Keras saves and
    restores. The bias correction uses the `beta_1` of the update, as in torch and optax.

    Args:
        learning_rate: A schedule such as a `clr_core.CyclicSchedule`, or a `ScheduledLR` of one. If
            it has a momentum, the `beta_1` is cycled.
        **options: The keywords of `keras.optimizers.Adam`; `beta_1` only if the schedule has none.
            With `gradient_accumulation_steps` the schedule counts updates.

    Raises:
        TypeError: `learning_rate` isn't a schedule.
        ValueError: The schedule has a momentum and `beta_1` is given as well;
            `gradient_accumulation_steps` isn't the same in the optimizer and in its ScheduledLR; or
            Keras refuses an option.
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_AdamOptions]
    ) -> None:
        super().__init__(learning_rate, **options)


@registered
class AdamW(_WithBeta, internals.AdamW):
    """`keras.optimizers.AdamW` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> AdamW(schedule, weight_decay=0.01).weight_decay
    0.01
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_AdamOptions]
    ) -> None:
        super().__init__(learning_rate, **options)


@registered
class Nadam(_WithBeta, internals.Nadam):
    """`keras.optimizers.Nadam` whose rate and `beta_1` both follow a schedule; see `Adam`.

    The bias correction uses the product of the `beta_1` of all updates so far, each times Nadam's
    own factor of 1 - 0.5 * 0.96**t; Keras saves the product with the rest.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(Nadam(schedule).beta_1, 4)
    0.95
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_NadamOptions]
    ) -> None:
        super().__init__(learning_rate, **options)

    def during_update(self) -> Any:
        if not self.cycles:
            return super().during_update()
        # In the dtype of the product that it goes into: TensorFlow multiplies no two dtypes.
        dtype = internals.bias_product(self).dtype
        return self._with_momentum(keras.ops.cast(self._momentum(), dtype))


@registered
class Adamax(_WithBeta, internals.Adamax):
    """`keras.optimizers.Adamax` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(Adamax(schedule).beta_1, 4)
    0.95
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_NadamOptions]
    ) -> None:
        super().__init__(learning_rate, **options)


@registered
class RMSprop(_WithMomentum, internals.RMSprop):
    """`keras.optimizers.RMSprop` whose rate and momentum both follow a schedule; see `SGD`.

    As in Keras and optax, the velocity holds each step times the rate of its own update:
    `v = momentum * v + rate * g / sqrt(…)`. Torch multiplies by the rate outside.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(RMSprop(schedule, centered=True).momentum, 4)
    0.95
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_RMSpropOptions]
    ) -> None:
        super().__init__(learning_rate, **options)

    # Keras's own compares the momentum with 0, which a traced one doesn't allow. So the velocity is
    # multiplied by the momentum here, and Keras's step reads a momentum of 1.
    @property
    def momentum(self) -> Any:
        return self._read_momentum() if self._momentum_of_update is None else 1.0

    @momentum.setter
    def momentum(self, value: object) -> None:
        self._write_momentum(value)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.cycles:
            ops = keras.ops
            (velocity,) = internals.velocities(self, [variable])
            momentum = ops.cast(self._momentum_of_update, variable.dtype)
            self.assign(velocity, ops.multiply(velocity, momentum))
        super().update_step(gradient, variable, learning_rate)

    def update_lists(self, gradients: Any, variables: Any, learning_rate: Any) -> None:
        if self.cycles:
            velocities = [each.value for each in internals.velocities(self, variables)]
            _foreach.scale(velocities, self._momentum_of_update)
        super().update_lists(gradients, variables, learning_rate)


@registered
class Lion(_WithBeta, internals.Lion):
    """`keras.optimizers.Lion` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=1e-4, max_lr=6e-4, base_momentum=0.85, max_momentum=0.95)
    >>> round(Lion(schedule).beta_1, 4)
    0.95
    """

    def __init__(
        self, learning_rate: Schedule | ScheduledLR, **options: Unpack[_LionOptions]
    ) -> None:
        super().__init__(learning_rate, **options)
