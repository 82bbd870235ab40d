"""Schedules as figures, which need the extra `plot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from clr_core._arguments import count
from clr_core._drawing import GREY, PALETTE, figure_class
from clr_core.schedules.samples import Samples, from_below, logarithmic_from, samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clr_core.schedules.protocol import Schedule

# They say the same as the colours in black and white.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
LEGEND = 100  # Letters beside each other in the legend.
APART = 0.07  # Of the height of a panel: names of levels closer to each other can't be read.
# Matplotlib's settings for these figures.
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.limits": (-4, 6),
}


def plot(
    schedule: Schedule,
    steps: int | None = None,
    *,
    steps_per_epoch: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one schedule; see `CyclicSchedule.plot`."""
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if value is not None:
            count(name, value, least=1)
    return picture(samples([schedule], steps), steps_per_epoch=steps_per_epoch, axes=ax)


def picture(
    curves: Sequence[Samples],
    *,
    names: Sequence[str] | None = None,
    step: int | Sequence[int] = 0,
    steps_per_epoch: int | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw the rates over the steps between their levels, and the momenta in a second panel.

    The axis of the rates is logarithmic if some are so much lower than others that they would look
    flat.

    Args:
        curves: The schedules and their values.
        names: Their names in the legend; None: "group 0", "group 1", …
        step: The step that the run has reached, or that each of several has, in the colour of its
            curve; marked unless it is 0 or beyond the curve.
        steps_per_epoch: Updates per epoch, for a second axis in epochs.
        axes: Axes to draw the rates in, and nothing else; None: a new figure.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    figure_of = figure_class()
    from matplotlib import rc_context

    names = names or [f"group {group}" for group in range(len(curves))]
    reached = {step: GREY} if isinstance(step, int) else dict(zip(step, cycle(PALETTE)))
    if axes is not None:
        _panel(axes, curves, names, "lr", reached)
        _steps(axes, axes, curves, steps_per_epoch)
        return axes.figure  # type: ignore[return-value]
    shown = ["lr"]
    if any(curve.momenta is not None for curve in curves):
        shown.append("momentum")
    with rc_context(STYLE):
        figure = figure_of(figsize=(8.4, 1.4 + 2.0 * len(shown)), layout="constrained")
        panels = figure.subplots(len(shown), sharex=True, squeeze=False).ravel()
        for panel, of in zip(panels, shown, strict=True):
            _panel(panel, curves, names, of, reached)
        _steps(panels[-1], panels[0], curves, steps_per_epoch)
        if len(curves) > 1:
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside upper center",
                frameon=False,
                ncols=max(1, min(len(curves), LEGEND // (8 + max(map(len, names))))),
            )
    return figure


def _panel(
    axes: Axes,
    curves: Sequence[Samples],
    names: Sequence[str],
    of: str,
    reached: Mapping[int, str],
) -> None:
    marked: dict[float, str] = {}
    begin = logarithmic_from([curve.lrs if of == "lr" else curve.momenta for curve in curves])
    below = from_below([curve.lrs for curve in curves])
    for index, (name, curve) in enumerate(zip(names, curves, strict=True)):
        values = curve.lrs if of == "lr" else curve.momenta
        if values is None:
            continue
        axes.plot(
            curve.steps,
            values,
            color=PALETTE[index % len(PALETTE)],
            linestyle=DASHES[index % len(DASHES)],
            linewidth=1.8,
            label=name,
            zorder=2.0 + below.index(index) / len(below),
        )
        for level, value in curve.schedule.levels(of).items():
            if level not in marked.get(value, ""):
                marked[value] = f"{marked[value]} = {level}" if value in marked else level
    for value in marked:
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", alpha=0.6)
    if begin is not None:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(bottom=begin / 1.5)
    heights: list[float] = []
    for value, level in marked.items():
        _, height = axes.transLimits.transform((0.0, axes.transScale.transform((1.0, value))[1]))
        if not 0.0 <= height <= 1.0 or any(abs(height - other) < APART for other in heights):
            continue
        heights.append(height)
        axes.annotate(
            f"{level} {value:.6g}",
            (1, value),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=GREY,
            fontsize="small",
        )
    for step, colour in reached.items():
        if not 0 < step <= _end(curves):
            continue
        axes.axvline(step, color=colour, linewidth=1, linestyle=":")
        if of == "lr":
            axes.annotate(
                f"step {step:,}",
                (step, 0),
                (4, 12),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=colour,
            )
    axes.set_ylabel("learning rate" if of == "lr" else of)


def _steps(bottom: Axes, top: Axes, curves: Sequence[Samples], steps_per_epoch: int | None) -> None:
    """Label the axis of the steps at the bottom, and add one of epochs at the top if asked."""
    from matplotlib.ticker import MaxNLocator

    bottom.set_xlim(0, _end(curves))
    bottom.set_xlabel("step (updates)")
    bottom.xaxis.set_major_formatter("{x:,.0f}")
    if steps_per_epoch is not None:
        size = steps_per_epoch

        def epoch_of(at: Any) -> Any:
            return at / size

        def step_of(epoch: Any) -> Any:
            return epoch * size

        epochs = top.secondary_xaxis("top", functions=(epoch_of, step_of))
        epochs.set_xlabel(f"epochs (of {size:,} updates)")
        if _end(curves) > size:
            epochs.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _end(curves: Sequence[Samples]) -> int:
    return max(curve.steps[-1] for curve in curves)
