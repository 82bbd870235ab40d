"""A training in one framework: all of it, or a leg of the relay that others continue.

Two legs exchange a folder with `record.json` (the schedule and the step), `weights.npz`, and
`moments.npz` (SGD's velocity). The arrays have the same order and layout everywhere: kernel
(inputs, outputs) and bias of the hidden layer, then of the output layer.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clr_core import CyclicSchedule, Moments, Record
from problem import EPOCHS_UP, Problem, digits
from progress import counted

# Momentum cycles against the rate. With momentum, the rates are lower than in the first part.
MOMENTUM = {"base_momentum": 0.8, "max_momentum": 0.95}
BASE_LR, MAX_LR = 0.02, 0.08


class Leg(Protocol):
    """One framework's side of a leg."""

    def update(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, Any, float]:
        """Make one update. Returns the float32 rate and momentum it used, and the loss before it.

        A constant momentum is given as 0.
        """

    def weights(self) -> Sequence[np.ndarray]:
        """Return the weights, in the order and layout above."""

    def save(self, folder: Path) -> None:
        """Write `record.json` and `moments.npz`."""


@dataclass(frozen=True)
class Trained:
    """What happened in one leg.

    Row k of `used` has the rate and the momentum of its update k, and `losses[k]` is its batch's
    loss before it. `weights[step]` are the weights before that step's update.
    """

    first: int
    used: np.ndarray
    losses: np.ndarray
    weights: dict[int, list[np.ndarray]]

    @property
    def rates(self) -> np.ndarray:
        return self.used[:, 0]


def relay_schedule(problem: Problem) -> CyclicSchedule:
    return CyclicSchedule(
        base_lr=BASE_LR,
        max_lr=MAX_LR,
        step_size_up=EPOCHS_UP * problem.steps_per_epoch,
        mode="triangular2",
        **MOMENTUM,
    )


def run_as_leg(name: str, make: Any) -> None:
    """Train from the run in `--take`, or from the start, and write what happened."""
    parser = argparse.ArgumentParser(description=f"Train the digits network in {name}.")
    parser.add_argument("--relay", action="store_true", help="cycle the momentum, and hand over")
    parser.add_argument("--take", type=Path, metavar="FOLDER")
    parser.add_argument("--leave", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--until", type=int, required=True, metavar="STEP")
    parser.add_argument("--keep", type=int, nargs="*", default=[], metavar="STEP")
    options = parser.parse_args()
    problem = digits()
    if options.take is None:
        schedule = relay_schedule(problem) if options.relay else problem.schedule
        record, weights, moments = Record(schedule), [*problem.hidden, *problem.output], None
    else:
        record = Record.read(options.take / "record.json")
        with np.load(options.take / "weights.npz") as stored:
            weights = [stored[f"arr_{index}"] for index in range(4)]
        moments = Moments.read(options.take / "moments.npz")
    leg: Leg = make(problem, record, weights, moments)

    used, losses, kept = [], [], {}
    for done in counted(name, options.until - record.step):
        if record.step + done in options.keep:
            kept |= _named(record.step + done, leg.weights())
        batch = problem.batches[record.step + done]
        lr, momentum, loss = leg.update(problem.images[batch], problem.labels[batch])
        used.append((lr, momentum))
        losses.append(loss)
    kept |= _named(options.until, leg.weights())

    options.leave.mkdir(parents=True)
    if options.relay:
        leg.save(options.leave)
        np.savez(options.leave / "weights.npz", *leg.weights())
    np.savez(
        options.leave / "leg.npz",
        first=record.step,
        used=np.array(used, np.float32),
        losses=np.array(losses),
        **kept,
    )


def trained(folder: Path) -> Trained:
    with np.load(folder / "leg.npz") as stored:
        steps = {int(name.partition("/")[0]) for name in stored.files if "/" in name}
        return Trained(
            first=int(stored["first"]),
            used=stored["used"],
            losses=stored["losses"],
            weights={step: [stored[f"{step}/{index}"] for index in range(4)] for step in steps},
        )


def _named(step: int, weights: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{step}/{index}": np.array(array) for index, array in enumerate(weights)}
