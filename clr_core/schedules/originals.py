"""Schedules of torch, transformers, Keras, optax and fastai, as phases.

Each function has the arguments of the original, in its order and with its defaults, and returns the
curve of the original, including whatever it does a step earlier or later than others. `lr` is what
torch and transformers take from the optimizer.

    >>> from clr_core import one_cycle
    >>> [each.steps for each in torch_one_cycle(0.1, 1000).phases]
    [299.0, 700.0]
    >>> [each.steps for each in one_cycle(0.1, 1000).phases]
    [300.0, 700.0]

What no phases can say is a ValueError: another exponent or number of cycles, a shape that is
neither linear nor a cosine. The page "Same name, other curve" compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from clr_core._arguments import LARGEST_STEP, integer, number, one_of, positive_number, received
from clr_core.schedules.piecewise import MOST_PHASES, Phase, PiecewiseSchedule, through
from clr_core.schedules.protocol import Schedule
from clr_core.schedules.sequence import SequenceSchedule

COMES_BACK = (
    "{} comes back up after {:g} steps and goes on so; the schedule read from it holds its last "
    "value. To come back up: PiecewiseSchedule([down, up], repeat=True)"
)
"""The warning for a cosine of torch or transformers, of its name and of when it turns."""

SHAPES = {"cos": "cosine", "linear": "linear"}


def torch_one_cycle(
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> PiecewiseSchedule:
    """The curve of torch's `OneCycleLR`, whose phases end a step earlier than `one_cycle`'s.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range; or the first phase ends before step 0 (with
            `pct_start * total_steps < 1`), which makes torch begin in the middle of a cosine.
    """
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError(
                "`total_steps`, or `epochs` and `steps_per_epoch`, must be given. "
                f"{received('total_steps', total_steps)}"
            )
        total_steps = integer("epochs", epochs) * integer("steps_per_epoch", steps_per_epoch)
    total, share = integer("total_steps", total_steps), number("pct_start", pct_start)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"`pct_start` must be from 0 to 1. {received('pct_start', pct_start)}")
    high = number("max_lr", max_lr)
    start = high / positive_number("div_factor", div_factor)
    end = start / positive_number("final_div_factor", final_div_factor)
    rates, ends = [start, high, end], [share * total - 1.0, total - 1.0]
    momenta: list[float] = [max_momentum, base_momentum, max_momentum]
    if three_phase:
        rates.insert(2, start)
        ends.insert(1, 2.0 * share * total - 2.0)
        momenta.append(max_momentum)
    return torch_phases(ends, rates, momenta if cycle_momentum else None, anneal_strategy)


def torch_phases(
    ends: Sequence[float],
    rates: Sequence[float],
    momenta: Sequence[float] | None,
    anneal_strategy: str,
) -> PiecewiseSchedule:
    """The phases of torch's `OneCycleLR` from their last steps and the values at their ends.

    Raises:
        ValueError: They don't reach step 1, or begin in the middle of a cosine.
    """
    shape = SHAPES[one_of("anneal_strategy", anneal_strategy, [*SHAPES])]
    phases: list[Phase] = []
    begin = 0.0
    for end, between, momentum in zip(
        ends, pairwise(rates), pairwise(momenta or [None] * len(rates)), strict=True
    ):
        if end == begin == 0.0:
            break
        if end >= 0.0 > begin:  # torch counts its position from before step 0.
            if shape == "cosine":
                break
            share = -begin / (end - begin)
            between, momentum = (_moved(pair, share) for pair in (between, momentum))
        if end > max(begin, 0.0):
            phases.append(Phase(end - max(begin, 0.0), *between, shape, *momentum))
        # A phase that would end before the one before it is never reached.
        begin = max(begin, end) if phases else end
    if not phases:
        raise ValueError(
            "The first phase must end after step 0: `pct_start * total_steps` must be above 1. "
            f"{received('ends', [*ends])}. Otherwise torch fails, or begins in the middle of a "
            "cosine, which no phase can"
        )
    return PiecewiseSchedule(phases)


def _moved(pair: tuple[Any, Any], share: float) -> tuple[Any, Any]:
    start, end = pair
    return (start, end) if start is None else (start + (end - start) * share, end)


def torch_cosine_annealing(lr: float, T_max: float, eta_min: float = 0.0) -> PiecewiseSchedule:
    """The curve of torch's `CosineAnnealingLR` to step `T_max`, after which it comes back up."""
    return PiecewiseSchedule([Phase(T_max, lr, eta_min, "cosine")])


