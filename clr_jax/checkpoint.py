"""The counts in a stored optax state, read without loading weights or executing anything.

A folder of orbax and a file of msgpack keep the names of fields and keys, and no classes. The names
tell which of optax's states a part was.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from clr_core.adapter import check_regular_file

Place = tuple[str, ...]
"""The names that lead to a count."""

MAX_METADATA = 2**26
"""The largest `_METADATA` of orbax that is read, in bytes."""
MAX_NAMES = 2**16
"""The largest number of entries in a mapping of msgpack, and of counts in a file."""
UNFINISHED = ".orbax-checkpoint-tmp"


def counts(name: str) -> dict[Place, int]:
    """The counts of steps that a schedule reads, as in `clr_jax.schedule_counts` of a live state.

    Raises:
        ImportError: The library that reads the checkpoint isn't installed.
        OSError: The checkpoint doesn't exist or can't be read.
        ValueError: It is neither orbax's nor msgpack, or is damaged.
    """
    if os.path.isdir(name):
        return _of_orbax(Path(name).absolute())
    check_regular_file(name)
    return _of_msgpack(name)


def _count(names: Collection[str]) -> str | None:
    """The name of the count in a state with these names; None if no schedule reads one."""
    if "hyperparams" in names or set(names) == {"count"}:
        return "count"
    if {"mini_step", "gradient_step"} <= set(names):
        return "gradient_step"
    return "step" if set(names) == {"inner_state", "step"} else None


def _of_orbax(folder: Path) -> dict[Place, int]:
    try:
        import orbax.checkpoint as orbax  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(
            "`read_record` needs orbax to read a folder. "
            "Install it with: pip install orbax-checkpoint"
        ) from None
    found: dict[Place, int] = {}
    for name, item in _items(folder).items():
        if (item / "_METADATA").stat().st_size > MAX_METADATA:
            raise ValueError(f"its _METADATA has more than {MAX_METADATA} bytes")
        try:
            read = _read(orbax, item)
        except Exception:  # A damaged one raises a dozen kinds of errors, each of many lines.
            raise ValueError("it isn't a complete checkpoint of orbax") from None
        found |= {(*name, *place): count for place, count in read.items()}
    return found


def _items(folder: Path) -> dict[Place, Path]:
    """The pytrees in a checkpoint: the folder itself, or those in a step of a CheckpointManager."""
    if any(UNFINISHED in part for part in folder.parts):
        raise ValueError("orbax didn't finish it")
    if (folder / "_METADATA").is_file():
        return {(): folder}
    items = {(each.name,): each for each in folder.iterdir() if (each / "_METADATA").is_file()}
    if not items:
        steps = sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal())
        last = f". Pass a step of a CheckpointManager: {folder / str(steps[-1])}" if steps else ""
        raise ValueError(f"it contains no pytree of orbax{last}")
    return dict(sorted(items.items()))


def _read(orbax: Any, item: Path) -> dict[Place, int]:
    with closing(orbax.PyTreeCheckpointHandler()) as handler:
        tree = handler.metadata(item).tree
        places = set(_places(tree))
        if not places:
            return {}
        flat, structure = jax.tree_util.tree_flatten_with_path(tree)
        paths = [tuple(map(_name, path)) for path, _ in flat]
        # Leaves with a placeholder stay on disk.
        wanted = [0 if path in places else orbax.PLACEHOLDER for path in paths]
        # As NumPy arrays, since the devices that they were saved from may be missing here.
        kinds = [orbax.RestoreArgs(restore_type=np.ndarray)] * len(paths)
        restored = handler.restore(
            item,
            args=orbax.args.PyTreeRestore(
                item=jax.tree.unflatten(structure, wanted),
                restore_args=jax.tree.unflatten(structure, kinds),
            ),
        )
    values = dict(zip(paths, jax.tree.leaves(restored), strict=True))
    return {path: int(values[path]) for path in paths if path in places}


def _name(key: Any) -> str:
    """One key of a path as JAX writes it, as text."""
    return str(getattr(key, "key", getattr(key, "idx", key)))


def _places(node: Any, path: Place = ()) -> Iterator[Place]:
    """The places of the counts in orbax's description of a tree."""
    if isinstance(node, Mapping):
        name = _count(node)
        leaf: Any = None if name is None else node.get(name)
        # A weight may be called so too.
        if getattr(leaf, "shape", None) == () and np.issubdtype(leaf.dtype, np.integer):
            yield (*path, str(name))
        for key, child in node.items():
            yield from _places(child, (*path, str(key)))
    elif isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _places(child, (*path, str(index)))


def _of_msgpack(name: str) -> dict[Place, int]:
    try:
        from msgpack import Unpacker  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(
            "`read_record` needs msgpack to read flax's file. Install it with: pip install msgpack"
        ) from None
    with open(name, "rb") as file:
        # From the inside out each mapping is replaced by its counts, so that reading takes no more
        # memory than the largest array, whatever the file says.
        unpacker = Unpacker(
            file,
            object_hook=_noted,
            list_hook=lambda items: None,  # flax writes a list as a mapping.
            ext_hook=_integer,
            max_buffer_size=2**31 - 1,
            max_array_len=MAX_NAMES,
            max_map_len=MAX_NAMES,
        )
        try:
            found = unpacker.unpack()
        except OSError:
            raise
        except Exception:  # Depends on the content, and may be anything.
            found = None
        if not isinstance(found, _Counts) or unpacker.tell() != os.fstat(file.fileno()).st_size:
            raise ValueError("it isn't a complete msgpack file with a pytree of flax")
    return dict(found)


class _Counts(dict[Place, int]):
    """The counts found in a mapping."""


def _noted(node: dict[str, Any]) -> _Counts:
    found = _Counts()
    name = _count(node)
    if name is not None and type(node.get(name)) is int:
        found[(name,)] = node[name]
    for key, child in node.items():
        if isinstance(child, _Counts):
            found.update({(key, *place): count for place, count in child.items()})
    if len(found) > MAX_NAMES:
        raise ValueError
    return found


def _integer(code: int, data: bytes) -> int | None:
    """An integer scalar in one of flax's extensions, for arrays and for NumPy scalars."""
    from msgpack import unpackb

    if code not in (1, 3) or len(data) > 64:
        return None
    shape, dtype, buffer = unpackb(data)
    if list(shape) or np.dtype(dtype).kind not in "iu":
        return None
    return int(np.frombuffer(buffer, dtype)[0])
