"""From the size of the data set to a schedule that ends at the end of a cycle."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clr_core._arguments import LARGEST_STEP, integer, number, received
from clr_core.range_finding.result import BASE_PART, RangeTestResult
from clr_core.schedules.cycles import cycle_of
from clr_core.schedules.cyclic import CyclicSchedule

if TYPE_CHECKING:
    from collections.abc import Mapping

# The paper: a half cycle of 2 to 10 epochs, and at least 3 cycles.
SHORTEST, LONGEST, CYCLES = 2, 10, 3
USUAL = 4  # Epochs in a half cycle, as in the paper's examples on CIFAR-10.
GIVEN_BY_EPOCHS = ("step_size_up", "step_size_down")


@dataclass(frozen=True)
class Suggestion:
    """A schedule for a training, and how the training fits into it.

        >>> print(suggest_schedule(samples=50_000, batch_size=100, epochs=24, max_lr=0.006))
        CyclicSchedule(base_lr=0.0015, max_lr=0.006)
        500 updates in an epoch, 12,000 in 24 epochs
        a cycle has 8 epochs; training ends at base_lr, after 3 cycles
        note: A step is an update: step the schedule 500 times in an epoch. Once per epoch, a
        cycle would take 4,000 epochs.

    Args:
        schedule: The schedule.
        epochs: Epochs of training.
        batches_per_epoch: Batches that a process goes through in an epoch.
        steps_per_epoch: Updates in an epoch.
        steps: Updates in all.
        cycles: Whole cycles in these.
        ends_at_base_lr: Whether the last of them ends where training does: no step is nearer to
            the end of a cycle than the last one.
        ending_step_size: The nearest step size with which that is so; None: it is so.
        notes: What is often done wrong, with the numbers of this training, as sentences.
        warnings: What is unusual about these numbers, as sentences.
    """

    schedule: CyclicSchedule
    epochs: int
    batches_per_epoch: int
    steps_per_epoch: int
    steps: int
    cycles: int
    ends_at_base_lr: bool
    ending_step_size: float | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as plain data, for JSON.

        Raises:
            TypeError: The schedule has a `scale_fn` that is a Python callable.
        """
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return plain | {
            "schedule": self.schedule.to_dict(),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        from textwrap import wrap

        size = self.schedule.cycle_size / self.steps_per_epoch
        ends = "at base_lr" if self.ends_at_base_lr else "within a cycle"
        lines = [
            repr(self.schedule),
            f"{_many(self.steps_per_epoch, 'update')} in an epoch, {self.steps:,} in "
            f"{_many(self.epochs, 'epoch')}",
            f"a cycle has {_many(size, 'epoch')}; training ends {ends}, after "
            f"{_many(self.cycles, 'cycle')}",
        ]
        for kind, sentences in (("warning", self.warnings), ("note", self.notes)):
            for sentence in sentences:
                lines += wrap(f"{kind}: {sentence}", 90, break_on_hyphens=False)
        return "\n".join(lines)


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
    **parameters: Any,
) -> Suggestion:
    """A schedule whose cycles fit into a training, from the sizes that one knows of it.

    With `c` whole cycles, by default three where that leaves two epochs for each half of a cycle,
    and for longer trainings as many as make the halves about four epochs long:

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

    Args:
        samples: Samples in the data set.
        batch_size: Samples in a batch of one process.
        epochs: Epochs of the whole training.
        max_lr: The upper boundary.
        result: What a range test found, in place of `max_lr`. Both: the boundary of one's own.
        base_lr: The lower boundary; None: a quarter of `max_lr`.
        accumulation_steps: Batches whose gradients make one update. Where an epoch leaves some
            over, they make an update of their own.
        processes: Processes that share the samples, as torch's `DistributedSampler` shares them.
        drop_last: Whether samples are left out so that all batches are full, and all processes
            have as many: `drop_last` of the `DataLoader` and of the `DistributedSampler`.
        epochs_per_half_cycle: Epochs in the rising half; the paper suggests 2 to 10. None: such
            that the last cycle ends with the training.
        **parameters: What else a `CyclicSchedule` takes, but for the step sizes: `mode`, `gamma`,
            `base_momentum` …

    Raises:
        TypeError: An argument of the wrong kind, or an unknown one.
        ValueError: An argument outside its range, no `max_lr`, or not a single full batch.
    """
    given = {
        "samples": samples,
        "batch_size": batch_size,
        "epochs": epochs,
        "accumulation_steps": accumulation_steps,
        "processes": processes,
    }
    for name, value in given.items():
        if not 1 <= integer(name, value) <= LARGEST_STEP:
            raise ValueError(f"`{name}` must be from 1 to 2**53. {received(name, value)}")
    if not isinstance(drop_last, bool):
        raise TypeError(f"`drop_last` must be True or False. {received('drop_last', drop_last)}")
    if result is not None and not isinstance(result, RangeTestResult):
        raise TypeError(
            f"`result` must be the result of a range test. {received('result', result)}"
        )
    for name in GIVEN_BY_EPOCHS:
        if name in parameters:
            raise TypeError(
                f"`{name}` follows from the epochs. {received(name, parameters[name])}. "
                "Give `epochs_per_half_cycle`."
            )

    batches = _batches(samples, batch_size, processes, drop_last, drop_last)
    if not batches:
        raise ValueError(
            "With `drop_last` an epoch must have a full batch for each process. "
            f"Received: samples={samples}, batch_size={batch_size}, processes={processes}"
        )
    per_epoch = -(-batches // accumulation_steps)
    steps = epochs * per_epoch
    if steps > LARGEST_STEP:
        raise ValueError(
            f"`epochs` must leave it at 2**53 updates at most. {received('epochs', epochs)}"
        )
    if epochs_per_half_cycle is None:
        cycles = _cycles(epochs)
        step_size = steps / (2 * cycles)
    else:
        half = number("epochs_per_half_cycle", epochs_per_half_cycle)
        if half <= 0.0:
            raise ValueError(
                "`epochs_per_half_cycle` must be positive. "
                f"{received('epochs_per_half_cycle', epochs_per_half_cycle)}"
            )
        step_size = half * per_epoch
    schedule = _schedule(step_size, max_lr, base_lr, result, parameters)

    ends, cycles = _ended(schedule, steps)
    ending = None if ends else steps / (2 * max(1, round(steps / schedule.cycle_size)))
    warnings = [
        *_about_the_cycles(schedule, steps, per_epoch, ending),
        *_about_the_batches(given, batches, drop_last),
        *(result.warnings if result is not None else ()),
    ]
    return Suggestion(
        schedule=schedule,
        epochs=epochs,
        batches_per_epoch=batches,
        steps_per_epoch=per_epoch,
        steps=steps,
        cycles=cycles,
        ends_at_base_lr=ends,
        ending_step_size=ending,
        notes=tuple(_notes(given, schedule, per_epoch)),
        warnings=tuple(warnings),
    )


def _batches(
    samples: int, batch_size: int, processes: int, drop_last: bool, sampler_drops: bool
) -> int:
    """The batches of an epoch in each process."""
    own = samples // processes if sampler_drops else -(-samples // processes)
    return own // batch_size if drop_last else -(-own // batch_size)


def _cycles(epochs: int) -> int:
    """How many cycles: three if these aren't too short, and more if they would be long."""
    return max(1, min(CYCLES, epochs // (2 * SHORTEST)), round(epochs / (2 * USUAL)))


def _schedule(
    step_size: float,
    max_lr: float | None,
    base_lr: float | None,
    result: RangeTestResult | None,
    parameters: Mapping[str, Any],
) -> CyclicSchedule:
    if max_lr is not None and number("max_lr", max_lr) <= 0.0:
        # Before a quarter of it is complained of, which the caller never gave.
        raise ValueError(f"`max_lr` must be positive. {received('max_lr', max_lr)}")
    own = {"max_lr": max_lr, "base_lr": base_lr}
    boundaries: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if result is not None:
        return result.schedule(step_size, **boundaries, **parameters)
    if max_lr is None:
        raise ValueError("`max_lr` must be given, or the `result` of a range test.")
    boundaries.setdefault("base_lr", max_lr / BASE_PART)
    return CyclicSchedule(step_size_up=step_size, **boundaries, **parameters)


def _ended(schedule: CyclicSchedule, steps: int) -> tuple[bool, int]:
    """Whether training ends where a cycle does, and how many whole cycles it has."""
    cycles = round(Fraction(steps) / Fraction(schedule.cycle_size))
    if cycles and round(cycles * Fraction(schedule.cycle_size)) == steps:
        return True, cycles
    return False, cycle_of(steps, schedule.cycle_size)


def _about_the_cycles(
    schedule: CyclicSchedule, steps: int, per_epoch: int, ending: float | None
) -> list[str]:
    said = []
    half = schedule.step_size_up / per_epoch
    if ending is not None:
        cycle = cycle_of(steps - 1, schedule.cycle_size)
        top = schedule.lr(round(cycle * schedule.cycle_size + schedule.step_size_up))
        part = (schedule.lr(steps) - schedule.base_lr) / ((top - schedule.base_lr) or 1.0)
        said.append(
            f"Training would end within cycle {cycle + 1}, {part:.0%} of the way from base_lr to "
            f"its peak. Halves of {_many(ending / per_epoch, 'epoch')}, which is "
            f"step_size_up={ending!r}, end at base_lr."
        )
    if not SHORTEST <= half <= LONGEST:
        said.append(
            f"Half a cycle has {_many(half, 'epoch')}: the paper suggests {SHORTEST} to {LONGEST}."
        )
    return said


def _about_the_batches(given: Mapping[str, int], batches: int, drop_last: bool) -> list[str]:
    said = []
    size, epochs = given["accumulation_steps"], given["epochs"]
    left = batches % size
    if left:
        said.append(
            f"An epoch has {_many(batches, 'batch')}, and {left:,} of them are left over after the "
            f"last {size:,}. Counted as an update of their own, as Lightning and Accelerate have "
            f"it. A loop that makes none of them has {_many(batches // size, 'update')} in an "
            f"epoch; Keras and optax.MultiSteps take them into the next epoch, and make "
            f"{epochs * batches // size:,} in all."
        )
    if drop_last:
        shared = given["samples"], given["batch_size"], given["processes"]
        other = _batches(*shared, True, False)
        if other != batches:
            said.append(
                "`drop_last` is taken for the DistributedSampler's too. With that of the "
                f"DataLoader alone, an epoch has {_many(other, 'batch')}, and not {batches:,}."
            )
    return said


def _notes(given: Mapping[str, int], schedule: CyclicSchedule, per_epoch: int) -> list[str]:
    size, processes = given["accumulation_steps"], given["processes"]
    said = [
        f"A step is an update: step the schedule {_many(per_epoch, 'time')} in an epoch. Once per "
        f"epoch, a cycle would take {_many(schedule.cycle_size, 'epoch')}."
    ]
    if size > 1:
        said.append(
            f"Of {size:,} micro-batches, the optimizer makes one update: step the schedule after "
            f"that, and not after each. Keras counts batches: give `gradient_accumulation_steps="
            f"{size}` to `clr_keras.CyclicLR`, too. Let the range test accumulate as well."
        )
    if processes > 1:
        together = processes * given["batch_size"] * size
        said.append(
            f"Each of the {processes:,} processes steps its own schedule once per update, of "
            f"{together:,} samples in all. Accelerate steps a scheduler that it has prepared "
            f"{processes:,} times as often: don't prepare it. `batch_size` is that of one process; "
            "where it is that of all together, leave `processes` at 1."
        )
    return said


def _many(count: float, thing: str) -> str:
    """The count with its word.

    >>> _many(1, "epoch"), _many(2.5, "epoch"), _many(4000, "batch")
    ('1 epoch', '2.5 epochs', '4,000 batches')
    """
    text = f"{count:,.0f}" if count == int(count) else f"{count:,.4g}"
    words = "batches" if thing == "batch" else f"{thing}s"
    return f"{text} {thing if count == 1 else words}"
