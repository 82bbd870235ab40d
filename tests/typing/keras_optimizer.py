"""What a type checker is to make of `clr_keras`'s optimizers: checked by mypy and never run."""

from typing import assert_type

from clr_core import CyclicSchedule, Record, one_cycle, schedule_from_dict
from clr_keras import SGD, Adam, CyclicLR, ScheduledLR, from_record

schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, base_momentum=0.8, max_momentum=0.9)
SGD(schedule, nesterov=True, torch_velocity=True, gradient_accumulation_steps=2)
Adam(CyclicLR(schedule_from_dict({})), beta_2=0.99, clipnorm=1.0)
SGD(ScheduledLR(one_cycle(0.1, 9)))
ScheduledLR(base_lr=0.1)  # type: ignore[call-arg]
SGD(schedule, nestrov=True)  # type: ignore[call-arg]
SGD(schedule, nesterov="yes")  # type: ignore[arg-type]
Adam(schedule, beta_1="yes")  # type: ignore[arg-type]
assert_type(from_record(Record(schedule, 3), SGD, nesterov=True), SGD)
Adam(0.1)  # type: ignore[arg-type]
