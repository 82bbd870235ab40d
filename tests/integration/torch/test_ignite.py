"""ignite's wrapper, which calls `get_lr()` and counts `last_epoch` by itself."""

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers.param_scheduler import LRScheduler, create_lr_scheduler_with_warmup
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_torch import CyclicLR, to_record

ARGUMENTS = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "step_size_down": 7}
KINDS = pytest.mark.parametrize("name", ["SGD", "Adam"])


def make(name="SGD", groups=1):
    weights = [{"params": [torch.nn.Parameter(torch.ones(3))]} for _ in range(groups)]
    return getattr(torch.optim, name)(
        weights, lr=0.3, **({"momentum": 0.9} if name == "SGD" else {})
    )


def run(handler, optimizer, steps=40, event=Events.ITERATION_STARTED):
    seen = []

    def update(engine, batch):
        for group in optimizer.param_groups:
            seen.append(group["lr"])
            seen.append(group["betas"][0] if "betas" in group else group["momentum"])
            group["params"][0].grad = torch.ones(3)
        optimizer.step()

    engine = Engine(update)
    engine.add_event_handler(event, handler)
    engine.run([0] * steps, max_epochs=1)
    return seen


def wrapped(scheduler):
    return LRScheduler(scheduler)


def after_a_warm_up(scheduler):
    return create_lr_scheduler_with_warmup(
        scheduler, warmup_start_value=0.001, warmup_duration=5, warmup_end_value=0.01
    )


@KINDS
@pytest.mark.parametrize("wrap", [wrapped, after_a_warm_up])
@pytest.mark.parametrize("case", [{}, {"mode": "triangular2"}, {"cycle_momentum": False}], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_rates_and_momenta(name, wrap, case, groups):
    used = []
    for kind in (CyclicLR, Torchs):
        optimizer = make(name, groups)
        used.append(run(wrap(kind(optimizer, **ARGUMENTS | case)), optimizer))
    assert used[0] == pytest.approx(used[1], rel=1e-13)


def test_resuming():
    optimizer = make()
    straight = run(LRScheduler(CyclicLR(optimizer, **ARGUMENTS)), optimizer)
    optimizer = make()
    scheduler = CyclicLR(optimizer, **ARGUMENTS)
    handler = LRScheduler(scheduler)
    assert run(handler, optimizer, 15) == straight[:30]
    states = optimizer.state_dict(), handler.state_dict()
    assert states[1]["lr_scheduler"]["applied"] is False  # It would take the rate of step 15.

    again = make()
    resumed = LRScheduler(CyclicLR(again, **ARGUMENTS))
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert again.param_groups[0]["lr"] == straight[28]
    assert run(resumed, again, 25) == straight[30:]


@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_a_record_has_the_step_of_the_next_update(kind):
    optimizer = make()
    scheduler = kind(optimizer, **ARGUMENTS)
    run(LRScheduler(scheduler), optimizer, 15)
    for source in (scheduler, scheduler.state_dict()):
        assert to_record(source).step == 15
    ours = CyclicLR(make(), **ARGUMENTS)
    ours.load_state_dict(scheduler.state_dict())
    assert ours.last_epoch == 15


def test_a_step_that_was_set_by_hand():
    scheduler = CyclicLR(make(), 0.1, 0.5, step_size_up=4)
    scheduler.last_epoch += 1
    scheduler.load_state_dict(scheduler.state_dict())
    assert scheduler.last_epoch == 1
    assert scheduler.optimizer.param_groups[0]["lr"] == 0.1
