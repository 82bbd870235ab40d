"""What a cycled momentum costs `train_on_batch` on Keras: writes benchmarks/keras_train.md.

`clr_keras.SGD` and `clr_keras.Adam` with rate and momentum cycled, beside Keras's own with
constants. Target: at most 1.05 times. A third model is a copy of the second, and says how far two
medians of the same thing lie apart here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from measuring import interleaved, machine, on_each_backend, rounds, table, write

# How Keras runs a step there, and what to tell `compile` for it.
LOOPS = {
    "tensorflow": {"graph": False, "XLA": True},
    "jax": {"jit": True},
    "torch": {"eager": False},
}
BATCH, INPUTS, WIDTH = 32, 64, 128
CALLS = 20
TARGET = 1.05
NOTES = """
TensorFlow's graph with SGD is at the target: four other runs gave 1.03 to 1.06. What it adds are
some 40 operations of a microsecond each, on one number; XLA, Keras's default there, fuses them.

Torch runs on one thread here. While rate and momentum were computed with tensors of one number, and
the step of SGD went over the weights once more than Keras's, its ratios were 1.11 for SGD and 1.09
for Adam on this machine. Profiled, nearly all of that was the calls of torch's operations, some
twenty for each of the two numbers. They are computed in plain Python since then."""


def measured(backend: str) -> list[Any]:
    """Backend, loop, optimizer, and the seconds of a batch: ours, theirs, theirs again."""
    import keras
    import numpy as np

    import clr_keras
    from clr_core import CyclicSchedule

    if backend == "torch":
        import torch

        # On two cores that others use too, two threads that wait for each other time the others.
        torch.set_num_threads(1)
    schedule = CyclicSchedule(
        base_lr=1e-4, max_lr=1e-3, step_size_up=500, base_momentum=0.85, max_momentum=0.95
    )
    theirs = {
        "SGD": partial(keras.optimizers.SGD, 1e-3, momentum=0.9),
        "Adam": partial(keras.optimizers.Adam, 1e-3, beta_1=0.9),
    }
    random = np.random.default_rng(1)
    x = random.normal(size=(BATCH, INPUTS)).astype("float32")
    y = random.normal(size=(BATCH, 1)).astype("float32")

    def batch(optimizer: keras.Optimizer, jit: bool) -> Any:
        model = keras.Sequential(
            [
                keras.layers.Input((INPUTS,)),
                keras.layers.Dense(WIDTH, "relu"),
                keras.layers.Dense(WIDTH, "relu"),
                keras.layers.Dense(1),
            ]
        )
        model.compile(optimizer, "mean_squared_error", jit_compile=jit)
        return partial(model.train_on_batch, x, y)

    rows = []
    for loop, jit in LOOPS[backend].items():
        for name, make in theirs.items():
            works = {
                "ours": batch(getattr(clr_keras, name)(schedule), jit),
                "theirs": batch(make(), jit),
                "again": batch(make(), jit),
            }
            seconds = interleaved(works, calls=CALLS, rounds=rounds())
            rows.append([backend, loop, name, *(seconds[each] for each in works)])
    return rows


def main() -> None:
    """Measures and writes the table."""
    rows = [
        [
            f"{backend}, {loop}",
            name,
            f"{theirs * 1e3:.2f}",
            f"{ours * 1e3:.2f}",
            f"{ours / theirs:.2f}",
            f"{again / theirs:.2f}",
        ]
        for backend, loop, name, ours, theirs, again in on_each_backend(__file__, measured)
    ]
    head = [
        "backend",
        "optimizer",
        "constants, ms",
        "cycled, ms",
        f"ratio (target: {TARGET})",
        "constants again",
    ]
    write(
        __file__,
        "Keras: one batch of training, momentum cycled",
        [
            machine("keras", "tensorflow-cpu", "jax", "torch"),
            f"`train_on_batch` of {BATCH}, a perceptron of {INPUTS}-{WIDTH}-{WIDTH}-1; median of "
            f"{rounds()} rounds of {CALLS} batches.",
            "",
            *table(head, rows),
            NOTES,
        ],
    )


if __name__ == "__main__":
    main()
