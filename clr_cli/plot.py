"""`clr plot`: a schedule in the terminal, or as a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from clr_cli.optional import PICTURES, image, of_extra
from clr_cli.output import as_json, say_text, target
from clr_cli.parser import count
from clr_cli.record_arguments import add_record, groups_of, record_given
from clr_core.adapter import LARGEST_STEP, suffix, write
from clr_core.schedules.draw import picture
from clr_core.schedules.samples import CYCLES, Samples, samples


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr plot`."""
    parser.description = (
        "Draw the rate, and the momentum if there is one, in the terminal or as a picture.\n"
        "Needs the extra: pip install 'cyclical-lr[plot]'"
    )
    parser.epilog = """\
examples:
  clr plot run.json
  clr plot run.json --steps 12000 --steps-per-epoch 500 --out run.png
  clr plot --base-lr 0.0015 --max-lr 0.006 --mode exp_range --gamma 0.9999 --out run.svg
"""
    add_record(parser)
    parser.add_argument(
        "--steps",
        type=count(1, LARGEST_STEP),
        metavar="N",
        help=f"draw steps 0 to N; default: {CYCLES} cycles",
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=count(1, LARGEST_STEP),
        metavar="K",
        help="updates in an epoch: adds an axis in epochs to the picture",
    )
    parser.add_argument("--out", metavar="FILE", help="write a picture: .png, .svg or .pdf")
    parser.add_argument(
        "--json", action="store_true", help="print the points as JSON instead of a plot"
    )


def run(options: Namespace) -> int:
    """Draw the schedules."""
    name = target("--out", options.out, PICTURES)
    if name is None and options.steps_per_epoch is not None:
        raise ValueError("--steps-per-epoch must be given with --out: only a picture has epochs")
    record = record_given(options)
    drawn = samples(groups_of(record), options.steps)
    if name is not None:
        figure = picture(drawn, step=record.step, steps_per_epoch=options.steps_per_epoch)
        write(name, image(figure, suffix(name)))
    if options.json:
        say_text(as_json({"out": name, "curves": [_plain(each) for each in drawn]}))
    elif name is None:
        say_text(of_extra("clr_cli.terminal_plot", "plotext").terminal_plot(drawn, record.step))
    return 0


def _plain(curve: Samples) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "schedule": curve.schedule.to_dict(),
        "steps": curve.steps,
        "lr": curve.lrs,
    }
    return plain if curve.momenta is None else plain | {"momentum": curve.momenta}
