"""Plan a schedule that ends with the training, from the training's sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from textwrap import wrap
from typing import Any, Unpack

from clr_core._arguments import (
    LARGEST_STEP,
    count,
    not_negative,
    one_of,
    positive_number,
    received,
)
from clr_core.range_finding.result import RangeTestResult, ScheduleOptions, boundaries
from clr_core.schedules import families
from clr_core.schedules.cycles import cycle_of
from clr_core.schedules.cyclic import CyclicSchedule
from clr_core.schedules.piecewise import PiecewiseSchedule
from clr_core.schedules.svg import html

# The paper: a half cycle of 2 to 10 epochs, and at least 3 cycles.
SHORTEST, LONGEST, CYCLES = 2, 10, 3
USUAL = 4  # Epochs in a half cycle, as in the paper's examples on CIFAR-10.
NEARBY = 100  # How many other numbers of epochs are tried, in either direction.
GIVEN_BY_EPOCHS = ("step_size_up", "step_size_down")
KINDS = ("cyclic", "one_cycle", "warm_restarts", "warmup_cosine", "warmup_stable_decay")
RESTARTS = 2**CYCLES - 1  # The first cycles that fit into all, if each is twice as long.
# The parts of a training that are a warm-up, and a decay after a constant rate.
WARM_UP, DECAY = Fraction(1, 20), Fraction(1, 5)


@dataclass(frozen=True)
class Suggestion:
    """A schedule for a training, and how the two fit together.

        >>> print(suggest_schedule(samples=50_000, batch_size=100, epochs=24, max_lr=0.006))
        CyclicSchedule(base_lr=0.0015, max_lr=0.006)
        500 updates in an epoch, 12,000 in 24 epochs
        a cycle has 8 epochs; training ends at base_lr, after 3 cycles
        note: A step is an update: step the schedule 500 times in an epoch. Once per epoch, a
        cycle would take 4,000 epochs.

    Args:
        schedule: The schedule: a `CyclicSchedule` for the kind "cyclic".
        epochs: Epochs of training.
        batches_per_epoch: Batches that each process goes through in an epoch.
        steps_per_epoch: Updates in an epoch.
        steps: Updates in the whole training.
        cycles: Whole cycles in these; 1 for phases without restarts.
        ends_at_base_lr: Whether the last cycle ends with the training: no step is nearer to the end
            of a cycle than the last one. Phases always do.
        ending_step_size: The nearest step size for which it would; None: it does.
        notes: Common mistakes, with the numbers of this training, as sentences.
        warnings: Anything unusual about these numbers, as sentences.
        whole_epochs: The nearest smaller and larger numbers of epochs that consist of whole cycles
            or, if the halves weren't given, of cycles with halves of whole epochs. Empty if
            `epochs` is one, or there is none nearby.
    """

    schedule: CyclicSchedule | PiecewiseSchedule
    epochs: int
    batches_per_epoch: int
    steps_per_epoch: int
    steps: int
    cycles: int
    ends_at_base_lr: bool
    ending_step_size: float | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    whole_epochs: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as plain data, for JSON.

        Raises:
            TypeError: The schedule has a `scale_fn` that is a Python callable.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        } | {"schedule": self.schedule.to_dict()}

    def __str__(self) -> str:
        lines = [line for sentence in self._sentences() for line in wrap(sentence, 90)]
        return "\n".join([repr(self.schedule), *lines])

    def _repr_html_(self) -> str:
        """A picture of the whole training above the sentences, for notebooks."""
        return html({"": self.schedule}, self._sentences(), end=self.steps)

    def _sentences(self) -> list[str]:
        lines = [
            f"{_many(self.steps_per_epoch, 'update')} in an epoch, {self.steps:,} in "
            f"{_many(self.epochs, 'epoch')}",
        ]
        if isinstance(self.schedule, CyclicSchedule):
            size = self.schedule.cycle_size / self.steps_per_epoch
            ends = "at base_lr" if self.ends_at_base_lr else "within a cycle"
            lines.append(
                f"a cycle has {_many(size, 'epoch')}; training ends {ends}, after "
                f"{_many(self.cycles, 'cycle')}"
            )
        else:
            sizes = [each.steps / self.steps_per_epoch for each in self.schedule.phases]
            lines.append(f"phases of {', '.join(f'{size:.4g}' for size in sizes)} epochs")
        lines += [f"warning: {sentence}" for sentence in self.warnings]
        return lines + [f"note: {sentence}" for sentence in self.notes]


def suggest_schedule(
    *,
    samples: int,
    batch_size: int,
    epochs: int,
    max_lr: float | None = None,
    result: RangeTestResult | None = None,
    base_lr: float | None = None,
    accumulation_steps: int = 1,
    processes: int = 1,
    drop_last: bool = False,
    epochs_per_half_cycle: float | None = None,
    kind: str = "cyclic",
    **options: Unpack[ScheduleOptions],
) -> Suggestion:
    """A schedule that fits into a training of the given sizes: cyclic, or of another kind.

    With `c` whole cycles, by default three if that leaves two epochs for each half of a cycle, and
    in longer trainings as many as make the halves about four epochs long:

        batches_per_epoch = ceil(ceil(samples / processes) / batch_size)    both floor if drop_last
        steps_per_epoch   = ceil(batches_per_epoch / accumulation_steps)
        step_size_up      = epochs * steps_per_epoch / (2 * c)

        >>> found = suggest_schedule(samples=1437, batch_size=32, epochs=12, max_lr=0.8)
        >>> found.schedule, found.steps, found.cycles
        (CyclicSchedule(base_lr=0.2, max_lr=0.8, step_size_up=90.0), 540, 3)
        >>> found = suggest_schedule(
        ...     samples=1437, batch_size=32, epochs=12, max_lr=0.8, epochs_per_half_cycle=4
        ... )
        >>> found.ends_at_base_lr, found.ending_step_size
        (False, 135.0)

    The other kinds end with the training as well: "one_cycle", with the rise in 30 % of the steps;
    "warm_restarts", three cycles, each twice as long as the one before; "warmup_cosine", with 5 %
    for the warm-up; "warmup_stable_decay", with 5 % for the warm-up and 20 % for the decay.

        >>> suggest_schedule(
        ...     samples=1437, batch_size=32, epochs=12, max_lr=0.8, kind="warmup_cosine"
        ... ).schedule
        PiecewiseSchedule([Phase(27.0, 0.0, 0.8), Phase(513.0, 0.8, 0.0, 'cosine')])

    Args:
        samples: Samples in the data set.
        batch_size: Samples in a batch of one process.
        epochs: Epochs of the whole training.
        max_lr: The upper boundary.
        result: The result of a range test, in place of `max_lr`. A `max_lr` or `base_lr` that is
            given too overrides that of the test, and a warning says so.
        base_lr: The lower boundary; None: a quarter of `max_lr`. For the other kinds, the first
            rate of one cycle, by default a 25th, or the last rate of the others, by default 0.
        accumulation_steps: Batches whose gradients make one update. Batches left over at the end
            of an epoch make one more update.
        processes: Processes that share the samples, as torch's `DistributedSampler` shares them.
        drop_last: Whether samples are left out so that all batches are full and all processes have
            equally many: `drop_last` of the `DataLoader` and of the `DistributedSampler`.
        epochs_per_half_cycle: Epochs in the rising half; the paper suggests 2 to 10. None: such
            that the last cycle ends with the training.
        kind: "cyclic", or the name of a function: "one_cycle", "warm_restarts", "warmup_cosine",
            "warmup_stable_decay".
        **options: `mode`, `gamma`, `scale_fn`, `scale_mode`, `base_momentum` and `max_momentum`, as
            in `CyclicSchedule`; for one cycle, the momenta alone; for the other kinds, none.

    Raises:
        TypeError: An argument of the wrong kind, or an unknown one.
        ValueError: An argument outside its range, no `max_lr`, or not a single full batch.
    """
    sizes = {
        "samples": samples,
        "batch_size": batch_size,
        "epochs": epochs,
        "accumulation_steps": accumulation_steps,
        "processes": processes,
    }
    _check(sizes, drop_last, result, options)
    batches = _batches(samples, batch_size, processes, drop_last, drop_last)
    if not batches:
        raise ValueError(
            "With `drop_last` an epoch must have a full batch for each process. "
            f"{received('samples', samples, batch_size=batch_size, processes=processes)}"
        )
    per_epoch = -(-batches // accumulation_steps)
    steps = epochs * per_epoch
    if steps > LARGEST_STEP:
        raise ValueError(
            f"`epochs` must result in at most 2**53 updates. {received('epochs', epochs)}"
        )
    if result is None and max_lr is None:
        raise ValueError("`max_lr` must be given, or the `result` of a range test.")
    schedule: CyclicSchedule | PiecewiseSchedule
    ending: float | None = None
    warnings: list[str] = []
    if one_of("kind", kind, KINDS) != "cyclic":
        if epochs_per_half_cycle is not None:
            raise ValueError(
                "`epochs_per_half_cycle` is for the kind 'cyclic'. "
                f"{received('epochs_per_half_cycle', epochs_per_half_cycle, kind=kind)}"
            )
        # The test's own error, if it suggests no rate.
        peak = max_lr if result is None else result.schedule(1.0, max_lr=max_lr).max_lr
        schedule = _of_kind(kind, positive_number("max_lr", peak), base_lr, steps, options)
        restarts = kind == "warm_restarts"
        cycles = len(schedule.phases) if restarts else 1
        whole = _whole_epochs(epochs, lambda each: not restarts or each % RESTARTS == 0)
        parts, what, length = "cycles", "it", float(steps)
    else:
        size = epochs * per_epoch / (2 * _cycles(epochs))
        if epochs_per_half_cycle is not None:
            size = positive_number("epochs_per_half_cycle", epochs_per_half_cycle) * per_epoch
        if result is not None:
            cyclic = result.schedule(size, max_lr=max_lr, base_lr=base_lr, **options)
        else:
            cyclic = CyclicSchedule(step_size_up=size, **boundaries(max_lr, base_lr), **options)
        schedule = cyclic
        ends, cycles = _end(cyclic, steps)
        if not ends:
            ending = steps / (2 * max(1, round(steps / cyclic.cycle_size)))
        if epochs_per_half_cycle is None:
            whole = _whole_epochs(epochs, lambda each: each % (2 * _cycles(each)) == 0)
        else:
            whole = _whole_epochs(epochs, lambda each: _end(cyclic, each * per_epoch)[0])
        parts, what, length = "halves of a cycle", "a cycle", cyclic.cycle_size
        warnings += _about_the_cycles(cyclic, steps, per_epoch, ending, whole)
    warnings += _about_the_batches(sizes, batches, drop_last)
    warnings += _about_the_result(result, {"max_lr": max_lr, "base_lr": base_lr})
    notes = _notes(sizes, what, length, per_epoch)
    if whole and ending is None:
        fits = f"a training of {_or(whole)} epochs"
        notes.insert(0, f"The {parts} would have whole numbers of epochs in {fits}.")
    return Suggestion(
        schedule=schedule,
        epochs=epochs,
        batches_per_epoch=batches,
        steps_per_epoch=per_epoch,
        steps=steps,
        cycles=cycles,
        ends_at_base_lr=ending is None,
        ending_step_size=ending,
        notes=tuple(notes),
        warnings=tuple(warnings),
        whole_epochs=whole,
    )


def _check(
    sizes: Mapping[str, int], drop_last: object, result: object, options: Mapping[str, Any]
) -> None:
    for name, value in sizes.items():
        count(name, value, least=1)
    if not isinstance(drop_last, bool):
        raise TypeError(f"`drop_last` must be True or False. {received('drop_last', drop_last)}")
    if result is not None and not isinstance(result, RangeTestResult):
        raise TypeError(
            f"`result` must be the result of a range test. {received('result', result)}"
        )
    for name in GIVEN_BY_EPOCHS:
        if name in options:
            raise TypeError(
                f"`{name}` follows from the epochs. {received(name, options[name])}. "
                "Give `epochs_per_half_cycle`."
            )


def _batches(
    samples: int, batch_size: int, processes: int, drop_last: bool, sampler_drops: bool
) -> int:
    """The batches of an epoch in each process."""
    own = samples // processes if sampler_drops else -(-samples // processes)
    return own // batch_size if drop_last else -(-own // batch_size)


def _cycles(epochs: int) -> int:
    """Three cycles if these aren't too short, and more if they would be long."""
    return max(1, min(CYCLES, epochs // (2 * SHORTEST)), round(epochs / (2 * USUAL)))


def _whole_epochs(epochs: int, fits: Callable[[int], bool]) -> tuple[int, ...]:
    """The nearest smaller and larger numbers that fit, as far as there are any; none if it fits."""
    if fits(epochs):
        return ()
    below, above = (
        range(epochs - 1, max(0, epochs - NEARBY), -1),
        range(epochs + 1, epochs + NEARBY),
    )
    nearest = (next(filter(fits, each), None) for each in (below, above))
    return tuple(each for each in nearest if each is not None)


def _of_kind(
    kind: str, max_lr: float, base_lr: float | None, steps: int, options: Mapping[str, Any]
) -> PiecewiseSchedule:
    """The phases of a kind that end with the training."""
    momenta = ("base_momentum", "max_momentum") if kind == "one_cycle" else ()
    for name, value in options.items():
        if name not in momenta and value is not None:
            raise ValueError(
                f"`{name}` must be left out for the kind {kind!r}. {received(name, value)}"
            )
    low = 0.0 if base_lr is None else not_negative("base_lr", base_lr)
    if kind == "one_cycle":
        given: dict[str, Any] = {name: options.get(name) for name in momenta}
        if base_lr is not None:
            if not 0.0 < low < max_lr:
                raise ValueError(
                    "`base_lr` must be above 0 and below `max_lr` for one cycle. "
                    f"{received('base_lr', base_lr, max_lr=max_lr)}"
                )
            given["div_factor"] = max_lr / low
        return families.one_cycle(max_lr, steps, **given)
    if low > max_lr:
        raise ValueError(
            f"`base_lr` must not be above `max_lr`. {received('base_lr', base_lr, max_lr=max_lr)}"
        )
    if kind == "warm_restarts":
        return families.warm_restarts(
            max_lr, steps / RESTARTS, growth=2.0, min_lr=low, cycles=CYCLES
        )
    if steps < 2 / WARM_UP:
        raise ValueError(
            f"`epochs` must result in at least {2 / WARM_UP} updates for a warm-up of two. "
            f"Received: {steps} updates"
        )
    warmup, decay = round(steps * WARM_UP), round(steps * DECAY)
    if kind == "warmup_cosine":
        return families.warmup_cosine(max_lr, warmup, steps, end_lr=low)
    stable = steps - warmup - decay
    return families.warmup_stable_decay(max_lr, warmup, stable, decay, end_lr=low)


def _end(schedule: CyclicSchedule, steps: int) -> tuple[bool, int]:
    """Whether training ends at the end of a cycle, and its number of whole cycles."""
    cycles = round(Fraction(steps) / Fraction(schedule.cycle_size))
    if cycles and round(cycles * Fraction(schedule.cycle_size)) == steps:
        return True, cycles
    return False, cycle_of(steps, schedule.cycle_size)


def _about_the_cycles(
    schedule: CyclicSchedule,
    steps: int,
    per_epoch: int,
    ending: float | None,
    whole: tuple[int, ...],
) -> list[str]:
    said = []
    half = schedule.step_size_up / per_epoch
    if ending is not None:
        cycle = cycle_of(steps, schedule.cycle_size)
        top = schedule.lr(round(cycle * schedule.cycle_size + schedule.step_size_up))
        height = top - schedule.base_lr
        part = (schedule.lr(steps) - schedule.base_lr) / height if height else 0.0
        said.append(
            f"Training would end within cycle {cycle}, counted from 0, {part:.0%} of the way from "
            f"base_lr to its peak. Halves of {_many(ending / per_epoch, 'epoch')}, which is "
            f"step_size_up={ending!r}, end at base_lr"
            + (
                f"; with the present halves, a training of {_or(whole)} epochs does."
                if whole
                else "."
            )
        )
    if not SHORTEST <= half <= LONGEST:
        said.append(
            f"Half a cycle has {_many(half, 'epoch')}: the paper suggests {SHORTEST} to {LONGEST}."
        )
    return said


def _about_the_result(
    result: RangeTestResult | None, given: Mapping[str, float | None]
) -> list[str]:
    if result is None:
        return []
    found = {"max_lr": result.max_lr, "base_lr": result.base_lr}
    overridden = [
        f"`{name}` is {given[name]!r} as given, in place of the range test's {value!r}."
        for name, value in found.items()
        if None not in (value, given[name]) and value != given[name]
    ]
    return [*overridden, *result.warnings]


def _about_the_batches(given: Mapping[str, int], batches: int, drop_last: bool) -> list[str]:
    said = []
    size, epochs = given["accumulation_steps"], given["epochs"]
    left = batches % size
    if left:
        said.append(
            f"An epoch has {_many(batches, 'batch')}, and {left:,} of them are left over after the "
            f"last {size:,}. They are counted as one more update, as in Lightning and Accelerate. "
            f"A loop that drops them makes {_many(batches // size, 'update')} in an epoch; Keras "
            f"and optax.MultiSteps carry them over into the next epoch, and make "
            f"{epochs * batches // size:,} in all."
        )
    if drop_last:
        shared = given["samples"], given["batch_size"], given["processes"]
        other = _batches(*shared, True, False)
        if other != batches:
            said.append(
                "`drop_last` is assumed for the DistributedSampler too. With `drop_last` in the "
                f"DataLoader alone, an epoch has {_many(other, 'batch')}, not {batches:,}."
            )
    return said


def _notes(given: Mapping[str, int], what: str, length: float, per_epoch: int) -> list[str]:
    size, processes = given["accumulation_steps"], given["processes"]
    said = [
        f"A step is an update: step the schedule {_many(per_epoch, 'time')} in an epoch. Once per "
        f"epoch, {what} would take {_many(length, 'epoch')}."
    ]
    if size > 1:
        said.append(
            f"The optimizer makes one update for {size:,} micro-batches: step the schedule after "
            f"each update, not after each micro-batch. Keras counts batches: give "
            f"`gradient_accumulation_steps={size}` to `clr_keras.CyclicLR`, too. Let the range "
            "test accumulate as well."
        )
    if processes > 1:
        together = processes * given["batch_size"] * size
        said.append(
            f"Each of the {processes:,} processes steps its own schedule once per update, of "
            f"{together:,} samples in all. Accelerate steps a scheduler that it has prepared "
            f"{processes:,} times as often, unless it has step_with_optimizer=True. `batch_size` "
            "is counted per process; if yours is the total over all processes, leave `processes` "
            "at 1."
        )
    return said


def _or(numbers: tuple[int, ...]) -> str:
    return " or ".join(f"{each:,}" for each in numbers)


def _many(size: float, thing: str) -> str:
    """The size with its noun, singular or plural.

    >>> _many(1, "epoch"), _many(2.5, "epoch"), _many(4000, "batch")
    ('1 epoch', '2.5 epochs', '4,000 batches')
    """
    text = f"{size:,.0f}" if size == int(size) else f"{size:,.4g}"
    words = "batches" if thing == "batch" else f"{thing}s"
    return f"{text} {thing if size == 1 else words}"
