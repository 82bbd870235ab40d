"""Plants faults in runs and asks `verify` for them: writes benchmarks/verify_confusion.md.

The rates are those of the oracle (tests/oracle.py) at the count that the faulty run would have had,
rounded as a log rounds them. A run whose log is the same as without its fault counts as sound.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import measuring

import oracle
from clr_core import CyclicSchedule
from clr_core.verification import Verdict, verify
from clr_core.verification.faults import Fault
from clr_core.verification.log import Resolution

NONE = "no fault"
ROUNDINGS: dict[str, Callable[[float], str]] = {
    "float32": lambda rate: repr(oracle.to_float32(rate)),
    "4 digits": lambda rate: f"{float(rate):.3e}",
    "6 decimals": lambda rate: f"{float(rate):.6f}",
}
MISSING = (0.0, 0.2)
EVERY = (1, 10, 50)
FAST = (2, 3, 4, 8)
SLOW = (2, 4, 7, 30, 100)
SHIFTS = (-200, -10, -2, -1, 1, 2, 10, 200)
FACTORS = (0.1, 0.25, 0.5, 1 / 3, 1.1, 2.0, 4.0, 8.0)
PARTS = (0.05, 0.1, 0.2)  # How much of the run is a warm-up, or is held.
FLOAT32_START = 1_000_000  # Before that, its errors don't show in a log of few digits.


@dataclass(frozen=True)
class Run:
    """A run with a planted fault, and what it logged."""

    planted: str
    right_name: str
    """What `verify` should call it."""
    rounding: str
    schedule: CyclicSchedule
    steps: list[int]
    texts: list[str]
    right: dict[str, float]

    def verdict(self) -> Verdict:
        rates = [float(text) for text in self.texts]
        return verify(self.schedule, self.steps, rates, Resolution.of_texts(self.texts))

    def names_the_numbers(self, fault: Fault) -> bool:
        """True if the planted numbers are those of the fault, or among those that fit the log."""
        details = fault.to_dict()
        for name, value in self.right.items():
            low, high = details.get(f"{name}_between", [details.get(name)] * 2)
            near = abs(value) * 1e-3  # A factor is known no better than the digits are.
            same = low is not None and low - near <= value <= high + near
            if name == "n" and self.schedule.mode == "triangular":
                # The same curve again after a cycle.
                same = same or (details["n"] - value) % self.schedule.cycle_size == 0
            if not (same or value in details.get("also", [])):
                return False
        return True


def random_schedule(rng: random.Random) -> CyclicSchedule:
    base_lr = rng.choice((1e-4, 0.001, 0.0015, 0.01))
    up = rng.randrange(60, 1500)
    mode = rng.choice(("triangular", "triangular", "triangular2", "exp_range"))
    return CyclicSchedule(
        base_lr=base_lr,
        max_lr=base_lr * rng.choice((3, 4, 10)),
        step_size_up=up,
        step_size_down=rng.choice((None, None, rng.randrange(60, 1500))),
        mode=mode,
        gamma=round(1 - 10 ** rng.uniform(-4.5, -3.3), 6) if mode == "exp_range" else 1.0,
    )


def other_schedule(rng: random.Random, schedule: CyclicSchedule) -> CyclicSchedule:
    """The schedule with one or two parameters changed, or in another mode."""
    factor = rng.choice((0.62, 0.8, 1.3, 1.7))
    numbers = schedule.to_dict()
    numbers.pop("kind")
    what = rng.randrange(5)
    if what == 0:
        numbers["max_lr"] = round(schedule.max_lr * (1 + factor / 2), 6)
    elif what == 1:
        numbers["base_lr"] = round(schedule.base_lr * 0.7, 6)
    elif what == 2:
        numbers["step_size_up"] = float(round(schedule.step_size_up * factor))
        numbers["step_size_down"] = float(round(schedule.step_size_down * factor))
    elif what == 3:
        numbers["step_size_down"] = float(round(schedule.step_size_down * factor))
        numbers["max_lr"] = round(schedule.max_lr * 1.2, 6)
    else:
        modes = {"triangular", "triangular2", "exp_range"} - {schedule.mode}
        numbers["mode"] = rng.choice(sorted(modes))
        numbers["gamma"] = 0.9995 if numbers["mode"] == "exp_range" else 1.0
    return CyclicSchedule(**numbers)


def in_float32(schedule: CyclicSchedule, step: int) -> Fraction:
    """The usual formula, each operation of it in float32, as TensorFlow Addons computes it."""

    def f(exact: float | Fraction) -> Fraction:
        return Fraction(oracle.to_float32(Fraction(exact)))

    at, size = f(step), f(schedule.step_size_up)
    cycle = math.floor(f(1 + f(at / f(2 * size))))
    x = abs(f(f(f(at / size) - 2 * cycle) + 1))
    base, top = f(schedule.base_lr), f(schedule.max_lr)
    return f(base + f(f(top - base) * max(Fraction(0), f(1 - x))))


def runs(count: int, seed: int = 0, faults: Sequence[str] = ()) -> Iterator[Run]:
    """So many runs, their faults and their logs taking turns."""
    rng = random.Random(seed)
    logs = [(r, m, e) for r in ROUNDINGS for m in MISSING for e in EVERY]
    faults = faults or list(FAULTS)
    for i in range(count):
        fault = faults[i % len(faults)]
        rounding, missing, every = logs[(i // len(faults)) % len(logs)]
        yield planted(rng, fault, rounding, missing, every)


def planted(rng: random.Random, fault: str, rounding: str, missing: float, every: int) -> Run:
    schedule = random_schedule(rng)
    first = 0
    if fault == "float32 formula":
        schedule = CyclicSchedule(
            base_lr=1e-4, max_lr=0.01, step_size_up=rng.choice((60, 250, 2000))
        )
        first = FLOAT32_START
    # Enough lines for a log, and some cycles where a line comes seldom.
    updates = max(int(rng.uniform(2.2, 5) * schedule.cycle_size), 60 * every)
    updates = min(updates, 800 * every)
    plant, name = (FAULTS | LATER)[fault]
    rate, right = plant(rng, schedule, updates)
    document, round_as = schedule.to_dict(), ROUNDINGS[rounding]
    steps = [step for step in range(first, first + updates, every) if rng.random() >= missing]
    texts = [round_as(rate(step)) for step in steps]
    unseen = all(
        text in _sound(oracle.lr(document, step), round_as)
        for step, text in zip(steps, texts, strict=True)
    )
    return Run(
        right_name="followed" if unseen else name,
        planted=fault,
        rounding=rounding,
        schedule=schedule,
        steps=steps,
        texts=texts,
        right={} if unseen else right,
    )


def _sound(exact: Fraction, round_as: Callable[[float], str]) -> set[str]:
    """What a log may give for this rate: it may have been rounded to float32 first."""
    half_ulp = exact / 2**24
    return {round_as(exact), round_as(exact - half_ulp), round_as(exact + half_ulp)}


def counted(schedule: CyclicSchedule, count: Callable[[int], int]) -> Callable[[int], float]:
    """The rate of a run that is at `count(step)` when it logs `step`."""
    document = schedule.to_dict()
    return lambda step: oracle.lr(document, max(count(step), 0))


def sound(rng, schedule, updates):
    return counted(schedule, lambda step: step), {}


def constant(rng, schedule, updates):
    stop = rng.choice((0, 0, int(updates * rng.uniform(0.2, 0.6))))
    return counted(schedule, lambda step: min(step, stop)), {}


def scale(rng, schedule, updates):
    factor = rng.choice(FACTORS)
    document = schedule.to_dict()
    return lambda step: oracle.lr(document, step) * Fraction(factor), {"factor": factor}


def shift(rng, schedule, updates):
    n = rng.choice(SHIFTS)
    return counted(schedule, lambda step: step + n), {"n": n}


def shift_at_a_resume(rng, schedule, updates):
    n, at = rng.choice(SHIFTS), int(updates * rng.uniform(0.2, 0.7))
    return counted(schedule, lambda step: step + n if step >= at else step), {"n": n}


def restart(rng, schedule, updates):
    at = int(updates * rng.uniform(0.2, 0.7))
    return counted(schedule, lambda step: step - at if step >= at else step), {"step": at}


def too_fast(rng, schedule, updates):
    k = rng.choice(FAST)
    return counted(schedule, lambda step: k * step), {"k": k}


def too_slow(rng, schedule, updates):
    k = rng.choice(SLOW)
    return counted(schedule, lambda step: step // k), {"k": k}


def too_fast_from_a_resume(rng, schedule, updates):
    k, at = rng.choice(FAST), int(updates * rng.uniform(0.2, 0.7))
    return counted(schedule, lambda step: step + (k - 1) * max(0, step - at)), {"k": k}


def float32_formula(rng, schedule, updates):
    return lambda step: in_float32(schedule, step), {}


def other_parameters(rng, schedule, updates):
    other = other_schedule(rng, schedule)
    return counted(other, lambda step: step), {}


def held(rng, schedule, updates):
    at, n = int(updates * rng.uniform(0.2, 0.7)), int(updates * rng.choice(PARTS))
    return counted(schedule, lambda step: step if step <= at else max(at, step - n)), {"n": n}


def warm_up(rng, schedule, updates):
    """A ramp from 0, and then the schedule from its start, or as if the ramp were a part of it."""
    document, n = schedule.to_dict(), int(updates * rng.choice(PARTS))
    behind = rng.choice((0, n)) if n < schedule.step_size_up else n
    first = oracle.lr(document, n - behind)

    def rate(step):
        if step < n:
            return first * Fraction(step + 1, n + 1)
        return oracle.lr(document, step - behind)

    return rate, {"n": n}


def single_lines(rng, schedule, updates):
    """Spikes in a log that else is sound: nothing that `verify` has a name for."""
    document = schedule.to_dict()
    return lambda step: oracle.lr(document, step) * (3 if step % 500 == 350 else 1), {}


# A row, how the fault is planted, and what `verify` calls it.
FAULTS: dict[str, tuple[Callable, str]] = {
    NONE: (sound, "followed"),
    "constant": (constant, "constant"),
    "scale": (scale, "scale"),
    "shift": (shift, "shift"),
    "shift at a resume": (shift_at_a_resume, "shift"),
    "restart": (restart, "restart"),
    "too fast": (too_fast, "speed"),
    "too slow": (too_slow, "speed"),
    "too fast from a resume": (too_fast_from_a_resume, "speed"),
    "float32 formula": (float32_formula, "float32 formula"),
    "other parameters": (other_parameters, "other parameters"),
    "single lines": (single_lines, "unknown"),
}
# Added later: they have runs of their own, so that those of the others stay as they were.
LATER = {"held for n steps": (held, "held"), "warm-up before it": (warm_up, "warm-up")}
COLUMNS = (*dict.fromkeys(name for _, name in (FAULTS | LATER).values()), "undecided")


def column(verdict: Verdict) -> str:
    """The column of the table that a verdict belongs to."""
    if verdict.fault is not None:
        return verdict.fault.name
    if verdict.candidates:
        return "undecided"
    return "followed" if verdict.status == "followed" else "unknown"


def is_wrong(run: Run, verdict: Verdict) -> bool:
    """True if the verdict names a fault that wasn't planted, or sees none though one was.

    If several faults fit, or none was found to fit, the verdict isn't wrong.
    """
    return column(verdict) not in (run.right_name, "undecided", "unknown")


def is_named(run: Run, verdict: Verdict) -> bool:
    """True if the verdict has the planted fault, with its numbers."""
    fault = verdict.fault
    right = column(verdict) == run.right_name
    return right and (fault is None or run.names_the_numbers(fault))


def main(count: int, seed: int) -> None:
    table: dict[str, Counter[str]] = {row: Counter() for row in FAULTS | LATER}
    wrong, unnamed, hidden, numbered, right_numbers, slowest = 0, 0, 0, 0, 0, 0.0
    later = count * len(LATER) // len(FAULTS)
    for run in chain(runs(count, seed), runs(later, seed, list(LATER))):
        start = time.process_time()
        verdict = run.verdict()
        slowest = max(slowest, time.process_time() - start)
        row = NONE if run.right_name == "followed" else run.planted
        table[row][column(verdict)] += 1
        hidden += row != run.planted
        unnamed += column(verdict) == "unknown" != run.right_name
        if run.right and column(verdict) == run.right_name:
            numbered += 1
            right_numbers += is_named(run, verdict)
        if is_wrong(run, verdict):
            wrong += 1
            print("WRONG", run.planted, run.rounding, run.right, run.schedule, verdict.sentence)
    undecided = sum(row["undecided"] for row in table.values())
    text = [
        *measuring.table(
            ["planted", *COLUMNS],
            [[row, *(str(found[each] or "") for each in COLUMNS)] for row, found in table.items()],
        ),
        "",
        f"Wrong: {wrong}. Undecided: {undecided}. Not named, that is called unknown though the "
        f"fault has a name: {unnamed}. Where a verdict names a fault with a number (k, n, a step "
        f"or a factor), the planted number is named, or lies in the range that is: {right_numbers} "
        f"of {numbered}.",
        "",
        f"{hidden} runs had a fault that their log, rounded and short as it is, doesn't show in "
        f"any line. They count as {NONE!r}. `single lines` are spikes in a sound log.",
        "",
        "Logs have float32 rates, 4 significant digits or 6 decimals; a line every 1, 10 or 50 "
        "updates; all lines, or 80 % of them; at most 800. The slowest verdict took "
        f"{slowest:.1f} s of one core. {measuring.machine('cyclical-lr')}",
    ]
    title = f"What `verify` says of {count + later} runs with planted faults, seed {seed}"
    measuring.write(__file__, title, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=864)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--brief", action="store_true", help="few runs, and no file")
    options = parser.parse_args()
    main(2 * len(FAULTS) if options.brief else options.runs, options.seed)
