"""Python code that follows a schedule in a framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clr_core import CyclicSchedule

Schedules = Sequence[CyclicSchedule]


def torch(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """A scheduler on an optimizer, with a parameter group for each schedule."""
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
        "from clr_core import CyclicSchedule",
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
    """An optimizer; one for each schedule where there are several."""
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
        "from clr_core import CyclicSchedule",
        "",
        *_schedules(schedules),
        "",
        *optimizers,
        *(started if step else []),
        "# Next: model.compile(optimizer=optimizer), or optimizer.apply(gradients, weights).",
    )


def jax(schedules: Schedules, step: int, accumulation_steps: int = 1) -> str:
    """An optimizer and its state; one for each schedule where there are several."""
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
        "from clr_core import CyclicSchedule",
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


def _schedules(schedules: Schedules) -> list[str]:
    if len(schedules) == 1:
        return [f"schedule = {schedules[0]!r}"]
    return ["schedules = [", *(f"    {schedule!r}," for schedule in schedules), "]"]


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
