r"""The meaning of a name in a file: the import, alias, class or function that bound it.

    >>> from clr_cli.migrate.source import Source
    >>> source = Source("from torch import optim as o\no.lr_scheduler.CyclicLR", "train.py")
    >>> Names(source).paths(source.tree.body[1].value)
    [Path(dotted='torch.optim.lr_scheduler.CyclicLR', ...)]

LibCST finds the bindings that a name may have, by Python's rules of scopes.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst
from libcst.metadata import (
    Access,
    BaseAssignment,
    BuiltinAssignment,
    MetadataWrapper,
    PositionProvider,
    ScopeProvider,
)

from clr_cli.migrate.source import Source, parts_of, too_deep

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Aliases of aliases, and the meanings of one name; nobody writes so many.
DEEPEST, MOST_PATHS = 20, 16
# LibCST relates each use of a name in a scope to each of its bindings there.
MOST_PAIRS = 5_000_000
MOST_NODES = 300_000

Statement = ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Path:
    """The target of a name: a dotted path from a module, or a definition in this file."""

    dotted: str
    definition: ast.AST | None = None
    statement: Statement | None = field(default=None, repr=False)
    """The import that the path begins with."""
    starred: bool = False
    """True if it may come from a `from … import *`."""


UNKNOWN = Path("?")
"""What only running the program would show."""


class Names:
    """The bindings of all names of a file.

    Raises:
        ValueError: The file is nested too deeply, or binds and uses one name too often.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        _check_pairs(source)
        try:
            wrapper = MetadataWrapper(libcst.parse_module(source.text), unsafe_skip_copy=True)
            found = wrapper.resolve_many([PositionProvider, ScopeProvider])
        except RecursionError:
            raise too_deep(source.name) from None
        except Exception as error:  # Whatever LibCST stumbles over, other files are read.
            said = getattr(error, "message", error)
            raise ValueError(f"`{source.name}` can't be read by LibCST: {said}") from None
        positions: Any = found[PositionProvider]
        scopes: set[Any] = {scope for scope in found[ScopeProvider].values() if scope}
        self._positions = positions
        # By their offsets in the text, which ast and LibCST have in common.
        self._uses: dict[int, Access] = {
            self._position(access.node): access for scope in scopes for access in scope.accesses
        }
        self._nodes: dict[int, ast.AST] = {}
        for node in source.nodes:
            if isinstance(node, (*DEFINITIONS, ast.Import, ast.ImportFrom)) or (
                isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ):
                self._nodes[source.span(node)[0]] = node
        self._stars = [
            node
            for node in source.nodes
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        ]
        self._followed: dict[BaseAssignment, list[Path]] = {}

    def paths(self, node: ast.AST, depth: int = 0) -> list[Path]:
        """The possible targets of a name or a dotted name; none if it isn't bound."""
        name, attributes = parts_of(node)
        if name is None:
            return []
        bound = self.bindings(name)
        found = [path for each in bound for path in self._target(each, name.id, depth)]
        if not bound:
            found += [
                Path(f"{_module(star)}.{name.id}", None, star, starred=True) for star in self._stars
            ]
            if hasattr(builtins, name.id):
                found.append(Path(f"builtins.{name.id}"))
        if attributes:
            found = [
                UNKNOWN
                if each.definition or each is UNKNOWN
                else Path(".".join([each.dotted, *attributes]), None, each.statement, each.starred)
                for each in found
            ]
        return list(dict.fromkeys(found))[:MOST_PATHS]

    def bindings(self, node: ast.Name) -> list[BaseAssignment]:
        """The bindings that may apply: the last one outside a branch, and those after it."""
        access = self._uses.get(self._source.span(node)[0])
        if access is None:
            return []
        bound = (each for each in access.referents if not isinstance(each, BuiltinAssignment))
        found = sorted(bound, key=self._start)
        inner = max((each.scope is access.scope for each in found), default=False)
        found = [each for each in found if (each.scope is access.scope) == inner]
        last = max((i for i, each in enumerate(found) if not self._in_branch(each)), default=0)
        return found[last:]

    def definition(self, node: ast.Name) -> ast.AST | None:
        """The value or definition of a name that is bound exactly once, or None."""
        found = self.bindings(node)
        return self._value(found[0]) if len(found) == 1 else None

    def uses_of(self, statement: Statement, aliases: Sequence[ast.alias]) -> set[int]:
        """The offsets of the uses of names that an import binds."""
        names = {alias.asname or alias.name.partition(".")[0] for alias in aliases}
        return {
            place
            for place, use in self._uses.items()
            for each in use.referents
            if self._bound_by(each) is statement and each.name.partition(".")[0] in names
        }

    def _target(self, binding: BaseAssignment, name: str, depth: int) -> list[Path]:
        if binding not in self._followed:
            self._followed[binding] = []  # An alias may lead back to itself.
            self._followed[binding] = self._follow(binding, name, depth)
        return self._followed[binding]

    def _follow(self, binding: BaseAssignment, name: str, depth: int) -> list[Path]:
        node = self._bound_by(binding)
        if isinstance(node, Statement):
            return [_imported(node, name)]
        if isinstance(node, DEFINITIONS):
            return [Path(name, node)]
        value = self._value(binding)
        if isinstance(value, ast.Constant) and value.value is None:
            return []  # As in `except ImportError: torch = None`: nobody calls that.
        if isinstance(value, ast.Name | ast.Attribute) and depth < DEEPEST:
            return self.paths(value, depth + 1) or [UNKNOWN]
        return [UNKNOWN]

    def _bound_by(self, binding: BaseAssignment) -> ast.AST | None:
        return self._nodes.get(self._start(binding))

    def _value(self, binding: BaseAssignment) -> ast.AST | None:
        node = self._bound_by(binding)
        if isinstance(node, DEFINITIONS):
            return node
        match self._source.parents.get(node) if node is not None else None:
            case ast.Assign([ast.Name()], value):
                return value
            case ast.AnnAssign(ast.Name(), _, value):
                return value
        return None

    def _in_branch(self, binding: BaseAssignment) -> bool:
        node = self._bound_by(binding)
        for outer in self._source.around(node) if node is not None else ():
            if isinstance(outer, (*DEFINITIONS, ast.Lambda)):
                return False
            if isinstance(outer, BRANCHES):
                return True
        return False

    def _start(self, binding: BaseAssignment) -> int:
        node = getattr(binding, "node", None)
        return -1 if node is None else self._position(node)

    def _position(self, node: libcst.CSTNode) -> int:
        start = self._positions[node].start
        return int(self._source.starts[start.line - 1] + start.column)


def _imported(node: Statement, name: str) -> Path:
    """The path of a name, possibly a dotted one, that an import binds."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            if name == (alias.asname or alias.name):
                module = _module(node)
                dot = "" if module.endswith(".") else "."
                return Path(f"{module}{dot}{alias.name}", None, node)
        elif alias.asname == name:
            return Path(alias.name, None, node)
    return Path(name, None, node)


def _module(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _check_pairs(source: Source) -> None:
    if len(source.nodes) > MOST_NODES:
        raise ValueError(
            f"`{source.name}` may have at most {MOST_NODES} expressions to be read. "
            f"It has {len(source.nodes)}"
        )
    bound: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for node in source.nodes:
        match node:
            case ast.Name(name, ast.Load()):
                used[name] += 1
            case ast.Name(name):
                bound[name] += 1
            case ast.alias(name, other):
                bound[other or name.partition(".")[0]] += 10  # They cost more.
    pairs = {name: bound[name] * used[name] for name in bound}
    if sum(pairs.values()) > MOST_PAIRS:
        worst = max(pairs, key=pairs.__getitem__)
        raise ValueError(
            f"`{source.name}` binds and uses `{worst}` too often to be read: "
            f"{bound[worst]} and {used[worst]} times"
        )
