"""The largest difference of each pair of frameworks, as the tables of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from causes import CAUSES, KERAS_KERAS, OPTAX_KERAS, TORCH_KERAS, TORCH_OPTAX

# The weights at the end, by host and by the name of the run.
Ends = Mapping[str, Mapping[str, np.ndarray]]

BOUND = 1e-5
TENSORFLOW, JAX = "Keras on TensorFlow", "Keras on JAX"
# A pair with Keras has both of its backends, and differs by the worse of them.
HOSTS = {
    TORCH_OPTAX: [("torch", "optax")],
    TORCH_KERAS: [("torch", TENSORFLOW), ("torch", JAX)],
    OPTAX_KERAS: [("optax", TENSORFLOW), ("optax", JAX)],
    KERAS_KERAS: [(TENSORFLOW, JAX)],
}


def difference(ends: Ends, pair: str, runs: tuple[str, str]) -> float | None:
    """The largest difference of any weight; None unless both have such a run."""
    first, second = runs
    differences = [
        np.abs(ends[one][first].astype(np.float64) - ends[other][second]).max()
        for one, other in HOSTS[pair]
        if first in ends[one] and second in ends[other]
    ]
    return float(np.max(differences)) if differences else None  # NaN if any is NaN.


def tables(ends: Ends) -> dict[str, list[str]]:
    """The lines of the page's two tables, by the table's name.

    Raises:
        ValueError: A pair differs without a cause, or has a cause and doesn't differ.
    """
    names = dict.fromkeys(name for runs in ends.values() for name in runs if "," not in name)
    found = {(name, pair): difference(ends, pair, (name, name)) for name in names for pair in HOSTS}
    # Written so that a NaN is a difference too.
    apart = {key for key, value in found.items() if value is not None and not value <= BOUND}
    explained = [(cause.optimizer, cause.pair) for cause in CAUSES]
    if apart ^ set(explained):
        raise ValueError(f"must have a cause exactly where they differ: {apart ^ set(explained)}")
    return {
        "differences": _table(
            ["optimizer", *HOSTS],
            [[name, *(_cell(found[name, pair]) for pair in HOSTS)] for name in names],
        ),
        "causes": _table(
            ["optimizer", "pair", "differs by", "because", "without that", "differs by"],
            [
                [
                    cause.optimizer,
                    cause.pair,
                    _cell(found[cause.optimizer, cause.pair]),
                    cause.why,
                    cause.without,
                    _cell(difference(ends, cause.pair, cause.runs)),
                ]
                for cause in CAUSES
            ],
        ),
    }


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    mantissa, exponent = f"{value:.1e}".split("e")
    text = f"{mantissa}e{int(exponent)}".removesuffix("e0") if value else "0"
    return text if value <= BOUND else f"**{text}**"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
