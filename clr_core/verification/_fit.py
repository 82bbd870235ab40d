"""Find the parameters of the schedule that a run did follow.

With given sizes, mode and gamma, the rate is `base_lr * (1 - wave) + max_lr * wave` with a known
wave. So each line of a log is a pair of linear inequalities in the two boundaries, and those that
explain all lines are a convex polygon: `boundaries` has it exactly. What is left to search for are
the sizes and the gamma, the `shape`; least squares over them, with the boundaries eliminated, lead
to the place, and there the roundest numbers are tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

from clr_core.schedules.cyclic import MODES, CyclicSchedule
from clr_core.verification._search import LoggedRate, Target, simplest, spread
from clr_core.verification.faults import OtherParameters

# So many lines are fitted, and all of them are checked: more would make a fit slower, not better.
MOST_LINES = 160
# Least squares makes the sum of squares small and not the worst line, which so may lie outside of
# its bounds, 1 here, though the true parameters are near. In a fit on a part of the log, from which
# the next part is reached, that matters less than where a round number is to be told from others.
WORST, CLOSE = 3.0, 1.5
# Fits for the roundest numbers of one shape. Numbers as people write them take some tens.
TRIES = 150
# A first fit over two cycles: over one, gamma and the boundaries can't be told apart.
CYCLES_TO_BEGIN = 2
GAMMAS = 24
SCANNED_LINES = 48
# A line in a fit takes about twice as long as a rate: it is summed up as well.
WORK = 2

Shape = dict[str, float]
# In the order in which they are rounded: what the others make up for least comes first.
SHAPE = ("gamma", "step_size_up", "step_size_down")
BOUNDARIES = ("base_lr", "max_lr")
Point = tuple[float, float]  # base_lr and max_lr.


def other_parameters(
    target: Target, schedule: CyclicSchedule, lines: Sequence[LoggedRate], since: int | None
) -> Iterator[OtherParameters]:
    """Other parameters that explain every line; several if the log doesn't settle it.

    Args:
        target: The schedule that was to be followed, which counts what is computed.
        schedule: The same. Its own values are kept if they fit.
        lines: The lines to explain.
        since: Goes into the fault.
    """
    lines = sorted(lines)
    tried: list[tuple[Shape, Point]] = []
    for mode, start in _starts(target, schedule, lines):
        family = _Family(target, schedule, mode)
        fitted = family.fitted(start, lines)
        if fitted is None or any(_alike(fitted, other) for other in tried):
            continue  # From several starts one comes to the same place.
        tried.append(fitted)
        found = family.roundest(fitted[0], family.names, {}, lines)
        if not found:
            continue
        changes = _changes(schedule, found)
        different = sum(not target.agrees(line.step, line) for line in lines)
        if different >= len(changes) + 3:  # Else the lines would fit by chance.
            yield OtherParameters(changes, since)
            for other in _as_simple(family, found, set(changes), lines):
                yield OtherParameters(_changes(schedule, other), since)
        return


def _alike(one: tuple[Shape, Point], other: tuple[Shape, Point]) -> bool:
    """True if the numbers are the same but for rounding, whatever the mode; no gamma is 1."""
    pairs = [(one[0].get(name, 1.0), other[0].get(name, 1.0)) for name in SHAPE]
    pairs += zip(one[1], other[1], strict=True)
    return all(math.isclose(here, there, rel_tol=1e-6) for here, there in pairs)


def _as_simple(
    family: _Family, found: CyclicSchedule, changed: set[str], lines: Sequence[LoggedRate]
) -> Iterator[CyclicSchedule]:
    """Other schedules that explain the lines with changes of no more parameters than `found`."""
    own = family.own
    even = own.step_size_up == own.step_size_down and found.step_size_up == found.step_size_down
    family = _Family(family.target, own, family.mode, even=even)
    names = (*family.names, *BOUNDARIES)
    numbers = changed & set(names)
    sample = spread(lines, MOST_LINES)
    for free in combinations(names, len(numbers)):
        if set(free) == numbers or not free:
            continue
        kept = {name: getattr(own, name) for name in BOUNDARIES if name not in free}
        shape = {name: getattr(own, name) for name in family.names} | {
            name: getattr(found, name) for name in family.names if name in free
        }
        turned = tuple(name for name in family.names if name in free)
        fitted = family.improved(shape, turned, kept, sample)
        other = fitted and family.roundest(fitted, turned, kept, lines)
        if other:
            yield other


def _changes(schedule: CyclicSchedule, found: CyclicSchedule) -> dict[str, Any]:
    """The arguments that differ, as one would write them."""
    old, new = schedule.to_dict(strict=False), found.to_dict(strict=False)
    changes = {name: value for name, value in new.items() if value != old[name]}
    if (
        old["step_size_up"] == old["step_size_down"]
        and new["step_size_up"] == new["step_size_down"]
    ):
        changes.pop("step_size_down", None)
    return {
        name: int(value) if name.startswith("step") and value.is_integer() else value
        for name, value in changes.items()
    }


class _Family:
    """The schedules that differ from a given one in their numbers, and have a certain mode."""

    def __init__(
        self, target: Target, own: CyclicSchedule, mode: str, *, even: bool = False
    ) -> None:
        self.target, self.own, self.mode = target, own, mode
        left_out = {"gamma"} if mode != "exp_range" else set()
        if even:
            left_out.add("step_size_down")
        self.names = tuple(name for name in SHAPE if name not in left_out)

    def schedule(self, shape: Shape, base: float, top: float) -> CyclicSchedule | None:
        """The schedule with these parameters, if there can be one."""
        mode = self.mode
        if shape.get("gamma") == 1.0:
            mode = "triangular"  # That is what exp_range is without a decay.
        try:
            return CyclicSchedule(
                base_lr=base,
                max_lr=top,
                **shape,
                mode=mode,
                scale_fn=self.own.scale_fn,
                scale_mode=self.own.scale_mode,
            )
        except (ValueError, ArithmeticError):
            return None

    def wave(self, shape: Shape) -> Callable[[int], float] | None:
        """The wave at a step: the rate between the boundaries 0 and 1."""
        unit = self.schedule(shape, 0.0, 1.0)
        return None if unit is None else unit.lr

    def closest(
        self, shape: Shape, kept: Mapping[str, float], lines: Sequence[LoggedRate]
    ) -> tuple[list[float], Point] | None:
        """How far each line is off, in halves of its last digit, with the best boundaries."""
        wave = self.wave(shape)
        if wave is None:
            return None
        self.target.spend(WORK * len(lines))
        waves = [wave(line.step) for line in lines]
        return _closest(waves, lines, kept.get("base_lr"), kept.get("max_lr"))

    def fitted(self, start: Shape, lines: Sequence[LoggedRate]) -> tuple[Shape, Point] | None:
        """The shape closest to all lines, found on the first cycles and then on twice as many.

        A small error of the cycle's size adds up, cycle by cycle. So it has to be known better, the
        further one looks.
        """
        cycles, last, shape = CYCLES_TO_BEGIN, lines[-1].step, start
        while True:
            end = lines[0].step + cycles * (shape["step_size_up"] + shape["step_size_down"])
            near = [line for line in lines if line.step <= end]
            if len(near) > len(self.names) + 2 or end >= last:
                found = self.improved(shape, self.names, {}, spread(near, MOST_LINES))
                fit = found and self.closest(found, {}, near)
                if not found or not fit or max(map(abs, fit[0])) > WORST:
                    return None
                if end >= last:
                    return found, fit[1]
                shape = found
            cycles *= 2

    def improved(
        self,
        start: Shape,
        names: Sequence[str],
        kept: Mapping[str, float],
        lines: Sequence[LoggedRate],
    ) -> Shape | None:
        """Levenberg's and Marquardt's method on the named parameters of the shape."""
        fit = self.closest(start, kept, lines)
        if fit is None or not names:
            return None if fit is None else start
        shape, errors, cost, damping = start, fit[0], _squares(fit[0]), 1e-3
        for _ in range(60):  # It converges in some ten turns, or crawls along a valley.
            slopes = [self._slope(shape, name, kept, errors, lines) for name in names]
            if any(slope is None for slope in slopes):
                return None
            for _ in range(8):
                step = _solved(slopes, errors, damping)
                moved = shape | {
                    name: shape[name] + change for name, change in zip(names, step, strict=True)
                }
                fit = self.closest(moved, kept, lines)
                if fit is not None and _squares(fit[0]) < cost:
                    break
                damping *= 8.0
            else:
                return shape
            gain = cost - _squares(fit[0])
            shape, errors, cost = moved, fit[0], cost - gain
            damping /= 16.0
            if gain < 1e-9 * cost + 1e-12:
                break
        return shape

    def _slope(
        self,
        shape: Shape,
        name: str,
        kept: Mapping[str, float],
        errors: Sequence[float],
        lines: Sequence[LoggedRate],
    ) -> list[float] | None:
        value = shape[name]
        # A gamma has to be known as exactly as its power, and stays below 1.
        small = -1e-4 / lines[-1].step if name == "gamma" and lines[-1].step else value * 1e-7
        for change in (small, -small):
            fit = self.closest(shape | {name: value + change}, kept, lines)
            if fit is not None:
                return [(there - here) / change for there, here in zip(fit[0], errors, strict=True)]
        return None

    def roundest(
        self,
        shape: Shape,
        names: Sequence[str],
        kept: Mapping[str, float],
        lines: Sequence[LoggedRate],
    ) -> CyclicSchedule | None:
        """The schedule near `shape` that explains every line, with few digits or its own values."""
        sample, tries = spread(lines, MOST_LINES), iter(range(TRIES))

        def search(shape: Shape, names: Sequence[str]) -> CyclicSchedule | None:
            if not names:
                return self.explaining(shape, kept, lines)
            name, free = names[0], names[1:]
            for value in _simple_values(name, shape, self.own):
                if next(tries, None) is None:
                    return None
                tried = self.improved(shape | {name: value}, free, kept, sample)
                fit = tried and self.closest(tried, kept, sample)
                if tried and fit and max(map(abs, fit[0])) <= CLOSE:
                    found = search(tried, free)
                    if found:
                        return found
            return None

        return search(shape, names)

    def explaining(
        self, shape: Shape, kept: Mapping[str, float], lines: Sequence[LoggedRate]
    ) -> CyclicSchedule | None:
        """The schedule of this shape that explains every line, with the simplest boundaries."""
        wave = self.wave(shape)
        if wave is None:
            return None
        self.target.spend(WORK * len(lines))
        # A few lines mostly refute what is wrong, and cut the polygon to its size.
        polygon = boundaries(wave, [*spread(lines, MOST_LINES), *lines])
        point = polygon and _simplest_in(polygon, self.own, kept)
        found = point and self.schedule(shape, *point)
        if not found or not all(line.low <= found.lr(line.step) <= line.high for line in lines):
            return None
        return found


def boundaries(wave: Callable[[int], float], lines: Sequence[LoggedRate]) -> list[Point]:
    """The corners of the polygon of all `(base_lr, max_lr)` that explain the lines; [] if none do.

        >>> lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(1, 2.0, 2.5)]
        >>> sorted(boundaries(lambda step: step / 2, lines))
        [(1.0, 3.0), (1.0, 4.0), (1.5, 2.5), (1.5, 3.5)]

    Args:
        wave: The wave at a step.
        lines: The lines, at least one.
    """
    # What a wave of a float64's last digit leaves open is as good as unbounded.
    most = max(abs(line.high) for line in lines) * 2.0**53
    polygon = [(0.0, 0.0), (0.0, most), (most, most)]
    for step, low, high in lines:
        here = wave(step)
        # low <= base * (1 - wave) + max * wave <= high
        polygon = _clipped(polygon, 1.0 - here, here, low)
        polygon = _clipped(polygon, here - 1.0, -here, -high)
        if not polygon:
            break
    return polygon


def _clipped(polygon: Sequence[Point], a: float, b: float, least: float) -> list[Point]:
    """The part of a convex polygon in which a * x + b * y >= least."""
    inside = [a * x + b * y - least for x, y in polygon]
    if min(inside, default=0.0) >= 0.0:
        return list(polygon)
    clipped = []
    for i, here in enumerate(inside):
        if (here >= 0.0) != (inside[i - 1] >= 0.0):
            # From the nearer end, since the other may be so far that nothing remains of this one.
            near, far = sorted(((i, here), (i - 1, inside[i - 1])), key=lambda end: abs(end[1]))
            (x, y), (x1, y1) = polygon[near[0]], polygon[far[0]]
            part = near[1] / (near[1] - far[1])
            clipped.append((x + part * (x1 - x), y + part * (y1 - y)))
        if here >= 0.0:
            clipped.append(polygon[i])
    return clipped


def _simplest_in(
    polygon: Sequence[Point], own: CyclicSchedule, kept: Mapping[str, float]
) -> Point | None:
    """The simplest point of a polygon: with own boundaries if it has one, then with few digits."""
    base, top = own.base_lr, own.max_lr
    tops = _section(polygon, 0, base)
    if tops and tops[0] <= top <= tops[1]:
        return base, top
    if tops and "max_lr" not in kept:
        return base, simplest(*tops)
    bases = _section(polygon, 1, top)
    if bases and "base_lr" not in kept:
        return simplest(*bases), top
    if kept:
        return None
    base = simplest(min(x for x, _ in polygon), max(x for x, _ in polygon))
    tops = _section(polygon, 0, base)
    return tops and (base, simplest(*tops))


def _section(polygon: Sequence[Point], axis: int, value: float) -> tuple[float, float] | None:
    """The range of the other coordinate within the polygon where the one of `axis` has a value."""
    found = []
    for i, there in enumerate(polygon):
        here = polygon[i - 1]
        low, high = sorted((here, there), key=lambda point: point[axis])
        if low[axis] <= value <= high[axis]:
            width = high[axis] - low[axis]
            part = (value - low[axis]) / width if width else 0.0
            found.append(low[1 - axis] + part * (high[1 - axis] - low[1 - axis]))
            found += [high[1 - axis]] if not width else []
    return (min(found), max(found)) if found else None


def _closest(
    waves: Sequence[float], lines: Sequence[LoggedRate], base: float | None, top: float | None
) -> tuple[list[float], Point] | None:
    """The boundaries by weighted least squares, and how far each line is off with them.

    The errors are measured in halves of the lines' last digits. A given boundary is kept.
    """
    unit = max(line.high - line.low for line in lines)
    xx = xy = yy = xr = yr = 0.0
    for wave, (_, low, high) in zip(waves, lines, strict=True):
        weight, rate, rest = unit / (high - low), (low + high) / 2, 1.0 - wave
        weight *= weight
        xx += weight * rest * rest
        xy += weight * rest * wave
        yy += weight * wave * wave
        xr += weight * rest * rate
        yr += weight * wave * rate
    if top is None:
        if base is None:
            determinant = xx * yy - xy * xy
            if not determinant > 1e-14 * xx * yy:
                return None  # All waves are the same, or nothing is finite.
            base = max(0.0, (xr * yy - yr * xy) / determinant)
        top = (yr - base * xy) / yy if yy else base
    elif base is None:
        base = (xr - top * xy) / xx if xx else 0.0
    if not 0.0 <= base <= top:
        return None
    errors = [
        (2.0 * (base * (1.0 - wave) + top * wave) - low - high) / (high - low)
        for wave, (_, low, high) in zip(waves, lines, strict=True)
    ]
    return errors, (base, top)


def _simple_values(name: str, shape: Shape, own: CyclicSchedule) -> Iterator[float]:
    value = shape[name]
    yield getattr(own, name)
    if name == "gamma":
        yield 1.0
    if name == "step_size_down":
        yield shape["step_size_up"]
    for digits in range(16):
        if name == "gamma":
            yield 1.0 - float(f"{1.0 - value:.{digits}e}")
        else:
            yield float(f"{value:.{digits}e}")


def _starts(
    target: Target, schedule: CyclicSchedule, lines: Sequence[LoggedRate]
) -> Iterator[tuple[str, Shape]]:
    """Where to begin: the schedule's own sizes, then those that the log's turns show."""
    own = schedule.step_size_up, schedule.step_size_down or schedule.step_size_up
    modes = [schedule.mode]
    if schedule.scale_fn is None:
        modes += [mode for mode in MODES if mode != schedule.mode]
    family = _Family(target, schedule, schedule.mode)
    for sizes in chain([own], _sizes_seen(lines), _sizes_scanned(family, lines)):
        for mode in modes:
            start = _with_gamma(_Family(target, schedule, mode), sizes, lines)
            if start is not None:
                yield mode, start


def _with_gamma(
    family: _Family, sizes: tuple[float, float], lines: Sequence[LoggedRate]
) -> Shape | None:
    """These sizes, with the gamma that is best on the first cycles."""
    end = lines[0].step + CYCLES_TO_BEGIN * sum(sizes)
    near = [line for line in lines if line.step <= end]
    near = spread(near if len(near) > len(SHAPE) + 2 else lines, MOST_LINES)
    shapes: list[Shape] = [{"step_size_up": sizes[0], "step_size_down": sizes[1]}]
    if family.mode == "exp_range":
        # From a decay that hardly shows in the whole log to one that is over in a tenth of a cycle.
        slow, fast = 0.01 / max(1, lines[-1].step), 10.0 / sum(sizes)
        ratio = (fast / slow) ** (1 / GAMMAS)
        gammas = [math.exp(-slow * ratio**i) for i in range(GAMMAS + 1)]
        shapes = [shapes[0] | {"gamma": gamma} for gamma in (family.own.gamma, *gammas)]
    costs = [(_cost(family, shape, near), i) for i, shape in enumerate(shapes)]
    cost, i = min(costs)
    return shapes[i] if cost < math.inf else None


def _cost(family: _Family, shape: Shape, lines: Sequence[LoggedRate]) -> float:
    fit = family.closest(shape, {}, lines)
    return math.inf if fit is None else _squares(fit[0])


def _sizes_seen(lines: Sequence[LoggedRate]) -> Iterator[tuple[float, float]]:
    """The sizes of the halves, from the first turns of the curve."""
    turns = _turns(lines)
    if not turns:
        return
    peak = turns[0]
    if len(turns) > 1:
        yield float(peak), float(max(1, turns[1] - peak))
    yield float(peak), float(peak)


def _turns(lines: Sequence[LoggedRate]) -> list[int]:
    """The steps of the first peak, of the trough after it, and so on."""
    rates = [(line.low + line.high) / 2 for line in lines]
    # What is less than this isn't a turn but rounding.
    least = max((max(rates) - min(rates)) / 50, 4 * max(line.high - line.low for line in lines))
    turns: list[int] = []
    sign, best = 1.0, 0
    for i, rate in enumerate(rates):
        if sign * (rate - rates[best]) >= 0.0:
            best = i
        elif sign * (rates[best] - rate) > least:
            if lines[best].step > 0:
                turns.append(lines[best].step)
            sign, best = -sign, i
    return turns


def _sizes_scanned(family: _Family, lines: Sequence[LoggedRate]) -> Iterator[tuple[float, float]]:
    """The three best sizes on the first lines, of a grid: for logs with few lines a cycle."""
    near = lines[:SCANNED_LINES]
    span, spacing = near[-1].step, max(1.0, near[-1].step / len(near))
    own, tried, size = family.own, [], 2.0 * spacing
    part = own.step_size_up / own.cycle_size
    gamma = {"gamma": own.gamma} if family.mode == "exp_range" else {}
    while size < 4.0 * span:
        sizes = {"step_size_up": part * size, "step_size_down": size - part * size}
        tried.append((_cost(family, sizes | gamma, near), size))
        # A tenth of a cycle's difference at the end of these lines.
        size *= 1.0 + min(0.1, 0.1 * size / span)
    for cost, size in sorted(tried)[:3]:
        if cost < math.inf:
            yield part * size, size - part * size


def _squares(errors: Iterable[float]) -> float:
    total = sum(error * error for error in errors)
    return total if total == total else math.inf


def _solved(slopes: Sequence[Any], errors: Sequence[float], damping: float) -> list[float]:
    """The damped step of least squares: (JᵀJ + damping · diag JᵀJ) step = -Jᵀ errors."""
    n = len(slopes)
    rows = [
        [sum(a * b for a, b in zip(slopes[i], slopes[j], strict=True)) for j in range(n)]
        + [-sum(a * b for a, b in zip(slopes[i], errors, strict=True))]
        for i in range(n)
    ]
    # Sizes and gamma differ by many powers of ten, so that each is measured by its own effect.
    units = [math.sqrt(rows[i][i]) or 1.0 for i in range(n)]
    for i in range(n):
        rows[i] = [rows[i][j] / units[i] / (units[j] if j < n else 1.0) for j in range(n + 1)]
        rows[i][i] += damping + 1e-12
    for i in range(n):
        pivot = max(range(i, n), key=lambda row: abs(rows[row][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        if rows[i][i] == 0.0:
            return [0.0] * n
        for j in range(i + 1, n):
            ratio = rows[j][i] / rows[i][i]
            rows[j] = [a - ratio * b for a, b in zip(rows[j], rows[i], strict=True)]
    step = [0.0] * n
    for i in reversed(range(n)):
        known = sum(rows[i][j] * step[j] for j in range(i + 1, n))
        step[i] = (rows[i][n] - known) / rows[i][i]
    return [step[i] / units[i] for i in range(n)]
