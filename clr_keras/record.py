"""A run in Keras as a portable record, and an optimizer that resumes from a record."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np

from clr_core import Schedule
from clr_core.adapter import count, rate_only, received, schedules_from_documents
from clr_core.record import Record, check_record
from clr_keras import _keras_internals as internals
from clr_keras import checkpoint
from clr_keras.foreign import KERAS, document_from_addons, is_addons, is_keras, schedule_from_keras
from clr_keras.optimizer import CyclicOptimizer
from clr_keras.schedule import (
    CyclicLR,
    ScheduledLR,
    accumulation_steps,
    compiled,
    rates_of,
    updates,
)

Optimizer = TypeVar("Optimizer", bound=keras.Optimizer)


def to_record(source: Any, scale_fn: str | None = None) -> Record:
    """The schedule and the step of an optimizer, or of a model compiled with one.

        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = keras.optimizers.Adam(CyclicLR(schedule))
        >>> _ = optimizer.iterations.assign(102)
        >>> to_record(optimizer)
        Record(schedule=CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0), step=102)

    The step is the number of updates done. With `gradient_accumulation_steps`, the micro-batches of
    an incomplete update aren't carried. Neither is a momentum of the schedule that the optimizer
    didn't cycle (Keras's own optimizers don't): the record describes what the run did. For what the
    optimizer remembers of past gradients, see `clr_keras.to_moments`.

    Keras's own `CosineDecay` and `CosineDecayRestarts` are read too; see `schedule_from_keras`.

    Args:
        source: An optimizer whose `learning_rate` is a `ScheduledLR` or one of these two, an
            optimizer of this package, a `LossScaleOptimizer` or `MultiOptimizer` of these, or a
            compiled model.
        scale_fn: The decay as an expression, if the schedule's is a Python callable.

    Returns:
        A record with one schedule; with one per optimizer if those of a `MultiOptimizer` differ.

    Raises:
        TypeError: Neither an optimizer nor a model, another kind of rate, or a `scale_fn` that is a
            Python callable; with the argument `scale_fn`, several that differ.
        ValueError: A model that isn't compiled, a schedule that counts micro-batches in an
            optimizer that accumulates gradients, optimizers at different steps, or a count that has
            wrapped at 2**31, as those of Keras on JAX and on torch do.
    """
    optimizer = source
    if isinstance(source, keras.Model):
        optimizer = getattr(source, "optimizer", None)
        if optimizer is None:
            raise ValueError(f"`source` must be compiled. Received: the model {source.name!r}")
    if not isinstance(optimizer, keras.Optimizer):
        raise TypeError(
            f"`source` must be a Keras optimizer or a model. {received('source', source)}"
        )
    return _record([_live(each) for each in internals.inner_optimizers(optimizer)], scale_fn)


def read_record(
    path: str | PathLike[str],
    schedule: Schedule | ScheduledLR | None = None,
    scale_fn: str | None = None,
    *,
    step: int | None = None,
) -> Record:
    """The schedule and the step in a file that `model.save` or `model.save_weights` wrote.

    No model is built and nothing in the file is executed. Only the optimizer's config and its count
    are read: from a `.keras` file, a whole model in an `.h5` file, or weights in a `.weights.h5`
    file, of Keras 3 or Keras 2. The schedule in a model may also be Keras's own (see
    `schedule_from_keras`) or a tensorflow-addons one (see `schedule_from_addons`).

        >>> import tempfile
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.Adam(CyclicLR(schedule)))
        >>> with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        ...     model.save(file.name)
        ...     read_record(file.name).schedule == schedule
        True

    Args:
        path: The file.
        schedule: The schedule for a file without a cyclical one: weights, or a model whose rate is
            a number that a callback changed. A `ScheduledLR` if an optimizer in a file of weights
            accumulated gradients.
        scale_fn: The decay as an expression, if the schedule's is a Python callable.
        step: The number of updates done, for a file without the optimizer's count: Keras 2 doesn't
            save the state of a legacy optimizer in a `.keras` file, nor any in `.h5` weights.

    Raises:
        TypeError: `path` isn't a path, or `step` isn't an integer.
        ValueError: The file isn't one of these, with the reason in one line; or `schedule` or
            `step` is given for a file that has one, or left out for a file that has none.
        OSError: The file doesn't exist or can't be read.
    """
    rate = schedule
    if rate is not None and not isinstance(rate, ScheduledLR):
        rate = rates_of(rate)
    if step is not None:
        count("step", step)
    with checkpoint.opened(path, "a run with a schedule") as file:
        optimizers = file.optimizers()
        if file.model is None:
            reason = "it has weights and no schedule"
            counts_updates = getattr(rate, "gradient_accumulation_steps", 1) != 1
            if not counts_updates and any(map(file.accumulates, optimizers)):
                warnings.warn(
                    "The optimizer in this file of weights accumulates gradients, and counts "
                    "micro-batches as steps. Pass its number of them: "
                    "schedule=ScheduledLR(schedule, gradient_accumulation_steps=…)",
                    stacklevel=2,
                )
        else:
            reason = "the model in it wasn't compiled, so it has no schedule"
        return _record([_stored(each, rate, step, reason) for each in optimizers], scale_fn)


def from_record(record: Record, factory: type[Optimizer], **options: Any) -> Optimizer:
    """An optimizer whose next update is the one at the record's step.

        >>> from clr_core import CyclicSchedule
        >>> from clr_keras import SGD
        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> optimizer = from_record(Record(schedule, step=102), SGD, torch_velocity=True)
        >>> round(float(optimizer.learning_rate), 3), round(optimizer.momentum, 3)
        (0.5, 0.8)

    Compile the model with it, and `fit` resumes. It remembers no gradients yet: call
    `optimizer.build(model.trainable_variables)` and use `clr_keras.from_moments`. Otherwise Adam
    takes its zeros for means of `step` gradients, and its first updates are up to 3 times too
    large.

    Args:
        record: A record with one schedule.
        factory: The class of the optimizer: one of this package, which also cycles the schedule's
            momentum, or one of Keras for a schedule without a momentum.
        **options: Other arguments of the class. With `gradient_accumulation_steps` the schedule
            counts updates.

    Raises:
        TypeError: Not a record, or not a class of optimizers.
        ValueError: A record of several schedules, a momentum for an optimizer that doesn't cycle
            it, a step beyond what Keras can count, or a moving average, which would begin with
            zeros.
    """
    check_record(record)
    if not (isinstance(factory, type) and issubclass(factory, keras.Optimizer)):
        raise TypeError(f"`factory` must be a class of optimizers. {received('factory', factory)}")
    schedule = record.schedule
    if isinstance(schedule, tuple):
        raise ValueError(
            "`record` must have one schedule for a Keras optimizer. "
            f"Received: {len(schedule)}. Make an optimizer of each, from Record(schedule, "
            "record.step), and a keras.optimizers.MultiOptimizer of them"
        )
    if "learning_rate" in options:
        raise ValueError(
            "`learning_rate` must be left out: it is the record's schedule. "
            f"{received('learning_rate', options['learning_rate'])}"
        )
    if not issubclass(factory, CyclicOptimizer) and schedule.momentum(0) is not None:
        raise ValueError(
            "`factory` must be an optimizer of clr_keras for a schedule with a momentum. "
            f"Received: {factory.__module__}.{factory.__name__}, which doesn't cycle it. To ignore "
            "the momentum: Record(clr_core.adapter.rate_only(record.schedule), record.step)"
        )
    steps = accumulation_steps(options.get("gradient_accumulation_steps"))
    optimizer = factory(learning_rate=rates_of(schedule, steps), **options)
    if optimizer.use_ema and record.step:
        raise ValueError(
            "`use_ema` must be off in an optimizer that resumes: Keras's average of the weights "
            "begins with zeros, which Keras corrects at step 0 only. "
            f"{received('step', record.step)}"
        )
    iterations = internals.iterations(optimizer)
    largest = np.iinfo(iterations.dtype).max - 1  # One below, for the next update.
    if record.step * steps > largest:
        raise ValueError(
            f"`record.step` must be at most {largest // steps}, as Keras counts in "
            f"{iterations.dtype} here. {received('step', record.step)}"
        )
    iterations.assign(record.step * steps)
    return optimizer


class _Run(NamedTuple):
    """What an optimizer has done."""

    document: Mapping[str, Any]
    """The schedule as plain data, with Python callables or Keras's notes of these."""
    cycles: bool
    """True if the optimizer cycles the momentum."""
    step: int


