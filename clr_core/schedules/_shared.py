"""What schedules of every kind of this package share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields

from clr_core import python_ops
from clr_core._arguments import LARGEST_STEP, count, received
from clr_core.schedules import check_keys, kind_of, schedule_from_dict

TYPE_CHECKING = False  # `typing` itself would double the time of `import clr_core`.
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, overload

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from clr_core.ops import Ops
    from clr_core.schedules.protocol import Schedule
    from clr_core.schedules.sequence import SequenceSchedule


class Described:
    """A schedule that is a dataclass of plain data, with `to_dict` and `_value`."""

    if TYPE_CHECKING:
        KIND: ClassVar[str]
        _has_momentum: bool

        def to_dict(self, *, strict: bool = True) -> dict[str, Any]: ...

        def _value(self, name: str, step: Any, ops: Ops) -> Any:
            """The "lr" or the "momentum" at a step that is a float64 array of `ops`."""

    if TYPE_CHECKING:

        @overload
        def lr(self, step: int) -> float: ...
        @overload
        def lr(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
        @overload
        def lr(self, step: Any, ops: Ops) -> Any: ...

    def lr(self, step: Any, ops: Ops | None = None) -> Any:
        """The learning rate for the update that `step` updates came before.

        Args:
            step: An int from 0 to 2**53, or a NumPy integer array of any shape. With `ops`: a
                float64 array of that library, whole numbers from 0.
            ops: The array library to compute with, for adapters.

        Returns:
            A float; for an array, a float64 array of the same shape.

        Raises:
            TypeError: `step` isn't an integer.
            ValueError: `step` is below 0 or above 2**53.
        """
        return self._at("lr", step, ops)

    if TYPE_CHECKING:

        @overload
        def momentum(self, step: int) -> float | None: ...
        @overload
        def momentum(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None: ...
        @overload
        def momentum(self, step: Any, ops: Ops) -> Any: ...

    def momentum(self, step: Any, ops: Ops | None = None) -> Any:
        """The momentum for that update; None if the schedule has none.

        Takes, returns and raises the same as `lr`.
        """
        return self._at("momentum", step, ops) if self._has_momentum else None

    def _at(self, name: str, step: Any, ops: Ops | None) -> Any:
        if ops is None:
            if type(step) is not int or not 0 <= step <= LARGEST_STEP:
                return evaluated(getattr(self, name), step)
            step, ops = float(step), python_ops
        return self._value(name, step, ops)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        # By a named function of plain data, which torch.load and YAML loaders can be told to trust.
        own = type(self).__module__.partition(".")[0] == "clr_core"
        return (schedule_from_dict if own else type(self).from_dict), (self.to_dict(strict=False),)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build a schedule from what `to_dict` returned, or from a hand-written mapping.

        `kind`, and parameters that have a default, may be left out.

        Raises:
            TypeError: Not a mapping, or a value has the wrong type.
            ValueError: Another kind, unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A schedule must be a mapping. {received('document', document)}")
        kind = document.get("kind", cls.KIND)
        if kind != cls.KIND:
            raise ValueError(f"`kind` must be {cls.KIND!r}. {received('kind', kind)}")
        known = [each for each in fields(cls) if each.init]  # type: ignore[arg-type]
        needed = [
            each.name
            for each in known
            if each.default is MISSING and each.default_factory is MISSING
        ]
        check_keys("A schedule", document, ("kind", *(each.name for each in known)), needed)
        return cls(**{name: value for name, value in document.items() if name != "kind"})

    def to_json(self) -> str:
        """`to_dict` as JSON in one line; the same text for equal schedules."""
        import json  # Imported here to keep `import clr_core` light.

        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build a schedule from what `to_json` returned.

        Raises:
            TypeError: `text` isn't text.
            ValueError: Malformed JSON, or not a schedule (see `from_dict`).
        """
        from clr_core._parsing import from_json

        if not isinstance(text, str):
            raise TypeError(f"`text` must be a str. {received('text', text)}")
        try:
            return cls.from_dict(from_json(text))
        except (TypeError, ValueError) as error:
            # One type for everything that can be wrong with a document.
            raise ValueError(
                f"`text` must be the JSON of a schedule: {error}. {received('text', text)}"
            ) from None

    def then(self, following: Schedule, at: int | None = None) -> SequenceSchedule:
        """This schedule up to step `at`, and from there on another one, from its own step 0.

            >>> from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
            >>> warm_up = PiecewiseSchedule([Phase(1000, 0.0, 0.001)])
            >>> schedule = warm_up.then(CyclicSchedule(base_lr=0.001, max_lr=0.006))
            >>> schedule.lr(500), schedule.lr(1000), schedule.lr(3000)
            (0.0005, 0.001, 0.006)

        Args:
            following: A schedule of any kind.
            at: Its first step; None: after the last phase of a `PiecewiseSchedule`.

        Raises:
            TypeError: Not a schedule, or not an integer.
            ValueError: `at` isn't positive, or left out where this schedule doesn't end after a
                whole number of steps; or one of both has a momentum and the other doesn't.
        """
        sequence: SequenceSchedule = kind_of("sequence").joined(self, following, at)
        return sequence

    def plot(
        self,
        steps: int | None = None,
        *,
        steps_per_epoch: int | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """Draw the rate between its boundaries, and below it the momentum, if any.

        Needs the extra `plot`.

        Args:
            steps: Draw steps 0 to this one; None: three cycles, or all phases.
            steps_per_epoch: Updates per epoch, for a second axis in epochs.
            ax: Matplotlib axes to draw the rate in, and nothing else; None: a new figure.

        Returns:
            A `matplotlib.figure.Figure`: `schedule.plot().savefig("schedule.png")`.

        Raises:
            ImportError: matplotlib isn't installed.
            TypeError: Not integers.
            ValueError: Not from 1 to 2**53, or a rate too large to be drawn.
        """
        from clr_core.schedules.draw import plot

        return plot(self, steps, steps_per_epoch=steps_per_epoch, ax=ax)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        """A picture of the first cycles, for notebooks."""
        from clr_core.schedules.svg import svg

        return svg(self)  # type: ignore[arg-type]


def evaluated(value: Callable[..., Any], step: Any) -> Any:
    """`value` at a step that isn't an int within the range: an array, or an error."""
    from clr_core.evaluate import evaluate  # Imported here to keep `import clr_core` light.

    return evaluate(value, step)


def each_read(document: Any, key: str, most: int, read: Callable[[Any], object]) -> Any:
    """The document with each mapping in a list read, unless there are more than the kind takes."""
    items = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(items, list | tuple) or len(items) > most:
        return document  # The constructor refuses it.
    return {
        **document,
        key: [read(each) if isinstance(each, Mapping) else each for each in items],
    }


def in_order(first: int, last: int) -> tuple[int, int]:
    """The bounds of `turns` as ints, or an error that names the argument."""
    first, last = count("first", first), count("last", last)
    if first > last:
        raise ValueError(
            f"`first` must not be above `last`. {received('first', first)}, last={last}"
        )
    return first, last
