"""Draw a run and its schedule. Needs the extra `plot`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clr_core._drawing import BLUE, GREY, VERMILLION, figure_class
from clr_core.schedules.protocol import Schedule
from clr_core.schedules.samples import POINTS, sampled_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 300  # With more lines than these, dots would hide each other and the curve.


def draw(
    schedule: Schedule,
    steps: Sequence[int],
    lrs: Sequence[float],
    *,
    title: str,
    mark: int | None,
) -> Figure:
    """Draw a log and the schedule, and below the difference of both; mark a step by a line.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    places = _places(list(steps), mark)
    logged_steps = [steps[i] for i in places]
    logged = [float(lrs[i]) for i in places]
    differences = [
        lr - schedule.lr(int(step)) for step, lr in zip(logged_steps, logged, strict=True)
    ]
    first, last = int(min(logged_steps)), int(max(logged_steps))
    grid = sampled_steps(schedule, last, first=first)

    figure = figure_class()(figsize=(9.0, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    upper.plot(grid, [schedule.lr(step) for step in grid], color=BLUE, label="schedule")
    few = len(places) <= DOTS
    dots: dict[str, Any] = {"color": VERMILLION, "marker": "." if few else ""}
    upper.plot(logged_steps, logged, linestyle="none" if few else "--", label="logged", **dots)
    lower.axhline(color=BLUE)
    lower.plot(logged_steps, differences, **dots)
    for axes in (upper, lower):
        if mark is not None:
            label = f"first difference: step {mark:,}"
            axes.axvline(mark, color=GREY, linestyle=":", label=label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    upper.set_ylabel("learning rate")
    lower.set_ylabel("logged - schedule")
    lower.set_xlabel("step (updates)")
    lower.xaxis.set_major_formatter("{x:,.0f}")
    upper.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False)
    figure.suptitle("\n".join(textwrap.wrap(title, 110)), fontsize="medium", x=0.01, ha="left")
    return figure


def _places(steps: Sequence[int], mark: int | None) -> list[int]:
    """The lines to draw: evenly, and always the marked one."""
    every = -(-len(steps) // POINTS)
    places = {*range(0, len(steps), every), len(steps) - 1}
    if mark is not None:
        places.add(steps.index(mark))
    return sorted(places)
