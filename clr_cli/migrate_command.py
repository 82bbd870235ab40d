"""`clr migrate`: finds other cyclical rates in Python files, and says what replaces them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from clr_cli.migrate import FRAMEWORKS, Finding, as_json, as_text, migrate, read_source
from clr_cli.output import error_line
from clr_cli.record_arguments import STDIN, read_stdin


def configure(parser: ArgumentParser) -> None:
    """Adds the arguments of `clr migrate`."""
    parser.description = (
        "Finds cyclical learning rates of torch, TensorFlow Addons, bckenstler's callback and\n"
        "others in Python files, and says what replaces them. The files are read and never run."
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
        help="Python files; a folder: all .py in it; -: standard input",
    )
    parser.add_argument(
        "--to", choices=FRAMEWORKS, default="torch", help="what the code is for; default: torch"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Prints what was found; 2 if one of the files can't be read, after all the others."""
    found: list[Finding] = []
    code = 0
    for name in _sources(options.files):
        try:
            found += migrate(read_stdin() if name == STDIN else read_source(name), name, options.to)
        except (OSError, ValueError) as error:
            print(f"clr migrate: {error_line(error)}", file=sys.stderr)
            code = 2
    print(as_json(found) if options.json else as_text(found))
    return code


def _sources(names: list[str]) -> Iterator[str]:
    """The files that are named, and those in the folders that are."""
    for name in names:
        if name == STDIN or not os.path.isdir(name):
            yield name
            continue
        for folder, inner, files in os.walk(name):
            inner[:] = sorted(each for each in inner if not each.startswith("."))
            yield from (os.path.join(folder, file) for file in sorted(files) if _is_python(file))


def _is_python(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(".")
