"""The core by itself: plain Python, and NumPy where it is installed."""

from importlib.util import find_spec

MAX_STEP = 2**53


def lrs(schedule, steps):
    return [schedule.lr(step) for step in steps]


def momenta(schedule, steps):
    return [schedule.momentum(step) for step in steps]


if find_spec("numpy"):
    CURVES = {"numpy": lambda schedule, steps: schedule.lr(steps).astype("float32")}
    FLOAT64 = {
        "numpy": lambda *curves: [each.lr(steps) for each, steps in zip(*curves, strict=True)]
    }
else:
    CURVES, FLOAT64 = {}, {}
