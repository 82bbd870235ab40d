"""An optax state: the rate that it used last, the step that it is at, and its other parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

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
    "ScheduleFreeState": "step_count",
    "ScaleByAdemamixState": "count_m2",
}
"""The field in which each of optax's states keeps the count that it hands to a function of the
step. By name, since some of the classes are private. No schedule reads the count of `INJECTED`, but
it always equals the counts that one does read."""
FIRST = {"ScheduleFreeState": 1}
"""What a count is before the first update, if not 0."""
SHARED = ("ProdigyState", "DAdaptAdamWState", "MomoState", "MomoAdamState", "MadgradState")
"""The states of optax whose only count is both a schedule's, if the rate is one, and their own."""
OTHERS = (
    *("AddNoiseState", "ApplyEvery", "ApplyIfFiniteState", "EmaState", "FactoredState"),
    *("GaLoreState", "HutchinsonState", "LookaheadState", "MechanicState", "MuonState"),
    *("ReduceLROnPlateauState", "SAMState", "ScaleByAdamState", "ScaleByAdanState"),
    *("ScaleByAmsgradState", "ScaleByBeliefState", "ScaleByLBFGSState", "ScaleByLionState"),
    *("ScaleByNovogradState", "ScaleByRmsWithCountState", "ScaleByRStdDevWithCountState"),
    *("ScaleBySimplifiedAdEMAMixState", "SophiaState", "ZoomLinesearchInfo"),
    *("BacktrackingLinesearchInfo", *COUNTS, *SHARED),
)
"""The states of optax of whose integers it is known that no (other) schedule reads them."""
NAMES: dict[str, tuple[set[str], set[str]]] = {
    INJECTED[0]: ({"count", "hyperparams"}, {"hyperparams_states", "inner_state"}),
    "ScaleByScheduleState": ({"count"}, set()),
    "MultiStepsState": (
        {"mini_step", "gradient_step"},
        {"inner_opt_state", "acc_grads", "skip_state"},
    ),
    "ConditionallyTransformState": ({"step", "inner_state"}, set()),
    "ScheduleFreeState": (
        {"step_count", "weight_sum"},
        {"b1", "max_lr", "base_optimizer_state", "z"},
    ),
    "ApplyIfFiniteState": (
        {"notfinite_count", "total_notfinite"},
        {"last_finite", "inner_state"},
    ),
    "ScaleByAdamState": ({"count", "mu", "nu"}, set()),
    "TraceState": ({"trace"}, set()),
    "MaskedState": ({"inner_state"}, set()),
    "PartitionState": ({"inner_states"}, set()),
    "ZeroNansState": ({"found_nan"}, set()),
}
"""The fields of states, those that are always there and the others: `nnx.state`, orbax and flax
leave only names, and drop what is empty."""
LARGEST_COUNT = 2**31 - 1


class Node(NamedTuple):
    """A part of a pytree that isn't a leaf."""

    path: Path
    kind: str
    """The name of a state of optax, or ""."""
    fields: dict[str, tuple[Path, Any]]
    """Each child with its path, by its name; an array out of the wrapper that flax's NNX gives it.
    """
    value: Any


def current_lr(opt_state: Any) -> jax.Array:
    """The learning rate that the last update used; before the first update, the rate of step 0.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import scheduled_optimizer
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = optax.chain(
        ...     optax.clip_by_global_norm(1.0), scheduled_optimizer(optax.adam, schedule)
        ... )
        >>> weights = jnp.ones(3)
        >>> state = optimizer.init(weights)
        >>> for _ in range(2):
        ...     updates, state = optimizer.update(2 * weights, state, weights)
        >>> current_lr(state)
        Array(0.3, dtype=float32)

    Args:
        opt_state: The state of a `scheduled_optimizer`, or a state that contains one: of a chain, a
            mask, `MultiSteps`, flax's `TrainState`, an `nnx.Optimizer` and so on. A rate of
            `optax.inject_hyperparams` is found too.

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
        >>> from clr_jax import scheduled_optimizer
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> current_momentum(scheduled_optimizer(optax.lion, schedule).init(jnp.ones(3)))
        Array(0.9, dtype=float32)

    Arguments, result and errors are as in `current_lr`.
    """
    return _current(opt_state, "momentum", MOMENTA)


