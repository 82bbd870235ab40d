"""`clr verify`: check whether the rates that a run logged are those of its schedule."""

from __future__ import annotations

import os
import stat
from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from clr_cli.optional import PICTURES
from clr_cli.output import as_json
from clr_cli.parser import count
from clr_cli.record_arguments import add_record, flag, groups_of, record_given
from clr_core import Schedule
from clr_core.adapter import file_name, suffix, write
from clr_core.record import Record
from clr_core.verification import Verdict, picture, verify
from clr_core.verification.log import RunLog, read_rates


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
"""
    add_record(parser)
    parser.add_argument(
        "log", metavar="LOG", help="CSV, JSON or JSON lines with steps and rates; or TensorBoard's"
    )
    parser.add_argument("--lr-column", metavar="NAME", help="the log's column with the rates")
    parser.add_argument("--step-column", metavar="NAME", help="the log's column with the steps")
    parser.add_argument(
        "--group",
        type=count(0, 2**20),
        metavar="N",
        help="the schedule's number, from 0, if the record has several",
    )
    parser.add_argument("--plot", metavar="FILE", help="write a picture of both: .png or .svg")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the verdict; return 1 unless the run followed its schedule."""
    name = None if options.plot is None else file_name(options.plot, PICTURES)
    schedule = _chosen(record_given(options), options.group)
    logged = _read(options.log, options.lr_column, options.step_column)
    verdict = verify(schedule, *logged)
    if name is not None:
        write(name, _picture(schedule, logged, verdict, suffix(name)))
    print(as_json(verdict.to_dict()) if options.json else verdict.sentence)
    return 0 if verdict.status == "followed" else 1


def _chosen(record: Record, group: int | None) -> Schedule:
    schedules = groups_of(record)
    if group is None and len(schedules) > 1:
        raise ValueError(f"--group must be given: the record has {len(schedules)} schedules")
    if (group or 0) >= len(schedules):
        raise ValueError(f"--group must be below {len(schedules)}. Received: --group {group}")
    return schedules[group or 0]


def _read(name: str, lr: str | None, step: str | None) -> RunLog:
    mode = os.stat(name).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{name!r} must be a file or a folder")  # A pipe might never end.
    try:
        return read_rates(name, lr=lr, step=step)
    except ValueError as error:
        text = str(error)
        for argument in ("lr", "step"):  # Name them as the command does.
            text = text.replace(f"`{argument}=`", flag(f"{argument}_column"))
        raise ValueError(text) from None


def _picture(schedule: Schedule, logged: RunLog, verdict: Verdict, suffix: str) -> bytes:
    # Drawn in another folder, so that a failure midway leaves an existing file as it was.
    with TemporaryDirectory() as folder:
        path = Path(folder, f"run{suffix}")
        picture(schedule, logged.steps, logged.lrs, verdict, path)
        return path.read_bytes()
