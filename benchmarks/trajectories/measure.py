"""Trains with every optimizer in every framework, and writes the tables of same-trajectory.md.

    python benchmarks/trajectories/measure.py [--page FILE.md]

A process for each framework, since TensorFlow and torch crash in one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from comparison import JAX, TENSORFLOW, Ends, tables
from problem import digits

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "same-trajectory.md"
SCRIPTS = {
    TENSORFLOW: ("train_keras.py", {"KERAS_BACKEND": "tensorflow"}),
    JAX: ("train_keras.py", {"KERAS_BACKEND": "jax"}),
    "optax": ("train_jax.py", {}),
    "torch": ("train_torch.py", {}),
}


def measured() -> Ends:
    """The weights at the end of every run in every framework."""
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        digits().save(problem)
        results = {host: Path(folder) / f"{host}.npz" for host in SCRIPTS}
        processes = {
            host: subprocess.Popen(
                [sys.executable, HERE / script, problem, results[host]],
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
            )
            for host, (script, environment) in SCRIPTS.items()
        }
        failed = [host for host, process in processes.items() if process.wait() != 0]
        if failed:
            raise SystemExit(f"The training in {', '.join(failed)} failed; see above.")
        return {host: dict(np.load(path)) for host, path in results.items()}


def filled(page: str, made: dict[str, list[str]]) -> str:
    """The page with each table put between its two marks."""
    for name, lines in made.items():
        mark, end = f"<!-- table: {name} -->\n", "<!-- end of table -->"
        if page.count(mark) != 1:
            raise ValueError(f"The page must have one place for the table {name!r}")
        before, after = page.split(mark)
        after = after[after.index(end) :]
        page = "\n".join([before + mark, *lines, "", after])
    return page


def main() -> None:
    """Measures, prints the tables and writes them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    path = parser.parse_args().page
    made = tables(measured())
    for lines in made.values():
        print("\n".join(lines))
    path.write_text(filled(path.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
