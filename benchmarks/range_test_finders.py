"""The finders of a learning rate that are judged: ours, and those of the packages, as they come.

Each runs its own test with its own defaults on a fresh model, and gives one number or none. For
Lightning, torch-lr-finder and ignite the packages themselves run. fastai can't be imported without
some forty packages more, so its loop stands here, around its own smoothing and its own four
suggestions, which are taken out of its files as they are.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import matplotlib as mpl
import numpy as np
import torch
from ignite.engine import create_supervised_trainer
from ignite.handlers import FastaiLRFinder
from lightning.pytorch.tuner import Tuner
from range_test_tasks import Task
from torch.utils.data import DataLoader, TensorDataset
from torch_lr_finder import LRFinder

from clr_torch import range_test

mpl.use("agg")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.simplefilter("ignore")

STEPS = 100  # The default of all of them.
START = 1e-7  # fastai's default; torch-lr-finder and ignite start with the optimizer's rate.
Suggestions = list[float | None]


def cyclical_lr(task: Task, seed: int) -> Suggestions:
    def found(**options: Any) -> float | None:
        model = task.model(seed)
        optimizer = task.optimizer(model.parameters(), lr=1.0)
        return range_test(model, optimizer, loader(task, seed), task.loss, **options).max_lr

    return [found(), found(trials=False), found(trials=False, repeats=3)]


def lightning(task: Task, seed: int) -> Suggestions:
    module = _Module(task, seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        finder = Tuner(trainer).lr_find(module, train_dataloaders=loader(task, seed))
    return [finder.suggestion()]


class _Module(pl.LightningModule):
    def __init__(self, task: Task, seed: int) -> None:
        super().__init__()
        self.task, self.net, self.lr = task, task.model(seed), 1e-3

    def training_step(self, batch, _):
        x, y = batch
        return self.task.loss(self.net(x), y)

    def configure_optimizers(self):
        return self.task.optimizer(self.net.parameters(), lr=self.lr)


def torch_lr_finder(task: Task, seed: int) -> Suggestions:
    model = task.model(seed)
    finder = LRFinder(model, task.optimizer(model.parameters(), lr=START), task.loss)
    finder.range_test(loader(task, seed), num_iter=STEPS)
    _, suggested = finder.plot(ax=mpl.figure.Figure().subplots())
    return [suggested]


def ignite(task: Task, seed: int) -> Suggestions:
    model = task.model(seed)
    optimizer = task.optimizer(model.parameters(), lr=START)
    trainer = create_supervised_trainer(model, optimizer, task.loss)
    finder, to_save = FastaiLRFinder(), {"model": model, "optimizer": optimizer}
    with finder.attach(trainer, to_save=to_save, num_iter=STEPS) as attached:
        attached.run(loader(task, seed), max_epochs=math.ceil(STEPS / task.steps_per_epoch) + 1)
    return [finder.lr_suggestion()]


def fastai(task: Task, seed: int) -> Suggestions:
    """The loop of fastai's `LRFinder` and `Learner.lr_find`, with their defaults."""
    part = _fastai()
    model, smooth, best = task.model(seed), part["AvgSmoothLoss"](), math.inf
    optimizer, loss_fn = task.optimizer(model.parameters(), lr=1.0), task.loss
    batches, rates, losses = task.batches(seed), [], []
    for step in range(STEPS):
        rates.append(part["sched_exp"](START, 10, step / STEPS))
        optimizer.param_groups[0]["lr"] = rates[-1]
        x, y = next(batches)
        optimizer.zero_grad()
        smooth.loss = loss_fn(model(x), y)  # It looks for `learn.loss`.
        smooth.loss.backward()
        optimizer.step()
        smooth.accumulate(smooth)
        losses.append(smooth.value)
        best = min(best, losses[-1])
        if losses[-1] > 4 * best:
            break
    lrs, curve = torch.tensor(rates[STEPS // 10 : -5]), torch.tensor(losses[STEPS // 10 : -5])
    if curve.isnan().any():
        end = int(curve.isnan().nonzero()[0])
        lrs, curve = lrs[:end], curve[:end]
    return [part[name](lrs, curve, STEPS)[0] for name in ("valley", "slide", "minimum", "steep")]


@cache
def _fastai() -> dict[str, Callable]:
    wanted = {
        "callback/schedule.py": {"sched_exp", "valley", "slide", "minimum", "steep"},
        "learner.py": {"AvgSmoothLoss"},
    }
    names = {
        "np": np,
        "tensor": torch.tensor,
        "torch": torch,
        "Metric": object,
        "to_np": lambda tensor: tensor.numpy(),
        "to_detach": lambda tensor: tensor.detach(),
    }
    folder = Path(find_spec("fastai").submodule_search_locations[0])
    for file, parts in wanted.items():
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
        tree.body = [each for each in tree.body if getattr(each, "name", None) in parts]
        for each in tree.body:
            each.decorator_list = []
        exec(compile(tree, file, "exec"), names)  # What the package itself would run.
    return names


def loader(task: Task, seed: int) -> DataLoader:
    x, y, _, _ = task.data()
    generator = torch.Generator().manual_seed(1000 + seed)
    return DataLoader(
        TensorDataset(x, y), task.batch_size, shuffle=True, drop_last=True, generator=generator
    )


FINDERS: dict[Callable[[Task, int], Suggestions], tuple[str, ...]] = {
    cyclical_lr: ("cyclical-lr", "cyclical-lr, no trials", "cyclical-lr, no trials, 3 repeats"),
    fastai: ("fastai valley", "fastai slide", "fastai minimum", "fastai steep"),
    lightning: ("Lightning",),
    torch_lr_finder: ("torch-lr-finder",),
    ignite: ("ignite",),
}
NAMES = tuple(name for names in FINDERS.values() for name in names)


def suggestions(task: Task, seed: int) -> dict[str, float | None]:
    """The rate that each finder suggests; None where it gives nothing, or an error."""
    found: dict[str, float | None] = {}
    for finder, names in FINDERS.items():
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                rates = finder(task, seed)
        except (RuntimeError, ValueError, IndexError) as error:
            # Too short a curve, or one of another shape than it expects.
            print(f"{task.name}, seed {seed}: {names} raised {error!r}")
            rates = [None] * len(names)
        found |= zip(names, rates, strict=True)
    return found
