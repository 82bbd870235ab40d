r"""Jupyter notebooks: the code of all cells as one program, and edits of it in the JSON.

    >>> raw = '{"cells": [{"cell_type": "code", "source": ["%time\\n", "a = f(1)"]}]}'
    >>> notebook = Notebook(raw, "train.ipynb")
    >>> notebook.code, notebook.cells
    ('0#ime\na = f(1)\n', [(1, 1)])
    >>> notebook.rewritten([(10, 11, "g")])
    '{"cells": [{"cell_type": "code", "source": ["%time\\n", "a = g(1)"]}]}'

All outside of the changed lines stays as it is, to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from json import scanner
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from clr_cli.migrate.rewriting import Edit, applied
from clr_cli.migrate.source import lines_of, too_deep, tree_of

MAX_BYTES = 2**26
"""The largest notebook: pictures in its outputs count."""

# Cell magics that are followed by Python.
PYTHON_MAGICS = {"capture", "prun", "time", "timeit"}
MAGIC = re.compile(
    r"([ \t]*)([%!?].*)|([ \t]*[\w.,\[\]() \t]+=[ \t]*)([%!].*)|([ \t]*)(.*\?)[ \t]*"
)


class _Text(str):
    """A string of the JSON, and the offsets of its token."""

    span: tuple[int, int]


@dataclass(frozen=True)
class _Cell:
    number: int
    lines: tuple[_Text, ...]
    listed: bool
    text: str


class Notebook:
    """The code of a notebook.

    Args:
        raw: The text of the file.
        name: Its name, for errors.

    Raises:
        ValueError: It isn't a notebook.
    """

    def __init__(self, raw: str, name: str) -> None:
        self._raw = raw
        self.code = ""
        self.cells: list[tuple[int, int]] = []
        """The number and the first line in `code` of each cell."""
        self.unread: list[int] = []
        """The numbers of the code cells that aren't Python."""
        self._starts: list[tuple[int, _Cell]] = []
        try:
            document = _parsed(raw)
        except RecursionError:
            raise too_deep(name) from None
        except ValueError as error:
            raise ValueError(f"`{name}` must be a notebook: {error}") from None
        if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
            raise ValueError(f"`{name}` must be a notebook: it has no cells")
        if not _is_python(document.get("metadata")):
            return
        lines = 1
        for cell in _code_cells(document):
            code = _masked(cell.text)
            if code is None:
                self.unread += [cell.number] if _expects_python(cell.text) else []
                continue
            self.cells.append((cell.number, lines))
            self._starts.append((len(self.code), cell))
            self.code += f"{code}\n"
            lines += len(re.findall(r"\r\n|\r|\n", code)) + 1

    def rewritten(self, edits: Iterable[Edit]) -> str:
        """The text of the file with edits of the code.

        Raises:
            ValueError: A cell wouldn't be Python.
        """
        rows: dict[int, list[Edit]] = {}
        for start, end, new in edits:
            index = max(i for i, (first, _) in enumerate(self._starts) if first <= start)
            first = self._starts[index][0]
            rows.setdefault(index, []).append((start - first, end - first, new))
        changed: list[Edit] = []
        for index, own in rows.items():
            cell = self._starts[index][1]
            text = applied(cell.text, own)
            if _masked(text) is None:
                raise ValueError(f"cell {cell.number} wouldn't be Python")
            changed.append(_token(cell, text, self._raw))
        raw = applied(self._raw, changed)
        json.loads(raw)
        return raw


def _parsed(raw: str) -> Any:
    """The JSON document; strings among its values know where they are."""

    def text(string: str, end: int, strict: bool = True) -> tuple[str, int]:
        value, after = scanstring(string, end, strict)
        found = _Text(value)
        found.span = (end - 1, after)
        return found, after

    decoder: Any = json.JSONDecoder()
    decoder.parse_string = text
    decoder.scan_once = scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    return decoder.decode(raw)


def _is_python(metadata: object) -> bool:
    if not isinstance(metadata, dict):
        return True
    names = [
        part.get(key)
        for name, key in (("kernelspec", "language"), ("language_info", "name"))
        if isinstance(part := metadata.get(name), dict)
    ]
    return all(name is None or str(name).lower().startswith("python") for name in names)


def _code_cells(document: Mapping[str, Any]) -> Iterator[_Cell]:
    for number, cell in enumerate(document["cells"], 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        lines: list[Any] = source if isinstance(source, list) else [source]
        if lines and all(isinstance(line, _Text) for line in lines):
            yield _Cell(number, tuple(lines), isinstance(source, list), "".join(lines))


def _masked(text: str) -> str | None:
    """The code of a cell with magics as comments of the same length; None if it isn't Python."""
    if _is_code(text):
        return text
    if not _expects_python(text):
        return None
    lines = re.split(r"(\r\n|\r|\n)", text)
    continued = False
    for index in range(0, len(lines), 2):
        line = lines[index]
        match = MAGIC.fullmatch(line)
        if continued and line:
            lines[index] = "#" + line[1:]
        elif match:
            before = match[1] or match[3] or match[5] or ""
            rest = line[len(before) :]
            lines[index] = before + ("0#" + rest[2:] if len(rest) > 1 else "0")
        continued = line.endswith("\\") and (continued or match is not None)
    masked = "".join(lines)
    return masked if _is_code(masked) else None


def _is_code(text: str) -> bool:
    try:
        tree_of(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _expects_python(text: str) -> bool:
    magic = re.match(r"\s*%%(\w*)", text)
    return magic is None or magic[1] in PYTHON_MAGICS


def _token(cell: _Cell, text: str, raw: str) -> Edit:
    """The change of a cell's source in the JSON. Lines that stay keep their spelling."""
    spelled = {str(line): raw[slice(*line.span)] for line in cell.lines}
    start, end = cell.lines[0].span[0], cell.lines[-1].span[1]
    plain = raw[start:end].isascii()

    def token(line: str) -> str:
        return spelled.get(line) or json.dumps(line, ensure_ascii=plain)

    if not cell.listed:
        return (start, end, token(text))
    between = ", "
    if len(cell.lines) > 1:
        between = raw[cell.lines[0].span[1] : cell.lines[1].span[0]]
    elif "\n" in raw[:start]:
        between = "," + raw[raw.rindex("\n", 0, start) : start]
        between = between if between[1:].isspace() else ", "
    return (start, end, between.join(map(token, lines_of(text))))
