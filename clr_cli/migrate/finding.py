"""Findings in a file, as text and as JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from clr_cli.migrate.source import Source
from clr_core.record import Record

FORMAT = "clr-migrate/1"
# Longer code is shown in part; the JSON has all of it.
LINES, WIDEST = 40, 400


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
        cell: The number of the cell in a notebook, from 1, with all kinds of cells counted.
        line: Its first line, from 1; in a notebook, in its cell.
        end_line: Its last line.
        origin: The name of the class or function, or why this may be a cycle.
        code: The call as it was written.
        arguments: The arguments by the names of their parameters, as they were written.
        record: The schedule as a portable record, if the file has all of it.
        to: The framework of the replacement.
        replacement: Code that runs in place of the call, if any.
        warnings: What to check.
        edits: The changes that rewrite it in place.
        kept: Why it can't be rewritten in place, or empty.
    """

    file: str
    cell: int | None
    line: int
    end_line: int
    origin: str
    code: str
    arguments: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] | None = None
    to: str = ""
    replacement: str | None = None
    warnings: tuple[Caution, ...] = ()
    edits: tuple[tuple[int, int, str], ...] = field(default=(), repr=False)
    kept: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        return asdict(self) | {"edits": len(self.edits)}

    @property
    def place(self) -> str:
        """The file, the cell and the line."""
        return f"{self.file}:{f'cell {self.cell}:' if self.cell else ''}{self.line}"


def finding_at(source: Source, node: ast.expr | ast.stmt, origin: str, **more: Any) -> Finding:
    """The finding at a node of a file."""
    cell, line = source.place(node.lineno)
    # Of a definition or a branch, its first line.
    head = isinstance(node, ast.stmt) and hasattr(node, "body")
    code = source.text_of_line(node.lineno) if head else source.text_of(node)
    return Finding(
        file=source.name,
        cell=cell,
        line=line,
        end_line=line if head else line + (node.end_lineno or node.lineno) - node.lineno,
        origin=origin,
        code=code,
        **more,
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
    lines = [f"{finding.place}: {finding.origin}", *_indented(finding.code)]
    if finding.record is not None:
        record = Record.from_dict(finding.record)
        lines += ["schedule", f"  {record.schedule!r}"]
        if record.step:
            lines.append(f"  at step {record.step}")
    elif finding.arguments:
        lines.append("arguments, as written")
        for name, text in finding.arguments.items():
            lines += _indented(f"{name} = {text}")
    if finding.replacement is not None:
        lines += [f"for {finding.to}", *_indented(finding.replacement)]
    lines += [f"! {each.about}: {each.says}" for each in finding.warnings]
    if finding.edits:
        lines.append("--diff shows how --write changes the file")
    elif finding.kept:
        lines.append(f"not rewritten: {finding.kept}")
    return "\n".join(map(_short, lines))


def _indented(text: str) -> list[str]:
    lines = text.splitlines()
    more = ["…"] if len(lines) > LINES else []
    return [f"  {line}" if line else line for line in [*lines[:LINES], *more]]


def _short(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[:WIDEST]}…"
