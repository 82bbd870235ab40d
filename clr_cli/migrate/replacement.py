"""Code for another framework, and what to know before using it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clr_cli.migrate.arguments import Argument
from clr_cli.migrate.finding import Caution
from clr_cli.migrate.origins import CALLBACK, TORCH, Origin
from clr_cli.migrate.reading import DEFAULTS, Reading

WIDEST = 88
# The imports, the variable and its value, without and with a momentum to cycle.
MADE = {
    ("torch", False): (
        "from clr_torch import CyclicLR",
        "scheduler",
        "CyclicLR.from_schedule(optimizer, schedule)",
    ),
    ("keras", False): ("from clr_keras import CyclicLR", "learning_rate", "CyclicLR(schedule)"),
    ("keras", True): (
        "from clr_keras import SGD",
        "optimizer",
        "SGD(schedule, torch_velocity=True)",
    ),
    ("jax", False): ("from clr_jax import cyclic_lr", "learning_rate", "cyclic_lr(schedule)"),
    ("jax", True): (
        "from clr_jax import cyclic_optimizer\nimport optax",
        "optimizer",
        "cyclic_optimizer(optax.sgd, schedule)",
    ),
}


def replacement_for(to: str, reading: Reading) -> str:
    """Write code for another framework that follows the schedule of a call."""
    imports, variable, value = MADE[to, "base_momentum" in reading.parameters]
    return (
        f"from clr_core import CyclicSchedule\n{imports}\n\n"
        f"schedule = {_schedule(reading.parameters)}\n{variable} = {value}"
    )


def advice(to: str, origin: Origin, reading: Reading) -> Iterator[Caution]:
    """What the code for another framework leaves to its user."""
    before = origin.framework
    if to == "torch":
        yield Caution("optimizer", "Make the optimizer before the scheduler.")
    elif "base_momentum" in reading.parameters:
        low, high = (reading.parameters[f"{end}_momentum"].text for end in ("base", "max"))
        yield Caution(
            "momentum",
            f"torch's class also cycles the momentum of SGD, or Adam's beta1, between {high} and "
            f"{low}, and so does this. Put your optimizer in the place of SGD, with its arguments. "
            "If you don't want the cycle, leave both momenta out.",
        )
    else:
        yield Caution("optimizer", "Give the optimizer this `learning_rate`.")
        if "keras" in (before, to) and before != to:
            yield Caution(
                "velocity",
                "Keras's SGD has the rate in its velocity, torch's and optax's don't: with a "
                "momentum, the weights differ. `clr_keras.SGD(schedule, torch_velocity=True)` is "
                "torch's, for a schedule with momenta.",
            )
    if origin.family == CALLBACK:
        yield Caution(
            "callback",
            "Take the callback out of `callbacks=[…]`. Each new callback starts at step 0, a "
            "schedule at the count of its optimizer.",
        )
    if origin.family != TORCH:
        return
    yield Caution(
        "per_epoch",
        "Here a step is an update. If the scheduler was stepped once per epoch, multiply the sizes "
        "by the updates per epoch.",
    )
    if reading.last_epoch is not None:
        step = f"{reading.last_epoch.text} + 1" if reading.step is None else reading.step
        place = {
            "keras": f"`optimizer.iterations.assign({step})`, once it is built",
            "jax": f"`clr_jax.set_step(state, {step})`",
        }[to]
        yield Caution(
            "last_epoch",
            f"`last_epoch={reading.last_epoch.text}`: the next update is step {step}. To start "
            f"there: {place}.",
        )


def _schedule(parameters: Mapping[str, Argument]) -> str:
    """A call in one line, or with a line for each argument if that is too long."""
    parts = [f"{name}={parameters[name].text}" for name in DEFAULTS if name in parameters]
    line = f"CyclicSchedule({', '.join(parts)})"
    inner = "".join(f"    {part},\n" for part in parts)
    return line if len(line) <= WIDEST else f"CyclicSchedule(\n{inner})"
