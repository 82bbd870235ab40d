r"""Cycles that are found and not read: those built by name, and code that looks like one.

    >>> source = Source("def lr(t):\n    x = t % 10\n    return 0.1 * min(x, 10 - x)", "train.py")
    >>> [(each.line, each.origin) for each in looks_cyclical(source)]
    [(3, 'looks like a cycle, not read: look here')]

A hand-written cycle is a rate in which something periodic (a remainder, or a difference to a whole
number of cycles) is folded: by `abs`, by a minimum, by a comparison. Names decide whether it is a
rate. Both may be wrong, which costs a look.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.origins import CLASSES
from clr_cli.migrate.source import Source, dotted

LOOKS = "looks like a cycle, not read: look here"
BY_NAME = "{} by name, not read: look here"
NAMED = re.compile(rf"(?:[\w.]+[.:>/])?({'|'.join(CLASSES)})")
IN_TEXT = re.compile(rf"\b({'|'.join(CLASSES)}|Cyclic\w*(?:LR|Rate|Sched)\w*)\b")
MODULES = ("torch.optim.lr_scheduler", "tensorflow_addons.optimizers")
POLICY = re.compile(r"(lr_?)?(policy|sched\w*)", re.IGNORECASE)
CYCLIC = re.compile(r"cyclic(al)?(_?lr)?|clr|triangular2?", re.IGNORECASE)
POLICY_IN_TEXT = re.compile(
    rf"\b{POLICY.pattern}\W+(?:type\W+|name\W+)?({CYCLIC.pattern})\b|\b(triangular2|exp_range)\b",
    re.IGNORECASE,
)
MODES = {"triangular2", "exp_range"}
RATE = re.compile(
    r"(?i:(?:^|_)(?:lrs?|lrate|eta|clr)(?:_|\d|$)|learn\w*rate|rate_?schedule|(?:max|min|base|init)lr)"
    r"|(?:^|[a-z_])LRs?(?:$|_|[A-Z][a-z])|^lr[A-Z]|Lr(?:$|[A-Z_])"
)
CYCLE = re.compile(r"cycl|step_?size|triang", re.IGNORECASE)
CYCLIC_RATE = re.compile(
    r"(?:cycl|triang)\w*?(?:lr|rate|sched)|(?:lr|rate|sched)\w*?(?:cyclic|triang)", re.IGNORECASE
)
OURS = {"clr_core", "clr_torch", "clr_keras", "clr_jax"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
REMAINDERS = {"fmod", "mod", "remainder", "floormod", "floor_mod", "divmod"}
FLOORS = {"floor", "int", "trunc", "floordiv", "floor_divide"}
ABS = {"abs", "fabs", "absolute"}
FOLDS = ABS | {"min", "max", "minimum", "maximum", "where", "cond", "select", "interp", "cos"}
WAVES = {"sawtooth", "arcsin", "asin", "arccos", "acos"}


def named(source: Source, alone: bool = True) -> list[Finding]:
    """Find the classes that a file names in text, as for a registry or a configuration.

    Args:
        source: The file.
        alone: Nothing else was found there, so that weaker signs count.
    """
    modules = _modules(source)
    found: list[Finding] = []
    weak: list[Finding] = []
    for node in source.nodes:
        match node:
            case ast.Constant(str(text)) if len(text) < 200:
                sure, name = _name_in(text, node, source)
                if name:
                    (found if sure else weak).append(_by_name(source, node, name))
            case ast.Call(ast.Name("getattr" | "vars"), [first, *rest]) if _is_module(
                first, modules
            ) and not any(isinstance(e, ast.Constant) for e in rest):
                found.append(_by_name(source, node, "a scheduler"))
            case ast.Subscript(ast.Attribute(first, "__dict__")) if _is_module(first, modules):
                found.append(_by_name(source, node, "a scheduler"))
    return found or (weak if alone else [])


def in_text(text: str, name: str) -> list[Finding]:
    """Find the classes that a configuration names, line by line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", ";", "//")) or "clr_torch" in line:
            continue
        hit = IN_TEXT.search(line) or POLICY_IN_TEXT.search(line)
        if hit:
            said = hit[1] if hit.re is IN_TEXT else "a cycle"
            code = line.strip() if len(line) < 200 else f"{hit[0]} …"
            found.append(
                Finding(
                    name, None, number, number, BY_NAME.format(said), code, warnings=_hint(said)
                )
            )
    return found


