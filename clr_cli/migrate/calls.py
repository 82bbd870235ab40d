"""Calls of other implementations in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from clr_cli.migrate.arguments import Given, given_to
from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.momentum import momentum_cautions
from clr_cli.migrate.names import Names, Path
from clr_cli.migrate.optimizers import optimizer_of
from clr_cli.migrate.origins import ADDONS, FRAMEWORKS, TORCH, UNREAD, best, origin_of
from clr_cli.migrate.reading import Reading, per_update, read, record_of, schedules_of
from clr_cli.migrate.replacement import replacement_for
from clr_cli.migrate.rewriting import Use, plan
from clr_cli.migrate.source import Source
from clr_cli.migrate.usage import BATCHES, batches_per_epoch, usage_cautions, variable_of
from clr_cli.migrate.values import literal


def calls(source: Source, names: Names, to: str | None) -> list[Finding]:
    """Find the calls of and references to known implementations."""
    uses, found = [], []
    for node in source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        parent = source.parents[node]
        if isinstance(parent, ast.Attribute) or _is_followed(parent):
            continue  # Part of a longer name; or an alias, which is looked up at its uses.
        call = parent if isinstance(parent, ast.Call) and parent.func is node else None
        paths = names.paths(node)
        origin, path, others = best(paths, call)
        if origin is None or path is None or (origin.in_this_file and call is None):
            continue
        framework = to or FRAMEWORKS.get(origin.family, "torch")
        use = Use(node, path, origin, others, call)
        partial = None if call is not None else _partial(parent, node, names)
        if call is not None or partial is not None:
            finding = _found(use, call or partial, source, names, framework)
        elif origin.family == UNREAD:
            continue
        else:
            finding = _reference(use, source, framework)
        if framework == FRAMEWORKS.get(origin.family) and origin.family in (TORCH, ADDONS):
            # The same class by several imports, such as in both branches: all of them change.
            also = [each for each in paths if each != path and each.dotted == path.dotted]
            use.twins = [replace(use, path=each, edits=[]) for each in also]
            uses += [use, *use.twins]
        elif origin.family in (TORCH, ADDONS):
            use.kept = f"This is for {FRAMEWORKS[origin.family]}, and --to names {framework}."
        found.append((use, finding))
    plan(uses, source, names)
    return [
        *(
            replace(finding, edits=tuple(use.every_edit), kept=use.kept or finding.kept)
            for use, finding in found
        ),
        *_imported(source, {id(each.path.statement) for use, _ in found for each in use.all}),
    ]


def _imported(source: Source, used: set[int]) -> Iterator[Finding]:
    """Imports of a known class that isn't used where it is imported."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and id(node) not in used:
            for alias in node.names:
                origin = origin_of(Path(f"{node.module}.{alias.name}"), None)
                if origin is not None and origin.family in (TORCH, ADDONS):
                    why = "It is imported and not used here: it may be looked up by its name."
                    yield finding_at(source, node, origin.name, kept=why)


def _is_followed(parent: ast.AST) -> bool:
    """True if a name only gets an alias, as in `CLR = optim.lr_scheduler.CyclicLR`."""
    return isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name)


def _partial(parent: ast.AST, node: ast.expr, names: Names) -> ast.Call | None:
    if not (isinstance(parent, ast.Call) and parent.args and parent.args[0] is node):
        return None
    partial = any(path.dotted == "functools.partial" for path in names.paths(parent.func))
    return parent if partial else None