def schedule_counts(opt_state: Any) -> dict[str, jax.Array]:
    """The counts of steps in a state that a schedule reads, by their places; `set_step` sets them.

        >>> import optax
        >>> from clr_core import CyclicSchedule
        >>> from clr_jax import scheduled_optimizer
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = scheduled_optimizer(optax.adam, schedule).init(jnp.ones(3))
        >>> for place in schedule_counts(state):
        ...     print(place)
        .count
        .hyperparams_states['learning_rate'].count

    optax hands these counts to functions of the step: to those of a `scheduled_optimizer` and of
    `optax.inject_hyperparams` (which keeps one more beside them), to `scale_by_schedule` (the
    rate of `optax.adam(cyclic_lr(schedule))`) and a scheduled weight decay, to `every_k_schedule`
    of `MultiSteps`, to the conditions of `conditionally_transform`, to `schedule_free` (whose count
    begins at 1 and is given here less 1) and to the `b3` and `alpha` of `ademamix`.

    The count by which Adam and others correct the bias of their moments isn't included: it is the
    number of gradients in the moments. Some of `optax.contrib` (such as `prodigy`) hand that one to
    a schedule as well, and it isn't included either; in a `scheduled_optimizer` their schedule has
    a separate count.

    Args:
        opt_state: The state of any optax optimizer, or a pytree that contains one: flax's
            `TrainState`, an `nnx.Optimizer`, or what `nnx.state` and `nnx.split` give.
    """
    return {
        keystr(path): count - FIRST[kind] if kind in FIRST else count
        for path, kind, count in counts_in(nodes(opt_state))
    }


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
    `MultiSteps` counts micro-batches, the one inside counts updates. The `step` beside the
    `opt_state` of a `TrainState` or an `nnx.Optimizer` gets it too.

    Args:
        opt_state: As in `schedule_counts`.
        step: The number of updates before the next one, from 0 to 2**31 - 1. It may be traced
            within a `jit`; its value then isn't checked, and a step below 0 counts as 0.

    Returns:
        A new state of the same structure, shapes and dtypes; an `nnx.Optimizer` isn't changed in
        place.

    Raises:
        TypeError: `step` isn't an integer.
        ValueError: `step` is below 0 or above 2**31 - 1, no schedule reads the state, or the state
            has an integer of which it isn't known whether a schedule reads it.
    """
    step = _checked_step(step)
    found = nodes(opt_state)
    counts = counts_in(found)
    if not counts:
        raise ValueError(
            "`opt_state` must have a count that a schedule reads, as the state of a "
            f"`scheduled_optimizer` has. Received: a {type(opt_state).__name__} without one."
        )
    _check_known(found, {np.shape(count) for _, _, count in counts})

    def full(first: int) -> Callable[[Any], Any]:
        value = jnp.minimum(step, LARGEST_COUNT - first) + first if first else step
        # A separate array for each: one that is in two places can't be donated to a jitted step.
        return lambda leaf: value if type(leaf) is int else jnp.full_like(leaf, value)

    changes = {path: full(FIRST.get(kind, 0)) for path, kind, _ in counts}
    for node in found:
        if node.kind == "MultiStepsState":
            for name in {"mini_step", "acc_grads"} & set(node.fields):
                changes[node.fields[name][0]] = jnp.zeros_like
        elif {"opt_state", "step"} <= set(node.fields) and _is_integer(node.fields["step"][1]):
            changes[node.fields["step"][0]] = full(0)
    return changed(opt_state, changes)


def changed(tree: State, changes: Mapping[Path, Callable[[Any], Any]]) -> State:
    """The tree with the leaves at or below these paths replaced by a function of each."""

    def change(path: Path, leaf: Any) -> Any:
        for length in range(len(path) + 1):
            if path[:length] in changes:
                return changes[path[:length]](leaf)
        return leaf

    result: State = jax.tree_util.tree_map_with_path(change, tree)
    return result


# `optax.tree_utils` can't carry this walk. Its `tree_set` doesn't search the children of a state
# that has the key itself, so that it misses the count which a schedule reads (a test shows this),
# and puts one array in all places. `tree_get_all_with_path` names classes without their modules.
def nodes(tree: Any) -> list[Node]:
    """The parts of a pytree, from the outermost inwards.

    If none is of a class of optax, the names of the fields tell the kinds.
    """
    found: list[Node] = []
    left: list[tuple[Path, Any]] = [((), tree)]
    while left:
        path, value = left.pop()
        children = _children(value)
        if children is None:
            continue
        fields = {key_name(key[-1]): (path + key, _unwrapped(child)) for key, child in children}
        found.append(Node(path, _class_name(value), fields, value))
        left.extend(reversed(list(fields.values())))
    if any(node.kind for node in found):
        return found
    return [node._replace(kind=_kind_by_names(node)) for node in found]


def counts_in(found: list[Node]) -> list[tuple[Path, str, Any]]:
    """The counts that a schedule reads, each with its path and the kind of its state."""
    states = [node for node in found if node.kind in COUNTS]
    places = [node.fields[COUNTS[node.kind]] for node in states]
    return [(path, node.kind, count) for node, (path, count) in zip(states, places, strict=True)]


def optimizers_in(found: list[Node]) -> list[Path]:
    """The paths of the outermost fields `opt_state`; without any, that of the whole tree."""
    paths: list[Path] = []
    for node in found:
        if "opt_state" in node.fields and not (paths and below(node.path, paths[-1])):
            paths.append(node.fields["opt_state"][0])
    return paths or [()]


def below(path: Path, other: Path) -> bool:
    """Whether a path leads to a place at or below that of the other."""
    return path[: len(other)] == other


def key_name(key: Any) -> str:
    """One key of a path as JAX writes it, as text."""
    return str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))))


def _children(value: Any) -> list[tuple[Path, Any]] | None:
    children, structure = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda each: each is not value
    )
    # `treedef_is_leaf` is true of an empty tuple, too.
    return None if children and jax.tree_util.treedef_is_leaf(structure) else children


def _class_name(value: object) -> str:
    """The name of a state's class, or "" unless it is one of optax's."""
    return type(value).__name__ if type(value).__module__.startswith("optax.") else ""


def _unwrapped(value: Any) -> Any:
    """The array in a variable of flax's optimizers, or in what orbax makes of one."""
    if isinstance(value, Mapping):
        wrapped = set(value) == {"value"}
    else:
        wrapped = type(value).__module__.startswith("flax.nnx.") and bool(
            {"OptState", "VariableState"} & {each.__name__ for each in type(value).__mro__}
        )
    if not wrapped:
        return value
    inner = [child for _, child in _children(value) or ()]
    return inner[0] if len(inner) == 1 and _children(inner[0]) is None else value


