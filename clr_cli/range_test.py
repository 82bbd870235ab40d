"""`clr range-test`: show the result of a range test as text or as a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from clr_cli.optional import PICTURES, of_extra, write_picture
from clr_cli.output import as_json, say, say_text, table, target
from clr_cli.record_arguments import read_result

if TYPE_CHECKING:
    from clr_core import RangeTestResult

SHOWN = ("max_lr", "base_lr", "suggestions", "stop_reason", "warnings")


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr range-test`."""
    parser.description = (
        "Show the result of a range test: FILE contains the JSON of result.to_dict().\n"
        "The exit code is 1 if the curve gives no max_lr."
    )
    parser.epilog = """\
examples:
  clr range-test show range.json
  clr range-test plot range.json
  clr range-test plot range.json --out range.png
"""
    parser.add_argument("action", choices=("show", "plot"), help="as text, or drawn")
    parser.add_argument("file", metavar="FILE", help="a .json; - for standard input")
    parser.add_argument(
        "--out",
        metavar="PICTURE",
        help="for plot: a .png, .svg or .pdf to write; default: draw in the terminal",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print or draw the result; return 1 if it has no `max_lr`."""
    if options.out is not None and options.action == "show":
        raise ValueError("--out must be left out with show")
    name = target("--out", options.out, PICTURES)
    result = read_result(options.file)
    if name is not None:
        write_picture(name, result.plot())
    if options.json:
        plain = result.to_dict()
        say_text(as_json({"out": name, **{each: plain[each] for each in SHOWN}}))
    elif options.action == "show":
        say(*_lines(result))
    elif name is None:
        draw = of_extra("clr_cli.terminal_plot", "plotext").terminal_range_test
        say_text(draw(result))
        say(*_sentences(result))
    return 0 if result.max_lr is not None else 1


def _lines(result: RangeTestResult) -> list[str]:
    tested = "nothing was tested"
    if result.lrs:
        tested = f"{len(result.lrs)} rates from {result.lrs[0]!r} to {result.lrs[-1]!r}"
    lines = [
        f"tested   {tested}, {result.ramp} ramp",
        f"max_lr   {result.max_lr!r}",
        f"base_lr  {result.base_lr!r}",
    ]
    rows = [[name, rate] for name, rate in result.suggestions.items()]
    return [
        *lines,
        *_sentences(result),
        *(["", *table(["suggestion", "lr"], rows)] if rows else []),
    ]


def _sentences(result: RangeTestResult) -> list[str]:
    return [each for each in (result.stop_reason, *result.warnings) if each is not None]
