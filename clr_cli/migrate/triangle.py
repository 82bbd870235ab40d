"""Recognize functions that compute exactly the paper's triangle by hand.

The form is the one in the paper's code, which is often copied; with `t` the step:

    cycle = floor(1 + t / (2 * size))
    x = abs(t / size - 2 * cycle + 1)
    base + (top - base) * max(0, 1 - x)

There may be more factors at the end, and variables for parts of the last line. Anything else is
left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clr_cli.migrate.names import BRANCHES, FUNCTIONS, Names
from clr_cli.migrate.scale import FUNCTIONS as TRANSLATED
from clr_cli.migrate.scale import paper_mode, portable
from clr_cli.migrate.source import Source, dotted

Position = tuple[int, int]


@dataclass(frozen=True)
class Triangle:
    """The triangle that a function computes."""

    function: ast.FunctionDef | ast.AsyncFunctionDef
    formula: ast.expr
    step: ast.expr
    parts: dict[str, ast.expr]
    """The expressions for `base_lr`, `max_lr` and `step_size_up`."""
    factor: ast.expr | None
    """The factor of the band."""
    cycle: str
    formulas: int
    """The number of such formulas in the function; this is the first."""
    returned: bool
    """True if the function always returns the formula's value, and nothing else."""


def _pattern(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


CYCLE = (
    _pattern("floor(1 + T / (2 * S))"),
    _pattern("floor(1 + T / 2 / S)"),
    _pattern("1 + T // (2 * S)"),
)
X = (_pattern("abs(T / S - 2 * C + 1)"), _pattern("abs(T / S - (2 * C - 1))"))
HEIGHT = (_pattern("max(0, 1 - X)"),)
CAPITALS = frozenset("TSCX")


def triangles(source: Source, names: Names) -> Iterator[Triangle]:
    """Find the functions that compute the triangle."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found = _found(_Body(node, source))
            if found is not None:
                yield found


def factor_of(triangle: Triangle, source: Source, names: Names) -> dict[str, object] | None:
    """The factor as arguments of a schedule; None if it isn't in the grammar."""
    if triangle.factor is None:
        return {}
    step = ast.unparse(triangle.step)
    for scale_mode, variable in (("cycle", triangle.cycle), ("iterations", step)):
        if not variable.isidentifier():
            continue
        parameter = ast.arguments([], [ast.arg(variable)], None, [], [], None, [])
        text = portable(ast.Lambda(parameter, triangle.factor), source, names)
        if text is not None:
            usual = {} if scale_mode == "cycle" else {"scale_mode": scale_mode}
            return paper_mode(text, scale_mode) or {"scale_fn": text, **usual}
    return None


class _Body:
    """The assignments in a function, without those in inner functions."""

    def __init__(self, function: ast.FunctionDef | ast.AsyncFunctionDef, source: Source) -> None:
        self.function, self._source = function, source
        self.nodes = list(_own_nodes(function))
        self._stores: dict[str, list[Position]] = {}
        values: dict[str, ast.expr] = {}
        for node in self.nodes:
            match node:
                case ast.Name(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store()):
                    name = dotted(node) or ""
                    self._stores.setdefault(name, []).append((node.lineno, node.col_offset))
                case ast.Assign([ast.Name(name)], value):
                    values[name] = value
                case ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                    values[name] = value
        parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        self.once = {
            name: value
            for name, value in values.items()
            if len(self._stores[name]) == 1 and name not in parameters
        }
        """The names that are assigned in exactly one place, and aren't parameters."""

    def holds(self, name: str, formula: ast.expr) -> bool:
        """True if a name still has the value of its expression at the formula."""
        value = self.once[name]
        # An assignment in a branch that doesn't contain the formula may not happen.
        if not set(self.branches(value)) <= set(self.branches(formula)):
            return False
        (first,), last = self._stores[name], (formula.lineno, formula.col_offset)
        used = {each for node in ast.walk(value) if (each := dotted(node))}
        return first <= last and not any(
            first <= position <= last for each in used for position in self._stores.get(each, ())
        )

    def branches(self, node: ast.expr) -> list[ast.AST]:
        """The branches and loops around a node, within the function."""
        around = self._source.around(node)
        inner = around[: around.index(self.function)]
        return [each for each in inner if isinstance(each, (*BRANCHES, ast.IfExp))]

    def returns(self, formula: ast.expr) -> bool:
        """True if the function always returns the formula's value, and nothing else."""
        found = [node for node in self.nodes if isinstance(node, ast.Return)]
        if len(found) != 1 or found[0].value is None or self.branches(formula):
            return False
        value = found[0].value
        if self.branches(value):
            return False
        return value is formula or (
            isinstance(value, ast.Name) and self.once.get(value.id) is formula
        )


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(function):
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield from _own_nodes(node)


def _found(body: _Body) -> Triangle | None:
    for cycle, value in body.once.items():
        bound: dict[str, ast.expr] = {"C": ast.Name(cycle)}
        if not _matches_one(CYCLE, value, bound):
            continue
        for x, other in body.once.items():
            within = {**bound, "X": ast.Name(x)}
            if not _matches_one(X, other, within):
                continue
            formulas = [
                (node, *parts)
                for node in body.nodes
                if isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Add)
                and body.holds(cycle, node)
                and body.holds(x, node)
                and (parts := _parts(node, within, body)) is not None
            ]
            if formulas:
                formula, low, high, factor = formulas[0]
                return Triangle(
                    function=body.function,
                    formula=formula,
                    step=within["T"],
                    parts={"base_lr": low, "max_lr": high, "step_size_up": within["S"]},
                    factor=factor,
                    cycle=cycle,
                    formulas=len(formulas),
                    returned=body.returns(formula),
                )
    return None


