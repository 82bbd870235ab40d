"""The schedule of a call: the arguments of another class, translated for `CyclicSchedule`.

Arguments that the other class ignores are left out, since `CyclicSchedule` would refuse them.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field, fields, replace
from typing import Any

from clr_cli.migrate.arguments import Given
from clr_cli.migrate.finding import Caution
from clr_cli.migrate.names import Names
from clr_cli.migrate.origins import ADDONS, TORCH, Origin
from clr_cli.migrate.scale import paper_mode, portable
from clr_cli.migrate.source import Source
from clr_cli.migrate.values import Argument, literal
from clr_core import CyclicSchedule
from clr_core.record import Record

OUR_NAMES = {
    "initial_learning_rate": "base_lr",
    "maximal_learning_rate": "max_lr",
    "step_size": "step_size_up",
}
PER_GROUP = ("base_lr", "max_lr", "base_momentum", "max_momentum")
DEFAULTS = {each.name: each.default for each in fields(CyclicSchedule)}
PARAMETERS = tuple(DEFAULTS)
# Left out of the replacement if they have their defaults.
OPTIONAL = ("step_size_down", "mode", "gamma", "scale_fn", "scale_mode")


@dataclass
class Reading:
    """The schedule that a call describes."""

    parameters: dict[str, Argument] = field(default_factory=dict)
    momenta: dict[str, Argument] = field(default_factory=dict)
    """The momenta of torch's class; `parameters` has them if they are known to cycle."""
    cycles_momentum: Argument = field(default_factory=lambda: Argument("False", False))
    last_epoch: Argument | None = None
    step: Argument = field(default_factory=lambda: Argument("0", 0))
    """The number of updates done."""
    whole: bool = True
    """True if only values may be unknown: there are no `**options` and no missing arguments."""
    cautions: list[Caution] = field(default_factory=list)

    def warn(self, about: str, says: str) -> None:
        """Add a caution."""
        self.cautions.append(Caution(about, says))

    @property
    def groups(self) -> int | None:
        """The number of parameter groups in the boundaries; None: one schedule for all."""
        sizes = [len(each.items) for each in self._listed() if each.items is not None]
        return max(sizes, default=None)

    def of_group(self, index: int) -> dict[str, Argument]:
        """The parameters of one group."""
        listed = {
            name: self.parameters[name].items
            for name in PER_GROUP
            if name in self.parameters and self.parameters[name].items is not None
        }
        rows = {name: items[index] for name, items in listed.items() if items is not None}
        return {**self.parameters, **rows}

    def _listed(self) -> list[Argument]:
        return [self.parameters[name] for name in PER_GROUP if name in self.parameters]


def read(origin: Origin, given: Given, source: Source, names: Names) -> Reading:
    """Read the schedule from a call of `origin` with these arguments."""
    reading = Reading()
    named = {OUR_NAMES.get(name, name): argument for name, argument in given.named.items()}
    for name, value in origin.defaults.items():
        named.setdefault(OUR_NAMES.get(name, name), literal(value))
    for text in given.unknown:
        reading.warn("unknown_argument", f"{origin.name} has no parameter for `{text}`.")
    for text in given.spread:
        reading.warn(
            "spread", f"The contents of `{text}` are unknown here, and may change everything."
        )
    reading.whole = not (given.unknown or given.spread)
    for name in ("base_lr", "max_lr", *(("step_size_up",) if origin.family == ADDONS else ())):
        if name not in named:
            reading.whole = False
            if not given.spread:
                reading.warn("missing", f"`{name}` is missing.")
    sizes = ("base_lr", "max_lr", "step_size_up", "step_size_down")
    reading.parameters = {name: named[name] for name in sizes if name in named}
    if origin.family != TORCH:
        # Only torch has parameter groups; others take no list as a boundary.
        reading.parameters = {
            name: replace(argument, items=None) for name, argument in reading.parameters.items()
        }
    _decay(reading, origin, named, source, names)
    if origin.family == TORCH:
        _momenta(reading, named)
    _start(reading, origin, named)
    if "verbose" in given.named:
        reading.warn(
            "verbose", "`verbose` is left out: torch has removed it, and clr never had it."
        )
    for name in OPTIONAL:
        argument = reading.parameters.get(name)
        if argument is not None and argument.known and argument.value == DEFAULTS[name]:
            del reading.parameters[name]
    if len({len(each.items) for each in reading._listed() if each.items is not None}) > 1:
        reading.whole = False
        reading.warn("groups", "The lists must have one length, with a number for each group.")
    return reading


