"""What the benchmarks share: two sides in one run, interleaved, and a table in a file."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

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
