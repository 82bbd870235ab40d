"""What objects hold now, and the way back to that: containers, generators, and what one adds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from clr_core.range_finding._interrupts import uninterrupted
from clr_core.range_finding._random_states import Restore, restore_of

Opened = tuple[Restore | None, Iterable[Any]]
"""What puts a value back, and what is in it to be copied as well."""


class Snapshot:
    """What the given objects hold now, for `restore` to put back as often as one likes.

    Dicts, lists and sets are filled again, in place and however nested, and so the very objects
    that were there are there again; what wasn't is gone.

        >>> state = {"losses": [1, 2]}
        >>> snapshot = Snapshot([state], lambda value: None)
        >>> state["losses"].append(3)
        >>> state["best"] = 1
        >>> snapshot.restore()
        >>> state
        {'losses': [1, 2]}

    Args:
        objects: What is to be put back.
        opened: Says of a value of a framework how it is put back and what is in it; None of any
            other, which stays as it is.
    """

    def __init__(self, objects: Iterable[Any], opened: Callable[[Any], Opened | None]) -> None:
        self._opened = opened
        self._restores: list[Restore] = []
        # Kept as values too, since an id belongs to another object once its own is gone.
        self._seen: dict[int, Any] = {}
        for each in objects:
            self._take(each)

    def restore(self) -> None:
        """Puts everything back; a Ctrl-C waits until that is done."""
        with uninterrupted():
            for restore in self._restores:
                restore()

    def _take(self, value: Any) -> None:
        if isinstance(value, str | bytes | int | float | None) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        restore, inside = self._opened(value) or _opened(value)
        if restore is not None:
            self._restores.append(restore)
        for each in inside:
            self._take(each)


@contextmanager
def restored_loader(loader: Any, aside: tuple[str, ...] = ()) -> Iterator[None]:
    """A loader is afterwards where it was: its generators, its sampler, and its position.

    Its position is its `state_dict`, where it has that and `load_state_dict`. Of its dataset, the
    attributes and generators are put back, but not what they hold in turn, which may be large.

    Args:
        loader: Batches of any kind.
        aside: Attributes that are None meanwhile, where its position is in one of them.
    """
    position = None
    if not aside and hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"):
        position = deepcopy(loader.state_dict())
    sampler = getattr(loader, "batch_sampler", None)
    parts = [loader, getattr(loader, "sampler", None), sampler, getattr(sampler, "sampler", None)]
    restores: list[Restore] = []
    for part in [*parts, getattr(loader, "dataset", None)]:
        if hasattr(part, "__dict__") and not isinstance(part, type):
            attributes = vars(part)
            restores.append(_opened(attributes)[0])  # type: ignore[arg-type]
            restores += filter(None, map(restore_of, attributes.values()))
    for name in aside:
        setattr(loader, name, None)
    try:
        yield
    finally:
        with uninterrupted():
            for restore in restores:
                restore()
            if position is not None:
                loader.load_state_dict(position)


def _opened(value: Any) -> Opened:
    # By its own class, since a proxy such as TensorFlow's says that it is a dict and isn't one. And
    # with the methods of Python's classes: those of a subclass may do more than fill it.
    kind = type(value)
    if issubclass(kind, dict):
        items = dict(value)
        return lambda: _refill_dict(value, items), items.values()
    if issubclass(kind, list | deque):
        elements = list(value)
        return lambda: _refill_list(value, elements), elements
    if issubclass(kind, set):
        members = set(value)
        return lambda: _refill_set(value, members), ()
    if issubclass(kind, tuple):
        return None, value
    return restore_of(value), ()


# Containers that are as they were stay untouched.


def _refill_dict(there: dict[Any, Any], items: dict[Any, Any]) -> None:
    if [*map(id, there)] == [*map(id, items)] and all(there[key] is items[key] for key in items):
        return
    kind = OrderedDict if isinstance(there, OrderedDict) else dict
    kind.clear(there)
    for key, each in items.items():
        kind.__setitem__(there, key, each)


def _refill_list(there: Any, elements: list[Any]) -> None:
    if [*map(id, there)] != [*map(id, elements)]:
        kind = list if isinstance(there, list) else deque
        kind.clear(there)
        kind.extend(there, elements)


def _refill_set(there: set[Any], members: set[Any]) -> None:
    if there != members:
        set.clear(there)
        set.update(there, members)
