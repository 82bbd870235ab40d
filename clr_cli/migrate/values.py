r"""The value of an argument, if the file shows it: a literal, or a constant of the module.

>>> from clr_cli.migrate.names import Names
>>> source = Source("BASE = 1e-3\nf(BASE / 4, args.lr)", "train.py")
>>> call = source.tree.body[1].value
>>> [argument_of(node, source, Names(source)) for node in call.args]
[Argument(text='BASE / 4', value=0.00025), Argument(text='args.lr')]
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source

MOST_GROUPS = 1000
"""The most parameter groups that are read."""


class Unknown:
    """A value that only running the program would show."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True, repr=False)
class Argument:
    """An argument as it was written, and its value or UNKNOWN."""

    text: str
    value: Any = UNKNOWN
    node: ast.expr | None = None
    items: tuple[Argument, ...] | None = None
    """The elements, if it is written as a list or a tuple."""

    @property
    def known(self) -> bool:
        """True if its value is known."""
        return self.value is not UNKNOWN

    def __repr__(self) -> str:
        value = f", value={self.value!r}" if self.known else ""
        return f"Argument(text={self.text!r}{value})"


def literal(value: Any) -> Argument:
    """The argument for a value; text gets double quotes.

    >>> literal("triangular2").text
    '"triangular2"'
    """
    return Argument(f'"{value}"' if isinstance(value, str) else repr(value), value)


def argument_of(node: ast.expr, source: Source, names: Names) -> Argument:
    """The argument at a node."""
    display = node
    if isinstance(node, ast.Name) and (constant := names.constant(node)) is not None:
        display = constant
    items = None
    if (
        isinstance(display, ast.List | ast.Tuple)
        and 0 < len(display.elts) <= MOST_GROUPS
        and not any(isinstance(each, ast.Starred) for each in display.elts)
    ):
        items = tuple(argument_of(each, source, names) for each in display.elts)
        if display is not node:
            items = tuple(
                Argument(f"{source.text_of(node)}[{index}]", each.value, each.node)
                for index, each in enumerate(items)
            )
    return Argument(source.text_of(node), value_of(node, names), node, items)


def value_of(node: ast.expr, names: Names | None) -> Any:
    """The value of an expression of literals, and of constants if `names` are given."""
    match node:
        case ast.Constant(bool() | int() | float() | str() | None as value):
            return value
        case ast.Name() if names is not None:
            constant = names.constant(node)
            # One level only: a constant must be a plain literal.
            return UNKNOWN if constant is None else value_of(constant, None)
        case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, operand):
            number = value_of(operand, names)
            if not _is_number(number):
                return UNKNOWN
            return -number if isinstance(sign, ast.USub) else number
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
