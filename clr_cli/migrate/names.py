r"""The meaning of a name in a file: the import, alias, class or function that bound it.

    >>> from clr_cli.migrate.source import Source
    >>> source = Source("from torch import optim as o\no.lr_scheduler.CyclicLR", "train.py")
    >>> Names(source).paths(source.tree.body[1].value)
    [Path(dotted='torch.optim.lr_scheduler.CyclicLR', definition=None, starred=False)]

Scopes are Python's. If a scope binds a name several times, the bindings that may apply at its use
are the last one outside a branch, and those after it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from clr_cli.migrate.source import Source

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
# Aliases of aliases; nobody writes so many.
DEEPEST = 20


@dataclass(frozen=True)
class Path:
    """The target of a name: a dotted path from a module, or a definition in this file."""

    dotted: str
    definition: ast.AST | None = None
    starred: bool = False
    """True if it may come from a `from … import *`."""


@dataclass(frozen=True)
class Binding:
    """One place that binds a name."""

    place: ast.AST
    dotted: str = ""
    value: ast.AST | None = None
    """The value or definition, if the name stands for exactly that."""
    in_branch: bool = False


@dataclass
class Scope:
    """The names that a module, class, function or comprehension binds."""

    node: ast.AST
    outer: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    """Names that `global` or `nonlocal` takes from another scope."""


class Names:
    """The bindings of all scopes of a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.module = Scope(source.tree, None)
        self.stars: list[str] = []
        self._scopes: dict[ast.AST, Scope] = {source.tree: self.module}
        self._fill()

    def paths(self, node: ast.AST, depth: int = 0) -> list[Path]:
        """The possible targets of a name or a dotted name; none if unknown."""
        if isinstance(node, ast.Attribute):
            return [
                Path(f"{path.dotted}.{node.attr}", None, path.starred)
                for path in self.paths(node.value, depth)
                if path.definition is None
            ]
        if not isinstance(node, ast.Name) or depth > DEEPEST:
            return []
        bindings = self.bindings(node)
        if bindings is None:
            return [Path(f"{star}.{node.id}", None, True) for star in reversed(self.stars)]
        found: list[Path] = []
        for binding in bindings:
            if binding.dotted:
                found.append(Path(binding.dotted))
            elif isinstance(binding.value, ast.Name | ast.Attribute):
                found += self.paths(binding.value, depth + 1)
            elif isinstance(binding.value, ast.ClassDef | ast.FunctionDef | ast.Lambda):
                found.append(Path(node.id, binding.value))
        return list(dict.fromkeys(found))

    def bindings(self, node: ast.Name) -> list[Binding] | None:
        """The bindings that may apply to a name at its use; None if this file has none."""
        start: Scope | None = self._scope_of(node)
        scope = start
        while scope is not None:
            found = scope.bindings.get(node.id)
            # A class body's names aren't visible in its methods.
            if found and (scope is start or not isinstance(scope.node, ast.ClassDef)):
                return _that_hold(found, node, within=scope is start)
            scope = scope.outer
        return None

    def constant(self, node: ast.Name) -> ast.expr | None:
        """The value of a name that is assigned exactly once, at module level; else None."""
        scope: Scope | None = self._scope_of(node)
        while scope is not None and node.id not in scope.bindings:
            scope = scope.outer
        if scope is not self.module:
            return None
        bindings = self.module.bindings[node.id]
        if len(bindings) != 1 or bindings[0].in_branch:
            return None
        value = bindings[0].value
        return value if isinstance(value, ast.expr) else None

    def _scope_of(self, node: ast.AST) -> Scope:
        inner = node
        for outer in self._source.around(node):
            scope = self._scopes.get(outer)
            if scope is not None and not _is_evaluated_outside(inner, outer):
                return scope
            inner = outer
        return self.module

    def _fill(self) -> None:
        # Scopes come first: by `global`, a name in one function may belong to another scope.
        for node in self._source.nodes:
            if isinstance(node, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)):
                self._scopes[node] = Scope(node, None)
        for node, scope in self._scopes.items():
            if node is not self._source.tree:
                scope.outer = self._scope_of(node)
        nodes = self._source.nodes
        for node in nodes:
            if isinstance(node, ast.Global | ast.Nonlocal):
                self._scope_of(node).elsewhere |= set(node.names)
        for node in nodes:
            self._note(node)
        for scope in self._scopes.values():
            for bindings in scope.bindings.values():
                bindings.sort(key=lambda binding: _position(binding.place))

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names):
                for alias in names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self._bind(name, node, dotted=alias.name if alias.asname else name)
            case ast.ImportFrom(module, names, level):
                base = "." * level + (module or "")
                for alias in names:
                    if alias.name == "*":
                        self.stars.append(base)
                    else:
                        join = "" if base.endswith(".") else "."
                        dotted = f"{base}{join}{alias.name}"
                        self._bind(alias.asname or alias.name, node, dotted=dotted)
            case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                self._bind(name, node, value=node)
            case ast.Assign([ast.Name(name)], value):
                self._bind(name, node, value=value)
            case ast.AnnAssign(ast.Name(name), _, value) if value is not None:
                self._bind(name, node, value=value)
            case ast.Name(name, ast.Store() | ast.Del()) if not self._is_whole_target(node):
                self._bind(name, node)
            case ast.arg(name):
                self._bind(name, node)
            case ast.ExceptHandler(name=str(name)):
                self._bind(name, node)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                self._bind(name, node)
            case ast.MatchMapping(rest=str(name)):
                self._bind(name, node)

    def _is_whole_target(self, node: ast.AST) -> bool:
        parent = self._source.parents[node]
        return (isinstance(parent, ast.Assign) and len(parent.targets) == 1) or (
            isinstance(parent, ast.AnnAssign)
        )

    def _bind(
        self, name: str, place: ast.AST, dotted: str = "", value: ast.AST | None = None
    ) -> None:
        scope = self._scope_of(place)
        parent = self._source.parents[place]
        if isinstance(parent, ast.NamedExpr):
            while isinstance(scope.node, COMPREHENSIONS) and scope.outer is not None:
                scope = scope.outer
        in_branch = False
        if name in scope.elsewhere:
            scope, in_branch = self._elsewhere(name, scope), True
        else:
            for outer in self._source.around(place):
                if outer is scope.node:
                    break
                in_branch = in_branch or isinstance(outer, BRANCHES)
        scope.bindings.setdefault(name, []).append(Binding(place, dotted, value, in_branch))

    def _elsewhere(self, name: str, scope: Scope) -> Scope:
        for node in ast.walk(scope.node):
            if isinstance(node, ast.Nonlocal) and name in node.names and scope.outer is not None:
                return scope.outer
        return self.module


def _is_evaluated_outside(inner: ast.AST, outer: ast.AST) -> bool:
    """True for parts of a function or class outside its scope, such as decorators."""
    match outer:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return inner in outer.decorator_list or inner is outer.returns
        case ast.ClassDef():
            return inner in (*outer.decorator_list, *outer.bases, *outer.keywords)
    return False


def _that_hold(bindings: list[Binding], use: ast.Name, within: bool) -> list[Binding]:
    if within:
        # In the same scope only earlier bindings apply; a function is called after all of them.
        before = [each for each in bindings if _position(each.place) < _position(use)]
        bindings = before or bindings
    last = max((i for i, each in enumerate(bindings) if not each.in_branch), default=0)
    return bindings[last:]


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
