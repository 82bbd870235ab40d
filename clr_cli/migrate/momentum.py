"""Cautions about a call's momentum, and about the velocity that its optimizer keeps."""

from __future__ import annotations

from collections.abc import Iterator

from clr_cli.migrate.finding import Caution
from clr_cli.migrate.optimizers import Optimizer
from clr_cli.migrate.origins import TORCH, Origin
from clr_cli.migrate.reading import Reading

_OFF = "If you don't want this, pass cycle_momentum=False, or leave both momenta out of a schedule."
_VELOCITY = "Keras's SGD has the rate in its velocity, torch's and optax's don't"


def momentum_cautions(
    to: str, origin: Origin, reading: Reading, optimizer: Optimizer | None
) -> Iterator[Caution]:
    """The cautions that apply to this call, optimizer and framework."""
    cycled = "base_momentum" in reading.parameters
    again = to == "torch" and origin.family == TORCH
    if cycled and not (again and optimizer is None):
        says = _cycled(to, reading, optimizer)
        if says:
            yield Caution("momentum", says)
    if again:
        return
    if optimizer is None:
        before = "make it before the scheduler" if to == "torch" else "pass it this `learning_rate`"
        yield Caution("optimizer", f"The optimizer wasn't found: {before}.")
        return
    if optimizer.left:
        left = ", ".join(f"`{each}`" for each in optimizer.left)
        yield Caution("optimizer", f"These arguments of the optimizer were left out: {left}.")
    from_torch = origin.family == TORCH
    if optimizer.kind != "SGD" or (to == "keras") != from_torch:
        return
    if to == "keras" and cycled:
        yield Caution("velocity", f"{_VELOCITY}: `torch_velocity=True` is torch's form.")
    elif optimizer.momentum is not None:
        says = f"{_VELOCITY}, so the weights differ if the rate changes."
        if to == "keras":
            momentum = optimizer.momentum.text
            says += (
                f" For torch's form give the schedule base_momentum={momentum} and "
                f"max_momentum={momentum}, and use clr_keras.SGD(schedule, torch_velocity=True)."
            )
        yield Caution("velocity", says)


def _cycled(to: str, reading: Reading, optimizer: Optimizer | None) -> str:
    low, high = (reading.parameters[f"{end}_momentum"].text for end in ("base", "max"))
    if optimizer is None:
        return (
            f"torch's class also cycles the momentum, between {high} and {low}, unless "
            "cycle_momentum=False. This is only the rate; "
            + (
                "`clr_keras.SGD`, `clr_keras.Adam` and so on cycle both."
                if to == "keras"
                else "`cyclic_optimizer(optax.sgd, schedule)` cycles both."
            )
        )
    if optimizer.kind != "SGD":
        return f"The beta1 of {optimizer.kind} cycles between {high} and {low}. {_OFF}"
    if optimizer.momentum is None:
        here = "it stays 0 here" if to == "torch" else "so does this"
        return (
            f"The SGD has no momentum. torch's class cycles one between {high} and {low}, and "
            f"{here}. {_OFF}"
        )
    if optimizer.momentum.value != reading.parameters["max_momentum"].value:
        return (
            f"`momentum={optimizer.momentum.text}` of the SGD is never used: torch's class cycles "
            f"it between {high} and {low}. {_OFF}"
        )
    return ""
