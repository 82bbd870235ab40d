"""Cyclical learning rates as schedules and optimizers of `optax`.

>>> from clr_core import CyclicSchedule
>>> rate = cyclic_lr(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2))
>>> [round(float(rate(step)), 3) for step in range(5)]
[0.1, 0.3, 0.5, 0.3, 0.1]
"""

from typing import TYPE_CHECKING, Any

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "`clr_jax` needs JAX and optax. Install them with: pip install 'cyclical-lr[jax]'"
    ) from error

from clr_core import __version__ as __version__
from clr_jax.finder import range_test
from clr_jax.schedule import cyclic_lr, cyclic_momentum, scheduled_lr, scheduled_momentum

if TYPE_CHECKING:
    from clr_jax.moments import from_moments, read_moments, read_weights, to_moments
    from clr_jax.optimizer import cyclic_optimizer, scheduled_optimizer
    from clr_jax.record import from_record, read_record, to_record
    from clr_jax.state import current_lr, current_momentum, schedule_counts, set_step

__all__ = [
    "current_lr",
    "current_momentum",
    "cyclic_lr",
    "cyclic_momentum",
    "cyclic_optimizer",
    "from_moments",
    "from_record",
    "range_test",
    "read_moments",
    "read_record",
    "read_weights",
    "schedule_counts",
    "scheduled_lr",
    "scheduled_momentum",
    "scheduled_optimizer",
    "set_step",
    "to_moments",
    "to_record",
]

# Loaded when first used, since `clr_keras` on its JAX backend uses `clr_jax.evaluate` and has no
# optax; each name with its module.
_LATER = {
    **dict.fromkeys(("current_lr", "current_momentum", "schedule_counts", "set_step"), "state"),
    **dict.fromkeys(("from_moments", "read_moments", "read_weights", "to_moments"), "moments"),
    **dict.fromkeys(("from_record", "read_record", "to_record"), "record"),
    **dict.fromkeys(("cyclic_optimizer", "scheduled_optimizer"), "optimizer"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"`clr_jax.{name}` needs optax. Install it with: pip install 'cyclical-lr[jax]'"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
