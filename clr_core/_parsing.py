"""Parse untrusted JSON and TOML, strictly.

    >>> from_toml("step = 3")
    {'step': 3}

Nothing in a text is ever executed, and none takes long to refuse. Keys must not be duplicated.
Every defect of a text is a ValueError with a one-line message.
"""

from __future__ import annotations

import re

from clr_core._arguments import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 20

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
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=mapping)
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
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of these pairs, or an error that names a duplicated key."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"a key is duplicated. {received('key', key)}")
        document[key] = value
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
