"""Schedules as pictures: SVG for notebooks, and figures that need the extra `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

from clr_core._arguments import LARGEST_STEP, integer, received
from clr_core._drawing import BLUE, GREY, PALETTE, figure_class, svg_frame, svg_text
from clr_core.schedules.samples import Samples, sampled_steps, samples, usual_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clr_core.schedules.protocol import Schedule

# They say the same as the colours in black and white.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
# Matplotlib's settings for these figures.
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.limits": (-4, 6),
}

SVG_CYCLES, SVG_POINTS = 2, 400
WIDTH, HEIGHT = 480, 160
LEFT, RIGHT, TOP, BOTTOM = 70, 12, 12, 34  # Room for the labels.


def svg(schedule: Schedule) -> str:
    """The rate in the first two cycles, with its levels, above the schedule's repr, as HTML."""
    end = usual_end(schedule, SVG_CYCLES)
    steps = sampled_steps(schedule, end, SVG_POINTS)
    # What isn't finite can't be drawn.
    rates = {step: lr for step in steps if isfinite(lr := schedule.lr(step))}
    levels = dict.fromkeys(schedule.levels().values())
    low, high = min([*levels, *rates.values()]), max([*levels, *rates.values()])

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / end

    def y(rate: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return TOP + height * ((high - rate) / (high - low) if high > low else 0.5)

    line = " ".join(f"{x(step):.1f},{y(rate):.1f}" for step, rate in rates.items())
    named: list[float] = []
    for rate in levels:  # Labels that touch can't be read.
        if all(abs(y(rate) - y(other)) > 12 for other in named):
            named.append(rate)
    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" '
        'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
        + (svg_text(LEFT - 6, y(rate) + 4, f"{rate:.3g}", "end") if rate in named else "")
        for rate in levels
    ]
    parts += [
        svg_text(x(step), HEIGHT - BOTTOM + 16, f"{step:,}", anchor)
        for step, anchor in ((0, "start"), (end // 2, "middle"), (end, "end"))
    ]
    parts += [
        svg_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "step"),
        svg_text(12, (HEIGHT - BOTTOM + TOP) / 2, "learning rate", upright=False),
        f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="1.8"/>',
    ]
    shown = repr(schedule)
    return svg_frame(shown, WIDTH, HEIGHT, "".join(parts)) + f"<pre>{escape(shown)}</pre>"


def plot(
    schedule: Schedule,
    steps: int | None = None,
    *,
    steps_per_epoch: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one schedule; see `CyclicSchedule.plot`."""
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if value is not None and not 1 <= integer(name, value) <= LARGEST_STEP:
            raise ValueError(f"`{name}` must be from 1 to 2**53. {received(name, value)}")
    return picture(samples([schedule], steps), steps_per_epoch=steps_per_epoch, axes=ax)


def picture(
    curves: Sequence[Samples],
    *,
    step: int = 0,
    steps_per_epoch: int | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw the rates over the steps between their levels, and the momenta in a second panel.

    Args:
        curves: One for each parameter group.
        step: The step that the run has reached; marked unless it is 0 or beyond the curve.
        steps_per_epoch: Updates per epoch, for a second axis in epochs.
        axes: Axes to draw the rates in, and nothing else; None: a new figure.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    figure_of = figure_class()
    from matplotlib import rc_context

    if axes is not None:
        _panel(axes, curves, "lr", step)
        _steps(axes, axes, curves, steps_per_epoch)
        return axes.figure  # type: ignore[return-value]
    names = ["lr"]
    if any(curve.momenta is not None for curve in curves):
        names.append("momentum")
    with rc_context(STYLE):
        figure = figure_of(figsize=(8.4, 1.4 + 2.0 * len(names)), layout="constrained")
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


def _panel(axes: Axes, curves: Sequence[Samples], name: str, step: int) -> None:
    marked: dict[float, str] = {}
    for group, curve in enumerate(curves):
        values = curve.lrs if name == "lr" else curve.momenta
        if values is None:
            continue
        axes.plot(
            curve.steps,
            values,
            color=PALETTE[group % len(PALETTE)],
            linestyle=DASHES[group % len(DASHES)],
            linewidth=1.8,
            label=f"group {group}",
        )
        for level, value in curve.schedule.levels(name).items():
            if level not in marked.get(value, ""):
                marked[value] = f"{marked[value]} = {level}" if value in marked else level
    for value, level in marked.items():
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", alpha=0.6)
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
            epochs.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _end(curves: Sequence[Samples]) -> int:
    return max(curve.steps[-1] for curve in curves)