def looks_cyclical(source: Source) -> list[Finding]:
    """Find code that looks like a cyclical learning rate: one place for each function."""
    defined = {name for node in source.nodes if (name := _bound(node))}
    ours = any(root in OURS for root in _imported_roots(source))
    found: dict[int, ast.expr | ast.stmt] = {}
    for node in source.nodes:
        match node:
            case ast.ClassDef(name) | ast.FunctionDef(name) if CYCLIC_RATE.search(
                name
            ) and not name.startswith("test"):
                found[node.lineno] = node
            case ast.Call(ast.Name(name) | ast.Attribute(_, name)) if (
                CYCLIC_RATE.search(name) and name not in defined and not ours
            ):
                found[node.lineno] = node
            case ast.keyword(str(name)) if name.startswith("use_clr"):
                found[node.value.lineno] = node.value
    rates = set(_rates(source))
    for unit in (source.tree, *(node for node in source.nodes if isinstance(node, FUNCTIONS))):
        place = _fold(_Unit(unit, source, rates))
        if place is not None:
            found.setdefault(place.lineno, place)
    return [finding_at(source, _head(node), LOOKS) for _, node in sorted(found.items())]


def _name_in(text: str, node: ast.Constant, source: Source) -> tuple[bool, str]:
    """The class that a text names, and True if that is more than a comparison."""
    parent = source.parents[node]
    found = NAMED.fullmatch(text)
    if found:
        around = source.around(node)[:3]
        return not any(isinstance(each, ast.Compare | ast.Set) for each in around), found[1]
    if text.rstrip(".") in MODULES and isinstance(parent, ast.Call | ast.JoinedStr | ast.BinOp):
        return True, "a scheduler"
    if CYCLIC.fullmatch(text) and _is_policy(node, parent):
        return True, "a cycle"
    return False, "a cycle" if text in MODES else ""


def _is_policy(node: ast.Constant, parent: ast.AST) -> bool:
    match parent:
        case ast.keyword(str(name)):
            return POLICY.fullmatch(name) is not None
        case ast.Dict(keys, values):
            return any(
                value is node and isinstance(key, ast.Constant) and POLICY.fullmatch(str(key.value))
                for key, value in zip(keys, values, strict=True)
            )
    return False


def _by_name(source: Source, node: ast.expr, name: str) -> Finding:
    return finding_at(source, node, BY_NAME.format(name), warnings=_hint(name))


def _hint(name: str) -> tuple[Caution, ...]:
    if name == "CyclicLR":
        return (Caution("name", "In torch, `clr_torch.CyclicLR` takes its place."),)
    if name in CLASSES:
        says = "In Keras 3, `clr_keras.CyclicLR` takes its place, with other parameters."
        return (Caution("name", says),)
    return ()


def _modules(source: Source) -> set[str]:
    """The names that the modules of schedulers have in a file."""
    found = set(MODULES)
    for node in source.nodes:
        match node:
            case ast.Import(names):
                found |= {each.asname for each in names if each.name in MODULES and each.asname}
            case ast.ImportFrom(str(module), names):
                found |= {
                    each.asname or each.name for each in names if f"{module}.{each.name}" in MODULES
                }
    return found


def _is_module(node: ast.expr, modules: set[str]) -> bool:
    name = dotted(node) or ""
    return name in modules or name.endswith(".lr_scheduler")


def _imported_roots(source: Source) -> Iterator[str]:
    for node in source.nodes:
        match node:
            case ast.Import(names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(str(module)):
                yield module.partition(".")[0]


def _rates(source: Source) -> Iterator[str]:
    """The functions that are given to `LambdaLR`, or as a `learning_rate`."""
    for call in source.calls:
        rate = RATE.search(_last(call.func))
        given = [
            *(call.args if rate else ()),
            *(each.value for each in call.keywords if rate or RATE.search(each.arg or "")),
        ]
        yield from (
            each.id for node in given for each in ast.walk(node) if isinstance(each, ast.Name)
        )


def _bound(node: ast.AST) -> str:
    match node:
        case ast.ClassDef(name) | ast.FunctionDef(name) | ast.Name(name, ast.Store()):
            return name
    return ""


def _head(node: ast.expr | ast.stmt) -> ast.expr | ast.stmt:
    """A definition's first line, as a node of one line."""
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.If):
        return node
    if isinstance(node, ast.If):
        return node.test
    word = "class" if isinstance(node, ast.ClassDef) else "def"
    place = {"lineno": node.lineno, "col_offset": node.col_offset, "end_lineno": node.lineno}
    end = node.col_offset + len(f"{word} {node.name}".encode())
    return ast.Expr(ast.Constant(...), **place, end_col_offset=end)


