"""`clr migrate`: other cyclical learning rates in code, and what replaces them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from clr_cli.optional import of_extra
from clr_cli.output import complain, one_line, say
from clr_cli.parser import framework
from clr_cli.record_arguments import STDIN, read_stdin
from clr_core.adapter import visible


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr migrate`."""
    parser.description = (
        "Find the cyclical learning rates of torch, TensorFlow Addons, bckenstler's callback and\n"
        "others in Python files and notebooks, and print what replaces them; or rewrite torch's\n"
        "CyclicLR to clr_torch and TensorFlow Addons to clr_keras. One cycle, warm restarts and\n"
        "warm-ups of torch, transformers, Keras and optax are printed as phases. The files are\n"
        "read and never run."
    )
    parser.epilog = """\
examples:
  clr migrate train.py
  clr migrate train.py models --diff
  clr migrate train.py models --write
  clr migrate train.py --to jax --json
"""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a Python file, a notebook or a configuration; a folder, for all of them in it; "
        "- for standard input",
    )
    parser.add_argument(
        "--to",
        type=framework,
        choices=("torch", "keras", "jax"),
        help="framework of the replacements that are printed; default: the code's own",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--diff", action="store_true", help="print the changes that --write makes")
    how.add_argument(
        "--write",
        action="store_true",
        help="rewrite the files in place, and say what stays, and why",
    )
    how.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the findings or rewrite the files; the exit code is 2 if one couldn't be read."""
    migrate = of_extra("clr_cli.migrate", "libcst", "migrate")
    found: list[Any] = []
    code = 0
    for name in _sources(options.files, migrate):
        try:
            document = migrate.Document(name, options.to, _given(name, options))
            for cell in document.unread:
                complain("clr migrate", f"`{name}` cell {cell} isn't Python: it isn't read")
            if options.diff or options.write:
                _rewrite(document, options.write)
            found += document.findings
        except (OSError, ValueError) as error:
            complain("clr migrate", error)
            code = 2
    if options.json:
        print(migrate.as_json(found))
    elif not (options.diff or options.write):
        say(*migrate.as_text(found).split("\n"))
    elif not found and not code:
        print("Nothing found.", file=sys.stdout if options.write else sys.stderr)
    return code


def _given(name: str, options: Namespace) -> bytes | None:
    if name != STDIN:
        return None
    if options.write:
        raise ValueError("--write needs a file, not standard input. Use --diff")
    return read_stdin().encode()


def _rewrite(document: Any, write: bool) -> None:
    changes = any(each.edits for each in document.findings)
    if changes and write:
        document.write()
    elif changes:
        for line in document.diff():
            print(visible(line.removesuffix("\r")) + ("\r" if line.endswith("\r") else ""))
    for each in document.findings:
        place = one_line(each.place)
        if not each.edits:
            what = f"not rewritten: {each.kept}" if each.kept else each.origin
            print(f"{place}: {one_line(what)}", file=sys.stdout if write else sys.stderr)
        elif write:
            print(f"{place}: rewritten")


def _sources(names: list[str], migrate: Any) -> Iterator[str]:
    """The named files, and those in the named folders."""
    for name in names:
        if name == STDIN or not os.path.isdir(name):
            yield name
        else:
            yield from migrate.in_folder(name)
