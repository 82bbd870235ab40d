"""Portable records of a run in JAX, and a run in JAX from a record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from clr_core import Record, Schedule
from clr_core.adapter import one_line, path_name, received
from clr_core.record import check_record
from clr_jax import checkpoint
from clr_jax.optimizer import cyclic_optimizer
from clr_jax.state import (
    LARGEST_COUNT,
    Path,
    class_name,
    replaced,
    schedule_counts,
    set_step,
    whole,
)

PARTITIONS = ("PartitionState", "MultiTransformState")


def to_record(
    schedule: Schedule | Sequence[Schedule], opt_state: Any, count: str | None = None
) -> Record:
    """A record of the schedule and the step of an optax state, which contains only the step.

        >>> import jax.numpy as jnp
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = set_step(cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> to_record(schedule, state).step
        102

    The step is the number of updates done, read from the counts of `clr_jax.schedule_counts`. With
    `MultiSteps`, the micro-batches of an incomplete update aren't carried. For what the state
    remembers of past gradients, see `clr_jax.to_moments`.

    Args:
        schedule: The schedule; for an `optax.partition`, optionally one for each label that has a
            schedule, in the sorted order of the labels.
        opt_state: The state of any optax optimizer, or a pytree that contains one.
        count: The place of the count to use, if several differ: a key of `schedule_counts`.

    Raises:
        TypeError: `schedule` isn't a schedule or has a Python callable as `scale_fn`, or the state
            is traced.
        ValueError: There is no count, several differ, one isn't a single integer, or the number of
            schedules isn't the number of labels.
    """
    counts = {place: whole(place, each) for place, each in schedule_counts(opt_state).items()}
    return _record(schedule, counts, _labels(opt_state), count)


def read_record(
    path: str | os.PathLike[str],
    schedule: Schedule | Sequence[Schedule],
    count: str | None = None,
) -> Record:
    """A record of the schedule and the step in a checkpoint: orbax's folder, or flax's msgpack.

        >>> import tempfile
        >>> import flax.serialization
        >>> import jax.numpy as jnp
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = set_step(cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> with tempfile.NamedTemporaryFile(suffix=".msgpack") as file:
        ...     _ = file.write(flax.serialization.to_bytes({"opt_state": state}))
        ...     file.flush()
        ...     read_record(file.name, schedule).step
        102

    The optax state may be anywhere in the checkpoint. The weights aren't loaded, nothing in the
    checkpoint is executed, and neither the optimizer nor a tree to restore into is needed. Reading
    a folder needs orbax-checkpoint, reading a file needs msgpack.

    Args:
        path: A file, the folder of a pytree, or the folder of one step of a `CheckpointManager`.
        schedule: As in `to_record`.
        count: The place of the count to use, if several differ: the names that lead to it, such as
            "opt_state.1.count".

    Raises:
        TypeError: `path` isn't a path, or `schedule` can't be carried (see `to_record`).
        ValueError: The content isn't such a checkpoint, or as in `to_record`. The message is one
            line and names the path.
        OSError: The checkpoint doesn't exist or can't be read.
        ImportError: The library that reads it isn't installed.
    """
    name = path_name(path)
    try:
        found = checkpoint.counts(name)
        counts = {".".join(place): each for place, each in found.items()}
        labels = {
            place[: place.index("inner_states") + 2] for place in found if "inner_states" in place
        }
        return _record(schedule, counts, sorted(label[-1] for label in labels), count)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name!r} must hold an optax state: {one_line(error)}") from None


def from_record(
    record: Record,
    factory: Callable[..., optax.GradientTransformation],
    params: optax.Params,
    /,
    **static: Any,
) -> tuple[optax.GradientTransformationExtraArgs, Any]:
    """A `cyclic_optimizer` and a state of it that is at the record's step.

        >>> import jax.numpy as jnp
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer, state = from_record(Record(schedule, step=102), optax.adam, jnp.ones(3))
        >>> updates, state = optimizer.update(jnp.ones(3), state)
        >>> print(state.hyperparams["learning_rate"])
        0.5

    The state has no moments yet; `clr_jax.from_moments` adds them. Without them Adam corrects its
    bias as at the start of a training.

    Args:
        record: A record with one schedule.
        factory: As in `cyclic_optimizer`.
        params: The weights, which are passed to `init`.
        **static: The factory's other arguments.

    Returns:
        The optimizer and its state.

    Raises:
        TypeError: `record` isn't a record, or `factory` isn't a factory.
        ValueError: The record has several schedules or a step beyond optax's int32, or
            `cyclic_optimizer` refuses an argument.
    """
    check_record(record)
    if isinstance(record.schedule, tuple):
        raise ValueError(
            "`record` must have one schedule for an optimizer. "
            f"Received: {len(record.schedule)}. Make a cyclic_optimizer of each, an "
            "optax.partition of them, and set_step(optimizer.init(params), record.step)"
        )
    if record.step > LARGEST_COUNT:
        raise ValueError(
            "`record.step` must be at most 2**31 - 1, since optax counts in int32. "
            f"{received('step', record.step)}"
        )
    optimizer = cyclic_optimizer(factory, record.schedule, **static)
    return optimizer, set_step(optimizer.init(params), record.step)


def _record(
    schedule: Schedule | Sequence[Schedule],
    counts: Mapping[str, int],
    labels: list[str],
    count: str | None,
) -> Record:
    if isinstance(schedule, list | tuple) and len(schedule) != len(labels):
        raise ValueError(
            "`schedule` must be one schedule, or one for each label of a partition that has a "
            f"count, in sorted order. Received: {len(schedule)} for the labels {labels}"
        )
    return Record(schedule, _step(counts, count))  # type: ignore[arg-type]


def _step(counts: Mapping[str, int], count: str | None) -> int:
    if not counts:
        raise ValueError(
            "`opt_state` must have a count that a schedule reads. Received: none. If you know the "
            "step, make the record from it: Record(schedule, step)"
        )
    if count is not None:
        if count not in counts:
            named = ", ".join(map(repr, list(counts)[:20]))
            raise ValueError(f"`count` must be one of {named}. {received('count', count)}")
        return counts[count]
    first, *others = counts.values()
    if any(each != first for each in others):
        listed = ", ".join(f"{place!r}: {each}" for place, each in list(counts.items())[:20])
        raise ValueError(
            f"`opt_state` must be at one step, or `count` must name a count. Received: {listed}"
        )
    return first


def _labels(opt_state: Any) -> list[str]:
    """The labels of the outermost partitions for which a schedule reads a count."""
    labels: list[str] = []

    def note(node: Any, path: Path) -> Any:
        if class_name(node) not in PARTITIONS:
            return node
        inner = node.inner_states
        labels.extend(str(label) for label in sorted(inner) if schedule_counts(inner[label]))
        return ()

    replaced(opt_state, note)
    return labels
