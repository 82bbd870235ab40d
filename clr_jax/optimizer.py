"""An optax optimizer whose rate and momentum cycle, and the step that its state is at.

>>> import jax.numpy as jnp
>>> import optax
>>> from clr_core import CyclicSchedule
>>> schedule = CyclicSchedule(
...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
... )
>>> optimizer = cyclic_optimizer(optax.sgd, schedule)
>>> weights = jnp.ones(3)
>>> state = set_step(optimizer.init(weights), 2)
>>> updates, state = optimizer.update(2 * weights, state, weights)
>>> current_lr(state), current_momentum(state)
(Array(0.5, dtype=float32), Array(0.8, dtype=float32))
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from clr_core import CyclicSchedule, check_schedule
from clr_core.adapter import integer, received
from clr_jax import ops

State = TypeVar("State")

# What optax's factories call a momentum that is a single number.
MOMENTA = ("momentum", "b1")
INJECTED = ("InjectStatefulHyperparamsState", "InjectHyperparamsState")
# Where optax's states keep the count that they hand to a function of the step. By name, since some
# of them are private. Those of `INJECTED` no schedule reads, and they go with those that one does.
COUNTS = {
    **dict.fromkeys(INJECTED, "count"),
    "WrappedScheduleState": "count",
    "ScaleByScheduleState": "count",
    "WeightDecaySchedule": "count",
    "MultiStepsState": "gradient_step",
    "ConditionallyTransformState": "step",
    "ConditionallyMaskState": "step",
}
LARGEST_COUNT = 2**31 - 1


def cyclic_optimizer(
    factory: Callable[..., optax.GradientTransformation], schedule: CyclicSchedule, /, **static: Any
) -> optax.GradientTransformationExtraArgs:
    """The optimizer that `factory` makes, its learning rate and momentum those of `schedule`.

    The momentum is the factory's `momentum` or `b1`; it is scheduled where the schedule has one.
    Update number `step` uses `float32(schedule.lr(step))` and `float32(schedule.momentum(step))`.

    Everything else is static, the factory's defaults too: `optax.inject_hyperparams` by itself
    would keep them in the state, rounded to the parameters' dtype, where `b2=0.999` of bfloat16
    parameters is 1. Moments and updates keep the dtype that `factory` by itself gives them.

    Args:
        factory: A function such as `optax.sgd`, or one of your own, which takes `learning_rate`
            and, for a schedule with a momentum, `momentum` or `b1`.
        schedule: A `clr_core.CyclicSchedule`; see there for the formula.
        **static: The factory's other arguments, passed on as they are.

    Returns:
        An `optax.GradientTransformationExtraArgs` with the state of `optax.inject_hyperparams`.

    Raises:
        TypeError: `factory` doesn't make an optimizer of a `learning_rate`, `schedule` isn't a
            schedule, or `factory` doesn't take an argument of `static`.
        ValueError: `factory` has no momentum to schedule, `static` has what is scheduled, or
            `factory` is `optax.rmsprop` with a momentum.

    Examples:
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = cyclic_optimizer(optax.adamw, schedule, weight_decay=0.01)
        >>> sorted(optimizer.init(jnp.ones(3)).hyperparams)
        ['b1', 'learning_rate']

        `optax.rmsprop` accumulates updates that the rate has scaled already, so that a rate goes
        on for as long as the momentum remembers. This one is torch's:

        >>> def rmsprop(learning_rate, momentum, decay=0.99, eps=1e-8):
        ...     return optax.chain(
        ...         optax.scale_by_rms(decay, eps, eps_in_sqrt=False),
        ...         optax.trace(momentum),
        ...         optax.scale_by_learning_rate(learning_rate),
        ...     )
        >>> optimizer = cyclic_optimizer(rmsprop, schedule)
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
    # What the factory refuses, it refuses here and not at the first step.
    made = factory(**{name: curve(0) for name, curve in curves.items()}, **static)
    if not isinstance(made, optax.GradientTransformation):
        raise _not_a_factory(factory)

    # In float32 also where x64 is enabled: a rate of another dtype would change the moments'.
    rates = {name: functools.partial(ops.evaluate, curve) for name, curve in curves.items()}
    # The dtype is for optax before 0.2.8, which casts even a float32 array to the parameters' own.
    inject = optax.inject_hyperparams(
        _of_scheduled(factory, static, list(curves)), hyperparam_dtype=jnp.float32
    )
    injected = inject(**rates)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None, **extra_args: Any
    ) -> tuple[optax.Updates, Any]:
        moved, after = injected.update(updates, state, params, **extra_args)
        # A float32 momentum takes bfloat16 moments to float32. Then a scan refuses the state.
        inner_state = _cast_like(after.inner_state, state.inner_state)
        return _cast_like(moved, updates), after._replace(inner_state=inner_state)

    return optax.GradientTransformationExtraArgs(injected.init, update)


