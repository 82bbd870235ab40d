"""Passes a framework's results from its process to the one that compares."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from problem import Problem

Results = Iterator[tuple[str, Sequence[np.ndarray]]]


def run_as_script(train_all: Callable[[Problem], Results]) -> None:
    """Trains each optimizer on the stored problem, and stores its final weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("problem", type=Path)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    ends = {
        name: np.concatenate([np.ravel(weight) for weight in weights])
        for name, weights in train_all(Problem.load(arguments.problem))
    }
    np.savez(arguments.results, **ends)