def _decay(
    reading: Reading, origin: Origin, named: dict[str, Argument], source: Source, names: Names
) -> None:
    parameters = reading.parameters
    scale_fn = named.get("scale_fn")
    if scale_fn is not None and not (scale_fn.known and scale_fn.value is None):
        _custom(reading, scale_fn, named, source, names)
        return
    mode = literal(origin.mode) if origin.mode else named.get("mode")
    gamma = named.get("gamma")
    if origin.family == ADDONS:
        if origin.mode is None:
            reading.whole = False
            reading.warn("missing", "`scale_fn` is missing.")
        _addons(reading, origin, gamma, named.get("scale_mode"))
        return
    if mode is not None:
        parameters["mode"] = mode
    ignored = mode is None or (mode.known and mode.value != "exp_range")
    if gamma is not None and not ignored:
        parameters["gamma"] = gamma
        if mode is not None and not mode.known:
            reading.warn(
                "gamma",
                f"`gamma` is only for mode 'exp_range': leave it out if `{mode.text}` is another "
                "mode.",
            )
    elif gamma is not None and not (gamma.known and gamma.value == 1.0):
        reading.warn("gamma", f"`gamma={gamma.text}` is left out: only mode 'exp_range' uses it.")


def _custom(
    reading: Reading,
    scale_fn: Argument,
    named: dict[str, Argument],
    source: Source,
    names: Names,
) -> None:
    """A custom decay, which replaces the mode."""
    parameters = reading.parameters
    scale_mode = named.get("scale_mode", literal("cycle"))
    if scale_mode.known and scale_mode.value not in ("cycle", "iterations"):
        reading.warn(
            "scale_mode", f"`scale_mode={scale_mode.text}` means 'iterations', there and here."
        )
        scale_mode = literal("iterations")
    for name in ("mode", "gamma"):
        argument = named.get(name)
        if argument is not None and not (argument.known and argument.value == DEFAULTS[name]):
            reading.warn(name, f"`{name}={argument.text}` is left out: the `scale_fn` replaces it.")
    text = None if scale_fn.node is None else portable(scale_fn.node, source, names)
    if text is None:
        reading.warn(
            "scale_fn",
            f"`scale_fn={scale_fn.text}` isn't translated. Write it as text in `x`, such as "
            '"1 / 2 ** (x - 1)"; see the grammar in `clr_core.schedules.expression`.',
        )
        parameters["scale_fn"] = Argument(scale_fn.text)
        parameters["scale_mode"] = scale_mode
        return
    paper = paper_mode(text, scale_mode.value) if scale_mode.known else None
    if paper is not None:
        reading.warn("scale_fn", f"`scale_fn={scale_fn.text}` is one of the paper's modes.")
        parameters |= {name: literal(value) for name, value in paper.items()}
        return
    reading.warn(
        "scale_fn", f"`scale_fn={scale_fn.text}` is translated to text, for every framework."
    )
    parameters["scale_fn"] = literal(text)
    parameters["scale_mode"] = scale_mode


