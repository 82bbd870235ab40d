"""The arguments of a call, by the names of their parameters."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source
from clr_cli.migrate.values import Argument, argument_of


@dataclass
class Given:
    """The arguments of a call."""

    named: dict[str, Argument] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Arguments for which the class has no parameter."""
    spread: list[str] = field(default_factory=list)
    """`*args` and `**options`, whose contents are unknown."""


def given_to(
    call: ast.Call, parameters: Sequence[str], source: Source, names: Names, skip: int = 0
) -> Given:
    """Match the arguments of a call with the parameters of a class.

    Args:
        call: The call.
        parameters: The names of the parameters, in order.
        source: The file of the call.
        names: The names of that file.
        skip: The number of positional arguments to ignore, as in `partial(CyclicLR, …)`.
    """
    given = Given()
    for index, node in enumerate(call.args[skip:]):
        if isinstance(node, ast.Starred):
            # The positions of all that follows are unknown.
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
    """A keyword argument, or those of a dict display after `**`; None if unknown."""
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
