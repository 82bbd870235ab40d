"""`clr schema`: the JSON Schema of a record."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clr_cli.output import say_text
from clr_core.adapter import write
from clr_core.record import schema


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr schema`."""
    parser.description = "Print the JSON Schema (2020-12) of a record, for editors and validators."
    parser.epilog = """\
examples:
  clr schema
  clr schema --out record.schema.json
"""
    parser.add_argument("--out", metavar="FILE", help="write a file; default: standard output")


def run(options: Namespace) -> int:
    """Print or write the schema."""
    if options.out is None:
        say_text(schema())
    else:
        write(options.out, schema().encode())
    return 0
