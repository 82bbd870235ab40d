"""The columns of a log with the steps and the rates, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from clr_core._arguments import LARGEST_STEP, listed, received

MAX_BYTES = 2**28  # 256 MiB: some ten million lines.
ROW_NUMBER = "#"
MOST_NAMES = 20  # In a message.

# A name is taken apart into words: `trainer/global_step`, `lr-Adam/pg1`, `learningRate`.
_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+|\d+")
_RATE = {("lr",), ("lrs",), ("learning", "rate"), ("learningrate",)}
# `lr-SGD-momentum` of Lightning, or a boundary in place of the rate.
_NO_RATE = re.compile(
    "momentum|weight|decay|wd|base|max|min|initial|start|end|final|factor|multiplier|scale|loss"
    "|time|finder"
)
_STEP = re.compile("steps?|iters?|iterations?|updates?")
_BESIDE_STEP = re.compile("global|train|training|trainer|optimizer|num|n|total|current")
NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# `[0.0015]`, `tensor(0.0010)`, `np.float64(0.001)`, and a decimal comma.
_WRAPPED = re.compile(rf"\s*[\w.]{{0,20}}[\[(]+\s*({NUMBER}|nan|inf)\s*(?:[\])]|,\s*[a-z]).*")
_DECIMAL_COMMA = re.compile(r"\s*([-+]?\d+),(\d+(?:[eE][-+]?\d+)?)\s*")
_THOUSANDS = re.compile(r"\d{1,3}(?:[, \u202f]\d{3})+")


class Kind(NamedTuple):
    """What a column has: "lr", "step" or "epoch"; and if another column would be likelier to."""

    what: str
    far_fetched: bool = False


def kind_of(name: str) -> Kind | None:
    """What a column with this name has.

    >>> kind_of("train/lr"), kind_of("lr-Adam/pg1"), kind_of("loss")
    (Kind(what='lr', far_fetched=False), Kind(what='lr', far_fetched=True), None)
    """
    if "=" in name:
        return None
    last = _words(re.split(r"[/.:]| - ", name)[-1])
    if last in _RATE:
        return Kind("lr")
    counts = [word for word in last if _STEP.fullmatch(word)]
    if counts and all(word in counts or _BESIDE_STEP.fullmatch(word) for word in last):
        return Kind("step", far_fetched=name == "_step")  # W&B counts its own calls.
    if last in {("epoch",), ("epochs",), ("epoch", "num")}:
        return Kind("epoch")
    words = _words(name)
    named = any(words[i : i + n] in _RATE for n in (1, 2) for i in range(len(words)))
    if named and not any(map(_NO_RATE.fullmatch, words)):
        return Kind("lr", far_fetched=True)
    return None


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))


class Table:
    """The rows of a log that have a rate: of each, what may be the rate, the step or the epoch.

    Args:
        path: The file, for messages.
        lr: The name of the column with the rates, if it was given.
        step: The same of the steps.

    Attributes:
        names: All names, with what their columns have.
        float32: True if the rates are known to be float32 numbers.
        unit: How the place of a row is written: after the file's name, and before a number.
    """

    def __init__(self, path: Path, *, lr: str | None, step: str | None) -> None:
        self.path, self.float32, self.unit = path, False, ":"
        self._given = {"lr": _tidy(lr), "step": _tidy(step)}
        self.names: dict[str, Kind | None] = {}
        self._tidied: dict[str, str] = {}
        self._places: list[int] = []
        self._columns: dict[str, list[Any]] = {}

    def kind(self, name: str) -> Kind | None:
        """What the column has; a given name settles it."""
        if name not in self._tidied:
            self._tidied[name] = tidy = _tidy(name)
            kind = kind_of(tidy)
            for what, given in self._given.items():
                if given == tidy:
                    kind = Kind(what)
                elif given is not None and kind is not None and kind.what == what:
                    kind = None
            self.names[tidy] = kind
        return self.names[self._tidied[name]]

    def forget(self) -> None:
        """Forget the names."""
        self.names.clear()
        self._tidied.clear()

    def has_rates(self, names: Iterable[str]) -> bool:
        """True if one of the names is that of a column with rates."""
        kinds = list(map(self.kind, names))
        return any(kind is not None and kind.what == "lr" for kind in kinds)

    def add(self, place: int, row: Mapping[str, Any]) -> None:
        """Add a row, unless it has no rate."""
        cells, rated = [], False
        for name, value in row.items():
            kind = self.kind(name)
            if kind is not None and value is not None and value != "":
                cells.append((self._tidied[name], value))
                rated = rated or kind.what == "lr"
        if rated:
            for name, value in cells:
                column = self._columns.setdefault(name, [])
                column.extend([None] * (len(self._places) - len(column)))
                column.append(value)
            self._places.append(place)

    def __len__(self) -> int:
        return len(self._places)

    def error(self, place: int, text: str) -> ValueError:
        """An error in a row."""
        return ValueError(f"{self.path}{self.unit}{place}: {text}")

    def chosen(self, *, per_epoch: bool) -> tuple[list[int], list[str]]:
        """The steps and the rates, as text."""
        for column in self._columns.values():
            column.extend([None] * (len(self._places) - len(column)))
        rate = self._the_one("lr", "the rates", range(len(self)))
        rates = self._columns.get(rate, [])
        rows = [i for i, value in enumerate(rates) if value is not None]
        if not rows:
            raise ValueError(
                f"{self.path} must contain at least one rate; its column {rate!r} is empty"
            )
        if per_epoch and _has(self.names, "epoch") and self._given["step"] is None:
            step = self._the_one("epoch", "the epochs", rows)
        elif self._given["step"] == ROW_NUMBER or (per_epoch and not _has(self.names, "step")):
            step = ROW_NUMBER
        else:
            step = self._the_one("step", "the steps", rows)
        if step == ROW_NUMBER:
            steps = list(range(len(rows)))
        else:
            values = self._columns.get(step) or [None] * len(self)
            steps = [_step(self, self._places[i], step, values[i]) for i in rows]
            self._check_order(step, steps, rows)
        return steps, [_rate(self, self._places[i], rate, rates[i]) for i in rows]

    def _the_one(self, what: str, words: str, rows: Iterable[int]) -> str:
        """The column to read: the given one, or the only one with such a name."""
        given = self._given.get(what)
        if given is not None and given not in self.names:
            raise ValueError(
                f"{self.path} has no column {listed([given])}. It has: {self._names()}"
            )
        found = _has(self.names, what)
        if not found:
            raise ValueError(
                f"{self.path} must have a column with {words}. It has: {self._names()}. "
                f"Name the one with `{what}=`{self._hint(what)}."
            )
        found = [name for name in found if self.names[name] == Kind(what)] or found
        first, *others = [name for name in found if name in self._columns] or found[:1]
        differ = [
            name
            for name in others
            if any(self._columns[name][i] != self._columns[first][i] for i in rows)
        ]
        if differ:
            raise ValueError(
                f"{self.path} has several columns that could be meant: {listed([first, *differ])}. "
                f"Name the one with `{what}=`."
            )
        return first

    def _names(self) -> str:
        return listed(self.names, MOST_NAMES) or "none"

    def _hint(self, what: str) -> str:
        if what != "step":
            return ""
        epochs = _has(self.names, "epoch")
        if epochs:
            return (
                f"; or, if {epochs[0]!r} numbers the epochs, of which each has a line, "
                "use `per_epoch=True` here and `steps_per_epoch=` in `verify`"
            )
        return ", or number the rows from 0 with `step='#'`"

    def _check_order(self, step: str, steps: list[int], rows: list[int]) -> None:
        """Refuse steps that start over in each epoch, which aren't updates since the start."""
        epochs = next(
            (self._columns[name] for name in _has(self.names, "epoch") if name in self._columns),
            None,
        )
        if epochs is None or step in _has(self.names, "epoch"):
            return
        known = []
        for i, here in zip(rows, steps, strict=True):
            with suppress(TypeError, ValueError):
                known.append((here, float(epochs[i]), i))
        for before, now in pairwise(known):
            if now[0] < before[0] and now[1] > before[1]:
                raise self.error(
                    self._places[now[2]],
                    f"{step!r} must count the updates since the start of training. "
                    "Received: it starts over in each epoch",
                )


def _has(names: Mapping[str, Kind | None], what: str) -> list[str]:
    return [name for name, kind in names.items() if kind is not None and kind.what == what]


def _tidy(name: str | None) -> Any:
    # Some tools pad the names of their columns.
    return name and " ".join(name.split())


def _step(table: Table, place: int, name: str, value: object) -> int:
    text = str(value).strip()
    try:
        if _THOUSANDS.fullmatch(text):
            text = re.sub(r"\D", "", text)
        number = float(text)
        # Tables with gaps write 1200 as "1200.0".
        if number.is_integer() and abs(number) <= LARGEST_STEP:
            return int(number)
    except ValueError:
        pass
    raise table.error(place, f"{listed([name])} must be an integer. {received(name, value)}")


def _rate(table: Table, place: int, name: str, value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    try:
        float(text)
        return text
    except ValueError:
        pass
    wrapped, comma = _WRAPPED.fullmatch(text), _DECIMAL_COMMA.fullmatch(text)
    if wrapped:
        return wrapped[1]
    if comma:
        return f"{comma[1]}.{comma[2]}"
    raise table.error(place, f"{listed([name])} must be a number. {received(name, value)}")
