"""One small problem for the range tests of all frameworks, and its losses in float64.

`tanh(x @ W1 + b1) @ W2 + b2`, the mean squared error, and plain SGD on the same batches in the same
order: `errors` is written out by hand in NumPy and shares nothing with what it judges.
"""

import numpy as np

STEPS, BATCH, INPUTS, HIDDEN = 60, 16, 5, 8
OPTIONS = {"start_lr": 1e-4, "end_lr": 0.5, "num_steps": STEPS, "divergence": None}
# Each of the updates may add a rounding of float32, half an ulp, to what a loss is made of.
CLOSE = {"rtol": STEPS * 2.0**-24, "atol": 0}

_random = np.random.default_rng(17)
X = _random.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
Y = np.sin(X.sum(axis=2, keepdims=True)).astype(np.float32)
# Kernels are (inputs, outputs), as in Keras; torch has them the other way round.
WEIGHTS = [
    (_random.normal(size=(INPUTS, HIDDEN)) / 2).astype(np.float32),
    np.zeros(HIDDEN, np.float32),
    (_random.normal(size=(HIDDEN, 1)) / 2).astype(np.float32),
    np.zeros(1, np.float32),
]


def batches():
    return list(zip(X, Y, strict=True))


def rates():
    """The ramp, from its definition."""
    ends = np.log([OPTIONS["start_lr"], OPTIONS["end_lr"]])
    return np.exp(np.linspace(*ends, STEPS))


def losses():
    """The mean squared error before each update."""
    return np.mean(errors() ** 2, axis=(1, 2))


def scores():
    """The score before each update: less the mean absolute error, so that more is better."""
    return -np.mean(np.abs(errors()), axis=(1, 2))


def errors():
    w1, b1, w2, b2 = (each.astype(np.float64) for each in WEIGHTS)
    found = []
    for (x, y), lr in zip(batches(), rates(), strict=True):
        x, y = x.astype(np.float64), y.astype(np.float64)
        hidden = np.tanh(x @ w1 + b1)
        error = hidden @ w2 + b2 - y
        found.append(error)
        of_output = 2 * error / error.size
        of_hidden = of_output @ w2.T * (1 - hidden**2)
        w1 = w1 - lr * (x.T @ of_hidden)
        b1 = b1 - lr * of_hidden.sum(axis=0)
        w2 = w2 - lr * (hidden.T @ of_output)
        b2 = b2 - lr * of_output.sum(axis=0)
    return np.array(found)
