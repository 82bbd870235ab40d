"""One training, that any framework begins, hands over at some steps, and takes over from others.

A worker (`torch_worker.py` and so on) gives `main` its `Run`:

    Run(optimizer, record, weights, moments)    makes the network and the optimizer, going on there
    run.update(images, labels) -> lr, momentum  one update, and what it used
    run.save(folder)                            record.json, weights.npz, moments.npz

Weights and moments on disk are in one order and layout: kernel (inputs, outputs) and bias of the
hidden layer, then those of the last one.

    python torch_worker.py begin FOLDER          trains, and hands over at each of `POINTS`
    python torch_worker.py go_on FROM FOLDER …   takes over what another one left in FROM
    python torch_worker.py shifted FROM FOLDER N   the same, wrongly: N steps late
"""

import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, Record, one_cycle
from clr_core.moments import Moments

CYCLE = 20
LATE = 500 * CYCLE + 40
# Begin, end, and where it is handed over: before the first update, on the way up, at the peak, on
# the way down, at the border of a cycle and one after it; in a late cycle; and within phases, the
# last of them in a sequence that is part of another.
STRETCHES = {
    "early": (0, 34, (0, 3, 8, 15, 20, 21)),
    "late": (LATE + 1, LATE + 27, (LATE + 7, LATE + 20)),
    "one cycle": (0, 20, (4, 12)),
    "sequence": (0, 24, (15,)),
}
_SHAPE = {
    "base_lr": 0.004,
    "max_lr": 0.021,
    "step_size_up": 8,
    "step_size_down": 12,
    "base_momentum": 0.8,
    "max_momentum": 0.95,
}
# In a late cycle triangular2 is flat, so that any step would have its rate.
SCHEDULES = {
    "early": CyclicSchedule(mode="triangular2", **_SHAPE),
    "late": CyclicSchedule(mode="exp_range", gamma=0.9999, **_SHAPE),
    "one cycle": one_cycle(0.021, total_steps=25, base_momentum=0.8, max_momentum=0.95),
    "sequence": PiecewiseSchedule([Phase(5, 0.0, 0.02, "linear", 0.95, 0.9)]).then(
        CyclicSchedule(**_SHAPE).then(
            PiecewiseSchedule(
                [
                    Phase(2.5, 0.02, 0.001, "cosine", 0.8, 0.9),
                    Phase(3.5, 0.02, 0.0, "cosine", 0.7, 0.9),
                ],
                repeat=True,
            ),
            at=7,
        )
    ),
}
OPTIMIZERS = ("sgd", "adam")


def begun(optimizer, stretch):
    """What every framework begins with: a record, weights and moments of nothing."""
    first, _, _ = STRETCHES[stretch]
    random = np.random.default_rng(7)
    weights = []
    for inputs, outputs in ((64, 16), (16, 10)):
        kernel = random.normal(scale=inputs**-0.5, size=(inputs, outputs))
        weights += [kernel.astype(np.float32), np.zeros(outputs, np.float32)]
    slots = {"sgd": ["velocity"], "adam": ["first", "second"]}[optimizer]
    zeros = [np.zeros_like(array) for array in weights]
    # A run that begins late has a late count. Adam's correction of the bias is then over.
    record = Record(SCHEDULES[stretch], first)
    return record, weights, Moments(optimizer, first, dict.fromkeys(slots, zeros))


@cache
def digits():
    pixels, labels = load_digits(return_X_y=True)
    return ((pixels - pixels.mean(axis=0)) / 16).astype(np.float32), labels.astype(np.int64)


def batch(step):
    images, labels = digits()
    chosen = np.random.default_rng(step).integers(len(labels), size=16)
    return images[chosen], labels[chosen]


def train(run, first, last):
    """What each of the updates `first` to `last - 1` used."""
    return [run.update(*batch(step)) for step in range(first, last)]


def begin(Run, folder):
    for optimizer in OPTIMIZERS:
        for name, (first, last, points) in STRETCHES.items():
            run = Run(optimizer, *begun(optimizer, name))
            place, used = folder / optimizer / name, []
            for start, end in pairwise((first, *points, last)):
                used += train(run, start, end)
                left = place / ("end" if end == last else str(end))
                left.mkdir(parents=True)
                run.save(left)
            np.save(place / "used.npy", np.array(used, np.float32))


def go_on(Run, source, folder, shift=0):
    for optimizer in OPTIMIZERS:
        for name, (_, last, points) in STRETCHES.items():
            for point in points:
                left = source / optimizer / name / str(point)
                record = Record.read(left / "record.json")
                assert record.step == point
                run = Run(
                    optimizer,
                    Record(record.schedule, record.step + shift),
                    read_weights(left),
                    Moments.read(left / "moments.npz"),
                )
                used = train(run, point, last)
                place = folder / optimizer / name / str(point)
                place.mkdir(parents=True)
                if not shift:  # Adam's own count would not fit.
                    run.save(place)
                np.save(place / "used.npy", np.array(used, np.float32))


def save(folder, record, weights, moments):
    record.write(folder / "record.json")
    np.savez(folder / "weights.npz", *weights)
    moments.write(folder / "moments.npz")


def read_weights(folder):
    with np.load(folder / "weights.npz") as stored:
        return [stored[f"arr_{index}"] for index in range(4)]


def main(Run):
    what, *folders = sys.argv[1:]
    if what == "begin":
        begin(Run, Path(folders[0]))
    else:
        shift = int(folders.pop()) if what == "shifted" else 0
        for source, folder in zip(folders[::2], folders[1::2], strict=True):
            go_on(Run, Path(source), Path(folder), shift)
