"""A picture of a range test, for print. Needs the extra `plot`."""

from __future__ import annotations

from os import PathLike
from textwrap import wrap
from typing import Any

from clr_core.range_finding._reading import Curve, clipped
from clr_core.range_finding.result import RangeTestResult

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

DOTS: dict[str, Any] = {"linestyle": "none", "color": ORANGE, "alpha": 0.7, "markersize": 3.5}


def picture(result: RangeTestResult, path: str | PathLike[str] | None) -> Any:
    """The loss over the rate, smooth and as told, with the suggestions and both boundaries.

    Args:
        result: What to draw.
        path: Where the picture goes; None: nowhere.

    Returns:
        A `matplotlib.figure.Figure`, which leaves pyplot alone.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'cyclical-lr[plot]'") from error

    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)  # Draws without a display.
    axes = figure.subplots()
    axes.plot(result.lrs, result.losses, marker="o", label="single batches", **DOTS)
    if len(result.lrs) > 2:
        _draw_curve(axes, result)
    if result.scores is not None:
        right = axes.twinx()
        right.plot(result.lrs, result.scores, color=GREEN, linewidth=1.2, linestyle=(0, (1, 1)))
        right.set_ylabel("score of each batch (dotted)", color=GREEN)
        right.spines["top"].set_visible(False)
    if result.base_lr is not None and result.max_lr is not None:
        axes.axvspan(result.base_lr, result.max_lr, color=GREY, alpha=0.12, linewidth=0)
    for name, lr, line in (("base_lr", result.base_lr, ":"), ("max_lr", result.max_lr, "--")):
        if lr is not None:
            axes.axvline(lr, color="black", linewidth=1.6, linestyle=line, label=f"{name} {lr:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel(f"learning rate (logarithmic scale; {result.ramp} ramp)")
    axes.set_ylabel("loss of each batch")
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize=9)
    said = [each for each in (result.stop_reason, *result.warnings) if each is not None]
    lines = [line for each in said for line in wrap(each, 110)]
    figure.suptitle("\n".join(lines), fontsize=9, x=0.01, ha="left")
    if path is not None:
        figure.savefig(path, dpi=150, facecolor="white")
    return figure


def _draw_curve(axes: Any, result: RangeTestResult) -> None:
    losses = clipped(result.losses)
    curve = Curve.of(result.lrs, losses)
    highest = max(losses)
    higher = [lr for lr, loss in zip(result.lrs, result.losses, strict=True) if loss > highest]
    axes.plot(curve.lrs, curve.values, color=BLUE, linewidth=2.2, label="smoothed", zorder=3)
    bottom = min(losses) - 0.05 * (highest - min(losses))
    top = highest + 0.08 * (highest - min(losses))
    if higher:
        axes.plot(
            higher, [top] * len(higher), marker="^", label="off the picture", clip_on=False, **DOTS
        )
    if top > bottom:
        axes.set_ylim(bottom, top)
    shapes = {"steepest": "v", "valley": "s", "minimum": "D", "minimum/10": "P"}
    shapes |= {"score rises": "<", "score stalls": ">"}
    for name, shape in shapes.items():
        lr = result.suggestions.get(name)
        if lr is not None:
            near = min(range(len(curve.lrs)), key=lambda i: abs(curve.lrs[i] / lr - 1))
            axes.plot(
                lr,
                curve.values[near],
                marker=shape,
                markersize=8,
                markerfacecolor="white",
                markeredgecolor="black",
                linestyle="none",
                label=f"{name} {lr:.2g}",
                zorder=4,
            )
