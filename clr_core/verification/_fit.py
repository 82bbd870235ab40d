"""The parameters of the schedule that a run did follow, from its log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from clr_core.schedules.cyclic import MODES, CyclicSchedule
from clr_core.verification._faults import Explanation
from clr_core.verification._search import Line, agrees, spread
from clr_core.verification._simplest import simplest

MOST_LINES = 160  # As many are fitted; all of them are checked.
TURNS = 60
TRIES = 150
ALIKE = 1e-6
# In halves of the last digit; by least squares the worst of many lines isn't quite within bounds.
WORST, CLOSE = 3.0, 1.5
GAMMAS = 24
CYCLES_TO_BEGIN = 2
Parameters = dict[str, float]

# In the order in which they are rounded: what the others make up for least comes first.
NAMES = ("gamma", "step_size_up", "step_size_down", "base_lr", "max_lr")


def other_parameters(schedule: CyclicSchedule, lines: Sequence[Line]) -> list[Explanation]:
    """Other parameters that explain every line; two explanations where the log doesn't settle it.

    Args:
        schedule: What was to be followed. Its own values are kept where they fit.
        lines: The lines to explain.
    """
    lines = sorted(lines)
    tried: list[Parameters] = []
    for mode, start in _starts(schedule, lines):
        family = _Family(schedule, mode)
        fitted = family.fitted(start, lines)
        if fitted is None or any(_alike(fitted, other) for other in tried):
            continue  # From several starts one comes to the same place.
        tried.append(fitted)
        rounded = family.rounded(fitted, family.names, lines)
        found = rounded and family.schedule(rounded)
        if not rounded or not found:
            continue
        changes = _changes(schedule, found)
        if len(lines) < len(changes) + 3:
            return []
        others = _as_simple(schedule, mode, rounded, set(changes), lines)
        return [_explanation(changes), *(_explanation(_changes(schedule, each)) for each in others)]
    return []


def _alike(one: Parameters, other: Parameters) -> bool:
    """Whether the numbers are the same but for rounding, whatever the mode; no gamma is 1."""
    names = {*one, *other}
    return all(
        math.isclose(one.get(name, 1.0), other.get(name, 1.0), rel_tol=ALIKE) for name in names
    )


def _as_simple(
    schedule: CyclicSchedule,
    mode: str,
    found: Parameters,
    changed: set[str],
    lines: Sequence[Line],
) -> list[CyclicSchedule]:
    """Other schedules that explain the lines with changes of no more parameters than `found`."""
    even = (
        schedule.step_size_up == schedule.step_size_down
        and found["step_size_up"] == found["step_size_down"]
    )
    family, sample = _Family(schedule, mode, even=even), spread(lines, MOST_LINES)
    numbers = changed & set(family.names)
    own = {name: getattr(schedule, name) for name in family.names}
    explained = []
    for names in combinations(family.names, len(numbers)):
        if set(names) == numbers or not names:
            continue
        start = own | {name: found[name] for name in names}
        tried = family.improved(start, names, sample)
        simple = tried and family.rounded(tried, names, lines)
        other = simple and family.schedule(simple)
        if other:
            explained.append(other)
    return explained


def _explanation(changes: Mapping[str, Any]) -> Explanation:
    listed = ", ".join(f"{name}={value!r}" for name, value in changes.items())
    return Explanation(
        "other parameters", f"followed a schedule with {listed}", {"parameters": dict(changes)}
    )


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

    def __init__(self, schedule: CyclicSchedule, mode: str, *, even: bool = False) -> None:
        self.own, self.mode = schedule, mode
        left_out = {"gamma"} if mode != "exp_range" else set()
        if even:
            left_out.add("step_size_down")
        self.names = tuple(name for name in NAMES if name not in left_out)

    def schedule(self, parameters: Parameters) -> CyclicSchedule | None:
        """The schedule with these parameters; None where there can't be one."""
        mode = self.mode
        if parameters.get("gamma") == 1.0:
            mode = "triangular"  # That is what exp_range is without a decay.
        try:
            return CyclicSchedule(
                **parameters,
                mode=mode,
                scale_fn=self.own.scale_fn,
                scale_mode=self.own.scale_mode,
            )
        except (ValueError, ArithmeticError):
            return None

    def errors(self, parameters: Parameters, lines: Sequence[Line]) -> list[float] | None:
        """How far each line is off, in halves of its last digit."""
        schedule = self.schedule(parameters)
        if schedule is None:
            return None
        return [(2.0 * schedule.lr(step) - low - high) / (high - low) for step, low, high in lines]

    def explains(self, parameters: Parameters, lines: Sequence[Line]) -> bool:
        """Whether every line agrees."""
        schedule = self.schedule(parameters)
        return schedule is not None and all(agrees(schedule, line.step, line) for line in lines)

    def max_lr(self, parameters: Parameters, lines: Sequence[Line]) -> float | None:
        """The simplest upper boundary that explains every line with the other parameters as given.

        The rate grows with it by the wave, so that each line bounds it.
        """
        unit = self.schedule(parameters | {"base_lr": 0.0, "max_lr": 1.0})
        if unit is None:
            return None
        bottom, top = parameters["base_lr"], math.inf
        for part in (spread(lines, MOST_LINES), lines):  # A few mostly refute what is wrong.
            for line in part:
                wave = unit.lr(line.step)
                if wave > 0.0:
                    base = parameters["base_lr"] * (1.0 - wave)
                    bottom = max(bottom, (line.low - base) / wave)
                    top = min(top, (line.high - base) / wave)
            if bottom > top:
                return None
        if bottom <= self.own.max_lr <= top:
            return self.own.max_lr
        return simplest(bottom, min(top, 1e300))

    def fitted(self, start: Parameters, lines: Sequence[Line]) -> Parameters | None:
        """The parameters closest to all lines, found on the first cycles and then on twice as many.

        A small error of the cycle's size adds up, cycle by cycle. So it has to be known better, the
        further one looks.
        """
        cycles, last = CYCLES_TO_BEGIN, lines[-1].step
        parameters = start
        while True:
            end = lines[0].step + cycles * (
                parameters["step_size_up"] + parameters["step_size_down"]
            )
            near = [line for line in lines if line.step <= end]
            if len(near) > len(self.names):
                found = self.improved(parameters, self.names, spread(near, MOST_LINES))
                if found is None:
                    return None
                errors = self.errors(found, near)
                if errors is None or max(map(abs, errors)) > WORST:
                    return None
                parameters = found
            if end >= last:
                return parameters
            cycles *= 2

    def improved(
        self, start: Parameters, names: Sequence[str], lines: Sequence[Line]
    ) -> Parameters | None:
        """Levenberg's and Marquardt's method on the named parameters."""
        errors = self.errors(start, lines)
        if errors is None or not names:
            return None if errors is None else start
        parameters, cost, damping = start, _squares(errors), 1e-3
        for _ in range(TURNS):
            slopes = [self._slope(parameters, name, errors, lines) for name in names]
            if any(slope is None for slope in slopes):
                return None
            for _ in range(8):
                step = _solved(slopes, errors, damping)
                moved = parameters | {
                    name: parameters[name] + change
                    for name, change in zip(names, step, strict=True)
                }
                tried = self.errors(moved, lines)
                if tried is not None and _squares(tried) < cost:
                    break
                damping *= 8.0
            else:
                return parameters
            gain = cost - _squares(tried)
            parameters, errors, cost = moved, tried, cost - gain
            damping /= 16.0
            if gain < 1e-9 * cost + 1e-12:
                break
        return parameters

    def _slope(
        self, parameters: Parameters, name: str, errors: Sequence[float], lines: Sequence[Line]
    ) -> list[float] | None:
        value = parameters[name]
        # A gamma has to be known as exactly as its power, and stays below 1.
        change = -1e-4 / lines[-1].step if name == "gamma" and lines[-1].step else value * 1e-7
        change = change or 1e-9
        moved = self.errors(parameters | {name: value + change}, lines)
        if moved is None:
            change = -change
            moved = self.errors(parameters | {name: value + change}, lines)
        return moved and [
            (there - here) / change for there, here in zip(moved, errors, strict=True)
        ]

    def rounded(
        self, parameters: Parameters, names: Sequence[str], lines: Sequence[Line]
    ) -> Parameters | None:
        """The same with few digits in the named ones, or with the schedule's own values."""
        sample, tries = spread(lines, MOST_LINES), iter(range(TRIES))

        def search(parameters: Parameters, names: Sequence[str]) -> Parameters | None:
            if not names:
                return parameters if self.explains(parameters, lines) else None
            name, free = names[0], names[1:]
            if names == ("max_lr",):
                top = self.max_lr(parameters, lines)
                found = None if top is None else parameters | {name: top}
                return found if found and self.explains(found, lines) else None
            for value in _simple_values(name, parameters, self.own):
                if next(tries, None) is None:
                    return None
                tried = self.improved(parameters | {name: value}, free, sample)
                errors = tried and self.errors(tried, sample)
                if tried and errors and max(map(abs, errors)) <= CLOSE:
                    found = search(tried, free)
                    if found:
                        return found
            return None

        return search(parameters, names)


