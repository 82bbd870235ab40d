"""The use of a scheduler that a call made, as far as it changes what replaces it.

It is judged from names and from the nesting of loops, and the cautions say so: "looks like".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from clr_cli.migrate.finding import Caution
from clr_cli.migrate.origins import CALLBACK, TORCH
from clr_cli.migrate.source import Source, dotted

LOOPS = (ast.For, ast.AsyncFor, ast.While)
STOPS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
EPOCH = re.compile(r"epoch|(^|_)ep(s|_|$)", re.IGNORECASE)
OPTIMIZER = re.compile(r"opt|scaler|accelerator", re.IGNORECASE)
BATCHES = "batches_per_epoch"


def variable_of(call: ast.AST, source: Source) -> str | None:
    """The name or attribute that a call is assigned to, if any."""
    parent = source.parents.get(call)
    match parent:
        case ast.Assign([ast.Name() | ast.Attribute() as target], value) if value is call:
            return source.text_of(target)
        case ast.AnnAssign(ast.Name() | ast.Attribute() as target, _, value) if value is call:
            return source.text_of(target)
        case ast.NamedExpr(target, value) if value is call:
            return target.id
    return None


def batches_per_epoch(
    call: ast.AST, variable: str | None, source: Source
) -> tuple[str, str] | None:
    """The number of updates per epoch as an expression, and the place of the step.

    None if the scheduler seems to step after each update, or if nothing shows how it steps.
    """
    steps = [step for name in _same(call, variable, source) for step in _steps(name, source)]
    if not steps and _is_lightning_per_epoch(call, source):
        return BATCHES, f"{source.line(call.lineno)}, by Lightning's default"  # type: ignore[attr-defined]
    for step in steps:
        loops = _loops(step, source)
        if _is_per_epoch(step, loops, source):
            return _batches(loops), source.line(step.lineno)
    return None


def usage_cautions(
    family: str, to: str, call: ast.AST, variable: str | None, source: Source
) -> Iterator[Caution]:
    """Cautions about the use of the scheduler."""
    if family == CALLBACK:
        name = f"`{variable}`" if variable else "the callback"
        yield Caution(
            "callback",
            f"Take {name} out of `callbacks=[…]`: the optimizer has the schedule."
            if to == "keras"
            else f"The training loop replaces {name} and the other `callbacks=[…]`.",
        )
        if any(isinstance(each, LOOPS) for each in source.around(call)):
            yield Caution(
                "restart",
                "Each new callback starts at step 0. A schedule starts at the optimizer's count: "
                "to restart the cycle, make a new optimizer.",
            )
    if family != TORCH:
        return
    for name in _same(call, variable, source):
        for step in _steps(name, source):
            if step.args or step.keywords:
                yield Caution(
                    "step_argument",
                    f"`{source.text_of(step)}` in {source.line(step.lineno)}: the argument is the "
                    "step to go to, and must be a whole number. Leave it out to advance by one.",
                )
        if to != "torch":
            yield from _elsewhere(to, name, source)


def _elsewhere(to: str, variable: str, source: Source) -> Iterator[Caution]:
    states = [
        each.lineno
        for each in source.attributes.get(variable, [])
        if each.attr in ("load_state_dict", "state_dict", "last_epoch")
    ]
    if states:
        yield Caution(
            "last_epoch",
            f"The state of `{variable}` ({source.line(min(states))}) is only the step here, and is "
            "saved with the optimizer: to resume from an old checkpoint, "
            + (
                'assign its "last_epoch" to `optimizer.iterations`.'
                if to == "keras"
                else 'give its "last_epoch" to `set_step`.'
            ),
        )
    for node in source.calls:
        name = (dotted(node.func) or "").rpartition(".")[2]
        if name in ("SequentialLR", "ChainedScheduler") and any(
            dotted(each) == variable for each in ast.walk(node)
        ):
            yield Caution(
                "composed",
                f"`{variable}` is part of a {name} in {source.line(node.lineno)}. This is only the "
                "cycle, from step 0.",
            )
            return


def _same(call: ast.AST, variable: str | None, source: Source) -> list[str]:
    """A variable and its aliases, as in `self.scheduler = scheduler`."""
    if variable is None:
        return []
    names = {variable: None}
    for name, statements in source.assigned.items():
        if any(dotted(each.value) == variable for each in statements):
            names[name] = None
    return list(names)


def _steps(variable: str, source: Source) -> list[ast.Call]:
    parents = (
        source.parents[use] for use in source.attributes.get(variable, []) if use.attr == "step"
    )
    return [each for each in parents if isinstance(each, ast.Call)]


def _loops(node: ast.AST, source: Source) -> list[ast.AST]:
    """The loops around a node within its function, innermost first."""
    found: list[ast.AST] = []
    for outer in source.around(node):
        if isinstance(outer, STOPS):
            break
        if isinstance(outer, LOOPS):
            found.append(outer)
    return found


def _updates(place: ast.AST, but: ast.AST) -> list[ast.Call]:
    """The calls that train: `optimizer.step()`, `scaler.step(optimizer)`, `loss.backward()`."""
    return [
        node
        for node in ast.walk(place)
        if isinstance(node, ast.Call)
        and node is not but
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr == "backward"
            or (node.func.attr == "step" and OPTIMIZER.search(dotted(node.func.value) or ""))
        )
    ]


def _is_per_epoch(step: ast.Call, loops: list[ast.AST], source: Source) -> bool:
    if not loops:
        return "epoch_end" in getattr(source.function_of(step), "name", "")
    inner = loops[0]
    updates = _updates(inner, step)
    if any(_loops(update, source)[:1] == [inner] for update in updates):
        return False
    if updates:
        return True
    return isinstance(inner, ast.For) and bool(EPOCH.search(ast.unparse(inner.target)))


def _is_lightning_per_epoch(call: ast.AST, source: Source) -> bool:
    function = source.function_of(call)
    if getattr(function, "name", "") != "configure_optimizers":
        return False
    words = {
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return not {"interval", "step"} <= words


def _batches(loops: list[ast.AST]) -> str:
    """The length of the loop over batches in a loop over epochs."""
    inner = (
        [
            each
            for each in ast.walk(loops[0])
            if isinstance(each, ast.For) and each is not loops[0] and _updates(each, each)
        ]
        if loops
        else []
    )
    node: ast.AST | None = inner[0].iter if inner else None
    while isinstance(node, ast.Call) and node.args:
        name = (dotted(node.func) or "").rpartition(".")[2]
        if name == "range" and len(node.args) == 1:
            return ast.unparse(node.args[0])
        if name not in ("enumerate", "tqdm", "trange", "track", "list"):
            return BATCHES
        node = node.args[0]
    return BATCHES if node is None or dotted(node) is None else f"len({dotted(node)})"
