r"""Schedules of other libraries that are made of phases: one cycle, warm restarts and their kin.

>>> from clr_cli.migrate.source import Source
>>> code = "import optax\nN = 1000\noptax.cosine_onecycle_schedule(N, 0.1)"
>>> source = Source(code, "train.py")
>>> (finding,) = phases(source, Names(source), None)
>>> [each["steps"] for each in finding.record["schedule"]["phases"]]
[300.0, 700.0]

optax's schedules are closures, so that nothing but the source has their arguments.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from clr_cli.migrate.arguments import Argument, given_to
from clr_cli.migrate.finding import Caution, Finding, finding_at
from clr_cli.migrate.names import DEEPEST, Names
from clr_cli.migrate.replacement import MADE
from clr_cli.migrate.source import Source
from clr_cli.snippets import expression, import_of
from clr_core import PiecewiseSchedule, Schedule
from clr_core.adapter import one_line
from clr_core.record import Record
from clr_core.schedules import originals

EARLIER = "Each phase ends a step earlier than in clr_core.one_cycle with the same arguments."
AGAIN = "Its rate comes back up afterwards, and so on; these phases hold the last value."
WITHOUT = "`decay_steps` doesn't include the warm-up, as optax's does."
INCLUDED = "`decay_steps` includes the warm-up, which Keras's doesn't."
THIRD = "It has a third phase, from `pct_final` on."
SCHEDULED = {
    "CyclicLR.from_schedule": "ScheduledLR",
    "CyclicLR": "ScheduledLR",
    "cyclic_": "scheduled_",
}
"""The names for a schedule of any kind, in place of those for a cyclic one."""
WORDS = ("lr_scheduler", "_schedule", "CosineDecay")
"""A file without any of them has no such schedule."""


@dataclass(frozen=True)
class Original:
    """A schedule of another library.

    Args:
        name: Its full name.
        to: The framework of its code.
        make: The function of the same arguments that returns its phases.
        note: What is peculiar in it.
    """

    name: str
    to: str
    make: Callable[..., Any]
    note: str = ""

    @property
    def parameters(self) -> list[str]:
        """Its parameters in order."""
        own = [each for each in signature(self.make).parameters if each != "lr"]
        if self.to == "torch":
            own = ["schedulers", "milestones"] if self.make is originals.joined else own
            return ["optimizer", *own, "last_epoch", "verbose"]
        return [*own, "name"] if self.to == "keras" else own

    @property
    def takes_lr(self) -> bool:
        """True if it starts from the rate of the optimizer."""
        return "lr" in signature(self.make).parameters


FRAMEWORKS = {"torch": "torch", "transformers": "torch", "keras": "keras", "optax": "jax"}
_TORCH, _KERAS = "torch.optim.lr_scheduler.", "keras.optimizers.schedules."
ORIGINALS = {
    name: Original(name, FRAMEWORKS[name.partition(".")[0]], make, *note)
    for name, make, *note in (
        (f"{_TORCH}OneCycleLR", originals.torch_one_cycle, EARLIER),
        (f"{_TORCH}CosineAnnealingLR", originals.torch_cosine_annealing, AGAIN),
        (f"{_TORCH}CosineAnnealingWarmRestarts", originals.torch_warm_restarts),
        (f"{_TORCH}LinearLR", originals.torch_linear),
        (f"{_TORCH}ConstantLR", originals.torch_constant),
        (f"{_TORCH}SequentialLR", originals.joined),
        ("transformers.get_linear_schedule_with_warmup", originals.transformers_linear),
        ("transformers.get_cosine_schedule_with_warmup", originals.transformers_cosine, AGAIN),
        ("transformers.get_wsd_schedule", originals.transformers_wsd),
        (f"{_KERAS}CosineDecay", originals.keras_cosine_decay, WITHOUT),
        (f"{_KERAS}CosineDecayRestarts", originals.keras_cosine_decay_restarts),
        ("optax.cosine_onecycle_schedule", originals.optax_cosine_onecycle),
        ("optax.linear_onecycle_schedule", originals.optax_linear_onecycle, THIRD),
        ("optax.warmup_cosine_decay_schedule", originals.optax_warmup_cosine_decay, INCLUDED),
        ("optax.cosine_decay_schedule", originals.optax_cosine_decay),
        ("optax.sgdr_schedule", originals.optax_sgdr),
        ("optax.join_schedules", originals.joined),
        ("optax.linear_schedule", originals.optax_linear),
        ("optax.constant_schedule", originals.optax_constant),
    )
}
WITHIN = "optax.constant_schedule"
"""It is read within others, and no finding by itself."""
MOST = 6
"""How many phases are written out; more are written as a call."""


def original_of(dotted: str) -> Original | None:
    """The schedule of another library that a path leads to.

    >>> original_of("tensorflow.keras.optimizers.schedules.CosineDecay").to
    'keras'
    """
    name = dotted.replace("optax.schedules.", "optax.").replace(
        "transformers.optimization.", "transformers."
    )
    for other in ("tensorflow.keras.", "tensorflow.compat.v1.keras.", "tf_keras."):
        name = "keras." + name.removeprefix(other) if name.startswith(other) else name
    return ORIGINALS.get(name)


class _Unknown(Exception):
    """A value that only running the program would show: the expression."""

    def __init__(self, node: ast.AST) -> None:
        self.node = node


def phases(source: Source, names: Names, to: str | None) -> list[Finding]:
    """Find the schedules of other libraries that are made of phases."""
    found: dict[ast.Call, Finding] = {}
    inner: set[ast.Call] = set()
    for node in source.nodes:
        if isinstance(node, ast.Call):
            original = _original(node.func, names)
            if original is not None:
                reader = _Reader(source, names)
                found[node] = _finding(node, original, reader, to)
                if found[node].record is not None:
                    inner |= reader.read - {node}
    return [each for node, each in found.items() if node not in inner and each.origin != WITHIN]


def _original(node: ast.expr, names: Names) -> Original | None:
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    found = [original_of(path.dotted) for path in names.paths(node) if path.definition is None]
    return found[0] if found and all(each == found[0] for each in found) else None


def _finding(call: ast.Call, original: Original, reader: _Reader, to: str | None) -> Finding:
    source, to = reader.source, to or original.to
    given = given_to(call, original.parameters, source)
    cautions = [Caution("origin", original.note)] if original.note else []
    record = replacement = None
    kept = "Phases are only printed: put the schedule in its place yourself."
    try:
        schedule, step = reader.schedule(call, original)
        record = Record(schedule, step).to_dict()
        optimizer = given.named.get("optimizer")
        replacement = _replacement(to, schedule, reader.made.get(call), optimizer)
        cautions += [Caution("origin", note) for note in reader.notes if note != original.note]
    except _Unknown as unknown:
        text = source.text_of(unknown.node) if isinstance(unknown.node, ast.expr) else "?"
        line = source.place(getattr(unknown.node, "lineno", call.lineno))[1]
        cautions.append(
            Caution(
                "unknown",
                f"`{text}` in line {line} is known only when the program runs. The phases then: "
                f"clr_core.schedules.originals.{original.make.__name__}(…), with the same arguments"
                + (" and the optimizer's rate as `lr`." if original.takes_lr else "."),
            )
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        cautions.append(Caution("refused", one_line(error)))
        kept = "It isn't made of phases that are known here."
    if original.to == "torch":
        says = "Here a step is an update. If it was stepped once per epoch, multiply the steps."
        cautions.append(Caution("per_epoch", says))
    return finding_at(
        source,
        call,
        original.name,
        arguments=given.texts(),
        record=record,
        to=to,
        replacement=replacement,
        warnings=tuple(cautions),
        kept=kept,
    )


def _replacement(to: str, schedule: Schedule, made: str | None, optimizer: Argument | None) -> str:
    """Code that follows the phases; a long list of them as the call that makes it."""
    imports, variable, value = MADE[to, schedule.momentum(0) is not None and to != "torch"]
    for name, other in SCHEDULED.items():
        imports, value = imports.replace(name, other), value.replace(name, other)
    if optimizer is not None:
        value = value.replace("(optimizer,", f"({optimizer.text},")
    text = expression(schedule)
    first = import_of([text])
    if text.count("Phase(") > MOST and made is not None:
        text, first = made, ["from clr_core.schedules import originals"]
    return "\n".join([*first, imports, "", f"schedule = {text}", f"{variable} = {value}"])


@dataclass
class _Reader:
    """A reader of the schedule of a call, and of those in its arguments."""

    source: Source
    names: Names
    read: set[ast.Call] = field(default_factory=set)
    """The call, and those in its arguments."""
    notes: list[str] = field(default_factory=list)
    """What is peculiar in the schedules in its arguments."""
    made: dict[ast.Call, str] = field(default_factory=dict)
    """Code that makes the schedule of a call."""

    def schedule(self, call: ast.Call, original: Original) -> tuple[Schedule, int]:
        """The schedule of a call, and the step at which it starts.

        Raises:
            _Unknown: A value isn't known.
            TypeError, ValueError: It isn't made of phases.
        """
        self.read.add(call)
        given = given_to(call, original.parameters, self.source)
        for text in [*given.unknown, *given.spread]:
            raise ValueError(f"The contents of `{text}` are unknown, or no argument of it.")
        nodes = {name: each.node for name, each in given.named.items() if each.node is not None}
        optimizer, last = nodes.pop("optimizer", None), nodes.pop("last_epoch", None)
        for name in ("verbose", "name"):
            nodes.pop(name, None)
        step = 0 if last is None else self.number(last, 0) + 1
        if original.make is originals.joined:
            first, second = original.parameters[original.to == "torch" :][:2]
            if first not in nodes or second not in nodes:
                raise ValueError(f"`{first}` and `{second}` must be given.")
            return self.joined(nodes[first], self.value(nodes[second])), step
        values = {name: self.value(node) for name, node in nodes.items()}
        if original.takes_lr:
            values = {"lr": self.rate(optimizer, call), **values}
        arguments = ", ".join(f"{name}={value!r}" for name, value in values.items())
        self.made[call] = f"originals.{original.make.__name__}({arguments})"
        schedule: Schedule = original.make(**values)
        return schedule, step

    def joined(self, node: ast.AST, boundaries: Any) -> Schedule:
        """The schedules in a list, one after another."""
        node = self.followed(node)
        if not isinstance(node, ast.List | ast.Tuple):
            raise _Unknown(node)
        found: list[Schedule] = []
        for index, each in enumerate(node.elts):
            call = self.followed(each)
            original = _original(call.func, self.names) if isinstance(call, ast.Call) else None
            if original is None or not isinstance(call, ast.Call):
                raise _Unknown(each)
            schedule, _ = self.schedule(call, original)
            found.append(schedule)
            if original.note == AGAIN and index < len(boundaries):
                span = boundaries[index] - sum(boundaries[index - 1 : index])
                end = schedule.total_steps if isinstance(schedule, PiecewiseSchedule) else span
                if end < span:
                    raise ValueError(
                        f"{original.name} is used for {span} steps, and comes back up after "
                        f"{end:g}."
                    )
            elif original.note:
                self.notes.append(f"{original.name}: {original.note}")
        return originals.joined(found, boundaries)

    def rate(self, optimizer: ast.expr | None, call: ast.Call) -> Any:
        """The rate that an optimizer is made with."""
        made = self.followed(optimizer) if optimizer is not None else None
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Name | ast.Attribute):
            paths = [each.dotted for each in self.names.paths(made.func)]
            grouped = made.args and isinstance(self.followed(made.args[0]), ast.List)
            if len(paths) == 1 and paths[0].startswith("torch.optim.") and not grouped:
                for keyword in made.keywords:
                    if keyword.arg == "lr":
                        return self.value(keyword.value)
                if len(made.args) > 1 and not isinstance(made.args[1], ast.Starred):
                    return self.value(made.args[1])
        raise _Unknown(optimizer or call)

    def followed(self, node: ast.AST, depth: int = 0) -> ast.AST:
        """The value of a name that is bound once, and otherwise the node itself."""
        if isinstance(node, ast.Name) and depth < DEEPEST:
            value = self.names.definition(node)
            if isinstance(value, ast.expr):
                return self.followed(value, depth + 1)
        return node

    def value(self, node: ast.AST, depth: int = 0) -> Any:
        """The value of literals, of names that are bound once, and of arithmetic with them."""
        node = self.followed(node)
        if depth > DEEPEST:
            raise _Unknown(node)

        def inner(each: ast.AST) -> Any:
            return self.value(each, depth + 1)

        match node:
            case ast.Constant(bool() | int() | float() | str() | None as value):
                return value
            case ast.List(elements) | ast.Tuple(elements):
                return [inner(each) for each in elements]
            case ast.Dict(keys, values):
                pairs = zip(keys, values, strict=True)
                # A key is None if another mapping is spread there.
                return {inner(key or node): inner(each) for key, each in pairs}
            case ast.UnaryOp(ast.USub(), operand):
                return -self.number(operand, depth)
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](self.number(left, depth), self.number(right, depth))
            case ast.Call(ast.Name("int" | "float" as name), [argument], []) if self.builtin(node):
                return {"int": int, "float": float}[name](self.number(argument, depth))
            case ast.Call(ast.Name("dict"), [], keywords) if self.builtin(node):
                return {each.arg: inner(each.value) for each in keywords if each.arg}
        raise _Unknown(node)

    def number(self, node: ast.AST, depth: int) -> Any:
        """A number in arithmetic."""
        value = self.value(node, depth + 1)
        if type(value) not in (int, float) or not abs(value) < 1e18:
            raise _Unknown(node)
        return value

    def builtin(self, call: ast.Call) -> bool:
        """True if a call is of a builtin that the file doesn't rebind."""
        return all(each.dotted.startswith("builtins.") for each in self.names.paths(call.func))


OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
