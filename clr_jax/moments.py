"""What optax's states remember of past gradients, as arrays, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey, keystr

from clr_core.adapter import integer, received
from clr_core.moments import FLOATS, Moments, check_shapes
from clr_jax.optimizer import INJECTED, LARGEST_COUNT, _name, _visited, schedule_counts
from clr_jax.record import whole

State = TypeVar("State")
Path = tuple[Any, ...]

# Which kind a state is of, and its name of each slot of `clr_core.moments.SLOTS`.
KINDS = {"TraceState": "sgd", "ScaleByAdamState": "adam"}
NAMES = {"sgd": {"velocity": "trace"}, "adam": {"first": "mu", "second": "nu"}}
# The states that remember no gradient themselves, and where those are that may. Every other one
# might, and a run that goes on without it would be another.
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

    In the order of `jax.tree.leaves(params)`, where a dict is sorted by its keys, and in the shapes
    of the parameters.

        >>> import optax
        >>> optimizer = optax.sgd(0.1, momentum=0.5)
        >>> state = optimizer.init({"w": jnp.ones(3)})
        >>> for _ in range(2):
        ...     updates, state = optimizer.update({"w": jnp.ones(3)}, state)
        >>> to_moments(state, count=2).slots["velocity"][0].tolist()
        [1.5, 1.5, 1.5]

    The moments may stand anywhere in a chain, a mask, `cyclic_optimizer`, `MultiSteps` and so on;
    gradients that `MultiSteps` has accumulated aren't carried.

    Args:
        opt_state: The state.
        count: How many updates were done: `record.step`. It is needed for `sgd` where no schedule
            counts them.

    Raises:
        TypeError: A traced state, or moments that aren't of floats.
        ValueError: No moments, several, or a part of the state that remembers something else, such
            as that of `amsgrad` or `rmsprop`; a velocity with the rate in it; `count` is missing,
            or another than Adam's.
    """
    path, state = _found(opt_state)
    kind = KINDS[_name(state)]
    slots = {
        slot: [_array(leaf) for leaf in jax.tree.leaves(getattr(state, name))]
        for slot, name in NAMES[kind].items()
    }
    return Moments(kind, _count(kind, opt_state, path, state, count), slots)


def from_moments(moments: Moments, opt_state: State) -> State:
    """The state with the moments in the place of its own; the count of a schedule stays.

        >>> import optax
        >>> optimizer = optax.adam(0.1)
        >>> state = optimizer.init({"w": jnp.ones(3)})
        >>> updates, after = optimizer.update({"w": jnp.ones(3)}, state)
        >>> moved = from_moments(to_moments(after), state)
        >>> moved[0].count, moved[0].nu["w"]
        (Array(1, dtype=int32), Array([0.001, 0.001, 0.001], dtype=float32))

    Args:
        moments: One array for each of `jax.tree.leaves(params)`, of its shape. Where they come from
            another framework, turn its arrays with `moments.rearranged`.
        opt_state: The state of an optimizer with moments of that kind, such as
            `clr_jax.from_record` makes. Its structure and dtypes stay.

    Raises:
        TypeError: Not moments, or a traced state.
        ValueError: Moments of another kind, for other parameters, too large for the state's dtype,
            or of more updates than optax's int32 counts; a state that `to_moments` refuses.
    """
    if not isinstance(moments, Moments):
        raise TypeError(
            f"`moments` must be clr_core.moments.Moments. {received('moments', moments)}"
        )
    path, state = _found(opt_state)
    kind = KINDS[_name(state)]
    if moments.kind != kind:
        hint = (
            ". Keras's velocity has the rate of each update in it, so that optax's can't be "
            "computed from it. clr_keras.SGD(…, torch_velocity=True) has optax's"
            if (moments.kind, kind) == ("sgd-keras", "sgd")
            else ""
        )
        raise ValueError(
            f"`moments` must be of the kind {kind!r} for a {_name(state)}. "
            f"{received('kind', moments.kind)}{hint}"
        )
    changed = {
        name: _filled(slot, moments.slots[slot], getattr(state, name))
        for slot, name in NAMES[kind].items()
    }
    if kind == "adam":
        whole(f"{keystr(path)}.count", state.count)
        if moments.count > LARGEST_COUNT:
            raise ValueError(
                "`moments` must have a count up to 2**31 - 1, as optax counts in int32. "
                f"{received('count', moments.count)}"
            )
        changed["count"] = _like(np.asarray(moments.count), state.count)

    def put(node: Any, at: Path) -> Any:
        return node._replace(**changed) if at == path else node

    result: State = _visited(opt_state, put)
    return result


def _found(opt_state: Any) -> tuple[Path, Any]:
    """The state with the moments, and the path to it."""
    parts = list(_parts(opt_state, ()))
    found = [(path, state) for path, state in parts if _name(state) in KINDS]
    if not found:
        raise ValueError(
            "`opt_state` must have moments: those of optax.sgd with a momentum, or of an Adam. "
            f"Received: a {type(opt_state).__name__} without"
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
        if _name(state) == "TraceState" and _name(each) == "ScaleByScheduleState":
            raise ValueError(
                "`opt_state` must have a velocity without the rate in it, as optax.sgd has. "
                f"Received: an optax.trace at opt_state{keystr(path)}, behind the schedule at "
                f"opt_state{keystr(other)}. Chain them the other way round"
            )
    return path, state


def _parts(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every state of optax, in the order that it is applied; an error for one that isn't known."""
    name = _name(node)
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


def _count(kind: str, opt_state: Any, path: Path, state: Any, given: int | None) -> int:
    if given is not None:
        given = integer("count", given)
    if kind == "adam":
        count = whole(f"{keystr(path)}.count", state.count)
        if given not in (None, count):
            raise ValueError(f"`count` must be Adam's, {count}. {received('count', given)}")
        return count
    if given is not None:
        return given
    steps = {whole(place, each) for place, each in schedule_counts(opt_state).items()}
    if len(steps) != 1:
        raise ValueError(
            "`count` must be given where no schedule counts the updates, since SGD doesn't: "
            "to_moments(opt_state, count=record.step)"
        )
    return steps.pop()


def _check_concrete(leaf: Any) -> None:
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError("`opt_state` must not be traced: call this outside of jit")


def _shape(leaf: Any) -> tuple[int, ...]:
    _check_concrete(leaf)
    return tuple(leaf.shape)


def _array(leaf: Any) -> Any:
    _check_concrete(leaf)
    array = np.array(leaf)
    # Each number of bfloat16 is a float32.
    small = jnp.issubdtype(leaf.dtype, jnp.floating) and str(array.dtype) not in FLOATS
    return array.astype(np.float32) if small else array


def _filled(slot: str, arrays: Any, tree: Any) -> Any:
    """The arrays in the structure, dtypes and places of those in the state."""
    leaves, structure = jax.tree.flatten(tree)
    check_shapes(slot, arrays, leaves, _shape)
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
    """The array with the dtype of `leaf`, on its devices."""
    return jax.device_put(array.astype(leaf.dtype), getattr(leaf, "sharding", None))
