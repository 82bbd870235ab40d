"""A training that is saved to a file and resumed, in each order of loading.

A file is named after its optimizer and the update to resume with, such as `adam-2.pt`.
"""

import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR

UPDATES = 14
HALVES = {"step_size_up": 3, "step_size_down": 2.5}
SCHEDULES = [
    CyclicSchedule(base_lr=0.001, max_lr=0.01, scale_fn="1 / x", **HALVES),
    CyclicSchedule(base_lr=0.002, max_lr=0.02, mode="exp_range", gamma=0.97, **HALVES),
]
MOMENTA = [{"base_momentum": 0.0, "max_momentum": 0.9}, {}]
CYCLED = [
    CyclicSchedule.from_dict(schedule.to_dict() | momenta)
    for schedule, momenta in zip(SCHEDULES, MOMENTA, strict=True)
]


def tensors():
    return {"lr": torch.tensor(0.3), "betas": (torch.tensor(0.9), torch.tensor(0.99))}


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9, nesterov=True),
    "plain_sgd": lambda groups: torch.optim.SGD(groups, lr=0.3),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.3, momentum=0.9),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.3),
    "tensors": lambda groups: torch.optim.Adam(groups, **tensors()),
    "nadam": lambda groups: torch.optim.NAdam(groups, lr=0.3),
}


class Training:
    """Two layers with a parameter group each, and batches that depend on the update alone."""

    def __init__(self, name):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
        )
        groups = [{"params": self.model[layer].parameters()} for layer in (0, 2)]
        self.optimizer = OPTIMIZERS[name](groups)
        self.schedules = SCHEDULES if name == "plain_sgd" else CYCLED
        self.scheduler = None

    def make(self, **arguments):
        self.scheduler = CyclicLR.from_schedule(self.optimizer, self.schedules, **arguments)
        return self

    def run(self, start, stop):
        for update in range(start, stop):
            x = torch.randn(16, 4, generator=torch.Generator().manual_seed(update))
            self.optimizer.zero_grad()
            (self.model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            self.optimizer.step()
            self.scheduler.step()
        return self

    def save(self, path):
        parts = ("model", "optimizer", "scheduler")
        torch.save({part: getattr(self, part).state_dict() for part in parts}, path)

    def bits(self):
        return [weight.detach().numpy().tobytes().hex() for weight in self.model.parameters()]


def optimizer_first(training, state):
    training.optimizer.load_state_dict(state["optimizer"])
    training.make().scheduler.load_state_dict(state["scheduler"])


def scheduler_first(training, state):
    training.make().scheduler.load_state_dict(state["scheduler"])
    training.optimizer.load_state_dict(state["optimizer"])


def scheduler_made_first(training, state):
    training.make().optimizer.load_state_dict(state["optimizer"])
    training.scheduler.load_state_dict(state["scheduler"])


def twice(training, state):
    scheduler_made_first(training, state)
    scheduler_made_first(training, state)


def last_epoch_only(training, state):
    training.optimizer.load_state_dict(state["optimizer"])
    training.make(last_epoch=state["scheduler"]["last_epoch"] - 1)


def scheduler_only(training, state):
    training.make().scheduler.load_state_dict(state["scheduler"])


ORDERS = [optimizer_first, scheduler_first, scheduler_made_first, twice, last_epoch_only]


def resumed(path):
    name, update = path.stem.split("-")
    for order in [*ORDERS, *([scheduler_only] if name == "plain_sgd" else [])]:
        state = torch.load(path, weights_only=True)
        training = Training(name)
        training.model.load_state_dict(state["model"])
        order(training, state)
        yield order.__name__, training.run(int(update), UPDATES).bits()
