"""Curves as PNG or SVG, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clr_cli.curve import Curve

# From the palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.limits": (-4, 6),
    # The same schedule gives the same file.
    "svg.hashsalt": "clr",
}


def picture(curves: Sequence[Curve], step: int, suffix: str) -> bytes:
    """The rates over the steps, and the momenta in a second panel.

    Args:
        curves: One for each parameter group.
        step: Where the run is; marked unless it is 0 or beyond the curve.
        suffix: ".png" or ".svg".
    """
    has_momentum = any(curve.momenta is not None for curve in curves)
    with matplotlib.rc_context(STYLE):
        # A Figure by itself needs no display, whatever backend the user has set.
        figure = Figure(figsize=(8.4, 5.4 if has_momentum else 3.4), layout="constrained")
        panels = figure.subplots(2 if has_momentum else 1, 1, sharex=True, squeeze=False)[:, 0]
        _lr(panels[0], curves)
        if has_momentum:
            _momentum(panels[1], curves)
        end = max(curve.steps[-1] for curve in curves)
        for axes in panels:
            axes.set_xlim(0, end)
            if 0 < step <= end:
                axes.axvline(step, color=GREY, linewidth=1, linestyle=":")
        if 0 < step <= end:
            panels[0].annotate(
                f"step {step:,}",
                (step, 1),
                (4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=GREY,
            )
        panels[-1].set_xlabel("step (updates)")
        panels[-1].xaxis.set_major_formatter("{x:,.0f}")
        if len(curves) > 1:
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside upper center",
                frameon=False,
                ncols=min(len(curves), 6),
            )
        data = BytesIO()
        metadata = {"Date": None} if suffix == ".svg" else None
        figure.savefig(data, format=suffix[1:], dpi=150, metadata=metadata)
    return data.getvalue()


def _lr(axes: Axes, curves: Sequence[Curve]) -> None:
    for group, (curve, colour) in enumerate(zip(curves, cycle(COLOURS), strict=False)):
        _boundaries(axes, (curve.schedule.base_lr, curve.schedule.max_lr))
        axes.plot(curve.steps, curve.lrs, color=colour, linewidth=1.8, label=f"group {group}")
    axes.set_ylabel("learning rate")


def _momentum(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve, colour in zip(curves, cycle(COLOURS), strict=False):
        if curve.momenta is not None:
            _boundaries(axes, (curve.schedule.base_momentum, curve.schedule.max_momentum))
            axes.plot(curve.steps, curve.momenta, color=colour, linewidth=1.8)
    axes.set_ylabel("momentum")


def _boundaries(axes: Axes, values: tuple[float | None, float | None]) -> None:
    for value in dict.fromkeys(values):
        if value is not None:
            axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", alpha=0.6)
            axes.annotate(
                f"{value:.6g}",
                (1, value),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                color=GREY,
                fontsize=9,
            )
