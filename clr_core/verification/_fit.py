"""Find the parameters of the schedule that a run did follow.

With given sizes, mode and gamma, the rate is `base_lr * (1 - wave) + max_lr * wave` with a known
wave, linear in the two boundaries. So least squares have to search for the sizes and the gamma
only: for each of them, the best boundaries follow at once. From the place that they lead to, one
parameter after the other is set to a round number, and the rest is fitted again. If one boundary is
left, each line bounds it, and those bounds together say exactly what it may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from clr_core.schedules.cyclic import MODES, CyclicSchedule
from clr_core.verification._search import LoggedRate, Target, common, simplest, spread, work
from clr_core.verification.faults import OtherParameters

# So many lines are fitted, and all of them are checked: more would make a fit slower, not better.
MOST_LINES = 160
# Least squares makes the sum of squares small and not the worst line, which so may lie outside of
# its bounds, 1 here, though the true parameters are near.
WORST = 3.0
# Fits for the roundest numbers of one shape. Numbers as people write them take some tens.
TRIES = 150
# A fit ends when a turn makes the sum of squares smaller by less than this part: what is left to
# gain then is far less than a line's last digit.
LEAST_GAIN = 1e-3
# Turns of a fit, and halvings in one. It converges in a few turns, or crawls along a valley.
TURNS = 7
# A first fit over two cycles: over one, gamma and the boundaries can't be told apart.
CYCLES_TO_BEGIN = 2
GAMMAS = 24  # Gammas to begin with, each of half the decay of the one before.
SCANNED_LINES = 48
WORK = 2  # Of a line in a fit, in rates of a wave, at least: it is summed up as well.

SIZES = ("step_size_up", "step_size_down")
BOUNDARIES = ("base_lr", "max_lr")
Numbers = dict[str, float]  # Of these parameters; without `step_size_down`, it is as the rise.


class Fit(NamedTuple):
    """Parameters, and how far each line is off with them, in halves of its last digit."""

    numbers: Numbers
    errors: list[float]

    @property
    def cost(self) -> float:
        """The sum of the squares."""
        total = sum(error * error for error in self.errors)
        return math.inf if math.isnan(total) else total

    @property
    def worst(self) -> float:
        """The largest error."""
        return max(map(abs, self.errors))


def other_parameters(
    target: Target, lines: Sequence[LoggedRate], since: int | None
) -> Iterator[OtherParameters]:
    """Other parameters that explain every line; several if the log doesn't settle it.

    Args:
        target: The schedule that was to be followed. Its own values are kept if they fit.
        lines: The lines to explain.
        since: Goes into the fault.
    """
    schedule = target.cyclic
    if schedule is None:
        return
    lines = sorted(lines)
    tried = set()
    for family, start in _starts(target, schedule, lines):
        fit = family.fitted(start, lines)
        place = fit and tuple(f"{value:.5e}" for value in fit.numbers.values())
        if fit is None or place in tried:
            continue  # From several starts one comes to the same place.
        tried.add(place)
        found = family.roundest(fit.numbers, family.names, lines)
        if not found:
            continue
        changes = _changes(schedule, found)
        different = sum(not target.agrees(line.step, line) for line in lines)
        if different >= len(changes) + 3:  # Else the lines would fit by chance.
            yield OtherParameters(changes, since)
            for other in _as_simple(family, found, set(changes), lines):
                yield OtherParameters(_changes(schedule, other), since)
        return


def _as_simple(
    family: Family, found: CyclicSchedule, changed: set[str], lines: Sequence[LoggedRate]
) -> Iterator[CyclicSchedule]:
    """Other schedules that explain the lines with changes of no more parameters than `found`."""
    own, names = family.own, family.names
    numbers = changed & set(names)
    for free in combinations(names, len(numbers)):
        if free and set(free) != numbers:
            start = {name: getattr(found if name in free else own, name) for name in names}
            fit = family.improved(start, free, spread(lines, MOST_LINES))
            if fit and fit.worst <= WORST:
                other = family.roundest(fit.numbers, free, lines)
                if other:
                    yield other


def _changes(schedule: CyclicSchedule, found: CyclicSchedule) -> dict[str, Any]:
    """The arguments that differ, as one would write them."""
    old, new = schedule.to_dict(strict=False), found.to_dict(strict=False)
    changes = {name: value for name, value in new.items() if value != old[name]}
    if all(each["step_size_up"] == each["step_size_down"] for each in (old, new)):
        changes.pop("step_size_down", None)
    return {
        name: int(value) if name.startswith("step") and value.is_integer() else value
        for name, value in changes.items()
    }


class Family:
    """The schedules that differ from a given one in their numbers, and have a certain mode."""

    def __init__(self, target: Target, own: CyclicSchedule, mode: str) -> None:
        self.target, self.own, self.mode = target, own, mode
        self.gamma = {"gamma": own.gamma} if mode == "exp_range" else {}
        # In the order in which they are rounded: what the others make up for least comes first.
        self.names = (*self.gamma, *SIZES, *BOUNDARIES)

    def schedule(self, numbers: Mapping[str, Any]) -> CyclicSchedule | None:
        """The schedule with these parameters, if there can be one."""
        # That is what exp_range is without a decay.
        mode = "triangular" if numbers.get("gamma") == 1.0 else self.mode
        try:
            return CyclicSchedule(
                **numbers, mode=mode, scale_fn=self.own.scale_fn, scale_mode=self.own.scale_mode
            )
        except (ValueError, ArithmeticError):
            return None

    def waves(self, numbers: Numbers, lines: Sequence[LoggedRate]) -> list[float] | None:
        """The rate at each line, between the boundaries 0 and 1."""
        unit = self.schedule(numbers | {"base_lr": 0.0, "max_lr": 1.0})
        if unit is None:
            return None
        self.target.spend(max(WORK, work(unit)) * len(lines))
        return [unit.lr(line.step) for line in lines]

    def closest(
        self, numbers: Numbers, free: Sequence[str], lines: Sequence[LoggedRate]
    ) -> Fit | None:
        """The best values of those boundaries that are free."""
        waves = self.waves(numbers, lines)
        return None if waves is None else closest_boundaries(waves, lines, numbers, free)

    def fitted(self, start: Numbers, lines: Sequence[LoggedRate]) -> Fit | None:
        """The numbers closest to all lines, found on the first cycles and then on twice as many.

        A small error of the cycle's size adds up, cycle by cycle. So it has to be known better, the
        further one looks.
        """
        cycles, last, numbers = CYCLES_TO_BEGIN, lines[-1].step, start
        while True:
            end = lines[0].step + cycles * sum(numbers[name] for name in SIZES)
            near = [line for line in lines if line.step <= end]
            if len(near) > len(self.names) or end >= last:
                fit = self.improved(numbers, self.names, spread(near, MOST_LINES))
                if not fit or fit.worst > WORST:
                    return None
                if end >= last:
                    return fit
                numbers = fit.numbers
            cycles *= 2

    def improved(
        self, start: Numbers, free: Sequence[str], lines: Sequence[LoggedRate]
    ) -> Fit | None:
        """Gauss's and Newton's method on the free parameters, with shorter steps if need be."""
        fit = self.closest(start, free, lines)
        names = [name for name in free if name not in BOUNDARIES]
        if fit is None or not names:
            return fit
        for _ in range(TURNS):
            slopes = [self._slope(fit, name, free, lines) for name in names]
            if any(slope is None for slope in slopes):
                return None
            step = solved(slopes, fit.errors)
            for halvings in range(TURNS):
                moved = {
                    name: fit.numbers[name] + change / 2**halvings
                    for name, change in zip(names, step, strict=True)
                }
                better = self.closest(fit.numbers | moved, free, lines)
                if better is not None and better.cost < fit.cost:
                    break
            else:
                return fit
            gain, fit = fit.cost - better.cost, better
            if gain < LEAST_GAIN * fit.cost:
                break
        return fit

    def _slope(
        self, fit: Fit, name: str, free: Sequence[str], lines: Sequence[LoggedRate]
    ) -> list[float] | None:
        # So little that a power of gamma hardly bends; and downwards, as gamma stays below 1.
        change = -1e-9 * fit.numbers[name]
        there = self.closest(fit.numbers | {name: fit.numbers[name] + change}, free, lines)
        return there and [
            (after - before) / change
            for after, before in zip(there.errors, fit.errors, strict=True)
        ]

    def roundest(
        self, numbers: Numbers, free: Sequence[str], lines: Sequence[LoggedRate]
    ) -> CyclicSchedule | None:
        """The schedule near these numbers that explains every line.

        Each of the free numbers is the schedule's own if that fits, else has as few digits as can
        be.
        """
        sample, tries = spread(lines, MOST_LINES), iter(range(TRIES))

        def search(numbers: Numbers, free: Sequence[str]) -> CyclicSchedule | None:
            if not free:
                return self.explaining(numbers, lines)
            name, left = free[0], free[1:]
            if not left and name in BOUNDARIES:
                value = self._boundary(numbers, name, lines)
                return None if value is None else self.explaining(numbers | {name: value}, lines)
            for value in _simple_values(name, numbers, self.own):
                if next(tries, None) is None:
                    return None
                fit = self.improved(numbers | {name: value}, left, sample)
                if fit and fit.worst <= WORST:
                    found = search(fit.numbers, left)
                    if found:
                        return found
            return None

        return search(numbers, free)

    def _boundary(self, numbers: Numbers, name: str, lines: Sequence[LoggedRate]) -> float | None:
        """The boundary's simplest value that explains all lines, if the other numbers are right."""
        waves = self.waves(numbers, lines)
        between = boundary_between(waves, lines, numbers, name) if waves else None
        if between is None:
            return None
        own: float = getattr(self.own, name)
        return own if between[0] <= own <= between[1] else simplest(*between)

    def explaining(self, numbers: Numbers, lines: Sequence[LoggedRate]) -> CyclicSchedule | None:
        """The schedule with these numbers if it explains every line."""
        found = self.schedule(numbers)
        return found if found and self.target.explained_by(found, lines) else None