def _kind_by_names(node: Node) -> str:
    if not isinstance(node.value, Mapping):
        return ""
    names = set(node.fields)
    for kind, (always, others) in NAMES.items():
        if always <= names <= always | others:
            count = node.fields[COUNTS[kind]][1] if kind in COUNTS else 0
            # A weight may be called so too.
            return kind if _is_integer(count) and np.shape(count) == () else ""
    return ""


def _is_integer(value: Any) -> bool:
    return type(value) is int or jnp.issubdtype(getattr(value, "dtype", bool), jnp.integer)


def _check_known(found: list[Node], shapes: set[tuple[int, ...]]) -> None:
    """Raise an error if there are integers, of these shapes, that may be counts of a schedule."""
    injected = [node for node in found if node.kind in INJECTED]
    own = [
        node.fields["inner_state"][0]
        for node in injected
        if "learning_rate" in node.fields["hyperparams"][1] and "inner_state" in node.fields
    ]
    passed = [node.fields["hyperparams"][0] for node in injected]
    passed += [
        node.fields["skip_state"][0]
        for node in found
        if node.kind == "MultiStepsState" and "skip_state" in node.fields
    ]
    searched = optimizers_in(found)
    for node in found:
        if node.kind in SHARED and not any(below(node.path, path) for path in own):
            raise ValueError(
                "`opt_state` must have counts that are either a schedule's or the optimizer's own. "
                f"Received: a {node.kind} at {keystr(node.path)!r}, whose count is both if its "
                "rate is a schedule. In a scheduled_optimizer of the same factory they are separate"
            )
        if node.kind in OTHERS or not any(below(node.path, path) for path in searched):
            continue
        for path, leaf in node.fields.values():
            known = not _is_integer(leaf) or np.shape(leaf) not in shapes | {()}
            if not known and not any(below(path, each) for each in passed):
                raise ValueError(
                    "`opt_state` must have no integers besides those of optax's own states, since "
                    "a schedule may read them. "
                    f"Received: one at {keystr(path)!r}, in a {type(node.value).__name__}. Nothing "
                    "was set: call set_step on the other parts, and set this one yourself"
                )


def check_concrete(leaf: Any, place: str) -> None:
    """Raise a TypeError if a part of a state is traced."""
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            "`opt_state` must not be traced: call this outside of jit. "
            f"Received: a tracer at {place!r}"
        )


def whole(place: str, count: Any) -> int:
    """A count in a state as an int."""
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
        f"opt_state{keystr(node.path)}": _unwrapped(node.fields["hyperparams"][1][name])
        for node in nodes(opt_state)
        for name in names
        if node.kind in INJECTED and name in node.fields["hyperparams"][1]
    }
    if not found:
        raise ValueError(
            f"`opt_state` must have the {what} that an update used, as the state of a "
            f"`scheduled_optimizer` has. Received: a {type(opt_state).__name__} without one."
        )
    if len(found) > 1:
        raise ValueError(
            f"`opt_state` must have one {what}. Received: one each in {', '.join(found)}. "
            "Pass one of these."
        )
    return jnp.asarray(next(iter(found.values())))


def _checked_step(step: Any) -> Any:
    if isinstance(step, jax.core.Tracer):
        if jnp.issubdtype(step.dtype, jnp.integer) and step.shape == ():
            return step
        raise TypeError(f"`step` must be an integer. {received('step', step)}")
    number = integer("step", step)
    if not 0 <= number <= LARGEST_COUNT:
        raise ValueError(f"`step` must be from 0 to 2**31 - 1. {received('step', step)}")
    return number
