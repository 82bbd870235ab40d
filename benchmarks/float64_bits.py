"""Float64 bits that differ from plain Python's on this machine: writes benchmarks/float64_bits.md.

Each array library that is installed, on its CPU and on its GPU if it has one, eagerly and compiled.
If a number in the table isn't 0, please send it to us.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions, version
from typing import Any

from measuring import ROUNDS, each_alone, rounds, table, write

SCHEDULES = 20  # Of each mode.
STEPS = 10_000  # Of each schedule, up to 2**31 - 1.
HOSTS = {"NumPy": "numpy", "torch": "torch", "TensorFlow": "tensorflow", "JAX": "jax"}
EXPRESSIONS = (
    "1 / 2 ** (x - 1)",
    "1 / 5 ** (x * 1e-4)",
    "exp(-x / 1000) + 0.1",
    "0.5 * (1 + sin(x * pi / 2))",
    "1 + 0.5 * sin(x * 0.01) + 0.1 * cos(x * 0.02)",
    "1 + -1e-6 * x",
    "(x + 1) ** -0.3",
    "1 / sqrt(x + 1)",
    "log(x + 1) / 20",
    "tanh(x / 1000)",
)

Curves = Iterator[tuple[str, Callable[[Any], Any]]]
"""For each way of computing, its name, and a function from a schedule to its rates as an array."""


def schedules() -> Iterator[tuple[str, Any]]:
    """The mode and the schedule of each curve."""
    from clr_core import CyclicSchedule

    rng = random.Random(0)
    for number in range(SCHEDULES * rounds() // ROUNDS):
        band = {"base_lr": 10 ** rng.uniform(-6, -2), "max_lr": 10 ** rng.uniform(-2, 0)}
        band["step_size_up"] = rng.choice((10, 2000, 33.3, 10 ** rng.uniform(1, 5)))
        gamma = 1 - 10 ** rng.uniform(-9, -0.3)
        text = EXPRESSIONS[number % len(EXPRESSIONS)]
        yield "triangular", CyclicSchedule(**band)
        yield "triangular2", CyclicSchedule(**band, mode="triangular2")
        yield "exp_range", CyclicSchedule(**band, mode="exp_range", gamma=gamma)
        yield "expressions", CyclicSchedule(**band, scale_fn=text, scale_mode="iterations")


def steps() -> Any:
    import numpy as np

    rng = np.random.default_rng(0)
    magnitudes = 10 ** rng.uniform(0, np.log10(2**31 - 1), STEPS)
    return magnitudes.astype(np.int32)


def of_numpy(at: Any) -> Curves:
    yield "arrays", lambda schedule: schedule.lr(at)


def of_torch(at: Any) -> Curves:
    import torch

    import clr_torch.ops

    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        values = torch.from_numpy(at).to(torch.float64).to(device)
        yield (
            f"tensors, {device}",
            lambda schedule, x=values: schedule.lr(x, clr_torch.ops).cpu().numpy(),
        )


def of_tensorflow(at: Any) -> Curves:
    import tensorflow as tf

    import clr_keras.ops

    def rate(schedule: Any) -> Callable[[Any], Any]:
        return lambda step: schedule.lr(tf.maximum(tf.cast(step, tf.float64), 0.0), clr_keras.ops)

    ways: dict[str, Any] = {"eager": None, "graph": {}, "XLA": {"jit_compile": True}}
    for device in ("CPU", "GPU")[: 1 + bool(tf.config.list_physical_devices("GPU"))]:
        for name, options in ways.items():

            def rates(schedule: Any, device: str = device, options: Any = options) -> Any:
                function = rate(schedule)
                if options is not None:
                    function = tf.function(function, autograph=False, **options)
                with tf.device(device):
                    return function(tf.constant(at)).numpy()

            yield f"{name}, {device.lower()}", rates


def of_jax(at: Any) -> Curves:
    import jax

    from clr_jax.evaluate import evaluate

    def rate(schedule: Any) -> Callable[[Any], Any]:
        return lambda count: evaluate(schedule.lr, count, "float64")

    ways: dict[str, Callable[[Any], Any]] = {
        "eager": lambda function: function,
        "jit": jax.jit,
        "scan": lambda function: jax.jit(lambda counts: jax.lax.map(function, counts)),
    }
    for device in {each.platform: each for each in (*jax.devices("cpu"), *jax.devices())}.values():
        for name, way in ways.items():

            def rates(schedule: Any, way: Any = way, device: Any = device) -> Any:
                with jax.enable_x64(True), jax.default_device(device):
                    return way(rate(schedule))(jax.numpy.asarray(at))

            yield f"{name}, {device.platform}", rates


def child(host: str) -> list[list[Any]]:
    """Rows of host, mode, the number of rates, and of those that differ from Python's."""
    import numpy as np

    at = steps()
    rows = []
    curves = list(schedules())
    expected = [np.array([schedule.lr(step) for step in at.tolist()]) for _, schedule in curves]
    for way, rates in globals()[f"of_{HOSTS[host]}"](at):
        counts: dict[str, list[int]] = {}
        for (mode, schedule), wanted in zip(curves, expected, strict=True):
            given = np.asarray(rates(schedule))
            counts.setdefault(mode, []).append(int(np.count_nonzero(given != wanted)))
        for mode, differing in counts.items():
            rows.append([f"{host}, {way}", mode, len(differing) * at.size, sum(differing)])
    return rows


def main() -> None:
    installed = packages_distributions()
    hosts = [host for host, package in HOSTS.items() if package in installed]
    # One process each, since some crash in one process.
    rows = each_alone(__file__, child, hosts)
    head = ["host", "mode", "float64 rates", "differing from plain Python's"]
    lines = table(head, [[*row[:2], f"{row[2]:,}", f"{row[3]:,}"] for row in rows])
    names = [installed[HOSTS[host]][0] for host in hosts]
    packages = [f"{name} {version(name)}" for name in names]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    write(__file__, "The same float64 bits", [f"{where}, {', '.join(packages)}.", "", *lines])


if __name__ == "__main__":
    main()
