"""The arguments of a call, each by the name of its parameter."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source
from clr_cli.migrate.values import Argument, argument_of


@dataclass
class Given:
    """What a call was given."""

    named: dict[str, Argument] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Names that the class has no parameter for, and arguments too many."""
    spread: list[str] = field(default_factory=list)
    """`*args` and `**options`, whose content isn't known."""


def given_to(
    call: ast.Call, parameters: Sequence[str], source: Source, names: Names, skip: int = 0
) -> Given:
    """The arguments of a call of a class with these parameters.

    Args:
        call: The call.
        parameters: The names of the parameters in their order.
        source: The file of the call.
        names: The names of that file.
        skip: How many positional arguments come before those, as in `partial(CyclicLR, …)`.
    """
    given = Given()
    for index, node in enumerate(call.args[skip:]):
        if isinstance(node, ast.Starred):
            # What comes after it has no position that one could know.
            given.spread += [source.text_of(each) for each in call.args[skip + index :]]
            break
        if index < len(parameters):
            given.named[parameters[index]] = argument_of(node, source, names)
        else:
            given.unknown.append(source.text_of(node))
    for keyword in call.keywords:
        pairs = _pairs(keyword)
        if pairs is None:
            given.spread.append(f"**{source.text_of(keyword.value)}")
            continue
        for name, node in pairs:
            argument = argument_of(node, source, names)
            if name in parameters:
                given.named[name] = argument
            else:
                given.unknown.append(f"{name}={argument.text}")
    return given


def _pairs(keyword: ast.keyword) -> list[tuple[str, ast.expr]] | None:
    """A keyword argument, or those of a dict that is spread out on the spot."""
    if keyword.arg is not None:
        return [(keyword.arg, keyword.value)]
    if not isinstance(keyword.value, ast.Dict):
        return None
    pairs = []
    for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        pairs.append((key.value, value))
    return pairs
