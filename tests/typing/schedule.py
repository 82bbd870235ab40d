"""Types of the core, checked by mypy and never run."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from clr_core import CyclicSchedule, Schedule, schedule_from_dict
from clr_core.ops import Ops

schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, scale_fn=lambda x: 1 / x)
assert_type(schedule.lr(3), float)
assert_type(schedule.momentum(3), float | None)
steps: NDArray[np.int64] = np.arange(3)
assert_type(schedule.lr(steps), NDArray[np.float64])
assert_type(schedule.cycle_size, float)
assert_type(schedule_from_dict({}), Schedule)
any_kind: Schedule = schedule
assert_type(any_kind.lr(3), float)
assert_type(any_kind.momentum(steps), NDArray[np.float64] | None)
assert_type(CyclicSchedule.from_json(""), CyclicSchedule)

schedule.lr("3")  # type: ignore[call-overload]
schedule.base_lr = 0.1  # type: ignore[misc]
CyclicSchedule(0.001, 0.006)  # type: ignore[call-arg]


def modules_are_ops() -> list[Ops]:
    from clr_core import numpy_ops, python_ops

    return [python_ops, numpy_ops]


def adapters_are_ops() -> list[Ops]:
    import clr_jax.ops
    import clr_torch.ops

    return [clr_jax.ops, clr_torch.ops]
