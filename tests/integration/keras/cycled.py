"""Trainings with a cycled momentum, and their expected results.

The model is linear and its loss the absolute error to a target far below, so that the gradient of a
batch of one is its input, to the bit: every update's gradient is chosen freely.
"""

import keras
import numpy as np

import clr_keras
from clr_core import CyclicSchedule

BACKEND = keras.backend.backend()
UPDATES = 14  # Two cycles and a half.
WEIGHTS = 5
# Each update rounds a weight below 2 by at most 2**-24. The largest difference seen is 2e-7; a
# momentum that isn't cycled makes 4e-3 or more, see `test_optimizer_weights.py`.
CLOSE = {"rtol": 0, "atol": UPDATES * 2.0**-24}
SCHEDULE = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.006,
    step_size_up=3,
    step_size_down=2.5,
    mode="triangular2",
    base_momentum=0.6,
    max_momentum=0.95,
)
# Exactly 0 in update 3, when code that asks `momentum != 0` would leave the velocity as it is.
TO_ZERO = CyclicSchedule(
    base_lr=0.001, max_lr=0.006, step_size_up=3, base_momentum=0.0, max_momentum=0.9
)
NAMES = ["SGD", "Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Lion"]
VARIANTS = {name: (name, {}) for name in NAMES} | {
    "SGD-nesterov": ("SGD", {"nesterov": True}),
    "SGD-torch": ("SGD", {"torch_velocity": True}),
    "SGD-torch-nesterov": ("SGD", {"torch_velocity": True, "nesterov": True}),
    "RMSprop-centered": ("RMSprop", {"centered": True}),
    "Adam-amsgrad": ("Adam", {"amsgrad": True}),
}
LOOPS = {
    "eager": {"run_eagerly": True, "jit_compile": False},
    "plain": {"jit_compile": False},  # A graph in TensorFlow.
    "jit": {"jit_compile": True},
}
if BACKEND != "tensorflow":
    del LOOPS["plain"]  # The eager one.
if BACKEND == "torch":
    del LOOPS["jit"]  # Some 10 s each: in test_torch.py.

_random = np.random.default_rng(1)
START = _random.normal(size=WEIGHTS).astype("float32")
GRADIENTS = _random.normal(size=(UPDATES, WEIGHTS)).astype("float32")


def optimizer(variant, schedule=SCHEDULE, **options):
    name, own = VARIANTS[variant]
    return getattr(clr_keras, name)(schedule, **own, **options)


def model(optimizer, **options):
    made = keras.Sequential(
        [keras.layers.Input((WEIGHTS,)), keras.layers.Dense(1, use_bias=False, name="linear")]
    )
    made.set_weights([START[:, None]])
    # By default Keras compiles, which is slow on torch.
    made.compile(optimizer, "mean_absolute_error", **{"jit_compile": False} | options)
    made.optimizer.build(made.trainable_variables)
    return made


def fit(trained, gradients=GRADIENTS, **options):
    targets = np.full((len(gradients), 1), -1000.0, "float32")
    options = {"batch_size": 1, "shuffle": False, "verbose": 0} | options
    trained.fit(np.asarray(gradients), targets, **options)
    return weights(trained)


def weights(trained):
    return trained.get_weights()[0][:, 0]


def rates(schedule=SCHEDULE, updates=UPDATES):
    return np.float32(schedule.lr(np.arange(updates)))


def momenta(schedule=SCHEDULE, updates=UPDATES):
    return np.float32(schedule.momentum(np.arange(updates)))


def shown(optimizer):
    """The `momentum` or `beta_1` that a user reads."""
    return optimizer.momentum if hasattr(optimizer, "momentum") else optimizer.beta_1


def expected(variant, gradients=GRADIENTS, schedule=SCHEDULE, momenta_=None):
    """The weights after all updates, from the definitions, in float64."""
    return defined(variant, gradients, schedule, momenta_)[0]


def defined(variant, gradients=GRADIENTS, schedule=SCHEDULE, momenta_=None):
    """These weights, and what the optimizer remembers by their letters in the definitions."""
    name, own = VARIANTS[variant]
    w, zero = START.astype("float64"), np.zeros(WEIGHTS)
    state = {"v": zero, "m": zero, "u": zero, "a": zero, "top": zero, "product": 1.0}
    given = momenta(schedule, len(gradients)) if momenta_ is None else momenta_
    each = zip(gradients, rates(schedule, len(gradients)), given, strict=True)
    for t, (g, lr, mu) in enumerate(each, 1):
        w = _STEPS[name](w, state, t, np.float64(g), np.float64(lr), np.float64(mu), **own)
    return w, state


def _sgd(w, s, t, g, lr, mu, nesterov=False, torch_velocity=False):
    if torch_velocity:
        s["v"] = mu * s["v"] + g
        return w - lr * (g + mu * s["v"] if nesterov else s["v"])
    s["v"] = mu * s["v"] - lr * g
    return w + (mu * s["v"] - lr * g if nesterov else s["v"])


def _adam(w, s, t, g, lr, mu, amsgrad=False):
    s["m"] = mu * s["m"] + (1 - mu) * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    s["top"] = np.maximum(s["top"], s["v"])
    root = np.sqrt(s["top"] if amsgrad else s["v"])
    return w - lr * np.sqrt(1 - 0.999**t) / (1 - mu**t) * s["m"] / (root + 1e-7)


def _adamw(w, s, t, g, lr, mu):
    return _adam(w * (1 - 0.004 * lr), s, t, g, lr, mu)


def _nadam(w, s, t, g, lr, mu):
    now, then = (mu * (1 - 0.5 * 0.96**at) for at in (t, t + 1))
    s["product"] *= now
    s["m"] = mu * s["m"] + (1 - mu) * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    m = then * s["m"] / (1 - s["product"] * then) + (1 - now) * g / (1 - s["product"])
    return w - lr * m / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def _adamax(w, s, t, g, lr, mu):
    s["m"] = mu * s["m"] + (1 - mu) * g
    s["u"] = np.maximum(0.999 * s["u"], abs(g))
    return w - lr / (1 - mu**t) * s["m"] / (s["u"] + 1e-7)


def _rmsprop(w, s, t, g, lr, mu, centered=False):
    s["a"] = 0.9 * s["a"] + 0.1 * g**2
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = mu * s["v"] + lr * g / np.sqrt(s["a"] - centered * s["m"] ** 2 + 1e-7)
    return w - s["v"]


def _lion(w, s, t, g, lr, mu):
    direction = mu * s["m"] + (1 - mu) * g
    assert abs(direction).min() > 1e-5  # Else rounding would choose the sign.
    s["m"] = 0.99 * s["m"] + 0.01 * g
    return w - lr * np.sign(direction)


_STEPS = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "Nadam": _nadam,
    "Adamax": _adamax,
    "RMSprop": _rmsprop,
    "Lion": _lion,
}
