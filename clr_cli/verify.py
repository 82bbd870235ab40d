"""`clr verify`: check whether the rates that a run logged are those of its schedule."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from dataclasses import replace

from clr_cli.optional import PICTURES, write_picture
from clr_cli.output import as_json, say, say_text, target
from clr_cli.parser import count
from clr_cli.record_arguments import (
    FILE,
    add_key,
    add_parameters,
    flag,
    flags,
    groups_of,
    one_record,
)
from clr_core import Schedule
from clr_core.record import Record
from clr_core.verification import picture, verify
from clr_core.verification.log import read_rates


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr verify`."""
    parser.description = (
        "Check the rates that a run logged against its schedule, and say in a sentence how they\n"
        "differ, if they do. Exit code 0: the run followed the schedule; 1: it didn't, or the log\n"
        "can't tell."
    )
    parser.epilog = """\
examples:
  clr verify run.json log.csv
  clr verify run.json log.csv --json --plot run.png
  clr verify log.csv --base-lr 0.0015 --max-lr 0.006 --mode triangular2
  clr verify run.json results.csv --steps-per-epoch 391
"""
    parser.add_argument("file", metavar="FILE", nargs="?", help=FILE)
    add_key(parser)
    # The momentum isn't looked at, nor is the step at which the run is.
    without = ("base_momentum", "max_momentum")
    add_parameters(parser, "a schedule in place of FILE", without)
    parser.add_argument(
        "log",
        metavar="LOG",
        help="a table, JSON or text with steps and rates; or TensorBoard's file or folder",
    )
    parser.add_argument("--lr-column", metavar="NAME", help="the log's column with the rates")
    parser.add_argument("--step-column", metavar="NAME", help="the log's column with the steps")
    parser.add_argument(
        "--first-step",
        type=int,
        choices=(-1, 0, 1),
        metavar="N",
        help="the log's number of the first update or epoch, 0 or 1; -1: it gives the next "
        "update's rate",
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=count(),
        metavar="N",
        help="the log has a line per epoch, of so many updates",
    )
    parser.add_argument(
        "--group",
        type=count(0, 2**20),
        metavar="N",
        help="the schedule's number, from 0, if the record has several",
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="write a picture of both: .png, .svg or .pdf"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the verdict; return 1 unless the run followed its schedule."""
    name = target("--plot", options.plot, PICTURES)
    if options.file is None and not flags(options):
        # argparse gives the one file that there is to the argument that is needed.
        raise ValueError(
            "A schedule and a LOG must be given, the schedule as a FILE or by flags. "
            f"Received: {options.log!r} alone"
        )
    record = one_record(options.file, flags(options), None, options.key)
    schedule = _chosen(record, options.group)
    try:
        logged = read_rates(
            options.log,
            lr=options.lr_column,
            step=options.step_column,
            per_epoch=options.steps_per_epoch is not None,
        )
        verdict = verify(
            schedule,
            *logged,
            first_step=options.first_step,
            steps_per_epoch=options.steps_per_epoch,
        )
    except ValueError as error:
        raise ValueError(_in_flags(str(error))) from None
    verdict = replace(verdict, sentence=_in_flags(verdict.sentence))
    if name is not None:
        write_picture(name, picture(schedule, logged.steps, logged.lrs, verdict))
    if options.json:
        say_text(as_json(verdict.to_dict()))
    else:
        say(verdict.sentence)
    return 0 if verdict.status == "followed" else 1


def _chosen(record: Record, group: int | None) -> Schedule:
    schedules = groups_of(record)
    if group is None and len(schedules) > 1:
        raise ValueError(f"--group must be given: the record has {len(schedules)} schedules")
    if (group or 0) >= len(schedules):
        raise ValueError(f"--group must be below {len(schedules)}. Received: --group {group}")
    return schedules[group or 0]


def _in_flags(text: str) -> str:
    """The text with the command's flags in place of Python's keywords."""
    text = text.replace(
        "use `per_epoch=True` here and `steps_per_epoch=` in `verify`", "give --steps-per-epoch"
    )
    text = re.sub(r"`(lr|step)=", r"`\1_column=", text)
    return re.sub(
        r"`(lr_column|step_column|first_step|steps_per_epoch)=([^`]*)`",
        lambda found: f"{flag(found[1])} {found[2]}".rstrip(),
        text,
    )
