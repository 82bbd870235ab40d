"""Curves as text, drawn by plotext."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from math import ceil, floor, log10
from string import ascii_uppercase
from typing import Any

import plotext  # type: ignore[import-untyped, unused-ignore]

from clr_core import RangeTestResult
from clr_core.schedules.samples import Samples, from_below, logarithmic_from, round_size

HEIGHT = 16
TICKS = 5
SYMBOLS = "*o+x#@%&" + ascii_uppercase
# For a terminal or a pipe that takes only ASCII.
ASCII = str.maketrans("┌┐└┘─│├┤┬┴┼", "++++-|++++|")


def terminal_plot(
    curves: Sequence[Samples], names: Sequence[str], steps_per_epoch: int | None = None
) -> str:
    """Draw the rates over the steps, and below them the momenta, without colours.

    In Braille for a single curve, if the output takes it; otherwise with a symbol for each curve.

    Args:
        curves: The schedules and their values.
        names: Their names, for the legend; a single one has none.
        steps_per_epoch: Updates in an epoch, for a second axis in epochs.
    """
    lines = [_panel("learning rate", curves, [each.lrs for each in curves], steps_per_epoch)]
    if any(curve.momenta is not None for curve in curves):
        momenta = [each.momenta for each in curves]
        lines.append(_panel("momentum", curves, momenta, steps_per_epoch))
    if len(curves) > 1:
        named = [f"{_symbol(i)} {name}" for i, name in enumerate(names)]
        line = "   ".join(named)
        lines += [line] if len(line) <= _width() else named
    if steps_per_epoch is not None:
        lines.append(f"The upper axis counts epochs of {steps_per_epoch:,} updates.")
    return "\n".join(lines)


def terminal_range_test(result: RangeTestResult) -> str:
    """Draw the losses of a range test over the rate, the smooth curve, and both boundaries."""
    lrs, losses = result.smoothed()
    if not lrs:
        return "Too few losses to draw a curve."
    figure = _figure(f"loss over learning rate (logarithmic; {result.ramp} ramp)")
    first, last = log10(lrs[0]), log10(lrs[-1])
    bottom, top = _bounds([losses])
    room = 0.3 * (top - bottom)
    bottom, top = max(bottom - room, min(bottom, *result.losses)), top + room
    _draw(figure, [*map(log10, lrs)], losses, "braille" if _takes_unicode() else "o")
    _draw(figure, [*map(log10, result.lrs)], [min(y, top) for y in result.losses], ".", line=False)
    said = [". single batches"]
    for name, lr in (("base_lr", result.base_lr), ("max_lr", result.max_lr)):
        if lr is not None and lrs[0] <= lr <= lrs[-1]:
            _draw(figure, [log10(lr)] * 2, [bottom, top], name[0])
            rule = f" ({result.rule})" if name == "max_lr" and result.rule else ""
            said.append(f"{name[0]} {name} {lr:.2g}{rule}")
    decades = range(ceil(first - 1e-9), floor(last + 1e-9) + 1)
    at = [float(k) for k in decades[:: 1 + len(decades) // 8]]
    at = at if len(at) > 1 else [first, last]
    figure.ruler(0, 0).lim(first, last).ticks(at, [f"{10.0**k:.2g}" for k in at])
    _heights(figure, bottom, top, None)
    return "\n".join([_text(figure), "   ".join(said)])


def _panel(
    title: str,
    curves: Sequence[Samples],
    lines: Sequence[list[float] | None],
    steps_per_epoch: int | None,
) -> str:
    begin = logarithmic_from(lines)
    figure = _figure(f"{title} over steps" + (" (logarithmic)" if begin is not None else ""))
    shown: list[list[float]] = []
    for index in from_below([curve.lrs for curve in curves]):
        curve, values = curves[index], lines[index]
        if values is None:
            continue
        # What isn't finite can't be drawn.
        points = [(x, y) for x, y in zip(curve.steps, values, strict=True) if y - y == 0.0]
        heights = [y if begin is None else log10(max(y, begin)) for _, y in points]
        shown.append(heights)
        one = len(lines) == 1 and _takes_unicode()
        _draw(figure, [x for x, _ in points], heights, "braille" if one else _symbol(index))
    end = max(curve.steps[-1] for curve in curves)
    at = round_ticks(end)
    figure.ruler(0, 0).lim(0, end).ticks(at, [f"{tick:,.0f}" for tick in at])
    if steps_per_epoch is not None:
        epochs = round_ticks(end / steps_per_epoch)
        figure.ruler(0, 1).lim(0, end).ticks(
            [epoch * steps_per_epoch for epoch in epochs], [f"{epoch:,g}" for epoch in epochs]
        )
    _heights(figure, *_bounds(shown), begin)
    return _text(figure)


def round_ticks(end: float) -> list[float]:
    """Round numbers from 0 to `end`, at most six intervals apart.

    >>> round_ticks(12000), round_ticks(79), round_ticks(1)
    ([0, 2000, 4000, 6000, 8000, 10000, 12000], [0, 20, 40, 60], [0, 1])
    """
    step = round_size(end / 6)
    if end >= 1:
        step = max(1, round(step))
    return [i * step for i in range(floor(end / step + 1e-9) + 1)]


def _figure(title: str) -> Any:
    plotext.terminal.limit(False, False)  # Otherwise a pipe would get no lines.
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(_width(), HEIGHT)
    figure.theme("colorless")
    figure.title(title)
    return figure


def _draw(
    figure: Any, x: Sequence[float], y: Sequence[float], marker: str, *, line: bool = True
) -> None:
    figure.draw(figure.signal([*x], [*y], marker=marker).lines(line))


def _heights(figure: Any, bottom: float, top: float, begin: float | None) -> None:
    """Label the axis on the left, which has logarithms unless `begin` is None."""
    heights = [bottom + (top - bottom) * i / (TICKS - 1) for i in range(TICKS)]
    values = heights if begin is None else [10.0**height for height in heights]
    figure.ruler(1, 0).lim(bottom, top).ticks(heights, [f"{value:.4g}" for value in values])


def _text(figure: Any) -> str:
    text = str(figure.build().string(colorless=True))
    plain = "\n".join(line.rstrip() for line in text.splitlines())
    return plain if _takes_unicode() else plain.translate(ASCII)


def _bounds(lines: Sequence[Sequence[float]]) -> tuple[float, float]:
    bottom, top = min(map(min, lines)), max(map(max, lines))
    # A constant is drawn in the middle.
    return (bottom, top) if bottom < top else (bottom - (abs(bottom) or 1), top + (abs(top) or 1))


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 120)


def _symbol(group: int) -> str:
    return SYMBOLS[group % len(SYMBOLS)]


def _takes_unicode() -> bool:
    try:
        "─⣿".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
