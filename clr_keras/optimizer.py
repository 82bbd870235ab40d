"""Keras's optimizers with the momentum cycled beside the rate, inside the compiled step.

To Keras a momentum is a Python number, which its compiled step keeps for good: a callback that
assigns another one changes nothing there, without a word. These take it from the schedule in every
update, as Keras's own take the rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import keras

from clr_core import CyclicSchedule, check_schedule
from clr_core.adapter import received
from clr_keras.schedule import _BACKEND, CyclicLR, _ops

_foreach: Any = import_module("clr_keras._torch_backend.foreach") if _BACKEND == "torch" else None


class _Scheduled:
    """The attribute that Keras reads its momentum from: `momentum` or `beta_1`.

    Within an update it is a tensor, the momentum of that update; elsewhere a float, the momentum of
    the next one.
    """

    def __set_name__(self, owner: type[_Cyclic], name: str) -> None:
        owner._scheduled = name

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        read = optimizer.__dict__["_read"]
        return float(keras.ops.convert_to_numpy(optimizer._momentum())) if read is None else read

    def __set__(self, optimizer: Any, value: object) -> None:
        # Keras's constructors assign what they were given.
        if optimizer.__dict__["_read"] is None:
            raise AttributeError(
                f"`{optimizer._scheduled}` must be left to the schedule. "
                f"{received(optimizer._scheduled, value)}. "
                "Assign another schedule to `learning_rate`."
            )


class _Cyclic(keras.Optimizer):
    """What all of them share: one schedule for the rate and for the momentum."""

    _scheduled: str

    def __init__(self, learning_rate: CyclicSchedule | CyclicLR, **options: Any) -> None:
        if self._scheduled in options:
            raise ValueError(
                f"`{self._scheduled}` must be left out: it is the schedule's to cycle. "
                f"{received(self._scheduled, options[self._scheduled])}"
            )
        rate = self._checked(learning_rate, options.get("gradient_accumulation_steps"))
        # By way of `__dict__`, since nothing may be assigned to an optimizer before its
        # constructor, and TensorFlow keeps track of what is.
        with self._reading(1.0):
            super().__init__(learning_rate=rate, **{self._scheduled: 1.0}, **options)

    @contextmanager
    def _reading(self, value: Any, then: Any = None) -> Iterator[None]:
        """`value` is what Keras reads as the momentum.

        Then comes a value that the caller knows, never what was there before: the replicas of a
        `tf.distribute` strategy are threads that take turns, and one would put back what it found
        of another.
        """
        self.__dict__["_read"] = value
        try:
            yield
        finally:
            self.__dict__["_read"] = then

    def _checked(self, learning_rate: Any, accumulation_steps: int | None) -> CyclicLR:
        rate = learning_rate
        if not isinstance(rate, CyclicLR):
            try:
                check_schedule(learning_rate)
            except TypeError:
                raise TypeError(
                    "`learning_rate` must be a schedule such as CyclicSchedule, or a CyclicLR. "
                    f"{received('learning_rate', learning_rate)}"
                ) from None
            rate = CyclicLR(learning_rate)
        if rate.schedule.momentum(0) is None:
            raise ValueError(
                "`learning_rate` must have a momentum to cycle. "
                f"{received('learning_rate', rate.schedule)}. "
                "Give it a `base_momentum` and a `max_momentum`, or use "
                f"keras.optimizers.{type(self).__name__} with a clr_keras.CyclicLR."
            )
        of_each = CyclicLR(rate.schedule, accumulation_steps, rate.name)
        if rate.gradient_accumulation_steps not in (1, of_each.gradient_accumulation_steps):
            raise ValueError(
                "`gradient_accumulation_steps` must be the same in the optimizer and in its "
                f"CyclicLR. {received('gradient_accumulation_steps', accumulation_steps)} and "
                f"{rate.gradient_accumulation_steps}. Leave it out of the CyclicLR."
            )
        return of_each

    @property
    def learning_rate(self) -> Any:
        return super().learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: CyclicSchedule | CyclicLR) -> None:
        self._learning_rate = self._checked(learning_rate, self.gradient_accumulation_steps)

    def _momentum(self) -> Any:
        # Unlike what Keras hands to a schedule, `iterations` counts updates and not micro-batches.
        iterations = self.iterations
        if isinstance(iterations, keras.Variable):
            iterations = iterations.value
        return _ops.evaluate(self._learning_rate.schedule.momentum, iterations)

    def _as_used(self, momentum: Any) -> Any:
        return momentum

    def build(self, variables: Any) -> None:
        with self._reading(1.0):  # Anything but 0, without which Keras makes no velocities.
            super().build(variables)

    # Private to Keras, yet the one place which all backends pass once per update.
    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        with self._reading(self._as_used(self._momentum())):
            super()._backend_update_step(grads, trainable_variables, learning_rate)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config[self._scheduled]
        return config


def _fast(optimizer: Any) -> Any:
    """The class that a Keras optimizer really is: on torch one with steps over whole lists.

    Keras puts that in the place of exactly its own classes, not of their subclasses.
    """
    return type(optimizer.__new__(optimizer))


_SGD: Any = _fast(keras.optimizers.SGD)
_Adam: Any = _fast(keras.optimizers.Adam)
_AdamW: Any = _fast(keras.optimizers.AdamW)
_Nadam: Any = _fast(keras.optimizers.Nadam)
_Adamax: Any = _fast(keras.optimizers.Adamax)
_RMSprop: Any = _fast(keras.optimizers.RMSprop)
_Lion: Any = _fast(keras.optimizers.Lion)
_registered = keras.saving.register_keras_serializable(package="clr_keras")


@_registered
class SGD(_Cyclic, _SGD):
    """`keras.optimizers.SGD` whose rate and momentum both follow a schedule.

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
    rate. Both are the float32 numbers of the schedule at `optimizer.iterations`, which Keras saves
    and restores.

    With `v` the velocity, `g` the gradient and `w` the weight, the update is

        v = momentum * v - rate * g;  w = w + v         as in Keras
        v = momentum * v + g;         w = w - rate * v  with `torch_velocity`, as in torch and optax

    With a constant rate both give the same weights. With a rate that changes they don't: Keras's
    velocity keeps each gradient times the rate of its own update, torch's is multiplied as a whole
    by the rate of now. On weights of about 1, CLR parts them by some tenths within 60 updates. A
    velocity saved in one form means nothing in the other.

    Args:
        learning_rate: A `clr_core.CyclicSchedule` with `base_momentum` and `max_momentum`, or a
            `CyclicLR` of one.
        torch_velocity: Whether to use torch's form of the velocity. (A `weight_decay` stays that of
            Keras, which torch's SGD adds to the gradient.)
        **options: What `keras.optimizers.SGD` takes: `nesterov`, `weight_decay`, `clipnorm`,
            `gradient_accumulation_steps` (the schedule counts updates then), `name` and so on, but
            for `momentum`.

    Raises:
        TypeError: `learning_rate` isn't a schedule.
        ValueError: The schedule has no momentum; `momentum` is given beside it; the optimizer and
            its CyclicLR accumulate differently many gradients; or what Keras refuses.
    """

    momentum = _Scheduled()

    def __init__(
        self,
        learning_rate: CyclicSchedule | CyclicLR,
        *,
        torch_velocity: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.torch_velocity = torch_velocity

    # Keras's own asks whether the momentum is 0, which a traced one can't answer; and were it 0 in
    # one update, the velocity would stay as it is.
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        ops = keras.ops
        rate, gradient, momentum = (
            ops.cast(x, variable.dtype) for x in (learning_rate, gradient, self.momentum)
        )
        velocity = self.momentums[self._get_variable_index(variable)]
        if self.torch_velocity:
            self.assign(velocity, ops.add(ops.multiply(velocity, momentum), gradient))
            if self.nesterov:
                step = ops.add(ops.multiply(velocity, momentum), gradient)
                self.assign_sub(variable, ops.multiply(step, rate))
            else:
                self.assign_sub(variable, ops.multiply(velocity, rate))
        else:
            step = ops.multiply(gradient, rate)
            self.assign(velocity, ops.subtract(ops.multiply(velocity, momentum), step))
            if self.nesterov:
                step = ops.subtract(ops.multiply(velocity, momentum), step)
                self.assign_add(variable, step)
            else:
                self.assign_add(variable, velocity)

    # The same on torch.
    def _parallel_update_step(self, grads: Any, variables: Any, learning_rate: Any) -> None:
        step = _foreach.torch_sgd if self.torch_velocity else _foreach.sgd
        step(
            grads,
            [variable.value for variable in variables],
            [self.momentums[self._get_variable_index(variable)].value for variable in variables],
            learning_rate,
            self.momentum,
            self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "torch_velocity": self.torch_velocity}


@_registered
class Adam(_Cyclic, _Adam):
    """`keras.optimizers.Adam` whose rate and `beta_1` both follow a schedule.

        >>> schedule = CyclicSchedule(
        ...     base_lr=0.001, max_lr=0.006, base_momentum=0.85, max_momentum=0.95
        ... )
        >>> optimizer = Adam(schedule, beta_2=0.99)
        >>> round(float(optimizer.learning_rate), 4), round(optimizer.beta_1, 4)
        (0.001, 0.95)

    `optimizer.beta_1` is that of the next update, as `optimizer.learning_rate` is its rate. Both
    are the float32 numbers of the schedule at `optimizer.iterations`, which Keras saves and
    restores. The bias correction uses the `beta_1` of the update, as in torch and optax.

    Args:
        learning_rate: A `clr_core.CyclicSchedule` with `base_momentum` and `max_momentum`, or a
            `CyclicLR` of one.
        **options: What `keras.optimizers.Adam` takes, but for `beta_1`. With
            `gradient_accumulation_steps` the schedule counts updates.

    Raises:
        TypeError: `learning_rate` isn't a schedule.
        ValueError: The schedule has no momentum; `beta_1` is given beside it; the optimizer and its
            CyclicLR accumulate differently many gradients; or what Keras refuses.
    """

    beta_1 = _Scheduled()


@_registered
class AdamW(_Cyclic, _AdamW):
    """`keras.optimizers.AdamW` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> AdamW(schedule, weight_decay=0.01).weight_decay
    0.01
    """

    beta_1 = _Scheduled()


@_registered
class Nadam(_Cyclic, _Nadam):
    """`keras.optimizers.Nadam` whose rate and `beta_1` both follow a schedule; see `Adam`.

    The product that corrects the bias is of the `beta_1` of every update so far, times Nadam's own
    factor of 1 - 0.5 * 0.96**t; Keras saves it with the rest.

    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(Nadam(schedule).beta_1, 4)
    0.95
    """

    beta_1 = _Scheduled()

    def _as_used(self, momentum: Any) -> Any:
        # Of the weights' type, as the product that it goes into: TensorFlow multiplies no others.
        return keras.ops.cast(momentum, self._u_product.dtype)


@_registered
class Adamax(_Cyclic, _Adamax):
    """`keras.optimizers.Adamax` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(Adamax(schedule).beta_1, 4)
    0.95
    """

    beta_1 = _Scheduled()


@_registered
class RMSprop(_Cyclic, _RMSprop):
    """`keras.optimizers.RMSprop` whose rate and momentum both follow a schedule; see `SGD`.

    As in Keras and in optax, the velocity keeps each step times the rate of its own update:
    `v = momentum * v + rate * g / sqrt(…)`; torch has the rate outside.

    >>> schedule = CyclicSchedule(base_lr=1e-3, max_lr=6e-3, base_momentum=0.85, max_momentum=0.95)
    >>> round(RMSprop(schedule, centered=True).momentum, 4)
    0.95
    """

    momentum = _Scheduled()

    # Keras's own asks whether the momentum is above 0, which a traced one can't answer. So the
    # velocity gets its factor here and then Keras's step, with a momentum of 1.
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum = self.momentum
        velocity = self._momentums[self._get_variable_index(variable)]
        self.assign(
            velocity, keras.ops.multiply(velocity, keras.ops.cast(momentum, variable.dtype))
        )
        with self._reading(1.0, then=momentum):
            super().update_step(gradient, variable, learning_rate)

    # The same on torch.
    def _parallel_update_step(self, grads: Any, variables: Any, learning_rate: Any) -> None:
        momentum = self.momentum
        velocities = [self._momentums[self._get_variable_index(each)].value for each in variables]
        _foreach.scale(velocities, momentum)
        with self._reading(1.0, then=momentum):
            super()._parallel_update_step(grads, variables, learning_rate)


@_registered
class Lion(_Cyclic, _Lion):
    """`keras.optimizers.Lion` whose rate and `beta_1` both follow a schedule; see `Adam`.

    >>> schedule = CyclicSchedule(base_lr=1e-4, max_lr=6e-4, base_momentum=0.85, max_momentum=0.95)
    >>> round(Lion(schedule).beta_1, 4)
    0.95
    """

    beta_1 = _Scheduled()