def _found(use: Use, made: ast.Call | None, source: Source, names: Names, to: str) -> Finding:
    assert made is not None
    origin, partial = use.origin, use.call is None
    given = given_to(made, origin.parameters, source, names, skip=1 if partial else 0)
    cautions = [Caution("origin", origin.doubt)] if origin.doubt else []
    if use.others:
        says = "The name is bound more than once and may mean something else. It is read as "
        cautions.append(Caution("origin", f"{says}{origin.name}."))
    if origin.family == UNREAD:
        given = given_to(made, (), source, names)
        says = f"{origin.name} is unknown, so its arguments are shown but not interpreted."
        shown = {str(i): text for i, text in enumerate(given.unknown)}
        return finding_at(
            source, made, origin.name, arguments=shown, to=to, warnings=(Caution("origin", says),)
        )
    arguments = {key: each.text for key, each in given.named.items()}
    reading = read(origin, given, source, names)
    if partial:
        says = "Arguments given to the `functools.partial` later aren't visible here."
        cautions.append(Caution("partial", says))
        reading.cautions = [each for each in reading.cautions if each.about != "missing"]
        reading.whole = False
    refused = ""
    schedules = None
    try:
        schedules = schedules_of(reading)
    except (TypeError, ValueError) as error:
        refused = str(error)
        cautions.append(Caution("refused", refused))
    use.reading = reading
    use.kept = _kept(use, given, refused)
    variable = None if partial else variable_of(made, source)
    batches = None
    if origin.family == TORCH and to != "torch":
        batches = batches_per_epoch(made, variable, source)
    if batches is not None:
        per_update(reading, batches[0])
        schedules = None
        cautions.append(_per_epoch(*batches))
    optimizer = optimizer_of(origin.family, made, variable, source, names)
    replacement = None
    if _is_writable(reading, given, partial, bool(refused)):
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
        cautions.append(_started(reading, to))
    if replacement is not None:
        if not (to == "keras" and origin.family == ADDONS):
            cautions += momentum_cautions(to, origin, reading, optimizer)
        cautions += _groups(reading, to)
    cautions += usage_cautions(origin.family, to, made, variable, source)
    return finding_at(
        source,
        made,
        origin.name,
        arguments=arguments,
        record=None if partial else record_of(reading, schedules),
        to=to,
        replacement=replacement,
        warnings=tuple(dict.fromkeys(cautions)),
    )


def _kept(use: Use, given: Given, refused: str) -> str:
    """Why a call can't be rewritten in place, or empty."""
    reading = use.reading
    assert reading is not None
    if refused:
        return refused
    if given.spread:
        return f"The contents of `{given.spread[0]}` are unknown here."
    if "verbose" in given.named and use.call is not None and len(use.call.args) > 13:
        return "`verbose` is given by its position."
    if given.unknown:
        return f"{use.origin.name} has no parameter for `{given.unknown[0]}`."
    mode = given.named.get("scale_mode", literal("cycle"))
    if use.origin.family == TORCH and mode.known and mode.value not in ("cycle", "iterations"):
        return f"`scale_mode={mode.text}` means 'iterations' there and is refused here."
    about = {each.about: each.says for each in reading.cautions}
    if use.call is not None and ("missing" in about or "groups" in about):
        return about.get("missing") or about["groups"]
    if use.origin.family == ADDONS and use.call is not None and not reading.whole:
        return about.get("scale_mode", "Some arguments are unknown here.")
    return ""


def _is_writable(reading: Reading, given: Given, partial: bool, refused: bool) -> bool:
    """True if the arguments suffice for code that does the same."""
    enough = all(name in reading.parameters for name in ("base_lr", "max_lr"))
    missing = any(each.about in ("missing", "groups") for each in reading.cautions)
    return enough and not (refused or partial or given.unknown or given.spread or missing)


def _per_epoch(batches: str, place: str) -> Caution:
    says = (
        f"The scheduler looks stepped once per epoch ({place}), and here a step is an update: the "
        f"sizes are multiplied by `{batches}`. The rate then changes with each update."
    )
    if batches == BATCHES:
        says += f" Set `{BATCHES}` to the number of updates per epoch."
    return Caution("per_epoch", says)


def _started(reading: Reading, to: str) -> Caution:
    last = reading.last_epoch.text if reading.last_epoch is not None else ""
    place = {
        "torch": "`last_epoch` means the same in clr_torch",
        "keras": "In Keras this is the optimizer's `iterations`, once it is built",
        "jax": "In optax this is the count in the optimizer's state",
    }[to]
    return Caution(
        "last_epoch",
        f"`last_epoch={last}`: the first update is step {reading.step.text}. A saved `last_epoch` "
        f"resumes one step too late: give one less. {place}.",
    )


def _groups(reading: Reading, to: str) -> Iterator[Caution]:
    if reading.groups is None or to == "torch":
        return
    advice = {
        "keras": "Keras has no parameter groups; keras.optimizers.MultiOptimizer, if your version "
        "has it, assigns variables to each optimizer.",
        "jax": "`optax.multi_transform` assigns parameters to each optimizer.",
    }[to]
    yield Caution("groups", f"There is one schedule for each parameter group. {advice}")


def _reference(use: Use, source: Source, to: str) -> Finding:
    parent = source.parents[use.node]
    if isinstance(parent, ast.ClassDef) and use.node in parent.bases:
        says = f"`{parent.name}` is derived from it. That class and its calls aren't read."
        use.kept = f"`{parent.name}` is derived from it."
    else:
        says = f"{use.origin.name} is named here and not called, so there are no arguments to read."
    caution = Caution("reference", says)
    return finding_at(source, use.node, use.origin.name, to=to, warnings=(caution,))
