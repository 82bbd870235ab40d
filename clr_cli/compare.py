"""`clr compare`: whether two schedules differ, at which steps, and by how much."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from inspect import signature
from typing import Any

from clr_cli.optional import PICTURES, write_picture
from clr_cli.output import as_json, say, say_text, table, target
from clr_cli.parser import MOST_STEPS, count
from clr_cli.plot import figure_of
from clr_cli.record_arguments import FILE, STDIN, add_key, groups_of, read_record, usual_steps
from clr_core import PiecewiseSchedule, Schedule
from clr_core.adapter import visible
from clr_core.conformance import ulps_apart
from clr_core.record import Record
from clr_core.schedules import families
from clr_core.schedules.samples import CYCLES
from clr_core.verification import verify

MOST_ROWS = 40
"""How many parameters that differ are shown."""
MOST_SAMPLES = 800
"""At how many steps an explanation is looked for."""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr compare`."""
    parser.description = (
        "Compare two schedules or records: the parameters that differ, the first step at which\n"
        "their rates differ, the largest difference, and which arguments or cause would explain\n"
        "it. The exit code is 0 if the records are equal, and 1 if they differ."
    )
    parser.epilog = """\
examples:
  clr compare run.json other.json
  clr compare run.json other.yaml --steps 12000 --json
  clr compare run.json other.yaml --out both.png
"""
    parser.add_argument("a", metavar="A", help=FILE)
    parser.add_argument("b", metavar="B", help="likewise")
    add_key(parser, of="A and in B")
    add_key(parser, "--key-a", "A")
    add_key(parser, "--key-b", "B")
    parser.add_argument(
        "--steps",
        type=count(),
        metavar="N",
        help=f"compare the rates at steps 0 to N-1; default: {CYCLES} cycles of the longer one, "
        f"at most {MOST_STEPS} steps",
    )
    parser.add_argument(
        "--out", metavar="PICTURE", help="also write a picture of both: .png, .svg or .pdf"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: Namespace) -> int:
    """Print the differences; the exit code is 1 if there are any."""
    name = target("--out", options.out, PICTURES)
    if options.a == options.b == STDIN:
        raise ValueError("A and B can't both be read from standard input")
    if options.key is not None and (options.key_a is not None or options.key_b is not None):
        raise ValueError("--key must be left out with --key-a or --key-b")
    a = read_record(options.a, options.key_a if options.key is None else options.key)
    b = read_record(options.b, options.key_b if options.key is None else options.key)
    found = differences(a, b, options.steps)
    if name is not None:
        records = {f"A: {visible(options.a)}": a, f"B: {visible(options.b)}": b}
        write_picture(name, figure_of(records, options.steps))
    if options.json:
        say_text(as_json(found | {"out": name}))
    else:
        say(*_lines(found))
    return 0 if found["equal"] else 1


def differences(a: Record, b: Record, steps: int | None) -> dict[str, Any]:
    """The differences between two records, as plain data."""
    left, right = groups_of(a), groups_of(b)
    groups = [_group(*pair, steps) for pair in zip(left, right, strict=False)]
    record = {}
    if a.step != b.step:
        record["step"] = [a.step, b.step]
    if len(left) != len(right):
        record["groups"] = [len(left), len(right)]
    same = not record and not any(group["parameters"] for group in groups)
    return {"equal": same, "record": record, "groups": groups}


def _group(a: Schedule, b: Schedule, steps: int | None) -> dict[str, Any]:
    # Two kinds have some parameters in common, and others of which one has none.
    left, right = _flat(a.to_dict()), _flat(b.to_dict())
    parameters = {name: [left.get(name), right.get(name)] for name in left | right}
    parameters = {name: pair for name, pair in parameters.items() if pair[0] != pair[1]}
    if steps is None:
        steps = usual_steps([a, b])
    lr = momentum = None
    if parameters:  # Equal schedules have equal curves.
        lr = _curves(*([each.lr(step) for step in range(steps)] for each in (a, b)))
        if a.momentum(0) is not None and b.momentum(0) is not None:
            momentum = _curves(*([each.momentum(step) for step in range(steps)] for each in (a, b)))
    return {
        "parameters": parameters,
        "steps": steps,
        "lr": lr,
        "momentum": momentum,
        "mend": [] if lr is None else list(_mending(a, b, steps)),
    }


def _mending(a: Schedule, b: Schedule, steps: int) -> Iterator[str]:
    """The arguments of a function that would turn A into B, and a cause that explains B."""
    made = [
        families.arguments_of(each) if isinstance(each, PiecewiseSchedule) else None
        for each in (a, b)
    ]
    match made:
        case [(name, left), (other, right)] if name == other:
            parameters = signature(getattr(families, name)).parameters.values()
            defaults = {each.name: each.default for each in parameters}
            old, new = defaults | left, defaults | right
            changes = [f"{key}={new[key]!r}" for key in left | right if old[key] != new[key]]
            yield f"A becomes B with {', '.join(changes)} in {name}(…)"
    sampled = range(0, steps, -(-steps // MOST_SAMPLES))
    fault = verify(a, sampled, [b.lr(step) for step in sampled], first_step=0).fault
    if fault is not None:
        yield f"B would be a run of A that {fault}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested plain data in one level: {"phases.0.steps": 10.0}."""
    if not isinstance(value, dict | list):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    parts = (_flat(each, f"{name}.{key}" if name else str(key)) for key, each in items)
    return {key: each for part in parts for key, each in part.items()}


def _curves(a: list[Any], b: list[Any]) -> dict[str, Any] | None:
    """The first and the largest difference between two curves; None if they are equal."""
    # NaN isn't equal to itself, though it is the same rate.
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
            "float32_ulps": ulps_apart(x, y) if x == x and y == y else None,
        }

    return {"different": len(steps), "first": at(steps[0]), "largest": at(max(steps, key=apart))}


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
        rows = [[name, _text(a), _text(b)] for name, (a, b) in group["parameters"].items()]
        lines += table(["parameter", "A", "B"], rows[:MOST_ROWS])
        if len(rows) > MOST_ROWS:
            lines.append(f"and {len(rows) - MOST_ROWS} more parameters that differ")
        for what in ("lr", "momentum"):
            lines += _curve_lines(what, group)
        lines += group["mend"]
    return lines


def _text(value: object) -> str | None:
    return None if value is None else repr(value)


def _curve_lines(what: str, group: dict[str, Any]) -> list[str]:
    curve, steps = group[what], group["steps"]
    if curve is None:
        return [f"lr: the same at steps 0 to {steps - 1}"] if what == "lr" else []
    first, largest = curve["first"], curve["largest"]
    return [
        f"{what}: differs at {curve['different']} of {steps} steps",
        f"  first at step {first['step']}: {first['a']!r} and {first['b']!r}",
        f"  most at step {largest['step']}: {largest['a']!r} and {largest['b']!r}, "
        f"{largest['difference']!r} apart ({largest['float32_ulps']} float32 ulps)",
    ]
