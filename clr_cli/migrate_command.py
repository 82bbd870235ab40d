"""`clr migrate`: other cyclical learning rates in Python files, and what replaces them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from clr_cli.migrate import FRAMEWORKS, Finding, as_json, as_text, migrate, read_source
from clr_cli.output import error_line, visible
from clr_cli.record_arguments import STDIN, read_stdin


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr migrate`."""
    parser.description = (
        "Find the cyclical learning rates of torch, TensorFlow Addons, bckenstler's callback and\n"
        "others in Python files, and print what replaces them. The files are read and never run."
    )
    parser.epilog = """\
examples:
  clr migrate train.py
  clr migrate train.py models --to keras
  clr migrate train.py --to jax --json
"""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a Python file; a folder, for every .py file in it; - for standard input",
    )
    parser.add_argument(
        "--to",
        choices=FRAMEWORKS,
        default="torch",
        help="framework of the code; default: torch",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the findings; the exit code is 2 if a file couldn't be read."""
    found: list[Finding] = []
    code = 0
    for name in _sources(options.files):
        try:
            found += migrate(read_stdin() if name == STDIN else read_source(name), name, options.to)
        except (OSError, ValueError) as error:
            print(f"clr migrate: {error_line(error)}", file=sys.stderr)
            code = 2
    # A file's name and its code may hold what would control a terminal.
    print(as_json(found) if options.json else "\n".join(map(visible, as_text(found).split("\n"))))
    return code


def _sources(names: list[str]) -> Iterator[str]:
    """The named files, and the Python files in the named folders."""
    for name in names:
        if name == STDIN or not os.path.isdir(name):
            yield name
            continue
        for folder, inner, files in os.walk(name):
            inner[:] = sorted(each for each in inner if not each.startswith("."))
            yield from (os.path.join(folder, file) for file in sorted(files) if _is_python(file))


def _is_python(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(".")
