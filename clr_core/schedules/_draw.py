"""Schedules as a picture, for print. Needs the extra `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from clr_core.schedules._samples import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart. The dashes say the
# same in black and white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.limits": (-4, 6),
}


def picture(
    curves: Sequence[Curve],
    *,
    step: int = 0,
    steps_per_epoch: int | None = None,
    axes: Axes | None = None,
) -> Figure:
    """The rates over the steps between their boundaries, and the momenta in a second panel.

    Args:
        curves: One for each parameter group.
        step: Where the run is; marked unless it is 0 or beyond the curve.
        steps_per_epoch: Updates in an epoch, for a second axis in epochs.
        axes: Where to draw the rates, and these alone; None: on a figure of their own.

    Returns:
        The figure, which leaves pyplot alone.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'cyclical-lr[plot]'") from error

    if axes is not None:
        _panel(axes, curves, "lr", step)
        _steps(axes, axes, curves, steps_per_epoch)
        return axes.figure  # type: ignore[return-value]
    names = ["lr"]
    if any(curve.momenta is not None for curve in curves):
        names.append("momentum")
    with rc_context(STYLE):
        # A Figure by itself needs no display, whatever backend the user has set.
        figure = Figure(figsize=(8.4, 1.4 + 2.0 * len(names)), layout="constrained")
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for panel, name in zip(panels, names, strict=True):
            _panel(panel, curves, name, step)
        _steps(panels[-1], panels[0], curves, steps_per_epoch)
        if len(curves) > 1:
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside upper center",
                frameon=False,
                ncols=min(len(curves), 6),
            )
    return figure


def _panel(axes: Axes, curves: Sequence[Curve], name: str, step: int) -> None:
    marked: dict[float, str] = {}
    styles = zip(cycle(COLOURS), cycle(DASHES), strict=False)
    for group, (curve, (colour, dash)) in enumerate(zip(curves, styles, strict=False)):
        values = curve.lrs if name == "lr" else curve.momenta
        if values is None:
            continue
        axes.plot(
            curve.steps,
            values,
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            label=f"group {group}",
        )
        for boundary in (f"base_{name}", f"max_{name}"):
            value = getattr(curve.schedule, boundary)
            if boundary not in marked.get(value, ""):
                marked[value] = f"{marked[value]} = {boundary}" if value in marked else boundary
    for value, boundary in marked.items():
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", alpha=0.6)
        axes.annotate(
            f"{boundary} {value:.6g}",
            (1, value),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=GREY,
            fontsize="small",
        )
    if 0 < step <= _end(curves):
        axes.axvline(step, color=GREY, linewidth=1, linestyle=":")
        if name == "lr":
            axes.annotate(
                f"step {step:,}",
                (step, 0),
                (4, 12),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=GREY,
            )
    axes.set_ylabel("learning rate" if name == "lr" else name)


def _steps(bottom: Axes, top: Axes, curves: Sequence[Curve], steps_per_epoch: int | None) -> None:
    """The axis of the steps below, and that of the epochs above."""
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
            epochs.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _end(curves: Sequence[Curve]) -> int:
    return max(curve.steps[-1] for curve in curves)
