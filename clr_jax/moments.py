"""The memory of past gradients in an optax state, as arrays: read and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey, keystr

from clr_core.adapter import received
from clr_core.moments import FLOATS, Moments, agreed_count, check_moments
from clr_jax.state import (
    INJECTED,
    LARGEST_COUNT,
    Path,
    check_concrete,
    class_name,
    replaced,
    schedule_counts,
    whole,
)

State = TypeVar("State")

# The kind of moments in a state, and its names for the slots of `clr_core.moments.SLOTS`.
KINDS = {"TraceState": "sgd", "ScaleByAdamState": "adam"}
NAMES = {"sgd": {"velocity": "trace"}, "adam": {"first": "mu", "second": "nu"}}
# The states that remember no gradient, with the field that holds the states which may. Any other
# state might remember one, and a run that resumed without it would be another run.
INNER = {
    **dict.fromkeys(INJECTED, "inner_state"),
    "MaskedState": "inner_state",
    "PartitionState": "inner_states",
    "MultiTransformState": "inner_states",
    "MultiStepsState": "inner_opt_state",
    "ConditionallyTransformState": "inner_state",
    "ConditionallyMaskState": "inner_state",
    "ApplyIfFiniteState": "inner_state",
    "EmptyState": None,
    "ZeroNansState": None,
    "WrappedScheduleState": None,
    "ScaleByScheduleState": None,
    "WeightDecaySchedule": None,
}


def to_moments(opt_state: Any, count: int | None = None) -> Moments:
    """The velocity of `optax.sgd` (`optax.trace`), or the moments of `adam`, `adamw` or `radam`.

        >>> import optax
        >>> optimizer = optax.sgd(0.1, momentum=0.5)
        >>> state = optimizer.init({"w": jnp.ones(3)})
        >>> for _ in range(2):
        ...     updates, state = optimizer.update({"w": jnp.ones(3)}, state)
        >>> to_moments(state, count=2).slots["velocity"][0].tolist()
        [1.5, 1.5, 1.5]

    The arrays are in the order of `jax.tree.leaves(params)`, which sorts a dict by its keys, and
    have the shapes of the parameters. Gradients that `MultiSteps` has accumulated aren't carried.

    Args:
        opt_state: The state, in which the moments may be inside of a chain, a mask, a
            `cyclic_optimizer`, `MultiSteps` and so on.
        count: The number of updates done: `record.step`. Needed for `sgd` unless a schedule counts
            them.

    Raises:
        TypeError: The state is traced, or its moments aren't floats.
        ValueError: The state has no moments or several, or a part that remembers something else,
            such as `amsgrad` or `rmsprop`; the velocity contains the rate; `count` is missing or
            isn't Adam's.
    """
    path, state = _found(opt_state)
    kind = KINDS[class_name(state)]
    slots = {
        slot: [_array(leaf, path) for leaf in jax.tree.leaves(getattr(state, name))]
        for slot, name in NAMES[kind].items()
    }
    stored = whole(f"{keystr(path)}.count", state.count) if kind == "adam" else None
    if kind == "sgd" and count is None:
        steps = {whole(place, each) for place, each in schedule_counts(opt_state).items()}
        count = steps.pop() if len(steps) == 1 else None
    return Moments(kind, agreed_count(count, stored, "opt_state"), slots)


def from_moments(moments: Moments, opt_state: State) -> State:
    """A state with these moments in place of its own; the counts of schedules stay.

        >>> import optax
        >>> optimizer = optax.adam(0.1)
        >>> state = optimizer.init({"w": jnp.ones(3)})
        >>> updates, after = optimizer.update({"w": jnp.ones(3)}, state)
        >>> moved = from_moments(to_moments(after), state)
        >>> moved[0].count, moved[0].nu["w"]
        (Array(1, dtype=int32), Array([0.001, 0.001, 0.001], dtype=float32))

    Args:
        moments: One array for each of `jax.tree.leaves(params)`, of its shape. Arrays of another
            framework are converted with `moments.rearranged`.
        opt_state: The state of an optimizer with moments of that kind, such as
            `clr_jax.from_record` makes.

    Returns:
        A new state of the same structure, shapes and dtypes.

    Raises:
        TypeError: `moments` aren't moments, or the state is traced.
        ValueError: The moments are of another kind, for other parameters, too large for the state's
            dtype, or of more updates than optax's int32 counts; or `to_moments` refuses the state.
    """
    path, state = _found(opt_state)
    name = class_name(state)
    kind = KINDS[name]
    trees = {slot: getattr(state, field) for slot, field in NAMES[kind].items()}
    leaves = jax.tree.leaves(next(iter(trees.values())))
    for leaf in leaves:
        check_concrete(leaf, keystr(path))
    check_moments(moments, kind, f"optax's {name}", [leaf.shape for leaf in leaves])
    changed = {
        NAMES[kind][slot]: _filled(slot, moments.slots[slot], tree) for slot, tree in trees.items()
    }
    if kind == "adam":
        whole(f"{keystr(path)}.count", state.count)
        if moments.count > LARGEST_COUNT:
            raise ValueError(
                "`moments` must have a count up to 2**31 - 1, since optax counts in int32. "
                f"{received('count', moments.count)}"
            )
        changed["count"] = _like(np.asarray(moments.count), state.count)

    def put(node: Any, at: Path) -> Any:
        return node._replace(**changed) if at == path else node

    result: State = replaced(opt_state, put)
    return result


def _found(opt_state: Any) -> tuple[Path, Any]:
    """The path to the state with the moments, and that state."""
    parts = list(_parts(opt_state, ()))
    found = [(path, state) for path, state in parts if class_name(state) in KINDS]
    if not found:
        raise ValueError(
            "`opt_state` must have the moments of Adam, or of optax.sgd with a momentum. "
            f"Received: a {type(opt_state).__name__} without them"
        )
    if len(found) > 1:
        listed = ", ".join(f"opt_state{keystr(path)}" for path, _ in found)
        raise ValueError(
            f"`opt_state` must have moments in one place. Received: {listed}. Pass one of these"
        )
    ((path, state),) = found
    for other, each in parts:
        if other == path:
            break
        if class_name(state) == "TraceState" and class_name(each) == "ScaleByScheduleState":
            raise ValueError(
                "`opt_state` must have a velocity that doesn't contain the rate, as in optax.sgd. "
                f"Received: an optax.trace at opt_state{keystr(path)}, after the schedule at "
                f"opt_state{keystr(other)}. Chain them in the other order"
            )
    return path, state


def _parts(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The states of optax in the order that they are applied; an error for an unknown one."""
    name = class_name(node)
    if name in KINDS:
        yield path, node
    elif name in INNER:
        yield path, node
        field = INNER[name]
        if field is not None:
            yield from _parts(getattr(node, field), (*path, GetAttrKey(field)))
    elif type(node) in (tuple, list):
        for index, child in enumerate(node):
            yield from _parts(child, (*path, SequenceKey(index)))
    elif isinstance(node, dict):
        for key in sorted(node):
            yield from _parts(node[key], (*path, DictKey(key)))
    elif node is not None:
        raise ValueError(
            "`opt_state` must remember nothing but the moments of SGD or Adam. "
            f"Received: a {type(node).__name__} at opt_state{keystr(path)}, which can't be carried"
        )


def _array(leaf: Any, path: Path) -> Any:
    check_concrete(leaf, keystr(path))
    array = np.array(leaf)
    # Each number of bfloat16 is a float32.
    small = jnp.issubdtype(leaf.dtype, jnp.floating) and str(array.dtype) not in FLOATS
    return array.astype(np.float32) if small else array


def _filled(slot: str, arrays: Any, tree: Any) -> Any:
    """The arrays with the structure, dtypes and devices of those in the state."""
    leaves, structure = jax.tree.flatten(tree)
    for index, (array, leaf) in enumerate(zip(arrays, leaves, strict=True)):
        with np.errstate(over="ignore"):
            held = array.astype(leaf.dtype)
        if not np.array_equal(np.isfinite(held), np.isfinite(array)):
            raise ValueError(
                f"`moments` must have numbers that the state's {leaf.dtype} can hold. "
                f"Received: larger ones in array {index} of {slot!r}"
            )
    return jax.tree.unflatten(structure, map(_like, arrays, leaves))


def _like(array: Any, leaf: Any) -> Any:
    """The array with the dtype and on the devices of `leaf`."""
    return jax.device_put(array.astype(leaf.dtype), getattr(leaf, "sharding", None))
