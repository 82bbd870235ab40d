"""What the tests of all trainers share: a schedule, the data, and the comparison of each update."""

import numpy as np
from sklearn.datasets import load_digits

from clr_core import CyclicSchedule

# No two steps have the same rate, so that any wrong step shows.
SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.07,
    step_size_up=7,
    step_size_down=5,
    mode="exp_range",
    gamma=0.996,
    base_momentum=0.8,
    max_momentum=0.95,
)
BATCH, BATCHES = 32, 20
"""The examples in a batch, and the batches in an epoch."""

compared = 0
"""How many rates and momenta `assert_followed` has compared, for the summary of a test run."""


def digits():
    """Images of 64 pixels and labels: an epoch's."""
    images, labels = load_digits(return_X_y=True)
    examples = BATCH * BATCHES
    return (images[:examples] / 16).astype(np.float32), labels[:examples].astype(np.int64)


def assert_followed(used, updates, first=0, schedule=SCHEDULE):
    """Assert that updates `first` to `updates - 1` were made, each with the schedule's rate.

    `used` has a pair of each update: its rate and momentum, or the rate and None.
    """
    global compared
    assert len(used) == updates - first
    wrong = []
    for step, (lr, momentum) in enumerate(used, start=first):
        for name, value in {"lr": lr, "momentum": momentum}.items():
            if value is not None:
                compared += 1
                right = np.float32(getattr(schedule, name)(step))
                if np.float32(value).tobytes() != right.tobytes():
                    wrong.append(f"update {step} uses {name}={value} and not {right}")
    assert wrong == []
