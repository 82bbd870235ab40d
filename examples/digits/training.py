"""The result of one framework's training, and how it reaches the process that compares."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from problem import Problem, digits


@dataclass(frozen=True)
class Training:
    """What happened in one framework.

    `rates[k]` is the float32 rate that update k used; `losses[k]` is its batch's loss before it.
    """

    version: str
    rates: np.ndarray
    losses: np.ndarray
    held_out_logits: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(
            path,
            version=self.version,
            rates=self.rates,
            losses=self.losses,
            held_out_logits=self.held_out_logits,
        )

    @classmethod
    def load(cls, path: Path) -> "Training":
        with np.load(path) as stored:
            return cls(
                version=str(stored["version"]),
                rates=stored["rates"],
                losses=stored["losses"],
                held_out_logits=stored["held_out_logits"],
            )


def run_as_script(train: Callable[[Problem], Training]) -> None:
    """Train, and save what happened to the file given by `--save`."""
    parser = argparse.ArgumentParser(description="Train the digits network in one framework.")
    parser.add_argument("--save", type=Path, required=True, metavar="FILE.npz")
    path = parser.parse_args().save
    train(digits()).save(path)
