"""The command `clr`: which command is asked for, and what every one of them does alike.

Exit codes: 0, 1 where the answer is no (two schedules differ, a run didn't follow), 2 for whatever
is wrong with what was given. 130 after Ctrl-C and 141 where nobody reads on, as of other commands.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import suppress

from clr_cli.parser import Parser

TYPE_CHECKING = False  # `clr --help` is to cost next to nothing.
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMANDS = {
    "show": "the cycles of a schedule, and its values at steps or in epochs",
    "plot": "a schedule in the terminal, or as PNG or SVG",
    "suggest": "a schedule that fits a training, from its sizes and a range test",
    "range-test": "what a range test has found, as text or as a picture",
    "compare": "where two schedules differ, and by how much",
    "export": "the curve as CSV, JSON or NPY; code for torch, Keras and optax",
    "convert": "a checkpoint to a record, and a record to a checkpoint",
    "migrate": "finds other cyclical rates in Python files, and says what replaces them",
    "verify": "whether the rates that a run logged are those of its schedule",
    "schema": "the JSON Schema of a record",
}
MODULES = {"migrate": "clr_cli.migrate_command", "range-test": "clr_cli.range_test"}
"""Those that aren't named after their command: `clr_cli.migrate` is what reads the files."""

INTERRUPTED, BROKEN_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `clr` with these arguments; None: those of the process. Returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # Where the terminal has no such character, something else is better than an error.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    name = " ".join(["clr", *(each for each in given[:1] if each in COMMANDS)])
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _complain(name, message)
        try:
            try:
                return _run(given)
            finally:
                _flush()
        except BrokenPipeError:
            return BROKEN_PIPE
        except KeyboardInterrupt:
            return INTERRUPTED
        except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
            _complain(name, error)
            return 2


def _run(given: list[str]) -> int:
    parser = Parser(
        prog="clr",
        description="One cyclical learning rate for PyTorch, Keras and JAX.",
        epilog="clr COMMAND --help says more, with examples. Exit codes: 0; 1: the answer is no; "
        "2: an error.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for name, line in COMMANDS.items():
        commands.add_parser(name, help=line)
    try:
        # A command's own arguments are added once it is known, since they take its imports.
        name = parser.parse_args(given[:1]).command
        command = import_command(name)
        own = commands.choices[name]
        command.configure(own)
        return int(command.run(own.parse_intermixed_args(given[1:])))
    except SystemExit as stop:  # What argparse does after `--help`, or an error that it printed.
        return int(stop.code or 0)


def import_command(name: str) -> Any:
    """The module of a command: it has `configure(parser)` and `run(options)`."""
    from importlib import import_module

    return import_module(MODULES.get(name, f"clr_cli.{name}"))


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"clr {version('cyclical-lr')}")
        parser.exit()


def _complain(name: str, error: BaseException | str) -> None:
    from clr_cli.output import error_line

    with suppress(OSError, ValueError):  # Nobody listens.
        print(f"{name}: {error_line(error)}", file=sys.stderr)


def _flush() -> None:
    """Writes out what was printed, while an error can still be told."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more as it ends, and would complain in its own words.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
