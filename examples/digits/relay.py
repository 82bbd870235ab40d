"""The relay: one run handed torch → Keras → JAX → torch, and an uninterrupted run in torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comparison import aligned
from leg import Trained, relay_schedule, trained
from problem import Problem

# Each leg ends in the middle of a rise or a fall, never at the start of a cycle.
LEGS = (("torch", 430), ("Keras", 800), ("JAX", 1150), ("torch", 1408))
SCRIPTS = {"torch": "leg_torch.py", "Keras": "leg_keras.py", "JAX": "leg_jax.py"}
# The weights are about 1. Matrix products differ in the last bits of float32 from library to
# library, and over 1,408 updates that adds up.
WEIGHT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Relay:
    """The legs in order, and the run in torch alone."""

    problem: Problem
    legs: list[tuple[str, Trained]]
    alone: Trained

    @property
    def used(self) -> np.ndarray:
        return np.concatenate([leg.used for _, leg in self.legs])

    @property
    def losses(self) -> np.ndarray:
        return np.concatenate([leg.losses for _, leg in self.legs])


def commands() -> list[tuple[str, str, list[str]]]:
    """Name, script and arguments of each process; its folders are relative to the caller's."""
    ends = [str(until) for _, until in LEGS]
    alone = ["--relay", "--leave", "alone", "--until", ends[-1], "--keep", *ends]
    found = [("torch, alone", SCRIPTS["torch"], alone)]
    for index, (name, until) in enumerate(LEGS):
        arguments = ["--relay", "--leave", f"leg-{index}", "--until", str(until)]
        if index:
            arguments += ["--take", f"leg-{index - 1}"]
        found.append((f"{name}, leg {index + 1}", SCRIPTS[name], arguments))
    return found


def load(problem: Problem, folder: Path) -> Relay:
    legs = [(name, trained(folder / f"leg-{index}")) for index, (name, _) in enumerate(LEGS)]
    return Relay(problem, legs, trained(folder / "alone"))


def expected(problem: Problem) -> np.ndarray:
    """The schedule's own rates and momenta, rounded once to float32."""
    steps, followed = np.arange(problem.steps), relay_schedule(problem)
    return np.stack([followed.lr(steps), followed.momentum(steps)], axis=1).astype(np.float32)


def weights_apart(relay: Relay, leg: Trained) -> float:
    """The largest difference in any weight from the run in torch alone, at the end of the leg."""
    (step,) = leg.weights
    pairs = zip(leg.weights[step], relay.alone.weights[step], strict=True)
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def differing(relay: Relay, leg: Trained) -> np.ndarray:
    """The steps whose rate or momentum differs from the schedule's in any bit."""
    right = expected(relay.problem)[leg.first : leg.first + len(leg.used)]
    return leg.first + np.flatnonzero((leg.used != right).any(axis=1))


def table(relay: Relay) -> str:
    head = ("", "steps", "rate, momentum at start", "differing", "loss", "weights differ by")
    rows = [head]
    for name, leg in [*relay.legs, ("torch, alone", relay.alone)]:
        last = leg.first + len(leg.used)
        mine = leg is relay.alone
        rows.append(
            (
                name,
                f"{leg.first:,} to {last:,}",
                f"{leg.used[0, 0]:.6f}, {leg.used[0, 1]:.4f}",
                f"{len(differing(relay, leg)):,}",
                f"{leg.losses[-relay.problem.steps_per_epoch :].mean():.6f}",
                "" if mine else f"{weights_apart(relay, leg):.1e}",
            )
        )
    return aligned(rows)


def faults(relay: Relay) -> list[str]:
    """One sentence per broken promise."""
    found = []
    steps = [leg.first for _, leg in relay.legs] + [relay.problem.steps]
    if steps != [0, *(until for _, until in LEGS)] or len(relay.used) != relay.problem.steps:
        found.append(f"The legs of the relay start at {steps[:-1]}, not where they should.")
        return found
    for name, leg in [*relay.legs, ("torch, alone", relay.alone)]:
        wrong = differing(relay, leg)
        if len(wrong):
            found.append(
                f"{name}: {len(wrong):,} rates or momenta of the relay differ from the "
                f"schedule's, the first at step {wrong[0]}."
            )
        # Written so that NaN counts as a fault.
        if leg is not relay.alone and not weights_apart(relay, leg) <= WEIGHT_TOLERANCE:
            found.append(
                f"{name}: the weights differ by {weights_apart(relay, leg):.1e} from those of the "
                f"run in torch alone, more than {WEIGHT_TOLERANCE:.0e}."
            )
    return found
