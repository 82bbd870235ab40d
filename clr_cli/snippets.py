"""Python code that follows a schedule in a framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pprint import pformat

from clr_core import CyclicSchedule, Schedule

Schedules = Sequence[Schedule]


def torch(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer with a parameter group for each schedule, and its scheduler."""
    cycles = any(schedule.momentum(0) is not None for schedule in schedules)
    momentum = ", momentum=0.9" if cycles else ""
    start = f", last_epoch={step - 1}" if step else ""
    often = "In the loop over batches"
    if accumulation_steps > 1:
        often += f", after every {accumulation_steps} of them and the last"
    if len(schedules) == 1:
        model, parameters = "torch.nn.Linear(4, 2)", "model.parameters()"
        given = "schedule"
    else:
        layers = ", ".join(["torch.nn.Linear(4, 4)"] * len(schedules))
        model = f"torch.nn.Sequential({layers})"
        parameters = '[{"params": layer.parameters()} for layer in model]'
        given = "schedules"
    return _lines(
        "import torch",
        _import(schedules),
        "from clr_torch import CyclicLR",
        "",
        *_schedules(schedules),
        "",
        f"model = {model}  # Your own model.",
        f"optimizer = torch.optim.SGD({parameters}{momentum})",
        f"scheduler = CyclicLR.from_schedule(optimizer, {given}{start})",
        f"# {often}: optimizer.step(), then scheduler.step().",
    )


def keras(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer for each schedule."""
    more = ""
    if accumulation_steps > 1:
        more = f", gradient_accumulation_steps={accumulation_steps}"
    made = [
        f"keras.optimizers.SGD(clr_keras.CyclicLR({{}}{more}){more})"
        if schedule.momentum(0) is None
        else f"clr_keras.SGD({{}}{more})"
        for schedule in schedules
    ]
    if len(schedules) == 1:
        optimizers = [f"optimizer = {made[0].format('schedule')}"]
        started = [f"optimizer.iterations.assign({step})"]
    else:
        rows = (f"    {each.format(f'schedules[{i}]')}," for i, each in enumerate(made))
        optimizers = ["# For a keras.optimizers.MultiOptimizer.", "optimizers = [", *rows, "]"]
        started = ["for optimizer in optimizers:", f"    optimizer.iterations.assign({step})"]
    return _lines(
        "import clr_keras",
        *(["import keras"] if any(each.startswith("keras") for each in made) else []),
        _import(schedules),
        "",
        *_schedules(schedules),
        "",
        *optimizers,
        *(started if step else []),
        "# Next: model.compile(optimizer=optimizer), or optimizer.apply(gradients, weights).",
    )


def jax(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer and its state for each schedule."""
    state = "optimizer.init(parameters)"
    if step:
        state = f"set_step({state}, {step})"
    optimizer = "cyclic_optimizer(optax.sgd, schedule)"
    if accumulation_steps > 1:
        optimizer = f"optax.MultiSteps({optimizer}, {accumulation_steps})"
    made = [f"optimizer = {optimizer}", f"state = {state}"]
    if len(schedules) > 1:
        made = [
            "# For optax.partition, with a label for each group of parameters.",
            "optimizers = [cyclic_optimizer(optax.sgd, schedule) for schedule in schedules]",
            f"states = [{state} for optimizer in optimizers]",
        ]
    return _lines(
        "import jax.numpy as jnp",
        "import optax",
        _import(schedules),
        f"from clr_jax import cyclic_optimizer{', set_step' if step else ''}",
        "",
        *_schedules(schedules),
        "",
        'parameters = {"weights": jnp.zeros(3)}  # Your own parameters.',
        *made,
    )


WRITERS: dict[str, Callable[..., str]] = {
    "torch": torch,
    "keras": keras,
    "jax": jax,
}


def _import(schedules: Schedules) -> str:
    usual = [type(schedule) is CyclicSchedule for schedule in schedules]
    names = ["CyclicSchedule"] * any(usual) + ["schedule_from_dict"] * (not all(usual))
    return f"from clr_core import {', '.join(names)}"


def _schedules(schedules: Schedules) -> list[str]:
    if len(schedules) == 1:
        return [f"schedule = {_made(schedules[0])}"]
    return ["schedules = [", *(f"    {_made(schedule, 4)}," for schedule in schedules), "]"]


def _made(schedule: Schedule, indent: int = 0) -> str:
    """The expression that makes a schedule: of any kind, from its plain data."""
    if type(schedule) is CyclicSchedule:
        return repr(schedule)
    inner = " " * (indent + 4)
    plain = pformat(schedule.to_dict(), sort_dicts=False).replace("\n", f"\n{inner}")
    return f"schedule_from_dict(\n{inner}{plain}\n{' ' * indent})"


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
