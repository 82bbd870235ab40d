"""Parse untrusted YAML from the events of PyYAML, without its constructors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from clr_core._parsing import MAX_DEPTH, mapping

try:
    import yaml  # type: ignore[import-untyped, unused-ignore]
except ImportError as error:
    raise ImportError(
        "Reading YAML needs PyYAML. Install it with: pip install 'cyclical-lr[yaml]'"
    ) from error

# For a megabyte, the one in C takes half a second, the one in Python ten.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?", re.ASCII
)


def from_yaml(text: str) -> Any:
    """Parse a YAML text: one document of mappings, lists and scalars.

    A number is what JSON, TOML and YAML 1.2 write as one. So `1e-4` is a number, which PyYAML alone
    takes for text; and `no`, `010` and `1:30` are text, which it takes for False, 8 and 90.

    Raises:
        ValueError: It isn't YAML, a key is duplicated, or it has tags, anchors or aliases.
    """
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)[:100]
        raise ValueError(f"{problem}: line {mark.line + 1} column {mark.column + 1}") from None
    except yaml.YAMLError as error:  # A character that YAML forbids.
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
    # An alias repeats everything at its anchor: ten lines of them may expand to billions.
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise ValueError(f"it has an anchor or an alias in line {_line(event)}")
    if event.tag is not None:
        raise ValueError(f"it has a tag in line {_line(event)}")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if depth == MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(event, yaml.SequenceStartEvent):
        items = _until(yaml.SequenceEndEvent, events)
        return [_value(item, events, depth + 1) for item in items]
    pairs = []
    for key in _until(yaml.MappingEndEvent, events):
        if not isinstance(key, yaml.ScalarEvent) or key.tag is not None or key.anchor is not None:
            raise ValueError(f"it has a key that isn't plain text in line {_line(key)}")
        pairs.append((key.value, _value(next(events), events, depth + 1)))
    return mapping(pairs)


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