def _simple_values(name: str, parameters: Parameters, own: CyclicSchedule) -> Iterator[float]:
    value = parameters[name]
    yield getattr(own, name)
    if name == "gamma":
        yield 1.0
    if name == "step_size_down":
        yield parameters["step_size_up"]
    for digits in range(16):
        if name == "gamma":
            yield 1.0 - float(f"{1.0 - value:.{digits}e}")
        else:
            yield float(f"{value:.{digits}e}")


def _starts(schedule: CyclicSchedule, lines: Sequence[Line]) -> Iterator[tuple[str, Parameters]]:
    """Where to begin: the schedule's own sizes, then those that the log's turns show."""
    own = schedule.step_size_up, schedule.step_size_down or schedule.step_size_up
    modes = [schedule.mode]
    if schedule.scale_fn is None:
        modes += [mode for mode in MODES if mode != schedule.mode]
    for sizes in (own, *_sizes_seen(lines), *_sizes_scanned(schedule, lines)):
        for mode in modes:
            yield from ((mode, start) for start in _bands(schedule, mode, sizes, lines))


def _bands(
    schedule: CyclicSchedule, mode: str, sizes: tuple[float, float], lines: Sequence[Line]
) -> Iterable[Parameters]:
    """The start with the boundaries, and the gamma, that are best with these sizes."""
    end = lines[0].step + CYCLES_TO_BEGIN * sum(sizes)
    near = [line for line in lines if line.step <= end]
    near = spread(near if len(near) > len(NAMES) else lines, MOST_LINES)
    gammas = [1.0]
    if mode == "exp_range":
        # From a decay that hardly shows in the whole log to one that is over in a tenth of a cycle.
        slow, fast = 0.01 / max(1, lines[-1].step), 10.0 / sum(sizes)
        ratio = (fast / slow) ** (1 / GAMMAS)
        gammas = [math.exp(-slow * ratio**i) for i in range(GAMMAS + 1)]
        if schedule.mode == "exp_range":
            gammas.insert(0, schedule.gamma)
    best: tuple[float, Parameters] | None = None
    for gamma in gammas:
        found = _band(schedule, mode, sizes, gamma, near)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return [] if best is None else [best[1]]


