"""Schedules as inline SVG above text, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log10
from typing import TYPE_CHECKING

from clr_core._drawing import ANY_PAGE, html_text, svg_frame, svg_text
from clr_core.schedules.samples import from_below, logarithmic_from, sampled_steps, usual_end

if TYPE_CHECKING:
    from clr_core.schedules.protocol import Schedule

CYCLES, POINTS = 2, 400
WIDTH, PANEL = 480, 114
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 70, 12, 12, 34, 22  # Room for the labels.
APART = 12.0  # Labels closer to each other can't be read.
MOST_LETTERS = 1000
# As strokes in the picture, and as letters in the text below it.
DASHES = {"": "━━", "6 3": "╍╍", "2 2": "┅┅", "9 3 2 3": "━╍"}
FAINT = 'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"'


def svg(schedule: Schedule) -> str:
    """The rate and the momentum in the first two cycles above the schedule's repr, as HTML."""
    return html({"": schedule})


def html(
    schedules: Mapping[str, Schedule],
    sentences: Sequence[str] = (),
    *,
    end: int | None = None,
    step: int = 0,
) -> str:
    """A picture of up to six schedules, above their names and reprs and some sentences.

    Args:
        schedules: Each by its name; the name of a single one may be empty.
        sentences: What else is said.
        end: The last step of the picture; None: two cycles of the longest.
        step: The step that the run has reached; marked unless it is 0.
    """
    drawn = dict(list(schedules.items())[: len(ANY_PAGE)])
    texts = {name: _shortened(repr(schedule)) for name, schedule in drawn.items()}
    if end is None:
        end = max(step, *(usual_end(schedule, CYCLES) for schedule in drawn.values()))
    steps = {name: sampled_steps(schedule, end, POINTS) for name, schedule in drawn.items()}
    panels: list[str] = []
    for of in ("lr", "momentum"):
        curves = {
            # What isn't finite can't be drawn.
            name: {at: y for at in steps[name] if isfinite(y := _value(schedule, of, at))}
            for name, schedule in drawn.items()
            if of == "lr" or schedule.momentum(0) is not None
        }
        if curves:
            levels = [value for each in drawn.values() for value in each.levels(of).values()]
            panels.append(_panel(of, curves, levels, list(drawn), end, step, len(panels)))
    bottom = TOP + len(panels) * (PANEL + BETWEEN) - BETWEEN
    axis = [
        svg_text(_x(at, end), bottom + 16, f"{at:,}", anchor)
        for at, anchor in ((0, "start"), (end // 2, "middle"), (end, "end"))
    ]
    axis.append(svg_text((LEFT + WIDTH - RIGHT) / 2, bottom + 30, "step"))
    title = "\n".join(texts.values())
    picture = svg_frame(title, WIDTH, bottom + BOTTOM, "".join([*panels, *axis]))
    if len(schedules) > len(drawn):
        sentences = (f"and {len(schedules) - len(drawn)} more", *sentences)
    if len(drawn) == 1:
        return picture + html_text(title, *sentences)
    marks = [
        f'<span style="color: {colour}">{DASHES[dash]}</span> '
        for colour, dash in map(_look, range(len(drawn)))
    ]
    named = (f"{name}: {text}" for name, text in texts.items())
    return picture + html_text(*named, *sentences, marks=marks)


def _panel(
    of: str,
    curves: Mapping[str, Mapping[int, float]],
    levels: Sequence[float],
    names: Sequence[str],
    end: int,
    step: int,
    above: int,
) -> str:
    """The rates or the momenta over the steps, with their levels."""
    top = TOP + above * (PANEL + BETWEEN)
    values = [*levels, *(value for curve in curves.values() for value in curve.values())]
    begin = logarithmic_from([list(curve.values()) for curve in curves.values()])

    def scaled(value: float) -> float:
        return value if begin is None else log10(max(value, begin))

    low, high = scaled(min(values)), scaled(max(values))

    def y(value: float) -> float:
        part = (high - scaled(value)) / (high - low) if high > low else 0.5
        return top + PANEL * part

    parts, named = [], list[float]()
    for level in dict.fromkeys(levels):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}" '
            f"{FAINT}/>"
        )
        if all(abs(y(level) - y(other)) > APART for other in named):
            named.append(level)
            parts.append(svg_text(LEFT - 6, y(level) + 4, f"{level:.3g}", "end"))
    if step:
        x = _x(step, end)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + PANEL}" '
            'stroke="currentColor" stroke-dasharray="1 3"/>'
        )
    label = "learning rate" if of == "lr" else of
    parts.append(svg_text(12, top + PANEL / 2, label, upright=False))
    for index in from_below([[*curve.values()] for curve in curves.values()]):
        name, curve = [*curves.items()][index]
        colour, dash = _look(names.index(name))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        line = " ".join(f"{_x(at, end):.1f},{y(value):.1f}" for at, value in curve.items())
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>'
        )
    return "".join(parts)


def _x(step: int, end: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * step / end


def _value(schedule: Schedule, of: str, step: int) -> float:
    value: float = schedule.lr(step) if of == "lr" else schedule.momentum(step)  # type: ignore[assignment]
    return value


def _look(index: int) -> tuple[str, str]:
    return ANY_PAGE[index], list(DASHES)[index % len(DASHES)]


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} …"