def boundary_between(
    waves: Sequence[float], lines: Sequence[LoggedRate], numbers: Numbers, name: str
) -> tuple[float, float] | None:
    """The lowest and the highest value of a boundary with which every line is explained.

        >>> lines = [LoggedRate(0, 1.0, 1.5), LoggedRate(1, 2.0, 2.5)]
        >>> boundary_between([0.0, 0.5], lines, {"base_lr": 1.0}, "max_lr")
        (3.0, 4.0)

    Args:
        waves: The wave at each line.
        lines: The lines.
        numbers: They contain the other boundary.
        name: The boundary.
    """
    bounds = []
    for wave, (step, low, high) in zip(waves, lines, strict=True):
        if name == "max_lr":
            weight, known = wave, numbers["base_lr"] * (1.0 - wave)
        else:
            weight, known = 1.0 - wave, numbers["max_lr"] * wave
        if weight:
            bounds.append(LoggedRate(step, (low - known) / weight, (high - known) / weight))
    least, most = common(bounds) if bounds else (math.inf, 0.0)
    return (least, most) if least <= most else None


def closest_boundaries(
    waves: Sequence[float], lines: Sequence[LoggedRate], numbers: Numbers, free: Sequence[str]
) -> Fit | None:
    """The numbers with the best of those boundaries that are free, by weighted least squares."""
    base, top = (None if name in free else numbers[name] for name in BOUNDARIES)
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
    return Fit(numbers | {"base_lr": base, "max_lr": top}, errors)


