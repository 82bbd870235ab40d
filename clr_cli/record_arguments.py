"""The record that a command is given: as a file, on standard input, or by flags."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from clr_cli.parser import count
from clr_core import CyclicSchedule, schedule_from_dict
from clr_core.adapter import file_name, from_json, read_text, suffix
from clr_core.record import MAX_BYTES, PARSERS, Record, schema

if TYPE_CHECKING:
    from clr_core.range_finding.result import RangeTestResult

Found = TypeVar("Found")
STDIN = "-"
PARAMETERS = [each for each in fields(CyclicSchedule) if each.init]
FILE = "a record (.json, .yaml, .yml or .toml); - for JSON from standard input"


def add_record(parser: ArgumentParser) -> None:
    """Adds FILE, and in its place a flag for each parameter of a schedule."""
    parser.add_argument("file", metavar="FILE", nargs="?", help=FILE)
    add_flags(parser, "a schedule in place of FILE")


def add_flags(parser: ArgumentParser, title: str) -> None:
    """Adds a flag for each parameter of a schedule, and `--step`."""
    group = add_parameters(parser, title)
    group.add_argument(
        "--step", type=count(0, 2**53), metavar="STEP", help="updates done; default: 0"
    )


def add_parameters(
    parser: ArgumentParser, title: str, without: Collection[str] = ()
) -> _ArgumentGroup:
    """Adds a flag for each parameter of a schedule, but for some."""
    group = parser.add_argument_group(title)
    titles = json.loads(schema())["$defs"]["schedule"]["properties"]
    for each in PARAMETERS:
        if each.name in without:
            continue
        number = "float" in str(each.type)
        given = each.default not in (MISSING, None)
        default = f"; default: {f'{each.default:g}' if number else each.default}" if given else ""
        group.add_argument(
            flag(each.name),
            type=float if number else str,
            metavar="NUMBER" if number else "TEXT",
            default=None,
            help=_small(titles[each.name]["title"]) + default,
        )
    return group


def record_given(options: Namespace) -> Record:
    """The record that the arguments of `add_record` name."""
    return one_record(options.file, flags(options), options.step)


def one_record(file: str | None, given: Mapping[str, Any], step: int | None) -> Record:
    """The record in a file, or the one of these parameters; an error where there are both."""
    if file is None:
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
    return read_record(file)


def flags(options: Namespace) -> dict[str, Any]:
    """The parameters that were given by flags."""
    values = {each.name: getattr(options, each.name, None) for each in PARAMETERS}
    return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """The flag of a parameter, `--base-lr` for `base_lr`."""
    return f"--{name.replace('_', '-')}"


def schedule_of(given: Mapping[str, Any]) -> CyclicSchedule:
    """The schedule of these parameters, or an error that names the flags that are missing."""
    missing = [
        flag(each.name) for each in PARAMETERS if each.default is MISSING and each.name not in given
    ]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be given. "
            f"Received: {', '.join(flag(name) for name in given)}"
        )
    return CyclicSchedule(**given)


def read_record(name: str) -> Record:
    """The record in a file, or in JSON on standard input; also of a schedule by itself.

    Raises:
        ValueError: What is there isn't that.
        OSError: The file isn't there or can't be read.
    """
    return _read(name, PARSERS, "a record", _record)


def read_result(name: str) -> RangeTestResult:
    """What a range test has found, in a file or in JSON on standard input.

    Raises:
        ValueError: What is there isn't that.
        OSError: The file isn't there or can't be read.
    """
    from clr_core.range_finding.result import RangeTestResult

    parsers = {".json": from_json}
    return _read(name, parsers, "the result of a range test", RangeTestResult.from_dict)


def _read(
    name: str, parsers: Mapping[str, Callable[[str], Any]], kind: str, made: Callable[[Any], Found]
) -> Found:
    what, parse, text = "Standard input", parsers[".json"], ""
    if name == STDIN:
        text = read_stdin()
    else:
        suffixed = file_name(name, tuple(parsers))
        what, parse = repr(name), parsers[suffix(suffixed)]
    try:
        return made(parse(text if name == STDIN else read_text(name, MAX_BYTES)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be {kind}: {error}") from None


def _record(document: Any) -> Record:
    if isinstance(document, Mapping) and "kind" in document and "format" not in document:
        return Record(schedule_from_dict(document))
    return Record.from_dict(document)


def read_stdin(limit: int = MAX_BYTES) -> str:
    """The text on standard input.

    Raises:
        ValueError: There is none, or more than `limit` bytes, or it isn't UTF-8.
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


def groups_of(record: Record) -> tuple[CyclicSchedule, ...]:
    """The schedule of each parameter group; one where there is one for all."""
    return record.schedule if isinstance(record.schedule, tuple) else (record.schedule,)


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]
