"""Cautions about a call's momentum, and about the velocity that its optimizer keeps."""

from __future__ import annotations

from collections.abc import Iterator

from clr_cli.migrate.finding import Caution
from clr_cli.migrate.optimizers import Optimizer
from clr_cli.migrate.origins import ADDONS, CALLBACK, TORCH, Origin
from clr_cli.migrate.reading import Reading

_UNREAD = {
    "torch": "make it before the scheduler.",
    "keras": "pass it this `learning_rate`.",
    "jax": "pass it this `learning_rate`.",
}
_OFF = {
    "torch": "pass cycle_momentum=False.",
    "keras": "leave both momenta out of the schedule.",
    "jax": "leave both momenta out of the schedule.",
}


def momentum_cautions(
    to: str, origin: Origin, reading: Reading, optimizer: Optimizer | None
) -> Iterator[Caution]:
    """The cautions that apply to this call, optimizer and framework."""
    cycled = "base_momentum" in reading.parameters
    if cycled:
        yield from _cycled(to, reading, optimizer)
    if to == "torch" and origin.family == TORCH:
        return
    if optimizer is None:
        yield Caution("optimizer", f"The optimizer wasn't found: {_UNREAD[to]}")
        return
    if optimizer.left:
        yield Caution(
            "optimizer",
            f"These arguments of the optimizer were left out: {_listed(optimizer.left)}.",
        )
    if optimizer.kind == "SGD":
        yield from _velocity(to, origin, optimizer, cycled)


def _cycled(to: str, reading: Reading, optimizer: Optimizer | None) -> Iterator[Caution]:
    low, high = (reading.parameters[f"{end}_momentum"].text for end in ("base", "max"))
    if optimizer is None:
        if to == "torch":
            return
        what = (
            "A CyclicLR is only the rate; `clr_keras.SGD`, `clr_keras.Adam` and so on take the "
            "schedule and cycle both."
            if to == "keras"
            else "`cyclic_lr` is only the rate; `cyclic_optimizer(optax.sgd, schedule)` cycles "
            "both."
        )
        yield Caution(
            "momentum",
            f"torch's class also cycles the momentum, between {high} and {low}, unless "
            f"cycle_momentum=False. {what}",
        )
    elif optimizer.kind != "SGD":
        yield Caution(
            "momentum",
            f"The beta1 of {optimizer.kind} cycles between {high} and {low}, since cycle_momentum "
            "is True by default. Older torch raised a ValueError. If you don't want this, "
            + _OFF[to],
        )
    elif optimizer.momentum is None:
        if to == "torch":
            says = (
                f"torch's class would set it to {high}; it stays 0 here. To get what torch did, "
                f"give the optimizer momentum={high}; otherwise pass cycle_momentum=False."
            )
        else:
            says = (
                f"torch's class cycles one between {high} and {low}, and so does this. If you "
                "don't want this, leave both momenta out of the schedule."
            )
        yield Caution("momentum", f"The SGD has no momentum. {says}")
    elif optimizer.momentum.value != reading.parameters["max_momentum"].value:
        yield Caution(
            "momentum",
            f"`momentum={optimizer.momentum.text}` of the SGD is never used: torch's class cycles "
            f"it between {high} and {low}, since cycle_momentum is True by default. If you don't "
            f"want this, {_OFF[to]}",
        )


def _velocity(to: str, origin: Origin, optimizer: Optimizer, cycled: bool) -> Iterator[Caution]:
    from_keras = origin.family in (ADDONS, CALLBACK)
    if to == "keras" and not from_keras and cycled:
        yield Caution(
            "velocity",
            "Keras's SGD has the rate in its velocity, torch's doesn't. `torch_velocity=True` is "
            "torch's form; without it the weights differ.",
        )
    elif to == "keras" and not from_keras and optimizer.momentum is not None:
        momentum = optimizer.momentum.text
        yield Caution(
            "velocity",
            "Keras's SGD has the rate in its velocity, torch's and optax's don't, so the weights "
            "differ if the rate changes. For torch's form give the schedule "
            f"base_momentum={momentum} and max_momentum={momentum}, and use "
            "clr_keras.SGD(schedule, torch_velocity=True).",
        )
    elif to != "keras" and from_keras and optimizer.momentum is not None:
        yield Caution(
            "velocity",
            "Keras's SGD has the rate in its velocity, torch's and optax's don't, so the weights "
            "differ if the rate changes.",
        )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)
