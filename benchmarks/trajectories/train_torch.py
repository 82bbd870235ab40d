"""Each optimizer in torch, with `clr_torch.CyclicLR`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import settings as given
import torch
from settings import rate, rate_and_momentum
from torch import optim
from training import Results, run_as_script

import clr_torch
from clr_core import CyclicSchedule
from problem import CLASSES, HIDDEN, PIXELS, Problem

Make = Callable[..., optim.Optimizer]
ADAM: dict[str, Any] = {"betas": (given.BETA_1, given.BETA_2), "eps": given.EPSILON}
ADAM_NO_EPSILON = {**ADAM, "eps": given.NO_EPSILON}
RMSPROP: dict[str, Any] = {"alpha": given.DECAY_RMSPROP, "eps": given.EPSILON}


class RMSpropRateInVelocity(optim.RMSprop):
    """RMSprop whose velocity keeps each step times the rate of its own update, as in Keras.

    Torch multiplies the whole velocity by the rate of now. Times the old rate and divided by the
    new one, the velocity so far has the rates of old after that.
    """

    def step(self, closure: Any = None) -> Any:
        """Rescales the velocity, and does a step."""
        (group,) = self.param_groups
        for state in self.state.values():
            state["momentum_buffer"] *= self.last_rate / group["lr"]
        self.last_rate = group["lr"]
        return super().step(closure)


class MuonFloat32(optim.Muon):
    """Muon that orthogonalizes in float32, unlike torch's, which uses bfloat16."""

    def step(self, closure: Any = None) -> Any:
        """A step in which `bfloat16()` is a plain copy."""
        with mock.patch.object(torch.Tensor, "bfloat16", lambda self: self.clone()):
            return super().step(closure)


def muon(kind: Make, eps: float, nesterov: bool = True) -> Callable[[list], list[optim.Optimizer]]:
    """Muon for the kernels and AdamW for the biases, as it is within Keras's and optax's."""
    return lambda weights: [
        kind(
            weights[::2],
            momentum=given.MOMENTUM_MUON,
            nesterov=nesterov,
            weight_decay=0,
            adjust_lr_fn="match_rms_adamw",
        ),
        optim.AdamW(weights[1::2], weight_decay=0, betas=(given.BETA_1, given.BETA_2), eps=eps),
    ]


def one(kind: Make, **arguments: Any) -> Callable[[list], list[optim.Optimizer]]:
    """One optimizer for all weights."""
    return lambda weights: [kind(weights, **arguments)]


def optimizers() -> dict[str, tuple[Callable[[list], list[optim.Optimizer]], CyclicSchedule]]:
    """Every run: its optimizers and their schedule. After a comma, a cause has been removed."""
    both = rate_and_momentum
    rmsprop = {**RMSPROP, "momentum": 0.9}
    return {
        "SGD": (one(optim.SGD, momentum=0.9), both("SGD")),
        "SGD Nesterov": (one(optim.SGD, momentum=0.9, nesterov=True), both("SGD")),
        "Adam": (one(optim.Adam, **ADAM), both("Adam")),
        "Adam, no epsilon": (one(optim.Adam, **ADAM_NO_EPSILON), both("Adam")),
        "AdamW": (one(optim.AdamW, weight_decay=given.WEIGHT_DECAY, **ADAM), both("Adam")),
        "AdamW, no epsilon": (
            one(optim.AdamW, weight_decay=given.WEIGHT_DECAY, **ADAM_NO_EPSILON),
            both("Adam"),
        ),
        "AMSGrad": (one(optim.Adam, amsgrad=True, **ADAM), both("Adam")),
        "AMSGrad, no epsilon": (one(optim.Adam, amsgrad=True, **ADAM_NO_EPSILON), both("Adam")),
        "NAdam": (one(optim.NAdam, **ADAM), both("Adam")),
        "NAdam, Keras's decay": (one(optim.NAdam, momentum_decay=1.0, **ADAM), both("Adam")),
        "NAdam, constant momentum": (one(optim.NAdam, momentum_decay=1e6, **ADAM), rate("Adam")),
        "RAdam": (one(optim.RAdam, **ADAM), both("RAdam")),
        "RAdam, no epsilon, float64": (one(optim.RAdam, **ADAM_NO_EPSILON), both("RAdam")),
        "Adamax": (one(optim.Adamax, **ADAM), both("Adamax")),
        "Adamax, no epsilon": (one(optim.Adamax, **ADAM_NO_EPSILON), both("Adamax")),
        "RMSprop": (one(optim.RMSprop, **RMSPROP), rate("RMSprop")),
        "RMSprop, no epsilon": (
            one(optim.RMSprop, **RMSPROP | {"eps": given.NO_EPSILON}),
            rate("RMSprop"),
        ),
        "RMSprop with momentum": (one(optim.RMSprop, **rmsprop), both("RMSprop with momentum")),
        "RMSprop with momentum, rate in velocity, no epsilon": (
            one(RMSpropRateInVelocity, **rmsprop | {"eps": given.NO_EPSILON}),
            both("RMSprop with momentum"),
        ),
        "Adagrad": (
            one(
                optim.Adagrad,
                initial_accumulator_value=given.INITIAL_ACCUMULATOR,
                eps=given.EPSILON,
            ),
            rate("Adagrad"),
        ),
        "Adadelta": (
            one(optim.Adadelta, rho=given.DECAY_ADADELTA, eps=given.EPSILON_ADADELTA),
            rate("Adadelta"),
        ),
        # Torch squares the first of these.
        "Adafactor": (one(optim.Adafactor, eps=(1e-15, 1e-3)), rate("Adafactor")),
        "Rprop": (
            one(optim.Rprop, lr=given.MAX_LR["Rprop"], step_sizes=(1e-6, given.LARGEST_STEP_RPROP)),
            rate("Rprop"),
        ),
        "Muon": (muon(optim.Muon, given.EPSILON), rate("Muon")),
        "Muon, float32, no epsilon": (muon(MuonFloat32, given.NO_EPSILON), rate("Muon")),
        "Muon, float32, no epsilon, not Nesterov": (
            muon(MuonFloat32, given.NO_EPSILON, nesterov=False),
            rate("Muon"),
        ),
    }


def train(
    problem: Problem,
    make: Callable[[list], list[optim.Optimizer]],
    schedule: CyclicSchedule,
    dtype: torch.dtype,
) -> list:
    """The weights after all batches, in the problem's order and shape."""
    model = torch.nn.Sequential(
        torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, CLASSES)
    ).to(dtype)
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), problem.weights, strict=True):
            parameter.copy_(torch.from_numpy(weight.T.copy()))
    made = make(list(model.parameters()))
    schedulers = [clr_torch.CyclicLR.from_schedule(optimizer, schedule) for optimizer in made]
    images = torch.from_numpy(problem.images).to(dtype)
    labels = torch.from_numpy(problem.labels).long()
    for batch, targets in zip(images, labels, strict=True):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), targets).backward()
        for each in (*made, *schedulers):
            each.step()
    return [parameter.detach().numpy().T for parameter in model.parameters()]


def train_all(problem: Problem) -> Results:
    """The weights at the end of every run."""
    # On matrices this small, threads mostly wait for each other.
    torch.set_num_threads(1)
    for name, (make, schedule) in optimizers().items():
        dtype = torch.float64 if name.endswith("float64") else torch.float32
        yield name, train(problem, make, schedule, dtype)


if __name__ == "__main__":
    run_as_script(train_all)
