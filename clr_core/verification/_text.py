"""Read the rows of a log that is text: a table, JSON, JSON lines, or names and numbers in lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from clr_core._arguments import listed
from clr_core._parsing import MAX_DEPTH, mapping
from clr_core.verification._table import MAX_BYTES, NUMBER, Table

if TYPE_CHECKING:
    from pathlib import Path

# What a line of text says of a name: `lr: 1e-3`, `'lr': '0.001'`, `Step [50/600]`, `lr 0.001`.
_PAIR = re.compile(
    r"(?<![\w./-])((?i:learning rate)|[A-Za-z_][\w./-]{0,60})['\"]?[ \t]{0,4}[:=]?[ \t]{0,4}"
    rf"[\[({{'\"]{{0,2}}(\d{{1,3}}(?:,\d{{3}})+(?![\d.])|{NUMBER})"
)
_NUMBER_ALONE = re.compile(rf"(?:^|[\s:]){NUMBER}(?:\s|$)")
_METRIC = re.compile(r"\d{13} \S+ \d+\s*")  # MLflow's: milliseconds, value, step.


def read_text(path: Path, table: Table) -> None:
    """Add the rows of a text file.

    Raises:
        OSError: It can't be read.
        ValueError: It is too large, empty, not text, or has lines that can't be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} must have at most 256 MiB. Log fewer lines, or cut it.")
    try:
        _read(path, table)
    except UnicodeError:
        with path.open("rb") as file:
            hint = " Unpack it first." if file.read(2) in (b"\x1f\x8b", b"PK") else ""
        raise ValueError(f"{path} must be text: CSV, JSON or JSON lines in UTF-8.{hint}") from None


def _read(path: Path, table: Table) -> None:
    rows = ((number, line) for number, line in enumerate(_lines(path), start=1) if line.strip())
    begin = next(rows, None)
    if begin is None:
        raise ValueError(f"{path} must contain at least one line; it is empty")
    first = begin[1].lstrip()
    if first[0] in "{[":
        try:
            _read_json(path, table, begin, rows)
        except ValueError:
            # A line may begin with the time in brackets, or be a dict as Python prints it.
            if len(table) or not (first[0] == "[" or first[1:2] == "'"):
                raise
            _read_pairs(path, table)
            if not len(table):
                raise
    elif _METRIC.fullmatch(first):
        for number, line in chain([begin], rows):
            _, rate, step = line.split()
            table.add(number, {"lr": rate, "step": step})
    elif table.has_rates(_cells(first)) and not any(map(_NUMBER_ALONE.search, _cells(first))):
        _read_table(path, table)
    else:
        _read_pairs(path, table)
        if not len(table) and "=" not in first:
            table.forget()
            table.has_rates(_cells(first))  # The names of its columns are for the message.


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    with path.open(encoding="utf-16" if utf16 else "utf-8-sig") as text:
        yield from text


def _read_table(path: Path, table: Table) -> None:
    lines = _lines(path)
    header = next(line for line in lines if line.strip())
    reader = _reader(header, lines)
    try:
        wanted: list[tuple[int, str]] = []
        for row in reader:
            if not wanted or _is_header(table, row, wanted):
                wanted = [(i, name) for i, name in enumerate(row) if table.kind(name)]
                names = [name for _, name in wanted]
                twice = next((name for name in names if names.count(name) > 1), None)
                if twice is not None:
                    raise ValueError(
                        f"{path} must not have duplicated columns. "
                        f"Received: {listed([twice])} twice"
                    )
            else:
                table.add(
                    reader.line_num, {name: row[i].strip() for i, name in wanted if i < len(row)}
                )
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _is_header(table: Table, row: list[str], wanted: list[tuple[int, str]]) -> bool:
    """True if a run that resumed wrote its header again, maybe another one."""
    cell = row[wanted[0][0]].strip() if wanted[0][0] < len(row) else ""
    return cell[:1].isalpha() and table.has_rates(row)


def _cells(header: str) -> list[str]:
    try:
        return next(_reader(header.strip()), [])
    except csv.Error:
        return []