def _record(runs: list[_Run], scale_fn: str | None) -> Record:
    steps = [run.step for run in runs]
    if set(steps) != {steps[0]}:
        raise ValueError(f"All optimizers must be at the same step. Received: {steps}")
    documents = (run.document for run in runs)
    carried = schedules_from_documents(documents, scale_fn, internals.name_of_note)
    schedules = tuple(
        schedule if run.cycles else rate_only(schedule)
        for run, schedule in zip(runs, carried, strict=True)
    )
    same = all(schedule == schedules[0] for schedule in schedules)
    return Record(schedules[0] if same else schedules, steps[0])


def _run(
    document: Mapping[str, Any], cycles: bool, iterations: int, counted: int, accumulated: int
) -> _Run:
    """The run of an optimizer.

    Of its `iterations`, which are micro-batches, the schedule counts so many as a step, and so many
    are accumulated for an update.
    """
    if counted != accumulated:
        raise ValueError(
            "`gradient_accumulation_steps` must be the same in the optimizer and in its "
            f"schedule. {received('gradient_accumulation_steps', accumulated)} and "
            f"{counted}. Otherwise no schedule has the rates of its updates"
        )
    return _Run(document, cycles, updates(iterations, accumulated))


def _live(optimizer: Any) -> _Run:
    rate = internals.rate(optimizer)
    former = compiled.get(optimizer)
    if former not in (None, rate):
        warnings.warn(
            f"The `learning_rate` of {optimizer.name!r} was replaced after its step was compiled, "
            "which keeps the former one until model.compile is called again",
            stacklevel=4,
        )
    if isinstance(rate, ScheduledLR):
        document = rate.schedule.to_dict(strict=False)
        counted = rate.gradient_accumulation_steps
    elif type(rate) in (kind for kind, _ in KERAS.values()):
        document, counted = schedule_from_keras(rate).to_dict(), 1
    else:
        raise TypeError(
            "`learning_rate` must be a clr_keras.ScheduledLR or CyclicLR, or Keras's "
            f"{' or '.join(KERAS)}. "
            f"Received: a {type(rate).__name__} in {optimizer.name!r}"
        )
    return _run(
        document,
        isinstance(optimizer, CyclicOptimizer),
        int(keras.ops.convert_to_numpy(internals.iterations(optimizer))),
        counted=counted,
        accumulated=accumulation_steps(optimizer.gradient_accumulation_steps),
    )


