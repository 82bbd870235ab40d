r"""The arguments of a call, and their values as far as the file shows them.

>>> from clr_cli.migrate.names import Names
>>> source = Source("BASE = 1e-3\nf(BASE / 4, args.lr)", "train.py")
>>> given = given_to(source.tree.body[1].value, ["low", "high"], source, Names(source))
>>> [(name, each.text, each.known) for name, each in given.named.items()]
[('low', 'BASE / 4', True), ('high', 'args.lr', False)]

A value is known if it is a literal, a constant of the module, or arithmetic with them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source

MOST_GROUPS = 1000
"""The most parameter groups that are read."""


UNKNOWN: Any = object()
"""A value that only running the program would show."""


@dataclass(frozen=True)
class Argument:
    """An argument as it was written, and its value or UNKNOWN."""

    text: str
    value: Any = UNKNOWN
    node: ast.expr | None = field(default=None, repr=False)
    items: tuple[Argument, ...] | None = None
    """The elements, if it is written as a list or a tuple."""

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


def given_to(call: ast.Call, parameters: Sequence[str], source: Source, names: Names) -> Given:
    """Match the arguments of a call with the parameters of a class, given in order."""
    given = Given()
    for index, node in enumerate(call.args):
        if isinstance(node, ast.Starred):
            # The positions of all that follows are unknown.
            given.spread += [source.text_of(each) for each in call.args[index:]]
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


def literal(value: Any) -> Argument:
    """The argument for a value; text gets double quotes.

    >>> literal("triangular2").text
    '"triangular2"'
    """
    return Argument(f'"{value}"' if isinstance(value, str) else repr(value), value)


def argument_of(node: ast.expr, source: Source, names: Names) -> Argument:
    """The argument at a node."""
    items = None
    if (
        isinstance(node, ast.List | ast.Tuple)
        and 0 < len(node.elts) <= MOST_GROUPS
        and not any(isinstance(each, ast.Starred) for each in node.elts)
    ):
        items = tuple(argument_of(each, source, names) for each in node.elts)
    return Argument(source.text_of(node), value_of(node, names), node, items)


def value_of(node: ast.expr, names: Names | None) -> Any:
    """The value of an expression of literals, and of constants if `names` are given."""
    value: Any
    match node:
        case ast.Constant(bool() | int() | float() | str() | None as value):
            return value
        case ast.Name() if names is not None:
            constant = names.constant(node)
            # One level only, and no list: a constant must be a plain literal.
            value = UNKNOWN if constant is None else value_of(constant, None)
            return UNKNOWN if isinstance(value, list) else value
        case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, operand):
            return _calculated(
                ast.Mult(), -1 if isinstance(sign, ast.USub) else 1, value_of(operand, names)
            )
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            return _calculated(op, value_of(left, names), value_of(right, names))
        case ast.List(elements) | ast.Tuple(elements) if len(elements) <= MOST_GROUPS:
            values = [value_of(each, names) for each in elements]
            return UNKNOWN if any(value is UNKNOWN for value in values) else values
    return UNKNOWN


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
# Larger powers aren't computed: `9**9**9` would take all memory.
_LARGEST, _LARGEST_EXPONENT = 2.0**64, 64


def _calculated(op: ast.operator, left: Any, right: Any) -> Any:
    if not (_is_number(left) and _is_number(right)):
        return UNKNOWN
    if isinstance(op, ast.Pow) and (abs(right) > _LARGEST_EXPONENT or abs(left) > _LARGEST):
        return UNKNOWN
    try:
        value = _ARITHMETIC[type(op)](left, right)
    except ArithmeticError:
        return UNKNOWN
    return value if _is_number(value) else UNKNOWN


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
