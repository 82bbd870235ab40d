"""An optax optimizer whose learning rate and momentum follow a schedule."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from clr_core import Schedule, check_schedule
from clr_core.adapter import received
from clr_jax.evaluate import evaluate
from clr_jax.state import MOMENTA


def scheduled_optimizer(
    factory: Callable[..., optax.GradientTransformation], schedule: Schedule, /, **static: Any
) -> optax.GradientTransformationExtraArgs:
    """An optax optimizer whose learning rate and momentum follow `schedule`.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = scheduled_optimizer(optax.adamw, schedule, weight_decay=0.01)
        >>> sorted(optimizer.init(jnp.ones(3)).hyperparams)
        ['b1', 'learning_rate']

    Update number `step` uses `float32(schedule.lr(step))` and, if the schedule has a momentum,
    `float32(schedule.momentum(step))` as the factory's `momentum` or `b1`.

    All other arguments of the factory are static, its defaults too: `optax.inject_hyperparams`
    alone would keep them in the state, rounded to the parameters' dtype, and `b2=0.999` is 1 in
    bfloat16. Moments and updates keep the dtype that they have with the factory alone. A factory
    that requires one dtype throughout, such as `optax.novograd`, computes in float32 for weights of
    bfloat16 or float16.

    `optax.rmsprop` accumulates updates that are already scaled by the rate, so that old rates stay
    in effect for as long as the momentum remembers. The following one computes what torch's does:

        >>> def rmsprop(learning_rate, momentum, decay=0.99, eps=1e-8):
        ...     return optax.chain(
        ...         optax.scale_by_rms(decay, eps, eps_in_sqrt=False),
        ...         optax.trace(momentum),
        ...         optax.scale_by_learning_rate(learning_rate),
        ...     )
        >>> optimizer = scheduled_optimizer(rmsprop, schedule)

    Args:
        factory: A function such as `optax.sgd` that takes `learning_rate` and, for a schedule with
            a momentum, `momentum` or `b1`.
        schedule: A schedule of any kind, such as a `clr_core.CyclicSchedule`.
        **static: The factory's other arguments, passed on unchanged.

    Returns:
        An `optax.GradientTransformationExtraArgs` with the state of `optax.inject_hyperparams`.

    Raises:
        TypeError: `factory` doesn't make an optimizer from a `learning_rate`, `schedule` isn't a
            schedule, or `factory` doesn't take one of the arguments in `static`.
        ValueError: `factory` has no momentum to schedule, `static` contains a scheduled argument,
            or `factory` is `optax.rmsprop` with a momentum.
    """
    check_schedule(schedule)
    parameters = _parameters(factory)
    curves: dict[str, Any] = {"learning_rate": schedule.lr}
    if schedule.momentum(0) is not None:
        curves[_momentum(factory, parameters)] = schedule.momentum
    for name in curves:
        if name in static:
            raise ValueError(
                f"`{name}` must be left out, since `schedule` sets it. "
                f"{received(name, static[name])}"
            )
    _check_rmsprop(factory, {**parameters, **static, **curves})
    # Called once here, so that the factory refuses bad arguments now and not at the first step.
    made = factory(**{name: curve(0) for name, curve in curves.items()}, **static)
    if not isinstance(made, optax.GradientTransformation):
        raise _not_a_factory(factory)

    # In float32 even if x64 is enabled: a rate of another dtype would change that of the moments.
    rates = {name: functools.partial(evaluate, curve) for name, curve in curves.items()}
    injected = optax.inject_hyperparams(_of_scheduled(factory, static, list(curves)))(**rates)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None, **extra_args: Any
    ) -> tuple[optax.Updates, Any]:
        try:
            moved, after = injected.update(updates, state, params, **extra_args)
        except TypeError:
            # A `cond` in the factory, as in novograd, that requires moments of one dtype, and a
            # float32 rate or momentum makes some float32. So it computes in float32 throughout.
            wide = state._replace(inner_state=_widened(state.inner_state))
            moved, after = injected.update(_widened(updates), wide, _widened(params), **extra_args)
        # A float32 momentum turns bfloat16 moments into float32, and a scan refuses such a state.
        inner_state = _cast_like(after.inner_state, state.inner_state)
        return _cast_like(moved, updates), after._replace(inner_state=inner_state)

    return optax.GradientTransformationExtraArgs(injected.init, update)


cyclic_optimizer = scheduled_optimizer
"""An earlier name."""


def _parameters(factory: Any) -> dict[str, Any]:
    """The parameters of `factory` with their defaults."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # Not callable, or written in C without a signature.
        raise _not_a_factory(factory) from None
    if "learning_rate" not in parameters:
        raise _not_a_factory(factory)
    return {name: each.default for name, each in parameters.items()}


def _not_a_factory(factory: object) -> TypeError:
    return TypeError(
        "`factory` must be a function that makes an optimizer from a `learning_rate`, such as "
        f"optax.sgd. {received('factory', factory)}"
    )


def _momentum(factory: object, parameters: Mapping[str, Any]) -> str:
    """The name of the momentum among the parameters of `factory`."""
    names = [name for name in MOMENTA if name in parameters]
    if len(names) != 1:
        raise ValueError(
            "`factory` must have either `momentum` or `b1` for its momentum to be cycled. "
            f"{received('factory', factory)}. Wrap it in a function that takes one of "
            "these, or leave the momentum out of the schedule."
        )
    return names[0]


def _check_rmsprop(factory: Any, arguments: Mapping[str, Any]) -> None:
    while isinstance(factory, functools.partial):
        factory = factory.func
    if factory is optax.rmsprop and arguments["momentum"] is not None:
        raise ValueError(
            "`factory` must not be optax.rmsprop with a momentum: it accumulates updates that "
            "are already scaled by the rate, so that old rates stay in effect. "
            f"{received('factory', factory)}. Write a function that chains optax.scale_by_rms, "
            "optax.trace and optax.scale_by_learning_rate, as in the docstring of "
            "`scheduled_optimizer`."
        )


def _of_scheduled(factory: Callable[..., Any], static: Mapping[str, Any], names: list[str]) -> Any:
    """`factory` as a function of the scheduled arguments only."""

    def build(**scheduled: Any) -> optax.GradientTransformation:
        return factory(**scheduled, **static)

    # `inject_hyperparams` reads the names from here. Among the static arguments it would take a
    # callable (a mask) for a schedule, and keep a number in the state.
    function: Any = build
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return function


def _widened(tree: Any) -> Any:
    """The tree with float32 in place of smaller floats."""

    def widened(leaf: Any) -> Any:
        dtype = jnp.result_type(leaf)
        small = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
        return jnp.asarray(leaf, jnp.float32) if small else leaf

    return jax.tree.map(widened, tree)


def _cast_like(tree: Any, other: Any) -> Any:
    def cast(leaf: Any, like: Any) -> Any:
        dtype = jnp.result_type(like)
        return leaf if jnp.result_type(leaf) == dtype else jnp.asarray(leaf, dtype)

    return jax.tree.map(cast, tree, other)
