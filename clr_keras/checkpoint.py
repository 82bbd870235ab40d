"""Read an optimizer's config and count from Keras's files, without building or executing anything.

A `.keras` file is an archive with a `config.json` and a `model.weights.h5`; a `.weights.h5` file is
the latter alone. The layout was read in Keras 3.10.0 and 3.15.1.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from io import RawIOBase
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import h5py
import numpy as np

from clr_core.adapter import check_regular_file

MAX_CONFIG = 2**26
"""The largest `config.json` that is read, in bytes."""

STATELESS = "it was saved without the state of an optimizer"


def read(name: str) -> tuple[Any, list[int]]:
    """The optimizer's config, None in a file of weights, and the `iterations` of each optimizer.

    Raises:
        OSError: The file doesn't exist or can't be read.
        ValueError: It isn't such a file, or is damaged.
    """
    check_regular_file(name)
    with open(name, "rb") as file:
        start = file.read(8)
        if start == b"\x89HDF\r\n\x1a\n":
            return None, _iterations(file)
        if not start.startswith(b"PK\3\4"):
            raise ValueError("it is neither a .keras nor a .weights.h5 file")
        try:
            archive = ZipFile(file)
        except Exception:  # A broken archive raises half a dozen kinds.
            raise ValueError("it isn't a whole .keras file") from None
        with archive:
            config = _config(archive)
            return config, _iterations(_member(archive, file, "model.weights.h5"))


def _config(archive: ZipFile) -> Any:
    """The optimizer's config in the model's."""
    text = _read(archive, "config.json", MAX_CONFIG)
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its config.json isn't JSON") from None
    compiled = model.get("compile_config") if isinstance(model, dict) else None
    if not isinstance(compiled, dict) or not compiled.get("optimizer"):
        raise ValueError("the model in it wasn't compiled, so it has no optimizer")
    return compiled["optimizer"]


def _read(archive: ZipFile, member: str, limit: int) -> bytes:
    with _opened(archive, member) as file:
        try:
            data = file.read(limit + 1)
        except Exception:
            raise ValueError(f"its {member} is damaged") from None
    if len(data) > limit:
        raise ValueError(f"its {member} has more than {limit} bytes")
    return data


def _opened(archive: ZipFile, member: str) -> Any:
    try:
        info = archive.getinfo(member)
        # Keras doesn't compress; a compressed member may be a thousand times as large in memory.
        if info.compress_type == ZIP_STORED:
            return archive.open(info)
    except KeyError:
        raise ValueError(f"there is no {member} in it") from None
    except Exception:
        raise ValueError(f"its {member} is damaged") from None
    raise ValueError(f"its {member} is compressed")


def _member(archive: ZipFile, file: BinaryIO, member: str) -> BinaryIO:
    """Open a member in place: it may have gigabytes, of which a small part is read."""
    with _opened(archive, member) as whole:
        try:
            while whole.read(2**20):  # At the end, its checksum is compared.
                pass
        except Exception:
            raise ValueError(f"its {member} is damaged") from None
    info = archive.getinfo(member)
    file.seek(info.header_offset)
    name, extra = struct.unpack("<HH", file.read(30)[26:])
    return _Part(file, info.header_offset + 30 + name + extra, info.file_size)  # type: ignore[return-value]


class _Part(RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _iterations(file: BinaryIO) -> list[int]:
    try:
        with h5py.File(file, "r") as weights:
            groups = list(_optimizers(_child(weights, "optimizer")))
            return [_count(_child(_child(group, "vars"), "0")) for group in groups]
    except _Fault as error:
        raise ValueError(str(error)) from None
    except Exception:  # h5py raises many types, with many lines.
        raise ValueError("its weights aren't a whole HDF5 file") from None


class _Fault(Exception):
    """A fault in a complete HDF5 file, as opposed to an error of h5py."""


def _optimizers(group: Any) -> Iterator[Any]:
    if not isinstance(group, h5py.Group):
        raise _Fault(STATELESS)
    if "inner_optimizer" in group:  # In a LossScaleOptimizer.
        yield from _optimizers(_child(group, "inner_optimizer"))
    elif "optimizers" in group:  # In a MultiOptimizer.
        inner = _child(group, "optimizers")
        for name in inner:
            yield from _optimizers(_child(inner, name))
    else:
        yield group


def _child(group: Any, name: str) -> Any:
    if not isinstance(group, h5py.Group) or name not in group:
        raise _Fault(STATELESS)
    # Keras writes no links, least of all to other files.
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _Fault(f"its {name!r} is a link to elsewhere")
    return group[name]


def _count(dataset: Any) -> int:
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.shape != ()
        or dataset.dtype.kind not in "iu"
        or dataset.external is not None
    ):
        raise _Fault("its optimizer doesn't begin with `iterations`, a whole number")
    return int(np.asarray(dataset[()]))
