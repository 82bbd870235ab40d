"""Tensors and NumPy arrays that a pickle describes; their numbers are read when asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import prod
from typing import Any

import torch
from torch import Tensor

from clr_torch._unpickler import Build, Damaged, Foreign, Name

STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
}
"""Torch's types of storages, without the "Storage" of their names."""

NUMPY = {
    "f8": torch.float64,
    "f4": torch.float32,
    "f2": torch.float16,
    "b1": torch.bool,
    "i8": torch.int64,
    "i4": torch.int32,
    "i2": torch.int16,
    "i1": torch.int8,
    "u8": torch.uint64,
    "u4": torch.uint32,
    "u2": torch.uint16,
    "u1": torch.uint8,
}
"""NumPy's types."""

QUANTIZED = {
    "QInt8": torch.qint8,
    "QUInt8": torch.quint8,
    "QInt32": torch.qint32,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}
"""The types of storages whose numbers aren't read, but passed over."""

DTYPES = [*STORAGES.values(), *NUMPY.values()]
DTYPES += [getattr(torch, name) for name in dir(torch) if name.startswith("float8_e")]

WITHOUT_ARRAY = {
    "_rebuild_qtensor": "quantized tensor",
    "_rebuild_sparse_tensor": "sparse tensor",
    "_rebuild_meta_tensor_no_storage": "tensor without numbers, on torch's device 'meta'",
    "_rebuild_nested_tensor": "nested tensor",
}


LONGEST = 2**20
"""The largest size of an axis of a tensor that has no numbers."""


class Storage:
    """Numbers in a file, read once and kept."""

    def __init__(
        self, read: Callable[[], bytearray], dtype: torch.dtype, *, big_endian: bool = False
    ) -> None:
        self.dtype = dtype
        self._read, self._big_endian = read, big_endian
        self._numbers: dict[torch.dtype, Tensor] = {}

    def numbers(self, dtype: torch.dtype) -> Tensor:
        """The whole storage as numbers of this type."""
        if dtype not in self._numbers:
            data = self._read()
            del data[len(data) - len(data) % dtype.itemsize :]
            if self._big_endian:
                data.reverse()
            numbers = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            self._numbers[dtype] = numbers.flip(0) if self._big_endian else numbers
        return self._numbers[dtype]


class Stored:
    """A tensor or an array in a file."""

    def __init__(
        self, storage: Storage, offset: int, shape: Any, strides: Any, dtype: Any = None
    ) -> None:
        self.dtype: torch.dtype = storage.dtype if dtype is None else dtype
        self.shape = _sizes(shape)
        self._storage, self._strides, self._offset = storage, _sizes(strides), *_sizes((offset,))
        if len(self.shape) != len(self._strides) or self.dtype not in DTYPES:
            raise TypeError

    def __repr__(self) -> str:
        return f"<tensor of shape {self.shape}>"

    @property
    def size(self) -> int:
        """The number of numbers."""
        return prod(self.shape)

    def tensor(self) -> Tensor:
        """The tensor, on the CPU; it may share its memory with others of the file.

        Raises:
            Damaged: Its numbers aren't all in the file.
        """
        if not self.size:
            if max(self.shape) > LONGEST:  # Torch and NumPy multiply the others.
                raise Damaged(f"a tensor in it has the shape {self.shape}")
            return torch.empty(self.shape, dtype=self.dtype)
        numbers = self._storage.numbers(self.dtype)
        last = self._offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self._strides, strict=True)
        )
        if last >= len(numbers):
            raise Damaged(f"a tensor in it needs {last + 1} numbers, and it has {len(numbers)}")
        return numbers.as_strided(self.shape, self._strides, self._offset)

    def item(self) -> Any:
        """The number of a tensor that has one."""
        return self.tensor().item()


class Unread(Foreign):
    """A tensor that has no array of its numbers, or none that is read here."""


