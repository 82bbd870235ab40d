"""A Python file: its text, its syntax tree, and the text of each node."""

from __future__ import annotations

import ast
import io
import os
import stat
import sys
import tokenize
import warnings
from functools import cached_property

MAX_BYTES = 2**20
"""The largest file: some 25,000 lines."""

NOT_PYTHON_3 = f"must be Python 3 to be read, up to {sys.version_info[0]}.{sys.version_info[1]}"


def read(path: str | os.PathLike[str]) -> str:
    """Read a Python file and decode it as Python would: by its coding cookie, or as UTF-8.

    Raises:
        OSError: The file doesn't exist, can't be read, or isn't a regular one.
        ValueError: It is larger than a megabyte, or isn't text in its encoding.
    """
    name = os.fsdecode(path)
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise OSError(f"`{name}` must be a regular file.")
    with open(name, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _too_large(name)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except SyntaxError as error:
        raise ValueError(f"`{name}` line 1 must name an encoding of Python: {error.msg}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"`{name}` line {line} must be {error.encoding} text: {error.reason}"
        ) from None


class Source:
    r"""The parsed text of a file.

    >>> source = Source("rate = 1e-3\n", "train.py")
    >>> source.text_of(source.tree.body[0].value)
    '1e-3'

    Raises:
        ValueError: It isn't Python 3, is nested too deeply, or is too large. The error names the
            line, if it is known.
    """

    def __init__(self, text: str, name: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"`source` must be a str. Received: source={type(text).__name__}")
        if len(text) > MAX_BYTES:
            raise _too_large(name)
        if name.endswith(".ipynb"):
            raise ValueError(
                f"`{name}` must be a Python file. It is a notebook: convert it with "
                "`jupyter nbconvert --to script`."
            )
        self.name, self._text = name, text
        try:
            with warnings.catch_warnings():
                # Python warns of escapes such as "\\d", which don't matter here.
                warnings.simplefilter("ignore")
                self.tree = ast.parse(text)
        except (RecursionError, MemoryError):
            raise too_deep(name) from None
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or _line_of_null(text)
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

    def function_of(self, node: ast.AST) -> ast.AST:
        """The function that contains a node, or the module."""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module)
        return next((each for each in self.around(node) if isinstance(each, functions)), self.tree)

    def text_of(self, node: ast.expr | ast.stmt) -> str:
        """A node as it was written if it has one line; otherwise as `ast.unparse` writes it."""
        if node.lineno != node.end_lineno:
            return ast.unparse(node)
        # Columns count bytes of UTF-8.
        line = self._lines[node.lineno - 1].encode()
        return line[node.col_offset : node.end_col_offset].decode()

    @cached_property
    def _lines(self) -> list[str]:
        # Python's lines: `splitlines` would also split at form feeds.
        return self._text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def dotted(node: ast.AST) -> str | None:
    """A name or a dotted name as text; None for anything else.

    >>> dotted(ast.parse("self.optimizer", mode="eval").body)
    'self.optimizer'
    """
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def too_deep(name: str) -> ValueError:
    """The error for a file that is nested more deeply than Python's limits."""
    return ValueError(f"`{name}` is nested too deeply to be read")


def _too_large(name: str) -> ValueError:
    return ValueError(f"`{name}` may have at most {MAX_BYTES} bytes to be read")


def _line_of_null(text: str) -> int | None:
    return text.count("\n", 0, text.index("\0")) + 1 if "\0" in text else None
