"""The record that a command is given: as a file, on standard input, or by flags."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from clr_cli.parser import MOST_STEPS, count, number
from clr_core import Schedule
from clr_core.adapter import LARGEST_STEP, file_name, from_json, read_text
from clr_core.record import MAX_BYTES, Record, schema
from clr_core.schedules import KINDS, USUAL, kind_of
from clr_core.schedules.samples import usual_end

if TYPE_CHECKING:
    from clr_core.range_finding.result import RangeTestResult

Parameter = Field[Any]
STDIN = "-"
MOST_BYTES = 2**26  # Of the result of a range test: some 500,000 steps.
_PREFIX = "parameter_"  # So that a parameter isn't taken for an option of the same name.
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
    """Add a flag for each parameter of each kind of schedule, and `--step`."""
    kinds = [kind for kind in KINDS if _fits_flags(kind)]
    group = add_parameters(parser, title, kinds)
    if len(kinds) > 1:
        group.add_argument(
            "--kind",
            dest=_PREFIX + "kind",
            choices=kinds,
            help=f"kind of schedule; default: {USUAL}",
        )
    group.add_argument(
        "--step", type=count(0, LARGEST_STEP), metavar="STEP", help="updates done; default: 0"
    )


def add_parameters(
    parser: ArgumentParser,
    title: str,
    kinds: Iterable[str] = (USUAL,),
    without: Collection[str] = (),
) -> _ArgumentGroup:
    """Add a flag for each parameter of these kinds of schedules, except some."""
    group = parser.add_argument_group(title)
    titles = _titles()
    added = set(without)
    for kind in kinds:
        for each, read in _readers(kind):
            if read is None or each.name in added:
                continue
            added.add(each.name)
            default = each.default
            shown = f"{default:g}" if isinstance(default, float) else default
            group.add_argument(
                flag(each.name),
                dest=_PREFIX + each.name,
                type=number if read is float else read,
                metavar="TEXT" if read is str else "NUMBER",
                help=titles.get(each.name, each.name.replace("_", " "))
                + ("" if default in (MISSING, None) else f"; default: {shown}"),
            )
    return group


def parameters(kind: str) -> list[Parameter]:
    """The parameters of a kind of schedule: the fields of its class."""
    made = kind_of(kind)
    return [each for each in fields(made) if each.init] if is_dataclass(made) else []


PARAMETERS = parameters(USUAL)


def _readers(kind: str) -> Iterator[tuple[Parameter, Callable[[str], Any] | None]]:
    """Each parameter with the type that reads its value from text; None if none can."""
    hints = get_type_hints(kind_of(kind))
    for each in parameters(kind):
        hint = hints[each.name]
        types = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        yield each, next((type for type in (float, int, str) if type in types), None)


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is MISSING and parameter.default_factory is MISSING


def _fits_flags(kind: str) -> bool:
    """True if flags can give a schedule of this kind, since it needs only numbers and text."""
    found = list(_readers(kind))
    return bool(found) and not any(read is None and _is_needed(each) for each, read in found)


def _titles() -> dict[str, str]:
    """The title of each parameter in the schema, and its values if they are few."""
    definitions = json.loads(schema())["$defs"].values()
    return {
        name: each["title"][:1].lower()
        + each["title"][1:]
        + (f": {', '.join(each['enum'])}" if "enum" in each else "")
        for definition in definitions
        for name, each in definition.get("properties", {}).items()
        if "title" in each
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
    """The parameters that were given by flags, and the kind."""
    names = ["kind", *(each.name for kind in KINDS for each in parameters(kind))]
    values = {name: getattr(options, _PREFIX + name, None) for name in dict.fromkeys(names)}
    return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """The flag of a parameter, `--base-lr` for `base_lr`."""
    return f"--{name.replace('_', '-')}"


def schedule_of(given: Mapping[str, Any]) -> Schedule:
    """The schedule with these parameters.

    Raises:
        TypeError, ValueError: Parameters are missing, belong to another kind, or are wrong.
    """
    kind = given.get("kind", USUAL)
    own = parameters(kind)
    missing = [flag(each.name) for each in own if _is_needed(each) and each.name not in given]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be given. "
            f"Received: {', '.join(flag(name) for name in given)}"
        )
    known = {"kind", *(each.name for each in own)}
    foreign = [flag(name) for name in given if name not in known]
    if foreign:
        raise ValueError(f"{' and '.join(foreign)} must be left out with --kind {kind}")
    values = {name: value for name, value in given.items() if name != "kind"}
    schedule: Schedule = kind_of(kind)(**values)
    return schedule


def read_record(name: str, key: str | None = None) -> Record:
    """Read a record from a file or as JSON from standard input.

    Raises:
        ValueError: The content isn't a record.
        OSError: The file doesn't exist or can't be read.
    """
    text = read_stdin() if name == STDIN else ""
    try:
        return Record.from_json(text, key=key) if name == STDIN else Record.read(name, key=key)
    except ValueError as error:
        said = str(error).replace("`text` must be the JSON of", "Standard input must be")
        raise ValueError(said.replace("`Record.read(…, key=…)`", "--key")) from None


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
