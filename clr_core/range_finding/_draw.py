"""Draw a range test: as inline SVG for a notebook, and as a matplotlib figure."""

from __future__ import annotations

from math import ceil, floor, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from clr_core._arguments import visible
from clr_core._drawing import (
    ANY_PAGE,
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    figure_class,
    html_text,
    svg_frame,
    svg_text,
)
from clr_core.range_finding._smoothing import clipped, within_bounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clr_core.range_finding.result import RangeTestResult

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 86, 18, 26, 38  # Room for the labels.
LETTER = 7.0  # The width of a letter, rather more than less.
MOST_TICKS, MOST_LINES = 8, 10
DOTS: dict[str, Any] = {"linestyle": "none", "color": VERMILLION, "alpha": 0.7}
MARK: dict[str, Any] = {"linestyle": "none", "markersize": 8, "zorder": 4}
MARK |= {"markerfacecolor": "white", "markeredgecolor": "black"}
SHAPES = {"steepest": "v", "valley": "s", "minimum": "D", "minimum/10": "P"}
SHAPES |= {"score rises": "<", "score stalls": ">"}


def svg(result: RangeTestResult) -> str:
    """An SVG for a notebook: the loss over the rate with both boundaries, above the sentences."""
    lrs, losses, max_lr, base_lr = result.lrs, result.losses, result.max_lr, result.base_lr
    rates = f"max_lr={max_lr!r}{_by_rule(result)}, base_lr={base_lr!r}"
    text = html_text(rates, *sentences(result))
    curve_lrs, curve = result.smoothed()
    if not curve:
        return text
    shown = clipped(losses)
    first, last = log10(lrs[0]), log10(lrs[-1])
    low, high = min(*shown, *curve), max(*shown, *curve)

    def x(lr: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (log10(lr) - first) / (last - first)

    def y(loss: float) -> float:
        part = (high - loss) / (high - low) if high > low else 0.5
        return TOP + (HEIGHT - TOP - BOTTOM) * part

    bottom = HEIGHT - BOTTOM
    decades = range(ceil(first - 1e-9), floor(last + 1e-9) + 1)
    marked = [10.0**k for k in decades[:: 1 + len(decades) // MOST_TICKS]]
    ticks = "".join(
        f'<line x1="{x(lr):.1f}" x2="{x(lr):.1f}" y1="{bottom}" y2="{bottom + 4}" '
        'stroke="currentColor"/>'
        + svg_text(min(x(lr), WIDTH - LETTER * len(label) / 2), bottom + 16, label)
        for lr, label in ((lr, f"{lr:.3g}") for lr in marked)
    )
    levels = "".join(
        svg_text(LEFT - 6, y(loss) + 4, f"{loss:.3g}", "end")
        for loss in dict.fromkeys((low, (low + high) / 2, high))
    )
    base_lr, max_lr = (
        lr if lr is not None and lrs[0] <= lr <= lrs[-1] else None for lr in (base_lr, max_lr)
    )
    # The label of `base_lr` ends at its line, and that of `max_lr` begins there, if there is room.
    low_label = "" if base_lr is None else f"base_lr {base_lr:.2g}"
    high_label = "" if max_lr is None else f"max_lr {max_lr:.2g}{_by_rule(result)}"
    begin = min(WIDTH if max_lr is None else x(max_lr) - 2, WIDTH - LETTER * len(high_label))
    end = max(min(0 if base_lr is None else x(base_lr) + 2, begin - 8), LETTER * len(low_label))
    begin = max(begin, end + 8)
    boundaries = "".join(
        f'<line x1="{x(lr):.1f}" x2="{x(lr):.1f}" y1="{TOP}" y2="{bottom}" '
        f'stroke="currentColor" stroke-width="1.3" stroke-dasharray="{dash}"/>'
        + svg_text(at, TOP - 8, label, anchor)
        for lr, label, at, dash, anchor in (
            (base_lr, low_label, end, "2 3", "end"),
            (max_lr, high_label, begin, "6 3", "start"),
        )
        if lr is not None
    )
    # Losses above the picture are drawn hollow, at its top.
    dots = "".join(
        f'<circle cx="{x(lr):.1f}" cy="{y(loss):.1f}" r="1.7" '
        f'fill="{VERMILLION if loss == told else "none"}"/>'
        for lr, loss, told in zip(lrs, shown, losses, strict=True)
    )
    line = " ".join(f"{x(lr):.1f},{y(loss):.1f}" for lr, loss in zip(curve_lrs, curve, strict=True))
    body = (
        f'<polyline points="{LEFT},{TOP} {LEFT},{bottom} {WIDTH - RIGHT},{bottom}" fill="none" '
        f'stroke="currentColor" stroke-opacity="0.5"/>{ticks}{levels}'
        f"{svg_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, 'learning rate (logarithmic)')}"
        f"{svg_text(12, (bottom + TOP) / 2, 'loss of each batch', upright=False)}"
        f'<g stroke="{VERMILLION}" stroke-width="0.8">{dots}</g>'
        f'<polyline points="{line}" fill="none" stroke="{ANY_PAGE[0]}" stroke-width="1.8"/>'
        f"{boundaries}"
    )
    return svg_frame(repr(result), WIDTH, HEIGHT, body) + text


def figure(result: RangeTestResult) -> Figure:
    """The loss over the rate, raw and smooth, with the suggestions and both boundaries.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    drawn = figure_class()(figsize=(9.0, 5.0), layout="constrained")
    axes = drawn.subplots()
    lrs, losses, max_lr, base_lr = result.lrs, result.losses, result.max_lr, result.base_lr
    losses = within_bounds(losses)
    axes.plot(lrs, losses, marker=".", label="single batches", **DOTS)
    _draw_smoothed(axes, result)
    if result.scores is not None:
        right = axes.twinx()
        scores = within_bounds(result.scores)
        right.plot(lrs, scores, color=GREEN, linestyle=":")
        right.set_ylabel("score of each batch (dotted)", color=GREEN)
        right.spines["top"].set_visible(False)
    if base_lr is not None and max_lr is not None:
        axes.axvspan(base_lr, max_lr, color=GREY, alpha=0.12, linewidth=0)
    for name, lr, line, rule in (
        ("base_lr", base_lr, ":", ""),
        ("max_lr", max_lr, "--", _by_rule(result)),
    ):
        if lr is not None:
            axes.axvline(lr, color="black", linestyle=line, label=f"{name} {lr:.2g}{rule}")
    axes.set_xscale("log")
    axes.set_xlabel(f"learning rate (logarithmic scale; {result.ramp} ramp)")
    axes.set_ylabel("loss of each batch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize="small"
    )
    lines = [line for each in sentences(result) for line in wrap(visible(each), 110)]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = ["…"]
    # A dollar sign in a sentence begins no formula.
    drawn.suptitle("\n".join(lines), fontsize="small", x=0.01, ha="left", parse_math=False)
    return drawn


def sentences(result: RangeTestResult) -> list[str]:
    """Why the test stopped, if it did, and the warnings."""
    return [each for each in (result.stop_reason, *result.warnings) if each is not None]


def _by_rule(result: RangeTestResult) -> str:
    """The name of the rule that gave `max_lr`, in brackets, if one did."""
    return "" if result.rule is None else f" ({result.rule})"


def _draw_smoothed(axes: Any, result: RangeTestResult) -> None:
    lrs, curve = result.smoothed()
    if not lrs:
        return
    shown = clipped(result.losses)
    lowest, highest = min(shown), max(shown)
    higher = [lr for lr, loss in zip(result.lrs, result.losses, strict=True) if loss > highest]
    axes.plot(lrs, curve, color=BLUE, label="smoothed")
    bottom = lowest - 0.05 * (highest - lowest)
    top = highest + 0.08 * (highest - lowest)
    if higher:
        tops = [top] * len(higher)
        axes.plot(higher, tops, marker="^", label="off the picture", clip_on=False, **DOTS)
    if top > bottom:
        axes.set_ylim(bottom, top)
    for name, shape in SHAPES.items():
        lr = result.suggestions.get(name)
        if lr is not None:
            near = min(range(len(lrs)), key=lambda i: abs(lrs[i] / lr - 1))
            axes.plot(lr, curve[near], marker=shape, label=f"{name} {lr:.2g}", **MARK)
