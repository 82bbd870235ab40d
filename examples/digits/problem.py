"""The inputs of all three frameworks: the digits, a network, the batches and the schedule.

All of it is seeded NumPy, so that the frameworks differ only in their arithmetic.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from clr_core import CyclicSchedule

HELD_OUT = 360
BATCH_SIZE = 32
EPOCHS_UP = 4
CYCLES = 4
EPOCHS = CYCLES * 2 * EPOCHS_UP
PIXELS, HIDDEN, CLASSES = 64, 64, 10
SEED = 2017


@dataclass(frozen=True)
class Problem:
    """One training, down to the order of its images.

    `hidden` and `output` are the network's two layers, each a kernel of shape (inputs, outputs)
    and a bias. Row k of `batches` holds the indices of the 32 images in the batch of step k.
    """

    images: np.ndarray
    labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray
    hidden: tuple[np.ndarray, np.ndarray]
    output: tuple[np.ndarray, np.ndarray]
    batches: np.ndarray
    schedule: CyclicSchedule

    @property
    def steps(self) -> int:
        return len(self.batches)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // BATCH_SIZE


@cache
def digits() -> Problem:
    """1,437 images to train on, 360 held out; 32 epochs of 44 steps: 1,408 steps in 4 cycles."""
    pixels, labels = load_digits(return_X_y=True)
    images, held_out_images, labels, held_out_labels = train_test_split(
        pixels / 16, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    # Centred pixels keep the problem well-conditioned. Otherwise the differences in the last bits
    # of matrix products would grow until the loss curves diverge.
    mean = images.mean(axis=0)

    random = np.random.default_rng(SEED)
    hidden = _layer(random, PIXELS, HIDDEN)
    output = _layer(random, HIDDEN, CLASSES)

    steps_per_epoch = len(images) // BATCH_SIZE
    orders = [random.permutation(len(images)) for _ in range(EPOCHS)]
    batches = np.concatenate(
        [order[: steps_per_epoch * BATCH_SIZE].reshape(-1, BATCH_SIZE) for order in orders]
    )
    return Problem(
        images=(images - mean).astype(np.float32),
        labels=labels.astype(np.int64),
        held_out_images=(held_out_images - mean).astype(np.float32),
        held_out_labels=held_out_labels.astype(np.int64),
        hidden=hidden,
        output=output,
        batches=batches,
        schedule=CyclicSchedule(
            base_lr=0.2,
            max_lr=0.8,
            step_size_up=EPOCHS_UP * steps_per_epoch,
            mode="triangular2",
        ),
    )


def _layer(random: np.random.Generator, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    kernel = random.normal(scale=inputs**-0.5, size=(inputs, outputs))
    return kernel.astype(np.float32), np.zeros(outputs, np.float32)
