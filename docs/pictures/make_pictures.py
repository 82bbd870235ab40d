"""Draw `modes.png` of docs/schedule.md: the three modes and a custom decay.

`relay.png` is drawn by `make demo`.
"""

import argparse
from pathlib import Path

import matplotlib

# Draws without a display.
matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, MultipleLocator

from clr_core import CyclicSchedule

BAND = {"base_lr": 0.0015, "max_lr": 0.006}
STEP_SIZE_UP = 2000
CYCLES = 5
# Colours of Okabe and Ito, which colour-blind readers can tell apart.
MODES = {
    'mode="triangular"': ("#0072B2", {}),
    'mode="triangular2"': ("#D55E00", {"mode": "triangular2"}),
    'mode="exp_range", gamma=0.9999': ("#009E73", {"mode": "exp_range", "gamma": 0.9999}),
    'scale_fn="0.5 * (1 + sin(x * pi / 2))"': (
        "#CC79A7",
        {"scale_fn": "0.5 * (1 + sin(x * pi / 2))"},
    ),
}
GREY = "#666666"
STYLE = {
    "font.size": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}


def modes(path: Path) -> None:
    """Draw five cycles of each mode, between the same boundaries."""
    steps = np.arange(CYCLES * 2 * STEP_SIZE_UP + 1)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            2, 2, figsize=(8.4, 4.6), sharex=True, sharey=True, layout="constrained"
        )
        for axes, (title, (colour, decay)) in zip(grid.flat, MODES.items(), strict=True):
            schedule = CyclicSchedule(step_size_up=STEP_SIZE_UP, **BAND, **decay)
            _mark_boundaries(axes)
            axes.plot(steps, schedule.lr(steps), color=colour, linewidth=2)
            axes.set_title(title, family="monospace")
        figure.get_layout_engine().set(wspace=0.06, hspace=0.04)
        axes = grid[0, 0]
        axes.set_xlim(0, steps[-1])
        axes.set_ylim(0, BAND["max_lr"] * 1.15)
        axes.xaxis.set_major_locator(MultipleLocator(2 * STEP_SIZE_UP))
        axes.xaxis.set_minor_locator(MultipleLocator(STEP_SIZE_UP))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_locator(MultipleLocator(0.002))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        figure.supxlabel("step (updates)", fontsize=10)
        figure.supylabel("learning rate", fontsize=10)
        figure.savefig(path, dpi=160, facecolor="white")
        plt.close(figure)


def _mark_boundaries(axes: Axes) -> None:
    for name, rate in BAND.items():
        axes.axhline(rate, color=GREY, linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        above = name == "max_lr"
        axes.annotate(
            f"{name} = {rate}",
            xy=(1, rate),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 3 if above else -4),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
            color=GREY,
            fontsize=9,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        metavar="DIR",
        help="where to write the picture (default: beside this script)",
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    modes(out / "modes.png")
