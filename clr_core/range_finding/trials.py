"""Compare rates around the one that was read from a curve, by a short training with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite, sqrt
from statistics import fmean
from typing import Any

from clr_core.range_finding._reading import FEWEST_POINTS, LARGEST, SMALLEST
from clr_core.range_finding._smoothing import within_bounds
from clr_core.range_finding.ask_tell import scalar
from clr_core.range_finding.result import BASE_PART, RangeTestResult
from clr_core.schedules.cyclic import CyclicSchedule

NEXT = sqrt(10.0)  # The factor between neighbouring rates.
FARTHEST = 4  # Neighbours from the first rate: two decades.
END_PART = 4  # A training is judged by its last quarter.
BETTER = 0.8  # Of these losses, as many must be lower than without any training.


def compared(
    result: RangeTestResult,
    start: Callable[[], object],
    update: Callable[[float], tuple[Any, ...]],
    steps: int,
) -> RangeTestResult:
    """Goes on from `max_lr` to a neighbouring rate as long as a training with that ends better.

        >>> weight = [1.0]
        >>> def start():
        ...     weight[0] = 1.0
        >>> def update(lr):
        ...     loss = weight[0] ** 2
        ...     weight[0] -= lr * 2 * weight[0]
        ...     return (loss,)
        >>> lrs = [10.0**k for k in range(-6, 5)]
        >>> losses = [2.3, 2.3, 2.3, 2.2, 1.8, 0.9, 0.5, 1.5, 4.0, 9.0, 9.0]
        >>> result = RangeTestResult.from_curve(lrs, losses)
        >>> result.max_lr, compared(result, start, update, 20).max_lr
        (0.1, 1.0)

    Each training is one cycle, from a quarter of its rate to the rate and back. Trainings are
    compared by the mean loss in their last quarter. If the curve gave no rate, the first training
    has the rate in the middle of the curve, and the best must be better than none at all: four
    losses of five must be lower than those at the first rate of the curve.

    Args:
        result: What was read from a curve.
        start: Puts the model, and the batches, at their beginning.
        update: Makes one update with the given rate, and returns the loss before it first.
        steps: Updates of each training.

    Returns:
        The result with the rate of the best training as `max_lr` and as a suggestion, "trials". It
        has no `max_lr` if all of them diverged, or if it had none and no training was any good.
    """
    lrs, warnings = result.lrs, result.warnings
    if len(lrs) < FEWEST_POINTS or not SMALLEST <= lrs[0] < lrs[-1] <= LARGEST:
        return result
    first = result.max_lr or sqrt(lrs[0] * lrs[-1])
    ends: dict[int, list[float]] = {}

    def end(neighbour: int) -> float:
        if neighbour not in ends:
            start()
            ends[neighbour] = _end(first * NEXT**neighbour, update, steps)
        return fmean(ends[neighbour])

    best = 0
    while abs(best) < FARTHEST:
        better = best - 1 if end(best) == inf else min((best, best - 1, best + 1), key=end)
        if better == best:
            break
        best = better
    if end(best) == inf:
        said = f"The loss diverged in each of {len(ends)} trials, at rates down to "
        warnings = (*warnings, f"{said}{first * NEXT**best:.2g}: check the model and the data.")
        return replace(result, warnings=warnings, max_lr=None, base_lr=None)
    if result.max_lr is None:
        start()
        untrained = _end(lrs[0], update, steps)
        lower = [a < b for a, b in zip(ends[best], untrained, strict=True)]
        if sum(lower) < BETTER * len(lower):
            return result
        warnings = (*warnings, f"So `max_lr` is no more than the best of {len(ends)} trials.")
    max_lr = float(f"{first * NEXT**best:.1e}")
    return replace(
        result,
        suggestions={**result.suggestions, "trials": max_lr},
        warnings=warnings,
        max_lr=max_lr,
        base_lr=max_lr / BASE_PART,
    )


def _end(max_lr: float, update: Callable[[float], tuple[Any, ...]], steps: int) -> list[float]:
    """The last quarter of the losses of a training; infinite if it diverges."""
    schedule = CyclicSchedule(base_lr=max_lr / BASE_PART, max_lr=max_lr, step_size_up=steps / 2)
    losses: list[float] = []
    for step in range(steps):
        losses.append(scalar("loss", update(schedule.lr(step))[0]))
        if not isfinite(losses[-1]):
            return [inf] * (steps // END_PART)
    return within_bounds(losses[-(steps // END_PART) :])
