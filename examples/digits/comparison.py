"""Compare the trainings with the schedule and with each other."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import combinations

import numpy as np

from leg import Trained
from problem import Problem

# Sums of float32 products in another order differ by about 1e-7 per step. Rates that are late by
# one step would show up here as 1e-2.
LOSS_TOLERANCE = 1e-4
# Three networks that learn nothing would agree perfectly.
LEAST_ACCURACY = 0.95


def rates_of_schedule(problem: Problem) -> np.ndarray:
    """The schedule's own rates, rounded once to float32."""
    return problem.schedule.lr(np.arange(problem.steps)).astype(np.float32)


def ulps_apart(rates: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How many float32 numbers `rates` lies above `expected`, element by element.

    Positive floats are ordered like their bit patterns, so the difference of the patterns counts
    the numbers in between.
    """
    return rates.view(np.int32).astype(np.int64) - expected.view(np.int32)


def differing_bits(rates: np.ndarray, expected: np.ndarray) -> int:
    return int(np.bitwise_count(rates.view(np.uint32) ^ expected.view(np.uint32)).sum())


def loss_spread(trainings: Mapping[str, Trained]) -> np.ndarray:
    """The largest difference between any two losses at each step; NaN if a loss is NaN."""
    losses = np.stack([training.losses for training in trainings.values()])
    return losses.max(axis=0) - losses.min(axis=0)


def final_loss(problem: Problem, training: Trained) -> float:
    """The mean over the last epoch, since the loss of one batch says little."""
    return float(training.losses[-problem.steps_per_epoch :].mean())


def accuracy(problem: Problem, training: Trained) -> float:
    """The share of the held-out digits that the network recognizes at the end."""
    hidden_kernel, hidden_bias, output_kernel, output_bias = training.weights[problem.steps]
    hidden = np.tanh(problem.held_out_images @ hidden_kernel + hidden_bias)
    predicted = (hidden @ output_kernel + output_bias).argmax(axis=1)
    return float((predicted == problem.held_out_labels).mean())


def faults(problem: Problem, trainings: Mapping[str, Trained]) -> list[str]:
    """One sentence per broken promise."""
    expected = rates_of_schedule(problem)
    found = []
    for name, training in trainings.items():
        apart = ulps_apart(training.rates, expected)
        if apart.any():
            first = int(apart.nonzero()[0][0])
            found.append(
                f"{name}: {np.count_nonzero(apart):,} of {problem.steps:,} rates differ from the "
                f"schedule's. The first is at step {first}: {training.rates[first]}, "
                f"not {expected[first]}."
            )
        # Written so that NaN counts as a fault, here and below.
        if not accuracy(problem, training) >= LEAST_ACCURACY:
            found.append(
                f"{name}: only {accuracy(problem, training):.1%} of the held-out digits are "
                f"recognized, less than {LEAST_ACCURACY:.0%}."
            )
    for one, other in combinations(trainings, 2):
        apart = np.abs(trainings[one].losses - trainings[other].losses)
        too_far = ~(apart <= LOSS_TOLERANCE)
        if too_far.any():
            first = int(too_far.nonzero()[0][0])
            found.append(
                f"{one} and {other}: the losses differ by up to {apart.max():.2e}, more than "
                f"{LOSS_TOLERANCE:.0e}, the first time at step {first}."
            )
    return found


def table(problem: Problem, trainings: Mapping[str, Trained]) -> str:
    """A table with one row per framework."""
    expected = rates_of_schedule(problem)
    rows = [
        ("", "steps", "differing rates", "differing bits", "final loss", "held-out accuracy"),
        *(
            (
                f"{name} {version(name).partition('+')[0]}",
                f"{len(training.rates):,}",
                f"{np.count_nonzero(ulps_apart(training.rates, expected)):,}",
                f"{differing_bits(training.rates, expected):,}",
                f"{final_loss(problem, training):.6f}",
                f"{accuracy(problem, training):.2%}",
            )
            for name, training in trainings.items()
        ),
    ]
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table: the first column aligned at the left, the others at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + f"{row[0]:<{widths[0]}}"
        + "".join(f"   {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
