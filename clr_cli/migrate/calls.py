"""Calls of other implementations in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from clr_cli.migrate.arguments import given_to
from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.names import Names, Path
from clr_cli.migrate.origins import TORCH, best, origin_of
from clr_cli.migrate.reading import read
from clr_cli.migrate.replacement import advice, replacement_for
from clr_cli.migrate.rewriting import Use, changed_lines, plan
from clr_cli.migrate.source import Source


def calls(source: Source, names: Names, to: str | None) -> list[Finding]:
    """Find the calls of and references to known implementations."""
    uses = list(_uses(source, names))
    for use in uses:
        _read(use, source, names)
    rewritable = [use for use in uses if use.origin.rewritable]
    for use in rewritable:
        framework = use.origin.framework
        if to not in (None, framework):
            use.kept = use.kept or f"This is for {framework}, and --to names {to}."
    plan(rewritable, source, names)
    found = [_finding(use, source, to) for use in uses]
    return [*found, *_unused(source, {id(each) for use in uses for each in use.imports})]


def _uses(source: Source, names: Names) -> Iterator[Use]:
    for node in source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        parent = source.parents[node]
        if isinstance(parent, ast.Attribute) or _is_followed(parent):
            continue  # Part of a longer name; or an alias, which is looked up at its uses.
        call = parent if isinstance(parent, ast.Call) and parent.func is node else None
        every = names.paths(node)
        origin, paths = best(every, call)
        if origin is None or (call is None and paths[0].definition is not None):
            continue
        # Only one of several star imports provided the name.
        others = len(paths) < len(every) and not all(each.starred for each in every)
        yield Use(node, call, origin, paths, others)


def _is_followed(parent: ast.AST) -> bool:
    """True if a name only gets an alias, as in `CLR = optim.lr_scheduler.CyclicLR`."""
    return isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name)


def _read(use: Use, source: Source, names: Names) -> None:
    origin, parent = use.origin, source.parents[use.node]
    if isinstance(parent, ast.ClassDef):
        use.kept = f"`{parent.name}` is derived from it."
    if use.call is not None:
        use.reading = read(origin, given_to(use.call, origin.parameters, source), names)
        use.kept = use.reading.refused
        if origin.family == TORCH and len(use.call.args) == len(origin.parameters):
            use.kept = use.kept or "`verbose` is given by its position."
    if not origin.rewritable:
        use.kept = (
            use.kept or f"{origin.name} is a callback: give the optimizer a schedule yourself."
        )


def _finding(use: Use, source: Source, to: str | None) -> Finding:
    origin, reading = use.origin, use.reading
    to = to or origin.framework
    cautions = [Caution("origin", origin.doubt)] if origin.doubt else []
    if use.others:
        says = "The name is bound more than once and may mean something else. It is read as "
        cautions.append(Caution("origin", f"{says}{origin.name}."))
    replacement = None
    if use.call is None:
        says = use.kept if isinstance(source.parents[use.node], ast.ClassDef) else ""
        says = says or f"{origin.name} is named here and not called, so no arguments are read."
        cautions.append(Caution("reference", says))
    cautions += reading.cautions
    if use.edits:
        replacement = changed_lines(use, source)
    elif use.call is not None and not (
        reading.refused or reading.grouped or (origin.rewritable and to == origin.framework)
    ):
        replacement = replacement_for(to, reading)
        cautions += advice(to, origin, reading)
    return finding_at(
        source,
        use.call or use.node,
        origin.name,
        arguments=reading.given.texts(),
        record=reading.record,
        to=to,
        replacement=replacement,
        warnings=tuple(dict.fromkeys(cautions)),
        edits=tuple(use.edits),
        kept=use.kept,
    )


def _unused(source: Source, used: set[int]) -> Iterator[Finding]:
    """Imports of a known class that isn't used where it is imported."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and id(node) not in used:
            for alias in node.names:
                origin = origin_of(Path(f"{node.module}.{alias.name}"), None)
                if origin is not None and origin.rewritable:
                    why = "It is imported and not used here: it may be looked up by its name."
                    yield finding_at(source, node, origin.name, kept=why)
