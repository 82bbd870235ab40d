"""`clr compare`: where two schedules differ, and by how much."""

from __future__ import annotations

import struct
from argparse import ArgumentParser, Namespace
from typing import Any

from clr_cli.output import as_json, table
from clr_cli.parser import MOST_STEPS, count
from clr_cli.record_arguments import FILE, STDIN, groups_of, read_record
from clr_core import CyclicSchedule
from clr_core.conformance import float32
from clr_core.record import Record

CYCLES = 3


def configure(parser: ArgumentParser) -> None:
    """Adds the arguments of `clr compare`."""
    parser.description = (
        "Says which parameters of two schedules or records differ, at which step their rates do\n"
        "so first, and where the most. Ends with 0 where the records are equal, with 1 where not."
    )
    parser.epilog = """\
examples:
  clr compare run.json other.json
  clr compare run.json other.yaml --steps 12000 --json
"""
    parser.add_argument("a", metavar="A", help=FILE)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument(
        "--steps",
        type=count(),
        metavar="N",
        help=f"compare the rates of steps 0 to N-1; default: {CYCLES} cycles of the longer one, "
        f"and at most {MOST_STEPS} steps",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Prints the differences; 1 where there are some."""
    if options.a == options.b == STDIN:
        raise ValueError("A and B can't both be read from standard input")
    a, b = read_record(options.a), read_record(options.b)
    found = differences(a, b, options.steps)
    if options.json:
        print(as_json(found))
    else:
        print("\n".join(_lines(found)))
    return 0 if found["equal"] else 1


def differences(a: Record, b: Record, steps: int | None) -> dict[str, Any]:
    """What is different in two records, as plain data."""
    left, right = groups_of(a), groups_of(b)
    groups = [_group(*pair, steps) for pair in zip(left, right, strict=False)]
    record = {}
    if a.step != b.step:
        record["step"] = [a.step, b.step]
    if len(left) != len(right):
        record["groups"] = [len(left), len(right)]
    same = not record and not any(group["parameters"] for group in groups)
    return {"equal": same, "record": record, "groups": groups}


def _group(a: CyclicSchedule, b: CyclicSchedule, steps: int | None) -> dict[str, Any]:
    left, right = a.to_dict(), b.to_dict()
    names = [name for name in left if left[name] != right[name]]
    longer = max(a.cycle_size, b.cycle_size)
    if steps is None:
        steps = int(min(max(CYCLES * longer, 1.0), float(MOST_STEPS)))
    lr = momentum = None
    if names:  # Equal schedules have equal curves.
        lr = _curves(_rates(a, steps), _rates(b, steps))
        if a.momentum(0) is not None and b.momentum(0) is not None:
            momentum = _curves(_momenta(a, steps), _momenta(b, steps))
    return {
        "parameters": {name: [left[name], right[name]] for name in names},
        "steps": steps,
        "lr": lr,
        "momentum": momentum,
    }


def _rates(schedule: CyclicSchedule, steps: int) -> list[float]:
    return [schedule.lr(step) for step in range(steps)]


def _momenta(schedule: CyclicSchedule, steps: int) -> list[Any]:
    return [schedule.momentum(step) for step in range(steps)]


def _curves(a: list[float], b: list[float]) -> dict[str, Any] | None:
    """The first difference of two curves and the largest; None where there is none."""
    # NaN differs from itself, though it is the same value of a `scale_fn`.
    steps = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y and (x == x or y == y)]
    if not steps:
        return None

    def apart(step: int) -> float:
        distance = abs(a[step] - b[step])
        return distance if distance == distance else float("inf")

    def at(step: int) -> dict[str, Any]:
        x, y = a[step], b[step]
        return {
            "step": step,
            "a": x,
            "b": y,
            "difference": abs(x - y),
            "float32_ulps": float32_ulps(x, y),
        }

    return {"different": len(steps), "first": at(steps[0]), "largest": at(max(steps, key=apart))}


def float32_ulps(a: float, b: float) -> int | None:
    """How many float32 numbers lie between two rates; None where one isn't a number.

    >>> float32_ulps(0.5, 0.50000006)
    1
    """
    if a != a or b != b:
        return None
    return abs(_ordinal(float32(a)) - _ordinal(float32(b)))


def _ordinal(number: float) -> int:
    """The float32 numbers counted from 0.0, so that neighbours differ by 1."""
    (bits,) = struct.unpack("<i", struct.pack("<f", number))
    return int(bits) if bits >= 0 else -(int(bits) + 2**31)


def _lines(found: dict[str, Any]) -> list[str]:
    if found["equal"]:
        return ["The records are equal."]
    lines = [f"{name}: {a} and {b}" for name, (a, b) in found["record"].items()]
    for index, group in enumerate(found["groups"]):
        named = f"group {index}: " if len(found["groups"]) > 1 else ""
        if not group["parameters"]:
            lines.append(f"{named}the schedules are equal")
            continue
        if named:
            lines.append(f"{named}the schedules differ")
        rows = [[name, repr(a), repr(b)] for name, (a, b) in group["parameters"].items()]
        lines += table(["parameter", "A", "B"], rows)
        for what in ("lr", "momentum"):
            lines += _curve_lines(what, group)
    return lines


def _curve_lines(what: str, group: dict[str, Any]) -> list[str]:
    curve, steps = group[what], group["steps"]
    if curve is None:
        both = what == "lr" or "base_momentum" in group["parameters"]
        return [f"{what}: the same at steps 0 to {steps - 1}"] if both else []
    first, largest = curve["first"], curve["largest"]
    return [
        f"{what}: differs at {curve['different']} of {steps} steps",
        f"  first at step {first['step']}: {first['a']!r} and {first['b']!r}",
        f"  most at step {largest['step']}: {largest['a']!r} and {largest['b']!r}, "
        f"{largest['difference']!r} apart ({largest['float32_ulps']} float32 ulps)",
    ]
