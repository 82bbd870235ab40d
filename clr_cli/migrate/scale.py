r"""Translate a `scale_fn` from a lambda or function to a portable expression.

>>> from clr_cli.migrate.source import Source
>>> source = Source("import numpy as np\nf = lambda n: 0.5 * (1 + np.sin(n * np.pi / 2.))", "t")
>>> portable(source.tree.body[1].value, source, Names(source))
'0.5 * (1 + sin(x * pi / 2.0))'
"""

from __future__ import annotations

import ast

from clr_cli.migrate.names import Names
from clr_cli.migrate.source import Source
from clr_cli.migrate.values import UNKNOWN, value_of
from clr_core.schedules.expression import parsed

# In these modules, functions of the same name agree on numbers.
MODULES = {
    "math",
    "numpy",
    "torch",
    "tensorflow",
    "tensorflow.math",
    "jax.numpy",
    "keras.ops",
    "keras.backend",
    "tensorflow.keras.backend",
}
FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tanh", "exp", "sqrt", "abs", "floor", "min", "max")},
    "log": "log",
    "fabs": "abs",
    "absolute": "abs",
    "minimum": "min",
    "maximum": "max",
}
POWERS = {"pow", "power", "float_power"}
CONSTANTS = {"pi": "pi", "e": "e"}
BUILTINS = {"abs", "min", "max", "pow", "float"}


def portable(node: ast.expr, source: Source, names: Names) -> str | None:
    """The expression in `x` for a function of one argument; None if the grammar lacks it."""
    function = _function(node, source, names)
    if function is None:
        return None
    parameter, body = function
    translated = _translated(body, parameter, names)
    if translated is None:
        return None
    text = ast.unparse(translated)
    try:
        parsed(text, first=1)
    except (ValueError, ArithmeticError):
        return None
    return text


def paper_mode(text: str, scale_mode: str) -> dict[str, object] | None:
    """The mode of the paper that an expression spells out, if any.

    >>> paper_mode("1 / 2. ** (x - 1)", "cycle")
    {'mode': 'triangular2'}
    """
    tree = ast.parse(parsed(text, first=1)[0], mode="eval").body
    match tree:
        case ast.Constant(1.0):
            return {"mode": "triangular"}
        case ast.BinOp(ast.Constant(float() as gamma), ast.Pow(), ast.Name("x")):
            if scale_mode == "iterations" and 0 < gamma < 1:
                return {"mode": "exp_range", "gamma": gamma}
    halves = ("1.0 / 2.0 ** (x - 1.0)", "0.5 ** (x - 1.0)")
    if scale_mode == "cycle" and ast.unparse(tree) in halves:
        return {"mode": "triangular2"}
    return None


def _function(node: ast.AST, source: Source, names: Names) -> tuple[str, ast.expr] | None:
    """The parameter and the result of a lambda, or of a function that only returns."""
    if isinstance(node, ast.Name):
        node = names.definition(node) or node
    if isinstance(node, ast.Lambda):
        body = node.body
    elif isinstance(node, ast.FunctionDef) and not node.decorator_list:
        *before, last = node.body
        said = [each for each in before if not _is_docstring(each)]
        if said or not isinstance(last, ast.Return) or last.value is None:
            return None
        body = last.value
    else:
        return None
    match node.args:
        case ast.arguments([], [ast.arg(name)], None, [], [], None, []):
            return name, body
    return None


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _translated(node: ast.expr, parameter: str, names: Names) -> ast.expr | None:
    def inner(*children: ast.expr) -> list[ast.expr] | None:
        found = [_translated(child, parameter, names) for child in children]
        whole = [each for each in found if each is not None]
        return whole if len(whole) == len(found) else None

    match node:
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            return node
        case ast.Name(name) if name == parameter:
            return ast.Name("x")
        case ast.UnaryOp(ast.USub() as sign, operand) if both := inner(operand):
            return ast.UnaryOp(sign, *both)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _translated(operand, parameter, names)
        case ast.BinOp(
            left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow() as op, right
        ) if both := inner(left, right):
            return ast.BinOp(both[0], op, both[1])
        case ast.Call(function, arguments, []) if whole := inner(*arguments):
            return _called(_name(function, names), whole)
        case ast.Name() | ast.Attribute():
            return _constant(node, names)
    return None


def _called(name: str | None, arguments: list[ast.expr]) -> ast.expr | None:
    if name in POWERS and len(arguments) == 2:
        return ast.BinOp(arguments[0], ast.Pow(), arguments[1])
    if name == "float" and len(arguments) == 1:
        return arguments[0]
    if name not in FUNCTIONS:
        return None
    return ast.Call(ast.Name(FUNCTIONS[name]), arguments, [])


def _constant(node: ast.expr, names: Names) -> ast.expr | None:
    value = value_of(node, names)
    if value is not UNKNOWN:
        return ast.Constant(value) if type(value) in (int, float) else None
    name = _name(node, names)
    return ast.Name(CONSTANTS[name]) if name in CONSTANTS else None


def _name(node: ast.expr, names: Names) -> str | None:
    """The name of a function or constant of one of the modules, or of a builtin."""
    for path in names.paths(node):
        module, _, name = path.dotted.rpartition(".")
        if module == "builtins":
            return name if name in BUILTINS else None
        if path.definition is None and module in MODULES:
            return name
    return None
