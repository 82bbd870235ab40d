"""timm: a scheduler of its kind, as its training script calls it."""

import importlib.util
from pathlib import Path

import pytest
import torch

from clr_core import CyclicSchedule
from trainers.following import BATCHES, SCHEDULE, assert_followed
from trainers.torch.problem import batches, bits, loss_of, network, sgd
from trainers.torch.watching import watched

# `import timm` needs torchvision, whose build for the CPU doesn't fit this environment. The base
# class is in a file that needs torch alone.
(_folder,) = importlib.util.find_spec("timm").submodule_search_locations
_spec = importlib.util.spec_from_file_location(
    "timm.scheduler.scheduler", Path(_folder, "scheduler", "scheduler.py")
)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
Scheduler = _module.Scheduler


class CyclicRate(Scheduler):
    def __init__(self, optimizer, schedule):
        super().__init__(optimizer, "lr", t_in_epochs=False)
        self.schedule = schedule
        self.step_update(0)

    def _get_lr(self, t):
        return [self.schedule.lr(t)] * len(self.base_values)


def train(model, optimizer, scheduler, epochs, accumulation=1):
    """The loop of timm's `train.py`, as far as it concerns the rate."""
    used = watched(optimizer)
    updates_per_epoch = -(-BATCHES // accumulation)
    scheduler.step_update(epochs[0] * updates_per_epoch)
    for epoch in epochs:
        number_of_updates = epoch * updates_per_epoch
        for index, (images, labels) in enumerate(batches()):
            (loss_of(model(images), labels) / accumulation).backward()
            if (index + 1) % accumulation and index + 1 < BATCHES:
                continue
            optimizer.step()
            optimizer.zero_grad()
            number_of_updates += 1
            scheduler.step_update(num_updates=number_of_updates, metric=0.1)
        scheduler.step(epoch + 1, 0.1)
    return [(lr, None) for lr, _ in used]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_scheduler_follows_and_resumes_bit_for_bit(accumulation, tmp_path):
    updates = -(-BATCHES // accumulation)
    weights = []
    for runs in ([[0, 1]], [[0], [1]]):
        for epochs in runs:
            model = network()
            optimizer = sgd(model)
            if epochs == [1]:
                saved = torch.load(tmp_path / "last.pth")
                model.load_state_dict(saved["state_dict"])
                optimizer.load_state_dict(saved["optimizer"])
            used = train(model, optimizer, CyclicRate(optimizer, SCHEDULE), epochs, accumulation)
            assert_followed(used, (epochs[-1] + 1) * updates, first=epochs[0] * updates)
            saved = {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(saved, tmp_path / "last.pth")
        weights.append(bits(model))
    assert weights[0] == weights[1]


def test_layer_decay_and_the_schedulers_own_state():
    layers = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [{"params": [layers[0]], "lr_scale": 0.5}, {"params": [layers[1]]}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = CyclicRate(optimizer, SCHEDULE)
    scheduler.step_update(3)
    lrs = [group["lr"] for group in optimizer.param_groups]
    assert lrs == [0.5 * SCHEDULE.lr(3), SCHEDULE.lr(3)]

    other = CyclicRate(optimizer, CyclicSchedule(base_lr=0.1, max_lr=0.2))
    other.load_state_dict(scheduler.state_dict())
    other.step_update(4)
    assert optimizer.param_groups[1]["lr"] == SCHEDULE.lr(4)
