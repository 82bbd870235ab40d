"""Draw `modes.png` of docs/schedule.md, and `same-name.svg` of docs/same-name-other-curve.md.

The first has the three modes and a custom decay; the second has pairs of schedules that share a
name, written as phases, which that page holds against the originals. `relay.png` is drawn by
`make demo`.
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

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, warm_restarts, warmup_cosine

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
PEAK = 0.1
START, END = PEAK / 25, PEAK / 25 / 1e4
# A title, the steps that are drawn, and what each library makes of the same arguments.
SAME_NAME = {
    "One cycle, linear,\n1,000 steps": (
        1000,
        "torch OneCycleLR",
        PiecewiseSchedule([Phase(299, START, PEAK), Phase(700, PEAK, END)]),
        "optax linear_onecycle_schedule",
        PiecewiseSchedule(
            [Phase(300, START, PEAK), Phase(550, PEAK, START), Phase(150, START, END)]
        ),
    ),
    "Warm-up and cosine,\nwarm-up 100, decay_steps=1000": (
        1100,
        "optax warmup_cosine_decay_schedule",
        warmup_cosine(PEAK, 100, 1000),
        "Keras CosineDecay",
        warmup_cosine(PEAK, 100, 1100),
    ),
    "Cosine with warm restarts,\n4 cycles in 1,500 steps": (
        1500,
        "torch CosineAnnealingWarmRestarts(T_0=100, T_mult=2)",
        warm_restarts(PEAK, 100, growth=2),
        "transformers cosine_with_restarts",
        PiecewiseSchedule([Phase(375, PEAK, 0.0, "cosine")], repeat=True),
    ),
}
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


def same_name(path: Path) -> None:
    """Draw each pair, with a line where they differ most."""
    blue, orange = "#0072B2", "#D55E00"
    # Without these two, each run would write other names and the date into the file.
    with plt.rc_context({**STYLE, "svg.hashsalt": "same-name"}):
        figure, row = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True, layout="constrained")
        for axes, (title, content) in zip(row, SAME_NAME.items(), strict=True):
            length, one, first, other, second = content
            steps = np.arange(length)
            rates = first.lr(steps), second.lr(steps)
            difference = np.abs(rates[0] - rates[1]) / PEAK
            most = int(difference.argmax())
            axes.plot(steps, rates[0], color=blue, linewidth=2, label=one)
            axes.plot(
                steps, rates[1], color=orange, linewidth=2, linestyle=(0, (4, 2)), label=other
            )
            low, high = sorted(each[most] for each in rates)
            axes.vlines(most, low, high, color="black", linewidth=1.5, zorder=3)
            axes.annotate(
                f"{difference[most]:.0%}",
                xy=(most, high),
                xytext=(0, 4),
                textcoords="offset points",
                ha="left",
                weight="bold",
            )
            axes.set_title(title)
            axes.set_xlim(0, length * 1.03)
            axes.xaxis.set_major_locator(MultipleLocator(300))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=9)
            axes.set_xlabel("step (updates)")
        row[0].set_ylim(0, PEAK * 1.12)
        row[0].set_ylabel("learning rate")
        figure.savefig(path, facecolor="white", metadata={"Date": None})
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
        help="where to write the pictures (default: beside this script)",
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    modes(out / "modes.png")
    same_name(out / "same-name.svg")
