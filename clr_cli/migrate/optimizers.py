"""The optimizer of a schedule, if the file shows it: SGD, Adam or AdamW.

Others are left alone: an optimizer's name may mean different algorithms in the three frameworks.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import lru_cache

from clr_cli.migrate.names import Names
from clr_cli.migrate.origins import ADDONS, CALLBACK, TORCH
from clr_cli.migrate.source import Source, dotted
from clr_cli.migrate.values import Argument, argument_of

KINDS = ("SGD", "Adam", "AdamW")
# The name of each argument in torch, in Keras, and in optax.
SPELLINGS = {
    "momentum": ("momentum", "momentum", "momentum"),
    "nesterov": ("nesterov", "nesterov", "nesterov"),
    "beta_1": ("", "beta_1", "b1"),
    "beta_2": ("", "beta_2", "b2"),
    "epsilon": ("eps", "epsilon", "eps"),
    "weight_decay": ("weight_decay", "weight_decay", "weight_decay"),
}
# The positional arguments; in torch, those after the parameters.
ORDER = {
    ("torch", "SGD"): ("lr", "momentum", "dampening", "weight_decay", "nesterov"),
    ("torch", "Adam"): ("lr", "betas", "eps", "weight_decay", "amsgrad"),
    ("torch", "AdamW"): ("lr", "betas", "eps", "weight_decay", "amsgrad"),
    ("keras", "SGD"): ("learning_rate", "momentum", "nesterov"),
    ("keras", "Adam"): ("learning_rate", "beta_1", "beta_2", "epsilon"),
    ("keras", "AdamW"): ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon"),
}
RATES = {"lr", "learning_rate", "params"}
# The defaults of AdamW.
WEIGHT_DECAY = {"torch": "0.01", "keras": "0.004"}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer as the file makes it."""

    kind: str
    variable: str
    """The variable that it is assigned to, or empty."""
    arguments: dict[str, Argument] = field(default_factory=dict)
    """By their names in Keras."""
    left: tuple[str, ...] = ()
    """Arguments that aren't carried over."""

    @property
    def momentum(self) -> Argument | None:
        """The momentum of an SGD, unless it is 0."""
        given = self.arguments.get("momentum")
        return None if given is None or (given.known and not given.value) else given


def optimizer_of(
    family: str, call: ast.Call, variable: str | None, source: Source, names: Names
) -> Optimizer | None:
    """Find the optimizer of the scheduler that `call` makes and `variable` names."""
    if family == TORCH:
        given = [keyword.value for keyword in call.keywords if keyword.arg == "optimizer"]
        given = given or call.args[:1]
        return _made(given[0], source, names) if given else None
    nodes: list[ast.expr] = []
    if family == CALLBACK:
        nodes += _compiled(source)
    elif family == ADDONS:
        nodes += (each for each in source.calls if _takes(each, call, variable))
    if len(nodes) > 1:
        return None
    found = [each for node in nodes if (each := _made(node, source, names)) is not None]
    return found[0] if found else None


def _made(node: ast.expr, source: Source, names: Names) -> Optimizer | None:
    """The optimizer that an expression makes: a call, a variable, or a name for Keras."""
    variable = ""
    if isinstance(node, ast.Name | ast.Attribute):
        variable = source.text_of(node)
        assigned = _assigned(variable, node, source)
        if assigned is None:
            return None
        node = assigned
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        kind = next((each for each in KINDS if each.lower() == node.value.lower()), None)
        return Optimizer(kind, variable) if kind else None
    if not isinstance(node, ast.Call):
        return None
    for path in names.paths(node.func):
        package, kind = _package(path.dotted)
        if kind:
            return _read(package, kind, node, variable, source, names)
    return None


def _package(dotted: str) -> tuple[str, str]:
    module, _, name = dotted.rpartition(".")
    parts = module.split(".")
    if name not in KINDS:
        return "", ""
    if parts[:2] == ["torch", "optim"]:
        return "torch", name
    return ("keras", name) if "optimizers" in parts and parts[0] != "torch" else ("", "")


