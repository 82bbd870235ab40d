"""ZeroRedundancyOptimizer under DistributedDataParallel, with an update from two micro-batches."""

import contextlib
import os

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from clr_torch import CyclicLR
from worker import log, planted, rank, schedule, updates

torch.set_num_threads(1)
MICRO_BATCHES = 2


def loss(step, part):
    """On this rank's own batch."""
    generator = torch.Generator().manual_seed(1000 * step + 10 * part + rank)
    images, labels = (torch.randn(4, size, generator=generator) for size in (8, 1))
    return torch.nn.functional.mse_loss(model(images), labels)


def log_update(each, *_):
    (group,) = each.param_groups
    log(step, group["lr"], group["betas"][0], device=int(each is optimizer.optim))


torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

dist.init_process_group("gloo")
model = DistributedDataParallel(network)
optimizer = ZeroRedundancyOptimizer(
    model.parameters(), torch.optim.Adam, lr=0.1, betas=(0.9, 0.999)
)
scheduler = CyclicLR.from_schedule(optimizer, schedule)

if os.path.exists("run.pt"):
    saved = torch.load("run.pt")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])

# Its own groups, and those of the optimizer that has this rank's share of the weights.
for each in (optimizer, optimizer.optim):
    each.register_step_pre_hook(log_update)
for step in range(scheduler.last_epoch, updates):
    optimizer.zero_grad()
    for part in range(MICRO_BATCHES):
        is_last = part == MICRO_BATCHES - 1
        with contextlib.nullcontext() if is_last else model.no_sync():
            (loss(step, part) / MICRO_BATCHES).backward()
    optimizer.step()
    scheduler.step()  # once per update, and not per micro-batch
    optimizer.consolidate_state_dict(to=0)  # every rank takes part
    if rank == 0:
        parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        torch.save({name: part.state_dict() for name, part in parts.items()}, "run.pt.new")
        os.replace("run.pt.new", "run.pt")
    if planted(step):
        scheduler.step()

np.savez(f"weights-{rank}.npz", *(each.detach().numpy() for each in network.parameters()))
dist.destroy_process_group()