def torch_warm_restarts(
    lr: float,
    T_0: int,
    T_mult: int = 1,
    eta_min: float = 0.0,
) -> PiecewiseSchedule:
    """The curve of torch's `CosineAnnealingWarmRestarts`: cycle i has `T_0 * T_mult ** i` steps."""
    growth = integer("T_mult", T_mult)
    return _restarts(integer("T_0", T_0), growth, lambda _: number("lr", lr), eta_min)


def torch_linear(
    lr: float, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
) -> PiecewiseSchedule:
    """The curve of torch's `LinearLR`: by default, it starts at a third of the rate."""
    low, high = lr * number("start_factor", start_factor), lr * number("end_factor", end_factor)
    return PiecewiseSchedule([Phase(integer("total_iters", total_iters), low, high)])


def torch_constant(lr: float, factor: float = 1 / 3, total_iters: int = 5) -> PiecewiseSchedule:
    """The curve of torch's `ConstantLR`: by default, a third of the rate in the first 5 steps."""
    low = lr * number("factor", factor)
    return PiecewiseSchedule([Phase(integer("total_iters", total_iters), low, low), _held(lr)])


def transformers_linear(
    lr: float, num_warmup_steps: float, num_training_steps: float
) -> PiecewiseSchedule:
    """The curve of transformers' `get_linear_schedule_with_warmup`."""
    warmup, decay = _warmup_and_decay(num_warmup_steps, num_training_steps)
    return _made((warmup, 0.0, lr), (decay, lr, 0.0))


def transformers_cosine(
    lr: float,
    num_warmup_steps: float,
    num_training_steps: float,
    num_cycles: float = 0.5,
    min_lr_rate: float = 0.0,
) -> PiecewiseSchedule:
    """The curve of transformers' `get_cosine_schedule_with_warmup` to `num_training_steps`.

    Then it comes back up. With `min_lr_rate`: `get_cosine_with_min_lr_schedule_with_warmup`.

    Raises:
        ValueError: `num_cycles` isn't 0.5: then the rate goes up and down.
    """
    _half("num_cycles", num_cycles)
    warmup, decay = _warmup_and_decay(num_warmup_steps, num_training_steps)
    low = number("min_lr_rate", min_lr_rate) * lr
    return _made((warmup, 0.0, lr), (decay, lr, low, "cosine"))


