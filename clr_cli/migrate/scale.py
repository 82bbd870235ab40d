r"""Translate a `scale_fn` from a lambda or function to a portable expression.

>>> from clr_cli.migrate.source import Source
>>> source = Source("import numpy as np\nf = lambda n: 0.5 * (1 + np.sin(n * np.pi / 2.))", "t")
>>> portable(source.tree.body[1].value, Names(source))
'0.5 * (1 + sin(x * pi / 2.0))'
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from clr_cli.migrate.names import Names
from clr_core.schedules.expression import CONSTANTS, FUNCTIONS, parsed

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
SPELLINGS = {"fabs": "abs", "absolute": "abs", "minimum": "min", "maximum": "max"}
POWERS = {"pow", "power", "float_power"}
BUILTINS = {"abs", "min", "max", "pow", "float"}


def portable(node: ast.expr, names: Names) -> str | None:
    """The expression in `x` for a function of one argument; None if the grammar lacks it."""
    function = _function(node, names)
    if function is None:
        return None
    parameter, body = function
    try:
        text = ast.unparse(_Translation(parameter, names).visit(copy.deepcopy(body)))
        parsed(text, first=1)
    except (ValueError, ArithmeticError):
        return None
    return text


def _function(node: ast.AST, names: Names) -> tuple[str, ast.expr] | None:
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


class _Translation(ast.NodeTransformer):
    """The names of the grammar in place of a function's own; the grammar refuses all else."""

    def __init__(self, parameter: str, names: Names) -> None:
        self._parameter, self._names = parameter, names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == self._parameter:
            return ast.Name("x")
        return self.visit_Attribute(node)

    def visit_Attribute(self, node: ast.Name | ast.Attribute) -> ast.expr:
        name = self._resolved(node)
        name = SPELLINGS.get(name, name)
        if name not in CONSTANTS and name not in FUNCTIONS:
            raise ValueError(f"unknown: {name}")
        return ast.Name(name)

    def visit_Call(self, node: ast.Call) -> Any:
        name = self._resolved(node.func)
        if name in POWERS and len(node.args) == 2 and not node.keywords:
            base, exponent = map(self.visit, node.args)
            return ast.BinOp(base, ast.Pow(), exponent)
        if name == "float" and len(node.args) == 1:
            return self.visit(node.args[0])
        return self.generic_visit(node)

    def _resolved(self, node: ast.expr) -> str:
        """The name of a function or constant of one of the modules, or of a builtin."""
        match [path.dotted.rpartition(".") for path in self._names.paths(node)]:
            case [("builtins", _, name)] if name in BUILTINS:
                return name
            case [(module, _, name)] if module in MODULES:
                return name
        return ""