def _parts(
    formula: ast.BinOp, bound: dict[str, ast.expr], body: _Body
) -> tuple[ast.expr, ast.expr, ast.expr | None] | None:
    """The boundaries and the factor of `base + (top - base) * max(0, 1 - x) * factor`."""
    for low, product in ((formula.left, formula.right), (formula.right, formula.left)):
        factors = _factors(product, formula, body)
        heights = [each for each in factors if _matches_one(HEIGHT, each, dict(bound))]
        bands = [
            each
            for each in factors
            if isinstance(each, ast.BinOp)
            and isinstance(each.op, ast.Sub)
            and ast.dump(each.right) == ast.dump(low)
        ]
        if len(heights) == 1 == len(bands):
            (band,) = bands
            assert isinstance(band, ast.BinOp)
            others = [each for each in factors if each is not heights[0] and each is not band]
            return low, band.left, _product(others)
    return None


def _factors(node: ast.expr, formula: ast.expr, body: _Body) -> list[ast.expr]:
    """The factors of a product, with variables replaced by their products."""
    match node:
        case ast.BinOp(left, ast.Mult(), right):
            return [*_factors(left, formula, body), *_factors(right, formula, body)]
        case ast.BinOp(left, ast.Div(), right):
            inverse = ast.BinOp(ast.Constant(1), ast.Div(), right)
            return [*_factors(left, formula, body), inverse]
        case ast.Name(name) if name in body.once:
            value = body.once[name]
            if isinstance(value, ast.BinOp | ast.Call) and body.holds(name, formula):
                return _factors(value, formula, body)
    return [node]


def _product(factors: Sequence[ast.expr]) -> ast.expr | None:
    product: ast.expr | None = None
    for factor in factors:
        if isinstance(factor, ast.Constant) and factor.value == 1:
            continue
        product = factor if product is None else ast.BinOp(product, ast.Mult(), factor)
    return product


def _matches_one(
    patterns: tuple[ast.expr, ...], node: ast.expr, bound: dict[str, ast.expr]
) -> bool:
    """True if a pattern matches; then `bound` maps its capitals to expressions."""
    for pattern in patterns:
        trial = dict(bound)
        if _matches(pattern, node, trial):
            bound.update(trial)
            return True
    return False


def _matches(pattern: ast.expr, node: ast.expr, bound: dict[str, ast.expr]) -> bool:
    match pattern, node:
        case ast.Name(capital), _ if capital in CAPITALS:
            known = bound.setdefault(capital, node)
            return ast.unparse(known) == ast.unparse(node)
        case ast.Constant(value), ast.Constant(given):
            return type(given) in (int, float) and bool(value == given)
        case ast.Constant(), ast.Call(ast.Attribute(attr="cast"), [given, *_]):
            return _matches(pattern, given, bound)  # tf.cast(0, dtype)
        case ast.Call(ast.Name(name), patterns), ast.Call(function, arguments, []):
            called = ast.unparse(function).rpartition(".")[2]
            if name == "floor" and called == "int" and len(arguments) == 1:
                return _matches(pattern, arguments[0], bound)  # int(floor(…))
            return (
                TRANSLATED.get(called) == name
                and len(patterns) == len(arguments)
                and _in_some_order(patterns, arguments, bound, name == "max")
            )
        case ast.BinOp(left, op, right), ast.BinOp(a, other, b) if type(op) is type(other):
            commutes = isinstance(op, ast.Add | ast.Mult)
            return _in_some_order([left, right], [a, b], bound, commutes)
    return False


def _in_some_order(
    patterns: list[ast.expr], nodes: list[ast.expr], bound: dict[str, ast.expr], commutes: bool
) -> bool:
    for order in (nodes, nodes[::-1]) if commutes else (nodes,):
        trial = dict(bound)
        if all(_matches(p, n, trial) for p, n in zip(patterns, order, strict=True)):
            bound.update(trial)
            return True
    return False
