"""The schedule of a call: the arguments of another class, translated for `CyclicSchedule`.

Arguments that the other class ignores are left out, since `CyclicSchedule` would refuse them.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field, fields
from typing import Any

from clr_cli.migrate.arguments import UNKNOWN, Argument, Given, literal
from clr_cli.migrate.finding import Caution
from clr_cli.migrate.names import Names
from clr_cli.migrate.origins import ADDONS, TORCH, Origin
from clr_cli.migrate.scale import portable
from clr_core import CyclicSchedule
from clr_core.record import Record

OUR_NAMES = {
    "initial_learning_rate": "base_lr",
    "maximal_learning_rate": "max_lr",
    "step_size": "step_size_up",
}
DEFAULTS = {each.name: each.default for each in fields(CyclicSchedule)}
# Left out if they have their defaults.
OPTIONAL = ("step_size_down", "mode", "gamma", "scale_fn", "scale_mode")


@dataclass
class Reading:
    """The schedule that a call describes."""

    given: Given = field(default_factory=Given)
    parameters: dict[str, Argument] = field(default_factory=dict)
    last_epoch: Argument | None = None
    step: int | None = 0
    """The number of updates done, if it is known."""
    refused: str = ""
    """Why the call can't be translated, or empty."""
    whole: bool = True
    """True if nothing but values may be unknown."""
    grouped: bool = False
    """True if there is a schedule for each parameter group."""
    cautions: list[Caution] = field(default_factory=list)
    record: dict[str, Any] | None = None
    """The portable record, if the schedule and the step are known."""

    def warn(self, about: str, says: str) -> None:
        """Add a caution."""
        self.cautions.append(Caution(about, says))

    def refuse(self, about: str, says: str) -> None:
        """Add a caution that explains why the call can't be translated."""
        self.warn(about, says)
        self.refused, self.whole = self.refused or says, False


def read(origin: Origin, given: Given, names: Names) -> Reading:
    """Read the schedule from a call of `origin` with these arguments."""
    reading = Reading(given)
    named = {OUR_NAMES.get(name, name): argument for name, argument in given.named.items()}
    for name, value in origin.defaults.items():
        named.setdefault(OUR_NAMES.get(name, name), literal(value))
    for text in given.unknown:
        reading.refuse("unknown_argument", f"{origin.name} has no parameter for `{text}`.")
    for text in given.spread:
        reading.refuse("spread", f"The contents of `{text}` are unknown here.")
    required = (
        *("base_lr", "max_lr"),
        *(("step_size_up",) if origin.family == ADDONS else ()),
        *(("scale_fn",) if origin.family == ADDONS and origin.mode is None else ()),
    )
    for name in required:
        if name not in named and not given.spread:
            reading.refuse("missing", f"`{name}` is missing.")
    kept = ("base_lr", "max_lr", "step_size_up", "step_size_down")
    reading.parameters = {name: named[name] for name in kept if name in named}
    _decay(reading, origin, named, names)
    if origin.family == TORCH:
        _momenta(reading, named)
        _start(reading, named.get("last_epoch"))
        nodes = [each.node for name, each in reading.parameters.items() if "step" not in name]
        if any(isinstance(node, ast.List | ast.Tuple | ast.ListComp) for node in nodes):
            reading.grouped, reading.whole = True, False
            reading.warn("groups", "There is one schedule for each parameter group.")
    if "verbose" in named:
        reading.warn(
            "verbose", "`verbose` is left out: torch has removed it, and clr never had it."
        )
    for name in OPTIONAL:
        argument = reading.parameters.get(name)
        if argument is not None and argument.value == DEFAULTS[name]:
            del reading.parameters[name]
    _make(reading)
    return reading


