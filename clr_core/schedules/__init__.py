"""Schedules: the table of all kinds, and how to build one from plain data."""

from __future__ import annotations

from collections.abc import Mapping

from clr_core._arguments import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.schedules.protocol import Schedule

KINDS = {"cyclic": "clr_core.schedules.cyclic:CyclicSchedule"}
"""Each kind of schedule, by the "kind" that its `to_dict` writes: its module and its class."""

USUAL = "cyclic"
"""The kind of a document that names none."""


def schedule_from_dict(document: Mapping[str, Any]) -> Schedule:
    """Build a schedule of any kind from what its `to_dict` returned.

        >>> from clr_core import CyclicSchedule
        >>> schedule_from_dict(CyclicSchedule(base_lr=0.001, max_lr=0.006).to_dict())
        CyclicSchedule(base_lr=0.001, max_lr=0.006)

    Raises:
        TypeError: Not a mapping, or a value has the wrong type.
        ValueError: An unknown kind, unknown or missing keys, or values out of range.
    """
    if not isinstance(document, Mapping):
        raise TypeError(f"A schedule must be a mapping. {received('document', document)}")
    schedule: Schedule = kind_of(document.get("kind")).from_dict(document)
    return schedule


def kind_of(name: object) -> Any:
    """The class of the schedules whose `to_dict` writes `name` as their "kind".

    Raises:
        ValueError: There is no such kind.
    """
    if not isinstance(name, str) or name not in KINDS:
        known = ", ".join(map(repr, KINDS))
        rule = f"be {known}" if len(KINDS) == 1 else f"be one of {known}"
        raise ValueError(f"`kind` must {rule}. {received('kind', name)}")
    from importlib import import_module

    module, _, class_name = KINDS[name].partition(":")
    return getattr(import_module(module), class_name)
