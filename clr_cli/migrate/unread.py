r"""Cycles that are found and not read: those built by name, and code that looks like one.

    >>> source = Source("def lr(t):\n    x = t % 10\n    return 0.1 * min(x, 10 - x)", "train.py")
    >>> [(each.line, each.origin) for each in looks_cyclical(source)]
    [(3, 'looks like a cycle, not read: look here')]

A hand-written cycle is a function that names a rate, and folds something periodic: by `abs`, by a
minimum, by a comparison. Both signs may be wrong, which costs a look.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.names import DEFINITIONS, Names
from clr_cli.migrate.origins import CLASSES
from clr_cli.migrate.source import Source, parts_of

LOOKS = "looks like a cycle, not read: look here"
BY_NAME = "{} by name, not read: look here"

MODULES = ("torch.optim.lr_scheduler", "tensorflow_addons.optimizers")
NAMED = re.compile(rf"(?:[\w.]+[.:>/])?({'|'.join(CLASSES)})")
IN_TEXT = re.compile(rf"\b({'|'.join(CLASSES)}|Cyclic\w*(?:LR|Rate|Sched)\w*)\b")
POLICY = re.compile(r"(lr_?)?(policy|sched\w*)", re.IGNORECASE)
CYCLIC = re.compile(r"cyclic(al)?(_?lr)?|clr|triangular2?", re.IGNORECASE)
MODES = ("triangular2", "exp_range")
POLICY_IN_TEXT = re.compile(
    rf"\b{POLICY.pattern}\W+(?:type\W+|name\W+)?({CYCLIC.pattern})\b|\b({'|'.join(MODES)})\b",
    re.IGNORECASE,
)

RATE = re.compile(
    r"(?i:(?:^|_)(?:lrs?|lrate|eta|clr)(?:_|\d|$)|learn\w*rate|rate_?schedule|(?:max|min|base|init)lr)"
    r"|(?:^|[a-z_])LRs?(?:$|_|[A-Z][a-z])|^lr[A-Z]|Lr(?:$|[A-Z_])"
)
CYCLIC_RATE = re.compile(
    r"(?:(?<!one)(?<!one_)cycl|triang)\w*?(?:lr|rate|sched)"
    r"|(?:lr|rate|sched)\w*?(?:cyclic|triang)|^use_clr",
    re.IGNORECASE,
)
OURS = re.compile(r"^\s*(?:from|import)\s+clr_(?:core|torch|keras|jax)\b", re.MULTILINE)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
REMAINDERS = {"fmod", "mod", "remainder", "floormod", "floor_mod", "divmod"}
ABS = {"abs", "fabs", "absolute"}
FOLDS = ABS | {"min", "max", "minimum", "maximum", "where", "cond", "select", "interp", "cos"}
WAVES = {"sawtooth", "arcsin", "asin", "arccos", "acos", "cycle"}


def named(source: Source, names: Names | None, alone: bool = True) -> list[Finding]:
    """Find the classes that a file names in text, as for a registry or a configuration.

    Args:
        source: The file.
        names: Its names, if it mentions a module of schedulers.
        alone: Nothing else was found there, so that comparisons and modes count.
    """
    found = []
    for node in source.nodes:
        if not isinstance(node, ast.expr):
            continue
        name = ""
        match node:
            case ast.Constant(str(text)) if len(text) < 200:
                name = _name_in(text, source.text_of_line(node.lineno), source.parents[node])
                weak = text in MODES or any(
                    isinstance(each, ast.Compare | ast.Set) for each in source.around(node)[:3]
                )
                name = "" if weak and not alone else name
            case ast.Call(ast.Name("getattr" | "vars"), [module, *rest]) if not any(
                isinstance(each, ast.Constant) for each in rest
            ):
                name = _of_module(module, names)
            case ast.Subscript(ast.Attribute(module, "__dict__")):
                name = _of_module(module, names)
        if name:
            found.append(finding_at(source, node, BY_NAME.format(name), warnings=_hint(name)))
    return found


def _name_in(text: str, line: str, parent: ast.AST) -> str:
    """The class that a text names, if any."""
    found = NAMED.fullmatch(text)
    if found:
        return found[1]
    if text.rstrip(".") in MODULES and isinstance(parent, ast.Call | ast.JoinedStr | ast.BinOp):
        return "a scheduler"
    cyclic = CYCLIC.fullmatch(text) and POLICY_IN_TEXT.search(line)
    return "a cycle" if cyclic or text in MODES else ""


def _of_module(module: ast.expr, names: Names | None) -> str:
    paths = names.paths(module) if names else ()
    return "a scheduler" if any(path.dotted in MODULES for path in paths) else ""


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
            origin, hint = BY_NAME.format(said), _hint(said)
            found.append(Finding(name, None, number, number, origin, code, warnings=hint))
    return found


def _hint(name: str) -> tuple[Caution, ...]:
    if name == "CyclicLR":
        return (Caution("name", "In torch, `clr_torch.CyclicLR` takes its place."),)
    if name in CLASSES:
        says = "In Keras 3, `clr_keras.CyclicLR` takes its place, with other parameters."
        return (Caution("name", says),)
    return ()


def looks_cyclical(source: Source) -> list[Finding]:
    """Find code that looks like a cyclical learning rate: one place for each function."""
    found: dict[int, ast.expr | ast.stmt] = {}
    defined = {node.name for node in source.nodes if isinstance(node, DEFINITIONS)}
    ours = OURS.search(source.text) is not None
    for node in source.nodes:
        match node:
            case ast.ClassDef(name) | ast.FunctionDef(name) if not name.startswith("test"):
                place: ast.expr | ast.stmt = node
            case ast.Call(ast.Name(name) | ast.Attribute(_, name)) if not ours | (name in defined):
                place = node
            case ast.keyword(str(name), value) if name.startswith("use_clr"):
                place = value
            case _:
                continue
        if CYCLIC_RATE.search(name):
            found[place.lineno] = place
    rates = set(_rates(source))
    for unit in (source.tree, *(node for node in source.nodes if isinstance(node, FUNCTIONS))):
        nodes = list(_inside(unit))
        words = [word for node in (unit, *nodes, *_heads(unit, source)) for word in _words(node)]
        if getattr(unit, "name", None) in rates or any(map(RATE.search, words)):
            fold = _fold(nodes)
            if fold is not None:
                found.setdefault(fold.lineno, fold)
    return [finding_at(source, node, LOOKS) for _, node in sorted(found.items())]


def _rates(source: Source) -> Iterator[str]:
    """The names that are given to `LambdaLR`, or as a `learning_rate`."""
    for call in source.nodes:
        if isinstance(call, ast.Call):
            rate = RATE.search(_last(call.func))
            given = [
                *(call.args if rate else ()),
                *(each.value for each in call.keywords if rate or RATE.search(each.arg or "")),
            ]
            yield from (each.id for each in _all(given) if isinstance(each, ast.Name))


def _heads(unit: ast.AST, source: Source) -> Iterator[ast.AST]:
    """The nodes that say what a function is for: a class, a call, the target of an assignment."""
    for outer in source.around(unit)[:4] if isinstance(unit, FUNCTIONS) else ():
        yield outer
        if isinstance(outer, ast.Call):
            yield outer.func
        elif isinstance(outer, ast.Assign):
            yield from outer.targets


def _fold(nodes: Iterable[ast.AST]) -> ast.expr | ast.stmt | None:
    """The first place in a function that folds something periodic."""
    periodic: set[str] = set()

    def is_periodic(*given: ast.AST) -> bool:
        return any(_is_remainder(each) or _dotted(each) in periodic for each in _all(given))

    for node in nodes:
        match node:
            case ast.Assign(targets, value) if is_periodic(value):
                periodic |= {name for each in _all(targets) if (name := _dotted(each))}
            case ast.Call(function, [first, *_] as arguments):
                name = _last(function)
                given = [*arguments, *(each.value for each in node.keywords)]
                if name in FOLDS and is_periodic(*given):
                    return node
                if (name in ABS and _is_distance(first)) or name in WAVES:
                    return node
            case ast.IfExp(ast.Compare(ops=[op, *_]) as test) | ast.If(
                ast.Compare(ops=[op, *_]) as test
            ) if isinstance(op, ORDER) and is_periodic(test):
                return node
    return None


def _is_remainder(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(ast.JoinedStr() | ast.Constant(str()), ast.Mod()):
            return False  # It formats text.
        case ast.BinOp(_, ast.Mod()):
            return True
    return isinstance(node, ast.Call) and _last(node.func) in REMAINDERS


def _is_distance(node: ast.AST) -> bool:
    """True for `t / size - 2 * cycle + 1`: the distance of a quotient from whole cycles."""
    operators = {type(each.op) for each in _all([node]) if isinstance(each, ast.BinOp)}
    return {ast.Sub, ast.Div, ast.Mult} <= operators


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
        if not (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)):
            waiting += ast.iter_child_nodes(node)


def _words(node: ast.AST) -> Iterator[str]:
    """The names that a node itself contains, and `"lr"` as in `group["lr"]`."""
    for key in ("id", "attr", "arg", "name"):
        word = getattr(node, key, None)
        if isinstance(word, str):
            yield word
    if isinstance(node, ast.Constant) and node.value in ("lr", "learning_rate"):
        yield str(node.value)


def _dotted(node: ast.AST) -> str:
    name, attributes = parts_of(node)
    return ".".join([name.id, *attributes]) if name else ""


def _last(function: ast.AST) -> str:
    match function:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
    return ""