def _simple_values(name: str, numbers: Numbers, own: CyclicSchedule) -> Iterator[float]:
    value = numbers[name]
    yield getattr(own, name)
    if name == "gamma":
        yield 1.0
        yield from (1.0 - float(f"{1.0 - value:.{digits}e}") for digits in range(16))
        return
    if name == "step_size_down":
        yield numbers["step_size_up"]
    if name == "base_lr":
        yield 0.0  # A number next to it has few digits, too.
    yield from (float(f"{value:.{digits}e}") for digits in range(16))


def _starts(
    target: Target, schedule: CyclicSchedule, lines: Sequence[LoggedRate]
) -> Iterator[tuple[Family, Numbers]]:
    """Where to begin: the schedule's own sizes, then those that the log shows.

    For each of them in each mode, with the gamma that is best.
    """
    modes = [schedule.mode]
    if schedule.scale_fn is None:
        modes += [mode for mode in MODES if mode != schedule.mode]
    families = [Family(target, schedule, mode) for mode in modes]
    some = spread(lines, MOST_LINES)
    for sizes in _sizes(families[0], lines):
        for family in families:
            gammas = [math.exp(-(2.0**-i)) for i in range(GAMMAS)] if family.gamma else []
            starts = [sizes | family.gamma, *(sizes | {"gamma": gamma} for gamma in gammas)]
            for start in _nearest(family, starts, some, 1):
                yield family, start


