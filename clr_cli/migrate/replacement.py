"""The code that replaces a call, for each framework."""

from __future__ import annotations

from collections.abc import Mapping

from clr_cli.migrate.optimizers import Optimizer, shown
from clr_cli.migrate.origins import ADDONS, TORCH, Origin
from clr_cli.migrate.reading import PARAMETERS, Reading
from clr_cli.migrate.values import Argument

WIDEST = 88
OPTAX = {"SGD": "optax.sgd", "Adam": "optax.adam", "AdamW": "optax.adamw"}


def replacement_for(
    to: str,
    origin: Origin,
    reading: Reading,
    optimizer: Optimizer | None,
    variable: str | None,
    optimizer_text: str | None,
    name: str | None = None,
) -> str:
    """Write code for the framework `to` that does what the call did.

    Args:
        to: "torch", "keras" or "jax".
        origin: The class that was called.
        reading: The schedule of the call.
        optimizer: The optimizer of the schedule, if known.
        variable: The variable that the call was assigned to, if any.
        optimizer_text: The optimizer among the call's arguments, as it was written.
        name: The `name` of a Keras schedule.
    """
    writers = {"torch": _torch, "keras": _keras, "jax": _jax}
    if to == "torch" and origin.family == TORCH:
        return _torch_again(origin, reading, variable, optimizer_text)
    if to == "keras" and origin.family == ADDONS:
        return _keras_again(reading, variable, name)
    return writers[to](reading, optimizer)


def _torch_again(
    origin: Origin, reading: Reading, variable: str | None, optimizer: str | None
) -> str:
    parameters = reading.parameters
    arguments = {
        key: each.text for key, each in _ordered(parameters).items() if key not in reading.momenta
    }
    cycles = reading.cycles_momentum
    if not cycles.known or not cycles.value:
        arguments["cycle_momentum"] = cycles.text
    if not cycles.known or cycles.value:
        arguments |= {
            key: each.text
            for key, each in reading.momenta.items()
            if each.value != origin.defaults[key]
        }
    if reading.last_epoch is not None:
        arguments["last_epoch"] = reading.last_epoch.text
    call = _call("CyclicLR", arguments, (optimizer or "optimizer",))
    return _lines("from clr_torch import CyclicLR", f"{variable or 'scheduler'} = {call}")


def _torch(reading: Reading, optimizer: Optimizer | None) -> str:
    imports = ["from clr_core import CyclicSchedule", "from clr_torch import CyclicLR"]
    body = []
    if optimizer is not None:
        imports.insert(0, "import torch")
        made = _call(
            f"torch.optim.{optimizer.kind}", shown(optimizer, "torch"), ("model.parameters()",)
        )
        body.append(f"optimizer = {made}")
    start = {}
    if reading.last_epoch is not None:
        # One less than the number of updates done.
        step = reading.step
        start["last_epoch"] = str(step.value - 1) if step.known else f"{step.text} - 1"
    which = "schedule" if reading.groups is None else "schedules"
    made = _call("CyclicLR.from_schedule", start, ("optimizer", which))
    return _lines(*imports, *_schedules(reading), *body, f"scheduler = {made}")


def _keras_again(reading: Reading, variable: str | None, name: str | None) -> str:
    imports = ("from clr_core import CyclicSchedule", "from clr_keras import CyclicLR")
    named = {"name": name} if name else {}
    made = _call("CyclicLR", named, ("schedule",))
    return _lines(*imports, *_schedules(reading), f"{variable or 'learning_rate'} = {made}")


