"""A run in Keras as a portable record, and a record as a run in Keras that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from clr_core import CyclicSchedule, schedule_from_dict
from clr_core.adapter import received
from clr_core.record import Record
from clr_keras import checkpoint
from clr_keras.foreign import HINT, is_addons, schedule_from_addons
from clr_keras.optimizer import _Cyclic
from clr_keras.schedule import CyclicLR, _positive

_LossScale: Any = keras.optimizers.LossScaleOptimizer
_Multi: Any = getattr(keras.optimizers, "MultiOptimizer", ())  # Newer than the oldest Keras.


def to_record(source: Any, scale_fn: str | None = None) -> Record:
    """The schedule and the step of an optimizer, or of a model that is compiled with one.

        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer = keras.optimizers.Adam(CyclicLR(schedule))
        >>> _ = optimizer.iterations.assign(102)
        >>> to_record(optimizer)
        Record(schedule=CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0), step=102)

    The step is the number of updates done. With `gradient_accumulation_steps`, the micro-batches of
    an update that isn't complete aren't carried. Nor is a momentum of the schedule that the
    optimizer didn't cycle, as Keras's own don't: the record is of what the run did. What the
    optimizer remembers of past gradients is another matter: `clr_keras.to_moments`.

    Args:
        source: An optimizer whose `learning_rate` is a `CyclicLR`, one of this package, either of
            them in a `LossScaleOptimizer`, a `MultiOptimizer` of them, or a compiled model.
        scale_fn: The decay as an expression, where the schedule's is a Python callable.

    Returns:
        A record with one schedule; with one for each of a `MultiOptimizer`'s `optimizers` where
        these differ.

    Raises:
        TypeError: Not an optimizer nor a model, another kind of rate, or a `scale_fn` that is a
            Python callable.
        ValueError: A model that isn't compiled; a schedule that counts micro-batches where the
            optimizer makes one update of several; optimizers at different steps.
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
    return _record([_living(each, scale_fn) for each in _optimizers(optimizer)])


def read_record(
    path: str | os.PathLike[str],
    schedule: CyclicSchedule | CyclicLR | None = None,
    scale_fn: str | None = None,
) -> Record:
    """The same of a file that `model.save` or `model.save_weights` wrote.

    No model is made and nothing in the file is run: of a `.keras` file the optimizer's config is
    read and its count, of a `.weights.h5` file the count alone. The schedule in a `.keras` file may
    also be one of tensorflow-addons (see `schedule_from_addons`).

        >>> import tempfile
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.Adam(CyclicLR(schedule)))
        >>> with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        ...     model.save(file.name)
        ...     read_record(file.name).schedule == schedule
        True

    Args:
        path: The file.
        schedule: Needed for a file of weights, which has none in it; a `CyclicLR` where it counts
            updates of several micro-batches.
        scale_fn: See `to_record`.

    Raises:
        TypeError: `path` isn't a path.
        ValueError: What is in the file isn't that, in one line; a `schedule` for a file that has
            one, or none for a file of weights.
        OSError: The file isn't there or can't be read.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a path. {received('path', path)}")
    name = os.fsdecode(path)
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
                f"it has {len(optimizers)} optimizers in its config, {len(counts)} states"
            )
        return _record(_written(optimizers, counts, scale_fn))
    except (TypeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{name!r} must be a run with a CyclicLR: {why[:1000]}") from None


def from_record(record: Record, factory: Any, **options: Any) -> Any:
    """An optimizer whose next update is that of the record's step.

        >>> schedule = CyclicSchedule(
        ...     base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9
        ... )
        >>> from clr_keras import SGD
        >>> optimizer = from_record(Record(schedule, step=102), SGD, torch_velocity=True)
        >>> round(float(optimizer.learning_rate), 3), round(optimizer.momentum, 3)
        (0.5, 0.8)

    Compile the model with it, and `fit` goes on. It remembers no gradients yet: `optimizer.build`
    it on `model.trainable_variables` and use `clr_keras.from_moments`. Without, Adam takes its
    zeros for means of `step` gradients, and its first updates are up to 3 times too large.

    Args:
        record: A record with one schedule.
        factory: The optimizer's class: one of this package, which cycles the schedule's momentum as
            well, or one of Keras for a schedule without momentum.
        **options: What the class takes beside the rate. With `gradient_accumulation_steps` the
            schedule counts updates.

    Raises:
        TypeError: Not a record, or not a class of optimizers.
        ValueError: A record of several schedules; a momentum for an optimizer that doesn't cycle
            it; a step beyond what Keras counts to; a moving average, which would begin with zeros.
    """
    if not isinstance(record, Record):
        raise TypeError(f"`record` must be a clr_core.record.Record. {received('record', record)}")
    if not (isinstance(factory, type) and issubclass(factory, keras.Optimizer)):
        raise TypeError(f"`factory` must be a class of optimizers. {received('factory', factory)}")
    schedule = record.schedule
    if isinstance(schedule, tuple):
        raise ValueError(
            "`record` must have one schedule for an optimizer of Keras. "
            f"Received: {len(schedule)}. Make an optimizer of each, from Record(schedule, "
            "record.step), and a keras.optimizers.MultiOptimizer of them"
        )
    if "learning_rate" in options:
        raise ValueError(
            "`learning_rate` must be left out: it is the record's schedule. "
            f"{received('learning_rate', options['learning_rate'])}"
        )
    cycles = issubclass(factory, _Cyclic)
    if not cycles and schedule.momentum(0) is not None:
        raise ValueError(
            "`factory` must be an optimizer of clr_keras for a schedule with a momentum. "
            f"Received: {factory.__module__}.{factory.__name__}, which doesn't cycle it. To leave "
            "the momentum alone: Record(dataclasses.replace(record.schedule, base_momentum=None, "
            "max_momentum=None), record.step)"
        )
    steps = _positive(options.get("gradient_accumulation_steps"))
    optimizer = factory(learning_rate=CyclicLR(schedule, steps), **options)
    _check_average(optimizer, record.step)
    iterations = optimizer._iterations
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
            "`use_ema` must be off in an optimizer that goes on: Keras's average of the weights "
            f"begins with zeros, and only at step 0 is that put right. Received: step={step}"
        )


@dataclass(frozen=True)
class _Run:
    """What is known of one optimizer."""

    schedule: CyclicSchedule
    iterations: int
    counted: int
    """How many of the `iterations` the schedule takes for a step."""
    accumulated: int
    """How many of them the optimizer makes one update of."""
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
        used = run.schedule
        if not run.cycles:
            used = replace(used, base_momentum=None, max_momentum=None)
        schedules.append(used)
        steps.append(run.iterations // run.accumulated)
    if not schedules:
        raise ValueError("There must be an optimizer. Received: none")
    if set(steps) != {steps[0]}:
        raise ValueError(f"All optimizers must be at the same step. Received: {steps}")
    same = all(schedule == schedules[0] for schedule in schedules)
    return Record(schedules[0] if same else tuple(schedules), steps[0])


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Those that make the updates."""
    if isinstance(optimizer, _LossScale):
        yield from _optimizers(optimizer.inner_optimizer)
    elif isinstance(optimizer, _Multi):
        for each in optimizer.optimizers:
            yield from _optimizers(each)
    else:
        yield optimizer


