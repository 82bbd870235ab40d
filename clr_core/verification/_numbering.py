"""The updates that the numbers of a log stand for.

A step is how many updates came before. Loggers count from 0, from 1, or in epochs, of which they
give the rate of the first update, of the last one, or of the next epoch's first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from clr_core._arguments import LARGEST_STEP, count, integer, received

FLOAT32_MEAN = 2.0**-24  # A mean that is summed up in float32 loses so much with each update.


class Numbering(NamedTuple):
    """Line n of a log has the rate of the update that `factor * n + offset` others came before.

    Args:
        factor: Updates from one number to the next.
        offset: Updates before line 0.
        says: The same in words; "" if that goes without saying.
        sure: False if the log's numbers don't show it.
        size: If it is more than 1, the line has the mean rate of so many updates, the first of them
            that one.
    """

    factor: int
    offset: int
    says: str = ""
    sure: bool = True
    size: int = 1

    def update(self, number: int) -> int:
        """The updates before this line; 0 for the one just before the first update."""
        return max(self.factor * number + self.offset, 0)


def numberings(
    steps: Sequence[int], first_step: object, steps_per_epoch: object
) -> tuple[list[Numbering], list[Numbering]]:
    """What the numbers may stand for, the likeliest first; and with a mean in each line.

    Raises:
        TypeError, ValueError: A setting isn't one, or doesn't fit the steps.
    """
    size = 1 if steps_per_epoch is None else count("steps_per_epoch", steps_per_epoch, least=1)
    low, high = min(steps), max(steps)
    first = None if first_step is None else integer("first_step", first_step)
    if first is not None and not -1 <= first <= low + 1:
        raise ValueError(
            "`first_step` must be -1 or more, and at most one more than the first of the steps, "
            f"{low}. {received('first_step', first)}"
        )
    if (high + 2) * size > LARGEST_STEP + 2:
        raise ValueError(
            f"`steps` must lie between 0 and 2**53, counted in updates. Received: {high} epochs "
            f"of {size}"
        )
    firsts = [first] if first is not None else [0, 1] if low >= 1 else [0]
    if size == 1:
        sure = first is not None or _counts_from_1(steps)
        found = [Numbering(1, -each, _counted_from(each), sure or each == 0) for each in firsts]
        return found, _means_between(steps) if first is None else []
    places = [(0, "the first"), (size - 1, "the last"), (size, "the next epoch's first")]
    epochs = [
        Numbering(
            size,
            inside - size * each,
            f"each rate is that of {place} update, of {size} in an epoch, and epochs count from "
            f"{each}",
        )
        for each in firsts
        for inside, place in places
    ]
    says = f"each rate is the mean of an epoch of {size} updates"
    return epochs, [Numbering(size, -size * each, says, size=size) for each in firsts]


def _counted_from(first: int) -> str:
    if first < 0:
        return "each rate is that of the next update"
    return f"the log counts from {first}" if first else ""


def _counts_from_1(steps: Sequence[int]) -> bool:
    """True if a line at step 0 is missing where each other one of a regular log is there."""
    distinct = sorted(set(steps))
    if distinct[0] == 1 and distinct[1:2] != [2]:
        distinct = distinct[1:]  # The very first update is often logged as well.
    return all(b - a == distinct[0] for a, b in pairwise(distinct))


def _means_between(steps: Sequence[int]) -> list[Numbering]:
    """Means over the updates from one line to the next, if none is missing in between."""
    size = min((b - a for a, b in pairwise(sorted(set(steps)))), default=1)
    says = f"each rate is the mean of {size} updates"
    offsets = (-size, 1 - size) if size > 1 else ()
    return [Numbering(1, offset, says, size=size) for offset in offsets]
