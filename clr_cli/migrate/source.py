"""Python code with its syntax tree: a file, or the code cells of a notebook as one program."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from clr_core import adapter as core

MAX_BYTES = 2**20
"""The largest Python or configuration file: some 25,000 lines."""

NOT_PYTHON_3 = f"must be Python 3 to be read, up to {sys.version_info[0]}.{sys.version_info[1]}"


def read_bytes(name: str, limit: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: The file doesn't exist or can't be read.
        ValueError: It is larger than `limit`.
    """
    try:
        return core.read_bytes(name, limit)
    except ValueError as error:
        raise ValueError(f"`{name}` can't be read: {error}") from None


def decoded(data: bytes, name: str) -> tuple[str, str]:
    r"""The text of a Python file and its encoding: that of its coding cookie, or UTF-8.

    >>> decoded(b"# coding: latin-1\r\n'\xe9'", "train.py")
    ("# coding: latin-1\r\n'é'", 'iso-8859-1')

    Raises:
        ValueError: There is no such encoding of text, or the file isn't text in it.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, max(error.start, 0)) + 1
        raise ValueError(
            f"`{name}` line {line} must be {error.encoding} text: {error.reason}"
        ) from None
    except Exception as error:  # Codecs raise what they like, such as `binascii.Error`.
        raise ValueError(f"`{name}` line 1 must name an encoding of Python: {error}") from None


class Source:
    r"""The parsed text of a file.

    >>> source = Source("rate = 1e-3\n", "train.py")
    >>> source.text_of(source.tree.body[0].value)
    '1e-3'

    Args:
        text: The Python code.
        name: The name of the file, for findings and errors.
        cells: For a notebook, the number and the first line of each code cell.

    Raises:
        ValueError: It isn't Python 3, is nested too deeply, or is too large. The error names the
            line, if it is known.
    """

    def __init__(self, text: str, name: str, cells: Sequence[tuple[int, int]] = ()) -> None:
        if len(text) > MAX_BYTES:
            raise ValueError(f"`{name}` may have at most {MAX_BYTES} bytes to be read")
        self.name, self.text, self._cells = name, text, cells
        try:
            self.tree = tree_of(text)
        except (RecursionError, MemoryError):
            raise too_deep(name) from None
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            place = f"`{name}` line {line}" if line else f"`{name}`"
            raise ValueError(f"{place} {NOT_PYTHON_3}: {getattr(error, 'msg', error)}") from None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes, outermost first."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The parent of each node."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    def around(self, node: ast.AST) -> list[ast.AST]:
        """The ancestors of a node, from its parent to the module."""
        found = []
        while node in self.parents:
            node = self.parents[node]
            found.append(node)
        return found

    def text_of(self, node: ast.expr | ast.stmt) -> str:
        """A node as it was written if it has one line; otherwise as `ast.unparse` writes it."""
        if node.lineno != node.end_lineno:
            return ast.unparse(node)
        start, end = self.span(node)
        return self.text[start:end]

    def text_of_line(self, number: int) -> str:
        """A line without its indent."""
        start, *end = self.starts[number - 1 : number + 1]
        return self.text[start : end[0] if end else None].strip()

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The offsets in the text at which a node begins and ends."""
        first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
        column, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)
        return self._offset(first, column), self._offset(last, end)

    def _offset(self, line: int, column: int) -> int:
        # Columns count bytes of UTF-8.
        start = self.starts[line - 1]
        whole = self.text[start : start + column]
        return start + (column if whole.isascii() else len(whole.encode()[:column].decode()))

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line. Python's lines: a form feed doesn't end one."""
        return [0, *(each.end() for each in re.finditer(r"\r\n|\r|\n", self.text))]

    def place(self, line: int) -> tuple[int | None, int]:
        """The cell of a line and the line in it; None in place of the cell in a file."""
        index = bisect_right([first for _, first in self._cells], line) - 1
        if index < 0:
            return None, line
        cell, first = self._cells[index]
        return cell, line - first + 1


def tree_of(text: str) -> ast.Module:
    """The syntax tree of Python code, without Python's warnings of odd escapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends; only a line feed ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def parts_of(node: ast.AST) -> tuple[ast.Name | None, list[str]]:
    """The name that a dotted name begins with, and the attributes after it; None: another node.

    >>> name, attributes = parts_of(ast.parse("self.optimizer.lr", mode="eval").body)
    >>> name.id, attributes
    ('self', ['optimizer', 'lr'])
    """
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    return (node if isinstance(node, ast.Name) else None), attributes


def too_deep(name: str) -> ValueError:
    """The error for a file that is nested more deeply than Python's limits."""
    return ValueError(f"`{name}` is nested too deeply to be read")
