"""Read a pickle without importing a name or calling anything that it names.

Python's own unpickler follows the instructions. Where one names a class or a function, or would
build, call or change an object, it gets an inert stand-in, except for the few names that the
caller builds itself.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

MAX_INSTRUCTIONS = 4_000_000
"""The largest number of instructions in a pickle: a list of a million numbers has a million."""

COPIES = 4, 2**16
"""How many times the bytes read so far may be copied, and how many bytes in any case.

A pickle may hand one long text or list to many objects, of which each would copy it.
"""

LONGEST_LINE = 2**16
"""The longest line in bytes: only names, and numbers of the oldest protocol, are written as one."""

Build = Callable[..., Any]


class Damaged(ValueError):
    """A pickle that can't be read, with the reason for the user."""


class Foreign:
    """An inert stand-in for an object whose class isn't built, with what it contained."""

    __slots__ = ("contents", "name")

    def __init__(self, name: str, contents: Mapping[Any, Any] | None = None) -> None:
        self.name = name
        self.contents: dict[Any, Any] = dict(contents or {})

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def build(self, state: Any) -> None:
        """Take in what the object's class would have made of its state."""
        # Of two mappings, the second one is for `__slots__`.
        pair = type(state) is tuple and len(state) == 2
        for part in state if pair else (state,):
            if isinstance(part, dict):
                self.contents.update(part)

    def append(self, item: Any) -> None:
        """Take in an item, as a list of another class or a set does."""
        self.contents[len(self.contents)] = item

    def extend(self, items: list[Any]) -> None:
        """Take in several."""
        self.contents.update(enumerate(items, len(self.contents)))


def mapping(value: object) -> Mapping[Any, Any] | None:
    """A mapping, or the content of an object of an unknown class; None for all else."""
    if isinstance(value, Foreign):
        return value.contents
    return value if isinstance(value, Mapping) else None


class Name:
    """A class or function that a pickle names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


def load(
    file: BinaryIO, size: int, builds: Mapping[str, Build], stored: Callable[[Any], Any]
) -> Any:
    """The object in a pickle, which is read from where the file stands.

    A damaged pickle may raise any exception; `Damaged` has a reason for the user.

    Args:
        file: The file.
        size: The bytes from there to the end of the file.
        builds: For the name of a class or a function, what is called in its place. If it raises an
            error, the object is one that isn't built.
        stored: Returns the object for a persistent id.
    """
    machine = _Machine(_Bounded(file, size), {**PLAIN, **builds}, stored)
    result = machine.load()
    if machine.stack or machine.metastack:
        raise ValueError
    return result


class _Bounded:
    """The rest of a file; a text that claims more bytes than there are is never allocated."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.done = 0
        self._file, self._size = file, size
        self._instructions = 0

    def read(self, size: int) -> bytes:
        if size > self._size - self.done:
            raise EOFError
        self._instructions += size == 1  # Each begins with one byte.
        if self._instructions > MAX_INSTRUCTIONS:
            raise Damaged(f"its pickle has more than {MAX_INSTRUCTIONS} instructions")
        self.done += size
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(min(LONGEST_LINE, self._size - self.done))
        if not line.endswith(b"\n"):
            raise EOFError
        self.done += len(line)
        return line


