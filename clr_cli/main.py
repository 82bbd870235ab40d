"""The command `clr`: find the command that was asked for, run it, and report errors.

Exit codes: 0; 1 if the answer is no (two schedules differ, a run didn't follow); 2 after an error;
130 after Ctrl-C and 141 if the reader of a pipe has gone, as with other commands. If CLR_DEBUG is
set in the environment, an error's traceback is printed before its line.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import suppress

from clr_cli.parser import Parser

TYPE_CHECKING = False  # `clr --help` must start fast.
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMANDS = {
    "show": "the cycles of a schedule, or its values at steps or in epochs",
    "plot": "schedules in the terminal, or as a picture",
    "suggest": "a schedule that fits a training run, from its sizes and a range test",
    "range-test": "the result of a range test, as text or drawn",
    "compare": "where two schedules differ, and by how much",
    "export": "the curve as CSV, JSON or NPY; code for torch, Keras and optax",
    "convert": "a checkpoint to a record, and a record to a checkpoint",
    "migrate": "other cyclical learning rates in code: find them, and rewrite them",
    "verify": "whether the rates that a run logged are those of its schedule",
    "schema": "the JSON Schema of a record",
}
MODULES = {"migrate": "clr_cli.migrate_command", "range-test": "clr_cli.range_test"}
"""Modules that aren't named after their command."""

COMPLETION = "--print-completion"
FILES = {"A", "B", "FILE", "LOG", "PATH", "PICTURE", "SOURCE"}
"""The arguments that are files, by their names in the help."""

INTERRUPTED, BROKEN_PIPE = 130, 141
EXPECTED = (ImportError, MemoryError, OSError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `clr` with these arguments, or the process's if None, and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # If the terminal lacks a character, an escape is better than an error.
            stream.reconfigure(errors="backslashreplace")
    name = " ".join(["clr", *(each for each in given[:1] if each in COMMANDS)])
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _complain(f"{name}: warning", message)
        try:
            try:
                return _run(given)
            finally:
                _flush()
        except BrokenPipeError:
            return BROKEN_PIPE
        except KeyboardInterrupt:
            return INTERRUPTED
        except BaseException as error:  # Also the panic of an extension, which is no Exception.
            if os.environ.get("CLR_DEBUG"):
                import traceback

                traceback.print_exc()
            # Python would exit with 1, which means "no" here.
            _complain(name, error if isinstance(error, EXPECTED) else _crash(error))
            return 2


def _run(given: list[str]) -> int:
    parser = Parser(
        prog="clr",
        description="Learning rate schedules for PyTorch, Keras and JAX, the same in all three.",
        epilog="See clr COMMAND --help for details and examples. Exit codes: 0; 1: the answer is "
        "no; 2: an error.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument(
        COMPLETION,
        action=_Completion,
        metavar="SHELL",
        help="print what makes bash, zsh, fish, tcsh or powershell complete clr's arguments; "
        "needs the extra: pip install 'cyclical-lr[completion]'",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for name, line in COMMANDS.items():
        commands.add_parser(name, help=line)
    try:
        # A command's arguments are added once it is known, since they need its imports.
        first = given[:2] if given[:1] == [COMPLETION] else given[:1]
        name = parser.parse_args(first or ["--help"]).command
        command = import_command(name)
        own = commands.choices[name]
        command.configure(own)
        return int(command.run(own.parse_intermixed_args(given[1:])))
    except SystemExit as stop:  # argparse exits after `--help` and after an error.
        return int(stop.code or 0)


def import_command(name: str) -> Any:
    """The module of a command, with `configure(parser)` and `run(options)`."""
    from importlib import import_module

    return import_module(MODULES.get(name, f"clr_cli.{name}"))


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"clr {version('cyclical-lr')}")
        parser.exit()


class _Completion(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, _: object, shell: Any, __: object = None
    ) -> None:
        from clr_cli.optional import of_extra

        shtab = of_extra("shtab", "shtab", "completion")
        if shell not in shtab.SUPPORTED_SHELLS:
            raise ValueError(
                f"{COMPLETION} must be one of {', '.join(shtab.SUPPORTED_SHELLS)}. "
                f"Received: {shell!r}"
            )
        (commands,) = (each for each in parser._actions if each.dest == "command")
        for name, own in dict(commands.choices or {}).items():
            import_command(name).configure(own)
            for action in own._actions:
                if action.metavar in FILES:
                    action.complete = shtab.FILE
        print(shtab.complete(parser, shell))
        parser.exit()


def _complain(name: str, error: BaseException | str) -> None:
    from clr_cli.output import complain

    complain(name, error)


def _crash(error: BaseException) -> str:
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename}:{last.lineno}"
    return f"An error in clr itself, please report it: {type(error).__name__}: {error} at {place}"


def _flush() -> None:
    """Flush the output while an error can still be reported."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes again as it exits, and would print the error in its own words.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
