"""An optimizer's memory of past gradients as plain arrays, to carry from one framework to another.

    >>> import numpy as np
    >>> moments = Moments("sgd", count=3, slots={"velocity": [np.ones((2, 3)), np.zeros(3)]})
    >>> moments.rearranged(lambda arrays: [arrays[0].T, arrays[1]]).slots["velocity"][0].shape
    (3, 2)

This module needs NumPy, which the rest of the core does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from os import PathLike
from typing import Any, Self
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from clr_core import _files
from clr_core._arguments import integer, one_line, received

SLOTS = {"sgd": ("velocity",), "sgd-keras": ("velocity",), "adam": ("first", "second")}
"""The slots of each kind. With the gradient `g`, the momentum `m` and the rate `lr`:

- "sgd": `velocity = m * velocity + g`, as in torch, optax and `clr_keras.SGD(torch_velocity=True)`.
- "sgd-keras": `velocity = m * velocity - lr * g`, as in Keras. If the rate changes, neither of the
  two velocities can be computed from the other.
- "adam": the running means `first` of `g` and `second` of `g * g`, without the correction of their
  bias, as in Adam, AdamW and RAdam.
"""

FLOATS = ("float16", "float32", "float64")
"""The dtypes of the arrays. NumPy's files keep other ones, such as bfloat16, as untyped bytes."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of all parameters, in the order of the framework that they belong to.

        >>> Moments("sgd", count=3, slots={"velocity": [np.ones(2)]}).slots["velocity"]
        (array([1., 1.]),)

    Args:
        kind: "sgd", "sgd-keras" or "adam"; see `SLOTS`.
        count: The number of updates that the moments contain. Adam's correction of the bias depends
            on it.
        slots: For each name in `SLOTS[kind]`, one float16, float32 or float64 array per parameter,
            of the shape of the parameter.

    Raises:
        TypeError: `count` isn't an integer, or an array has another dtype.
        ValueError: An unknown kind, other slots, slots whose shapes differ, or a negative count.
    """

    kind: str
    count: int
    slots: Mapping[str, Sequence[NDArray[Any]]]

    def __post_init__(self) -> None:
        if self.kind not in SLOTS:
            raise ValueError(
                f"`kind` must be one of {', '.join(map(repr, SLOTS))}. "
                f"{received('kind', self.kind)}"
            )
        if integer("count", self.count) < 0:
            raise ValueError(f"`count` must be at least 0. {received('count', self.count)}")
        if set(self.slots) != set(SLOTS[self.kind]):
            raise ValueError(
                f"`slots` must have {' and '.join(SLOTS[self.kind])}. "
                f"Received: {', '.join(map(str, self.slots))}"
            )
        arrays = {name: tuple(map(np.asarray, self.slots[name])) for name in SLOTS[self.kind]}
        others = {str(array.dtype) for each in arrays.values() for array in each} - set(FLOATS)
        if others:
            raise TypeError(
                f"`slots` must have arrays of {', '.join(FLOATS)}. "
                f"Received: {', '.join(sorted(others))}"
            )
        shapes = {name: [array.shape for array in each] for name, each in arrays.items()}
        if len({str(each) for each in shapes.values()}) > 1:
            raise ValueError(f"`slots` must have the same shapes in each. Received: {shapes}")
        object.__setattr__(self, "slots", arrays)

    def __repr__(self) -> str:
        arrays = [array for each in self.slots.values() for array in each]
        count, numbers = len(arrays) // len(self.slots), sum(array.size for array in arrays)
        slots = " and ".join(self.slots)
        return (
            f"Moments({self.kind!r}, count={self.count}: {slots} of {count} parameters, "
            f"{numbers} numbers, {sum(array.nbytes for array in arrays)} bytes)"
        )

    def rearranged(
        self, function: Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]
    ) -> Self:
        """The moments of the same weights in another framework's order and layout.

        Args:
            function: Turns a list of one framework's weights into the list of the other's: a torch
                `Linear` has the transposed kernel of a Keras `Dense`, and JAX sorts the keys of a
                dict.
        """
        slots = {name: list(function(arrays)) for name, arrays in self.slots.items()}
        return type(self)(self.kind, self.count, slots)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the moments to a file of NumPy, completely or not at all.

        Args:
            path: Ends in .npz.

        Raises:
            TypeError: `path` isn't a path.
            ValueError: `path` has another suffix.
            OSError: The file can't be written. An existing file is unchanged.
        """
        name = _files.file_name(path, (".npz",))
        arrays: dict[str, Any] = {
            f"{slot}/{index}": array
            for slot, each in self.slots.items()
            for index, array in enumerate(each)
        }
        arrays |= {"kind": np.array(self.kind), "count": np.array(self.count)}
        write_arrays(name, arrays)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Read moments from a file that `write` wrote. Nothing in the file is executed.

        Raises:
            TypeError: `path` isn't a path.
            OSError: The file doesn't exist or can't be read.
            ValueError: It holds something else, or is compressed, which `write` never does.
        """
        name = _files.path_name(path)
        try:
            _files.check_regular_file(name)
            stored = _read_arrays(name)
            kind, count = str(stored["kind"]), int(stored["count"])
            slots = {
                slot: [
                    stored[f"{slot}/{index}"]
                    for index in range(sum(key.startswith(f"{slot}/") for key in stored))
                ]
                for slot in SLOTS.get(kind, ())
            }
            return cls(kind, count, slots)
        except OSError:
            raise
        except Exception as error:  # NumPy and zipfile have many kinds for a broken file.
            raise ValueError(f"{name!r} must hold moments as an .npz: {one_line(error)}") from None


def _read_arrays(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file that `write_arrays` wrote, which take no more memory than the file."""
    with ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > os.path.getsize(path):
            raise ValueError("its arrays are larger than the file: it is damaged or compressed")
        return {
            member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members
        }


