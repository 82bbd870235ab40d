"""A range test as a picture, for notebooks: inline SVG, made without a dependency."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

from clr_core.range_finding._reading import Curve, clipped
from clr_core.range_finding.result import RangeTestResult

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 38  # Room for the labels.
BLUE, ORANGE = "#0072B2", "#D55E00"  # Of the palette of Okabe and Ito.


def picture(result: RangeTestResult) -> str:
    """The loss over the rate, smooth and as told, with both boundaries, above the sentences."""
    said = [each for each in (result.stop_reason, *result.warnings) if each is not None]
    rates = f"max_lr={result.max_lr!r}, base_lr={result.base_lr!r}"
    text = f"<pre>{escape(chr(10).join([rates, *said]))}</pre>"
    if len(result.lrs) < 3:
        return text
    losses = clipped(result.losses)
    curve = Curve.of(result.lrs, losses)
    first, last = log10(result.lrs[0]), log10(result.lrs[-1])
    low, high = min(*losses, *curve.values), max(*losses, *curve.values)

    def x(lr: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (log10(lr) - first) / (last - first)

    def y(loss: float) -> float:
        part = (high - loss) / (high - low) if high > low else 0.5
        return TOP + (HEIGHT - TOP - BOTTOM) * part

    bottom = HEIGHT - BOTTOM
    decades = range(ceil(first - 1e-9), floor(last + 1e-9) + 1)
    ticks = "".join(
        f'<line x1="{x(10.0**k):.1f}" x2="{x(10.0**k):.1f}" y1="{bottom}" y2="{bottom + 4}" '
        'stroke="currentColor"/>'
        f'<text x="{x(10.0**k):.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**k:g}</text>'
        for k in decades
    )
    levels = "".join(
        f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.3g}</text>'
        for loss in dict.fromkeys((low, (low + high) / 2, high))
    )
    boundaries = "".join(
        f'<line x1="{x(lr):.1f}" x2="{x(lr):.1f}" y1="{TOP}" y2="{bottom}" '
        f'stroke="currentColor" stroke-width="1.3" stroke-dasharray="{dash}"/>'
        f'<text x="{x(lr) + shift:.1f}" y="{TOP - 8}" text-anchor="{anchor}">{name} {lr:.2g}</text>'
        for name, lr, dash, anchor, shift in (
            ("base_lr", result.base_lr, "2 3", "end", 2),
            ("max_lr", result.max_lr, "6 3", "start", -2),
        )
        if lr is not None and result.lrs[0] <= lr <= result.lrs[-1]
    )
    # What is higher than the picture is drawn hollow, at its top.
    dots = "".join(
        f'<circle cx="{x(lr):.1f}" cy="{y(loss):.1f}" r="1.7" '
        f'fill="{ORANGE if loss == told else "none"}"/>'
        for lr, loss, told in zip(result.lrs, losses, result.losses, strict=True)
    )
    line = " ".join(
        f"{x(lr):.1f},{y(loss):.1f}" for lr, loss in zip(curve.lrs, curve.values, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="11" '
        f'fill="currentColor"><title>{escape(repr(result))}</title>'
        f'<polyline points="{LEFT},{TOP} {LEFT},{bottom} {WIDTH - RIGHT},{bottom}" fill="none" '
        f'stroke="currentColor" stroke-opacity="0.5"/>{ticks}{levels}'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        "learning rate (logarithmic)</text>"
        f'<text x="12" y="{(bottom + TOP) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(bottom + TOP) / 2})">loss of each batch</text>'
        f'<g stroke="{ORANGE}" stroke-width="0.8">{dots}</g>'
        f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="1.8"/>'
        f"{boundaries}</svg>{text}"
    )
