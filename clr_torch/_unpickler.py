"""Read a pickle without importing a name or calling anything that it names.

`pickletools` splits the file into its instructions, and the machine below follows them with plain
data alone. Where a pickle names a class or a function, an inert stand-in takes the place of what it
would build, except for the few names that the caller builds itself.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

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
    """The object in a pickle.

    Args:
        file: It is read from where it stands, to the end of the pickle.
        size: The bytes from there to the end of the file.
        builds: For the name of a class or a function, what is called in its place. If it raises an
            error, the object is one that isn't built.
        stored: Returns the object for a persistent id.

    Raises:
        Damaged: The pickle needs too much, or contradicts itself.
        Exception: Any other one for a pickle that is damaged.
    """
    return _Machine(_Bounded(file, size), {**PLAIN, **builds}, stored).run()


class _Bounded:
    """The rest of a file; a text that claims more bytes than there are is never allocated."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.done = 0
        self._file, self._size = file, size

    def read(self, size: int) -> bytes:
        if size > self._size - self.done:
            raise EOFError
        self.done += size
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(min(LONGEST_LINE, self._size - self.done))
        self.done += len(line)
        return line


class _Machine:
    def __init__(
        self, file: _Bounded, builds: Mapping[str, Build], stored: Callable[[Any], Any]
    ) -> None:
        self._file, self._builds, self._stored = file, builds, stored
        self._copied = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        instructions: Iterator[Any] = pickletools.genops(self._file)  # type: ignore[arg-type]
        stack = self._stack
        for index, (opcode, argument, _) in enumerate(instructions):
            if index == MAX_INSTRUCTIONS:
                raise Damaged(f"its pickle has more than {MAX_INSTRUCTIONS} instructions")
            name = opcode.name
            if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            elif name in NEW:
                stack.append(NEW[name]())
            elif name in LITERALS:
                stack.append(argument)
            elif name not in IGNORED:
                INSTRUCTIONS[name](self, argument)
        (result,) = stack
        return result

    def _pop(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise IndexError
        return self._stack.pop()

    def _top(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise IndexError
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def pop_mark(self, _: Any) -> None:
        self._since_mark()

    def duplicate(self, _: Any) -> None:
        self._stack.append(self._top())

    def get(self, place: int) -> None:
        self._stack.append(self._memo[int(place)])

    def put(self, place: int) -> None:
        self._memo[int(place)] = self._top()

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def list_(self, _: Any) -> None:
        self._stack.append(self._since_mark())

    def tuple_(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def tuple_of(self, size: int) -> None:
        items = [self._pop() for _ in range(size)]
        self._stack.append(tuple(reversed(items)))

    def dict_(self, _: Any) -> None:
        made: dict[Any, Any] = {}
        _set(made, self._since_mark())
        self._stack.append(made)

    def frozenset_(self, _: Any) -> None:
        self._stack.append(Foreign("frozenset", dict(enumerate(self._since_mark()))))

    def append(self, _: Any) -> None:
        item = self._pop()
        _extend(self._top(), [item])

    def extend(self, _: Any) -> None:
        items = self._since_mark()
        _extend(self._top(), items)

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        _set(self._top(), [key, value])

    def set_items(self, _: Any) -> None:
        items = self._since_mark()
        _set(self._top(), items)

    def name(self, argument: str) -> None:
        self._stack.append(Name(_named(*argument.split(" ", 1))))

    def name_on_stack(self, _: Any) -> None:
        attribute, module = self._pop(), self._pop()
        self._stack.append(Name(_named(_text(module), _text(attribute))))

    def extension(self, code: int) -> None:
        self._stack.append(Name(f"extension {code}"))

    def persistent(self, argument: Any) -> None:
        self._stack.append(self._stored(argument))

    def persistent_on_stack(self, _: Any) -> None:
        self._stack.append(self._stored(self._pop()))

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._stack.append(self._made(function, arguments))

    def new_with_keywords(self, _: Any) -> None:
        keywords, arguments, kind = self._pop(), self._pop(), self._pop()
        self._copies(arguments, keywords)
        made = Foreign(_name_of(kind), dict(enumerate(arguments)))
        made.build(keywords)
        self._stack.append(made)

    def instance(self, argument: str) -> None:
        arguments = self._since_mark()
        self._stack.append(self._made(Name(_named(*argument.split(" ", 1))), tuple(arguments)))

    def object_(self, _: Any) -> None:
        kind, *arguments = self._since_mark()
        self._stack.append(self._made(kind, tuple(arguments)))

    def build(self, _: Any) -> None:
        state, target = self._pop(), self._top()
        # A subclass of dict or list that is built as a plain one loses its attributes.
        if not isinstance(target, dict | list):
            self._copies(state, *(state if type(state) is tuple and len(state) == 2 else ()))
            target.build(state)

    def _copies(self, *values: Any) -> None:
        self._copied += sum(len(each) for each in values if isinstance(each, SIZED))
        times, least = COPIES
        if self._copied > times * self._file.done + least:
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


def _named(module: str, name: str) -> str:
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    return f"{module}.{name}"


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _name_of(value: Any) -> str:
    # Something else can't be called by anyone; the object is as unknown as any.
    return value.name if isinstance(value, Name | Foreign) else type(value).__name__


def _extend(target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, Foreign):
        start = len(target.contents)
        target.contents.update(enumerate(items, start))
    else:
        raise TypeError


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
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
NEW: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Foreign("set"),
}
IGNORED = {"PROTO", "FRAME", "STOP"}
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    "LIST": _Machine.list_,
    "TUPLE": _Machine.tuple_,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "DICT": _Machine.dict_,
    "FROZENSET": _Machine.frozenset_,
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.extend),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _Machine.extension),
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.persistent_on_stack,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.reduce),
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_,
    "BUILD": _Machine.build,
}
