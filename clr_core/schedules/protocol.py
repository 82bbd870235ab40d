"""What a schedule of any kind has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, overload

from clr_core._arguments import positive_number
from clr_core.ops import Ops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Schedule(Protocol):
    """A function from a step to a rate: immutable, hashable, plain data, without state.

    Adapters and records use `lr`, `momentum` and `to_dict`, and
    `clr_core.schedules.schedule_from_dict`, which looks up the class in the table `KINDS` and calls
    its `from_dict`. Pictures, comparisons and `clr_core.verify` use `turns` and `levels` as well.
    Nothing else is asked of a schedule. It may have more, and None counts as nothing:

    - `cycle_size`, if its cycles repeat: the steps in one. A picture shows three by default.
    - `total_steps`, if it ends: the steps until then. A picture ends there, and so does the
      schedule in a sequence if no other step is given.
    - `lowest_lr`: a float below which no rate lies, unless it is 0. JAX then rounds faster.
    - `rescaled(factor)`: the same curve in `factor` times as many steps, for `Record.rescaled`.

    Its `__reduce__` should return `(schedule_from_dict, (self.to_dict(strict=False),))`, so that
    unpicklers that trust only named functions can load it.
    """

    @overload
    def lr(self, step: int) -> float: ...
    @overload
    def lr(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
    @overload
    def lr(self, step: Any, ops: Ops) -> Any: ...
    def lr(self, step: Any, ops: Ops | None = None) -> Any:
        """The learning rate for the update that `step` updates came before.

        Args:
            step: An int from 0 to 2**53 or a NumPy integer array. With `ops`: a float64 array of
                that library, holding whole numbers from 0.
            ops: The primitives of the array library to compute with.

        Returns:
            A float, or a float64 array of the shape of `step`.
        """

    @overload
    def momentum(self, step: int) -> float | None: ...
    @overload
    def momentum(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None: ...
    @overload
    def momentum(self, step: Any, ops: Ops) -> Any: ...
    def momentum(self, step: Any, ops: Ops | None = None) -> Any:
        """The momentum for that update; None if the schedule has no momentum."""

    def to_dict(self, *, strict: bool = True) -> dict[str, Any]:
        """The schedule as plain data, with its "kind".

        A key that ends in "momentum" sets a momentum; it is None in a schedule without one. A
        Python callable is a TypeError if `strict`, and otherwise stays in the dict as it is.
        """

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build the schedule from what `to_dict` returned.

        Which keys may be left out is up to the kind. `clr_core.schedules.check_keys` refuses those
        that it doesn't know.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: Anything else is wrong with the document.
        """

    def turns(self, first: int, last: int) -> Iterator[int]:
        """Steps from `first` to `last`, both included, in order.

        Between two neighbours the rate only rises or only falls. Yields one at a time, since `last`
        may be 2**53, of which a caller takes the first few: a list of all may not fit in memory.
        """

    def levels(self, of: str = "lr") -> dict[str, float]:
        """Named values worth a line in a picture: of the rate, or of the "momentum"."""


def cycle_size_of(schedule: Schedule) -> float | None:
    """The steps in a cycle of a schedule; None: its cycles don't repeat."""
    return _length(schedule, "cycle_size")


def total_steps_of(schedule: Schedule) -> float | None:
    """The steps after which a schedule ends; None: it doesn't, or begins again."""
    return None if cycle_size_of(schedule) is not None else _length(schedule, "total_steps")


def _length(schedule: Schedule, name: str) -> float | None:
    length = getattr(schedule, name, None)
    return None if length is None else positive_number(name, length)
