"""The problem that every optimizer gets: digits, a network, its first weights, 300 batches.

All of it is float32 and seeded, so that a framework adds nothing of its own but arithmetic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

STEPS = 300
BATCH_SIZE = 32
PIXELS, HIDDEN, CLASSES = 64, 32, 10
SEED = 2017


@dataclass(frozen=True)
class Problem:
    """The data for a training: `images[k]` and `labels[k]` are the batch of step k.

    The network's weights are a kernel of shape (inputs, outputs) and a bias for each of two layers.
    """

    images: np.ndarray
    labels: np.ndarray
    hidden_kernel: np.ndarray
    hidden_bias: np.ndarray
    output_kernel: np.ndarray
    output_bias: np.ndarray

    @property
    def weights(self) -> list[np.ndarray]:
        """The weights at the start, in the order in which all frameworks keep them."""
        return [self.hidden_kernel, self.hidden_bias, self.output_kernel, self.output_bias]

    def save(self, path: Path) -> None:
        """Writes it for the processes that train."""
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})


def digits() -> Problem:
    """300 batches of 32 handwritten digits: five epochs and a third."""
    from sklearn.datasets import load_digits  # Slow to import, and the trainings don't need it.

    images, labels = load_digits(return_X_y=True)
    # Centred pixels, and tanh in the network, keep the problem well-conditioned. What float32
    # rounds off then stays small over 300 steps, where it would otherwise grow until it hid
    # whether two optimizers do the same.
    images = images / 16 - (images / 16).mean(axis=0)
    random = np.random.default_rng(SEED)
    epochs = -(-STEPS * BATCH_SIZE // len(images))
    orders = np.concatenate([random.permutation(len(images)) for _ in range(epochs)])
    batches = orders[: STEPS * BATCH_SIZE].reshape(STEPS, BATCH_SIZE)
    hidden_kernel = random.normal(scale=PIXELS**-0.5, size=(PIXELS, HIDDEN))
    output_kernel = random.normal(scale=HIDDEN**-0.5, size=(HIDDEN, CLASSES))
    return Problem(
        images=images[batches].astype(np.float32),
        labels=labels[batches].astype(np.int32),
        hidden_kernel=hidden_kernel.astype(np.float32),
        hidden_bias=np.zeros(HIDDEN, np.float32),
        output_kernel=output_kernel.astype(np.float32),
        output_bias=np.zeros(CLASSES, np.float32),
    )
