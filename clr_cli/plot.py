"""`clr plot`: schedules in the terminal, or as a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from clr_cli.optional import PICTURES, of_extra, write_picture
from clr_cli.output import as_json, say_text, target
from clr_cli.parser import count
from clr_cli.record_arguments import (
    FILE,
    STDIN,
    add_flags,
    add_key,
    flags,
    groups_of,
    one_record,
)
from clr_core import Schedule
from clr_core.adapter import LARGEST_STEP, visible
from clr_core.record import Record
from clr_core.schedules.draw import picture
from clr_core.schedules.samples import CYCLES, Samples, samples


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr plot`."""
    parser.description = (
        "Draw the rate, and the momentum if there is one, in the terminal or as a picture.\n"
        "Several files are drawn on the same axes, which are logarithmic if that shows them all.\n"
        "Drawing needs the extra: pip install 'cyclical-lr[plot]'. --json alone doesn't."
    )
    parser.epilog = """\
examples:
  clr plot run.json
  clr plot run.json other.yaml --out both.pdf
  clr plot run.json --steps 12000 --steps-per-epoch 500 --out run.png
  clr plot --base-lr 0.0015 --max-lr 0.006 --mode exp_range --gamma 0.9999 --out run.svg
"""
    parser.add_argument("files", metavar="FILE", nargs="*", help=FILE)
    add_key(parser, of="each FILE")
    add_flags(parser, "a schedule in place of FILE")
    parser.add_argument(
        "--steps",
        type=count(1, LARGEST_STEP),
        metavar="N",
        help=f"draw steps 0 to N; default: {CYCLES} cycles of the longest",
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=count(1, LARGEST_STEP),
        metavar="K",
        help="updates in an epoch: adds an axis in epochs",
    )
    parser.add_argument("--out", metavar="FILE", help="write a picture: .png, .svg or .pdf")
    parser.add_argument(
        "--json", action="store_true", help="print the points as JSON instead of a plot"
    )


def run(options: Namespace) -> int:
    """Draw the schedules."""
    name = target("--out", options.out, PICTURES)
    records = _records(options)
    if name is not None:
        write_picture(name, figure_of(records, options.steps, options.steps_per_epoch))
    named = schedules_by_name(records)
    if options.json:
        drawn = samples(list(named.values()), options.steps)
        curves = [_plain(*each) for each in zip(named, drawn, strict=True)]
        say_text(as_json({"out": name, "curves": curves}))
    elif name is None:
        draw = of_extra("clr_cli.terminal_plot", "plotext").terminal_plot
        drawn = samples(list(named.values()), options.steps)
        say_text(draw(drawn, [*named], options.steps_per_epoch))
        for file, record in records.items():
            if record.step:
                say_text(f"{'The run' if len(records) == 1 else file} is at step {record.step:,}.")
    return 0


def _records(options: Namespace) -> dict[str, Record]:
    """The records that are given, by the names of their files."""
    if options.files.count(STDIN) > 1:
        raise ValueError("Standard input can't be read twice")
    given = flags(options)
    names = {None: "schedule", STDIN: "standard input"}
    return {
        visible(names.get(file, file)): one_record(file, given, options.step, options.key)
        for file in options.files or [None]
    }


def schedules_by_name(records: Mapping[str, Record]) -> dict[str, Schedule]:
    """The schedules of records, each by its record's name if there are several, and its group."""
    named = {}
    for name, record in records.items():
        groups = groups_of(record)
        for index, schedule in enumerate(groups):
            parts = [name] * (len(records) > 1 or len(groups) == 1)
            parts += [f"group {index}"] * (len(groups) > 1)
            named[" ".join(parts)] = schedule
    return named


def figure_of(
    records: Mapping[str, Record], steps: int | None, steps_per_epoch: int | None = None
) -> Any:
    """A figure of all schedules of some records, with the steps of the runs."""
    named = schedules_by_name(records)
    reached = [each.step for each in records.values() for _ in groups_of(each)]
    return picture(
        samples(list(named.values()), steps),
        names=[*named],
        step=reached[0] if len(records) == 1 else reached,
        steps_per_epoch=steps_per_epoch,
    )


def _plain(name: str, curve: Samples) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": name,
        "schedule": curve.schedule.to_dict(),
        "steps": curve.steps,
        "lr": curve.lrs,
    }
    return plain if curve.momenta is None else plain | {"momentum": curve.momenta}