def _read_array(archive: ZipFile, member: ZipInfo) -> NDArray[Any]:
    with archive.open(member) as data:
        # NumPy would allocate what the header claims before it reads anything. The other versions
        # of the header are for dtypes with names.
        np.lib.format.read_magic(data)
        shape, _, dtype = np.lib.format.read_array_header_1_0(data)
        if prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError("an array has fewer bytes than it claims: the file is damaged")
        data.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(data, allow_pickle=False)
        return array


def write_arrays(path: str | PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to a file of NumPy, completely or not at all.

    In contrast to `numpy.savez`, an array may have any name, such as "file".

    Args:
        path: Ends in .npz. `numpy.load(path)` reads the arrays by their names, in this order.
        arrays: The arrays, none of them of objects.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: `path` has another suffix, or an array is of objects.
        OSError: The file can't be written. An existing file is unchanged.
    """
    name = _files.file_name(path, (".npz",))
    data = BytesIO()
    with ZipFile(data, "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    _files.write(name, data.getvalue())


def check_moments(
    moments: object,
    kind: str,
    owner: str,
    shapes: Sequence[Sequence[int]],
    what: str = "parameters",
) -> None:
    """Raise an error unless these are moments that fit into an optimizer.

        >>> check_moments(Moments("sgd", 3, {"velocity": [np.ones(2)]}), "sgd", "an SGD", [(2,)])

    Args:
        moments: The argument to check.
        kind: The optimizer's kind of moments.
        owner: The optimizer in words, for the message.
        shapes: The shapes of its parameters, in order.
        what: The framework's word for these.

    Raises:
        TypeError: `moments` aren't moments.
        ValueError: They are of another kind, or don't have one array of each of the shapes.
    """
    if not isinstance(moments, Moments):
        raise TypeError(f"`moments` must be a clr_core.Moments. {received('moments', moments)}")
    if moments.kind != kind:
        hint = (
            ". Keras's own velocity contains the rate of each update, so that neither velocity can "
            "be computed from the other. clr_keras.SGD has 'sgd' with torch_velocity=True and "
            "'sgd-keras' without"
            if {moments.kind, kind} == {"sgd", "sgd-keras"}
            else ""
        )
        raise ValueError(
            f"`moments` must be of the kind {kind!r} for {owner}. "
            f"{received('kind', moments.kind)}{hint}"
        )
    for slot, arrays in moments.slots.items():
        if len(arrays) != len(shapes):
            raise ValueError(
                f"`moments` must have an array for each of the {len(shapes)} {what}. "
                f"Received: {len(arrays)} in {slot!r}"
            )
        for index, shape in enumerate(map(tuple, shapes)):
            if arrays[index].shape != shape:
                raise ValueError(
                    f"`moments` must have the shape {shape} in array {index}. "
                    f"Received: {arrays[index].shape} in {slot!r}. `moments.rearranged` converts "
                    "arrays of another framework"
                )


def agreed_count(given: int | None, stored: int | None, argument: str) -> int:
    """The number of updates that an optimizer's moments contain: `given`, or what it stores.

        >>> agreed_count(None, 3, "optimizer")
        3

    Args:
        given: The `count` that the user passed, if any.
        stored: Adam's own count; None for SGD, which doesn't count its updates.
        argument: The name of the argument of `to_moments` that holds the optimizer or its state.

    Raises:
        TypeError: `given` isn't an integer.
        ValueError: There is neither, or the two differ.
    """
    count = stored if given is None else integer("count", given)
    if count is None:
        raise ValueError(
            "`count` must be given, since SGD doesn't count its updates: "
            f"to_moments({argument}, count=record.step)"
        )
    if stored not in (None, count):
        raise ValueError(f"`count` must be Adam's, {stored}. {received('count', given)}")
    return count
