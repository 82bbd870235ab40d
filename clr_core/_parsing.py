"""Parse untrusted JSON and TOML, strictly.

    >>> from_toml("step = 3")
    {'step': 3}

Nothing in a text is ever executed, and none takes long to refuse. Keys must not be duplicated.
Every defect of a text is a ValueError with a one-line message.
"""

from __future__ import annotations

import re

from clr_core._arguments import listed, one_line, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 20
MAX_DIGITS = 4300  # Of an integer, as in Python: converting takes time with their square.

# In TOML: strings and comments, in which a dot isn't part of a key, and keys that are too long. An
# unclosed string extends to the end; otherwise each of its quotes would be tried as another start.
_TOML_TEXT = re.compile(
    r'"""(?:\\[\s\S]?|(?!""")[^\\])*+"{0,5}'
    r"|'''(?:(?!''')[\s\S])*+'{0,5}"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)
_TOML_LONG_KEY = re.compile(rf'(?:\.[ \t]*+[\w"-]*+[ \t]*+){{{MAX_DEPTH}}}')


def from_json(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: It isn't JSON, a key is duplicated, or it contains NaN or Infinity.
    """
    import json

    try:
        return json.loads(
            text.removeprefix("\ufeff"),  # A byte order mark.
            parse_constant=_no_constant,
            parse_int=whole,
            object_pairs_hook=mapping,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def from_toml(text: str) -> Any:
    """Parse a TOML text.

    Raises:
        ValueError: It isn't TOML, or it is nested too deeply.
    """
    import tomllib

    # tomllib's memory grows with the square of the number of parts: a terabyte for a megabyte.
    if _TOML_LONG_KEY.search(_TOML_TEXT.sub('""', text)):
        raise ValueError(f"it has a dotted key of more than {MAX_DEPTH} parts")
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(one_line(error, 200)) from None
    except ValueError:  # Python's own words.
        raise ValueError(f"it has an integer of more than {MAX_DIGITS} digits") from None


def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of these pairs, or an error that names a duplicated key."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"a key is duplicated. {received('key', key)}")
        document[key] = value
    return document


def whole(text: str) -> int:
    """The integer that these digits are, or an error if they are too many."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it has a number of {len(text)} digits, and may have {MAX_DIGITS}")
    return int(text)


def at(document: Any, key: str) -> Any:
    """The part of a document at a key: keys, and numbers in lists, joined by dots.

        >>> at({"trainer": {"groups": [{"base_lr": 0.1}]}}, "trainer.groups.0.base_lr")
        0.1

    Raises:
        ValueError: There is nothing, or two parts, since keys may contain dots.
    """
    parts = key.split(".")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"a key must have at most {MAX_DEPTH} parts. {received('key', key)}")
    found = _parts(document, parts)
    if len(found) > 1:
        raise ValueError("this stands for two places, since keys there contain dots")
    if found:
        return found[0]
    while not (found := _parts(document, parts)):
        parts.pop()
    above = found[0]
    there = f"There are {listed(above)}" if isinstance(above, dict) and above else "It is a value"
    if isinstance(above, list):
        there = f"There is a list of {len(above)}"
    place = f" in {listed(['.'.join(parts)])}" if parts else ""
    raise ValueError(f"there is nothing. {there}{place}")


def _parts(value: Any, parts: list[str]) -> list[Any]:
    if not parts:
        return [value]
    first = parts[0]
    if isinstance(value, list):
        inside = first.isascii() and first.isdigit() and len(first) < 8 and int(first) < len(value)
        return _parts(value[int(first)], parts[1:]) if inside else []
    if not isinstance(value, dict):
        return []
    names = {".".join(parts[:length]): parts[length:] for length in range(1, len(parts) + 1)}
    return [each for name in names if name in value for each in _parts(value[name], names[name])]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
