"""The memory of past gradients in an optax state, as arrays: read and written."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr
from numpy.typing import NDArray

from clr_core.adapter import received, refusing
from clr_core.moments import FLOATS, Moments, agreed_count, check_moments
from clr_jax import checkpoint
from clr_jax.state import (
    INJECTED,
    LARGEST_COUNT,
    Node,
    Path,
    below,
    changed,
    check_concrete,
    counts_in,
    key_name,
    nodes,
    optimizers_in,
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
            `scheduled_optimizer`, `MultiSteps` and so on; or a pytree with one in a field
            `opt_state`, such as flax's `TrainState`, an `nnx.Optimizer`, or what `nnx.state` gives.
        count: The number of updates done: `record.step`. Needed for `sgd` unless a schedule counts
            them.

    Raises:
        TypeError: The state is traced, or its moments aren't floats.
        ValueError: The state has no moments or several, or a part that remembers something else,
            such as `amsgrad` or `rmsprop`; the velocity contains the rate; `count` is missing or
            isn't Adam's.
    """
    return _moments(opt_state, count, optimizers_in)


def read_moments(
    path: str | os.PathLike[str], *, key: str | None = None, count: int | None = None
) -> Moments:
    """The moments in a checkpoint, orbax's folder or flax's msgpack, as `to_moments` reads them.

        >>> import tempfile
        >>> import flax.serialization
        >>> import optax
        >>> state = optax.adam(0.1).init({"w": jnp.ones(3)})
        >>> with tempfile.NamedTemporaryFile(suffix=".msgpack") as file:
        ...     _ = file.write(flax.serialization.to_bytes({"opt_state": state}))
        ...     file.flush()
        ...     read_moments(file.name).slots["second"][0].tolist()
        [0.0, 0.0, 0.0]

    Neither the model nor the optimizer is needed, and only the moments are loaded. A checkpoint
    keeps no classes: adabelief, nadam and adamax have the names of Adam, and are taken for it.

    Args:
        path: As in `clr_jax.read_record`.
        key: The names that lead to the optimizer's state, joined by dots, if the checkpoint has
            several states, or other things beside one that isn't in a field `opt_state`.
        count: As in `to_moments`.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The content isn't such a checkpoint, or as in `to_moments`. The message is one
            line and names the path.
        OSError: The checkpoint doesn't exist or can't be read.
        ImportError: The library that reads it isn't installed.
    """
    with refusing(path, "the moments of an optax state") as name:
        tree, load = checkpoint.read(name)
        state, _ = checkpoint.at_key(tree, key)
        found = nodes(state)
        moments = _found(state, found, _states(found))
        counts = [each for _, _, each in counts_in(found)]
        if count is None and moments.kind == "TraceState" and not counts:
            raise ValueError(
                "it doesn't count SGD's updates. Pass their number: read_moments(path, count=…)"
            )
        leaves = {
            id(each): each
            for each in jax.tree.leaves([counts, *(each for _, each in moments.fields.values())])
            if isinstance(each, checkpoint.Leaf)
        }
        arrays = dict(zip(leaves, load(list(leaves.values())), strict=True))
        loaded = jax.tree.map(lambda leaf: arrays.get(id(leaf), leaf), state)
        return _moments(loaded, count, _states)


def read_weights(path: str | os.PathLike[str], *, key: str | None = None) -> dict[str, Any]:
    """The weights in a checkpoint, orbax's folder or flax's msgpack, by their names.

        >>> import tempfile
        >>> import flax.serialization
        >>> params = {"layer": {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)}}
        >>> with tempfile.NamedTemporaryFile(suffix=".msgpack") as file:
        ...     _ = file.write(flax.serialization.to_bytes({"params": params}))
        ...     file.flush()
        ...     for name, array in read_weights(file.name).items():
        ...         print(name, array.shape)
        params/layer/bias (1,)
        params/layer/kernel (2, 1)

    They are in the order of `jax.tree.leaves(params)`, which is that of `read_moments`.

    Args:
        path: As in `clr_jax.read_record`.
        key: The names that lead to the weights, joined by dots. By default they are what is in a
            field `params`; without one, all floats outside of the optimizer's state, which in
            flax's NNX include the averages of a `BatchNorm`.

    Returns:
        A NumPy array for each name, the keys that lead to it joined by "/". bfloat16 and other
        floats that NumPy doesn't have become float32.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The content isn't such a checkpoint, or there are no weights. The message is one
            line and names the path.
        OSError: The checkpoint doesn't exist or can't be read.
        ImportError: The library that reads it isn't installed.
    """
    with refusing(path, "weights") as name:
        tree, load = checkpoint.read(name)
        part, prefix = checkpoint.at_key(tree, key)
        found = nodes(part)
        states = _states(found) if any(node.kind for node in found) else []
        params = [node.fields["params"][0] for node in found if "params" in node.fields]
        params = [each for each in params if not _any_below(each, states)]
        flat, _ = jax.tree_util.tree_flatten_with_path(part)
        leaves = {
            "/".join((*prefix, *map(key_name, place))): leaf
            for place, leaf in flat
            if isinstance(leaf, checkpoint.Leaf)
            and (_any_below(place, params) if params else not _any_below(place, states))
            and (params or key is not None or jnp.issubdtype(leaf.dtype, jnp.floating))
        }
        if not leaves:
            raise ValueError(
                "it has no weights besides an optimizer's state. Pass the checkpoint that has them"
            )
        arrays = load(list(leaves.values()))
        return {name: _plain(array) for name, array in zip(leaves, arrays, strict=True)}


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
    found = nodes(opt_state)
    state = _found(opt_state, found, optimizers_in(found))
    kind = KINDS[state.kind]
    trees = {slot: state.fields[field][1] for slot, field in NAMES[kind].items()}
    leaves = jax.tree.leaves(next(iter(trees.values())))
    for leaf in leaves:
        check_concrete(leaf, keystr(state.path))
    check_moments(moments, kind, f"optax's {state.kind}", [leaf.shape for leaf in leaves])
    values: dict[Path, Any] = {}
    for slot, field in NAMES[kind].items():
        _fill(values, slot, moments.slots[slot], *state.fields[field])
    if kind == "adam":
        place, count = state.fields["count"]
        whole(keystr(place), count)
        if moments.count > LARGEST_COUNT:
            raise ValueError(
                "`moments` must have a count up to 2**31 - 1, since optax counts in int32. "
                f"{received('count', moments.count)}"
            )
        values[place] = np.asarray(moments.count)
    return changed(
        opt_state, {path: functools.partial(_like, array) for path, array in values.items()}
    )


