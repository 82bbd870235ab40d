"""`clr plot`: a schedule in the terminal, or as a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib import import_module
from typing import Any

from clr_cli.curve import CYCLES, curves
from clr_cli.given import add_record, groups_of, record_given
from clr_cli.output import as_json
from clr_cli.parser import count
from clr_core import files
from clr_core.files import write

PICTURES = (".png", ".svg")
LARGEST = 1e300  # The distance of larger numbers, with some room around it, has no float64.


def configure(parser: ArgumentParser) -> None:
    """Adds the arguments of `clr plot`."""
    parser.description = (
        "Draws the rate, and the momentum if there is one, in the terminal or as a picture.\n"
        "Needs the extra: pip install 'cyclical-lr[plot]'"
    )
    parser.epilog = """\
examples:
  clr plot run.json
  clr plot run.json --steps 12000 --out run.png
  clr plot --base-lr 0.0015 --max-lr 0.006 --mode exp_range --gamma 0.9999 --out run.svg
"""
    add_record(parser)
    parser.add_argument(
        "--steps",
        type=count(1, 2**53),
        metavar="N",
        help=f"draw steps 0 to N; default: {CYCLES} cycles",
    )
    parser.add_argument("--out", metavar="FILE", help="write a picture: .png or .svg")
    parser.add_argument(
        "--json", action="store_true", help="print the points as JSON, and no plot in the terminal"
    )


def run(options: Namespace) -> int:
    """Draws what was asked for."""
    name = None if options.out is None else files.file_name(options.out, PICTURES)
    record = record_given(options)
    drawn = curves(groups_of(record), options.steps)
    for rate in (rate for curve in drawn for rate in curve.lrs):
        if LARGEST < abs(rate) < float("inf"):
            raise ValueError(f"A rate must be at most {LARGEST} to be drawn. Received: {rate}")
    if name is not None:
        picture = _needs("clr_cli.picture", "matplotlib")
        write(name, picture.picture(drawn, record.step, files.suffix(name)))
    if options.json:
        print(as_json({"out": name, "curves": [_plain(each) for each in drawn]}))
    elif name is None:
        print(_needs("clr_cli.terminal_plot", "plotext").terminal_plot(drawn, record.step))
    return 0


def _needs(module: str, library: str) -> Any:
    """The module, or an error that says what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ImportError(
            f"This needs {library}. Install it with: pip install 'cyclical-lr[plot]'"
        ) from None


def _plain(curve: Any) -> dict[str, Any]:
    plain = {"schedule": curve.schedule.to_dict(), "steps": curve.steps, "lr": curve.lrs}
    return plain if curve.momenta is None else plain | {"momentum": curve.momenta}
