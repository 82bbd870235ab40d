"""Read from Keras's files, without building or executing anything.

Three layouts, read in Keras 3.10.0 and 3.15.1 and in Keras 2.15 and 2.21:

- A `.keras` file is an archive with a `config.json` and a `model.weights.h5`.
- A `.weights.h5` file is the latter alone: for each object a group of numbered arrays.
- The older `.h5` file has arrays with names, and the configs in its attributes unless only the
  weights were saved.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import h5py
import numpy as np

from clr_core.adapter import check_regular_file, mapping, one_line, path_name

MAX_CONFIG = 2**26
"""The largest config that is read, in bytes."""
MAX_GROUPS = 10**5
"""The most groups whose arrays are read: several for each layer."""
OTHERS = (
    "A SavedModel or a checkpoint of TensorFlow must be loaded in Keras 2 and saved as a .keras or "
    ".h5 file"
)


class _Fault(ValueError):
    """A fault in a complete HDF5 file, as opposed to an error of h5py."""


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except _Fault:
        raise
    except Exception:  # h5py raises many types, with many lines.
        raise ValueError("its weights aren't a whole HDF5 file") from None


@dataclass(frozen=True)
class Optimizer:
    """An optimizer that makes updates."""

    config: Mapping[str, Any] | None
    """None in a file of weights."""
    name: str
    """The name that is stored beside its variables, "" if there is none."""
    variables: list[Any]
    """`iterations` and the others, in the optimizer's order; empty if it was saved without them."""

    @_errors()
    def count(self) -> int:
        """The `iterations`."""
        first = self.variables[0]
        if first.shape != () or first.dtype.kind not in "iu":
            raise _Fault("its optimizer doesn't begin with `iterations`, a whole number")
        return int(_array(first))


