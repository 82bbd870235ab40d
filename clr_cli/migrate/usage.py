"""Cautions about how a file uses the scheduler that a call made.

They are guesses from names and from the nesting of loops, and say so: "looks like".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from clr_cli.migrate.finding import Caution
from clr_cli.migrate.origins import ADDONS, BRAINTOOLS, CALLBACK, TORCH
from clr_cli.migrate.source import Source, dotted

LOOPS = (ast.For, ast.AsyncFor, ast.While)
STOPS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
EPOCH = re.compile(r"epoch|(^|_)ep(s|_|$)", re.IGNORECASE)
OPTIMIZER = re.compile(r"opt|scaler|accelerator", re.IGNORECASE)
# Attributes of torch's class that clr's doesn't have; `schedules` replaces them.
ATTRIBUTES = {
    "base_momentums",
    "cycle_momentum",
    "gamma",
    "max_lrs",
    "max_momentums",
    "mode",
    "scale_fn",
    "scale_mode",
    "step_ratio",
    "total_size",
    "use_beta1",
}
# The attributes of bckenstler's callback that show its progress.
HISTORY = {"history", "clr_iterations", "trn_iterations", "clr"}
# An attribute of these shows that the variable is meant, and not another of the same name.
TELLING = {"step", "_reset", *HISTORY}
COMPOSED = {"SequentialLR", "ChainedScheduler"}
WHAT_A_STEP_IS = (
    "A step is an update, so step sizes count batches. Either step once per batch, or keep "
    "stepping per epoch with step sizes in epochs: a peak chosen in batches would never be reached."
)


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


def usage_cautions(
    family: str, to: str, call: ast.AST, variable: str | None, source: Source
) -> Iterator[Caution]:
    """Cautions about the use of the scheduler."""
    variables = [] if variable is None else _same(call, variable, source)
    if family in (TORCH, BRAINTOOLS):
        if not any(_step_calls(call, each, source) for each in variables):
            yield from _lightning(call, source)
        for each in variables:
            yield from _stepped(to, call, each, source)
    if family == TORCH:
        for each in variables:
            yield from _resumed(to, call, each, source)
            yield from _attributes(to, call, each, source)
            yield from _composed(to, call, each, source)
    if family == CALLBACK:
        yield from _callback(to, call, variable, source)
    if family in (CALLBACK, ADDONS):
        yield from _accumulated(to, source)


def _same(call: ast.AST, variable: str, source: Source) -> list[str]:
    """A variable and its aliases, as in `self.scheduler = scheduler`."""
    names = [variable]
    for node in ast.walk(source.function_of(call)):
        if isinstance(node, ast.Assign) and dotted(node.value) == variable:
            names += [name for target in node.targets if (name := dotted(target))]
    return names


def _uses(call: ast.AST, variable: str, source: Source) -> list[ast.Attribute]:
    """The attributes `scheduler.…` in the scope of the call; if there are none, in the file.

    A scheduler is often made in one function and passed to another under the same name.
    """
    reach: ast.AST = source.function_of(call)
    if variable.startswith("self."):
        reach = next(
            (each for each in source.around(call) if isinstance(each, ast.ClassDef)), source.tree
        )
    for place in (reach, source.tree):
        found = [
            node
            for node in (source.nodes if place is source.tree else ast.walk(place))
            if isinstance(node, ast.Attribute) and dotted(node.value) == variable
        ]
        if any(node.attr in TELLING for node in found) or place is source.tree:
            return sorted(found, key=lambda node: node.lineno)
    return []


def _first_lines(call: ast.AST, variable: str, source: Source) -> dict[str, int]:
    """The attributes used, each with its first line."""
    return {each.attr: each.lineno for each in reversed(_uses(call, variable, source))}


def _step_calls(call: ast.AST, variable: str, source: Source) -> list[ast.Call]:
    parents = (source.parents[use] for use in _uses(call, variable, source) if use.attr == "step")
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


def _updates(place: ast.AST, variable: str) -> list[ast.Call]:
    """The calls that train: `optimizer.step()`, `scaler.step(optimizer)`, `loss.backward()`."""
    return [
        node
        for node in ast.walk(place)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and dotted(node.func.value) != variable
        and (
            node.func.attr == "backward"
            or (node.func.attr == "step" and OPTIMIZER.search(dotted(node.func.value) or ""))
        )
    ]


def _stepped(to: str, call: ast.AST, variable: str, source: Source) -> Iterator[Caution]:
    steps = _step_calls(call, variable, source)
    for step in steps:
        if step.args or step.keywords:
            given = source.text_of((step.args or [each.value for each in step.keywords])[0])
            yield Caution(
                "step_argument",
                f"`{variable}.step({given})` in line {step.lineno}: the argument is the step to go "
                "to, and must be a whole number. Leave it out to advance by one.",
            )
    per_epoch = next((each for each in steps if _is_per_epoch(each, variable, source)), None)
    if per_epoch is not None:
        yield Caution(
            "per_epoch",
            f"`{variable}.step()` in line {per_epoch.lineno} looks like once per epoch. "
            + WHAT_A_STEP_IS,
        )
    for step in steps:
        yield from _micro_batches(to, step, variable, source)


def _is_per_epoch(step: ast.Call, variable: str, source: Source) -> bool:
    loops = _loops(step, source)
    if not loops:
        function = source.function_of(step)
        return "epoch_end" in getattr(function, "name", "")
    inner = loops[0]
    updates = _updates(inner, variable)
    if any(_loops(update, source)[:1] == [inner] for update in updates):
        return False
    if updates:
        return True
    return isinstance(inner, ast.For) and bool(EPOCH.search(ast.unparse(inner.target)))


def _micro_batches(to: str, step: ast.Call, variable: str, source: Source) -> Iterator[Caution]:
    """Gradient accumulation: updates in an `if i % n == 0` of the loop over batches."""
    loops = _loops(step, source)
    if not loops:
        return
    for update in _updates(loops[0], variable):
        if not isinstance(update.func, ast.Attribute) or update.func.attr != "step":
            continue
        guards = [
            each
            for each in source.around(update)
            if isinstance(each, ast.If)
            and any(isinstance(node, ast.Mod) for node in ast.walk(each.test))
            and loops[0] in source.around(each)
        ]
        if not guards:
            continue
        if guards[0] not in source.around(step):
            yield Caution(
                "accumulation",
                f"`{source.text_of(update)}` in line {update.lineno} looks like one update per "
                f"several batches, and `{variable}.step()` in line {step.lineno} like one step "
                "per batch. For step sizes in updates, step right after the update.",
            )
        elif to == "keras":
            yield Caution(
                "accumulation",
                f"Line {update.lineno} looks like one update per several batches. In Keras this is "
                "the optimizer's `gradient_accumulation_steps`. Give CyclicLR the same number.",
            )
        elif to == "jax":
            yield Caution(
                "accumulation",
                f"Line {update.lineno} looks like one update per several batches. In optax this is "
                "`optax.MultiSteps` around the optimizer, which counts updates.",
            )
        return


def _lightning(call: ast.AST, source: Source) -> Iterator[Caution]:
    function = source.function_of(call)
    if getattr(function, "name", "") != "configure_optimizers":
        return
    words = {
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    if not {"interval", "step"} <= words:
        yield Caution(
            "per_epoch",
            'Lightning steps a scheduler once per epoch unless its "interval" is "step", and here '
            "it isn't. " + WHAT_A_STEP_IS,
        )


def _resumed(to: str, call: ast.AST, variable: str, source: Source) -> Iterator[Caution]:
    uses = _uses(call, variable, source)
    counts = [each.lineno for each in uses if each.attr == "last_epoch"]
    if counts:
        place = {
            "torch": "It is the same number here",
            "keras": "In Keras it is `optimizer.iterations`",
            "jax": "In optax it is the count in the optimizer's state, which `set_step` sets",
        }[to]
        yield Caution(
            "last_epoch",
            f"`{variable}.last_epoch` in line {counts[0]} is the number of updates done. {place}.",
        )
    states = [each.lineno for each in uses if each.attr in ("load_state_dict", "state_dict")]
    if states and to != "torch":
        yield Caution(
            "last_epoch",
            f"The state of `{variable}` (line {states[0]}) is only the step here, and is saved "
            "with the optimizer: to resume from an old checkpoint, "
            + (
                'assign its "last_epoch" to `optimizer.iterations`.'
                if to == "keras"
                else 'give its "last_epoch" to `set_step`.'
            ),
        )


def _attributes(to: str, call: ast.AST, variable: str, source: Source) -> Iterator[Caution]:
    if to != "torch":
        return
    found = _first_lines(call, variable, source)
    for name in sorted(ATTRIBUTES & set(found)):
        yield Caution(
            "attribute",
            f"`{variable}.{name}` in line {found[name]} doesn't exist here: use "
            f"`{variable}.schedules`, with a CyclicSchedule for each parameter group.",
        )


def _composed(to: str, call: ast.AST, variable: str, source: Source) -> Iterator[Caution]:
    if to == "torch":
        return
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = (dotted(node.func) or "").rpartition(".")[2]
        if name in COMPOSED and any(dotted(each) == variable for each in ast.walk(node)):
            yield Caution(
                "composed",
                f"`{variable}` is part of a {name} in line {node.lineno}. This is only the cycle, "
                "from step 0.",
            )
            return


def _callback(to: str, call: ast.AST, variable: str | None, source: Source) -> Iterator[Caution]:
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
            "Each new callback starts at step 0. A schedule starts at the optimizer's count: to "
            "restart the cycle, make a new optimizer.",
        )
    if variable is not None:
        yield from _callback_uses(to, call, variable, source)
    if to != "keras":
        return
    for node in source.nodes:
        if isinstance(node, ast.Call):
            other = (dotted(node.func) or "").rpartition(".")[2]
            if other in ("ReduceLROnPlateau", "LearningRateScheduler"):
                yield Caution(
                    "other_callback",
                    f"{other} (line {node.lineno}) sets the optimizer's rate, which Keras refuses "
                    "if the rate is a schedule. Take it out.",
                )
                return


def _callback_uses(to: str, call: ast.AST, variable: str, source: Source) -> Iterator[Caution]:
    found = _first_lines(call, variable, source)
    if "_reset" in found:
        count = {
            "torch": "make a new scheduler",
            "keras": "assign 0 to `optimizer.iterations`, which also restarts Adam's bias "
            "correction",
            "jax": "use `set_step(state, 0)`",
        }[to]
        yield Caution(
            "restart",
            f"`{variable}._reset` in line {found['_reset']} restarts the cycle: {count}. Other "
            "boundaries need another schedule.",
        )
    told = sorted(HISTORY & set(found))
    if told:
        yield Caution(
            "history",
            f"`{variable}.{told[0]}` in line {found[told[0]]}: use the schedule instead, such as "
            "`schedule.lr(np.arange(1000))`.",
        )


def _accumulated(to: str, source: Source) -> Iterator[Caution]:
    for node in source.nodes:
        if isinstance(node, ast.keyword) and node.arg == "gradient_accumulation_steps":
            if to == "keras":
                says = (
                    f"`gradient_accumulation_steps` in line {node.value.lineno}: give CyclicLR the "
                    "same number. Keras gives a schedule the count of batches, and then the step "
                    "sizes count updates."
                )
            else:
                says = (
                    f"With `gradient_accumulation_steps` in line {node.value.lineno} Keras gives a "
                    "schedule the count of batches. Here the step sizes count updates."
                )
            yield Caution("accumulation", says)
            return