def _sizes(family: Family, lines: Sequence[LoggedRate]) -> Iterator[Numbers]:
    """The schedule's own sizes, and those of two scans: of all lines, and of the first."""
    own = family.own
    yield dict(zip(SIZES, (own.step_size_up, own.cycle_size - own.step_size_up), strict=True))
    yield from sizes_scanned(family, sorted(spread(lines, SCANNED_LINES)))
    yield from sizes_scanned(family, lines[:SCANNED_LINES])


def sizes_scanned(family: Family, lines: Sequence[LoggedRate]) -> Iterator[Numbers]:
    """The three best sizes on the first lines, of a grid: for logs with few lines a cycle."""
    span = lines[-1].step - lines[0].step
    size = 2.0 * max(1.0, span / len(lines))
    part = family.own.step_size_up / family.own.cycle_size
    grid = []
    while size < 4.0 * span:
        grid.append(dict(zip(SIZES, (part * size, size - part * size), strict=True)))
        # A tenth of a cycle's difference at the end of these lines.
        size *= 1.0 + min(0.1, 0.1 * size / span)
    for numbers in _nearest(family, [each | family.gamma for each in grid], lines, 3):
        yield {name: numbers[name] for name in SIZES}


def _nearest(
    family: Family, starts: Sequence[Numbers], lines: Sequence[LoggedRate], most: int
) -> list[Numbers]:
    """So many of the starts at most, those with which the best boundaries are closest to lines."""
    fits = [(family.closest(start, BOUNDARIES, lines), i) for i, start in enumerate(starts)]
    costs = sorted((fit.cost, i) for fit, i in fits if fit is not None)
    return [starts[i] for _, i in costs[:most]]


def solved(slopes: Sequence[Any], errors: Sequence[float]) -> list[float]:
    """The step of least squares: JᵀJ step = -Jᵀ errors."""
    rows = [[_product(one, other) for other in slopes] + [-_product(one, errors)] for one in slopes]
    # The matrix is positive definite, so that elimination needs no other order of its rows.
    for i, pivot in enumerate(rows):
        for j, row in enumerate(rows):
            if i != j and pivot[i]:
                ratio = row[i] / pivot[i]
                rows[j] = [a - ratio * b for a, b in zip(row, pivot, strict=True)]
    return [row[-1] / row[i] if row[i] else 0.0 for i, row in enumerate(rows)]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
