"""Python code that follows a schedule in a framework."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pprint import pformat

from clr_core import CyclicSchedule, PiecewiseSchedule, Schedule, SequenceSchedule

Schedules = Sequence[Schedule]


def torch(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer with a parameter group for each schedule, and its scheduler."""
    cycles = any(schedule.momentum(0) is not None for schedule in schedules)
    momentum = ", momentum=0.9" if cycles else ""
    start = f", last_epoch={step - 1}" if step else ""
    often = "In the loop over batches"
    if accumulation_steps > 1:
        often += f", after every {accumulation_steps} of them and the last"
    made = [expression(schedule) for schedule in schedules]
    model, parameters = "torch.nn.Linear(4, 2)", "model.parameters()"
    if len(made) > 1:
        model = f"torch.nn.Sequential({', '.join(['torch.nn.Linear(4, 4)'] * len(made))})"
        parameters = '[{"params": layer.parameters()} for layer in model]'
    is_cyclic = all(type(schedule) is CyclicSchedule for schedule in schedules)
    make = "CyclicLR.from_schedule" if is_cyclic else "ScheduledLR"
    return _lines(
        "import torch",
        *import_of(made),
        f"from clr_torch import {make.removesuffix('.from_schedule')}",
        "",
        *_assigned("schedule", made),
        "",
        f"model = {model}  # Your own model.",
        f"optimizer = torch.optim.SGD({parameters}{momentum})",
        f"scheduler = {make}(optimizer, schedule{'s' * (len(made) > 1)}{start})",
        f"# {often}: optimizer.step(), then scheduler.step().",
    )


def keras(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer for each schedule."""
    more = ""
    if accumulation_steps > 1:
        more = f", gradient_accumulation_steps={accumulation_steps}"
    names = "clr_keras.CyclicLR", "clr_keras.ScheduledLR"
    made = [
        f"keras.optimizers.SGD({_rate(*names, schedule, more)}{more})"
        if schedule.momentum(0) is None
        else f"clr_keras.SGD({expression(schedule)}{more})"
        for schedule in schedules
    ]
    started = [f"optimizer.iterations.assign({step})"] if step else []
    if len(made) > 1 and step:
        started = ["for optimizer in optimizers:", f"    {started[0]}"]
    return _lines(
        "import clr_keras",
        *(["import keras"] if any(each.startswith("keras") for each in made) else []),
        *import_of(made),
        "",
        *_assigned("optimizer", made, "# For a keras.optimizers.MultiOptimizer."),
        *started,
        "# Next: model.compile(optimizer=optimizer), or optimizer.apply(gradients, weights).",
    )


def jax(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer and its state for each schedule."""
    made = [
        f"optax.sgd({_rate('cyclic_lr', 'scheduled_lr', schedule)})"
        if schedule.momentum(0) is None
        else f"{'cyclic' if type(schedule) is CyclicSchedule else 'scheduled'}_optimizer"
        f"(optax.sgd, {expression(schedule)})"
        for schedule in schedules
    ]
    known = ("cyclic_lr", "cyclic_optimizer", "scheduled_lr", "scheduled_optimizer")
    names = [name for name in known if name in " ".join(made)]
    names += ["set_step"] * bool(step)
    if accumulation_steps > 1:
        made = [f"optax.MultiSteps({each}, {accumulation_steps})" for each in made]
    state = (
        f"set_step(optimizer.init(parameters), {step})" if step else "optimizer.init(parameters)"
    )
    if len(made) > 1:
        state = f"[{state} for optimizer in optimizers]"
    note = "# For optax.partition, with a label for each group of parameters."
    return _lines(
        "import jax.numpy as jnp",
        "import optax",
        *import_of(made),
        f"from clr_jax import {', '.join(names)}",
        "",
        'parameters = {"weights": jnp.zeros(3)}  # Your own parameters.',
        *_assigned("optimizer", made, note),
        f"state{'s' * (len(made) > 1)} = {state}",
    )


OWN = (CyclicSchedule, PiecewiseSchedule, SequenceSchedule)
"""The kinds whose `repr` makes them."""

WRITERS: dict[str, Callable[..., str]] = {"torch": torch, "keras": keras, "jax": jax}


def import_of(made: Sequence[str]) -> list[str]:
    """The line that imports what this code needs from `clr_core`, if anything."""
    known = [kind.__name__ for kind in OWN] + ["Phase", "schedule_from_dict"]
    names = [name for name in sorted(known) if f"{name}(" in " ".join(made)]
    return [f"from clr_core import {', '.join(names)}"] if names else []


def _assigned(name: str, made: Sequence[str], note: str | None = None) -> list[str]:
    """The lines that give its name to what was made, or to a list of it if there are several."""
    if len(made) == 1:
        return [f"{name} = {made[0]}"]
    return [*([note] if note else []), f"{name}s = [", *(f"    {each}," for each in made), "]"]


def _rate(cyclic: str, other: str, schedule: Schedule, more: str = "") -> str:
    """The call that makes a framework's own rate, by the parameters of a CyclicSchedule."""
    if type(schedule) is CyclicSchedule:
        return repr(schedule).replace("CyclicSchedule", cyclic, 1).removesuffix(")") + f"{more})"
    return f"{other}({expression(schedule)}{more})"


def expression(schedule: Schedule) -> str:
    """The Python expression that makes a schedule: from its plain data if its `repr` doesn't."""
    if _is_own(schedule):
        return re.sub(r"\[(Phase\([^]]*)]", _in_lines, repr(schedule))
    plain = pformat(schedule.to_dict(), sort_dicts=False).replace("\n", "\n    ")
    return f"schedule_from_dict(\n    {plain}\n)"


def _is_own(schedule: Schedule) -> bool:
    """Whether a schedule is of `OWN` kinds, and so is all that it holds."""
    held = schedule.schedules if isinstance(schedule, SequenceSchedule) else ()
    return type(schedule) in OWN and all(map(_is_own, held))


def _in_lines(phases: re.Match[str]) -> str:
    return "[\n    " + phases[1].replace(", Phase(", ",\n    Phase(") + ",\n]"


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
