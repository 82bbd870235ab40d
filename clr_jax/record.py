"""A run in JAX as a portable record, and a record as a run in JAX that goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from clr_core import CyclicSchedule
from clr_core.adapter import received
from clr_core.record import Record
from clr_jax import checkpoint
from clr_jax.optimizer import (
    LARGEST_COUNT,
    _name,
    _visited,
    cyclic_optimizer,
    schedule_counts,
    set_step,
)

PARTITIONS = ("PartitionState", "MultiTransformState")


def to_record(
    schedule: CyclicSchedule | Sequence[CyclicSchedule], opt_state: Any, count: str | None = None
) -> Record:
    """The schedule and the step of an optax state, which knows the latter only.

        >>> import jax.numpy as jnp
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = set_step(cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> to_record(schedule, state).step
        102

    The step is what `clr_jax.schedule_counts` finds: the number of updates done. In `MultiSteps`
    the micro-batches of an update that isn't complete aren't carried. What the state remembers of
    past gradients is another matter: `clr_jax.to_moments`.

    Args:
        schedule: The schedule; for an `optax.partition` one for each label that has one, in the
            sorted order of the labels.
        opt_state: The state of any optax optimizer, or a pytree with such a state in it.
        count: Whose step it is where there are several: a place of `schedule_counts`.

    Raises:
        TypeError: Not a schedule, one with a Python callable as `scale_fn`, or a traced state.
        ValueError: No count, several that differ, one that isn't a single number, or not one
            schedule per label.
    """
    counts = {place: whole(place, each) for place, each in schedule_counts(opt_state).items()}
    return _record(schedule, counts, _labels(opt_state), count)


def read_record(
    path: str | os.PathLike[str],
    schedule: CyclicSchedule | Sequence[CyclicSchedule],
    count: str | None = None,
) -> Record:
    """The same of a checkpoint: a folder of orbax, or a file of msgpack as flax writes it.

    The state may lie anywhere in it. The weights stay on disk, nothing in it is run, and neither
    the optimizer nor a tree to restore into is needed. A folder is read with orbax-checkpoint, a
    file with msgpack.

        >>> import tempfile
        >>> import flax.serialization
        >>> import jax.numpy as jnp
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> state = set_step(cyclic_optimizer(optax.adam, schedule).init(jnp.ones(3)), 102)
        >>> with tempfile.NamedTemporaryFile(suffix=".msgpack") as file:
        ...     _ = file.write(flax.serialization.to_bytes({"opt_state": state}))
        ...     file.flush()
        ...     read_record(file.name, schedule).step
        102

    Args:
        path: The file, the folder of a pytree, or that of one step of a `CheckpointManager`.
        schedule: See `to_record`.
        count: Whose step it is where there are several: the names that lead to the count, as in
            "opt_state.1.count".

    Raises:
        TypeError: `path` isn't a path, or `schedule` can't be carried (see `to_record`).
        ValueError: What is there isn't that, in one line.
        OSError: It isn't there or can't be read.
        ImportError: What reads it isn't installed.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a path. {received('path', path)}")
    name = os.fsdecode(path)
    try:
        found = checkpoint.counts(name)
        counts = {".".join(place): each for place, each in found.items()}
        labels = {
            place[: place.index("inner_states") + 2] for place in found if "inner_states" in place
        }
        return _record(schedule, counts, sorted(label[-1] for label in labels), count)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        why = " ".join(str(error).split())
        raise kind(f"{name!r} must hold an optax state: {why[:1000]}") from None


def from_record(
    record: Record,
    factory: Callable[..., optax.GradientTransformation],
    params: optax.Params,
    /,
    **static: Any,
) -> tuple[optax.GradientTransformationExtraArgs, Any]:
    """A `cyclic_optimizer` and its state, whose next update is that of the record's step.

        >>> import jax.numpy as jnp
        >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
        >>> optimizer, state = from_record(Record(schedule, step=102), optax.adam, jnp.ones(3))
        >>> updates, state = optimizer.update(jnp.ones(3), state)
        >>> print(state.hyperparams["learning_rate"])
        0.5

    It remembers no gradients yet; `clr_jax.from_moments` puts them in. Without, Adam corrects its
    bias as at its start.

    Args:
        record: A record with one schedule.
        factory: See `cyclic_optimizer`.
        params: The weights, which `init` is given.
        **static: The factory's other arguments.

    Raises:
        TypeError: Not a record, or not a factory.
        ValueError: A record of several schedules, a step beyond optax's int32, or what
            `cyclic_optimizer` refuses.
    """
    if not isinstance(record, Record):
        raise TypeError(f"`record` must be a clr_core.record.Record. {received('record', record)}")
    if isinstance(record.schedule, tuple):
        raise ValueError(
            "`record` must have one schedule for an optimizer. "
            f"Received: {len(record.schedule)}. Make a cyclic_optimizer of each, an "
            "optax.partition of them, and set_step(optimizer.init(params), record.step)"
        )
    if record.step > LARGEST_COUNT:
        raise ValueError(
            "`record.step` must be at most 2**31 - 1, as optax counts in int32. "
            f"{received('step', record.step)}"
        )
    optimizer = cyclic_optimizer(factory, record.schedule, **static)
    return optimizer, set_step(optimizer.init(params), record.step)


def whole(place: str, count: Any) -> int:
    """A count in a state as an int."""
    if isinstance(count, jax.core.Tracer):
        raise TypeError(
            "`opt_state` must not be traced: call this outside of jit. "
            f"Received: a tracer at {place!r}"
        )
    array = np.asarray(count)
    if array.shape != () or array.dtype.kind not in "iu":
        raise ValueError(
            f"`opt_state` must have a single whole number at {place!r}. "
            f"Received: {getattr(count, 'dtype', type(count).__name__)} of shape "
            f"{getattr(count, 'shape', ())}. Of a state that is stacked, pass one: "
            "jax.tree.map(lambda each: each[0], opt_state)"
        )
    return int(array)


def _record(
    schedule: CyclicSchedule | Sequence[CyclicSchedule],
    counts: Mapping[str, int],
    labels: list[str],
    count: str | None,
) -> Record:
    if isinstance(schedule, list | tuple) and len(schedule) != len(labels):
        raise ValueError(
            "`schedule` must be one, or one for each label of a partition that has a count, in "
            f"sorted order. Received: {len(schedule)} for the labels {labels}"
        )
    return Record(schedule, _step(counts, count))  # type: ignore[arg-type]


def _step(counts: Mapping[str, int], count: str | None) -> int:
    if not counts:
        raise ValueError(
            "`opt_state` must have a count that a schedule reads. Received: none. Where you know "
            "the step, make the record of it: Record(schedule, step)"
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
            f"`opt_state` must have one step, or `count` must say which it is. Received: {listed}"
        )
    return first


def _labels(opt_state: Any) -> list[str]:
    """The labels of the outermost partitions, where a schedule reads a count."""
    labels: list[str] = []

    def note(node: Any, path: tuple[Any, ...]) -> Any:
        if _name(node) not in PARTITIONS:
            return node
        inner = node.inner_states
        labels.extend(str(label) for label in sorted(inner) if schedule_counts(inner[label]))
        return ()

    _visited(opt_state, note)
    return labels
