"""Read what `torch.save` wrote, without running any of it, and find a scheduler's state in it."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO, TypeVar
from zipfile import ZIP_STORED, ZipFile

from clr_core.adapter import check_regular_file, received
from clr_torch import _schedulers, foreign
from clr_torch._tensors import BUILDS, Storage, storage_type
from clr_torch._unpickler import Build, Damaged, Foreign, Name, load, mapping
from clr_torch.state import COUNTS

DEPTH = 8
"""How many keys may lead to a scheduler's state in a checkpoint."""

MAX_PICKLE = 2**28
"""The largest pickle in an archive that is read, in bytes."""

MAGIC = 0x1950A86A20F9469CFC6C
"""The first object in a file of `torch.save` from before torch 1.6."""

MANY = 20
"""How many places an error names."""

Path = tuple[object, ...]
"""Keys and indices that lead to a value in nested mappings and lists."""

T = TypeVar("T")


def read(name: str) -> Any:
    """The content of a file that `torch.save` wrote, with its tensors left on disk.

    Nothing in the file is run, and no name in it is imported. `Foreign` stands in for an object of
    an unknown class, and `Stored` for a tensor.

    Raises:
        OSError: There is no such file, or it can't be read.
        ValueError: It isn't such a file, or it is damaged.
    """
    check_regular_file(name)
    try:
        with open(name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(4) != b"PK\3\4":
                file.seek(0)
                return _of_stream(lambda: open(name, "rb"), file, size, PLAIN | NESTED)
        return _of_archive(ZipFile(name), size)
    except (OSError, Damaged):
        raise
    except Exception:  # A broken file raises a dozen kinds, from KeyError to RecursionError.
        raise ValueError("it isn't a whole file from `torch.save`") from None


def _of_archive(archive: ZipFile, size: int) -> Any:
    """The content of an archive, which is open as long as anything refers to its tensors."""
    members, names = archive.infolist(), Counter(archive.namelist())
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise Damaged(f"it has {twice[0]!r:.100} in it twice")
    starts = [*sorted(each.header_offset for each in members), size]
    ends = sorted(each.header_offset + each.compress_size for each in members)
    if starts[0] < 0 or any(end > start for end, start in zip(ends, starts[1:], strict=True)):
        raise Damaged("its parts overlap")
    if not any(each.CRC for each in members):  # Torch can leave the checksums out.
        for each in members:
            each.CRC = None  # type: ignore[assignment]

    def content(member: str) -> bytearray:
        if member not in names:
            raise Damaged(f"it has no {member} in it")
        info = archive.getinfo(member)
        plain = info.compress_type == ZIP_STORED and not info.flag_bits & 1
        if not plain or info.compress_size != info.file_size:
            raise Damaged("it is compressed, which torch.save never does")
        try:
            return bytearray(archive.read(info))
        except OSError:
            raise
        except Exception:  # Of zipfile and zlib, for all that a directory can say.
            raise Damaged(f"its {member} is damaged: it doesn't match its checksum") from None

    (pickled,) = (each for each in names if each.count("/") == 1 and each.endswith("/data.pkl"))
    root = pickled.removesuffix("data.pkl")
    if f"{root}constants.pkl" in names:
        raise Damaged("it is a TorchScript archive, which holds a program; save a state dict")
    if archive.getinfo(pickled).file_size > MAX_PICKLE:
        raise Damaged(f"its {pickled} has more than {MAX_PICKLE} bytes")
    order = f"{root}byteorder"
    big_endian = order in names and content(order) == b"big"
    storages = _Storages(lambda key: content(f"{root}data/{key}"), big_endian)
    data = content(pickled)
    return load(BytesIO(data), len(data), PLAIN, storages.at)


class _Storages:
    """The storages that a pickle names, each made once."""

    def __init__(self, read: Callable[[str], bytearray], big_endian: bool = False) -> None:
        self.big_endian = big_endian
        self.made: dict[str, Storage] = {}
        self._read = read

    def at(self, number: Any) -> Storage | Foreign:
        """The storage for a persistent id, of whose parts one says how many numbers it has."""
        mark, kind, key, *_ = number
        dtype = storage_type(kind)
        if mark != "storage" or type(key) is not str or dtype is None:
            return Foreign("storage")
        if key not in self.made:
            self.made[key] = Storage(lambda: self._read(key), dtype, big_endian=self.big_endian)
        if self.made[key].dtype != dtype:
            raise Damaged(f"its storage {key!r:.100} has two types")
        return self.made[key]


def _of_stream(
    opened: Callable[[], BinaryIO], file: BinaryIO, size: int, builds: Mapping[str, Build]
) -> Any:
    """The content of a file from before torch 1.6, or of a pickle alone. Neither has checksums."""

    def data(key: str) -> bytearray:
        if key not in places:
            raise Damaged(f"it has no numbers for the storage {key!r:.100}")
        start, length = places[key]
        with opened() as again:
            again.seek(start)
            return bytearray(again.read(length))

    def following() -> Any:
        return load(file, size - file.tell(), builds, storages.at)

    places: dict[str, tuple[int, int]] = {}
    storages = _Storages(data)
    first = following()
    if type(first) is not int or first != MAGIC:
        if file.read(1):
            raise EOFError
        return first
    _, system = following(), following()
    storages.big_endian = system["little_endian"] is False
    root, keys = following(), following()
    for key in keys:
        (count,) = struct.unpack(">q" if storages.big_endian else "<q", file.read(8))
        start, length = file.tell(), count * storages.made[key].dtype.itemsize
        if key in places or not start <= start + length <= size:
            raise EOFError
        places[key] = start, length
        file.seek(start + length)
    return root


def _nested(data: bytes) -> Any:
    """A storage in a pickle that `torch.save` didn't write."""
    return _of_stream(lambda: BytesIO(data), BytesIO(data), len(data), PLAIN)


NESTED: dict[str, Build] = {"torch.storage._load_from_bytes": _nested}


def _schedule(document: dict[str, Any]) -> dict[str, Any]:
    """A schedule in a pickle as plain data, with a note in place of a callable."""
    return {
        name: {"callable": value} if isinstance(value, Name | Foreign) else value
        for name, value in document.items()
    }


PLAIN: dict[str, Build] = {**BUILDS, "clr_core.schedules.schedule_from_dict": _schedule}


def find(tree: object, key: str | None = None) -> Mapping[str, Any]:
    """The state of a scheduler in nested mappings and lists.

    The `key` leads to it. Without one, there must be only one state of a cyclical scheduler, or
    else one of another scheduler that is read.
    """
    found = list(within(tree, _is_scheduler))
    if key is not None and "_schedulers" in key.split("."):
        found = list(within(tree, lambda state: _is_cyclic(state) or _is_single(state)))
    places = [(place, state) for place, state in found if _is_cyclic(state)]
    others = [(place, state) for place, state in found if _schedulers.kind_of(state)]
    places = places if places and key is None else [*places, *others]
    if not places:
        unread = "".join(
            f". Another scheduler's{f' at {place!r}' if place else ''}: {', '.join(map(str, keys))}"
            for place, keys in found[:MANY]
        )
        hint = _schedulers.OF_A_FUNCTION if any("lr_lambdas" in each for _, each in found) else ""
        raise ValueError(
            "There must be a state of clr_torch's ScheduledLR or CyclicLR, or of torch's CyclicLR, "
            f"{_schedulers.NAMES}. Received: {described(tree)}{unread}{hint}"
        )
    if key is None and all("_schedulers" in place.split(".") for place, _ in places):
        raise ValueError(
            "A scheduler inside another one can't be carried together with the other one's work. "
            f"To continue with it alone, pass key={places[0][0]!r}."
        )
    _, state = choose(places, key, "state")
    return _of_object(state) if "_set_at" in state else state


def _of_object(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a scheduler of this package that was pickled whole."""
    try:
        schedules = [dict(each) for each in attributes["_schedules"]]
        for name, values in attributes["_lists"].items():
            for schedule, value in zip(schedules, values, strict=True):
                schedule[name] = value
        kept = {name: attributes[name] for name in COUNTS}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("its scheduler was pickled whole and lacks attributes") from None
    applied = attributes["_set_at"] == attributes["last_epoch"]
    return {**kept, "schedules": schedules, "applied": applied}


def choose(found: Sequence[tuple[str, T]], key: str | None, what: str) -> tuple[str, T]:
    """The place that `key` names, or the only one, with what is there."""
    named = ", ".join(repr(place) for place, _ in found[:MANY])
    places = [(place, value) for place, value in found if key in (None, place)]
    if not places:
        raise ValueError(f"`key` must be one of {named}. {received('key', key)}")
    if len(places) > 1:
        rule = "or a `key` to choose" if key is None else f"of the name {key!r:.100}"
        raise ValueError(f"There must be one {what}, {rule}. Received: {named}")
    return places[0]


def within(
    tree: object, wanted: Callable[[Mapping[Any, Any]], bool]
) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """The outermost mappings that are wanted, with the keys that lead to them joined by dots."""
    seen: set[int] = set()  # A pickle may repeat a list many times, or put it into itself.
    level: list[tuple[Path, object]] = [((), tree)]
    for _ in range(DEPTH):
        inner: list[tuple[Path, object]] = []
        for path, each in level:
            if id(each) in seen:
                continue
            seen.add(id(each))
            node = mapping(each)
            if node is not None and wanted(node):
                yield ".".join(map(str, path)), node
            elif node is not None or isinstance(each, list | tuple):
                items: Any = enumerate(each) if node is None else node.items()  # type: ignore[arg-type]
                inner += [((*path, key), value) for key, value in items if _has_parts(value)]
        level = inner


def described(tree: object) -> str:
    """What a file holds in which nothing was found."""
    if isinstance(tree, Foreign):
        return f"none, but an object of {tree.name:.100}, which isn't plain data and wasn't run"
    return "none"


def _has_parts(value: object) -> bool:
    return isinstance(value, Mapping | Foreign | list | tuple)


def _is_scheduler(state: Mapping[str, Any]) -> bool:
    return _is_cyclic(state) or _is_single(state) or _schedulers.kind_of(state) is not None


def _is_single(state: Mapping[str, Any]) -> bool:
    return "_step_count" in state and "_schedulers" not in state


def _is_cyclic(state: Mapping[str, Any]) -> bool:
    ours = {"schedules", "last_epoch"} <= state.keys() or {"_schedules", "_set_at"} <= state.keys()
    return foreign.is_one(state) or ours
