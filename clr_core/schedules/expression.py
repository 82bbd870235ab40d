"""A portable `scale_fn`: an arithmetic expression in `x`, as text.

    >>> text, function = parsed("1/5**(x*1e-4)", first=0)
    >>> text, function(10_000.0, python_ops)
    ('1.0 / 5.0 ** (x * 0.0001)', 0.2)

Grammar: `+ - * / **`, unary minus, parentheses, numbers, `x`, `pi`, `e`, and the functions
`sin cos tanh exp log sqrt abs floor` (one argument), `min max` (two). All in float64. The text is
parsed into a tree and checked against this list; it is never executed as Python.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from clr_core import kernels, python_ops
from clr_core._arguments import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.ops import Ops

    Value = Callable[[Any, Ops], Any] | float

MAX_LENGTH = 500
MAX_DEPTH = 40

CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS = {
    **dict.fromkeys(("sin", "cos", "tanh", "exp", "log", "sqrt", "abs", "floor"), 1),
    "min": 2,
    "max": 2,
}
GRAMMAR = (
    f"+ - * / **, unary minus, parentheses, numbers, x, {', '.join(CONSTANTS)} and the functions "
    f"{', '.join(FUNCTIONS)}"
)


def parsed(text: str, first: int) -> tuple[str, Callable[[Any, Ops], Any]]:
    """The normal form of an expression, and its value as a function of (x, ops).

    Texts with the same tree have the same normal form, which is its own.

    Raises:
        ValueError: The text isn't in the grammar, it or its normal form is too long or too deep, or
            its value isn't finite at x = `first`, 2, 10 or 10**6.
    """
    tree = _tree(text)
    normal = ast.unparse(tree)
    if len(normal) > MAX_LENGTH:  # It couldn't be read back.
        raise _refusal(
            text,
            f"must be an expression of at most {MAX_LENGTH} characters, and this one has "
            f"{len(normal)} in the form in which it is saved, with spaces and decimal points",
        )
    value = _closure(tree)
    function = value if callable(value) else lambda x, ops: value
    for x in (first, 2, 10, 10**6):
        scale = function(float(x), python_ops)
        if scale - scale != 0.0:
            raise _refusal(text, f"must be finite, but it is {scale} at x={x}")
    return normal, function


def _refusal(text: str, rule: str) -> ValueError:
    return ValueError(f"`scale_fn` {rule}. {received('scale_fn', text)}")


def _tree(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise _refusal(text, f"must be an expression of at most {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refusal(text, f"must be an expression of {GRAMMAR}") from None
    return _checked(tree, text, 0)


def _checked(node: ast.expr, text: str, depth: int) -> ast.expr:
    """The same tree with every number as a float; raises if it isn't in the grammar."""

    def inner(child: ast.expr) -> ast.expr:
        return _checked(child, text, depth + 1)

    if depth > MAX_DEPTH:
        raise _refusal(text, f"must be nested at most {MAX_DEPTH} deep")
    match node:
        case ast.BinOp(
            left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow() as op, right
        ):
            return ast.BinOp(inner(left), op, inner(right))
        case ast.UnaryOp(ast.USub() as op, operand):
            return ast.UnaryOp(op, inner(operand))
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isinf(number):
                raise _refusal(text, "must contain only finite numbers")
            return ast.Constant(number)
        case ast.Name(name) if name == "x" or name in CONSTANTS:
            return node
        case ast.Call(ast.Name(name), arguments, []) if FUNCTIONS.get(name) == len(arguments):
            return ast.Call(node.func, [inner(argument) for argument in arguments], [])
    raise _refusal(text, f"must be an expression of {GRAMMAR}")


def _closure(node: ast.expr) -> Value:
    """A function of (x, ops), or a number if `x` doesn't occur.

    Constant parts are computed here, in plain Python: every host starts from the same bits.
    """
    match node:
        case ast.Name("x"):
            return lambda x, ops: x
        case ast.Name(name):
            return CONSTANTS[name]
        case ast.Constant(float() as value):
            return float(kernels.flushed(value, python_ops))
        case ast.UnaryOp(_, operand):
            return _applied(lambda a, ops: -a, _closure(operand))
        case ast.Call(ast.Name(name), arguments):
            return _applied(_FUNCTIONS[name], *map(_closure, arguments))
        case ast.BinOp(left, ast.Pow(), right):
            return _power(_closure(left), _closure(right))
        case ast.BinOp(left, op, right):
            return _applied(_BINARY[type(op)], _closure(left), _closure(right))
    raise AssertionError(node)  # `_checked` lets nothing else through.


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(kernels, name) for name in ("sin", "cos", "tanh", "exp", "log")},
    "sqrt": lambda x, ops: ops.sqrt(x),
    "abs": lambda x, ops: ops.abs(x),
    "floor": lambda x, ops: ops.floor(x),
    "min": lambda a, b, ops: ops.minimum(a, b),
    "max": lambda a, b, ops: ops.maximum(a, b),
}
_BINARY: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: lambda a, b, ops: a + b,
    ast.Sub: lambda a, b, ops: a - b,
    ast.Mult: lambda a, b, ops: a * b,
    ast.Div: lambda a, b, ops: ops.divide(a, b),
}


def _power(base: Value, exponent: Value) -> Value:
    if not callable(exponent):
        return _applied(kernels.power_to(exponent), base)
    if not callable(base):
        return _applied(kernels.power_of(base), exponent)
    return _applied(kernels.power, base, exponent)


def _applied(function: Callable[..., Any], *arguments: Value) -> Value:
    if not any(callable(argument) for argument in arguments):
        return float(kernels.flushed(function(*arguments, python_ops), python_ops))

    def value(x: Any, ops: Ops) -> Any:
        given = (argument(x, ops) if callable(argument) else argument for argument in arguments)
        return kernels.flushed(function(*given, ops), ops)

    return value
