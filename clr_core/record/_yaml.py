"""Parse untrusted YAML from the events of PyYAML, without its constructors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from clr_core._arguments import received
from clr_core._parsing import MAX_DEPTH, mapping, whole

try:
    import yaml  # type: ignore[import-untyped, unused-ignore]
except ImportError as error:
    raise ImportError(
        "Reading YAML needs PyYAML. Install it with: pip install 'cyclical-lr[yaml]'"
    ) from error

# For a megabyte, the one in C takes half a second, the one in Python ten.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MOST_REPEATED = 10_000  # Values that aliases stand for.

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
    Anchors, aliases and merge keys are resolved. A tag isn't: what it marks is an `Unread` value.

    Raises:
        ValueError: It isn't YAML, a key is duplicated, or aliases repeat too much.
    """
    try:
        return _Reader(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)[:100]
        raise ValueError(f"{problem}: line {mark.line + 1} column {mark.column + 1}") from None
    except yaml.YAMLError as error:  # A character that YAML forbids.
        raise ValueError(" ".join(str(error).split())) from None


class Unread:
    """A value with a tag, which may stand in a larger document, but not in a record."""

    def __init__(self, line: int) -> None:
        self.line = line

    def __repr__(self) -> str:
        return f"<a value with a tag in line {self.line}>"


class _Reader:
    """Builds a document from the events of PyYAML."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.anchors: dict[str, Any] = {}
        self.repeated = 0

    def document(self) -> Any:
        next(self.events)  # The stream starts.
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise ValueError("it is empty")
        value = self.value(next(self.events), 0)
        next(self.events)  # The document ends.
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            raise ValueError("it has more than one document")
        return value

    def value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if depth == MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
            raise ValueError("it is nested too deeply")
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.value(item, depth + 1) for item in self.until(yaml.SequenceEndEvent)]
        else:
            value = self.mapping(depth)
        if event.tag is not None:
            value = Unread(_line(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def mapping(self, depth: int) -> dict[str, Any]:
        pairs = []
        for key in self.until(yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.tag is not None:
                raise ValueError(f"it has a key that isn't plain text in line {_line(key)}")
            if key.anchor is not None:
                self.anchors[key.anchor] = key.value
            event = next(self.events)
            value = self.value(event, depth + 1)
            if key.value == "scale_fn" and isinstance(value, int | float):
                value = getattr(event, "value", value)  # An expression is text, even if it is 1e-5.
            pairs.append((key.value, value))
        found = mapping(pairs)
        merged = found.pop("<<", ())
        for each in merged if isinstance(merged, list | tuple) else [merged]:
            if not isinstance(each, dict):
                raise ValueError(f"it merges what isn't a mapping. {received('value', each)}")
            for name, value in each.items():  # What came first takes precedence.
                found.setdefault(name, value)
        return found

    def alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self.anchors:  # Or it lies within what it names.
            raise ValueError(f"it has an alias of nothing in line {_line(event)}")
        value = self.anchors[event.anchor]
        # Ten lines of aliases may stand for billions of values.
        self.repeated += _size(value, MAX_DEPTH - depth)
        if self.repeated > MOST_REPEATED:
            raise ValueError(f"its aliases stand for more than {MOST_REPEATED} values")
        return value

    def until(self, end: type) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield event


def _size(value: Any, depth: int) -> int:
    """How many values these are, which are bounded since each alias was counted in its turn."""
    if not isinstance(value, dict | list):
        return 1
    if depth <= 0:
        raise ValueError("it is nested too deeply")
    inner = value.values() if isinstance(value, dict) else value
    return 1 + sum(_size(each, depth - 1) for each in inner)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str) -> Any:
    """A scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    return whole(text) if text.lstrip("+-").isdigit() else float(text)
