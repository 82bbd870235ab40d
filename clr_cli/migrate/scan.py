"""All findings in Python code, and the code with their edits."""

from __future__ import annotations

from collections.abc import Sequence

from clr_cli.migrate.calls import calls
from clr_cli.migrate.finding import Finding
from clr_cli.migrate.names import Names
from clr_cli.migrate.origins import CLASSES
from clr_cli.migrate.phases import WORDS, phases
from clr_cli.migrate.rewriting import applied
from clr_cli.migrate.source import Source, too_deep, tree_of
from clr_cli.migrate.unread import looks_cyclical, named


def migrate(
    source: str, name: str, to: str | None = None, cells: Sequence[tuple[int, int]] = ()
) -> list[Finding]:
    """Find the cyclical learning rates in Python code, in the order of its lines.

    Args:
        source: The text of the file.
        name: The name of the file, for findings and errors.
        to: The framework of the replacements: "torch", "keras" or "jax"; None for that of the code.
        cells: For a notebook, the number and the first line of each code cell.

    Raises:
        ValueError: The file isn't Python 3, is nested too deeply, or is too large. The error names
            the line, if it is known.
    """
    parsed = Source(source, name, cells)
    try:
        found: list[Finding] = []
        names = None
        # Names are only looked up in a file that has one, or a parameter of a renamed copy.
        if any(word in source for word in (*CLASSES, *WORDS, "tensorflow_addons", "max_lr")):
            names = Names(parsed)
            found = [*calls(parsed, names, to), *phases(parsed, names, to)]
        _add(found, looks_cyclical(parsed))
        _add(found, named(parsed, names, alone=not found))
    except RecursionError:
        raise too_deep(name) from None
    return sorted(found, key=lambda each: (each.cell or 0, each.line, each.end_line))


def rewritten(source: str, findings: Sequence[Finding]) -> str:
    """The code with the edits of its findings.

    Raises:
        ValueError: The result wouldn't be Python.
    """
    text = applied(source, [edit for finding in findings for edit in finding.edits])
    try:
        tree_of(text)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"the rewritten code wouldn't be Python: {error}") from None
    return text


def _add(found: list[Finding], more: Sequence[Finding]) -> None:
    taken = {(each.cell, each.line) for each in found}
    found += (each for each in more if (each.cell, each.line) not in taken)