def _decay(reading: Reading, origin: Origin, named: dict[str, Argument], names: Names) -> None:
    parameters = reading.parameters
    scale_fn, gamma = named.get("scale_fn"), named.get("gamma")
    custom = scale_fn is not None and scale_fn.value is not None
    mode = literal(origin.mode) if origin.mode else named.get("mode")
    # The decays of TensorFlow Addons' classes are of the cycle or of the step.
    usual = "iterations" if origin.mode == "exp_range" else "cycle"
    scale_mode = named.get("scale_mode", literal(usual))
    if scale_mode.known and scale_mode.value not in ("cycle", "iterations"):
        reading.refuse(
            "scale_mode",
            f"`scale_mode={scale_mode.text}` means 'iterations' there and is refused here.",
        )
    elif custom and scale_fn is not None:
        _custom(reading, scale_fn, scale_mode, names)
        mode, gamma = None, None
    elif origin.family == ADDONS and origin.mode != "triangular" and scale_mode.value != usual:
        reading.refuse(
            "scale_mode",
            f"`scale_mode={scale_mode.text}` must be {usual!r} for this decay. Or write a decay as "
            '`scale_fn`, such as "0.9 ** x".',
        )
    for name in ("mode", "gamma") if custom else ():
        argument = named.get(name)
        if argument is not None and argument.value != DEFAULTS[name]:
            reading.warn(name, f"`{name}={argument.text}` is left out: the `scale_fn` replaces it.")
    if mode is not None:
        parameters["mode"] = mode
    if gamma is None:
        return
    if mode is None or (mode.known and mode.value != "exp_range"):
        if gamma.value != 1.0:
            says = f"`gamma={gamma.text}` is left out: only mode 'exp_range' uses it."
            reading.warn("gamma", says)
        return
    parameters["gamma"] = gamma
    if not mode.known:
        reading.warn(
            "gamma",
            f"`gamma` is only for mode 'exp_range': leave it out if `{mode.text}` is another mode.",
        )


def _custom(reading: Reading, scale_fn: Argument, scale_mode: Argument, names: Names) -> None:
    """A custom decay, which replaces the mode."""
    text = None if scale_fn.node is None else portable(scale_fn.node, names)
    if text is None:
        says = (
            f"`scale_fn={scale_fn.text}` isn't translated. Write it as text in `x`, such as "
            '"1 / 2 ** (x - 1)"; see the grammar in `clr_core.schedules.expression`.'
        )
    else:
        says = f"`scale_fn={scale_fn.text}` is translated to text, for every framework."
    reading.warn("scale_fn", says)
    reading.parameters["scale_fn"] = Argument(scale_fn.text) if text is None else literal(text)
    reading.parameters["scale_mode"] = scale_mode


def _momenta(reading: Reading, named: dict[str, Argument]) -> None:
    cycles = named["cycle_momentum"]
    momenta = {name: named[name] for name in ("base_momentum", "max_momentum")}
    if not cycles.known:
        reading.whole = False
        shown = " and ".join(f"{name}={argument.text}" for name, argument in momenta.items())
        reading.warn(
            "momentum",
            f"`cycle_momentum={cycles.text}` is unknown. If it is true, the schedule has {shown}.",
        )
    elif cycles.value:
        reading.parameters |= momenta


def _start(reading: Reading, last: Argument | None) -> None:
    if last is None or last.value == -1:
        return
    # torch's constructor advances to the step after `last_epoch`.
    reading.last_epoch = last
    reading.step = last.value + 1 if type(last.value) is int and last.value >= -1 else None


def _make(reading: Reading) -> None:
    """Make the record; warnings and refusals of `CyclicSchedule` become cautions."""
    values = {name: argument.value for name, argument in reading.parameters.items()}
    if not reading.whole or UNKNOWN in values.values():
        return
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            schedule = CyclicSchedule(**values)
        except (TypeError, ValueError) as error:
            reading.refuse("refused", str(error))
            return
    for said in dict.fromkeys(str(each.message) for each in heard):
        reading.warn("mode", said)
    if reading.step is not None:
        reading.record = Record(schedule, reading.step).to_dict()
