"""The record that a command is given: as a file, on standard input, or by flags."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from clr_cli.output import errors_in
from clr_cli.parser import MOST_STEPS, count, number
from clr_core import CyclicSchedule, Schedule
from clr_core.adapter import LARGEST_STEP, file_name, from_json, read_text
from clr_core.record import MAX_BYTES, Record, schema
from clr_core.schedules.samples import usual_end

if TYPE_CHECKING:
    from clr_core.range_finding.result import RangeTestResult

STDIN = "-"
MOST_BYTES = 2**26  # Of the result of a range test: some 500,000 steps.
FILE = "a record (.json, .yaml, .yml or .toml); - for JSON from standard input"


def add_record(parser: ArgumentParser) -> None:
    """Add FILE, and the flags that may stand in for it."""
    parser.add_argument("file", metavar="FILE", nargs="?", help=FILE)
    add_key(parser)
    add_flags(parser, "a schedule in place of FILE")


def add_key(parser: ArgumentParser, name: str = "--key", of: str = "FILE") -> None:
    """Add a flag for the place of a record in a file."""
    parser.add_argument(
        name,
        metavar="KEY",
        help=f"the place of the record or schedule in {of}, such as trainer.lr_schedule; default: "
        "all of it",
    )


def add_flags(parser: ArgumentParser, title: str) -> None:
    """Add a flag for each parameter of a `CyclicSchedule`, and `--step`."""
    add_parameters(parser, title).add_argument(
        "--step", type=count(0, LARGEST_STEP), metavar="STEP", help="updates done; default: 0"
    )


def add_parameters(
    parser: ArgumentParser, title: str, without: Collection[str] = ()
) -> _ArgumentGroup:
    """Add a flag for each parameter of a `CyclicSchedule`, except some."""
    group = parser.add_argument_group(title)
    titles, hints = _titles(), get_type_hints(CyclicSchedule)
    for each in PARAMETERS:
        if each.name in without:
            continue
        is_text = str in (hints[each.name], *get_args(hints[each.name]))
        default = f"{each.default:g}" if isinstance(each.default, float) else each.default
        group.add_argument(
            flag(each.name),
            type=str if is_text else number,
            metavar="TEXT" if is_text else "NUMBER",
            help=titles[each.name]
            + ("" if default in (MISSING, None) else f"; default: {default}"),
        )
    return group


PARAMETERS = [each for each in fields(CyclicSchedule) if each.init]


def _titles() -> dict[str, str]:
    """The title of each parameter in the schema, and its values if they are few."""
    return {
        name: each["title"][:1].lower()
        + each["title"][1:]
        + (f": {', '.join(each['enum'])}" if "enum" in each else "")
        for name, each in json.loads(schema())["$defs"]["cyclic"]["properties"].items()
    }


def record_given(options: Namespace) -> Record:
    """The record that the arguments of `add_record` give."""
    return one_record(options.file, flags(options), options.step, options.key)


def one_record(
    file: str | None, given: Mapping[str, Any], step: int | None, key: str | None = None
) -> Record:
    """The record in a file, or with the schedule that flags give.

    Raises:
        ValueError: Both are given, or neither.
    """
    if file is None:
        if key is not None:
            raise ValueError(f"--key must be given with a FILE. Received: --key {key}")
        if not given:
            raise ValueError(
                "A schedule must be given: as a FILE, as - for standard input, or by flags such as "
                "--base-lr and --max-lr"
            )
        return Record(schedule_of(given), step or 0)
    named = [flag(name) for name in given] + ["--step"] * (step is not None)
    if named:
        raise ValueError(
            f"A schedule must be given once. Received: the file {file!r} and {', '.join(named)}"
        )
    return read_record(file, key)


def flags(options: Namespace) -> dict[str, Any]:
    """The parameters that were given by flags."""
    values = {each.name: getattr(options, each.name, None) for each in PARAMETERS}
    return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """The flag of a parameter, `--base-lr` for `base_lr`."""
    return f"--{name.replace('_', '-')}"


def schedule_of(given: Mapping[str, Any]) -> CyclicSchedule:
    """The schedule with these parameters.

    Raises:
        TypeError, ValueError: Parameters are missing or wrong.
    """
    needed = [each.name for each in PARAMETERS if each.default is MISSING]
    missing = [flag(name) for name in needed if name not in given]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be given. "
            f"Received: {', '.join(flag(name) for name in given)}"
        )
    return CyclicSchedule(**given)


def read_record(name: str, key: str | None = None) -> Record:
    """Read a record from a file or as JSON from standard input.

    Raises:
        ValueError: The content isn't a record.
        OSError: The file doesn't exist or can't be read.
    """
    text = read_stdin() if name == STDIN else ""
    with errors_in(
        {"`text` must be the JSON of": "Standard input must be", "`Record.read(…, key=…)`": "--key"}
    ):
        return Record.from_json(text, key=key) if name == STDIN else Record.read(name, key=key)


def read_result(name: str) -> RangeTestResult:
    """Read the result of a range test from a file or as JSON from standard input.

    Raises:
        ValueError: The content isn't a result.
        OSError: The file doesn't exist or can't be read.
    """
    from clr_core.range_finding.result import RangeTestResult

    file = None if name == STDIN else file_name(name, (".json",))
    text = read_stdin(MOST_BYTES) if file is None else ""
    try:
        return RangeTestResult.from_dict(
            from_json(text if file is None else read_text(file, MOST_BYTES))
        )
    except (TypeError, ValueError) as error:
        what = "Standard input" if file is None else repr(file)
        raise ValueError(f"{what} must be the result of a range test: {error}") from None


def read_stdin(limit: int = MAX_BYTES) -> str:
    """Read standard input as text.

    Raises:
        ValueError: It has more than `limit` bytes, or isn't UTF-8.
    """
    data = b"" if sys.stdin is None else sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"Standard input may have at most {limit} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Standard input must be UTF-8 text: {error.reason} at byte {error.start}"
        ) from None


def groups_of(record: Record) -> tuple[Schedule, ...]:
    """The schedules of a record: one for each parameter group, or one for all."""
    return record.schedule if isinstance(record.schedule, tuple) else (record.schedule,)


def usual_steps(schedules: Iterable[Schedule]) -> int:
    """The default number of steps to compute: as many as a picture shows, within bounds."""
    return min(max(map(usual_end, schedules)), MOST_STEPS)
