"""What an optimizer remembers of past gradients, as plain arrays, to hand from host to host.

    >>> import numpy as np
    >>> moments = Moments("sgd", count=3, slots={"velocity": [np.ones((2, 3)), np.zeros(3)]})
    >>> moments.rearranged(lambda arrays: [arrays[0].T, arrays[1]]).slots["velocity"][0].shape
    (3, 2)

It needs NumPy, which the rest of the core does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clr_core import _files
from clr_core._arguments import integer, received

SLOTS = {"sgd": ("velocity",), "sgd-keras": ("velocity",), "adam": ("first", "second")}
"""What each kind remembers. With `g` the gradient, `m` the momentum, `lr` the rate:

- "sgd": `velocity = m * velocity + g`, as in torch, optax and `clr_keras.SGD(torch_velocity=True)`.
- "sgd-keras": `velocity = m * velocity - lr * g`, as in Keras. Where the rate changes, neither can
  be computed from the other.
- "adam": the means `first` of `g` and `second` of `g * g`, not corrected for their bias. Adam,
  AdamW and RAdam are at one here.
"""

FLOATS = ("float16", "float32", "float64")
"""Beyond these, such as bfloat16, a file of NumPy keeps bytes without a type."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of all parameters, in the order that the host has them in.

    Args:
        kind: "sgd", "sgd-keras" or "adam"; see `SLOTS`.
        count: How many gradients are in them. Adam's correction of the bias depends on it.
        slots: For each name in `SLOTS[kind]` one float array per parameter, of its shape.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: Another kind or other slots, slots that differ in their shapes, or a negative
            count.
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

    def rearranged(
        self, function: Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]
    ) -> Self:
        """The moments of the same weights in another host's order and layout.

        `function` is what turns a list of the weights of one host into that of the other: a torch
        `Linear` has its weight transposed to a Keras `Dense`, a JAX dict sorts its keys.
        """
        slots = {name: list(function(arrays)) for name, arrays in self.slots.items()}
        return type(self)(self.kind, self.count, slots)

    def write(self, path: str | PathLike[str]) -> None:
        """Writes a file of NumPy, all of it or nothing.

        Args:
            path: Ends in .npz.

        Raises:
            TypeError: `path` isn't a path.
            ValueError: Another suffix.
            OSError: The file can't be written. What was there is as it was.
        """
        name = _files.file_name(path, (".npz",))
        arrays = {
            f"{slot}/{index}": array
            for slot, each in self.slots.items()
            for index, array in enumerate(each)
        }
        data = BytesIO()
        arrays |= {"kind": np.array(self.kind), "count": np.array(self.count)}
        np.savez(data, allow_pickle=False, **arrays)
        _files.write(name, data.getvalue())

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """The moments that `write` wrote. Nothing in the file is executed.

        Raises:
            OSError: The file isn't there or can't be read.
            ValueError: It holds something else.
        """
        try:
            # NumPy would leave a file open that it can't read.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                kind, count = str(stored["kind"]), int(stored["count"])
                slots = {
                    name: [
                        stored[f"{name}/{index}"]
                        for index in range(sum(key.startswith(f"{name}/") for key in stored.files))
                    ]
                    for name in SLOTS.get(kind, ())
                }
                return cls(kind, count, slots)
        except (BadZipFile, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{str(path)!r} must be moments as an .npz: {error}") from None


def check_shapes(
    slot: str,
    arrays: Sequence[NDArray[Any]],
    places: Sequence[Any],
    shape: Callable[[Any], Any] = lambda place: place.shape,
    what: str = "parameters",
) -> None:
    """Raises a ValueError unless the arrays of a slot fit into `places` of an optimizer.

    Args:
        slot: The name of the slot.
        arrays: Its arrays.
        places: What they go into, in the same order.
        shape: The shape of one of these.
        what: The host's word for them.
    """
    if len(arrays) != len(places):
        raise ValueError(
            f"`moments` must have an array for each of the {len(places)} {what}. "
            f"Received: {len(arrays)} in {slot!r}"
        )
    for index, (array, place) in enumerate(zip(arrays, places, strict=True)):
        expected = tuple(shape(place))
        if array.shape != expected:
            raise ValueError(
                f"`moments` must have the shape {expected} in array {index}. "
                f"Received: {array.shape} in {slot!r}. `moments.rearranged` turns the arrays of "
                "another framework into those of this one"
            )
