"""States that earlier versions wrote can be read: `states/` holds one of each form, as JSON.

A state is added when the form changes, and none is ever changed or removed. Every platform computes
their decays to the same last bit.
"""

import json
from pathlib import Path

import pytest
import torch

from clr_core import schedule_from_dict
from clr_torch import CyclicLR

STATES = sorted(Path(__file__).with_name("states").glob("*.json"))


@pytest.mark.parametrize("path", STATES, ids=lambda path: path.stem)
def test_a_stored_state_is_read(path):
    state = json.loads(path.read_text(encoding="utf-8"))
    schedules = [schedule_from_dict(document) for document in state["schedules"]]
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in schedules]
    optimizer = torch.optim.SGD(groups, lr=0.5, momentum=0.5)
    scheduler = CyclicLR.from_schedule(optimizer, schedules)
    scheduler.load_state_dict(state)
    assert scheduler.last_epoch == state["last_epoch"]
    assert scheduler.get_last_lr() == state["_last_lr"]
    assert [group["lr"] for group in optimizer.param_groups] == state["_last_lr"]
    assert [group["momentum"] for group in optimizer.param_groups] == [
        schedule.momentum(state["last_epoch"]) for schedule in schedules
    ]


def test_there_are_stored_states():
    assert STATES