def _keras(reading: Reading, optimizer: Optimizer | None) -> str:
    cycled = "base_momentum" in reading.parameters
    if optimizer is None:
        imports = ["from clr_core import CyclicSchedule", "from clr_keras import CyclicLR"]
        rate = _each(f"CyclicLR({_which(reading)})", "learning_rate", reading)
        return _lines(*imports, *_schedules(reading), rate)
    if cycled:
        imports = ["import clr_keras", "from clr_core import CyclicSchedule"]
        arguments = shown(optimizer, "keras", without=("momentum", "beta_1"))
        if optimizer.kind == "SGD":
            arguments["torch_velocity"] = "True"
        maker, rate = f"clr_keras.{optimizer.kind}", _which(reading)
    else:
        imports = [
            "import keras",
            "from clr_core import CyclicSchedule",
            "from clr_keras import CyclicLR",
        ]
        arguments = shown(optimizer, "keras")
        maker, rate = f"keras.optimizers.{optimizer.kind}", f"CyclicLR({_which(reading)})"
    variable = optimizer.variable or "optimizer"
    made = _each(_call(maker, arguments, (rate,)), variable, reading)
    more = []
    if _resumes(reading):
        more.append(f"{variable}.iterations.assign({reading.step.text})")
    return _lines(*imports, *_schedules(reading), made, *more)


def _jax(reading: Reading, optimizer: Optimizer | None) -> str:
    cycled = "base_momentum" in reading.parameters
    if optimizer is None:
        functions = {"cyclic_lr": "learning_rate"}
        functions |= {"cyclic_momentum": "momentum"} if cycled else {}
        imports = [
            "from clr_core import CyclicSchedule",
            f"from clr_jax import {', '.join(functions)}",
        ]
        rates = [
            _each(f"{function}({_which(reading)})", variable, reading)
            for function, variable in functions.items()
        ]
        return _lines(*imports, *_schedules(reading), *rates)
    resumes = _resumes(reading)
    imports = [
        "import optax",
        "from clr_core import CyclicSchedule",
        f"from clr_jax import cyclic_optimizer{', set_step' if resumes else ''}",
    ]
    arguments = shown(optimizer, "jax", without=("momentum", "beta_1") if cycled else ())
    made = _call("cyclic_optimizer", arguments, (OPTAX[optimizer.kind], _which(reading)))
    variable = optimizer.variable or "optimizer"
    more = []
    if resumes:
        more.append(f"state = set_step({variable}.init(params), {reading.step.text})")
    return _lines(*imports, *_schedules(reading), _each(made, variable, reading), *more)


def _resumes(reading: Reading) -> bool:
    """True if updates were done, under one schedule for all."""
    return reading.last_epoch is not None and reading.groups is None


def _schedules(reading: Reading) -> list[str]:
    """`schedule = …`, or `schedules = …` with one for each parameter group."""
    if reading.groups is None:
        return ["", f"schedule = {_schedule(reading.parameters)}"]
    rows = [_schedule(reading.of_group(index), "    ") for index in range(reading.groups)]
    return ["", "schedules = [", *(f"    {row}," for row in rows), "]"]


def _schedule(parameters: Mapping[str, Argument], indent: str = "") -> str:
    arguments = {name: each.text for name, each in _ordered(parameters).items()}
    return _call("CyclicSchedule", arguments, indent=indent)


def _which(reading: Reading) -> str:
    return "schedule" if reading.groups is None else "each"


def _each(made: str, variable: str, reading: Reading) -> str:
    """The assignment of what is made from one schedule, or from each of several."""
    if reading.groups is None:
        return f"{variable} = {made}"
    return f"{variable}s = [{made} for each in schedules]"


def _ordered(parameters: Mapping[str, Argument]) -> dict[str, Argument]:
    return {name: parameters[name] for name in PARAMETERS if name in parameters}


def _call(
    function: str,
    arguments: Mapping[str, str],
    positional: tuple[str, ...] = (),
    indent: str = "",
) -> str:
    """A call in one line, or with a line for each argument if that is too long."""
    parts = [*positional, *(f"{name}={text}" for name, text in arguments.items())]
    line = f"{function}({', '.join(parts)})"
    if len(line) <= WIDEST:
        return line
    inner = "".join(f"{indent}    {part},\n" for part in parts)
    return f"{function}(\n{inner}{indent})"


def _lines(*lines: str) -> str:
    """The imports, an empty line, and the rest."""
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = [line for line in lines if line and line not in imports]
    return "\n".join([*imports, "", *rest])
