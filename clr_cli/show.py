"""`clr show`: the cycles of a schedule, or its values at steps or in epochs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from fractions import Fraction
from itertools import islice
from typing import Any

from clr_cli.output import as_json, say, say_text, table
from clr_cli.parser import count, step_range, steps
from clr_cli.record_arguments import add_record, groups_of, record_given
from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import LARGEST_STEP
from clr_core.record import schedule_id
from clr_core.schedules.cycles import cycle_of, cycles
from clr_core.schedules.protocol import cycle_size_of
from clr_core.schedules.samples import usual_end

CYCLES = 5
MOST_CYCLES = 100_000

LONGEST = 1000
"""How many characters of a schedule are shown: hundreds of phases would hide the rest."""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr show`."""
    parser.description = (
        "Show a schedule: its cycles, or its values at steps or in epochs.\n"
        "Steps and cycles are counted from 0, epochs from 1; rates have all their digits."
    )
    parser.epilog = """\
examples:
  clr show run.json
  clr show run.json --epochs 24 --steps-per-epoch 500
  clr show --base-lr 0.0015 --max-lr 0.006 --mode triangular2 --at 0,2000,6000
"""
    add_record(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--at", type=steps, metavar="STEPS", help="values at these steps, such as 0,2000,4000"
    )
    which.add_argument(
        "--range",
        type=step_range,
        metavar="START:STOP:STRIDE",
        help="values at these steps, such as 0:4000:100; STOP is excluded",
    )
    which.add_argument(
        "--cycles",
        type=count(1, MOST_CYCLES),
        metavar="N",
        help=f"the first N cycles; default: {CYCLES}; for a schedule without cycles, as many turns",
    )
    which.add_argument("--epochs", type=count(), metavar="N", help="the first N epochs")
    parser.add_argument(
        "--steps-per-epoch", type=count(1, LARGEST_STEP), metavar="K", help="updates in an epoch"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the schedules."""
    if (options.epochs is None) != (options.steps_per_epoch is None):
        raise ValueError("--epochs and --steps-per-epoch must be given together")
    record = record_given(options)
    schedules = groups_of(record)
    shown = [_shown(schedule, record.step, options) for schedule in schedules]
    if options.json:
        say_text(as_json({"schedules": shown}))
        return 0
    for group, (schedule, each) in enumerate(zip(schedules, shown, strict=True)):
        if group:
            say("")
        if len(schedules) > 1:
            say(f"group {group}")
        say(*_lines(schedule, each))
    return 0


def _shown(schedule: Schedule, step: int, options: Namespace) -> dict[str, Any]:
    document = {
        "id": schedule_id(schedule),
        "schedule": schedule.to_dict(),
        **_value(schedule, step),
    }
    at = options.at or options.range
    if at is not None:
        return document | {"values": [_value(schedule, each) for each in at]}
    if options.epochs is not None:
        return document | _epochs(schedule, options.epochs, options.steps_per_epoch)
    most = options.cycles or CYCLES
    if isinstance(schedule, CyclicSchedule):
        return document | {"cycles": _cycles(schedule, most)}
    turns = schedule.turns(0, usual_end(schedule, most))
    return document | {"turns": [_value(schedule, each) for each in turns]}


def _value(schedule: Schedule, step: int) -> dict[str, Any]:
    value = {"step": step, **_cycle(schedule, step), "lr": schedule.lr(step)}
    momentum = schedule.momentum(step)
    return value if momentum is None else value | {"momentum": momentum}


def _cycle(schedule: Schedule, step: int) -> dict[str, int]:
    """The cycle that contains a step, if the schedule has cycles."""
    size = cycle_size_of(schedule)
    return {} if size is None else {"cycle": cycle_of(step, size)}


def _cycles(schedule: CyclicSchedule, most: int) -> list[dict[str, Any]]:
    rows = []
    for each in islice(cycles(schedule.step_size_up, schedule.cycle_size), most):
        steps = {"first": each.first, "turn": each.turn, "last": each.last}
        rows.append({"cycle": each.index, **steps, **_rates(schedule, steps)})
    return rows


def _rates(schedule: Schedule, steps: dict[str, int]) -> dict[str, float]:
    return {f"lr_{name}": schedule.lr(step) for name, step in steps.items()}


def _epochs(schedule: Schedule, epochs: int, size: int) -> dict[str, Any]:
    total = epochs * size
    if total > LARGEST_STEP:
        raise ValueError(
            "--epochs times --steps-per-epoch must be at most 2**53. "
            f"Received: {epochs} times {size}"
        )
    rows = []
    for epoch in range(epochs):
        steps = {"first": epoch * size, "last": (epoch + 1) * size - 1}
        cycle = _cycle(schedule, steps["first"])
        rows.append({"epoch": epoch + 1, **steps, **cycle, **_rates(schedule, steps)})
    length = cycle_size_of(schedule)
    whole = {} if length is None else {"whole_cycles": float(Fraction(total) / Fraction(length))}
    return {"steps": total, **whole, "epochs": rows}


def _lines(schedule: Schedule, shown: dict[str, Any]) -> list[str]:
    cycle = f", in cycle {shown['cycle']}" if "cycle" in shown else ""
    now = f"{shown['step']}{cycle}: lr {shown['lr']!r}"
    if "momentum" in shown:
        now += f", momentum {shown['momentum']!r}"
    text = repr(schedule)
    lines = [
        f"schedule  {text if len(text) <= LONGEST else f'{text[:LONGEST]} …'}",
        f"id        {shown['id']}",
        f"step      {now}",
    ]
    if "epochs" in shown:
        whole = shown.get("whole_cycles")
        unit = "cycle" if whole == 1 else "cycles"
        counted = "" if whole is None else f", {whole:g} {unit}"
        lines.append(f"training  {shown['steps']} steps{counted}")
    rows = next(shown[name] for name in ("values", "epochs", "cycles", "turns") if name in shown)
    head = [name.replace("_", " ") for name in rows[0]]
    return [*lines, "", *table(head, [list(row.values()) for row in rows])]
