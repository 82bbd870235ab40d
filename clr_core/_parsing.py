"""Plain data from a stranger's text: JSON, YAML and TOML, each read strictly.

    >>> from_toml("step = 3")
    {'step': 3}

Nothing in a text is ever executed, and none takes long to refuse. No key may stand twice. Whatever
is wrong with a text is a ValueError of one line.
"""

from __future__ import annotations

import re

from clr_core._arguments import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 20

# In TOML: strings and comments, in which a dot is no part of a key, and too long a key. What isn't
# closed counts to its end, or each of its quotes would be tried as the start of another string.
_TOML_TEXT = re.compile(
    r'"""(?:\\[\s\S]?|(?!""")[^\\])*+"{0,5}'
    r"|'''(?:(?!''')[\s\S])*+'{0,5}"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)
_TOML_LONG_KEY = re.compile(rf'(?:\.[ \t]*+[\w"-]*+[ \t]*+){{{MAX_DEPTH}}}')


def from_json(text: str) -> Any:
    """The value that a JSON text stands for.

    Raises:
        ValueError: It isn't JSON, a key stands twice, or it has NaN or Infinity.
    """
    import json

    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=without_twins)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def from_toml(text: str) -> Any:
    """The table that a TOML text stands for.

    Raises:
        ValueError: It isn't TOML, or it is nested too deep.
    """
    import tomllib

    # tomllib needs memory by the square of the number of parts: a terabyte for a megabyte.
    if _TOML_LONG_KEY.search(_TOML_TEXT.sub('""', text)):
        raise ValueError(f"it has a dotted key of more than {MAX_DEPTH} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def from_yaml(text: str) -> Any:
    """The value that a YAML text stands for: one document of mappings, lists and scalars.

    A number is what JSON, TOML and YAML 1.2 write as one. So `1e-4` is a number, which PyYAML by
    itself takes for text; and `no`, `010` and `1:30` are text, which it takes for False, 8 and 90.

    Raises:
        ImportError: PyYAML isn't installed.
        ValueError: It isn't YAML, a key stands twice, or it has tags, anchors or aliases.
    """
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Reading YAML needs PyYAML. Install it with: pip install 'cyclical-lr[yaml]'"
        ) from error
    from clr_core.record._yaml import parsed

    return parsed(text)


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of these pairs, or an error that names the key that stands twice."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"a key stands twice. {received('key', key)}")
        document[key] = value
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
