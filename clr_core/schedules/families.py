"""The usual schedules that are made of phases: each function returns a `PiecewiseSchedule`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple
from inspect import signature
from math import inf, isclose
from typing import Any

from clr_core._arguments import (
    LARGEST_STEP,
    integer,
    not_negative,
    number,
    positive_number,
    received,
)
from clr_core.schedules._parameters import momenta
from clr_core.schedules.piecewise import MOST_PHASES, Phase, PiecewiseSchedule, through


def one_cycle(
    max_lr: float,
    total_steps: float,
    *,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    shape: str = "cosine",
    three_phase: bool = False,
    base_momentum: float | None = None,
    max_momentum: float | None = None,
) -> PiecewiseSchedule:
    """One cycle: up to `max_lr`, and down to far below the start.

        >>> one_cycle(0.1, 1000).lr(300)
        0.1

    From `max_lr / div_factor` to `max_lr` in `pct_start * total_steps` steps, then down to
    `max_lr / div_factor / final_div_factor` in the rest. In three phases, the way down to the start
    is as long as the way up. The last of `total_steps` updates comes one step before the end value.

    Args:
        max_lr: The peak.
        total_steps: The steps of all phases.
        pct_start: The share of the first phase, between 0 and 1; below 0.5 in three phases.
        div_factor: `max_lr` divided by the first rate, at least 1.
        final_div_factor: The first rate divided by the last.
        shape: "cosine" or "linear".
        three_phase: Go down to the first rate, and to the last one in a third phase.
        base_momentum: Momentum at the peak; Smith suggests 0.85. Give both momenta or neither.
        max_momentum: Momentum at the start and the end; Smith suggests 0.95.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    References:
        Leslie N. Smith and Nicholay Topin, Super-Convergence, https://arxiv.org/abs/1708.07120.
        In torch's OneCycleLR, each phase ends one step earlier.
    """
    share, most = number("pct_start", pct_start), 0.5 if three_phase else 1.0
    if not 0.0 < share < most:
        raise ValueError(
            f"`pct_start` must be above 0 and below {most}. {received('pct_start', pct_start)}"
        )
    peak = not_negative("max_lr", max_lr)
    start = peak / positive_number("div_factor", div_factor)
    end = start / positive_number("final_div_factor", final_div_factor)
    given = received("div_factor", div_factor, final_div_factor=final_div_factor)
    if start > peak:
        raise ValueError(f"`div_factor` must be at least 1: `max_lr` is the peak. {given}")
    if end > peak:
        raise ValueError(
            f"`final_div_factor` must be at least 1 / `div_factor`: `max_lr` is the peak. {given}"
        )
    low, high = momenta(base_momentum, max_momentum)
    total = positive_number("total_steps", total_steps)
    up = share * total
    if three_phase:
        lengths, rates = [up, up, total - 2.0 * up], [start, peak, start, end]
    else:
        lengths, rates = [up, total - up], [start, peak, end]
    # The last momentum is that of a third phase.
    return PiecewiseSchedule(through(lengths, rates, shape, [high, low, high, high]))


def warm_restarts(
    max_lr: float,
    first_steps: float,
    *,
    growth: float = 1.0,
    decay: float = 1.0,
    min_lr: float = 0.0,
    cycles: int | None = None,
) -> PiecewiseSchedule:
    """A cosine from `max_lr` down to `min_lr`, again and again.

        >>> schedule = warm_restarts(0.1, 1000, growth=2)
        >>> [schedule.lr(step) for step in (0, 500, 1000, 2000, 3000)]
        [0.1, 0.05, 0.1, 0.05, 0.1]

    Cycle `i`, counted from 0, has `first_steps * growth ** i` steps and the peak
    `max_lr * decay ** i`.

    Args:
        max_lr: The first peak.
        first_steps: The steps of the first cycle.
        growth: Each cycle's length divided by that of the one before, at least 1.
        decay: Each cycle's peak divided by that of the one before, above 0 and at most 1.
        min_lr: The rate at the end of each cycle, at most the lowest peak.
        cycles: How many there are; then `min_lr` is held. None: no end (up to step 2**53).

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range; or `cycles` is left out although the peaks decay
            and the cycles don't grow.

    References:
        Ilya Loshchilov and Frank Hutter, SGDR, https://arxiv.org/abs/1608.03983;
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.
    """
    size = positive_number("first_steps", first_steps)
    growth_, decay_ = number("growth", growth), number("decay", decay)
    if growth_ < 1.0:
        raise ValueError(f"`growth` must be at least 1. {received('growth', growth)}")
    if not 0.0 < decay_ <= 1.0:
        raise ValueError(f"`decay` must be above 0 and at most 1. {received('decay', decay)}")
    peak = not_negative("max_lr", max_lr)
    low = _at_most(peak, "min_lr", min_lr)
    if cycles is None and growth_ == decay_ == 1.0:
        return PiecewiseSchedule([Phase(size, peak, low, "cosine")], repeat=True)
    if cycles is None:
        cycles, end = 0, 0.0
        while end <= LARGEST_STEP and cycles <= MOST_PHASES:
            end += size * growth_**cycles
            cycles += 1
        if growth_ == 1.0 or cycles > MOST_PHASES:
            raise ValueError(
                "`cycles` must be given unless the cycles grow so that few of them reach step "
                f"2**53. {received('growth', growth, decay=decay)}"
            )
    elif not 1 <= integer("cycles", cycles) <= MOST_PHASES:
        raise ValueError(
            f"`cycles` must be from 1 to {MOST_PHASES:,}. {received('cycles', cycles)}"
        )
    try:
        lengths = [size * growth_**cycle for cycle in range(cycles)]
    except OverflowError:
        lengths = [inf]
    if sum(lengths) == inf:
        raise ValueError(
            "`growth` must leave the sum of the cycles finite. "
            f"{received('growth', growth, cycles=cycles)}"
        )
    phases = []
    for cycle, length in enumerate(lengths):
        if peak * decay_**cycle < low:
            raise ValueError(
                "`min_lr` must not be above the peak of a cycle. "
                f"Received: min_lr={min_lr!r}, and a peak of {peak * decay_**cycle!r} in cycle "
                f"{cycle}, counted from 0"
            )
        phases.append(Phase(length, peak * decay_**cycle, low, "cosine"))
    return PiecewiseSchedule(phases)


def warmup_cosine(
    max_lr: float,
    warmup_steps: float,
    total_steps: float,
    *,
    start_lr: float = 0.0,
    end_lr: float = 0.0,
) -> PiecewiseSchedule:
    """A linear warm-up, and a cosine down.

        >>> schedule = warmup_cosine(0.1, 100, 1100)
        >>> [schedule.lr(step) for step in (0, 50, 100, 600, 1100)]
        [0.0, 0.05, 0.1, 0.05, 0.0]

    Args:
        max_lr: The peak.
        warmup_steps: The steps of the warm-up.
        total_steps: The steps of both; optax's `decay_steps`, and Keras's without the warm-up.
        start_lr: The rate of the first step, at most `max_lr`.
        end_lr: The rate after `total_steps`, which is held; at most `max_lr`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.
    """
    warmup, total = (
        positive_number("warmup_steps", warmup_steps),
        positive_number("total_steps", total_steps),
    )
    if total <= warmup:
        raise ValueError(
            "`total_steps` must be above `warmup_steps`, which it includes. "
            f"{received('total_steps', total_steps, warmup_steps=warmup_steps)}"
        )
    peak = not_negative("max_lr", max_lr)
    start, end = _at_most(peak, "start_lr", start_lr), _at_most(peak, "end_lr", end_lr)
    return PiecewiseSchedule(
        [Phase(warmup, start, peak), Phase(total - warmup, peak, end, "cosine")]
    )


def warmup_stable_decay(
    max_lr: float,
    warmup_steps: float,
    stable_steps: float,
    decay_steps: float,
    *,
    start_lr: float = 0.0,
    end_lr: float = 0.0,
    shape: str = "linear",
) -> PiecewiseSchedule:
    """A linear warm-up, a constant rate, and a decay (WSD).

        >>> schedule = warmup_stable_decay(0.1, 100, 1000, 200)
        >>> [schedule.lr(step) for step in (0, 50, 100, 1100, 1200, 1300)]
        [0.0, 0.05, 0.1, 0.1, 0.05, 0.0]

    Args:
        max_lr: The constant rate.
        warmup_steps: The steps of the warm-up.
        stable_steps: The steps at `max_lr`.
        decay_steps: The steps of the decay.
        start_lr: The rate of the first step, at most `max_lr`.
        end_lr: The rate after all of these, which is held; at most `max_lr`.
        shape: That of the decay, "linear" or "cosine".

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    References:
        Shengding Hu et al., MiniCPM, https://arxiv.org/abs/2404.06395.
    """
    peak = not_negative("max_lr", max_lr)
    start, end = _at_most(peak, "start_lr", start_lr), _at_most(peak, "end_lr", end_lr)
    return PiecewiseSchedule(
        [
            Phase(positive_number("warmup_steps", warmup_steps), start, peak),
            Phase(positive_number("stable_steps", stable_steps), peak, peak),
            Phase(positive_number("decay_steps", decay_steps), peak, end, shape),
        ]
    )


def _at_most(max_lr: float, name: str, value: float) -> float:
    """A rate from 0 to `max_lr`, or an error that names the argument."""
    rate = not_negative(name, value)
    if rate > max_lr:
        raise ValueError(
            f"`{name}` must not be above `max_lr`. {received(name, value, max_lr=max_lr)}. "
            "PiecewiseSchedule takes phases between any rates"
        )
    return rate


def arguments_of(schedule: PiecewiseSchedule) -> tuple[str, dict[str, Any]] | None:
    """The function above that makes these phases and its arguments, without those left at default.

        >>> arguments_of(one_cycle(0.1, 1000, pct_start=0.25))
        ('one_cycle', {'max_lr': 0.1, 'total_steps': 1000.0, 'pct_start': 0.25})

    Phases that differ in their last bits count as the same. None: no function makes them.
    """
    for make, given in _guesses(schedule):
        defaults = {name: each.default for name, each in signature(make).parameters.items()}
        given = {
            name: value
            for name, value in given.items()
            if value is not None and not _close(value, defaults[name])
        }
        try:
            made = make(**given)
        except (TypeError, ValueError):
            continue
        if made.repeat == schedule.repeat and len(made.phases) == len(schedule.phases):
            pairs = zip(made.phases, schedule.phases, strict=True)
            if all(
                _close(*values) for two in pairs for values in zip(*map(astuple, two), strict=True)
            ):
                return make.__name__, given
    return None


def _guesses(
    schedule: PiecewiseSchedule,
) -> Iterator[tuple[Callable[..., PiecewiseSchedule], dict[str, Any]]]:
    first, *rest = schedule.phases
    last, total = schedule.phases[-1], schedule.total_steps
    peak, start, end = first.end, first.start, last.end
    if first.shape == "cosine" and start > peak:
        after = rest[0] if rest else first
        ends = not schedule.repeat and total <= LARGEST_STEP
        yield (
            warm_restarts,
            {
                "max_lr": start,
                "first_steps": first.steps,
                "growth": after.steps / first.steps,
                "decay": after.start / start,
                "min_lr": end,
                "cycles": len(schedule.phases) if ends else None,
            },
        )
    ends_of = {"start_lr": start, "end_lr": end}
    if len(rest) == 1:
        yield (
            warmup_cosine,
            {"max_lr": peak, "warmup_steps": first.steps, "total_steps": total, **ends_of},
        )
    if len(rest) == 2:
        yield (
            warmup_stable_decay,
            {
                "max_lr": peak,
                "warmup_steps": first.steps,
                "stable_steps": rest[0].steps,
                "decay_steps": last.steps,
                "shape": last.shape,
                **ends_of,
            },
        )
    if start and end:
        yield (
            one_cycle,
            {
                "max_lr": peak,
                "total_steps": total,
                "pct_start": first.steps / total,
                "div_factor": peak / start,
                "final_div_factor": start / end,
                "shape": first.shape,
                "three_phase": len(rest) == 2,
                "base_momentum": first.end_momentum,
                "max_momentum": first.start_momentum,
            },
        )


def _close(one: Any, other: Any) -> bool:
    numbers = isinstance(one, float | int) and isinstance(other, float | int)
    return isclose(one, other, rel_tol=1e-12) if numbers else bool(one == other)
