"""A training resumes bit for bit, in whatever order its parts are loaded."""

import io
import warnings

import pytest
import torch

from clr_torch import CyclicLR

STEPS = 13

OPTIMIZERS = {
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9),
    "SGD nesterov": lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9, nesterov=True),
    "SGD tensor": lambda groups: torch.optim.SGD(groups, lr=torch.tensor(0.3), momentum=0.9),
    "RMSprop": lambda groups: torch.optim.RMSprop(groups, lr=0.3, momentum=0.9),
    "Adam": lambda groups: torch.optim.Adam(groups, lr=0.3),
    "Adam tensor": lambda groups: torch.optim.Adam(groups, lr=torch.tensor(0.3)),
    "NAdam": lambda groups: torch.optim.NAdam(groups, lr=0.3),
}

# The momentum is 0 at the peaks of the second; loading there must not switch it off.
CYCLES = {
    "triangular2": {"base_lr": [0.001, 0.002], "max_lr": 0.01, "mode": "triangular2"},
    "to 0": {"base_lr": 0.0, "max_lr": 0.01, "base_momentum": 0.0, "scale_fn": "1"},
}


class Training:
    """A small network, an optimizer with two groups, and batches that depend on the step alone."""

    def __init__(self, make, cycle):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
        )
        groups = [{"params": self.model[0].parameters()}, {"params": self.model[2].parameters()}]
        self.optimizer = make(groups)
        self.cycle = {"step_size_up": 3} | cycle
        self.scheduler = None

    def schedule(self, **arguments):
        self.scheduler = CyclicLR(self.optimizer, **self.cycle, **arguments)
        return self

    def run(self, start, stop):
        for step in range(start, stop):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(16, 4, generator=generator)
            self.optimizer.zero_grad()
            (self.model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            self.optimizer.step()
            self.scheduler.step()
        return self

    def saved(self):
        file = io.BytesIO()
        parts = ("model", "optimizer", "scheduler")
        torch.save({part: getattr(self, part).state_dict() for part in parts}, file)
        return file.getvalue()

    def bits(self):
        return [parameter.detach().numpy().tobytes() for parameter in self.model.parameters()]

    def values(self):
        return [
            (float(group["lr"]), group.get("momentum"), group.get("betas"))
            for group in self.optimizer.param_groups
        ]


def optimizer_first(training, state):
    training.optimizer.load_state_dict(state["optimizer"])
    training.schedule().scheduler.load_state_dict(state["scheduler"])


def scheduler_first(training, state):
    training.schedule().scheduler.load_state_dict(state["scheduler"])
    training.optimizer.load_state_dict(state["optimizer"])


def made_first(training, state):
    training.schedule().optimizer.load_state_dict(state["optimizer"])
    training.scheduler.load_state_dict(state["scheduler"])


def last_epoch(training, state):
    training.optimizer.load_state_dict(state["optimizer"])
    training.schedule(last_epoch=state["scheduler"]["last_epoch"] - 1)


def twice(training, state):
    made_first(training, state)
    made_first(training, state)


ORDERS = [optimizer_first, scheduler_first, made_first, last_epoch, twice]


def resumed(make, cycle, order, state):
    state = torch.load(io.BytesIO(state), weights_only=True)
    training = Training(make, cycle)
    training.model.load_state_dict(state["model"])
    order(training, state)
    return training


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
def test_bit_for_bit(order, make, cycle):
    straight = Training(make, cycle).schedule().run(0, STEPS)
    begun = Training(make, cycle).schedule()
    for step in range(0, STEPS, 3):  # Base, peak, base and so on.
        state = begun.run(max(step - 3, 0), step).saved()
        training = resumed(make, cycle, order, state)
        assert training.values() == begun.values(), step
        assert training.scheduler.get_last_lr() == begun.scheduler.get_last_lr(), step
        assert training.scheduler.get_last_momentum() == begun.scheduler.get_last_momentum(), step
        assert training.run(step, STEPS).bits() == straight.bits(), step


@pytest.mark.parametrize("step", range(8))
def test_scheduler_only(step):
    # This optimizer has no state, so there is nothing to restore but the rates.
    def make(groups):
        return torch.optim.SGD(groups, lr=0.3)

    def scheduler_only(training, state):
        training.schedule().scheduler.load_state_dict(state["scheduler"])

    cycle = CYCLES["triangular2"] | {"cycle_momentum": False}
    straight = Training(make, cycle).schedule().run(0, STEPS)
    state = Training(make, cycle).schedule().run(0, step).saved()
    training = resumed(make, cycle, scheduler_only, state).run(step, STEPS)
    assert training.bits() == straight.bits()


def test_momentum_after_scheduler_only():
    make, cycle = OPTIMIZERS["Adam"], CYCLES["triangular2"]
    begun = Training(make, cycle).schedule().run(0, 4)
    training = Training(make, cycle).schedule()
    training.scheduler.load_state_dict(begun.scheduler.state_dict())
    assert training.values() == begun.values()


def test_back_to_an_earlier_step():
    make, cycle = OPTIMIZERS["SGD"], CYCLES["triangular2"]
    training = Training(make, cycle).schedule().run(0, 4)
    state, bits = training.saved(), training.run(4, STEPS).bits()
    loaded = torch.load(io.BytesIO(state), weights_only=True)
    for part in ("scheduler", "optimizer", "model"):
        getattr(training, part).load_state_dict(loaded[part])
    assert training.run(4, STEPS).bits() == bits


def test_no_warning_about_the_order_of_steps():
    # Torch's base class counts steps to detect calls in the wrong order.
    make, cycle = OPTIMIZERS["SGD"], CYCLES["triangular2"]
    state = Training(make, cycle).schedule().run(0, 4).saved()
    training = resumed(make, cycle, made_first, state)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.run(4, STEPS)
    assert not caught
    assert training.scheduler._step_count == STEPS + 1
