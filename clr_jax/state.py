"""An optax state: the rate that it used last, the step that it is at, and its other parts.

>>> import jax.numpy as jnp
>>> import optax
>>> from clr_core import CyclicSchedule
>>> from clr_jax import cyclic_optimizer
>>> optimizer = cyclic_optimizer(optax.sgd, CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2))
>>> weights = jnp.ones(3)
>>> state = set_step(optimizer.init(weights), 2)
>>> updates, state = optimizer.update(2 * weights, state, weights)
>>> current_lr(state)
Array(0.5, dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from clr_core.adapter import integer, received

State = TypeVar("State")
Path = tuple[Any, ...]

MOMENTA = ("momentum", "b1")
"""The names that optax's factories give to a momentum that is a single number."""
INJECTED = ("InjectStatefulHyperparamsState", "InjectHyperparamsState")
COUNTS = {
    **dict.fromkeys(INJECTED, "count"),
    "WrappedScheduleState": "count",
    "ScaleByScheduleState": "count",
    "WeightDecaySchedule": "count",
    "MultiStepsState": "gradient_step",
    "ConditionallyTransformState": "step",
    "ConditionallyMaskState": "step",
}
"""The field in which each of optax's states keeps the count that it hands to a function of the
step. By name, since some of the classes are private. No schedule reads the count of `INJECTED`, but
it always equals the counts that one does read."""
LARGEST_COUNT = 2**31 - 1


def current_lr(opt_state: Any) -> jax.Array:
    """The learning rate that the last update used; before the first update, the rate of step 0.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import cyclic_optimizer
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

    Args:
        opt_state: The state of a `cyclic_optimizer`, or a state that contains one: of a chain, a
            mask, `MultiSteps` and so on. A rate of `optax.inject_hyperparams` is found too.

    Returns:
        A float32 scalar. (torch's `get_last_lr()` after `scheduler.step()` is the rate of the next
        update; this is the rate of the previous one.)

    Raises:
        ValueError: The state has no rate, or several. In the latter case the error names the parts
            that have one; each can be passed as `opt_state` by itself.
    """
    return _current(opt_state, "learning rate", ("learning_rate",))


def current_momentum(opt_state: Any) -> jax.Array:
    """The momentum (`momentum` or `b1`) that the last update used.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import cyclic_optimizer
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> current_momentum(cyclic_optimizer(optax.lion, schedule).init(jnp.ones(3)))
        Array(0.9, dtype=float32)

    Arguments, result and errors are as in `current_lr`.
    """
    return _current(opt_state, "momentum", MOMENTA)


def schedule_counts(opt_state: Any) -> dict[str, jax.Array]:
    """The counts of steps in a state that a schedule reads, by their places; `set_step` sets them.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import cyclic_optimizer
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3))
        >>> for place in schedule_counts(state):
        ...     print(place)
        .count
        .hyperparams_states['learning_rate'].count

    optax hands these counts to functions of the step: to the schedules of a `cyclic_optimizer` and
    of `optax.inject_hyperparams` (which keeps one more beside them), to `scale_by_schedule` (the
    rate of `optax.adam(cyclic_lr(schedule))`) and a scheduled weight decay, to `every_k_schedule`
    of `MultiSteps` and to the conditions of `conditionally_transform`.

    The count by which Adam and others correct the bias of their moments isn't included: it is the
    number of gradients in the moments. Some of `optax.contrib` (such as `prodigy`) hand that one to
    a schedule as well, and it isn't included either; in a `cyclic_optimizer` their schedule has a
    separate count.

    Args:
        opt_state: The state of any optax optimizer, or a pytree that contains one.
    """
    counts = {}
    for path, node in nodes(opt_state, COUNTS):
        name = COUNTS[class_name(node)]
        counts[f"{keystr(path)}.{name}"] = getattr(node, name)
    return counts