def current_lr(opt_state: Any) -> jax.Array:
    """The learning rate that the last update used; before the first one, the rate of step 0.

    Args:
        opt_state: The state of a `cyclic_optimizer`, wherever it stands in the state of a chain, a
            mask, `MultiSteps` and so on. A rate of `optax.inject_hyperparams` is found too.

    Returns:
        A float32 scalar. (torch's `get_last_lr()` after `scheduler.step()` is the rate of the next
        update; this is the one before.)

    Raises:
        ValueError: There is no rate in the state, or there are several: then the error says where,
            and each of those parts is an `opt_state` by itself.

    Examples:
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = optax.chain(
        ...     optax.clip_by_global_norm(1.0), cyclic_optimizer(optax.adam, schedule)
        ... )
        >>> weights = jnp.ones(3)
        >>> state = optimizer.init(weights)
        >>> for _ in range(2):
        ...     updates, state = optimizer.update(2 * weights, state, weights)
        >>> current_lr(state)
        Array(0.3, dtype=float32)
    """
    return _current(opt_state, "learning rate", ("learning_rate",))


def current_momentum(opt_state: Any) -> jax.Array:
    """The momentum (`momentum` or `b1`) that the last update used.

    Args, returns and raises as `current_lr`.

    Examples:
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> current_momentum(cyclic_optimizer(optax.lion, schedule).init(jnp.ones(3)))
        Array(0.9, dtype=float32)
    """
    return _current(opt_state, "momentum", MOMENTA)


def schedule_counts(opt_state: Any) -> dict[str, jax.Array]:
    """Every count of steps in the state that a schedule reads, by its place: what `set_step` moves.

    That is what optax hands to a function of the step: to the schedules of a `cyclic_optimizer` and
    of `optax.inject_hyperparams` (with the count that stands beside them), to `scale_by_schedule`
    (a rate of `optax.adam(cyclic_lr(schedule))`) and a scheduled weight decay, to
    `every_k_schedule` of `MultiSteps` and to the conditions of `conditionally_transform`.

    It isn't the count of Adam and others of how many gradients are in their moments, which corrects
    the bias of those. Some of `optax.contrib` (such as `prodigy`) hand that one to a schedule as
    well; it isn't here. `cyclic_optimizer` gives them a count apart.

    Examples:
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3))
        >>> for place in schedule_counts(state):
        ...     print(place)
        .count
        .hyperparams_states['learning_rate'].count
    """
    counts: dict[str, jax.Array] = {}

    def note(node: Any, path: tuple[Any, ...]) -> Any:
        name = COUNTS.get(_name(node))
        if name is not None:
            counts[f"{jax.tree_util.keystr(path)}.{name}"] = getattr(node, name)
        return node

    _visited(opt_state, note)
    return counts


def set_step(opt_state: State, step: Any) -> State:
    """The state with every count that a schedule reads at `step`: the next update is that step's.

    `schedule_counts` says which those are. The moments stay as they are, and so does the count that
    corrects their bias; `current_lr` goes on to say what the last update used. Gradients that
    `MultiSteps` has accumulated are dropped, since they belong to another step.

    Each count gets the same number, so `step` is in updates that each of them counts: beside a
    `MultiSteps`, a schedule outside of it counts something else.

    Args:
        opt_state: The state of any optax optimizer, or a pytree with such a state in it.
        step: How many updates came before, from 0 to 2**31 - 1. May be traced, within a `jit`; then
            its value isn't checked, and below 0 counts as 0.

    Returns:
        A new state of the same structure, shapes and dtypes.

    Raises:
        TypeError: `step` isn't an integer.
        ValueError: `step` is below 0 or above 2**31 - 1, or no schedule reads the state.

    Examples:
        >>> from clr_jax import cyclic_lr
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = optax.sgd(cyclic_lr(schedule))
        >>> state = set_step(optimizer.init(jnp.ones(1)), 1_000_002)
        >>> optimizer.update(jnp.ones(1), state)[0]
        Array([-0.5], dtype=float32)
    """
    step = _checked_step(step)
    if not schedule_counts(opt_state):
        raise ValueError(
            "`opt_state` must have a count that a schedule reads, as the state of a "
            f"`cyclic_optimizer` has. Received: a {type(opt_state).__name__} without one. "
            "A state that was restored as plain dicts must first get the structure of "
            "`optimizer.init(params)`."
        )

    def move(node: Any, path: tuple[Any, ...]) -> Any:
        name = _name(node)
        if name not in COUNTS:
            return node
        # An array for each: one in two places couldn't be donated to a jitted step.
        count = getattr(node, COUNTS[name])
        moved = {COUNTS[name]: jax.tree.map(lambda leaf: jnp.full_like(leaf, step), count)}
        if name == "MultiStepsState":
            unfinished = {"mini_step": node.mini_step, "acc_grads": node.acc_grads}
            moved |= jax.tree.map(jnp.zeros_like, unfinished)
        return node._replace(**moved)

    result: State = _visited(opt_state, move)
    return result


