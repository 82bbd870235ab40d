"""The arguments of all optimizers: the same numbers in every framework, not its defaults."""

from __future__ import annotations

from dataclasses import replace

from clr_core import CyclicSchedule

BETA_1 = 0.9  # If no momentum is cycled.
BETA_2 = 0.999
BETA_2_LION = 0.99
DECAY_RMSPROP = 0.9
DECAY_ADADELTA = 0.95
EPSILON = 1e-7
EPSILON_ADADELTA = 1e-6
# As good as none, and still no 0 to divide by: weights of a pixel that is always blank have the
# gradient 0.
NO_EPSILON = 1e-30
INITIAL_ACCUMULATOR = 0.1
WEIGHT_DECAY = 0.01
MOMENTUM_MUON = 0.95
RMS_MUON = 0.2
LARGEST_STEP_RPROP = 0.01

# High enough to learn within 300 steps, and low enough to be stable.
MAX_LR = {
    "SGD": 0.1,
    "Adam": 0.004,
    "RAdam": 0.02,
    "Adamax": 0.02,
    "RMSprop": 0.002,
    "RMSprop with momentum": 0.0005,
    "Adagrad": 0.05,
    "Adadelta": 1.0,
    "Adafactor": 0.02,
    "Rprop": 0.001,
    "Muon": 0.01,
    "Lion": 0.002,
    "LAMB": 0.02,
    "Schedule-free AdamW": 0.01,
}


def rate(name: str) -> CyclicSchedule:
    """Six cycles of 50 steps, from a quarter of the highest rate up to it."""
    return CyclicSchedule(base_lr=MAX_LR[name] / 4, max_lr=MAX_LR[name], step_size_up=25)


def rate_and_momentum(name: str) -> CyclicSchedule:
    """The same, with a momentum (or beta1) that falls from 0.95 to 0.85 as the rate rises."""
    return replace(rate(name), base_momentum=0.85, max_momentum=0.95)
