"""Types of the adapters, checked by mypy and never run."""

from typing import assert_type

import torch

from clr_core import CyclicSchedule, Record, one_cycle
from clr_torch import CyclicLR, ScheduledLR, from_record

schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006)
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
assert_type(CyclicLR.from_schedule(optimizer, schedule), CyclicLR)
assert_type(CyclicLR(optimizer, 0.1, [0.5], gamma=1).get_last_momentum(), list[float | None])
assert_type(ScheduledLR(optimizer, [one_cycle(0.1, 9)], -1).last_epoch, int)
assert_type(from_record(Record(schedule), optimizer), ScheduledLR)
ScheduledLR(optimizer, 0.1)  # type: ignore[arg-type]
CyclicLR(optimizer, "0.1", 0.5)  # type: ignore[arg-type]
