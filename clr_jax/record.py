"""Portable records of a run in JAX, and a run in JAX from a record."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax
from jax.tree_util import keystr

from clr_core import Record, Schedule
from clr_core.adapter import check_schedule, listed, received, refusing
from clr_core.record import check_record
from clr_jax import checkpoint
from clr_jax.optimizer import scheduled_optimizer
from clr_jax.state import (
    FIRST,
    LARGEST_COUNT,
    Node,
    Path,
    below,
    counts_in,
    key_name,
    nodes,
    set_step,
    whole,
)


def to_record(
    schedule: Schedule | Sequence[Schedule], opt_state: Any, count: str | None = None
) -> Record:
    """A record of the schedule and the step of an optax state, which contains only the step.

        >>> import jax.numpy as jnp
        >>> from clr_core import CyclicSchedule
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = set_step(scheduled_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> to_record(schedule, state).step
        102

    The step is the number of updates done, read from the counts of `clr_jax.schedule_counts`. With
    `MultiSteps`, the micro-batches of an incomplete update aren't carried. For what the state
    remembers of past gradients, see `clr_jax.to_moments`.

    Args:
        schedule: The schedule; for an `optax.partition`, optionally one for each label that has a
            schedule, in the sorted order of the labels.
        opt_state: The state of any optax optimizer, or a pytree that contains one.
        count: The place of the count to use, if several differ: a key of `schedule_counts`, or the
            beginning of some that agree.

    Raises:
        TypeError: `schedule` isn't a schedule or has a Python callable as `scale_fn`, or the state
            is traced.
        ValueError: There is no count, several differ, one isn't a single integer, or the number of
            schedules isn't the number of labels.

    Warns:
        UserWarning: The count is 2**31 - 1, at which optax stays.
    """
    for each in opt_state if isinstance(opt_state, tuple | list) else [opt_state]:
        if all(hasattr(each, name) for name in ("lr", "momentum", "to_dict")):
            raise TypeError(
                "`opt_state` must be an optax state, after the schedule: to_record(schedule, "
                f"opt_state). {received('opt_state', opt_state)}"
            )
    for each in schedule if isinstance(schedule, tuple | list) else [schedule]:
        check_schedule(each)
    found = nodes(opt_state)
    counts = {
        keystr(path): whole(keystr(path), each) - FIRST.get(kind, 0)
        for path, kind, each in counts_in(found)
    }
    return _record(schedule, counts, _labels(found), count)


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
        >>> state = set_step(scheduled_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> with tempfile.NamedTemporaryFile(suffix=".msgpack") as file:
        ...     _ = file.write(flax.serialization.to_bytes({"opt_state": state}))
        ...     file.flush()
        ...     read_record(file.name, schedule).step
        102

    The optax state may be anywhere in the checkpoint, also as flax's NNX stores it. The weights
    aren't loaded, nothing in the checkpoint is executed, and neither the optimizer nor a tree to
    restore into is needed. Reading a folder needs orbax-checkpoint, reading a file needs msgpack.

    Args:
        path: A file, the folder of a pytree, or the folder of one step of a `CheckpointManager`.
        schedule: As in `to_record`.
        count: The place of the count to use, if several differ: the names that lead to it, such as
            "opt_state.1.count", or the first of these, if all counts below agree.

    Raises:
        TypeError: `path` isn't a path, or `schedule` can't be carried (see `to_record`).
        ValueError: The content isn't such a checkpoint, or as in `to_record`. The message is one
            line and names the path.
        OSError: The checkpoint doesn't exist or can't be read.
        ImportError: The library that reads it isn't installed.
    """
    with refusing(path, "an optax state") as name:
        tree, load = checkpoint.read(name)
        found = nodes(tree)
        counts = counts_in(found)
        stored = [each for _, _, each in counts if isinstance(each, checkpoint.Leaf)]
        values = dict(zip(map(id, stored), map(int, load(stored)), strict=True))
        steps = {
            ".".join(map(key_name, path)): values.get(id(each), each) - FIRST.get(kind, 0)
            for path, kind, each in counts
        }
        return _record(schedule, steps, _labels(found), count)


def from_record(
    record: Record,
    factory: Callable[..., optax.GradientTransformation],
    params: optax.Params,
    /,
    **static: Any,
) -> tuple[optax.GradientTransformationExtraArgs, Any]:
    """A `scheduled_optimizer` and a state of it that is at the record's step.

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
        factory: As in `scheduled_optimizer`.
        params: The weights, which are passed to `init`.
        **static: The factory's other arguments.

    Returns:
        The optimizer and its state.

    Raises:
        TypeError: `record` isn't a record, or `factory` isn't a factory.
        ValueError: The record has several schedules or a step beyond optax's int32, or
            `scheduled_optimizer` refuses an argument.
    """
    check_record(record)
    if isinstance(record.schedule, tuple):
        raise ValueError(
            "`record` must have one schedule for an optimizer. "
            f"Received: {len(record.schedule)}. Make a scheduled_optimizer of each, an "
            "optax.partition of them, and set_step(optimizer.init(params), record.step)"
        )
    if record.step > LARGEST_COUNT:
        raise ValueError(
            "`record.step` must be at most 2**31 - 1, since optax counts in int32. "
            f"{received('step', record.step)}"
        )
    optimizer = scheduled_optimizer(factory, record.schedule, **static)
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
    step = _step(counts, count)
    if step == LARGEST_COUNT:
        warnings.warn(
            "optax counts to 2**31 - 1 and stays there: the run may be at any later step. "
            f"{received('step', step)}. If you know it, make the record of it: "
            "Record(schedule, step)",
            stacklevel=3,
        )
    return Record(schedule, step)  # type: ignore[arg-type]


def _step(counts: Mapping[str, int], count: str | None) -> int:
    if not counts:
        raise ValueError(
            "`opt_state` must have a count that a schedule reads. Received: none. If you know the "
            "step, make the record from it: Record(schedule, step)"
        )
    if count is not None:
        places = listed(counts, 20)
        counts = {
            place: step
            for place, step in counts.items()
            if place == count or place.startswith((f"{count}.", f"{count}["))
        }
        if not counts:
            raise ValueError(f"`count` must be one of {places}. {received('count', count)}")
    first, *others = counts.values()
    if any(each != first for each in others):
        several = ", ".join(f"{place!r}: {each}" for place, each in list(counts.items())[:20])
        raise ValueError(
            f"`opt_state` must be at one step, or `count` must name a count. Received: {several}"
        )
    return first


def _labels(found: list[Node]) -> list[str]:
    """The labels of the outermost partitions for which a schedule reads a count."""
    outer: list[Path] = []
    by_path = {node.path: node for node in found}
    labels: dict[Path, str] = {}
    for node in found:
        if node.kind == "PartitionState" and not (outer and below(node.path, outer[-1])):
            outer.append(node.path)
            inner = by_path[node.fields["inner_states"][0]].fields
            labels |= {inner[label][0]: label for label in sorted(inner)}
    counted = {
        path[:length]
        for path, _, _ in counts_in(found)
        for length in range(len(path))
        if path[:length] in labels
    }
    return [label for path, label in labels.items() if path in counted]
