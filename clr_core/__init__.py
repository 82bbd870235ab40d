"""The cyclical learning rate as a function from a step to a number, for any framework.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
    >>> [round(schedule.lr(step), 3) for step in range(5)]
    [0.1, 0.3, 0.5, 0.3, 0.1]

Standard library only. Adapters: `clr_torch`, `clr_keras`, `clr_jax`; to write another, see
`clr_core.ops.Ops` and `clr_core.conformance`.
"""

from clr_core.schedule import CyclicSchedule, check_schedule, schedule_from_dict

__all__ = ["CyclicSchedule", "check_schedule", "schedule_from_dict"]