def _moments(
    opt_state: Any, count: int | None, states: Callable[[list[Node]], list[Path]]
) -> Moments:
    found = nodes(opt_state)
    state = _found(opt_state, found, states(found))
    kind = KINDS[state.kind]
    slots = {
        slot: [_array(leaf, state.path) for leaf in jax.tree.leaves(state.fields[name][1])]
        for slot, name in NAMES[kind].items()
    }
    stored = None
    if kind == "adam":
        place, stored = state.fields["count"]
        stored = whole(keystr(place), stored)
    elif count is None:
        steps = {whole(place, each) for place, each in schedule_counts(opt_state).items()}
        count = steps.pop() if len(steps) == 1 else None
    return Moments(kind, agreed_count(count, stored, "opt_state"), slots)


def _states(found: list[Node]) -> list[Path]:
    """The paths of optimizers' states in a checkpoint, which may lie beside other things."""
    paths = optimizers_in(found)
    if paths != [()] or not found or found[0].kind or not isinstance(found[0].value, Mapping):
        return paths
    if any(type(key) is int for key in found[0].value):  # A chain.
        return paths
    kinds = {node.path[:1] for node in found if node.kind}
    return [path for path, _ in found[0].fields.values() if path in kinds]


def _any_below(path: Path, others: list[Path]) -> bool:
    return any(below(path, other) for other in others)


def _found(opt_state: Any, every: list[Node], states: list[Path]) -> Node:
    """The state with the moments, in the parts of a tree that are optimizers' states."""
    by_path = {node.path: node for node in every}
    values = {(): opt_state} | dict(place for node in every for place in node.fields.values())
    parts = [part for path in states for part in _parts(by_path, path, values[path])]
    found = [node for node in parts if node.kind in KINDS]
    if not found:
        raise ValueError(
            "`opt_state` must have the moments of Adam, or of optax.sgd with a momentum. "
            f"Received: a {type(opt_state).__name__} without them"
        )
    if len(found) > 1:
        listed = ", ".join(f"opt_state{keystr(node.path)}" for node in found)
        raise ValueError(
            f"`opt_state` must have moments in one place. Received: {listed}. Pass one of these"
        )
    (state,) = found
    for each in parts:
        if each is state:
            break
        if state.kind == "TraceState" and each.kind == "ScaleByScheduleState":
            raise ValueError(
                "`opt_state` must have a velocity that doesn't contain the rate, as in optax.sgd. "
                f"Received: an optax.trace at opt_state{keystr(state.path)}, after the schedule at "
                f"opt_state{keystr(each.path)}. Chain them in the other order"
            )
    return state


def _parts(by_path: Mapping[Path, Node], path: Path, value: Any) -> Iterator[Node]:
    """The states of optax in the order that they are applied; an error for an unknown one."""
    node = by_path.get(path)
    if node is not None and node.kind in KINDS:
        yield node
    elif node is not None and node.kind in INNER:
        yield node
        field = INNER[node.kind]
        if field in node.fields:
            yield from _parts(by_path, *node.fields[field])
    elif node is not None and (type(value) in (tuple, list) or isinstance(value, Mapping)):
        for place, child in node.fields.values():
            yield from _parts(by_path, place, child)
    elif value is not None:
        raise ValueError(
            "`opt_state` must remember nothing but the moments of SGD or Adam. "
            f"Received: a {type(value).__name__} at opt_state{keystr(path)}, which can't be carried"
        )


def _array(leaf: Any, path: Path) -> Any:
    check_concrete(leaf, keystr(path))
    return _plain(np.array(leaf))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    # Each number of bfloat16 is a float32.
    small = jnp.issubdtype(array.dtype, jnp.floating) and str(array.dtype) not in FLOATS
    return array.astype(np.float32) if small else array


def _fill(values: dict[Path, Any], slot: str, arrays: Any, path: Path, tree: Any) -> None:
    """Note for each leaf of the tree the array that takes its place."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    for index, (array, (place, leaf)) in enumerate(zip(arrays, leaves, strict=True)):
        with np.errstate(over="ignore"):
            held = array.astype(leaf.dtype)
        if not np.array_equal(np.isfinite(held), np.isfinite(array)):
            raise ValueError(
                f"`moments` must have numbers that the state's {leaf.dtype} can hold. "
                f"Received: larger ones in array {index} of {slot!r}"
            )
        values[path + place] = array


def _like(array: Any, leaf: Any) -> Any:
    """The array with the dtype and on the devices of `leaf`, committed to them only if `leaf` is.

    JAX compiles once more for arguments that are committed.
    """
    sharding = getattr(leaf, "sharding", None) if getattr(leaf, "committed", True) else None
    return jax.device_put(array.astype(leaf.dtype), sharding)
