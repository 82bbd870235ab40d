"""Calls of other implementations in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from clr_cli.migrate.arguments import Given, given_to
from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.momentum import momentum_cautions
from clr_cli.migrate.names import Names
from clr_cli.migrate.optimizers import optimizer_of
from clr_cli.migrate.origins import ADDONS, TORCH, UNREAD, Origin, best
from clr_cli.migrate.reading import Reading, read, record_of, schedules_of
from clr_cli.migrate.replacement import replacement_for
from clr_cli.migrate.source import Source
from clr_cli.migrate.usage import usage_cautions, variable_of


def calls(source: Source, names: Names, to: str) -> Iterator[Finding]:
    """Find the calls of and references to known implementations."""
    for node in source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        parent = source.parents[node]
        if isinstance(parent, ast.Attribute) or _is_followed(node, parent, names):
            continue  # Part of a longer name; or an alias, which is looked up at its uses.
        call = parent if isinstance(parent, ast.Call) and parent.func is node else None
        origin, others = best(names.paths(node), call)
        if origin is None:
            continue
        partial = call is None and _is_partial(parent, node, names)
        if call is None and not (partial and isinstance(parent, ast.Call)):
            if origin.family != UNREAD and not origin.in_this_file:
                yield _reference(origin, node, source, to)
            continue
        made = call if call is not None else parent
        assert isinstance(made, ast.Call)
        yield _found(origin, others, made, partial, source, names, to)


def _is_followed(node: ast.expr, parent: ast.AST, names: Names) -> bool:
    """True if a name only gets an alias, as in `CLR = optim.lr_scheduler.CyclicLR`."""
    return isinstance(parent, ast.Assign) and all(isinstance(t, ast.Name) for t in parent.targets)


def _is_partial(parent: ast.AST, node: ast.expr, names: Names) -> bool:
    if not isinstance(parent, ast.Call) or not parent.args or parent.args[0] is not node:
        return False
    return any(path.dotted == "functools.partial" for path in names.paths(parent.func))


def _found(
    origin: Origin,
    others: int,
    call: ast.Call,
    partial: bool,
    source: Source,
    names: Names,
    to: str,
) -> Finding:
    given = given_to(call, origin.parameters, source, names, skip=1 if partial else 0)
    cautions = [Caution("origin", origin.doubt)] if origin.doubt else []
    if others:
        says = "The name is bound more than once and may mean something else. It is read as "
        cautions.append(Caution("origin", f"{says}{origin.name}."))
    if origin.family == UNREAD:
        given = given_to(call, (), source, names)
        says = f"{origin.name} is unknown, so its arguments are shown but not interpreted."
        shown = {str(i): text for i, text in enumerate(given.unknown)}
        return finding_at(source, call, origin, shown, None, to, None, [Caution("origin", says)])
    arguments = {key: each.text for key, each in given.named.items()}
    reading = read(origin, given, source, names)
    if partial:
        says = "Arguments given to the `functools.partial` later aren't visible here."
        cautions.append(Caution("partial", says))
        reading.cautions = [each for each in reading.cautions if each.about != "missing"]
        reading.whole = False
    refused = False
    schedules = None
    try:
        schedules = schedules_of(reading)
    except (TypeError, ValueError) as error:
        refused = True
        cautions.append(Caution("refused", str(error)))
    variable = None if partial else variable_of(call, source)
    optimizer = optimizer_of(origin.family, call, variable, source, names)
    replacement = None
    if _is_writable(reading, given, partial, refused):
        replacement = replacement_for(
            to,
            origin,
            reading,
            optimizer,
            variable,
            arguments.get("optimizer"),
            arguments.get("name"),
        )
    cautions += reading.cautions
    if reading.last_epoch is not None:
        cautions.append(_started(reading, origin, to))
    if replacement is not None:
        if not (to == "keras" and origin.family == ADDONS):
            cautions += momentum_cautions(to, origin, reading, optimizer)
        cautions += _groups(reading, to)
    cautions += usage_cautions(origin.family, to, call, variable, source)
    record = None if partial else record_of(reading, schedules)
    return finding_at(source, call, origin, arguments, record, to, replacement, cautions)


def _is_writable(reading: Reading, given: Given, partial: bool, refused: bool) -> bool:
    """True if the arguments suffice for code that does the same."""
    enough = all(name in reading.parameters for name in ("base_lr", "max_lr"))
    missing = any(each.about in ("missing", "groups") for each in reading.cautions)
    return enough and not (refused or partial or given.unknown or given.spread or missing)


def _started(reading: Reading, origin: Origin, to: str) -> Caution:
    last = reading.last_epoch.text if reading.last_epoch is not None else ""
    place = {
        "torch": "`last_epoch` means the same in clr_torch" if origin.family == TORCH else "",
        "keras": "In Keras this is the optimizer's `iterations`, once it is built",
        "jax": "In optax this is the count in the optimizer's state",
    }[to]
    says = f"`last_epoch={last}`: the first update is step {reading.step.text}."
    if origin.family == TORCH:
        says += " A saved `last_epoch` resumes one step too late: give one less."
    return Caution("last_epoch", f"{says} {place}." if place else says)


def _groups(reading: Reading, to: str) -> list[Caution]:
    if reading.groups is None or to == "torch":
        return []
    advice = {
        "keras": "Keras has no parameter groups; keras.optimizers.MultiOptimizer, if your version "
        "has it, assigns variables to each optimizer.",
        "jax": "`optax.multi_transform` assigns parameters to each optimizer.",
    }[to]
    return [Caution("groups", f"There is one schedule for each parameter group. {advice}")]


def _reference(origin: Origin, node: ast.expr, source: Source, to: str) -> Finding:
    parent = source.parents[node]
    if isinstance(parent, ast.ClassDef) and node in parent.bases:
        says = f"`{parent.name}` is derived from it. That class and its calls aren't read."
    else:
        says = (
            f"{origin.name} is referenced here but not called, so there are no arguments to read."
        )
    return finding_at(source, node, origin, {}, None, to, None, [Caution("reference", says)])