@dataclass(frozen=True)
class File:
    """A file that Keras wrote, while it is open."""

    model: Mapping[str, Any] | None
    """The model's config; None in a file of weights."""
    optimizer: Any
    """The optimizer's config; None if the file has none."""
    numbered: bool
    """True if the arrays have numbers for names."""
    weights: h5py.File
    size: int
    """The file's size in bytes."""

    @_errors()
    def optimizers(self) -> list[Optimizer]:
        """Those that make updates; one without config and variables if the file has neither."""
        root = self.weights
        found = list(_within(_child(root, "optimizer"), set()) if self.numbered else _named(root))
        if self.optimizer is None:
            return [Optimizer(None, *each) for each in found or [("", [])]]
        configs = list(inner_configs(self.optimizer))
        found = found or [("", [])] * len(configs)
        if len(configs) != len(found):
            raise _Fault(
                f"its config has {len(configs)} optimizers, and its weights have {len(found)}"
            )
        by_name, names = dict(found), [str(each["config"].get("name")) for each in configs]
        if sorted(names) == sorted(by_name):
            found = [(name, by_name[name]) for name in names]
        return [Optimizer(config, *each) for config, each in zip(configs, found, strict=True)]

    @_errors()
    def accumulates(self, optimizer: Optimizer) -> bool:
        """True if an optimizer in a file of weights has accumulated gradients before its slots.

        The shapes show that if the slots come weight after weight, as in most optimizers. What may
        be slots alone isn't taken for gradients.
        """
        weights = [each.shape for each in self.model_weights().values()]
        shapes = [each.shape for each in optimizer.variables if each.shape != ()]
        widths = range(1, 4)
        if any(are_slots(shapes, width, weights) for width in widths):
            return False
        parts = [(width, len(shapes) // (width + 1)) for width in widths]
        return any(
            shapes[:size] == shapes[size::width] and are_slots(shapes[size:], width, weights)
            for width, size in parts
        )

    @_errors()
    def arrays(self, datasets: list[Any]) -> list[Any]:
        """The arrays in a file; bfloat16 as float32."""
        if sum(_size(each) for each in datasets) > self.size:
            # A file with many names for one array, or the claim of a size.
            raise _Fault("its arrays are larger than the file: it is damaged or compressed")
        return [_array(each) for each in datasets]

    @_errors()
    def model_weights(self) -> dict[str, Any]:
        """The model's weights by their names in the file, as datasets.

        In the order of the layers; in a `.weights.h5` file, which doesn't have it, sorted by name.
        """
        if self.numbered:
            return dict(_layers(self.weights, self.model, set()))
        return dict(_lists(self.weights))


def are_slots(shapes: list[Any], width: int, weights: list[Any]) -> bool:
    """True for the shapes of `width` arrays for each of some weights, weight after weight."""
    each = shapes[::width]
    apart = any(shapes[start::width] != each for start in range(width))
    return bool(shapes) and not apart and not Counter(each) - Counter(weights)


@contextmanager
def opened(path: str | os.PathLike[str], content: str) -> Iterator[File]:
    """Open a file that Keras wrote.

    A ValueError, also one for what is done with the file, says in one line that it must be
    `content`.
    """
    name = path_name(path)
    try:
        if os.path.isdir(name):
            raise ValueError(f"it isn't a regular file, but a folder. {OTHERS}")
        check_regular_file(name)
        with open(name, "rb") as file:
            start, configs = file.read(8), None
            weights: Any = _Part(file, 0, os.fstat(file.fileno()).st_size)
            if start.startswith(b"PK\3\4"):
                try:
                    archive = ZipFile(file)
                except Exception:  # A broken archive raises half a dozen kinds.
                    raise ValueError("it isn't a whole .keras file") from None
                configs = _config(archive, file)
                weights = _member(archive, file, "model.weights.h5")
            elif start != b"\x89HDF\r\n\x1a\n":
                raise ValueError(f"it is neither a .keras nor an .h5 file. {OTHERS}")
            with _errors():
                root = h5py.File(weights, "r")
            try:
                configs = configs or _attributes(root)
                yield File(*configs, root, os.fstat(file.fileno()).st_size)
            finally:
                with _errors():
                    root.close()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name!r} must be {content}: {one_line(error)}") from None


def _config(archive: ZipFile, file: BinaryIO) -> tuple[Any, Any, bool]:
    """The model's config, its optimizer's, and that arrays have numbers for names."""
    model = _document("config.json", _member(archive, file, "config.json").read(MAX_CONFIG + 1))
    compiled = model.get("compile_config")
    return model, compiled.get("optimizer") if isinstance(compiled, dict) else None, True


def _attributes(root: h5py.File) -> tuple[Any, Any, bool]:
    """The same from a file of HDF5 alone: a model with its configs, or weights."""
    with _errors():
        texts = [root.attrs.get(name) for name in ("model_config", "training_config")]
        numbered = not any(name.startswith(("layer_n", "model_config")) for name in root.attrs)
    model, training = (
        _document("config", text) if isinstance(text, str | bytes) else None for text in texts
    )
    return model, (training or {}).get("optimizer_config"), numbered


def _document(name: str, text: str | bytes) -> dict[str, Any]:
    if len(text) > MAX_CONFIG:
        raise ValueError(f"its {name} has more than {MAX_CONFIG} bytes")
    try:
        document = json.loads(text, object_pairs_hook=mapping)
    except (ValueError, RecursionError) as error:
        reason = f": {one_line(error)}" if "duplicated" in str(error) else ""
        raise ValueError(f"its {name} isn't JSON{reason}") from None
    return document if isinstance(document, dict) else {}


def inner_configs(config: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of the optimizers that make the updates, within those of wrappers."""
    name = class_name(config)[1]
    if name.startswith("LossScaleOptimizer"):
        yield from inner_configs(entry(config, "config", "inner_optimizer"))
    elif name == "MultiOptimizer":
        by_group = entry(config, "config", "optimizer_map", "config")
        others = entry(by_group, "optimizer_map")
        for each in [*(entry(others, name) for name in others), by_group.get("default_optimizer")]:
            yield from inner_configs(each)
    elif (
        isinstance(entry(config, "config"), Mapping) and "optimizer" in config["config"]
    ):  # In a wrapper of Addons.
        for each in inner_configs(entry(config, "config", "optimizer")):
            yield {**each, "wrapper": name}
    else:
        entry(config, "config", "learning_rate")
        yield config


def class_name(config: Any) -> tuple[str, str]:
    """The package under which a class was registered, often "", and the name of the class."""
    name = entry(config, "class_name")
    registered = config.get("registered_name")
    package = str(registered if registered and ">" in str(registered) else name).rpartition(">")[0]
    return package, str(name).rpartition(">")[2]


def entry(config: Any, *keys: str) -> Any:
    """The value that the keys lead to in an untrusted config."""
    for key in keys:
        if not isinstance(config, Mapping) or key not in config:
            raise _Fault(f"its config has no {key!r}, which an optimizer's config has")
        config = config[key]
    return config


def _member(archive: ZipFile, file: BinaryIO, name: str) -> BinaryIO:
    """A member of an archive, opened in place: of gigabytes, a small part is read."""
    count = archive.namelist().count(name)
    if count != 1:
        raise ValueError(f"there is {'more than one' if count else 'no'} {name} in it")
    info = archive.getinfo(name)
    # Keras doesn't compress; a compressed member may be a thousand times as large in memory.
    if info.compress_type != ZIP_STORED:
        raise ValueError(f"its {name} is compressed, which Keras never does")
    try:
        with archive.open(info) as whole:
            while whole.read(2**20):  # At the end, its checksum is compared.
                pass
    except Exception:
        raise ValueError(f"its {name} is damaged") from None
    file.seek(info.header_offset)
    lengths = struct.unpack("<HH", file.read(30)[26:])
    return _Part(file, info.header_offset + 30 + sum(lengths), info.file_size)  # type: ignore[return-value]


class _Part(RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        if data.startswith(b"GCOL"):
            _check_heap(data)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _check_heap(data: bytes) -> None:
    """Raise a ValueError if the objects in a heap of HDF5 don't follow one another to its end.

    HDF5 1.14.6 itself never gets past an object without a size.
    """
    (size,) = struct.unpack_from("<Q", data, 8)
    place = 16
    while place + 16 <= min(size, len(data)):
        number, length = struct.unpack_from("<H6xQ", data, place)
        step = -(-length // 8) * 8 + 16 if number else length  # The free space counts its header.
        if step < 16:
            raise ValueError
        place += step


def _within(group: Any, seen: set[int]) -> Iterator[tuple[str, list[Any]]]:
    """Name and variables of the optimizers in a group in which arrays have numbers."""
    _check_new(group, seen)
    if (inner := _child(group, "inner_optimizer")) is not None:  # In a LossScaleOptimizer.
        yield from _within(inner, seen)
    elif (several := _child(group, "optimizers")) is not None:  # In a MultiOptimizer.
        for each in sorted(several, key=_natural):
            yield from _within(_child(several, each), seen)
    elif variables := _variables(group):
        name = _child(group, "vars").attrs.get("name", "")  # Keras 2 writes none.
        yield str(name), list(variables.values())


def _named(root: h5py.File) -> Iterator[tuple[str, list[Any]]]:
    """The same in a file in which arrays have names."""
    group = _child(root, "optimizer_weights")
    by_name: dict[str, list[Any]] = {}
    names = _strings(group, "weight_names") if group is not None else []
    for name in names:
        # Keras 3 begins with the name of the optimizer and has no ":0".
        owner = "" if ":" in names[0] else name.partition("/")[0]
        by_name.setdefault(owner, []).append(_dataset(group, name))
    if len(by_name) > 1:  # The rest are those inside of the first, a wrapper.
        del by_name[names[0].partition("/")[0]]
    yield from by_name.items()


def _layers(group: Any, config: Any, seen: set[int], path: str = "") -> Iterator[tuple[str, Any]]:
    """The weights below a group in which arrays have numbers, in the order of the config."""
    _check_new(group, seen)
    for name, data in _variables(group).items():
        yield f"{path}vars/{name}", data
    inner = config.get("config") if isinstance(config, Mapping) else None
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    configs = _containers(layers) if isinstance(layers, list) else {}
    if (ordered := _child(group, "layers")) is not None:
        rank = {name: index for index, name in enumerate(configs)}
        for name in sorted(ordered, key=lambda x: (rank.get(x, len(rank)), _natural(x))):
            below = _child(ordered, name)
            yield from _layers(below, configs.get(name), seen, f"{path}layers/{name}/")
    # A model's metrics and optimizer aren't weights.
    skipped = {"vars", "layers", *(() if path else ("metrics", "optimizer"))}
    for name in sorted(set(group) - skipped, key=_natural):
        if isinstance(below := _child(group, name), h5py.Group):
            yield from _layers(below, None, seen, f"{path}{name}/")


def _check_new(group: Any, seen: set[int]) -> None:
    """Refuse a group that is in a file at several places, perhaps below itself."""
    if isinstance(group, h5py.Group):
        address = h5py.h5o.get_info(group.id).addr
        if address in seen or len(seen) > MAX_GROUPS:
            raise _Fault("its groups are nested in circles, or too many")
        seen.add(address)


def _containers(layers: list[Any]) -> dict[str, Any]:
    """The config of each layer by the name of its group: that of its class, numbered."""
    found: dict[str, Any] = {}
    count: dict[str, int] = {}
    for each in layers:
        name = each.get("class_name") if isinstance(each, Mapping) else None
        name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", str(name)[:1000]))
        name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        number = count[name] = count.get(name, -1) + 1
        found[f"{name}_{number}" if number else name] = each
    return found


def _lists(weights: h5py.File) -> Iterator[tuple[str, Any]]:
    """The weights in a file in which arrays have names."""
    root = _child(weights, "model_weights") or weights
    seen = set()
    layers = _strings(root, "layer_names")
    for layer in [*layers, *({"top_level_model_weights"} & set(root))]:
        group = _descendant(root, layer)
        for name in _strings(group, "weight_names"):
            full = name if name not in seen else f"{layer}/{name}"
            seen.add(name)
            yield full, _dataset(group, name)


def _strings(group: Any, name: str) -> list[str]:
    """A list of strings in an attribute, which Keras divides into several if it is long."""
    attributes = group.attrs
    parts = [name] if name in attributes else []
    while name not in parts and f"{name}{len(parts)}" in attributes:
        parts.append(f"{name}{len(parts)}")
    values = [each for part in parts for each in np.ravel(attributes[part])]
    return [each.decode() if isinstance(each, bytes) else str(each) for each in values]


def _natural(name: str) -> str:
    """A key that sorts names by the numbers in them."""
    return re.sub(r"[0-9]+", lambda found: found[0].zfill(20), name)


def _variables(group: Any) -> dict[str, Any]:
    """The numbered arrays of an object."""
    inside = _child(group, "vars")
    names = sorted(inside, key=_natural) if isinstance(inside, h5py.Group) else []
    return {name: _dataset(inside, name) for name in names}


def _dataset(group: Any, path: str) -> Any:
    found = _descendant(group, path)
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise _Fault("it has something else in the place of an array")
    return found


def _descendant(group: Any, path: str) -> Any:
    for name in path.split("/"):
        group = _child(group, name)
    if group is None:
        raise _Fault(f"it has no {path[:100]!r}")
    return group


def _child(group: Any, name: str) -> Any:
    """What has this name in a group; None if there is nothing, or no group."""
    if not isinstance(group, h5py.Group) or name not in group:
        return None
    # Keras writes no links, least of all to other files.
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _Fault(f"its {name[:100]!r} is a link to elsewhere")
    return group[name]


def _size(dataset: Any) -> int:
    """The size of an array in bytes, before anything of it is read."""
    if dataset.external is not None or dataset.is_virtual:
        raise _Fault("it has an array that lies in another file")
    size = int(dataset.dtype.itemsize * dataset.size)
    if size > dataset.id.get_storage_size():
        raise _Fault("it has a compressed or damaged array, which has fewer bytes than it claims")
    return size


def _array(dataset: Any) -> Any:
    _size(dataset)
    array = np.asarray(dataset[()])
    if array.dtype == "V2" and dataset.attrs.get("dtype") == "bfloat16":
        # The upper half of a float32.
        return (array.view("u2").astype("u4") << 16).view("f4")
    if array.dtype.kind not in "fiub":
        raise _Fault(f"it has an array of {array.dtype!s:.50}, which aren't numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
