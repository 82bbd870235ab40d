"""The curve of a long training: 79 epochs of 17,000 batches, Adam, `triangular2`."""

import time
from dataclasses import dataclass

import numpy as np

from clr_core import CyclicSchedule

EPOCHS = 79
STEPS_PER_EPOCH = 17_000
STEPS = EPOCHS * STEPS_PER_EPOCH
BASE_LR = 0.0015
MAX_LR = 0.006
EPOCHS_UP = 6
STEP_SIZE_UP = STEPS_PER_EPOCH * EPOCHS_UP


@dataclass(frozen=True)
class Curve:
    """The rates of all 1,343,000 steps, and how long computing them took, in seconds."""

    rates: np.ndarray
    seconds: float


def curve() -> Curve:
    """Compute all rates at once, from the schedule."""
    schedule = CyclicSchedule(
        base_lr=BASE_LR, max_lr=MAX_LR, step_size_up=STEP_SIZE_UP, mode="triangular2"
    )
    start = time.perf_counter()
    rates = schedule.lr(np.arange(STEPS))
    return Curve(rates=rates, seconds=time.perf_counter() - start)
