"""The picture: axes, curves, a run's log, and the handles that set the arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, inf, isfinite, log10
from typing import Any

from clr_core.schedules.samples import round_size, sampled_steps, usual_end
from draft import MOST_ROWS, Draft, fields_of, maker, unused


@dataclass
class Handle:
    """A point of the picture that sets an argument: `coordinate = offset + factor * value`.

    Args:
        path: The argument's place in the draft.
        axis: "x" or "y": the coordinate that it sets.
        x: The step at which it is.
        y: The value at which it is, for the axis "y".
        panel: "lr" or "momentum".
        offset: The coordinate at which the value is 0.
        factor: What the value is multiplied by.
        also: Arguments that get the same value, such as the start of the next phase.
    """

    path: str
    axis: str
    x: float
    y: float = 0.0
    panel: str = "lr"
    offset: float = 0.0
    factor: float = 1.0
    also: list[str] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The argument's value."""
        return (self.x - self.offset) / self.factor if self.axis == "x" else self.y


def handles(draft: Draft, schedule: Any, path: str = "", end: float = inf) -> Iterator[Handle]:
    """The handles of a schedule and its parts, up to step `end`."""
    kind = draft["kind"]
    if kind == "sequence":
        starts = [0, *schedule.boundaries]
        rows = zip(draft["schedules"], schedule.schedules, starts, strict=True)
        for index, (part, its, start) in enumerate(rows):
            if index >= MOST_ROWS or start > end:
                return
            if index:
                yield Handle(f"{path}boundaries.{index - 1}", "x", start)
            until = min(end, starts[index + 1] if index + 1 < len(starts) else inf) - start
            for each in handles(part, its, f"{path}schedules.{index}.", until):
                each.x += start
                each.offset += start if each.axis == "x" else 0.0
                yield each
        return
    if kind == "piecewise":
        found: Iterable[Handle] = _of_phases(draft, schedule, path)
    else:
        defaults = {each.name: each.default for each in fields_of(maker(kind))}
        given = {
            each.name: each.read(draft[each.name], "")
            for each in fields_of(maker(kind))
            if each.name in draft and each.name not in unused(draft)
        }
        found = _of_arguments(kind, defaults | given, schedule, path)
    yield from (each for each in found if each.x <= end)


def _of_arguments(kind: str, given: Draft, schedule: Any, path: str) -> Iterator[Handle]:
    def x(name: str, at: float, offset: float = 0.0, factor: float = 1.0) -> Handle:
        return Handle(f"{path}{name}", "x", at, offset=offset, factor=factor)

    def y(name: str, at: float = 0.0) -> Iterator[Handle]:
        if given[name] is not None:
            panel = "momentum" if name.endswith("momentum") else "lr"
            yield Handle(f"{path}{name}", "y", at, float(given[name]), panel)

    if kind == "cyclic":
        up, size = schedule.step_size_up, schedule.cycle_size
        for name in ("max_lr", "base_lr", "max_momentum", "base_momentum"):
            yield from y(name)
        yield x("step_size_up", up)
        yield x("step_size_down", size, offset=up)
    elif kind == "one_cycle":
        total = given["total_steps"]
        top = total * given["pct_start"]
        yield from y("max_lr", top)
        yield from y("max_momentum")
        yield from y("base_momentum", top)
        yield x("pct_start", top, factor=total)
        yield x("total_steps", total)
    elif kind == "warm_restarts":
        yield from y("max_lr")
        yield from y("min_lr", given["first_steps"])
        yield x("first_steps", given["first_steps"])
    elif kind == "warmup_cosine":
        warmup, total = given["warmup_steps"], given["total_steps"]
        yield from y("start_lr")
        yield from y("max_lr", warmup)
        yield from y("end_lr", total)
        yield x("warmup_steps", warmup)
        yield x("total_steps", total)
    elif kind == "warmup_stable_decay":
        at, ends = 0.0, []
        for name in ("warmup_steps", "stable_steps", "decay_steps"):
            ends.append(x(name, at + given[name], offset=at))
            at += given[name]
        yield from y("start_lr")
        yield from y("max_lr", given["warmup_steps"])
        yield from y("end_lr", at)
        yield from ends