def _stored(
    optimizer: checkpoint.Optimizer,
    given: ScheduledLR | None,
    step: int | None,
    reason: str,
) -> _Run:
    """The run of an optimizer in a file; `reason` says why a file without a config has none."""
    document: Mapping[str, Any] | None = None
    cycles, legacy = True, False
    counted = accumulated = given.gradient_accumulation_steps if given else 1
    if optimizer.config is not None:
        options = optimizer.config["config"]
        rate, legacy = options["learning_rate"], "decay" in options
        if options.get("decay") and isinstance(rate, Mapping):
            raise ValueError(
                f"its optimizer divides the rate further: {received('decay', options['decay'])}. "
                "No schedule has these rates"
            )
        # Keras 2 doesn't accumulate.
        accumulated = accumulation_steps(options.get("gradient_accumulation_steps"))
        if given is None or counted == 1:
            counted = accumulated
        shown = rate.get("class_name") if isinstance(rate, Mapping) else rate
        reason = f"it has another rate than a ScheduledLR: {shown!r:.100}"
        if isinstance(rate, Mapping):
            cycles = checkpoint.class_name(optimizer.config)[0] == "clr_keras"
            if is_addons(rate):
                document, counted = document_from_addons(rate), 1
            elif is_keras(rate):
                document, counted = schedule_from_keras(rate).to_dict(), 1
            elif rate.get("registered_name") in map(
                keras.saving.get_registered_name, (CyclicLR, ScheduledLR)
            ):
                document = checkpoint.entry(rate, "config", "schedule")
                counted = accumulation_steps(
                    checkpoint.entry(rate, "config", "gradient_accumulation_steps")
                )
    if document is None:
        if given is None:
            raise ValueError(f"{reason}: pass `schedule`")
        document, cycles = given.schedule.to_dict(strict=False), True
    elif given is not None:
        raise ValueError("it has a schedule in it: leave out `schedule`")
    if not optimizer.variables:
        if step is None:
            why = (
                "Keras 2 saved it without the state of its legacy optimizer, which an .h5 file has"
                if legacy
                else "it was saved without the state of an optimizer"
            )
            raise ValueError(f"{why}, so it has no step: pass `step`")
        return _run(document, cycles, step * accumulated, counted, accumulated)
    iterations = optimizer.count()
    if step is not None:
        raise ValueError(
            f"it has its own step, {iterations // accumulated}: leave out `step`. "
            f"{received('step', step)}"
        )
    return _run(document, cycles, iterations, counted, accumulated)
