"""The cyclical learning rate as a function from a step to a number, for any framework.

    >>> from clr_core import CyclicSchedule
    >>> schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
    >>> [round(schedule.lr(step), 3) for step in range(5)]
    [0.1, 0.3, 0.5, 0.3, 0.1]

Standard library only. Adapters: `clr_torch`, `clr_keras`, `clr_jax`. To write another, see
`clr_core.ops.Ops`, `clr_core.adapter` and `clr_core.conformance`.
"""

from clr_core._arguments import check_schedule
from clr_core.schedules import schedule_from_dict
from clr_core.schedules.cyclic import CyclicSchedule

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from clr_core.moments import Moments
    from clr_core.planning import Suggestion, suggest_schedule
    from clr_core.range_finding.ask_tell import RangeTest
    from clr_core.range_finding.result import RangeTestResult
    from clr_core.record import Record, schedule_id
    from clr_core.schedules.families import (
        one_cycle,
        warm_restarts,
        warmup_cosine,
        warmup_stable_decay,
    )
    from clr_core.schedules.piecewise import Phase, PiecewiseSchedule
    from clr_core.schedules.protocol import Schedule
    from clr_core.schedules.sequence import SequenceSchedule
    from clr_core.verification import Verdict, verify
    from clr_core.verification.log import read_rates

__all__ = [
    "CyclicSchedule",
    "Moments",
    "Phase",
    "PiecewiseSchedule",
    "RangeTest",
    "RangeTestResult",
    "Record",
    "Schedule",
    "SequenceSchedule",
    "Suggestion",
    "Verdict",
    "check_schedule",
    "one_cycle",
    "read_rates",
    "schedule_from_dict",
    "schedule_id",
    "suggest_schedule",
    "verify",
    "warm_restarts",
    "warmup_cosine",
    "warmup_stable_decay",
]

# Loaded when first used; each name with its module.
_LATER = {
    "Moments": "moments",
    "Phase": "schedules.piecewise",
    "PiecewiseSchedule": "schedules.piecewise",
    "RangeTest": "range_finding.ask_tell",
    "RangeTestResult": "range_finding.result",
    "Record": "record",
    "Schedule": "schedules.protocol",
    "SequenceSchedule": "schedules.sequence",
    "Suggestion": "planning",
    "Verdict": "verification",
    "one_cycle": "schedules.families",
    "read_rates": "verification.log",
    "schedule_id": "record",
    "suggest_schedule": "planning",
    "verify": "verification",
    "warm_restarts": "schedules.families",
    "warmup_cosine": "schedules.families",
    "warmup_stable_decay": "schedules.families",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
