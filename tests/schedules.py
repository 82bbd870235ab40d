"""The schedules and steps that curves are compared on: chosen ones, and random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from math import ceil

import oracle
from clr_core import (
    CyclicSchedule,
    Phase,
    PiecewiseSchedule,
    Schedule,
    SequenceSchedule,
    one_cycle,
    warm_restarts,
    warmup_cosine,
    warmup_stable_decay,
)
from clr_core.adapter import rate_only
from clr_core.conformance import float32
from clr_core.schedules.piecewise import SHAPES

MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.95}

HALVES = {
    "equal": {"step_size_up": 2000.0, "step_size_down": 2000.0},
    "short": {"step_size_up": 1.0, "step_size_down": 1.0},
    "unequal": {"step_size_up": 3.0, "step_size_down": 7.0},
    "fractional": {"step_size_up": 4.5, "step_size_down": 2.75},
    "decimal": {"step_size_up": 33.3, "step_size_down": 66.7},
}
BOUNDARIES = {
    "decimal": {"base_lr": 0.001, "max_lr": 0.006} | MOMENTA,
    "float32": {"base_lr": float32(0.001), "max_lr": float32(0.006)},
    "zero": {"base_lr": 0.0, "max_lr": 0.1, "base_momentum": 0.0, "max_momentum": 0.9},
}
DECAYS = {
    "triangular": {"mode": "triangular"},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.99994},
}

# Well-conditioned where they are used: the last float64 bit of `sin` and the like may differ from
# host to host, and must not decide a float32 bit.
BY_CYCLE = [
    "1 / 2 ** (x - 1)",
    "1 / x",
    "0.5 * (1 + sin(x * pi / 2))",
    "max(0.1, exp(-0.1 * x))",
    "sqrt(abs(cos(x))) * tanh(log(x + e))",
    "min(1, floor((x + 0.5) / 2) / 5)",
]
BY_ITERATION = [
    "1 / 5 ** (x * 1e-4)",
    "exp(-x / 1000)",
    "1 / (1 + x / 1000)",
    "0.75 + 0.25 * cos(x * pi / 500)",
]
LARGEST_X = 10_000


PHASES = {
    "one_cycle": one_cycle(0.01, 1000, **MOMENTA),
    "one_cycle linear": one_cycle(0.006, 777, pct_start=0.237, shape="linear", **MOMENTA),
    "one_cycle three_phase": one_cycle(0.1, 12_000, three_phase=True, **MOMENTA),
    "warm_restarts": warm_restarts(0.1, 10_007, min_lr=1e-5),
    "warm_restarts growth=2": warm_restarts(0.1, 100, growth=2),
    "warm_restarts decay": warm_restarts(0.05, 33.3, growth=1.5, decay=0.5, cycles=7),
    "warmup_cosine": warmup_cosine(0.001, 100, 1100),
    "warmup_cosine end_lr": warmup_cosine(6e-4, 715, 300_000, start_lr=1e-7, end_lr=6e-5),
    "warmup_stable_decay": warmup_stable_decay(0.001, 2000, 200_000, 60_000),
    "warmup_stable_decay cosine": warmup_stable_decay(0.001, 20, 50.5, 30, shape="cosine"),
    "fractional phases": PiecewiseSchedule(
        [Phase(4.5, 0.0, 0.1), Phase(2.75, 0.1, 0.1), Phase(7.1, 0.1, 1e-6, "cosine")], repeat=True
    ),
    "many phases": PiecewiseSchedule(
        [
            Phase(3 + i % 5, i % 7 / 100, (i + 3) % 11 / 100, ("linear", "cosine")[i % 2])
            for i in range(1000)
        ]
    ),
    "sequence": warmup_cosine(0.01, 10, 110, end_lr=0.001).then(
        CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=90, mode="triangular2")
    ),
    "sequence of three": warmup_stable_decay(0.1, 10, 20, 30)
    .then(one_cycle(0.2, 100))
    .then(warm_restarts(0.1, 50), at=100),
}


def named() -> Iterator[tuple[str, Schedule]]:
    """The schedules of the golden curves: every mode with all halves and boundaries, and phases."""
    for mode, decay in DECAYS.items():
        for halves, sizes in HALVES.items():
            for boundaries, band in BOUNDARIES.items():
                yield f"{mode}-{halves}-{boundaries}", CyclicSchedule(**decay, **sizes, **band)
    for scale_mode, texts in (("cycle", BY_CYCLE), ("iterations", BY_ITERATION)):
        for text in texts:
            yield (
                f"{scale_mode} {text}",
                CyclicSchedule(
                    **BOUNDARIES["decimal"],
                    **HALVES["unequal"],
                    scale_fn=text,
                    scale_mode=scale_mode,
                ),
            )
    yield from PHASES.items()


def steps_of(schedule: Schedule) -> list[int]:
    """The start, the steps around turns up to cycle 1024 and the ends of the integer types."""
    if isinstance(schedule, CyclicSchedule):
        turns = _turns_of_cycles(schedule)
    else:
        turns = list(islice(schedule.turns(0, largest_step(schedule)), 60))
    around = [*turns, 2**24, 2**31 - 3, 2**31 + 3, 2**40, 2**53 - 2]
    rng = random.Random(repr(schedule))
    steps = {*range(12), *(rng.randrange(10**exponent) for exponent in range(2, 8))}
    steps |= {step + offset for step in around for offset in (-1, 0, 1)}
    return sorted(step for step in steps if 0 <= step <= largest_step(schedule))


def _turns_of_cycles(schedule: CyclicSchedule) -> list[int]:
    cycles = (0, 1, 2, 9, 100, 125, 126, 127, 148, 149, 150, 1000, 1022, 1023, 1024)
    return [
        int(cycle * schedule.cycle_size + part)
        for cycle in cycles
        for part in (0.0, schedule.step_size_up)
    ]


def largest_step(schedule: Schedule) -> int:
    """Up to where the curve is well-conditioned: 2**53, but for expressions."""
    if not isinstance(schedule, CyclicSchedule) or schedule.scale_fn is None:
        return 2**53
    if schedule.scale_mode == "iterations":
        return LARGEST_X
    return int(LARGEST_X * schedule.cycle_size)


def random_schedule(rng: random.Random) -> CyclicSchedule:
    """Any schedule that a user may write: decimal or float32 boundaries, whole or other sizes."""
    low, high = sorted(
        rng.choice((0.0, _number(rng, -7, 0))) if i else _number(rng, -7, 0) for i in (0, 1)
    )
    parameters = {
        "base_lr": low,
        "max_lr": high,
        "step_size_up": _size(rng),
        "step_size_down": rng.choice((None, _size(rng))),
    }
    if rng.random() < 0.7:
        momenta = sorted(
            rng.choice((0.0, rng.random(), round(rng.random(), 2) * 0.99)) for _ in "12"
        )
        parameters |= dict(zip(MOMENTA, momenta, strict=True))
    kind = rng.randrange(5)
    if kind == 3:
        parameters |= {"scale_fn": rng.choice(BY_CYCLE)}
    elif kind == 4:
        parameters |= {"scale_fn": rng.choice(BY_ITERATION), "scale_mode": "iterations"}
    else:
        parameters |= [
            {"mode": "triangular"},
            {"mode": "triangular2"},
            {"mode": "exp_range", "gamma": 1 - 10 ** rng.uniform(-7, -1)},
        ][kind]
    if "scale_fn" in parameters:
        # Above a base of 0, `1 + sin(x)` near its zero is nothing but rounding.
        parameters["base_lr"] = max(parameters["base_lr"], parameters["max_lr"] / 100)
    return CyclicSchedule(**parameters)


def random_phases(rng: random.Random) -> PiecewiseSchedule:
    """Some phases of any lengths, of one shape or both, with a momentum or without."""
    has_momentum, shapes = rng.random() < 0.5, rng.choice((["linear"], ["cosine"], SHAPES))
    phases = []
    for _ in range(rng.choice((1, 2, 3, 4, 12))):
        rates = [rng.choice((0.0, _number(rng, -7, 0), _number(rng, -7, 0))) for _ in "se"]
        momenta = [round(rng.uniform(0, 0.99), 2) if has_momentum else None for _ in "se"]
        phases.append(Phase(_size(rng), *rates, rng.choice(shapes), *momenta))
    return PiecewiseSchedule(phases, repeat=rng.random() < 0.3)


def random_sequence(rng: random.Random) -> SequenceSchedule:
    """Two or three schedules of the other kinds, without momentum and without expressions."""
    number, parts = rng.choice((2, 3)), []
    while len(parts) < number:
        part = rng.choice((random_phases, random_schedule))(rng)
        if getattr(part, "scale_fn", None) is None:
            parts.append(rate_only(part))
    return SequenceSchedule(parts, sorted(rng.sample(range(1, 100_000), len(parts) - 1)))


def random_of_any_kind(rng: random.Random) -> Schedule:
    return rng.choices((random_schedule, random_phases, random_sequence), (15, 4, 1))[0](rng)


def random_expression_schedule(rng: random.Random) -> CyclicSchedule:
    """A schedule with an expression of any shape, whatever its curve looks like."""
    while True:
        try:
            return CyclicSchedule(
                base_lr=rng.choice((0.0, 0.001, rng.uniform(0, 0.1))),
                max_lr=rng.uniform(0.1, 1),
                step_size_up=rng.choice((10, 100, 2000, 33.3, 1e6)),
                scale_fn=_expression(rng, rng.randint(1, 4)),
                scale_mode=rng.choice(("cycle", "iterations")),
            )
        except ValueError:  # Not finite at 1, 2, 10 or a million.
            continue


def _expression(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.15:
        number = round(10 ** rng.uniform(-6, 2), rng.randint(3, 9))
        return rng.choice(("x", "x", "x", repr(number), "pi", "e"))

    def inner() -> str:
        return _expression(rng, depth - 1)

    kind = rng.random()
    if kind < 0.5:
        return f"({inner()} {rng.choice('+-*/')} {inner()})"
    if kind < 0.56:
        return f"({inner()}) ** {rng.choice((2, 3, 0.5, -1, -0.5, 1.5, 2.7, -3.3, 5, 10))}"
    if kind < 0.62:
        base = rng.choice((repr(round(rng.uniform(0.5, 1.5), 6)), f"(abs({inner()}) + 1e-3)"))
        return f"{base} ** ({inner()})"
    if kind < 0.68:
        return f"-({inner()})"
    name = rng.choice(("sin", "cos", "tanh", "exp", "log", "sqrt", "abs", "floor", "min", "max"))
    if name in ("min", "max"):
        return f"{name}({inner()}, {inner()})"
    return f"{name}({'abs' if name in ('log', 'sqrt') else ''}({inner()}))"


def random_steps(rng: random.Random, schedule: Schedule, count: int, max_step: int) -> list[int]:
    """Steps of every magnitude up to `max_step`, some of them at the turns of the curve."""
    last = min(max_step, largest_step(schedule))
    steps: list[int] = []
    if not isinstance(schedule, CyclicSchedule):
        turns = list(islice(schedule.turns(0, last), 100))
        for _ in range(count):
            step = int(10 ** rng.uniform(0, 16)) % (last + 1)
            near = rng.choice(turns) + rng.choice((-1, 0, 1))
            steps.append(min(max(rng.choice((step, step % (turns[-2] + 2), near)), 0), last))
        return steps
    for _ in range(count):
        step = int(10 ** rng.uniform(0, 16)) % (last + 1)
        if rng.random() < 0.3:
            cycle = step // schedule.cycle_size
            part = rng.choice((0.0, schedule.step_size_up)) + rng.choice((-1, 0, 1))
            step = int(cycle * schedule.cycle_size + part)
        steps.append(min(max(step, 0), last))
    return steps


def expected(schedule: Schedule, steps: list[int]) -> tuple[dict[int, float], int]:
    """The oracle's float32 rates, without those that the last float64 bits decide, and their count.

    Every host computes in float64 and rounds once. Where the exact value lies within a few float64
    ulps of the midpoint between two float32 numbers, either neighbour is a right answer.
    """
    return _settled({step: oracle.lr(schedule.to_dict(), step) for step in steps}, schedule, 0.0)


def expected_momenta(schedule: Schedule, steps: list[int]) -> tuple[dict[int, float], int]:
    """The same for the momentum."""
    exact = {step: oracle.momentum(schedule.to_dict(), step) for step in steps}
    return _settled(exact, schedule, getattr(schedule, "max_momentum", 0.0))


def _settled(
    exact: dict[int, Fraction], schedule: Schedule, start: float
) -> tuple[dict[int, float], int]:
    settled = {
        step: oracle.to_float32(value)
        for step, value in exact.items()
        if not oracle.near_midpoint32(value, _float64_ulps(schedule, value, start))
    }
    return settled, len(exact) - len(settled)


def _float64_ulps(schedule: Schedule, value: Fraction, start: float) -> int:
    """How far a right float64 value may be from the exact one.

    Four by design; an expression takes several operations more than the three modes. Where the
    curve falls, `start * (1 - wave)` has the absolute error of the wave, which counts for more the
    further the curve has fallen below its start (momentum only, and only for a tiny base_momentum).
    """
    if isinstance(schedule, SequenceSchedule):
        return max(_float64_ulps(each, value, start) for each in schedule.schedules)
    if isinstance(schedule, PiecewiseSchedule):
        return 8  # The place in the phase has an ulp, of which a cosine takes the square.
    ulps = 4 if schedule.scale_fn is None else 64
    return ulps * max(1, ceil(Fraction(start) / value)) if value else ulps


def _number(rng: random.Random, low: float, high: float) -> float:
    number = 10 ** rng.uniform(low, high)
    return rng.choice((number, float32(number), float(f"{number:.2g}")))


def _size(rng: random.Random) -> float:
    size = 10 ** rng.uniform(0, 5)
    return rng.choice((float(max(1, round(size))), round(size) + 0.5, round(size, 1), size))
