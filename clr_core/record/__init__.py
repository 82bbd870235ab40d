"""The portable record: schedules and the current step, as a document and as a file.

    >>> from clr_core import CyclicSchedule
    >>> record = Record(CyclicSchedule(base_lr=0.001, max_lr=0.006), step=1500)
    >>> Record.from_json(record.to_json()) == record
    True

The document is `{"format": "cyclical-lr/1", "schedule": {…}, "step": n}`, where "schedule" may be a
list with one schedule per parameter group. `record.schema.json` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from os import PathLike
from typing import Any, Self

from clr_core import _files, _parsing
from clr_core._arguments import check_schedule, count, received
from clr_core.schedules import USUAL, kind_of, schedule_from_dict
from clr_core.schedules.protocol import Schedule

FORMAT = "cyclical-lr/1"
MAX_BYTES = 2**20
"""How large the file of a record may be: some 2,500 groups."""


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
        if isinstance(self.schedule, list):
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
        """Build a record from `to_dict()` output or a hand-written mapping.

        Keys that are left out get their defaults: 0 for `step`, "cyclic" for a schedule's `kind`,
        and the defaults of that kind's parameters.

            >>> schedule = {"base_lr": 0.001, "max_lr": 0.006}
            >>> Record.from_dict({"format": "cyclical-lr/1", "schedule": schedule}).step
            0

        Raises:
            TypeError: Not a mapping, or a value has the wrong type.
            ValueError: Another format, unknown or missing keys, or values out of range.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"A record must be a mapping. {received('document', document)}")
        _check_format(document)
        _check_keys(
            "A record", document, known=("format", "schedule", "step"), needed=("schedule",)
        )
        schedule = document["schedule"]
        return cls(
            _schedules(schedule) if isinstance(schedule, list | tuple) else _schedule(schedule),
            document.get("step", 0),
        )

    def to_json(self) -> str:
        """`to_dict` as indented JSON with a final newline; the same text for equal records."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build a record from `to_json()` output or hand-written JSON (see `from_dict`).

        Raises:
            TypeError: `text` isn't text.
            ValueError: Malformed JSON, or not a record.
        """
        if not isinstance(text, str):
            raise TypeError(f"`text` must be a str. {received('text', text)}")
        try:
            return cls.from_dict(_parsing.from_json(text))
        except (TypeError, ValueError) as error:
            # One type for everything that can be wrong with a document.
            raise ValueError(f"`text` must be the JSON of a record: {error}") from None

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Read a record from JSON, YAML or TOML, chosen by suffix; at most a megabyte of UTF-8.

        Nothing in the file is executed. A truncated JSON file is always an error; a truncated YAML
        or TOML file may still be a complete record, since keys that are left out have defaults.

        Args:
            path: Ends in .json, .yaml, .yml or .toml.

        Raises:
            TypeError: `path` isn't a path.
            ValueError: Another suffix, or the content isn't a record.
            OSError: The file doesn't exist or can't be read.
            ImportError: It is YAML, and PyYAML isn't installed.
        """
        name = _files.file_name(path, tuple(PARSERS))
        try:
            text = _files.read_text(name, MAX_BYTES)
            return cls.from_dict(PARSERS[_files.suffix(name)](text))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name!r} must be a record: {error}") from None

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
    kind_of(document.get("kind"))  # A record that can't be read must not be written.
    return document


def _schedules(items: Sequence[object]) -> tuple[Schedule, ...]:
    schedules = []
    for index, item in enumerate(items):
        try:
            schedules.append(_schedule(item))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"`schedule[{index}]`: {error}") from None
    return tuple(schedules)


def _schedule(document: object) -> Schedule:
    """The schedule of a document that may leave out its kind and what has a default."""
    if not isinstance(document, Mapping):
        raise TypeError(f"A schedule must be a mapping. {received('schedule', document)}")
    name = document.get("kind", USUAL)
    kind = kind_of(name)
    if not is_dataclass(kind):
        return schedule_from_dict(document)
    defaults = {each.name: each.default for each in fields(kind) if each.init}
    needed = tuple(key for key, value in defaults.items() if value is MISSING)
    _check_keys("A schedule", document, known=("kind", *defaults), needed=needed)
    return schedule_from_dict({"kind": name, **defaults, **document})


def _check_format(document: Mapping[str, Any]) -> None:
    rule = f"`format` must be {FORMAT!r}."
    if "format" not in document:
        alone = "kind" in document or "base_lr" in document
        hint = ". This is a schedule alone: it belongs under `schedule`" if alone else ""
        raise ValueError(f"{rule} It is missing{hint}")
    given = document["format"]
    if given != FORMAT:
        ours = isinstance(given, str) and given.startswith("cyclical-lr/")
        hint = ". Another version of cyclical-lr wrote this" if ours else ""
        raise ValueError(f"{rule} {received('format', given)}{hint}")


def _check_keys(
    what: str, document: Mapping[Any, Any], known: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    for key in document:
        if key not in known:
            from difflib import get_close_matches

            near = get_close_matches(str(key).lower(), known, 1)
            hint = f"Did you mean {near.pop()!r}?" if near else f"Its keys are {', '.join(known)}"
            raise ValueError(f"{what} has no such key. {received('key', key)}. {hint}")
    for key in needed:
        if key not in document:
            raise ValueError(f"{what} must have the key `{key}`. It is missing")