def _living(optimizer: Any, scale_fn: str | None) -> _Run:
    rate = optimizer._learning_rate
    if not isinstance(rate, CyclicLR):
        raise TypeError(
            "`learning_rate` must be a clr_keras.CyclicLR. "
            f"Received: a {type(rate).__name__} in {optimizer.name!r}"
        )
    return _Run(
        _portable(rate.schedule, scale_fn),
        _count(optimizer),
        counted=rate.gradient_accumulation_steps,
        accumulated=_positive(optimizer.gradient_accumulation_steps),
        cycles=isinstance(optimizer, _Cyclic),
    )


def _count(optimizer: Any) -> int:
    # Private to Keras, whose `iterations` isn't the variable where it accumulates gradients.
    return int(keras.ops.convert_to_numpy(optimizer._iterations))


def _portable(schedule: CyclicSchedule, scale_fn: str | None) -> CyclicSchedule:
    noted = getattr(schedule, "scale_fn", None)
    if not callable(noted):
        if scale_fn is not None:
            raise ValueError(
                "`scale_fn` must be left out where the decay is no Python callable. "
                f"{received('scale_fn', scale_fn)} in place of {noted!r}"
            )
        return schedule
    return replace(schedule, scale_fn=_expression(scale_fn, getattr(noted, "__name__", noted)))


def _expression(scale_fn: str | None, instead_of: object) -> str:
    if not isinstance(scale_fn, str):
        raise TypeError(
            "A `scale_fn` that is a Python callable can't be carried, and this is one: "
            f"{instead_of}. {HINT}"
        )
    return scale_fn


def _given(rate: CyclicLR | None, count: int, scale_fn: str | None) -> _Run:
    if rate is None:
        raise ValueError("it has weights and no schedule: pass `schedule`")
    steps = rate.gradient_accumulation_steps
    return _Run(_portable(rate.schedule, scale_fn), count, steps, steps, cycles=True)


def _configs(config: Any) -> Iterator[Mapping[str, Any]]:
    """The same as `_optimizers` of what Keras wrote down."""
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
    """What the keys lead to in a config that Keras need not have written."""
    for key in keys:
        if not isinstance(config, Mapping) or key not in config:
            raise ValueError(f"its config has no {key!r} where that of an optimizer has one")
        config = config[key]
    return config


def _written(
    optimizers: list[Mapping[str, Any]], counts: list[int], scale_fn: str | None
) -> list[_Run]:
    accumulated = [
        _positive(_entry(each, "config", "gradient_accumulation_steps")) for each in optimizers
    ]
    # The weights name them otherwise than the config does, so none can be told from another.
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


def _written_rate(rate: Any, scale_fn: str | None) -> tuple[CyclicSchedule, int]:
    """The schedule, and how many `iterations` it takes for a step."""
    if isinstance(rate, Mapping) and is_addons(rate):
        return schedule_from_addons(rate, scale_fn), 1
    ours = keras.saving.get_registered_name(CyclicLR)
    if not isinstance(rate, Mapping) or rate.get("registered_name") != ours:
        other = rate.get("class_name") if isinstance(rate, Mapping) else rate
        raise ValueError(f"it has another rate than a CyclicLR: {other!r}")
    schedule = _entry(rate, "config", "schedule")
    counted = _positive(_entry(rate, "config", "gradient_accumulation_steps"))
    noted = _entry(schedule, "scale_fn")
    if not isinstance(noted, Mapping):
        return _portable(schedule_from_dict(schedule), scale_fn), counted
    # What Keras makes of a callable.
    name = noted.get("config")
    text = _expression(scale_fn, name if isinstance(name, str) else noted.get("class_name"))
    return schedule_from_dict({**schedule, "scale_fn": text}), counted