class _Unit:
    """A function or the module without the functions in it: its nodes, and what is periodic."""

    def __init__(self, unit: ast.AST, source: Source, rates: set[str]) -> None:
        self.nodes = list(_inside(unit))
        self.words = [word for node in (unit, *self.nodes) for word in _words(node)]
        for outer in source.around(unit)[:4] if isinstance(unit, FUNCTIONS) else ():
            self.words += _words(outer)
        if getattr(unit, "name", None) in rates:
            self.words.append("lr")
        self.periodic: set[str] = set()
        self.whole: set[str] = set()
        assigned = [node for node in self.nodes if isinstance(node, ast.Assign | ast.AnnAssign)]
        for node in [*assigned, *assigned] if len(assigned) < 2000 else ():
            if node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = {name for each in targets for part in ast.walk(each) if (name := dotted(part))}
            if self.is_periodic(node.value):
                self.periodic |= named
            if self.is_whole(node.value):
                self.whole |= named

    @property
    def is_rate(self) -> bool:
        """True if its names tell of a learning rate."""
        return any(RATE.search(word) for word in self.words)

    def is_periodic(self, *nodes: ast.AST) -> bool:
        """True if an expression contains a remainder, or a difference to whole cycles."""
        for node in _all(nodes):
            match node:
                case ast.BinOp(left, ast.Mod()) if not _is_text(left):
                    return True
                case ast.BinOp(_, ast.Sub(), right) if self.is_whole(right):
                    return True
                case ast.Call(function) if _last(function) in REMAINDERS:
                    return True
                case ast.Name() | ast.Attribute() if dotted(node) in self.periodic:
                    return True
        return False

    def is_whole(self, node: ast.AST) -> bool:
        """True if an expression contains a floor."""
        for each in _all([node]):
            match each:
                case ast.BinOp(_, ast.FloorDiv()):
                    return True
                case ast.Call(function, [ast.BinOp() | ast.Call() | ast.Name(), *_]) if _last(
                    function
                ) in FLOORS and _divides(each):
                    return True
                case ast.Name() | ast.Attribute() if dotted(each) in self.whole:
                    return True
        return False


def _fold(unit: _Unit) -> ast.expr | ast.stmt | None:
    """The first place in a function that makes it look like a cycle."""
    context = unit.is_rate or any(CYCLE.search(word) for word in unit.words)
    if not context:
        return None
    for node in unit.nodes:
        match node:
            case ast.Call(function, [argument, *_] as arguments):
                name = _last(function)
                given = [*arguments, *(each.value for each in node.keywords)]
                if name in ABS and _is_distance(argument):
                    return node
                if not unit.is_rate:
                    continue
                if name in FOLDS and unit.is_periodic(*given):
                    return node
                if name in WAVES and (name == "sawtooth" or isinstance(argument, ast.Call)):
                    return node
                if len([each for each in _all(given) if _is_call(each, "linspace")]) > 1:
                    return node
                if name == "cycle" and any(RATE.search(w) for n in _all(given) for w in _words(n)):
                    return node
            case ast.IfExp(ast.Compare(ops=[op, *_]) as test) | ast.If(
                ast.Compare(ops=[op, *_]) as test
            ) if isinstance(op, ORDER) and unit.is_rate and unit.is_periodic(test):
                return node
            case ast.If(test, body) if unit.is_rate and _turns(test, body):
                return node
    return None


def _is_distance(node: ast.AST) -> bool:
    """True for `t / size - 2 * cycle + 1`, and other differences with a quotient."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            if isinstance(op, ast.Sub) and (_divides(left) or _divides(right)):
                return True
            return _is_distance(left) or _is_distance(right)
    return False


def _turns(test: ast.expr, body: Iterable[ast.stmt]) -> bool:
    """True if a sign changes where a rate reaches a boundary."""
    names = [word for node in ast.walk(test) for word in _words(node)]
    ordered = any(isinstance(node, ast.Compare) for node in ast.walk(test))
    if not ordered or not any(RATE.search(word) for word in names):
        return False
    for statement in body:
        match statement:
            case ast.AugAssign(_, ast.Mult(), ast.UnaryOp(ast.USub())):
                return True
            case ast.Assign([target], ast.UnaryOp(ast.USub(), operand)):
                if dotted(target) is not None and dotted(target) == dotted(operand):
                    return True
    return False


def _inside(unit: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function in the order of the code, without those of inner functions."""
    waiting = [iter(ast.iter_child_nodes(unit))]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
            continue
        yield node
        if not isinstance(node, FUNCTIONS):
            waiting.append(iter(ast.iter_child_nodes(node)))


def _all(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes in expressions, but for remainders that are only compared with a number."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case ast.Compare(ops=[ast.Eq() | ast.NotEq(), *_]):
                continue
        waiting += ast.iter_child_nodes(node)


def _words(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(name) | ast.Attribute(_, name) | ast.arg(name):
            return [name]
        case ast.FunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.keyword(str(name)):
            return [name]
        case ast.Constant("lr" | "learning_rate" as text):
            return [text]
        case ast.Call(function):
            return [_last(function)]
        case ast.Assign([ast.Name(name)]):
            return [name]
    return []


def _last(function: ast.AST) -> str:
    match function:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
    return ""


def _is_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and _last(node.func) == name


def _divides(node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.BinOp) and isinstance(each.op, ast.Div | ast.FloorDiv)
        for each in _all([node])
    )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
