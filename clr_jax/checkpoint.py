"""A stored pytree: its names and shapes first, and of its arrays those that are asked for.

A folder of orbax and a file of msgpack keep the names of fields and keys, and no classes. Nothing
in them is executed.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clr_core.adapter import check_regular_file, listed, received

MAX_METADATA = 2**26
"""The largest `_METADATA` of orbax that is read, in bytes."""
MAX_NAMES = 2**16
"""The largest number of entries in a mapping of msgpack."""
MAX_NODES = 2**20
"""The largest number of mappings and arrays in a file of msgpack."""
MAX_DEPTH = 100
"""The largest number of names that lead to an array."""
UNFINISHED = ".orbax-checkpoint-tmp"


@dataclass(frozen=True, slots=True)
class Leaf:
    """An array in a checkpoint."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    place: Any
    """For the reader: where it is."""


Load = Callable[[Sequence[Leaf]], list[NDArray[Any]]]


def read(name: str) -> tuple[Any, Load]:
    """The stored tree, with a `Leaf` for each array, and a function that loads some of these."""
    if os.path.isdir(name):
        return _of_orbax(Path(name).absolute())
    check_regular_file(name)
    return _of_msgpack(name)


def at_key(tree: Any, key: str | None) -> tuple[Any, tuple[str, ...]]:
    """The part of a stored tree to which names lead, joined by dots, and these names."""
    names = () if key is None else tuple(key.split("."))
    for index, name in enumerate(names):
        children = dict(enumerate(tree)) if isinstance(tree, list) else tree
        named = {str(each): each for each in children} if isinstance(children, Mapping) else {}
        if name not in named:
            place = ".".join(names[:index])
            raise ValueError(
                f"`key` must lead to a part of it. {received('key', key)}. "
                f"At {place or 'its top'} there is {listed(sorted(named), 20) or 'nothing'}"
            )
        tree = children[named[name]]
    return tree, names


def _of_orbax(folder: Path) -> tuple[Any, Load]:
    try:
        import orbax.checkpoint as orbax  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(
            "Reading a folder needs orbax. Install it with: pip install orbax-checkpoint"
        ) from None
    items = _items(folder)
    size = sum(map(_size, items.values()))
    trees = {name: _of_item(orbax, name, item) for name, item in items.items()}

    def load(leaves: Sequence[Leaf]) -> list[NDArray[Any]]:
        claimed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
        # Zeros are stored in next to nothing.
        if claimed > max(2**28, 1000 * size):
            raise ValueError(f"its arrays claim to have {claimed} bytes, and all files have {size}")
        values: dict[Any, Any] = {}
        for name, item in items.items():
            wanted = {leaf.place for leaf in leaves if leaf.place[0] == name}
            values |= _restored(orbax, name, item, wanted) if wanted else {}
        return [np.asarray(values[leaf.place]) for leaf in leaves]

    return (trees[""] if list(trees) == [""] else trees), load


def _items(folder: Path) -> dict[str, Path]:
    """The pytrees in a checkpoint: the folder itself, or those in a step of a CheckpointManager."""
    if any(UNFINISHED in part for part in folder.parts):
        raise ValueError("orbax didn't finish it")
    if (folder / "_METADATA").is_file():
        return {"": folder}
    steps = {each.name: each.name.rstrip("0123456789") for each in folder.iterdir()}
    steps = {name: name[len(stem) :] for name, stem in steps.items() if name != stem}
    items = {each.name: each for each in folder.iterdir() if (each / "_METADATA").is_file()}
    # `flax.training.checkpoints` has such a folder for each step.
    several = set(items) <= set(steps) and not (folder / "_CHECKPOINT_METADATA").exists()
    if not items or several:
        last = max(steps, key=lambda name: int(steps[name][:18]), default=None)
        hint = f". Pass one of its steps, such as the last: {folder / last}" if last else ""
        what = "has a pytree of orbax for each step" if items else "contains no pytree of orbax"
        raise ValueError(f"it {what}{hint}")
    return dict(sorted(items.items()))


def _size(folder: Path) -> int:
    """The size of all files in a folder, if there is nothing else in it."""
    total = 0
    for path, folders, files in os.walk(folder):
        for each in (*folders, *files):
            status = os.stat(os.path.join(path, each))
            # Reading a pipe would wait for ever, and a link to a folder may lead anywhere.
            link = each in folders and os.path.islink(os.path.join(path, each))
            if link or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise ValueError(f"{os.path.join(path, each)!r} is neither a file nor a folder")
            total += status.st_size
    if (folder / "_METADATA").stat().st_size > MAX_METADATA:
        raise ValueError(f"its _METADATA has more than {MAX_METADATA} bytes")
    return total


def _of_item(orbax: Any, name: str, item: Path) -> Any:
    try:
        with closing(orbax.PyTreeCheckpointHandler()) as handler:
            tree = handler.metadata(item).tree
        flat, structure = jax.tree_util.tree_flatten_with_path(tree)
        leaves = []
        for path, leaf in flat:
            if len(path) > MAX_DEPTH:
                raise ValueError
            shape, dtype = getattr(leaf, "shape", ()), getattr(leaf, "dtype", None)
            # A text has no dtype, and that of a random key is JAX's own.
            numeric = dtype is not None and jnp.issubdtype(dtype, jnp.number)
            leaves.append(Leaf(tuple(shape), np.dtype(dtype), (name, path)) if numeric else None)
        return _numbered(jax.tree.unflatten(structure, leaves))
    except Exception:  # A damaged one raises a dozen kinds of errors, each of many lines.
        raise ValueError("it isn't a complete checkpoint of orbax") from None


