"""The pictures that the demo draws."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib

# Draws without a display.
matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

import tutorial
from comparison import LOSS_TOLERANCE, loss_spread, rates_of_schedule, ulps_apart
from leg import Trained
from problem import EPOCHS, EPOCHS_UP, Problem
from relay import Relay

# Colours of Okabe and Ito, which colour-blind readers can tell apart. The different widths keep
# coinciding curves visible, even in greyscale.
LINES = (
    {"color": "#E69F00", "linewidth": 7.0, "solid_joinstyle": "bevel"},
    {"color": "#0072B2", "linewidth": 3.2, "solid_joinstyle": "bevel"},
    {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (4, 3))},
)
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#666666"


def rates(problem: Problem, trainings: Mapping[str, Trained], path: Path) -> None:
    """Draw the rates that each framework used, and how far they are from the schedule's."""
    expected = rates_of_schedule(problem)
    steps = np.arange(problem.steps)
    with _two_panels(path, problem) as (top, bottom):
        different, reach = 0, 2
        for (name, training), line in zip(trainings.items(), LINES, strict=True):
            apart = ulps_apart(training.rates, expected)
            different += np.count_nonzero(apart)
            reach = max(reach, np.abs(apart).max())
            top.plot(steps, training.rates, label=name, **line)
            bottom.plot(steps, apart, **line)
        total = problem.steps * len(trainings)
        top.set_title(
            f"One schedule, three frameworks: {different:,} of {total:,} rates differ from it"
        )
        top.set_ylabel("learning rate")
        top.set_ylim(0, problem.schedule.max_lr * 1.12)
        _mark_boundaries(top, problem.schedule.base_lr, problem.schedule.max_lr)
        top.legend(loc="upper right", bbox_to_anchor=(1, 0.86), handlelength=4)
        bottom.set_ylabel("difference from\nthe schedule\n(float32 ulps)")
        bottom.set_ylim(-1.1 * reach, 1.1 * reach)
        bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        bottom.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def losses(problem: Problem, trainings: Mapping[str, Trained], path: Path) -> None:
    """Draw the losses of each framework, and how far apart they are."""
    steps = np.arange(problem.steps)
    with _two_panels(path, problem) as (top, bottom):
        for training in trainings.values():
            top.plot(steps, training.losses, color=GREY, linewidth=0.4, alpha=0.35)
        for (name, training), line in zip(trainings.items(), LINES, strict=True):
            means = _by_epoch(problem, training.losses)
            top.plot(*means, label=f"{name}, mean of an epoch", **line)
        top.plot([], [], color=GREY, linewidth=0.8, label="every step")
        spread = loss_spread(trainings)
        top.set_title(f"Three trainings, one schedule: losses differ by at most {spread.max():.1e}")
        top.set_ylabel("cross entropy (nats)")
        top.set_yscale("log")
        top.legend(loc="upper right", handlelength=4)
        # A logarithmic axis has no place for a difference of 0, so these are left out.
        bottom.plot(steps, np.where(spread > 0, spread, np.nan), ".", color=BLUE, markersize=2)
        bottom.axhline(LOSS_TOLERANCE, color=VERMILLION, linewidth=1.5)
        bottom.text(
            1,
            LOSS_TOLERANCE / 1.6,
            "allowed ",
            color=VERMILLION,
            ha="right",
            va="top",
            transform=bottom.get_yaxis_transform(),
        )
        bottom.set_yscale("log")
        bottom.set_ylabel("largest\ndifference\n(nats)")


def tutorial_curve(ours: tutorial.Curve, theirs: tutorial.Curve, path: Path) -> None:
    """Draw the tutorial's rates with every turn, and how long computing them took."""
    # 1000 divides the steps of a half cycle, so that no turn falls between two points.
    steps = np.append(np.arange(0, tutorial.STEPS, 1000), tutorial.STEPS - 1)
    turns = np.arange(0, tutorial.STEPS, tutorial.STEP_SIZE_UP)
    with _figure(path, figsize=(8, 4.2)) as figure:
        axes = figure.subplots()
        axes.plot(steps / 1e6, ours.rates[steps], color=BLUE, linewidth=2)
        axes.plot(turns / 1e6, ours.rates[turns], "o", color=BLUE, markersize=4, clip_on=False)
        axes.set_title(
            f"{tutorial.EPOCHS} epochs of {tutorial.STEPS_PER_EPOCH:,} batches: Adam, triangular2, "
            f"{tutorial.EPOCHS_UP} epochs up and {tutorial.EPOCHS_UP} down"
        )
        axes.set_xlim(0, tutorial.STEPS / 1e6)
        axes.set_ylim(0, tutorial.MAX_LR * 1.12)
        axes.set_xlabel("step (millions)")
        axes.set_ylabel("learning rate")
        _mark_boundaries(axes, tutorial.BASE_LR, tutorial.MAX_LR)
        _label_epochs(
            axes, tutorial.STEPS_PER_EPOCH / 1e6, range(0, tutorial.EPOCHS, tutorial.EPOCHS_UP)
        )
        axes.text(
            0.98,
            0.84,
            f"{tutorial.STEPS:,} rates\n"
            f"{ours.seconds:.2f} s as one array\n"
            f"{theirs.seconds:.1f} s by stepping torch's own class",
            transform=axes.transAxes,
            ha="right",
            va="top",
            linespacing=1.5,
        )


