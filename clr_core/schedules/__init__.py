"""Schedules: the table of all kinds, and how to build one from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clr_core._arguments import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.schedules.protocol import Schedule

KINDS = {
    "cyclic": "clr_core.schedules.cyclic:CyclicSchedule",
    "piecewise": "clr_core.schedules.piecewise:PiecewiseSchedule",
    "sequence": "clr_core.schedules.sequence:SequenceSchedule",
}
"""The module and the class of each kind of schedule, by the "kind" that its `to_dict` writes."""

USUAL = "cyclic"
"""The kind of a document that names none."""


def schedule_from_dict(document: Mapping[str, Any]) -> Schedule:
    """Build a schedule of any kind from `to_dict()` output or a hand-written mapping.

    Keys that are left out get their defaults: "cyclic" for `kind`, and those of the parameters.

        >>> schedule_from_dict({"base_lr": 0.001, "max_lr": 0.006})
        CyclicSchedule(base_lr=0.001, max_lr=0.006)

    Raises:
        TypeError: Not a mapping, or a value has the wrong type.
        ValueError: An unknown kind, unknown or missing keys, or values out of range.
    """
    if not isinstance(document, Mapping):
        raise TypeError(f"A schedule must be a mapping. {received('document', document)}")
    name = document.get("kind", USUAL)
    schedule: Schedule = kind_of(name).from_dict({"kind": name, **document})
    return schedule


def check_keys(
    what: str, document: Mapping[Any, Any], known: Sequence[str], needed: Sequence[str]
) -> None:
    """Raise a ValueError if a key isn't known, or a needed one is missing."""
    for key in document:
        if key not in known:
            from difflib import get_close_matches

            near = get_close_matches(key.lower(), known, 1) if isinstance(key, str) else []
            hint = f"Did you mean {near.pop()!r}?" if near else f"Its keys are {', '.join(known)}"
            raise ValueError(f"{what} has no such key. {received('key', key)}. {hint}")
    for key in needed:
        if key not in document:
            raise ValueError(f"{what} must have the key `{key}`. It is missing")


def kind_of(name: object) -> Any:
    """The class of the schedules whose `to_dict` writes `name` as their "kind".

    Raises:
        ValueError: There is no such kind.
    """
    if not isinstance(name, str) or name not in KINDS:
        known = ", ".join(map(repr, KINDS))
        raise ValueError(f"`kind` must be one of {known}. {received('kind', name)}")
    from importlib import import_module

    module, _, class_name = KINDS[name].partition(":")
    return getattr(import_module(module), class_name)
