"""The forms in which commands print: tables, JSON and errors of one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from clr_core import adapter as core
from clr_core.adapter import visible

LONGEST = 2000  # Characters in an error message.


def say(*lines: str) -> None:
    """Print lines, in which no text from a file can control a terminal or pass for another line."""
    print("\n".join(map(visible, lines)))


def say_text(text: str) -> None:
    """Print text of several lines, the last of which may have its end."""
    say(*text.removesuffix("\n").split("\n"))


def one_line(text: str) -> str:
    r"""The visible text in one line of bounded length.

    >>> one_line("broken:\n  'a\x1b[2J'")
    "broken: 'a\\x1b[2J'"
    """
    return core.one_line(text, LONGEST)


def error_line(error: BaseException | str) -> str:
    """The message of an error in one line.

    >>> error_line(FileNotFoundError(2, "No such file or directory", "run.json"))
    "'run.json': No such file or directory"
    """
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename!r}: {error.strerror}"
    return one_line(text or type(error).__name__)


def replaced(text: str, words: Mapping[str, str]) -> str:
    """The text with the words of a command, such as its flags, in place of Python's.

    >>> replaced("`count` must be given", {"`count`": "--step"})
    '--step must be given'
    """
    for word, other in words.items():
        text = text.replace(word, other)
    return text


@contextmanager
def errors_in(words: Mapping[str, str]) -> Iterator[None]:
    """Within it, errors have the words of a command, as `replaced` puts them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(replaced(str(error), words)) from None


def target(flag: str, given: str | None, suffixes: tuple[str, ...]) -> str | None:
    """The name of the file to write that a flag was given, if any, with one of the suffixes."""
    with errors_in({"`path`": flag, "path=": f"{flag} "}):
        return None if given is None else core.file_name(given, suffixes)


def complain(command: str, error: BaseException | str) -> None:
    """Print one line about an error, or another remark, to standard error."""
    with suppress(OSError, ValueError):  # It may be closed.
        print(f"{command}: {error_line(error)}", file=sys.stderr)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    r"""The lines of a table, aligned at the right; floats have all their digits.

    >>> print("\n".join(table(["step", "lr"], [[0, 0.001], [2000, 0.006]])))
    step     lr
       0  0.001
    2000  0.006
    """
    cells = [list(head), *([_cell(each) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]


def as_json(document: object, indent: int | None = 2) -> str:
    """The document as JSON; a number that isn't finite is null.

    >>> print(as_json({"lr": float("inf")}))
    {
      "lr": null
    }
    """
    return json.dumps(_finite(document), indent=indent, allow_nan=False)


def _cell(value: object) -> str:
    return "-" if value is None else visible(value) if isinstance(value, str) else repr(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
