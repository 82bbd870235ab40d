"""A run in Keras as a portable record, and an optimizer that resumes from a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeVar

import keras
import numpy as np

from clr_core import Schedule
from clr_core.adapter import (
    one_line,
    path_name,
    portable,
    rate_only,
    received,
    schedule_from_document,
)
from clr_core.record import Record, check_record
from clr_keras import _keras_internals as internals
from clr_keras import checkpoint
from clr_keras.foreign import is_addons, schedule_from_addons
from clr_keras.optimizer import CyclicOptimizer
from clr_keras.schedule import CyclicLR, accumulation_steps

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

    Args:
        source: An optimizer whose `learning_rate` is a `CyclicLR`, an optimizer of this package, a
            `LossScaleOptimizer` or `MultiOptimizer` of these, or a compiled model.
        scale_fn: The decay as an expression, if the schedule's is a Python callable.

    Returns:
        A record with one schedule; with one per optimizer if those of a `MultiOptimizer` differ.

    Raises:
        TypeError: Neither an optimizer nor a model, another kind of rate, or a `scale_fn` that is a
            Python callable.
        ValueError: A model that isn't compiled, a schedule that counts micro-batches in an
            optimizer that accumulates gradients, or optimizers at different steps.
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
    return _record([_live(each, scale_fn) for each in internals.inner_optimizers(optimizer)])


def read_record(
    path: str | PathLike[str],
    schedule: Schedule | CyclicLR | None = None,
    scale_fn: str | None = None,
) -> Record:
    """The schedule and the step in a file that `model.save` or `model.save_weights` wrote.

    No model is built and nothing in the file is executed. In a `.keras` file, only the optimizer's
    config and its count are read; in a `.weights.h5` file, only the count. The schedule in a
    `.keras` file may also be a tensorflow-addons one (see `schedule_from_addons`).

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
        schedule: The schedule of a file of weights, which contains none; a `CyclicLR` if the
            optimizer accumulated gradients.
        scale_fn: The decay as an expression, if the schedule's is a Python callable.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: The file isn't one of these, with the reason in one line; or `schedule` is given
            for a file that has one, or left out for a file of weights.
        OSError: The file doesn't exist or can't be read.
    """
    name = path_name(path)
    rate = schedule
    if rate is not None and not isinstance(rate, CyclicLR):
        rate = CyclicLR(rate)
    try:
        config, counts = checkpoint.read(name)
        if config is None:
            return _record([_given(rate, count, scale_fn) for count in counts])
        if rate is not None:
            raise ValueError("it has a schedule in it: leave out `schedule`")
        optimizers = list(_configs(config))
        if len(optimizers) != len(counts):
            raise ValueError(
                f"its config has {len(optimizers)} optimizers, and its weights have {len(counts)}"
            )
        return _record(_written(optimizers, counts, scale_fn))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name!r} must be a run with a CyclicLR: {one_line(error)}") from None


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
    optimizer = factory(learning_rate=CyclicLR(schedule, steps), **options)
    _check_average(optimizer, record.step)
    iterations = internals.iterations(optimizer)
    largest = np.iinfo(iterations.dtype).max - 1  # One below, for the next update.
    if record.step * steps > largest:
        raise ValueError(
            f"`record.step` must be at most {largest // steps}, as Keras counts in "
            f"{iterations.dtype} here. {received('step', record.step)}"
        )
    iterations.assign(record.step * steps)
    return optimizer


def _check_average(optimizer: Any, step: int) -> None:
    if optimizer.use_ema and step:
        raise ValueError(
            "`use_ema` must be off in an optimizer that resumes: Keras's average of the weights "
            f"begins with zeros, which Keras corrects at step 0 only. Received: step={step}"
        )


@dataclass(frozen=True)
class _Run:
    """The schedule and the counts of one optimizer."""

    schedule: Schedule
    iterations: int
    counted: int
    """How many `iterations` the schedule counts as a step."""
    accumulated: int
    """How many `iterations` make one update."""
    cycles: bool
    """Whether the optimizer cycles the momentum."""


def _record(runs: list[_Run]) -> Record:
    schedules, steps = [], []
    for run in runs:
        if run.counted != run.accumulated:
            raise ValueError(
                "`gradient_accumulation_steps` must be the same in the optimizer and in its "
                f"CyclicLR. {received('gradient_accumulation_steps', run.accumulated)} and "
                f"{run.counted}. Otherwise no schedule has the rates of its updates"
            )
        schedules.append(run.schedule if run.cycles else rate_only(run.schedule))
        steps.append(run.iterations // run.accumulated)
    if not schedules:
        raise ValueError("There must be an optimizer. Received: none")
    if set(steps) != {steps[0]}:
        raise ValueError(f"All optimizers must be at the same step. Received: {steps}")
    same = all(schedule == schedules[0] for schedule in schedules)
    return Record(schedules[0] if same else tuple(schedules), steps[0])


def _live(optimizer: Any, scale_fn: str | None) -> _Run:
    rate = internals.rate(optimizer)
    if not isinstance(rate, CyclicLR):
        raise TypeError(
            "`learning_rate` must be a clr_keras.CyclicLR. "
            f"Received: a {type(rate).__name__} in {optimizer.name!r}"
        )
    return _Run(
        portable(rate.schedule, scale_fn),
        int(keras.ops.convert_to_numpy(internals.iterations(optimizer))),
        counted=rate.gradient_accumulation_steps,
        accumulated=accumulation_steps(optimizer.gradient_accumulation_steps),
        cycles=isinstance(optimizer, CyclicOptimizer),
    )


def _given(rate: CyclicLR | None, count: int, scale_fn: str | None) -> _Run:
    if rate is None:
        raise ValueError("it has weights and no schedule: pass `schedule`")
    steps = rate.gradient_accumulation_steps
    return _Run(portable(rate.schedule, scale_fn), count, steps, steps, cycles=True)


def _configs(config: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of the optimizers that make the updates."""
    name = _entry(config, "class_name")
    if name == "LossScaleOptimizer":
        yield from _configs(_entry(config, "config", "inner_optimizer"))
    elif name == "MultiOptimizer":
        by_group = _entry(config, "config", "optimizer_map", "config")
        others = _entry(by_group, "optimizer_map")
        for each in [*(_entry(others, name) for name in others), by_group.get("default_optimizer")]:
            yield from _configs(each)
    else:
        yield config


