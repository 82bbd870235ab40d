"""Curves as text, drawn by plotext."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import plotext  # type: ignore[import-untyped, unused-ignore]

from clr_core.schedules.samples import Samples

HEIGHT = 16
TICKS = 5
SYMBOLS = "*o+x#@"
# For a terminal or a pipe that takes only ASCII.
ASCII = str.maketrans("┌┐└┘─│├┤┬┴┼", "++++-|++++|")


def terminal_plot(curves: Sequence[Samples], step: int) -> str:
    """Draw the rates over the steps, and below them the momenta, without colours.

    In Braille for a single curve, if the output takes it; otherwise with a symbol for each curve.

    Args:
        curves: One for each parameter group.
        step: The step that the run has reached; shown unless it is 0.
    """
    lines = [_panel("learning rate", [(each.steps, each.lrs) for each in curves])]
    if any(curve.momenta is not None for curve in curves):
        lines.append(_panel("momentum", [(each.steps, each.momenta) for each in curves]))
    if len(curves) > 1:
        names = (f"{_symbol(group)} group {group}" for group in range(len(curves)))
        lines.append("   ".join(names))
    if step:
        lines.append(f"The run is at step {step}.")
    return "\n".join(lines)


def _panel(title: str, lines: Sequence[tuple[list[int], list[float] | None]]) -> str:
    plotext.terminal.limit(False, False)  # Otherwise a pipe would get no lines.
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(min(shutil.get_terminal_size().columns, 120), HEIGHT)
    figure.theme("colorless")
    figure.title(f"{title} over steps")
    for group, (steps, values) in enumerate(lines):
        if values is None:
            continue
        # What isn't finite can't be drawn.
        points = [(x, y) for x, y in zip(steps, values, strict=True) if y - y == 0.0]
        marker = "braille" if len(lines) == 1 and _takes_unicode() else _symbol(group)
        signal = figure.signal(*map(list, zip(*points, strict=True)), marker=marker)
        figure.draw(signal.lines(True))
    end = max(steps[-1] for steps, _ in lines)
    at = sorted({round(end * i / (TICKS - 1)) for i in range(TICKS)})
    figure.ruler(0, 0).lim(0, end).ticks(at, [f"{tick:,}" for tick in at])
    bottom, top = _bounds([values for _, values in lines if values is not None])
    heights = [bottom + (top - bottom) * i / (TICKS - 1) for i in range(TICKS)]
    figure.ruler(1, 0).lim(bottom, top).ticks(heights, [f"{height:.4g}" for height in heights])
    text = str(figure.build().string(colorless=True))
    plain = "\n".join(line.rstrip() for line in text.splitlines())
    return plain if _takes_unicode() else plain.translate(ASCII)


def _bounds(lines: Sequence[list[float]]) -> tuple[float, float]:
    finite = [y for values in lines for y in values if y - y == 0.0]
    bottom, top = min(finite), max(finite)
    # A constant is drawn in the middle.
    return (bottom, top) if bottom < top else (bottom - (abs(bottom) or 1), top + (abs(top) or 1))


def _symbol(group: int) -> str:
    return SYMBOLS[group % len(SYMBOLS)]


def _takes_unicode() -> bool:
    try:
        "─⣿".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
