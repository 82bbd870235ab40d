"""Compute the curve of `tutorial.py` by stepping torch's own class through it."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import tutorial
from progress import counted


def step_through() -> tutorial.Curve:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=tutorial.BASE_LR)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer,
        base_lr=tutorial.BASE_LR,
        max_lr=tutorial.MAX_LR,
        step_size_up=tutorial.STEP_SIZE_UP,
        mode="triangular2",
        cycle_momentum=False,
    )
    # One update keeps torch from warning that the scheduler stepped first. The others are left
    # out, so that only the scheduler is timed.
    optimizer.step()
    group = optimizer.param_groups[0]
    rates = []
    start = time.perf_counter()
    for _ in counted("torch's CyclicLR", tutorial.EPOCHS, "epochs"):
        for _ in range(tutorial.STEPS_PER_EPOCH):
            rates.append(group["lr"])
            scheduler.step()
    return tutorial.Curve(rates=np.array(rates), seconds=time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, required=True, metavar="FILE.npz")
    path = parser.parse_args().save
    stepped = step_through()
    np.savez(path, rates=stepped.rates, seconds=stepped.seconds)