def _entry(config: Any, *keys: str) -> Any:
    """The value that the keys lead to in an untrusted config."""
    for key in keys:
        if not isinstance(config, Mapping) or key not in config:
            raise ValueError(f"its config has no {key!r}, which an optimizer's config has")
        config = config[key]
    return config


def _written(
    optimizers: list[Mapping[str, Any]], counts: list[int], scale_fn: str | None
) -> list[_Run]:
    accumulated = [
        accumulation_steps(_entry(each, "config", "gradient_accumulation_steps"))
        for each in optimizers
    ]
    # Weights and config use different names, so the optimizers can't be matched up.
    if len(set(accumulated)) > 1 or len(set(counts)) > 1:
        raise ValueError(
            "All optimizers must be at the same step, and accumulate as many gradients. "
            f"Received: iterations {counts}, gradient_accumulation_steps {accumulated}"
        )
    runs = []
    for each, count, steps in zip(optimizers, counts, accumulated, strict=True):
        schedule, counted = _written_rate(_entry(each, "config", "learning_rate"), scale_fn)
        ours = str(each.get("registered_name")).startswith("clr_keras>")
        runs.append(_Run(schedule, count, counted, steps, cycles=ours))
    return runs


def _written_rate(rate: Any, scale_fn: str | None) -> tuple[Schedule, int]:
    """The schedule in a config, and how many `iterations` it counts as a step."""
    if isinstance(rate, Mapping) and is_addons(rate):
        return schedule_from_addons(rate, scale_fn), 1
    ours = keras.saving.get_registered_name(CyclicLR)
    if not isinstance(rate, Mapping) or rate.get("registered_name") != ours:
        other = rate.get("class_name") if isinstance(rate, Mapping) else rate
        raise ValueError(f"it has another rate than a CyclicLR: {other!r}")
    document = _entry(rate, "config", "schedule")
    counted = accumulation_steps(_entry(rate, "config", "gradient_accumulation_steps"))
    return schedule_from_document(document, scale_fn, internals.name_of_note), counted