def _addons(
    reading: Reading, origin: Origin, gamma: Argument | None, scale_mode: Argument | None
) -> None:
    """The decays of TensorFlow Addons' three classes, with the argument that they get."""
    parameters = reading.parameters
    usual = "iterations" if origin.mode == "exp_range" else "cycle"
    if origin.mode is None or origin.mode == "triangular":
        return  # A constant doesn't depend on its argument.
    if scale_mode is not None and not scale_mode.known:
        reading.whole = False
        reading.warn(
            "scale_mode",
            f"`scale_mode={scale_mode.text}` is unknown. This is for {usual!r}.",
        )
    # TensorFlow Addons treats any value other than "cycle" as "iterations".
    handed = usual if scale_mode is None or not scale_mode.known else scale_mode.value
    handed = "cycle" if handed == "cycle" else "iterations"
    if handed == usual:
        parameters["mode"] = literal(origin.mode)
        if gamma is not None:
            parameters["gamma"] = gamma
        return
    if origin.mode == "triangular2":
        text = "0.5 ** (x - 1)"
        parameters["scale_fn"] = literal(text)
        reading.warn(
            "scale_mode",
            "With scale_mode='iterations' the band halves with each step, not with each cycle: "
            "after about 30 steps the rate stays at its lower boundary. If you don't want this, "
            "write mode='triangular2' in place of the `scale_fn`.",
        )
    elif gamma is None or gamma.known:
        text = f"{1.0 if gamma is None else gamma.value!r} ** x"
        parameters["scale_fn"] = literal(text)
    else:
        parameters["scale_fn"] = Argument(f'str({gamma.text}) + " ** x"')
    parameters["scale_mode"] = literal(handed)


def _momenta(reading: Reading, named: dict[str, Argument]) -> None:
    reading.cycles_momentum = named["cycle_momentum"]
    momenta = {name: named[name] for name in ("base_momentum", "max_momentum")}
    reading.momenta = momenta
    if not reading.cycles_momentum.known:
        reading.whole = False
        reading.warn(
            "momentum",
            f"`cycle_momentum={reading.cycles_momentum.text}` is unknown. If it is true, the "
            "schedule has "
            + " and ".join(f"{name}={argument.text}" for name, argument in momenta.items())
            + ".",
        )
    elif reading.cycles_momentum.value:
        reading.parameters |= momenta


def _start(reading: Reading, origin: Origin, named: dict[str, Argument]) -> None:
    last = named.get("last_epoch")
    if last is None or origin.family != TORCH or (last.known and last.value == -1):
        return
    # torch's constructor advances to the step after `last_epoch`.
    reading.last_epoch = last
    if type(last.value) is int and last.value >= -1:
        reading.step = Argument(str(last.value + 1), last.value + 1)
    else:
        reading.step = Argument(f"{in_a_product(last.text)} + 1")


def per_update(reading: Reading, batches: str) -> None:
    """Count the steps of a scheduler in updates, which was stepped once per epoch.

    Args:
        reading: The schedule, counted in epochs.
        batches: An expression for the number of updates per epoch.
    """
    parameters = reading.parameters
    parameters.setdefault("step_size_up", literal(2000))
    for name in ("step_size_up", "step_size_down"):
        size = parameters.get(name)
        if size is not None and not (size.known and size.value is None):
            parameters[name] = Argument(f"{in_a_product(size.text)} * {batches}")
    if "gamma" in parameters:
        parameters["gamma"] = Argument(
            f"{in_a_product(parameters['gamma'].text)} ** (1 / {batches})"
        )
    if reading.last_epoch is not None:
        reading.step = Argument(f"{in_a_product(reading.step.text)} * {batches}")


def in_a_product(text: str) -> str:
    """An expression with parentheses, unless it needs none.

    >>> in_a_product("len(loader)"), in_a_product("a + b")
    ('len(loader)', '(a + b)')
    """
    plain = (ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.Subscript)
    return text if isinstance(ast.parse(text, mode="eval").body, plain) else f"({text})"


def schedules_of(reading: Reading) -> CyclicSchedule | tuple[CyclicSchedule, ...] | None:
    """The schedule, or one for each group; None if something is unknown.

    Warnings of `CyclicSchedule` become cautions.

    Raises:
        TypeError, ValueError: `CyclicSchedule` refuses it.
    """
    if not reading.whole:
        return None
    groups = reading.groups
    rows = [reading.of_group(index) for index in range(groups or 1)]
    if not all(each.known for row in rows for each in row.values()):
        return None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        schedules = tuple(
            CyclicSchedule(**{name: argument.value for name, argument in row.items()})
            for row in rows
        )
    for said in dict.fromkeys(str(each.message) for each in heard):
        reading.warn("mode", said)
    return schedules[0] if groups is None else schedules


def record_of(reading: Reading, schedules: Any) -> dict[str, Any] | None:
    """The portable record, if both the schedule and the step are known."""
    if schedules is None or not reading.step.known:
        return None
    return Record(schedules, reading.step.value).to_dict()
