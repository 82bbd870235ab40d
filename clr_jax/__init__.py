"""The cyclical learning rate as an `optax` schedule.

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

from clr_jax.finder import range_test
from clr_jax.schedule import cyclic_lr, cyclic_momentum

if TYPE_CHECKING:
    from clr_jax.moments import from_moments, to_moments
    from clr_jax.optimizer import (
        current_lr,
        current_momentum,
        cyclic_optimizer,
        schedule_counts,
        set_step,
    )
    from clr_jax.record import from_record, read_record, to_record

__all__ = [
    "current_lr",
    "current_momentum",
    "cyclic_lr",
    "cyclic_momentum",
    "cyclic_optimizer",
    "from_moments",
    "from_record",
    "range_test",
    "read_record",
    "schedule_counts",
    "set_step",
    "to_moments",
    "to_record",
]

_MODULES = {
    **dict.fromkeys(("from_record", "read_record", "to_record"), "clr_jax.record"),
    **dict.fromkeys(("from_moments", "to_moments"), "clr_jax.moments"),
}


def __getattr__(name: str) -> Any:
    # On first use, since Keras on its JAX backend uses `clr_jax.ops` and has no optax.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(_MODULES.get(name, "clr_jax.optimizer")), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"`clr_jax.{name}` needs optax. Install it with: pip install 'cyclical-lr[jax]'"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