class _Machine(pickle._Unpickler):
    """Python's unpickler, with other methods for each instruction that could have an effect.

    It is the one that is written in Python: the other one allocates what a pickle claims to need.
    """

    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self, file: _Bounded, builds: Mapping[str, Build], stored: Callable[[Any], Any]
    ) -> None:
        super().__init__(file, encoding="latin-1")
        self._bounded, self._builds, self._stored = file, builds, stored
        self._copied = 0

    def persistent_load(self, pid: Any) -> Any:
        return self._stored(pid)

    def find_class(self, module: str, name: str) -> Name:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        return Name(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        self.append(Name(f"extension {code}"))

    def _instantiate(self, function: Any, arguments: list[Any]) -> None:
        self.append(self._made(function, tuple(arguments)))

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.append(self._made(function, arguments))

    def _new_with_keywords(self) -> None:
        keywords, arguments, kind = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._copies(arguments, keywords)
        made = Foreign(_name_of(kind), dict(enumerate(arguments)))
        made.build(keywords)
        self.append(made)

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        # A subclass of dict or list that is built as a plain one loses its attributes.
        if not isinstance(target, dict | list):
            self._copies(state, *(state if type(state) is tuple and len(state) == 2 else ()))
            target.build(state)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()
        _set(self.stack[-1], items)

    def _new_dict(self) -> None:
        made: dict[Any, Any] = {}
        _set(made, self.pop_mark())
        self.append(made)

    def _new_set(self) -> None:
        self.append(Foreign("set"))

    def _new_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(Foreign("frozenset", dict(enumerate(items))))

    def _new_bytearray(self) -> None:
        (size,) = struct.unpack("<Q", self._bounded.read(8))
        self.append(bytearray(self._bounded.read(size)))

    def _skip_size_of_frame(self) -> None:
        self._bounded.read(8)

    def _copies(self, *values: Any) -> None:
        self._copied += sum(len(each) for each in values if isinstance(each, SIZED))
        times, least = COPIES
        if self._copied > times * self._bounded.done + least:
            raise Damaged("its pickle repeats the same values too often")

    def _made(self, function: Any, arguments: Any) -> Any:
        if type(arguments) is not tuple:
            raise TypeError
        self._copies(arguments, *(arguments if len(arguments) < 20 else ()))
        name = _name_of(function)
        if name in RECONSTRUCTORS and arguments:  # The class is an argument.
            name, arguments = _name_of(arguments[0]), ()
        if name in self._builds:
            try:
                return self._builds[name](*arguments)
            except Damaged:
                raise
            except Exception:  # Written by another version, or by an attacker.
                pass
        return Foreign(name, dict(enumerate(arguments)))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _new_with_keywords,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.ADDITEMS[0]: pickle._Unpickler.dispatch[pickle.APPENDS[0]],
        pickle.DICT[0]: _new_dict,
        pickle.EMPTY_SET[0]: _new_set,
        pickle.FROZENSET[0]: _new_frozenset,
        pickle.BYTEARRAY8[0]: _new_bytearray,
        pickle.FRAME[0]: _skip_size_of_frame,
    }


def _name_of(value: Any) -> str:
    # Something else can't be called by anyone; the object is as unknown as any.
    return value.name if isinstance(value, Name | Foreign) else type(value).__name__


def _set(target: Any, items: list[Any]) -> None:
    entries = target.contents if isinstance(target, Foreign) else target
    if not isinstance(entries, dict) or len(items) % 2:
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        key = key if _is_plain(key) else Foreign(type(key).__name__, {0: key})
        # The arguments of an object are its contents too, under their indices.
        if key in entries and (target is entries or type(key) is str):
            raise Damaged(f"it has the key {key!r:.100} twice in one place")
        entries[key] = value


def _is_plain(key: Any) -> bool:
    """False for a key whose hash an attacker could choose; objects here are equal to themselves."""
    if type(key) is int:
        return abs(key) < 2**60
    return not isinstance(key, tuple | list | dict | set)


def _dict(items: Any = ()) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    pairs = items.items() if isinstance(items, dict) else items
    _set(made, [each for key, value in pairs for each in (key, value)])
    return made


PLAIN: dict[str, Build] = {
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": lambda factory=None, items=(): _dict(items),
    "builtins.dict": _dict,
    "builtins.bytes": lambda: b"",
    "_codecs.encode": lambda text, _: text.encode("latin-1"),
}
"""What is built of the standard library."""
SIZED = (str, bytes, bytearray, list, tuple, dict)
RECONSTRUCTORS = {"copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__"}
