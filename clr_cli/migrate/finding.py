"""Findings in a file, as text and as JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clr_cli.migrate.origins import Origin
from clr_cli.migrate.source import Source
from clr_core.record import Record

FORMAT = "clr-migrate/1"


@dataclass(frozen=True)
class Caution:
    """Something to check before using the replacement.

    Args:
        about: Its subject in a word, such as "momentum" or "per_epoch".
        says: The message.
    """

    about: str
    says: str


@dataclass(frozen=True)
class Finding:
    """One use of a cyclical learning rate, and its replacement.

    Args:
        file: The name of the file.
        line: Its first line, from 1.
        end_line: Its last line.
        origin: The name of the class or function.
        code: The call as it was written.
        arguments: The arguments by the names of their parameters, as they were written.
        record: The schedule as a portable record, if the file has all of it.
        to: The framework of the replacement.
        replacement: Code that runs in place of the call, if any.
        warnings: What to check.
    """

    file: str
    line: int
    end_line: int
    origin: str
    code: str
    arguments: dict[str, str]
    record: dict[str, Any] | None
    to: str
    replacement: str | None
    warnings: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        return {**asdict(self), "warnings": [asdict(each) for each in self.warnings]}


def finding_at(
    source: Source,
    node: ast.expr,
    origin: Origin,
    arguments: dict[str, str],
    record: dict[str, object] | None,
    to: str,
    replacement: str | None,
    cautions: list[Caution],
) -> Finding:
    """The finding at a node of a file."""
    return Finding(
        file=source.name,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        origin=origin.name,
        code=source.text_of(node),
        arguments=arguments,
        record=record,
        to=to,
        replacement=replacement,
        warnings=tuple(dict.fromkeys(cautions)),
    )


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as JSON: `{"format": "clr-migrate/1", "findings": […]}`.

    >>> as_json([])
    '{"format": "clr-migrate/1", "findings": []}'
    """
    document = {"format": FORMAT, "findings": [finding.to_dict() for finding in findings]}
    return json.dumps(document, allow_nan=False, indent=2 if findings else None)


def as_text(findings: Sequence[Finding]) -> str:
    """The findings as text, one paragraph each.

    >>> as_text([])
    'Nothing found.'
    """
    return "\n\n".join(map(_paragraph, findings)) or "Nothing found."


def _paragraph(finding: Finding) -> str:
    lines = [f"{finding.file}:{finding.line}: {finding.origin}", *_indented(finding.code, "  ")]
    if finding.record is not None:
        record = Record.from_dict(finding.record)
        schedules = record.schedule if isinstance(record.schedule, tuple) else (record.schedule,)
        lines += ["schedule", *(f"  {schedule!r}" for schedule in schedules)]
        if record.step:
            lines.append(f"  at step {record.step}")
    elif finding.arguments:
        lines.append("arguments, as written")
        lines += [f"  {name} = {text}" for name, text in finding.arguments.items()]
    if finding.replacement is not None:
        lines += [f"for {finding.to}", *_indented(finding.replacement, "  ")]
    for caution in finding.warnings:
        lines.append(f"! {caution.about}: {caution.says}")
    return "\n".join(lines)


def _indented(text: str, by: str) -> list[str]:
    return [f"{by}{line}" if line else line for line in text.splitlines()]