def _of_phases(draft: Draft, schedule: Any, path: str) -> Iterator[Handle]:
    at, before = 0.0, None
    for index, phase in enumerate(schedule.phases[:MOST_ROWS]):
        place = f"{path}phases.{index}."
        for panel, start, stop in (
            ("lr", "start", "end"),
            ("momentum", "start_momentum", "end_momentum"),
        ):
            first, last = getattr(phase, start), getattr(phase, stop)
            if first is None:
                continue
            if before is None or getattr(before, stop) != first:
                yield Handle(f"{place}{start}", "y", at, first, panel)
            following = schedule.phases[index + 1 : index + 2]
            joined = bool(following) and getattr(following[0], start) == last
            also = [f"{path}phases.{index + 1}.{start}"] * joined
            yield Handle(f"{place}{stop}", "y", at + phase.steps, last, panel, also=also)
        yield Handle(f"{place}steps", "x", at + phase.steps, offset=at)
        at, before = at + phase.steps, phase


# The picture.

LEFT, RIGHT, TOP, EPOCHS, STEPS, GAP = 78, 18, 12, 32, 50, 18
HEIGHTS = {"lr": 250, "momentum": 120}
MOST_DOTS = 1500


def short(value: float) -> str:
    """A number for an axis."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 and value == round(value) else f"{value:.6g}"


@dataclass
class Axis:
    """A range of numbers, and where it lies in the picture."""

    low: float
    high: float
    start: float
    stop: float

    def place(self, value: float) -> float:
        """Where a number lies, in pixels."""
        share = value / (self.high - self.low) - self.low / (self.high - self.low)
        return self.start + (self.stop - self.start) * share

    def value(self, place: float) -> float:
        """The number at a place, within the range."""
        share = min(max((place - self.start) / (self.stop - self.start), 0.0), 1.0)
        return self.low + (self.high - self.low) * share

    def ticks(self, every: float) -> list[float]:
        """Round numbers, at least so many pixels apart."""
        step = round_size((self.high - self.low) * every / abs(self.stop - self.start))
        if not 1e-300 < step < 1e300:
            return [self.low, self.high]
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


@dataclass
class Log:
    """A run's log, and what was said of it."""

    steps: list[int]
    lrs: list[float]
    first_difference: int | None


