"""Plain data from YAML, by the events of PyYAML and none of its constructors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from clr_core._parsing import MAX_DEPTH, without_twins

# A megabyte takes the one in C half a second, and the one in Python ten.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?", re.ASCII
)


def parsed(text: str) -> Any:
    """The value of the one document in `text`; see `clr_core._parsing.from_yaml`."""
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)[:100]
        raise ValueError(f"{problem}: line {mark.line + 1} column {mark.column + 1}") from None
    except yaml.YAMLError as error:  # A character that no YAML may have.
        raise ValueError(" ".join(str(error).split())) from None


def _document(events: Iterator[Any]) -> Any:
    next(events)  # The stream starts.
    if isinstance(next(events), yaml.StreamEndEvent):
        raise ValueError("it is empty")
    value = _value(next(events), events, 0)
    next(events)  # The document ends.
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise ValueError("it has more than one document")
    return value


def _value(event: Any, events: Iterator[Any], depth: int) -> Any:
    # An alias stands for all that its anchor holds: ten lines of them may stand for billions.
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise ValueError(f"it has an anchor or an alias in line {_line(event)}")
    if event.tag is not None:
        raise ValueError(f"it has a tag in line {_line(event)}")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if depth == MAX_DEPTH:
        raise ValueError("it is nested too deep")
    if isinstance(event, yaml.SequenceStartEvent):
        items = _until(yaml.SequenceEndEvent, events)
        return [_value(item, events, depth + 1) for item in items]
    pairs = []
    for key in _until(yaml.MappingEndEvent, events):
        if not isinstance(key, yaml.ScalarEvent) or key.tag is not None or key.anchor is not None:
            raise ValueError(f"it has a key that isn't plain text in line {_line(key)}")
        pairs.append((key.value, _value(next(events), events, depth + 1)))
    return without_twins(pairs)


def _until(end: type, events: Iterator[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, end):
            return
        yield event


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str) -> Any:
    """A scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("+-").isdigit() else float(text)
