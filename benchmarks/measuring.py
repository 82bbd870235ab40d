"""What the benchmarks share: sides that take turns, processes, and a table in a file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROUNDS = 51
BRIEFLY = 3  # Enough to see that a benchmark works, as CI does; its numbers mean nothing.


def rounds() -> int:
    """How many rounds to run: `--brief` on the command line asks for few."""
    return BRIEFLY if "--brief" in sys.argv else ROUNDS


def interleaved(
    works: Mapping[str, Callable[[], object]], *, calls: int, rounds: int
) -> dict[str, float]:
    """Seconds per call of each work: the median over rounds, in which all of them take turns.

    A noisy neighbour then slows all sides alike. The first round warms up and isn't counted; the
    order turns with each round.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for turn in range(rounds + 1):
        for name in names if turn % 2 else reversed(names):
            work = works[name]
            start = time.perf_counter()
            for _ in range(calls):
                work()
            took = time.perf_counter() - start
            if turn:
                times[name].append(took / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def each_alone(
    script: str, measured: Callable[[str], list[Any]], parts: Iterable[str], variable: str = "PART"
) -> list[Any]:
    """The rows that `measured(part)` gives for each part, one process after the other.

    The script that calls this runs itself again for each part, with the part in an environment
    variable. In such a process this prints what was measured and leaves.
    """
    if "--alone" in sys.argv:
        print(json.dumps(measured(os.environ[variable])))
        sys.exit()
    rows = []
    for part in parts:
        done = subprocess.run(
            [sys.executable, script, "--alone", *sys.argv[1:]],
            env=os.environ | {variable: part, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows += json.loads(done.stdout.splitlines()[-1])
    return rows


def on_each_backend(script: str, measured: Callable[[str], list[Any]]) -> list[Any]:
    """The rows of Keras's three backends."""
    return each_alone(script, measured, ("tensorflow", "jax", "torch"), "KERAS_BACKEND")


def machine(*packages: str) -> str:
    """One line that says where a table comes from."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores."


def write(script: str, title: str, text: Sequence[str]) -> None:
    """Prints a table and writes it beside its script; a brief run leaves the file as it is."""
    page = "\n".join([f"# {title}", "", *text, ""])
    print(page)
    if "--brief" not in sys.argv:
        Path(script).with_suffix(".md").write_text(page, encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