class _Array(Stored):
    """An array of NumPy, which its pickle builds in a second step."""

    def __init__(self, *_: Any) -> None:
        super().__init__(Storage(_no_numbers, torch.uint8), 0, (1,), (1,))

    def build(self, state: Any) -> None:
        with suppress(Exception):  # One of text or objects, or not written by NumPy.
            _, shape, dtype, fortran, data = state
            super().__init__(*_of_bytes(data, dtype, shape, fortran=bool(fortran)))


class _NumpyType:
    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def build(self, state: Any) -> None:
        self.order = state[1]


def _of_bytes(data: Any, dtype: Any, shape: Any, *, fortran: bool) -> tuple[Any, ...]:
    """The arguments of `Stored` for the bytes of an array."""
    if isinstance(data, str):  # From Python 2.
        data = data.encode("latin-1")
    shape = _sizes(shape)
    strides, step = [0] * len(shape), 1
    for axis in range(len(shape)) if fortran else reversed(range(len(shape))):
        strides[axis] = step
        step *= max(shape[axis], 1)
    storage = Storage(lambda: bytearray(data), NUMPY[dtype.code], big_endian=dtype.order == ">")
    return storage, 0, shape, strides


def _no_numbers() -> bytearray:
    raise Damaged("an array in it isn't one of numbers")


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64:
        raise TypeError
    if not all(type(each) is int and 0 <= each < 2**62 for each in values):
        raise ValueError
    return tuple(values)


def _plain(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Stored:
    if any(more[2:3]):
        raise ValueError  # A view that negates or conjugates its numbers.
    return Stored(storage, offset, shape, strides)


def _typed(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Stored:
    dtype = {str(each): each for each in DTYPES}[more[2].name]
    if any(more[3:4]):
        raise ValueError
    return Stored(storage, offset, shape, strides, dtype)


def _of_class(build: Name, kind: Name, arguments: Any, *_: Any) -> Any:
    """A tensor of a subclass: a Parameter is a plain one, a DTensor has no array."""
    name = build.name.removeprefix("torch._utils.")
    if name in TENSORS:
        return TENSORS[name](*arguments)
    return Unread(WITHOUT_ARRAY.get(name, kind.name.rpartition(".")[2]))


def _scalar(dtype: Any, data: Any) -> float | int:
    number: float | int = Stored(*_of_bytes(data, dtype, (), fortran=False)).item()
    return number


TENSORS: dict[str, Build] = {
    "_rebuild_tensor": Stored,
    "_rebuild_tensor_v2": _plain,
    "_rebuild_tensor_v3": _typed,
    **dict.fromkeys(
        (
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_device_tensor_from_numpy",
            "_rebuild_device_tensor_from_cpu_tensor",
        ),
        lambda data, *_: data,
    ),
    **{name: lambda *_, words=words: Unread(words) for name, words in WITHOUT_ARRAY.items()},
}
ARRAYS: dict[str, Build] = {
    "multiarray.scalar": _scalar,
    "multiarray._reconstruct": _Array,
    "numeric._frombuffer": lambda data, dtype, shape, order, *_: Stored(
        *_of_bytes(data, dtype, shape, fortran=order == "F")
    ),
}
BUILDS: dict[str, Build] = {
    **{f"torch._utils.{name}": build for name, build in TENSORS.items()},
    "torch._utils._rebuild_wrapper_subclass": lambda kind, *_: Unread(kind.name.rpartition(".")[2]),
    "torch._tensor._rebuild_from_type_v2": _of_class,
    "torch.Size": lambda sizes: tuple(sizes),
    "numpy.dtype": _NumpyType,
    **{f"numpy.{core}.{name}": ARRAYS[name] for core in ("core", "_core") for name in ARRAYS},
}
"""What is called in place of the functions that build tensors and arrays."""


def storage_type(kind: object) -> torch.dtype | None:
    """The type of a storage's numbers by its class; None: it isn't one of torch."""
    name = kind.name if isinstance(kind, Name) else ""
    module, _, short = name.rpartition(".")
    known = module.partition(".")[0] == "torch"
    return (STORAGES | QUANTIZED).get(short.removesuffix("Storage")) if known else None