def _read(
    package: str, kind: str, call: ast.Call, variable: str, source: Source, names: Names
) -> Optimizer:
    order = ORDER.get((package, kind), ())
    positional = call.args[1:] if package == "torch" else call.args
    given = dict(zip(order, positional, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg is not None}
    left = [f"**{source.text_of(each.value)}" for each in call.keywords if each.arg is None]
    column = 1 if package == "keras" else 0
    arguments: dict[str, Argument] = {}
    for name, node in given.items():
        ours = next((key for key, words in SPELLINGS.items() if words[column] == name), None)
        match node:
            case ast.Tuple([first, second]) | ast.List([first, second]) if name == "betas":
                arguments["beta_1"] = argument_of(first, source, names)
                arguments["beta_2"] = argument_of(second, source, names)
                continue
        # torch's SGD and Adam add weight decay to the gradient; Keras and AdamW don't.
        if ours and (ours != "weight_decay" or kind == "AdamW"):
            arguments[ours] = argument_of(node, source, names)
        elif name not in RATES:
            left.append(f"{name}={source.text_of(node)}")
    if kind == "AdamW":
        decay = WEIGHT_DECAY[package]
        arguments.setdefault("weight_decay", Argument(decay, float(decay)))
    return Optimizer(kind, variable, arguments, tuple(left))


def _assigned(variable: str, use: ast.expr, source: Source) -> ast.expr | None:
    """The value of a variable that is assigned once in scope, or right before its use."""
    every = source.assigned.get(variable, [])
    reach = source.function_of(use)
    if variable.startswith("self."):
        classes = [each for each in source.around(use) if isinstance(each, ast.ClassDef)]
        reach = classes[0] if classes else reach
    while True:
        found = [each for each in every if reach is source.tree or reach in source.around(each)]
        if found or reach is source.tree:
            break
        reach = source.function_of(reach)
    if len(found) > 1:
        # One in each branch: only the last before the use, in the same block, counts.
        last = max((each for each in found if each.lineno < use.lineno), key=_line, default=None)
        found = [last] if last is not None and _in_one_block(last, use, source) else []
    return found[0].value if found else None


def _line(node: ast.stmt) -> int:
    return node.lineno


def _in_one_block(statement: ast.stmt, use: ast.expr, source: Source) -> bool:
    """True if a statement is in the same block as the statement around an expression."""
    own = next(each for each in source.around(use) if isinstance(each, ast.stmt))
    parent = source.parents[statement]
    blocks = [getattr(parent, name, []) for name in ("body", "orelse", "finalbody")]
    return any(isinstance(block, list) and statement in block and own in block for block in blocks)


@lru_cache(maxsize=1)
def _compiled(source: Source) -> list[ast.expr]:
    return [node for each in source.calls for node in _compiled_with(each)]


def _compiled_with(call: ast.Call) -> list[ast.expr]:
    """The optimizer given to `model.compile(…)`."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "compile":
        return []
    given = [each.value for each in call.keywords if each.arg == "optimizer"]
    return given or (call.args[:1] if call.keywords else [])


def _takes(call: ast.Call, schedule: ast.Call, variable: str | None) -> bool:
    rates = [*call.args[:1], *(each.value for each in call.keywords if each.arg in RATES)]
    return any(
        node is schedule
        or (variable is not None and dotted(node) == variable and node.lineno >= schedule.lineno)
        for node in rates
    )


def shown(optimizer: Optimizer, framework: str, without: tuple[str, ...] = ()) -> dict[str, str]:
    """The arguments of an optimizer by their names in `framework`."""
    column = {"torch": 0, "keras": 1, "jax": 2}[framework]
    arguments = {
        name: each.text
        for name, each in optimizer.arguments.items()
        if name not in without and SPELLINGS[name][column]
    }
    named = {SPELLINGS[name][column]: text for name, text in arguments.items()}
    first, second = optimizer.arguments.get("beta_1"), optimizer.arguments.get("beta_2")
    if framework == "torch" and (first or second):
        betas = (first.text if first else "0.9", second.text if second else "0.999")
        named["betas"] = f"({', '.join(betas)})"
    return named