def set_step(opt_state: State, step: Any) -> State:
    """The state with each count that a schedule reads set to `step`, which the next update uses.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import cyclic_lr
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = optax.sgd(cyclic_lr(schedule))
        >>> state = set_step(optimizer.init(jnp.ones(1)), 1_000_002)
        >>> optimizer.update(jnp.ones(1), state)[0]
        Array([-0.5], dtype=float32)

    `schedule_counts` lists these counts. The moments stay as they are, and so does the count that
    corrects their bias; `current_lr` still gives the rate of the last update. Gradients that
    `MultiSteps` has accumulated are dropped, since they belong to another step.

    All counts get the same number, in the updates that each of them counts: a schedule outside of a
    `MultiSteps` counts micro-batches, the one inside counts updates.

    Args:
        opt_state: The state of any optax optimizer, or a pytree that contains one.
        step: The number of updates before the next one, from 0 to 2**31 - 1. It may be traced
            within a `jit`; its value then isn't checked, and a step below 0 counts as 0.

    Returns:
        A new state of the same structure, shapes and dtypes.

    Raises:
        TypeError: `step` isn't an integer.
        ValueError: `step` is below 0 or above 2**31 - 1, or no schedule reads the state.
    """
    step = _checked_step(step)
    if not schedule_counts(opt_state):
        raise ValueError(
            "`opt_state` must have a count that a schedule reads, as the state of a "
            f"`cyclic_optimizer` has. Received: a {type(opt_state).__name__} without one. "
            "If it was restored as plain dicts, first restore it into the structure of "
            "`optimizer.init(params)`."
        )

    def move(node: Any, path: Path) -> Any:
        name = class_name(node)
        if name not in COUNTS:
            return node
        # A separate array for each: one that is in two places can't be donated to a jitted step.
        count = getattr(node, COUNTS[name])
        moved = {COUNTS[name]: jax.tree.map(lambda leaf: jnp.full_like(leaf, step), count)}
        if name == "MultiStepsState":
            unfinished = {"mini_step": node.mini_step, "acc_grads": node.acc_grads}
            moved |= jax.tree.map(jnp.zeros_like, unfinished)
        return node._replace(**moved)

    result: State = replaced(opt_state, move)
    return result


# `optax.tree_utils` can't carry this walk. Its `tree_set` doesn't search the children of a state
# that has the key itself, so that it misses the count which a schedule reads (a test shows this),
# and puts one array in all places. `tree_get_all_with_path` names classes without their modules.
def replaced(node: Any, function: Callable[[Any, Path], Any], path: Path = ()) -> Any:
    """The tree with `function(node, path)` in place of each node, from the outermost inwards."""
    node = function(node, path)
    children, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda each: each is not node
    )
    if jax.tree_util.treedef_is_leaf(structure):
        return node
    inner = [replaced(child, function, path + key) for key, child in children]
    return jax.tree_util.tree_unflatten(structure, inner)


def nodes(tree: Any, names: Collection[str]) -> list[tuple[Path, Any]]:
    """The states of optax whose class has one of the names, with their paths, outermost first."""
    found: list[tuple[Path, Any]] = []

    def note(node: Any, path: Path) -> Any:
        if class_name(node) in names:
            found.append((path, node))
        return node

    replaced(tree, note)
    return found


def class_name(node: object) -> str:
    """The name of a state's class, or "" unless it is one of optax's."""
    return type(node).__name__ if type(node).__module__.startswith("optax.") else ""


def check_concrete(leaf: Any, place: str) -> None:
    """Raise a TypeError if a part of a state is traced."""
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            "`opt_state` must not be traced: call this outside of jit. "
            f"Received: a tracer at {place!r}"
        )


def whole(place: str, count: Any) -> int:
    """A count in a state as an int.

    Raises:
        TypeError: It is traced.
        ValueError: It isn't a single integer.
    """
    check_concrete(count, place)
    array = np.asarray(count)
    if array.shape != () or array.dtype.kind not in "iu":
        raise ValueError(
            f"`opt_state` must have a single integer at {place!r}. "
            f"Received: {getattr(count, 'dtype', type(count).__name__)} of shape "
            f"{getattr(count, 'shape', ())}. If several states are stacked, pass one of them: "
            "jax.tree.map(lambda each: each[0], opt_state)"
        )
    return int(array)


def _current(opt_state: Any, what: str, names: tuple[str, ...]) -> jax.Array:
    found = {
        f"opt_state{keystr(path)}": node.hyperparams[name]
        for path, node in nodes(opt_state, INJECTED)
        for name in names
        if name in node.hyperparams
    }
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
