"""The arguments of a call. Their values are known if they are literals."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clr_cli.migrate.source import Source

UNKNOWN: Any = object()
"""A value that only running the program would show; it equals no other."""


@dataclass(frozen=True)
class Argument:
    """An argument as it was written, and its value or UNKNOWN."""

    text: str
    value: Any = UNKNOWN
    node: ast.expr | None = None

    @property
    def known(self) -> bool:
        """True if its value is known."""
        return self.value is not UNKNOWN


@dataclass
class Given:
    """The arguments of a call."""

    named: dict[str, Argument] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Arguments for which the class has no parameter."""
    spread: list[str] = field(default_factory=list)
    """`*args` and `**options`, whose contents are unknown."""

    def texts(self) -> dict[str, str]:
        """The named arguments as they were written."""
        return {name: each.text for name, each in self.named.items()}


def given_to(call: ast.Call, parameters: Sequence[str], source: Source) -> Given:
    """Match the arguments of a call with the parameters of a class, given in order."""
    given = Given()
    for index, node in enumerate(call.args):
        if isinstance(node, ast.Starred):
            # The positions of all that follows are unknown.
            given.spread += [source.text_of(each) for each in call.args[index:]]
            break
        if index < len(parameters):
            given.named[parameters[index]] = Argument(source.text_of(node), value_of(node), node)
        else:
            given.unknown.append(source.text_of(node))
    for keyword in call.keywords:
        argument = Argument(source.text_of(keyword.value), value_of(keyword.value), keyword.value)
        if keyword.arg is None:
            given.spread.append(f"**{argument.text}")
        elif keyword.arg in parameters:
            given.named[keyword.arg] = argument
        else:
            given.unknown.append(f"{keyword.arg}={argument.text}")
    return given


def literal(value: Any) -> Argument:
    """The argument for a value; text gets double quotes.

    >>> literal("triangular2").text
    '"triangular2"'
    """
    return Argument(f'"{value}"' if isinstance(value, str) else repr(value), value)


def value_of(node: ast.expr) -> Any:
    """The value of a literal, or UNKNOWN."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return UNKNOWN
    plain = value is None or isinstance(value, bool | int | float | str | list | tuple)
    return value if plain else UNKNOWN
