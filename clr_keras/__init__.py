"""Schedules of `clr_core` as a Keras `LearningRateSchedule`, and optimizers that cycle momentum.

On TensorFlow, JAX and torch, with the same rates on each.

>>> import keras
>>> from clr_core import CyclicSchedule
>>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
>>> optimizer = keras.optimizers.Adam(CyclicLR(schedule))
>>> round(float(optimizer.learning_rate), 3)
0.1
"""

try:
    import keras as _keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        "`clr_keras` needs Keras and one of its backends. "
        "Install it with: pip install 'cyclical-lr[keras]'"
    ) from error

from clr_core import __version__ as __version__
from clr_keras.finder import range_test
from clr_keras.foreign import schedule_from_addons, schedule_from_callback, schedule_from_keras
from clr_keras.moments import from_moments, read_moments, read_weights, to_moments
from clr_keras.optimizer import SGD, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from clr_keras.record import from_record, read_record, to_record
from clr_keras.schedule import CyclicLR, ScheduledLR

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "CyclicLR",
    "Lion",
    "Nadam",
    "RMSprop",
    "ScheduledLR",
    "from_moments",
    "from_record",
    "range_test",
    "read_moments",
    "read_record",
    "read_weights",
    "schedule_from_addons",
    "schedule_from_callback",
    "schedule_from_keras",
    "to_moments",
    "to_record",
]
