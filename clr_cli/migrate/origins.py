"""The known implementations: their names and parameters."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clr_cli.migrate.arguments import UNKNOWN, value_of
from clr_cli.migrate.names import Path

TORCH, ADDONS, CALLBACK = "torch", "addons", "callback"


@dataclass(frozen=True)
class Origin:
    """A class of another package: its name, and its parameters in order."""

    name: str
    family: str
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults that differ from `CyclicSchedule`'s, by the names in that class."""
    mode: str | None = None
    """The mode of the class, if it isn't an argument."""
    doubt: str = ""
    """Why this may be another class, if the file leaves that open."""

    @property
    def framework(self) -> str:
        """The framework of the code."""
        return "torch" if self.family == TORCH else "keras"

    @property
    def rewritable(self) -> bool:
        """True if `--write` knows the class of ours that takes its place."""
        return self.family in (TORCH, ADDONS)


_MODES = ("mode", "gamma", "scale_fn", "scale_mode")
_TORCH = Origin(
    "torch.optim.lr_scheduler.CyclicLR",
    TORCH,
    (
        "optimizer",
        "base_lr",
        "max_lr",
        "step_size_up",
        "step_size_down",
        *_MODES,
        "cycle_momentum",
        "base_momentum",
        "max_momentum",
        "last_epoch",
        "verbose",  # In older versions.
    ),
    {"cycle_momentum": True, "base_momentum": 0.8, "max_momentum": 0.9},
)
_CALLBACK = Origin(
    "bckenstler's CyclicLR",
    CALLBACK,
    ("base_lr", "max_lr", "step_size", *_MODES),
    {"base_lr": 0.001, "max_lr": 0.006},
)
_CONTRIB = replace(_CALLBACK, name="keras_contrib.callbacks.CyclicLR")
_BAND = ("initial_learning_rate", "maximal_learning_rate", "step_size")
_ADDONS = {
    name: Origin(f"tensorflow_addons.optimizers.{name}", ADDONS, (*_BAND, *own, "name"), mode=mode)
    for name, own, mode in (
        ("CyclicalLearningRate", ("scale_fn", "scale_mode"), None),
        ("TriangularCyclicalLearningRate", ("scale_mode",), "triangular"),
        ("Triangular2CyclicalLearningRate", ("scale_mode",), "triangular2"),
        ("ExponentialCyclicalLearningRate", ("scale_mode", "gamma"), "exp_range"),
    )
}
CLASSES = ("CyclicLR", *_ADDONS)
_OURS = {"clr_core", "clr_torch", "clr_keras", "clr_jax"}
_CALLBACK_MODULES = {"clr_callback", "clr"}


def origin_of(path: Path, call: ast.Call | None) -> Origin | None:
    """The implementation that a path leads to; None if it is something else.

    >>> origin_of(Path("tensorflow_addons.optimizers.CyclicalLearningRate"), None).family
    'addons'
    """
    if path.definition is not None:
        return _of_this_file(path)
    module, _, name = path.dotted.rpartition(".")
    root = module.partition(".")[0]
    if root in _OURS or name not in CLASSES:
        return None
    if name in _ADDONS:
        return _ADDONS[name] if root == "tensorflow_addons" else None
    if module.startswith("torch.optim"):
        return _TORCH
    if root == "keras_contrib":
        return _CONTRIB
    if module.rpartition(".")[2] in _CALLBACK_MODULES or _is_called_as_callback(call):
        return replace(
            _CALLBACK,
            doubt=f"`{module}` wasn't opened. Its name and arguments suggest bckenstler's "
            "callback, or a copy.",
        )
    return None


def best(paths: list[Path], call: ast.Call | None) -> tuple[Origin | None, list[Path]]:
    """The first known implementation among a name's targets, and the paths that lead to it."""
    found = [(origin, path) for path in paths if (origin := origin_of(path, call)) is not None]
    chosen = found[0][0] if found else None
    return chosen, [path for each, path in found if each == chosen]


def _is_called_as_callback(call: ast.Call | None) -> bool:
    """True if only bckenstler's class takes these arguments: there is no optimizer first."""
    if call is None or call.args:
        return False
    given = {keyword.arg for keyword in call.keywords}
    return "step_size" in given and given <= set(_CALLBACK.parameters)


def _of_this_file(path: Path) -> Origin | None:
    """A copy of bckenstler's class in this file, with its own defaults."""
    node = path.definition
    if not isinstance(node, ast.ClassDef):
        return None
    name = f"{node.name} of this file"
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    init = next((each for each in methods if each.name == "__init__"), None)
    if init is None or "Callback" not in bases:
        return None
    names = tuple(argument.arg for argument in init.args.args[1:])
    known = set(_CALLBACK.parameters[:3]) <= set(names) <= set(_CALLBACK.parameters)
    # Without a `mode`, `gamma` means something else.
    if not known or ("gamma" in names and "mode" not in names):
        return None
    values = [value_of(default) for default in init.args.defaults]
    if any(value is UNKNOWN for value in values):
        return None
    return Origin(
        name,
        CALLBACK,
        names,
        dict(zip(names[len(names) - len(values) :], values, strict=True)),
        doubt=f"The class `{node.name}` of this file (line {node.lineno}) has the parameters of "
        "bckenstler's callback, and is taken for a copy of it.",
    )