def relay(handed: Relay, path: Path) -> None:
    """Draw the rate, momentum and loss of the run that went from framework to framework."""
    problem, names = handed.problem, [name for name, _ in handed.legs]
    colors = dict(zip(dict.fromkeys(names), [line["color"] for line in LINES], strict=True))
    styles = dict(zip(colors, ("-", "-", (0, (4, 1.5))), strict=True))
    with _figure(path, figsize=(8, 5.4)) as figure:
        top, middle, bottom = panels = figure.subplots(3, sharex=True, height_ratios=(2, 1.2, 2))
        alone = np.arange(problem.steps)
        for axes, column in ((top, 0), (middle, 1)):
            axes.plot(alone, handed.alone.used[:, column], color="#CCCCCC", linewidth=6)
        stayed, size = _by_epoch(problem, handed.alone.losses), problem.steps_per_epoch
        bottom.plot(*stayed, color="#CCCCCC", linewidth=6, label="a run that stayed in torch")
        middles, means = _by_epoch(problem, handed.losses)
        for name, leg in handed.legs:
            steps = leg.first + np.arange(len(leg.used))
            look = {"color": colors[name], "linestyle": styles[name], "linewidth": 1.8}
            top.plot(steps, leg.used[:, 0], **look)
            middle.plot(steps, leg.used[:, 1], **look)
            here = (middles >= leg.first - size) & (middles <= steps[-1] + size)
            inside = np.clip(middles[here], leg.first, steps[-1] + 1)
            bottom.plot(inside, np.interp(inside, middles, means), **look)
            top.text(
                (steps[0] + steps[-1]) / 2,
                1.02,
                name,
                color=colors[name],
                ha="center",
                va="bottom",
                weight="bold",
                transform=top.get_xaxis_transform(),
            )
            if leg.first:
                for axes in panels:
                    axes.axvline(leg.first, color=GREY, linewidth=1, linestyle=(0, (1, 2)))
        top.set_title("One run in three frameworks, and the same run in torch alone", pad=22)
        top.set_ylabel("learning rate")
        middle.set_ylabel("momentum")
        bottom.set_ylabel("cross entropy,\nmean of an epoch")
        bottom.set_yscale("log")
        # White behind the text, since the line of a handover crosses it.
        bottom.legend(
            loc="upper right",
            bbox_to_anchor=(0.8, 1),
            handlelength=3,
            frameon=True,
            edgecolor="none",
            framealpha=1,
        )
        _label_steps(bottom, problem)
        figure.align_ylabels()


@contextmanager
def _figure(path: Path, figsize: tuple[float, float]) -> Iterator[Figure]:
    style = {
        "font.size": 10,
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.titleweight": "bold",
        "axes.spines.right": False,
        "axes.spines.top": False,
        "legend.frameon": False,
    }
    with plt.rc_context(style):
        figure = plt.figure(figsize=figsize, layout="constrained")
        yield figure
        figure.savefig(path, dpi=160)
        plt.close(figure)


@contextmanager
def _two_panels(path: Path, problem: Problem) -> Iterator[tuple[Axes, Axes]]:
    """Two panels over the same steps: a curve above, a difference below."""
    with _figure(path, figsize=(8, 5.6)) as figure:
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        yield top, bottom
        _label_steps(bottom, problem)
        # A tick at each turn of the schedule.
        _label_epochs(top, problem.steps_per_epoch, range(0, EPOCHS + 1, EPOCHS_UP))
        figure.align_ylabels()


def _by_epoch(problem: Problem, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle step of each epoch, and the mean of its losses."""
    size = problem.steps_per_epoch
    return (np.arange(problem.steps // size) + 0.5) * size, losses.reshape(-1, size).mean(axis=1)


def _label_steps(axes: Axes, problem: Problem) -> None:
    axes.set_xlabel("step")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(0, problem.steps)


def _label_epochs(axes: Axes, width: float, ticks: range) -> None:
    """Add an axis in epochs at the top; `width` is the length of one on the axis below."""
    epochs = axes.secondary_xaxis(
        "top", functions=(lambda step: step / width, lambda epoch: epoch * width)
    )
    epochs.set_xlabel("epoch")
    epochs.set_xticks(ticks)


def _mark_boundaries(axes: Axes, base_lr: float, max_lr: float) -> None:
    for name, value, above in (("base_lr", base_lr, False), ("max_lr", max_lr, True)):
        axes.axhline(value, color=GREY, linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        axes.annotate(
            f"{name} = {value}",
            xy=(1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 4 if above else -4),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
            color=GREY,
        )
