"""What to look at in a call's momentum, and in the velocity that its optimizer keeps."""

from __future__ import annotations

from collections.abc import Iterator

from clr_cli.migrate.finding import Caution
from clr_cli.migrate.optimizers import Optimizer
from clr_cli.migrate.origins import ADDONS, CALLBACK, TORCH, Origin
from clr_cli.migrate.reading import Reading

_UNREAD = {
    "torch": "make it before the scheduler.",
    "keras": "its `learning_rate` is what stands here.",
    "jax": "its `learning_rate` is what stands here.",
}
_OFF = {
    "torch": "pass cycle_momentum=False.",
    "keras": "leave both momenta out of the schedule.",
    "jax": "leave both momenta out of the schedule.",
}


def momentum_cautions(
    to: str, origin: Origin, reading: Reading, optimizer: Optimizer | None
) -> Iterator[Caution]:
    """The cautions about momentum that fit this call, this optimizer and this framework."""
    cycled = "base_momentum" in reading.parameters
    if cycled:
        yield from _cycled(to, reading, optimizer)
    if to == "torch" and origin.family == TORCH:
        return
    if optimizer is None:
        yield Caution("optimizer", f"Which optimizer it is for isn't read here: {_UNREAD[to]}")
        return
    if optimizer.left:
        yield Caution(
            "optimizer", f"Of the optimizer {_listed(optimizer.left)} isn't carried over."
        )
    if optimizer.kind == "SGD":
        yield from _velocity(to, origin, optimizer, cycled)


def _cycled(to: str, reading: Reading, optimizer: Optimizer | None) -> Iterator[Caution]:
    low, high = (reading.parameters[f"{end}_momentum"].text for end in ("base", "max"))
    if optimizer is None:
        if to == "torch":
            return
        what = (
            "A CyclicLR is the rate alone; `clr_keras.SGD`, `clr_keras.Adam` and so on take the "
            "schedule and cycle both."
            if to == "keras"
            else "`cyclic_lr` is the rate alone; `cyclic_optimizer(optax.sgd, schedule)` cycles "
            "both."
        )
        yield Caution(
            "momentum",
            f"torch's class cycles the momentum too, between {high} and {low}, unless "
            f"cycle_momentum=False. {what}",
        )
    elif optimizer.kind != "SGD":
        yield Caution(
            "momentum",
            f"The beta1 of {optimizer.kind} cycles between {high} and {low}, since cycle_momentum "
            "is True by default. Older torch refused that with a ValueError. If it isn't meant, "
            + _OFF[to],
        )
    elif optimizer.momentum is None:
        if to == "torch":
            says = (
                f"torch's class would switch it on, at {high}; it stays 0 here. Give the optimizer "
                f"momentum={high} to have what torch did, else pass cycle_momentum=False."
            )
        else:
            says = (
                f"torch's class switches it on, between {high} and {low}, and so does this. If it "
                "isn't meant, leave both momenta out of the schedule."
            )
        yield Caution("momentum", f"The SGD has no momentum. {says}")
    elif optimizer.momentum.value != reading.parameters["max_momentum"].value:
        yield Caution(
            "momentum",
            f"`momentum={optimizer.momentum.text}` of the SGD is never used: torch's class cycles "
            f"it between {high} and {low}, since cycle_momentum is True by default. If it isn't "
            f"meant, {_OFF[to]}",
        )


def _velocity(to: str, origin: Origin, optimizer: Optimizer, cycled: bool) -> Iterator[Caution]:
    from_keras = origin.family in (ADDONS, CALLBACK)
    if to == "keras" and not from_keras and cycled:
        yield Caution(
            "velocity",
            "Keras keeps the rate in SGD's velocity, torch doesn't. `torch_velocity=True` is "
            "torch's form, without which the weights go another way.",
        )
    elif to == "keras" and not from_keras and optimizer.momentum is not None:
        momentum = optimizer.momentum.text
        yield Caution(
            "velocity",
            "Keras keeps the rate in SGD's velocity, torch and optax don't: under a rate that "
            "changes the weights go another way. For torch's form give the schedule "
            f"base_momentum={momentum} and max_momentum={momentum}, and use "
            "clr_keras.SGD(schedule, torch_velocity=True).",
        )
    elif to != "keras" and from_keras and optimizer.momentum is not None:
        yield Caution(
            "velocity",
            "Keras keeps the rate in SGD's velocity, torch and optax don't: under a rate that "
            "changes the weights go another way.",
        )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)
