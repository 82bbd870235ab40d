"""`clr export`: the curve as data, or the schedule as code for a framework."""

from __future__ import annotations

import csv
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

from clr_cli import snippets
from clr_cli.output import as_json, say_text
from clr_cli.parser import MOST_STEPS, count, framework
from clr_cli.record_arguments import add_record, groups_of, record_given, usual_steps
from clr_core.adapter import write
from clr_core.record import Record
from clr_core.schedules.samples import CYCLES


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr export`."""
    parser.description = (
        "Write the curve as data, with all digits of float64, or code that follows the schedule.\n"
        "The code runs as it is; replace its model by yours."
    )
    parser.epilog = """\
examples:
  clr export run.json --to csv --steps 12000
  clr export run.json --to npy --steps 12000 --out rates.npy
  clr export run.json --to torch
  clr export --base-lr 0.0015 --max-lr 0.006 --to jax --out schedule.py
"""
    add_record(parser)
    parser.add_argument(
        "--to",
        type=framework,
        required=True,
        choices=[*DATA, *snippets.WRITERS],
        help="the form to write",
    )
    parser.add_argument(
        "--steps",
        type=count(),
        metavar="N",
        help=f"for data: steps 0 to N-1; default: {CYCLES} cycles, at most {MOST_STEPS} steps",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write a file; needed for npy; default: standard output"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the text, or the name of the file"
    )


def run(options: Namespace) -> int:
    """Print or write the schedule in the form that was asked for."""
    writer = snippets.WRITERS.get(options.to)
    if options.to == "npy" and options.out is None:
        raise ValueError("--out must be given with --to npy, which isn't text")
    if writer is not None and options.steps is not None:
        raise ValueError(f"--steps must be left out with --to {options.to}, which has no end")
    record = record_given(options)
    if writer is not None:
        data = writer(groups_of(record), record.step).encode()
    else:
        data = DATA[options.to](record, options.steps or usual_steps(groups_of(record)))
    if options.out is not None:
        write(options.out, data)
    text = data.decode() if options.out is None else None
    if options.json:
        say_text(as_json({"to": options.to, "out": options.out, "text": text}))
    elif text is not None:
        say_text(text)
    return 0


def _columns(record: Record, steps: int) -> list[dict[str, list[Any]]]:
    """The steps, rates and momenta of each group."""
    columns = []
    for schedule in groups_of(record):
        column: dict[str, list[Any]] = {
            "step": list(range(steps)),
            "lr": [schedule.lr(step) for step in range(steps)],
        }
        if schedule.momentum(0) is not None:
            column["momentum"] = [schedule.momentum(step) for step in range(steps)]
        columns.append(column)
    return columns


def _csv(record: Record, steps: int) -> bytes:
    """A line for each step; with several groups, for each step of each, led by its group."""
    groups = _columns(record, steps)
    names = max((list(group) for group in groups), key=len)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = len(groups) > 1
    writer.writerow(["group"] * several + names)
    for index, group in enumerate(groups):
        absent: list[Any] = [None] * steps
        for row in zip(*(group.get(name, absent) for name in names), strict=True):
            writer.writerow([index] * several + list(row))
    return text.getvalue().encode()


def _json(record: Record, steps: int) -> bytes:
    """One document: the record, and the columns of each group."""
    groups = _columns(record, steps)
    document = {"record": record.to_dict(), "groups": groups}
    return (as_json(document, indent=None) + "\n").encode()


def _npy(record: Record, steps: int) -> bytes:
    """A structured array with the fields step, lr and momentum; several groups: a row each."""
    try:
        import numpy as np
    except ImportError:
        raise ImportError("NPY needs NumPy. Install it with: pip install numpy") from None
    groups = _columns(record, steps)
    names = max((list(group) for group in groups), key=len)
    types = [(name, np.int64 if name == "step" else np.float64) for name in names]
    array = np.zeros((len(groups), steps), types)
    array["momentum" if "momentum" in names else "lr"] = np.nan  # For groups without one.
    for row, group in zip(array, groups, strict=True):
        for name, values in group.items():
            row[name] = values
    data = BytesIO()
    np.save(data, array if len(groups) > 1 else array[0], allow_pickle=False)
    return data.getvalue()


DATA: dict[str, Callable[[Record, int], bytes]] = {"csv": _csv, "json": _json, "npy": _npy}