def _parameters(factory: Any) -> dict[str, Any]:
    """The names that `factory` takes, with their defaults."""
    if not callable(factory):
        raise _not_a_factory(factory)
    try:
        parameters = inspect.signature(factory).parameters
    except ValueError:  # Some that are written in C have none.
        raise _not_a_factory(factory) from None
    if "learning_rate" not in parameters:
        raise _not_a_factory(factory)
    return {name: each.default for name, each in parameters.items()}


def _not_a_factory(factory: object) -> TypeError:
    return TypeError(
        "`factory` must be a function that makes an optimizer of a `learning_rate`, such as "
        f"optax.sgd. {received('factory', factory)}"
    )


def _momentum(factory: object, parameters: Mapping[str, Any]) -> str:
    """What `factory` calls its momentum."""
    names = [name for name in MOMENTA if name in parameters]
    if len(names) != 1:
        raise ValueError(
            "`factory` must have either `momentum` or `b1` for its momentum to be cycled. "
            f"{received('factory', factory)}. Wrap it in a function that has, or leave "
            "`base_momentum` and `max_momentum` out of the schedule."
        )
    return names[0]


def _check_rmsprop(factory: Any, arguments: Mapping[str, Any]) -> None:
    while isinstance(factory, functools.partial):
        factory = factory.func
    if factory is optax.rmsprop and arguments["momentum"] is not None:
        raise ValueError(
            "`factory` must not be optax.rmsprop with a momentum: it accumulates updates that the "
            "rate has scaled already, so that old rates go on. "
            f"{received('factory', factory)}. Chain optax.scale_by_rms, optax.trace and "
            "optax.scale_by_learning_rate in a function of your own, as in the docstring of "
            "`cyclic_optimizer`."
        )


def _of_scheduled(factory: Callable[..., Any], static: Mapping[str, Any], names: list[str]) -> Any:
    """`factory` as a function of what is scheduled, and of nothing else."""

    def build(**scheduled: Any) -> optax.GradientTransformation:
        return factory(**scheduled, **static)

    # `inject_hyperparams` looks here for the names. It would take a callable among the static
    # arguments (a mask) for a schedule, and a number for one to keep in the state.
    function: Any = build
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return function


def _cast_like(tree: Any, other: Any) -> Any:
    def cast(leaf: Any, like: Any) -> Any:
        dtype = jnp.result_type(like)
        return leaf if jnp.result_type(leaf) == dtype else jnp.asarray(leaf, dtype)

    return jax.tree.map(cast, tree, other)


def _current(opt_state: Any, what: str, names: tuple[str, ...]) -> jax.Array:
    found: dict[str, jax.Array] = {}

    def note(node: Any, path: tuple[Any, ...]) -> Any:
        if _name(node) in INJECTED:
            place = f"opt_state{jax.tree_util.keystr(path)}"
            for name in names:
                if name in node.hyperparams:
                    found[place] = node.hyperparams[name]
        return node

    _visited(opt_state, note)
    if not found:
        raise ValueError(
            f"`opt_state` must have the {what} that an update used, as the state of a "
            f"`cyclic_optimizer` has. Received: a {type(opt_state).__name__} without one."
        )
    if len(found) > 1:
        raise ValueError(
            f"`opt_state` must have one {what}. Received: one each in {', '.join(found)}. "
            "Pass one of these."
        )
    return next(iter(found.values()))


def _checked_step(step: Any) -> Any:
    if isinstance(step, jax.core.Tracer):
        if jnp.issubdtype(step.dtype, jnp.integer) and step.shape == ():
            return step
        raise TypeError(f"`step` must be an integer. {received('step', step)}")
    number = integer("step", step)
    if not 0 <= number <= LARGEST_COUNT:
        raise ValueError(f"`step` must be from 0 to 2**31 - 1. {received('step', step)}")
    return number


def _name(node: object) -> str:
    """The name of a state's class, where it is one of optax's."""
    return type(node).__name__ if type(node).__module__.startswith("optax.") else ""


def _visited(node: Any, visit: Callable[[Any, tuple[Any, ...]], Any], path: Any = ()) -> Any:
    """The tree with `visit(node, path)` in place of each node, from the outermost inwards."""
    node = visit(node, path)
    children, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda each: each is not node
    )
    if jax.tree_util.treedef_is_leaf(structure):
        return node
    inner = [_visited(child, visit, path + key) for key, child in children]
    return jax.tree_util.tree_unflatten(structure, inner)
