"""Read what `torch.save` wrote, without running any of it, and find a scheduler's state in it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch

from clr_core.adapter import check_regular_file, received
from clr_torch import foreign

DEPTH = 8
"""How many keys may lead to a scheduler's state in a checkpoint."""

Path = tuple[object, ...]
"""Keys and indices that lead to a value in nested mappings and lists."""


def read(name: str) -> Any:
    """The content of a file that `torch.save` wrote, with its tensors left on disk.

    Raises:
        OSError: There is no such file, or it can't be read.
        ValueError: It isn't such a file, or it contains more than plain data.
    """
    check_regular_file(name)
    with open(name, "rb") as file:
        zipped = file.read(4) == b"PK\3\4"
    try:
        # Compressed data may be a thousand times as large in memory.
        compressed = zipped and _is_compressed(name)
        loaded = None if compressed else _plain_data(name, mmap=zipped)
    except OSError:
        raise
    except Exception as error:  # A broken file raises a dozen kinds, from KeyError to TypeError.
        raise ValueError(_why(error)) from None
    if compressed:
        raise ValueError("it is compressed, which torch.save never does")
    return loaded


def _plain_data(name: str, *, mmap: bool) -> Any:
    # Torch warns about pickle protocols other than its own, and reads them all the same.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(name, map_location="cpu", weights_only=True, mmap=mmap)


def _is_compressed(name: str) -> bool:
    with ZipFile(name) as archive:
        return any(each.compress_type != ZIP_STORED for each in archive.infolist())


def _why(error: Exception) -> str:
    unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
    if unsafe is None:
        return "it isn't a whole file of plain data from `torch.save` with its own pickle protocol"
    return (
        f"it has {unsafe[1]} in it, which isn't plain data and wasn't run. Save the state dict by "
        "itself, or, if you trust that name, read within torch.serialization.safe_globals"
    )


def find(tree: object, key: str | None = None) -> Mapping[str, Any]:
    """The state of a cyclical scheduler in nested mappings and lists.

    Args:
        tree: A state dict, or a checkpoint that contains one.
        key: The keys that lead to the state, joined by dots; None: there must be only one state.

    Raises:
        ValueError: There is no such state, or several and no `key`.
    """
    found = {".".join(map(str, path)): state for path, state in _states(tree)}
    places = {place: state for place, state in found.items() if _is_cyclic(state)}
    named = ", ".join(map(repr, list(places)[:20]))
    if not places:
        others = "".join(
            f". Another scheduler's{f' at {place!r}' if place else ''}: {', '.join(map(str, keys))}"
            for place, keys in found.items()
        )
        raise ValueError(
            f"There must be a state of clr_torch's CyclicLR or of torch's. Received: none{others}"
        )
    if key is not None:
        if key not in places:
            raise ValueError(f"`key` must be one of {named}. {received('key', key)}")
        return places[key]
    if len(places) > 1:
        raise ValueError(f"There must be one state, or a `key` to choose. Received: {named}")
    ((place, state),) = places.items()
    if "_schedulers" in place.split("."):
        raise ValueError(
            "A scheduler inside another one can't be carried together with the other one's work. "
            f"To continue with it alone, pass key={place!r}."
        )
    return state


def _states(tree: object) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The state of each scheduler, cyclical or not, and the way to it; the outermost first."""
    seen: set[int] = set()  # A pickle may repeat a list many times, or put it into itself.
    level: list[tuple[Path, object]] = [((), tree)]
    for _ in range(DEPTH):
        inner: list[tuple[Path, object]] = []
        for path, each in level:
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, Mapping):
                if _is_cyclic(each) or ("_step_count" in each and "_schedulers" not in each):
                    yield path, each
                    continue
                items: Any = each.items()
            else:
                items = enumerate(each)  # type: ignore[arg-type]
            inner += [
                ((*path, key), value)
                for key, value in items
                if isinstance(value, Mapping | list | tuple)
            ]
        level = inner


def _is_cyclic(state: Mapping[str, Any]) -> bool:
    return foreign.is_one(state) or ("schedules" in state and "last_epoch" in state)