def _restored(orbax: Any, name: str, item: Path, wanted: set[Any]) -> dict[Any, Any]:
    try:
        with closing(orbax.PyTreeCheckpointHandler()) as handler:
            tree = handler.metadata(item).tree
            flat, structure = jax.tree_util.tree_flatten_with_path(tree)
            # Leaves with a placeholder stay on disk.
            targets = [0 if (name, path) in wanted else orbax.PLACEHOLDER for path, _ in flat]
            # As NumPy arrays, since the devices that they were saved from may be missing here.
            kinds = [orbax.RestoreArgs(restore_type=np.ndarray)] * len(flat)
            restored = handler.restore(
                item,
                args=orbax.args.PyTreeRestore(
                    item=jax.tree.unflatten(structure, targets),
                    restore_args=jax.tree.unflatten(structure, kinds),
                ),
            )
        values = [
            ((name, path), value)
            for (path, _), value in zip(flat, jax.tree.leaves(restored), strict=True)
        ]
        return {place: value for place, value in values if place in wanted}
    except Exception:
        raise ValueError("it isn't a complete checkpoint of orbax") from None


def _numbered(tree: Any) -> Any:
    """The tree with the keys that NNX gives to the layers of a list as integers, which sort so."""
    if isinstance(tree, Mapping):
        whole = all(map(_is_number, tree))
        return {int(key) if whole else key: _numbered(child) for key, child in tree.items()}
    return [_numbered(child) for child in tree] if isinstance(tree, list | tuple) else tree


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 10 and str(int(key)) == key


def _of_msgpack(name: str) -> tuple[Any, Load]:
    def load(leaves: Sequence[Leaf]) -> list[NDArray[Any]]:
        arrays = _Reader(name, {index for leaf in leaves for index in leaf.place}).arrays
        chunks = ([arrays[index] for index in leaf.place] for leaf in leaves)
        joined = (each[0] if len(each) == 1 else np.concatenate(each) for each in chunks)
        return [array.reshape(leaf.shape) for array, leaf in zip(joined, leaves, strict=True)]

    return _Reader(name).tree, load


class _Reader:
    """A file of msgpack as a tree, and those of its arrays that are wanted, by their numbers."""

    def __init__(self, name: str, wanted: Collection[int] = ()) -> None:
        try:
            from msgpack import Unpacker  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise ImportError(
                "Reading flax's file needs msgpack. Install it with: pip install msgpack"
            ) from None
        self.wanted = wanted
        self.arrays: dict[int, NDArray[Any]] = {}
        self.nodes = 0
        self.depths: dict[int, int] = {}  # Of the mappings that aren't within another yet.
        with open(name, "rb") as file:
            # An array is read and dropped, so that reading takes no more memory than the largest
            # one, whatever the file says.
            unpacker = Unpacker(
                file,
                object_pairs_hook=self._mapping,
                list_hook=lambda items: self._mapping(list(enumerate(items))),
                ext_hook=self._array,
                strict_map_key=False,
                max_buffer_size=2**31 - 1,
                max_array_len=MAX_NAMES,
                max_map_len=MAX_NAMES,
            )
            try:
                self.tree = unpacker.unpack()
            except OSError:
                raise
            except Exception:  # Depends on the content, and may be anything.
                self.tree = None
            whole = unpacker.tell() == os.fstat(file.fileno()).st_size
            if not isinstance(self.tree, dict) or not whole:
                raise ValueError("it isn't a complete msgpack file with a pytree of flax")

    def _count(self) -> int:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ValueError
        return self.nodes

    def _mapping(self, pairs: list[tuple[Any, Any]]) -> Any:
        self._count()
        if any(type(key) not in (str, int) for key, _ in pairs):
            raise ValueError
        tree: dict[Any, Any] = {str(key): value for key, value in pairs}
        depth = 1 + max((self.depths.pop(id(each), 0) for each in tree.values()), default=0)
        if len(tree) != len(pairs) or depth > MAX_DEPTH:
            raise ValueError
        if "__msgpack_chunked_array__" in tree:
            chunks = list(tree["chunks"].values())
            places = tuple(index for chunk in chunks for index in chunk.place)
            return Leaf(tuple(tree["shape"].values()), chunks[0].dtype, places)
        # Lists and NNX's integers come in their order, a dict's texts as JAX sorts them.
        numbers = [int(key) for key in tree if _is_number(key)]
        if len(numbers) == len(tree) and numbers == sorted(numbers):
            tree = dict(zip(numbers, tree.values(), strict=True))
        self.depths[id(tree)] = depth
        return tree

    def _array(self, code: int, data: bytes) -> Leaf | None:
        from msgpack import Unpacker, unpackb

        number = self._count()
        if code not in (1, 3):
            return None
        header = Unpacker()
        header.feed(data[:1024])
        header.read_array_header()
        shape, dtype = tuple(header.unpack()), np.dtype(header.unpack()[:32])
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > len(data):
            raise ValueError
        if number in self.wanted:
            buffer = unpackb(data)[2]
            self.arrays[number] = np.frombuffer(buffer, dtype).reshape(shape)
        numeric = jnp.issubdtype(dtype, jnp.number)
        return Leaf(shape, dtype, (number,)) if numeric else None