class Picture:
    """The rate, and the momentum if there is one, over steps and epochs."""

    def __init__(
        self, schedule: Any, view: Mapping[str, int | None], width: float, log: Log | None
    ) -> None:
        self.schedule, self.view, self.log = schedule, view, log
        end = view["steps"] or usual_end(schedule)
        if log is not None and not view["steps"]:
            end = max(end, *log.steps)
        self.width = max(float(width), 240.0)
        self.x = Axis(0.0, float(end), float(LEFT), self.width - RIGHT)
        at = sampled_steps(schedule, end, max(int(self.width - LEFT - RIGHT) // 2, 100))
        self.values = {"lr": [(step, schedule.lr(step)) for step in at]}
        if schedule.momentum(0) is not None:
            self.values["momentum"] = [(step, schedule.momentum(step)) for step in at]
        self.top = top = float(TOP + EPOCHS * (view["steps_per_epoch"] is not None))
        self.y: dict[str, Axis] = {}
        for name, values in self.values.items():
            low, high = self._range(name, values)
            self.y[name] = Axis(low, high, top + HEIGHTS[name], top)
            top += HEIGHTS[name] + GAP
        self.bottom = top - GAP
        self.height = self.bottom + STEPS

    def _range(self, name: str, values: list[tuple[int, float]]) -> tuple[float, float]:
        shown = [value for _, value in values if isfinite(value)]
        shown += self.schedule.levels(name).values()
        if not shown:
            raise ValueError("No value of this schedule is finite up to here.")
        low, high = min(shown), max(shown)
        if max(abs(low), abs(high)) > 1e300:
            raise ValueError("A value of this schedule is too large to be drawn.")
        if name == "momentum":
            room = 0.25 * (high - low) or 0.05
            return max(0.0, low - room), min(1.0, high + room)
        if self.log is not None:
            most = high + 2 * (high - low)
            high = max([high, *(lr for lr in self.log.lrs if lr <= most)])
        low, high = min(low, 0.0), max(high, 0.0)
        step = round_size((high - low) / 5) or 1.0
        return (floor(low / step) * step if low else 0.0), max(high + 0.8 * step, low + step)

    def svg(self) -> str:
        """The picture; `explorer.css` says how its classes look."""
        parts = [*self._axes()]
        for name in self.y:
            parts += self._panel(name)
        if self.log is not None:
            parts += self._logged()
        step = self.view["step"] or 0
        if 0 < step <= self.x.high:
            x = self.x.place(step)
            parts.append(_line("mark", x, self.top, x, self.bottom))
        label = f"{_summary(self.schedule)}, drawn from step 0 to {self.x.high:,.0f}"
        return (
            f'<svg width="{self.width:g}" height="{self.height:g}" role="img" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" aria-label="{escape(label)}">'
            f"{''.join(parts)}</svg>"
        )

    def _axes(self) -> Iterator[str]:
        middle = (LEFT + self.width - RIGHT) / 2
        for tick in self.x.ticks(90):
            if tick != round(tick):
                continue
            x = self.x.place(tick)
            yield _line("grid", x, self.top, x, self.bottom)
            yield _text("tick", x, self.bottom + 21, short(tick), self._anchor(x))
        yield _text("title", middle, self.bottom + 41, "step (updates)")
        size = self.view["steps_per_epoch"]
        if size:
            epochs = Axis(0.0, self.x.high / size, self.x.start, self.x.stop)
            for tick in epochs.ticks(70):
                x = epochs.place(tick)
                yield _line("tick-mark", x, self.top - 5, x, self.top)
                yield _text("tick epoch", x, self.top - 9, short(tick), self._anchor(x))
            yield _text("title", middle, 13, f"epoch (of {size:,} updates)")

    def _anchor(self, x: float) -> str:
        return "end" if x > self.width - RIGHT - 12 else "middle"

    def _panel(self, name: str) -> Iterator[str]:
        axis, left, right = self.y[name], LEFT, self.width - RIGHT
        for tick in axis.ticks(40):
            y = axis.place(tick)
            yield _line("grid", left, y, right, y)
            yield _text("tick", left - 12, y + 4, short(tick), "end")
        yield _line("axis", left, axis.start, right, axis.start)
        yield _line("axis", left, axis.start, left, axis.stop)
        x, y = 12, (axis.start + axis.stop) / 2
        title = "learning rate" if name == "lr" else name
        yield (
            f'<text class="title" x="{x}" y="{y:.1f}" text-anchor="middle" '
            f'transform="rotate(-90 {x} {y:.1f})">{title}</text>'
        )
        points, pen = [], "M"
        for step, value in self.values[name]:
            if isfinite(value):
                points.append(f"{pen}{self.x.place(step):.1f} {axis.place(value):.2f}")
            pen = "L" if isfinite(value) else "M"
        levels = self.schedule.levels(name).items()
        for _, value in levels:
            yield _line("level", left, axis.place(value), right, axis.place(value))
        yield f'<path class="curve {name}" d="{"".join(points)}"/>'
        lowest = min((value for _, value in levels), default=0.0)
        named: list[float] = []
        for level, value in levels:
            y = axis.place(value)
            if all(abs(y - other) > 18 for other in named):
                named.append(y)
                # Below the lowest the curve is rarely in the way.
                y += 15 if value == lowest and axis.start - y > 20 else -5
                yield _text("level-name", right - 4, y, f"{level} {value:.6g}", "end")

    def _logged(self) -> Iterator[str]:
        log, axis = self.log, self.y["lr"]
        assert log is not None
        every = -(-len(log.steps) // MOST_DOTS)
        dots = [
            f"M{self.x.place(step):.1f} {axis.place(lr):.1f}h0"
            for step, lr in list(zip(log.steps, log.lrs, strict=True))[::every]
            if step <= self.x.high and axis.low <= lr <= axis.high
        ]
        few = " few" if len(dots) <= 150 else ""
        yield f'<path class="logged{few}" d="{"".join(dots)}"/>'
        first = log.first_difference
        if first is not None and first <= self.x.high:
            x = self.x.place(first)
            yield _line("difference", x, self.top, x, axis.start)
            anchor = "start" if x < self.width / 2 else "end"
            at = x + (12 if anchor == "start" else -12)
            text = f"first difference: step {first:,}"
            yield _text("difference-name", at, self.top + 14, text, anchor)

    def axis_of(self, handle: Handle) -> Axis:
        """The axis along which a handle moves."""
        return self.x if handle.axis == "x" else self.y[handle.panel]

    def shown(self, handle: Handle) -> Draft | None:
        """A handle as the page shows it, if it lies in the picture."""
        if handle.x > self.x.high or handle.panel not in self.y:
            return None
        axis = self.axis_of(handle)
        horizontal = handle.axis == "x"
        top = self.bottom if horizontal else axis.place(handle.y)
        if handle.path == "view.step":
            top = self.top + 8.0
        low, high = ((edge - handle.offset) / handle.factor for edge in (axis.low, axis.high))
        return {
            "id": handle.path,
            "label": _label(handle.path),
            "kind": "mark" if handle.path == "view.step" else f"{handle.axis} {handle.panel}",
            "orientation": "horizontal" if horizontal else "vertical",
            "left": round(self.x.place(handle.x), 1),
            "top": round(top, 1),
            "min": min(max(low, 0.0), handle.value),
            "max": max(high, handle.value),
            "now": handle.value,
            "text": short(handle.value),
        }

    def moved(self, handle: Handle, how: str, amount: float) -> str:
        """The text of a handle's new value: at a place in pixels, or by a number of key presses."""
        axis = self.axis_of(handle)
        pixels = abs(axis.stop - axis.start)
        # A pixel is at least a unit; a key press is one or two hundredths of the axis.
        part = pixels if how == "place" else 50.0
        unit = round_size((axis.high - axis.low) / handle.factor / part / 2)
        if handle.axis == "x" and handle.factor == 1.0:
            unit = max(unit, 1.0)
        if how == "place":
            value = (axis.value(amount) - handle.offset) / handle.factor
        elif how == "edge":
            value = ((axis.low, axis.high)[int(amount)] - handle.offset) / handle.factor
        else:
            value = handle.value + amount * unit
        low = 0.0 if handle.axis == "x" else min(axis.low, 0.0)
        return rounded(max(value, low), unit)


def rounded(value: float, unit: float) -> str:
    """The text of a value, rounded to a multiple of a unit.

    >>> rounded(0.00123, 0.0005), rounded(1234.0, 20.0)
    ('0.001', '1240')
    """
    if not 1e-300 < unit < 1e300:
        return repr(value)
    near = round(value / unit) * unit
    digits = max(0, -floor(log10(unit)))
    number = float(f"{near:.{min(digits, 300)}f}")
    return f"{number:.0f}" if number.is_integer() and number < 2**53 else repr(number)


def _label(path: str) -> str:
    *above, name = path.split(".")
    of = [
        f"{group.removesuffix('s').replace('schedule', 'part')} {index}"
        for group, index in zip(above[::2], above[1::2], strict=False)
    ]
    if name.isdecimal():
        return ", ".join([f"boundary {int(name) + 1}", *of[:-1]])
    return ", ".join([name, *of])


def _summary(schedule: Any) -> str:
    bands = [
        f"{title} {', '.join(f'{name} {value:.6g}' for name, value in levels.items())}"
        for title, of in (("Learning rate:", "lr"), ("momentum:", "momentum"))
        if (levels := schedule.levels(of))
    ]
    return "; ".join(bands) or "Learning rate"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