def _reader(header: str, lines: Iterable[str] = ()) -> Any:
    header = header.lstrip("# ")
    delimiter = max(",;\t|", key=header.count)
    if delimiter not in header:
        delimiter = " "
    # Strict: otherwise an open quote would swallow the rest of the file.
    return csv.reader(
        chain([header], lines),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )


def _read_pairs(path: Path, table: Table) -> None:
    table.forget()  # Columns of a table and keys of JSON, if any were looked up, are no names here.
    for number, line in enumerate(_lines(path), start=1):
        table.add(number, dict(_PAIR.findall(line)))


def _read_json(
    path: Path, table: Table, begin: tuple[int, str], rest: Iterable[tuple[int, str]]
) -> None:
    after = next(iter(rest), None)
    try:
        document = _from_json(begin[1])
    except ValueError as error:
        try:
            document, after = _from_json("".join(_lines(path))), None
        except ValueError:
            raise table.error(begin[0], f"not JSON: {error}") from None
    if after is None:
        table.unit = ", entry "
        for number, row in enumerate(_rows_of(document, table), start=1):
            table.add(number, _flat(row, table, number))
        return
    for number, line in chain([begin, after], rest):
        try:
            row = _from_json(line)
        except ValueError as error:
            raise table.error(number, f"not JSON: {error}") from None
        table.add(number, _flat(row, table, number))


def _from_json(text: str) -> Any:
    try:
        # Numbers as text, to count the digits that were logged.
        return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=mapping)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _rows_of(document: Any, table: Table) -> Iterable[Any]:
    """The rows of a document: the first list of objects, or object of lists, that has rates."""
    level = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            if isinstance(node, list) and any(
                isinstance(row, dict) and table.has_rates(_flat(row, table, 0)) for row in node
            ):
                return node
            if isinstance(node, dict):
                columns = {
                    name: values
                    for name, values in node.items()
                    if isinstance(values, list) and not any(isinstance(v, dict) for v in values)
                }
                if table.has_rates(columns) and not _flat_rated(node, columns, table):
                    return _transposed(columns, table)
                below.extend(value for value in node.values() if isinstance(value, dict | list))
        level = below
    if isinstance(document, list) and document and _is_scalar_triple(document[0]):
        return _scalars(document, table)
    table.forget()  # A list with the rates of the groups is no column.
    return document if isinstance(document, list) else [document]


def _flat_rated(node: Mapping[str, Any], columns: Mapping[str, Any], table: Table) -> bool:
    """True if an object is a row whose rate is a list of one per group."""
    steps = [name for name in node if (kind := table.kind(name)) and kind.what == "step"]
    return bool(steps) and not any(name in columns for name in steps)


def _transposed(columns: Mapping[str, list[Any]], table: Table) -> Iterator[dict[str, Any]]:
    kept = {name: values for name, values in columns.items() if table.kind(name)}
    for i in range(max(map(len, kept.values()))):
        yield {name: values[i] for name, values in kept.items() if i < len(values)}


def _scalars(rows: Iterable[Any], table: Table) -> Iterator[dict[str, Any]]:
    """The rows of TensorBoard's own JSON: wall time, step, value."""
    for number, row in enumerate(rows, start=1):
        if not _is_scalar_triple(row):
            raise table.error(number, "must be a list of a wall time, a step and a rate")
        yield dict(zip(("step", "lr"), row[1:], strict=True))


def _is_scalar_triple(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 3 and not any(isinstance(v, list) for v in row)


def _flat(row: Any, table: Table, place: int, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The row with names such as "optimizer/lr" for an object in it, and "lr/0" for a list."""
    if not isinstance(row, dict):
        raise table.error(place, "must be an object with a step and a rate")
    flat: dict[str, Any] = {}
    for name, value in row.items():
        name = f"{prefix}{name}"
        if isinstance(value, dict) and depth < MAX_DEPTH:
            flat |= _flat(value, table, place, f"{name}/", depth + 1)
        elif isinstance(value, list) and len(value) == 1:
            [flat[name]] = value
        elif isinstance(value, list):
            flat |= {f"{name}/{i}": each for i, each in enumerate(value)}
        else:
            flat[name] = value
    return flat
