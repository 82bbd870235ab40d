"""States that earlier versions wrote can be read: `states/` holds one of each form, as JSON.

A state is added when the form changes, and none is ever changed or removed. Every platform computes
their decays to the same last bit.
"""

import json
from pathlib import Path

import pytest
import torch

from clr_core import schedule_from_dict
from clr_torch import CyclicLR, read_moments, read_record, to_record
from integration.torch.go_on import ORDERS, UPDATES, Training

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


RUNS = sorted(Path(__file__).with_name("states").glob("torch-*/*.pt"))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("path", RUNS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_run_of_another_torch_goes_on(path, order):
    """Their `Training(name).make().run(0, update).save(path)`: older in newer torch, and back."""
    name, update = path.stem.split("-")
    update, state = int(update), torch.load(path, weights_only=True)
    here, there = Training(name).make().run(0, update), Training(name)
    there.model.load_state_dict(state["model"])
    order(there, state)
    assert read_record(path) == to_record(there.scheduler) == to_record(here.scheduler)
    assert read_moments(path, count=update).count == update
    for step in range(update, UPDATES):
        groups = zip(here.optimizer.param_groups, there.optimizer.param_groups, strict=True)
        for ours, theirs in groups:
            assert all(theirs[key] == ours[key] for key in ours.keys() - {"params"})
        here.run(step, step + 1), there.run(step, step + 1)
    for ours, theirs in zip(here.model.parameters(), there.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)  # What torch computes may differ by a rounding.


def test_there_are_runs_of_an_old_torch_and_of_a_new_one():
    assert {path.parent.name for path in RUNS} == {"torch-2.4.1", "torch-2.15.0"}
