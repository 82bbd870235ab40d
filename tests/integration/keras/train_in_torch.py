"""Trains a dense network in torch, and writes down a half of the run and what it came to.

    python train_in_torch.py FOLDER NAME

FOLDER has `data.npz` with `start`, `images` and `labels`. NAME is an optimizer of `torch.optim`.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR, to_moments, to_record

folder, name = Path(sys.argv[1]), sys.argv[2]
data = np.load(folder / "data.npz")
network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
with torch.no_grad():
    for parameter, each in zip(network.parameters(), range(4), strict=True):
        parameter.copy_(torch.tensor(data[f"start/{each}"]))
options = {"momentum": 0.9} if name == "SGD" else {"eps": 1e-8}
optimizer = getattr(torch.optim, name)(network.parameters(), lr=0.1, **options)
schedule = CyclicSchedule(
    base_lr=0.001, max_lr=0.02, step_size_up=4, base_momentum=0.8, max_momentum=0.95
)
scheduler = CyclicLR.from_schedule(optimizer, schedule)


def save(file):
    weights = [each.detach().numpy() for each in network.parameters()]
    np.savez(folder / file, **{str(index): each for index, each in enumerate(weights)})


for step, (images, labels) in enumerate(zip(data["images"], data["labels"], strict=True)):
    if 2 * step == len(data["images"]):
        save("half.npz")
        to_record(scheduler).write(folder / "run.json")
        to_moments(optimizer, count=step).write(folder / "moments.npz")
    loss = torch.nn.functional.cross_entropy(
        network(torch.tensor(images)), torch.tensor(labels, dtype=torch.long)
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
save("end.npz")
