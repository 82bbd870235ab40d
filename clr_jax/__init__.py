"""The cyclical learning rate as an `optax` schedule.

>>> from clr_core import CyclicSchedule
>>> rate = cyclic_lr(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2))
>>> [round(float(rate(step)), 3) for step in range(5)]
[0.1, 0.3, 0.5, 0.3, 0.1]
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "`clr_jax` needs JAX and optax. Install them with: pip install 'cyclical-lr[jax]'"
    ) from error

from clr_jax.schedule import cyclic_lr, cyclic_momentum

__all__ = ["cyclic_lr", "cyclic_momentum"]
