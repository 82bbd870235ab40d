"""The portable record: schedules and the current step, as a document and as a file.

    >>> from clr_core import CyclicSchedule
    >>> record = Record(CyclicSchedule(base_lr=0.001, max_lr=0.006), step=1500)
    >>> Record.from_json(record.to_json()) == record
    True

The document is `{"format": "cyclical-lr/1", "schedule": {…}, "step": n}`, where "schedule" may be a
list with one schedule per parameter group. `record.schema.json` describes it. A schedule alone is
read too, also as a part of a larger document, such as the configuration of a training.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from typing import Any, Self

from clr_core import _files, _parsing
from clr_core._arguments import check_schedule, count, listed, received
from clr_core.schedules import check_keys, kind_of, schedule_from_dict
from clr_core.schedules.protocol import Schedule
from clr_core.schedules.rescaling import all_rescaled, as_ratio

FORMAT = "cyclical-lr/1"
MAX_DEPTH = _parsing.MAX_DEPTH - 2  # Of a schedule, which lies in a list in a mapping.
PART = "`Record.read(…, key=…)` reads a part of a document"
MAX_BYTES = 2**20
"""The bytes that the file of a record may have, which suffice for some 2,500 groups."""


def _from_yaml(text: str) -> Any:
    from clr_core.record._yaml import from_yaml  # Needs PyYAML.

    return from_yaml(text)


PARSERS = {
    ".json": _parsing.from_json,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
    ".toml": _parsing.from_toml,
}


@dataclass(frozen=True)
class Record:
    """A schedule, or one per parameter group, and the number of updates done.

    After `step` updates torch's `last_epoch`, Keras's `iterations` and optax's `count` are `step`.

        >>> from clr_core import CyclicSchedule
        >>> Record(CyclicSchedule(base_lr=0.001, max_lr=0.006), step=1500).step
        1500

    Args:
        schedule: A schedule without Python callables, or a tuple or list of at least one.
        step: The number of updates done, from 0 to 2**53.

    Raises:
        TypeError: An argument has the wrong type, or a schedule has a callable as `scale_fn`.
        ValueError: No schedule, a schedule of an unknown kind, or a step out of range.
    """

    schedule: Schedule | tuple[Schedule, ...]
    step: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.schedule, list | tuple):
            object.__setattr__(self, "schedule", tuple(self.schedule))
        _plain(self.schedule)
        object.__setattr__(self, "step", count("step", self.step))

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data, with every parameter of each schedule.

        >>> from clr_core import CyclicSchedule
        >>> list(Record(CyclicSchedule(base_lr=0.001, max_lr=0.006)).to_dict())
        ['format', 'schedule', 'step']
        """
        return {"format": FORMAT, "schedule": _plain(self.schedule), "step": self.step}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build a record from `to_dict()` output or a hand-written mapping; also a schedule alone.

        Keys that are left out get their defaults: 0 for `step`, "cyclic" for a schedule's `kind`,
        and the defaults of that kind's parameters.

            >>> schedule = {"base_lr": 0.001, "max_lr": 0.006}
            >>> record = Record.from_dict({"format": "cyclical-lr/1", "schedule": schedule})
            >>> record.step, record == Record.from_dict(schedule)
            (0, True)

        Raises:
            TypeError: Not a mapping, or a value has the wrong type.
            ValueError: Another format, unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A record must be a mapping. {received('document', document)}")
        if "format" not in document and document.keys() & {"kind", "base_lr", "max_lr"}:
            return cls(schedule_from_dict(document))  # A schedule alone.
        _check_format(document)
        check_keys("A record", document, ("format", "schedule", "step"), ("schedule",))
        return cls(_schedules(document["schedule"]), document.get("step", 0))

    def rescaled(self, factor: float | Fraction, *, round_step: bool = False) -> Self:
        """The record of the same moment in a run with `factor` times as many updates.

        Each schedule is rescaled (see `CyclicSchedule.rescaled`), and so is the step.

            >>> from clr_core import CyclicSchedule
            >>> Record(CyclicSchedule(base_lr=0.001, max_lr=0.006), step=1500).rescaled(0.5).step
            750

        Args:
            factor: Updates of the new run for one of the old: old batch size / new batch size.
            round_step: If the new step isn't whole, round it, with a warning that says by how much
                the curve is shifted.

        Raises:
            TypeError: `factor` isn't a number, or a schedule can't be rescaled.
            ValueError: `factor` isn't positive, a parameter would be out of range, or the new step
                isn't whole and `round_step` isn't set.
        """
        several = isinstance(self.schedule, tuple)
        schedules: Sequence[Any] = self.schedule if several else [self.schedule]  # type: ignore[assignment]
        new = tuple(all_rescaled(schedules, factor))
        exact = self.step * as_ratio(factor)
        step = round(exact)
        if step != exact and not round_step:
            period = as_ratio(factor).denominator
            before = self.step // period * period
            raise ValueError(
                f"`step` must stay whole. {received('step', self.step, factor=factor)}, which give "
                f"{float(exact)!r}. Rescale at step {before} or {before + period}, or set "
                "`round_step`."
            )
        if step != exact:
            warnings.warn(
                f"Step {self.step} is {float(exact)!r} after rescaling, rounded to {step}: the "
                f"curve is shifted by {float(step - exact):+.3g} steps.",
                stacklevel=2,
            )
        return type(self)(new if several else new[0], step)

    def _repr_html_(self) -> str:
        """A picture of the different schedules, with the step that is reached, for notebooks."""
        from clr_core.schedules.svg import html

        schedules = self.schedule if isinstance(self.schedule, tuple) else (self.schedule,)
        groups: dict[Schedule, list[int]] = {}
        for group, schedule in enumerate(schedules):
            groups.setdefault(schedule, []).append(group)
        named = {
            f"group{'s' if len(numbers) > 1 else ''} {listed(numbers)}": schedule
            for schedule, numbers in groups.items()
        }
        return html(named, [f"step {self.step:,}, id {schedule_id(self.schedule)}"], step=self.step)

    def to_json(self) -> str:
        """`to_dict` as indented JSON with a final newline; the same text for equal records."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, key: str | None = None) -> Self:
        """Build a record from `to_json()` output or hand-written JSON (see `from_dict`).

        Args:
            text: The JSON.
            key: The place of the record in a larger document; see `read`.

        Raises:
            TypeError: `text` isn't text.
            ValueError: Malformed JSON, or not a record.
        """
        if not isinstance(text, str):
            raise TypeError(f"`text` must be a str. {received('text', text)}")
        return cls._parsed("`text` must be the JSON of a record", ".json", key, lambda: text)

    @classmethod
    def read(cls, path: str | PathLike[str], *, key: str | None = None) -> Self:
        """Read a record from JSON, YAML or TOML, chosen by suffix; at most a megabyte of UTF-8.

        Nothing in the file is executed. A truncated JSON file is always an error; a truncated YAML
        or TOML file may still be a complete record, since keys that are left out have defaults.

        Args:
            path: Ends in .json, .yaml, .yml or .toml.
            key: The place of a record, a schedule or a list of schedules in the file, such as
                "lr_schedule" or "trainer.groups.0": keys, and numbers in lists, joined by dots.
                None: the whole file.

        Raises:
            TypeError: `path` isn't a path, or `key` isn't text.
            ValueError: Another suffix, or the content isn't a record; or there is nothing at `key`,
                or in two places.
            OSError: The file doesn't exist or can't be read.
            ImportError: It is YAML, and PyYAML isn't installed.
        """
        name = _files.file_name(path, tuple(PARSERS))
        return cls._parsed(
            f"{name!r} must be a record",
            _files.suffix(name),
            key,
            lambda: _files.read_text(name, MAX_BYTES),
        )

    @classmethod
    def _parsed(cls, rule: str, suffix: str, key: str | None, text: Callable[[], str]) -> Self:
        if key is not None and not isinstance(key, str):
            raise TypeError(f"`key` must be text. {received('key', key)}")
        try:
            document = PARSERS[suffix](text())
            if key is None:
                return cls.from_dict(document)
            found = _parsing.at(document, key)
            return cls(_schedules(found)) if isinstance(found, list) else cls.from_dict(found)
        except (TypeError, ValueError) as error:
            # One type for everything that can be wrong with a document.
            place = "" if key is None else f" at {listed([key])}"
            raise ValueError(f"{rule}{place}: {error}") from None

    def write(self, path: str | PathLike[str]) -> None:
        """Write `to_json` to a file, completely or not at all.

        An existing file keeps its permissions, and its content until the new one is complete.

        Args:
            path: Ends in .json.

        Raises:
            TypeError: `path` isn't a path.
            ValueError: Another suffix, or a record so large that `read` would refuse it.
            OSError: The file can't be written. An existing file is unchanged.
        """
        name = _files.file_name(path, (".json",))
        text = self.to_json()
        if len(text) > MAX_BYTES:
            raise ValueError(
                f"A record must have at most {MAX_BYTES} bytes as JSON. This one has {len(text)}."
            )
        _files.write(name, text.encode())


def check_record(record: object) -> None:
    """Raise a TypeError unless `record` is a record."""
    if not isinstance(record, Record):
        raise TypeError(f"`record` must be a clr_core.Record. {received('record', record)}")


def schedule_id(schedule: Schedule | Sequence[Schedule]) -> str:
    """A short name of a schedule, or of one per group, to log with an experiment.

    The first 12 hex digits of the SHA-256 of its `to_dict` as JSON with sorted keys and no spaces.
    Equal schedules have the same id, on every platform and in every version.

        >>> from clr_core import CyclicSchedule
        >>> schedule_id(CyclicSchedule(base_lr=0.001, max_lr=0.006))
        '454a42e61394'

    Raises:
        TypeError: Not a schedule, or one with a callable as `scale_fn`.
        ValueError: No schedule.
    """
    from hashlib import sha256

    text = json.dumps(_plain(schedule), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()[:12]


def schema() -> str:
    """The JSON Schema (2020-12) of a record, as text."""
    from importlib.resources import files as resources

    return resources("clr_core.record").joinpath("record.schema.json").read_text(encoding="utf-8")


def _plain(schedule: object) -> dict[str, Any] | list[dict[str, Any]]:
    """One schedule or several as plain data."""
    if isinstance(schedule, list | tuple):
        if not schedule:
            raise ValueError(
                f"`schedule` must have at least one schedule. {received('schedule', schedule)}"
            )
        return [_one(each) for each in schedule]
    return _one(schedule)


def _one(schedule: Any) -> dict[str, Any]:
    check_schedule(schedule)
    document: dict[str, Any] = schedule.to_dict()
    # A record that can't be read must not be written.
    kind_of(document.get("kind"))
    if _depth(document) > MAX_DEPTH:
        raise ValueError(
            f"A schedule must be nested at most {MAX_DEPTH} deep to be written down. "
            f"{received('schedule', document)}"
        )
    return document


def _depth(value: object) -> int:
    if isinstance(value, Mapping):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list | tuple) else 0


def _schedules(document: Any) -> Schedule | tuple[Schedule, ...]:
    """The schedule of a document, or those in a list."""
    if not isinstance(document, list | tuple):
        return _schedule(document)
    schedules = []
    for index, item in enumerate(document):
        try:
            schedules.append(_schedule(item))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"`schedule[{index}]`: {error}") from None
    return tuple(schedules)


def _schedule(document: Any) -> Schedule:
    if not isinstance(document, Mapping):
        raise TypeError(f"A schedule must be a mapping. {received('schedule', document)}")
    return schedule_from_dict(document)


def _check_format(document: Mapping[str, Any]) -> None:
    rule = f"`format` must be {FORMAT!r}."
    if "format" not in document:
        keys = f". Its keys are {listed(document)}. {PART}" if document else ""
        raise ValueError(f"{rule} It is missing{keys}")
    given = document["format"]
    if not isinstance(given, str) or given != FORMAT:
        ours = isinstance(given, str) and given.startswith("cyclical-lr/")
        hint = ". Another version of cyclical-lr wrote this" if ours else ""
        raise ValueError(f"{rule} {received('format', given)}{hint}")
