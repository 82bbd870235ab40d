"""Cyclical learning rates, and any other schedule of `clr_core`, for torch: an `LRScheduler`.

>>> import torch
>>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], momentum=0.9)
>>> scheduler = CyclicLR(optimizer, base_lr=0.1, max_lr=0.5, step_size_up=2)
>>> scheduler.get_last_lr()
[0.1]
"""

try:
    import torch as _torch
except ImportError as error:
    raise ImportError(
        "`clr_torch` needs torch. Install it with: pip install 'cyclical-lr[torch]'"
    ) from error
if _torch.__version__ < "2.4.0a0":  # Compared as versions and not as text.
    raise ImportError(
        f"`clr_torch` needs torch 2.4 or newer. Received: torch {_torch.__version__}. "
        "Install it with: pip install 'cyclical-lr[torch]'"
    )

from clr_core import __version__ as __version__
from clr_core.schedules import schedule_from_dict as _schedule_from_dict
from clr_torch.finder import range_test
from clr_torch.moments import (
    from_moments,
    read_hyperparameters,
    read_moments,
    read_weights,
    to_moments,
)
from clr_torch.record import from_record, read_record, to_record, to_state_dict
from clr_torch.schedule import CyclicLR, ScheduledLR

__all__ = [
    "CyclicLR",
    "ScheduledLR",
    "from_moments",
    "from_record",
    "range_test",
    "read_hyperparameters",
    "read_moments",
    "read_record",
    "read_weights",
    "to_moments",
    "to_record",
    "to_state_dict",
]

# Every schedule is pickled as a call of this function, which builds one from plain data and checks
# it. So `torch.load(weights_only=True)` may load a checkpoint that holds a schedule.
_torch.serialization.add_safe_globals([_schedule_from_dict])
