"""What one call of the schedule costs on Keras: writes benchmarks/keras_call.md.

`clr_keras.CyclicLR` at an optimizer's `iterations`, beside Keras's own `CosineDecayRestarts`, each
eagerly and within a compiled function. Target: at most as long. A cast of `iterations` to float32
says what calling anything costs there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from measuring import interleaved, machine, on_each_backend, rounds, table, write

TARGET = 1.0
ABOUT = 0.01  # Seconds, for the calls of a round.
NOTES = """
In a compiled function nearly all of a call is what calling anything costs, as the cast shows. On
TensorFlow the target is missed by some 15 to 20 µs. CyclicLR is a graph of 34 operations that
aren't constants, CosineDecayRestarts one of 32, of which a branch is skipped. Tried: without what
guards the bits from XLA's rewriting and keeps rates below float32's normal range, ours has 17 and
took 192 µs, where with it it took 208 and theirs 194. That can't be left out: a graph isn't told
whether XLA will compile it. In a batch of training it doesn't show, see keras_train.md.

In eager torch, a step is read and computed in plain Python, by
`clr_keras._torch_backend/evaluate.py`. With tensors of one number a call took 56 µs here."""


def measured(backend: str) -> list[Any]:
    """Backend, how it was called, and the seconds of a call: ours, theirs, next to nothing."""
    import keras

    import clr_keras
    from clr_core import CyclicSchedule

    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    schedules = {
        "ours": clr_keras.CyclicLR(CyclicSchedule(base_lr=0.0015, max_lr=0.006)),
        "theirs": keras.optimizers.schedules.CosineDecayRestarts(0.006, 4000),
        "cast": lambda iterations: keras.ops.cast(iterations, "float32"),
    }
    iterations = keras.Variable(123, dtype="int", trainable=False)
    rows = []
    for how, calls in {"eager": _eager, "compiled": _compiled(backend)}.items():
        works = {name: calls(schedule, iterations) for name, schedule in schedules.items()}
        slowest = max(_seconds(work) for work in works.values())
        calls_of_a_round = max(1, round(ABOUT / slowest))
        seconds = interleaved(works, calls=calls_of_a_round, rounds=rounds())
        rows.append([backend, how, *(seconds[name] for name in works)])
    return rows


def _eager(schedule: Any, iterations: Any) -> Callable[[], Any]:
    import keras

    if keras.backend.backend() != "jax":
        return partial(schedule, iterations)
    import jax

    return lambda: jax.block_until_ready(schedule(iterations))


def _compiled(backend: str) -> Callable[[Any, Any], Callable[[], Any]]:
    if backend == "tensorflow":
        import tensorflow as tf

        return lambda schedule, iterations: tf.function(lambda: schedule(iterations))
    if backend == "jax":
        import jax

        def jitted(schedule: Any, iterations: Any) -> Callable[[], Any]:
            call = jax.jit(schedule)
            return lambda: jax.block_until_ready(call(iterations.value))

        return jitted
    import torch

    return lambda schedule, iterations: torch.compile(lambda: schedule(iterations))


def _seconds(work: Callable[[], Any]) -> float:
    work()
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measures and writes the table."""
    rows = [
        [
            backend,
            how,
            f"{cast * 1e6:.1f}",
            f"{theirs * 1e6:.1f}",
            f"{ours * 1e6:.1f}",
            f"{ours / theirs:.2f}",
        ]
        for backend, how, ours, theirs, cast in on_each_backend(__file__, measured)
    ]
    head = [
        "backend",
        "called",
        "a cast alone, µs",
        "CosineDecayRestarts, µs",
        "CyclicLR, µs",
        f"ratio (target: {TARGET})",
    ]
    write(
        __file__,
        "Keras: one call of the schedule",
        [
            machine("keras", "tensorflow-cpu", "jax", "torch"),
            f"At an optimizer's `iterations`; median of {rounds()} rounds.",
            "",
            *table(head, rows),
            NOTES,
        ],
    )


if __name__ == "__main__":
    main()