def _band(
    schedule: CyclicSchedule,
    mode: str,
    sizes: tuple[float, float],
    gamma: float,
    lines: Sequence[Line],
) -> tuple[float, Parameters] | None:
    """The boundaries by linear least squares: the rate is base + (max - base) * wave."""
    family = _Family(schedule, mode)
    up, down = sizes
    numbers = {"step_size_up": up, "step_size_down": down}
    if mode == "exp_range":
        numbers["gamma"] = gamma
    unit = family.schedule({"base_lr": 0.0, "max_lr": 1.0} | numbers)
    if unit is None:
        return None
    waves = [unit.lr(line.step) for line in lines]
    rates = [(line.low + line.high) / 2 for line in lines]
    mean_wave, mean_rate = sum(waves) / len(lines), sum(rates) / len(lines)
    spread_of_waves = sum((wave - mean_wave) ** 2 for wave in waves)
    if spread_of_waves == 0.0:
        return None
    slope = (
        sum(
            (wave - mean_wave) * (rate - mean_rate) for wave, rate in zip(waves, rates, strict=True)
        )
        / spread_of_waves
    )
    base = max(0.0, mean_rate - slope * mean_wave)
    parameters = {"base_lr": base, "max_lr": max(base, base + slope)} | numbers
    errors = family.errors(parameters, lines)
    return None if errors is None else (_squares(errors), parameters)


def _sizes_seen(lines: Sequence[Line]) -> Iterator[tuple[float, float]]:
    """The sizes of the halves, from the first turns of the curve."""
    turns = _turns(lines)
    if not turns:
        return
    peak = turns[0]
    if len(turns) > 1:
        yield float(peak), float(max(1, turns[1] - peak))
    yield float(peak), float(peak)


def _turns(lines: Sequence[Line]) -> list[int]:
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


def _sizes_scanned(
    schedule: CyclicSchedule, lines: Sequence[Line]
) -> Iterator[tuple[float, float]]:
    """The sizes that are best on the first lines, of a grid: for logs with few lines a cycle."""
    near = lines[: 2 * SCANNED_LINES]
    span, spacing = near[-1].step, max(1.0, near[-1].step / len(near))
    if span == 0:
        return
    part = schedule.step_size_up / schedule.cycle_size
    size, tried = 2.0 * spacing, []
    while size < 4.0 * span:
        found = _band(
            schedule, schedule.mode, (part * size, size - part * size), schedule.gamma, near
        )
        if found is not None:
            tried.append((found[0], size))
        # A tenth of a cycle's difference at the end of these lines.
        size *= 1.0 + min(0.1, 0.1 * size / span)
    for _, size in sorted(tried)[:3]:
        yield part * size, size - part * size


SCANNED_LINES = 24


def _squares(errors: Sequence[float]) -> float:
    total = math.fsum(error * error for error in errors)
    return total if total == total else math.inf


def _solved(slopes: Sequence[Any], errors: Sequence[float], damping: float) -> list[float]:
    """The damped step of least squares: (JᵀJ + damping · diag JᵀJ) step = -Jᵀ errors."""
    n = len(slopes)
    rows = [
        [sum(a * b for a, b in zip(slopes[i], slopes[j], strict=True)) for j in range(n)]
        + [-sum(a * b for a, b in zip(slopes[i], errors, strict=True))]
        for i in range(n)
    ]
    # Rates and sizes differ by many powers of ten, so that each is measured by its own effect.
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