def transformers_wsd(
    lr: float,
    num_warmup_steps: float,
    num_decay_steps: float,
    num_training_steps: float | None = None,
    num_stable_steps: float | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> PiecewiseSchedule:
    """The curve of transformers' `get_wsd_schedule`: its decay is a cosine by default.

    Raises:
        ValueError: A shape of "1-sqrt", or a cosine with `num_cycles` other than 0.5.
    """
    shapes = ("linear", "cosine")
    one_of("warmup_type", warmup_type, shapes)
    if one_of("decay_type", decay_type, shapes) == "cosine":
        _half("num_cycles", num_cycles)
    warmup = _steps("num_warmup_steps", num_warmup_steps)
    decay = _steps("num_decay_steps", num_decay_steps)
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError(
                "`num_stable_steps` or `num_training_steps` must be given. "
                f"{received('num_stable_steps', num_stable_steps)}"
            )
        num_stable_steps = num_training_steps - warmup - decay
    low = number("min_lr_ratio", min_lr_ratio) * lr
    return _made(
        (warmup, low, lr, warmup_type),
        (_steps("num_stable_steps", num_stable_steps), lr, lr),
        (decay, lr, low, decay_type),
    )


def keras_cosine_decay(
    initial_learning_rate: float,
    decay_steps: float,
    alpha: float = 0.0,
    warmup_target: float | None = None,
    warmup_steps: float = 0,
) -> PiecewiseSchedule:
    """The curve of Keras's `CosineDecay`: `decay_steps` doesn't include the warm-up."""
    if warmup_target is None:
        warmup_steps, warmup_target = 0, initial_learning_rate
    return _made(
        (number("warmup_steps", warmup_steps), initial_learning_rate, warmup_target),
        (decay_steps, warmup_target, number("alpha", alpha) * warmup_target, "cosine"),
    )


def keras_cosine_decay_restarts(
    initial_learning_rate: float,
    first_decay_steps: float,
    t_mul: float = 2.0,
    m_mul: float = 1.0,
    alpha: float = 0.0,
) -> PiecewiseSchedule:
    """The curve of Keras's `CosineDecayRestarts`, whose `m_mul` multiplies what is above `alpha`.

    Raises:
        ValueError: `t_mul` is below 1, or there would be more than 10,000 cycles.
    """
    rate, low = number("initial_learning_rate", initial_learning_rate), number("alpha", alpha)
    factor = number("m_mul", m_mul)

    def peak(cycle: int) -> float:
        try:
            return rate * ((1.0 - low) * factor**cycle + low)
        except OverflowError:
            raise ValueError(f"The peaks must be finite. {received('m_mul', m_mul)}") from None

    growth = number("t_mul", t_mul)
    return _restarts(number("first_decay_steps", first_decay_steps), growth, peak, rate * low)


def optax_constant(value: float) -> PiecewiseSchedule:
    """The curve of optax's `constant_schedule`."""
    return PiecewiseSchedule([_held(value)])


def optax_linear(
    init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0
) -> PiecewiseSchedule:
    """The curve of optax's `linear_schedule`."""
    if integer("transition_steps", transition_steps) <= 0:
        return optax_constant(init_value)  # As optax does.
    return _made(
        (max(integer("transition_begin", transition_begin), 0), init_value, init_value),
        (transition_steps, init_value, end_value),
    )


def optax_cosine_decay(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> PiecewiseSchedule:
    """The curve of optax's `cosine_decay_schedule`.

    Raises:
        ValueError: `exponent` isn't 1.
    """
    _one("exponent", exponent)
    end = number("alpha", alpha) * init_value
    return PiecewiseSchedule([Phase(decay_steps, init_value, end, "cosine")])


def optax_warmup_cosine_decay(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> PiecewiseSchedule:
    """The curve of optax's `warmup_cosine_decay_schedule`: `decay_steps` includes the warm-up.

    Raises:
        ValueError: `exponent` isn't 1, or `decay_steps` isn't above `warmup_steps`.
    """
    _one("exponent", exponent)
    warmup = integer("warmup_steps", warmup_steps)
    if integer("decay_steps", decay_steps) <= warmup:
        raise ValueError(
            "`decay_steps` must be above `warmup_steps`, which it includes. "
            f"{received('decay_steps', decay_steps, warmup_steps=warmup_steps)}"
        )
    return _made(
        (warmup, init_value, peak_value),
        (decay_steps - warmup, peak_value, end_value, "cosine"),
    )


def optax_cosine_onecycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> PiecewiseSchedule:
    """The curve of optax's `cosine_onecycle_schedule`, whose first phase has whole steps."""
    start = peak_value / positive_number("div_factor", div_factor)
    up = _share(pct_start, transition_steps)
    if not up < transition_steps:
        raise ValueError(f"`pct_start` must be below 1. {received('pct_start', pct_start)}")
    end = start / positive_number("final_div_factor", final_div_factor)
    return _interpolated(start, {up: peak_value, transition_steps: end}, "cosine")


def optax_linear_onecycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> PiecewiseSchedule:
    """The curve of optax's `linear_onecycle_schedule`, whose third phase begins at `pct_final`."""
    start = peak_value / positive_number("div_factor", div_factor)
    up, turn = (_share(each, transition_steps) for each in (pct_start, pct_final))
    if not up < turn < transition_steps:
        raise ValueError(
            "`pct_start` must be below `pct_final`, and that below 1, by a step at least. "
            f"{received('pct_start', pct_start, pct_final=pct_final)}"
        )
    end = start / positive_number("final_div_factor", final_div_factor)
    return _interpolated(start, {up: peak_value, turn: start, transition_steps: end}, "linear")


def optax_sgdr(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """The curve of optax's `sgdr_schedule`: a list of warm-ups, each with a cosine."""
    schedules: list[Schedule] = []
    boundaries: list[int] = []
    for arguments in cosine_kwargs:
        schedules.append(optax_warmup_cosine_decay(**arguments))
        boundaries.append(sum(boundaries[-1:]) + arguments["decay_steps"])
    return joined(schedules, boundaries[:-1])


def joined(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """The curve of optax's `join_schedules`, and of torch's `SequentialLR`.

    It is one list of phases, unless another kind of schedule is in it, or one that is cut off.
    """
    if len(schedules) == 1 and not len(boundaries):
        return schedules[0]
    sequence = SequenceSchedule([*schedules], [*boundaries])
    phases: list[Phase] = []
    spans = [after - before for before, after in pairwise((0, *sequence.boundaries))]
    for each, span in zip(sequence.schedules, [*spans, None], strict=True):
        if not isinstance(each, PiecewiseSchedule) or each.repeat:
            return sequence
        phases += each.phases
        if span is not None and each.total_steps > span:
            return sequence
        if span is not None and each.total_steps < span:
            last = phases[-1]
            momentum = last.end_momentum
            rest = span - each.total_steps
            phases.append(Phase(rest, last.end, last.end, "linear", momentum, momentum))
    return PiecewiseSchedule(phases)


def fastai_one_cycle(
    lr_max: float,
    total_steps: int,
    pct_start: float = 0.25,
    div: float = 25.0,
    div_final: float = 1e5,
    moms: tuple[float, float, float] | None = (0.95, 0.85, 0.95),
) -> PiecewiseSchedule:
    """The curve of fastai's `fit_one_cycle`, whose `div_final` divides the peak."""
    high, up = number("lr_max", lr_max), number("pct_start", pct_start) * total_steps
    rates = [
        high / positive_number("div", div),
        high,
        high / positive_number("div_final", div_final),
    ]
    return PiecewiseSchedule(through((up, total_steps - up), rates, "cosine", moms))


def _restarts(
    first: float, growth: float, peak: Callable[[int], float], low: float
) -> PiecewiseSchedule:
    """Cosines from the peak of each cycle to one low value, to step 2**53."""
    if growth < 1.0:
        raise ValueError(f"The cycles must not become shorter. {received('growth', growth)}")
    if growth == 1.0 and peak(1) == peak(0):
        return PiecewiseSchedule([Phase(first, peak(0), low, "cosine")], repeat=True)
    phases: list[Phase] = []
    end = 0.0
    # Once the peak has decayed to the low value, that is held.
    while end <= LARGEST_STEP and not (phases and peak(len(phases)) == low):
        if len(phases) == MOST_PHASES:
            raise ValueError(
                f"There must be at most {MOST_PHASES:,} cycles to step 2**53. "
                f"{received('growth', growth)}. Say how many: clr_core.warm_restarts(…, cycles=…)"
            )
        cycle = len(phases)
        phases.append(Phase(first * growth**cycle, peak(cycle), low, "cosine"))
        end += phases[-1].steps
    return PiecewiseSchedule(phases)


def _interpolated(start: float, values: Mapping[int, float], shape: str) -> PiecewiseSchedule:
    """The curve of optax's `piecewise_interpolate_schedule`, from values in place of factors."""
    corners = [(0, start), *sorted(values.items())]
    return _made(*((b - a, one, other, shape) for (a, one), (b, other) in pairwise(corners)))


def _made(*given: tuple[Any, ...]) -> PiecewiseSchedule:
    """The phases that have a length, and the end of the last one held."""
    phases = [Phase(*each) for each in given if each[0] != 0]
    if given[-1][0] == 0:
        phases.append(_held(given[-1][2]))
    return PiecewiseSchedule(phases)


def _held(value: float) -> Phase:
    return Phase(1, value, value)


def _warmup_and_decay(num_warmup_steps: object, num_training_steps: object) -> tuple[float, float]:
    warmup = _steps("num_warmup_steps", num_warmup_steps)
    decay = number("num_training_steps", num_training_steps) - warmup
    if decay < 1.0:
        raise ValueError(
            "`num_training_steps` must be above `num_warmup_steps` by 1 at least. "
            f"{received('num_training_steps', num_training_steps)}, "
            f"num_warmup_steps={num_warmup_steps!r}"
        )
    return warmup, decay


def _steps(name: str, given: object) -> float:
    """A number of steps by which transformers divides if it is at least 1."""
    steps = number(name, given)
    if steps < 1.0 and steps != 0.0:
        raise ValueError(f"`{name}` must be 0 or at least 1. {received(name, given)}")
    return steps


def _share(share: object, steps: int) -> int:
    return int(number("pct_start", share) * integer("transition_steps", steps))


def _half(name: str, given: object) -> None:
    if number(name, given) != 0.5:
        raise ValueError(
            f"`{name}` must be 0.5 to be read, a cosine down: with others the rate goes up and "
            f"down. {received(name, given)}. Write these phases out as a PiecewiseSchedule"
        )


def _one(name: str, given: object) -> None:
    if number(name, given) != 1.0:
        raise ValueError(
            f"`{name}` must be 1 to be read: no phase is a power of a cosine. "
            f"{received(name, given)}"
        )
