"""DistributedDataParallel on each rank's own batches, saved after each update."""

import os
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from clr_torch import CyclicLR
from worker import log, planted, schedule, updates

torch.set_num_threads(1)


def batch(step, rank):
    generator = torch.Generator().manual_seed(1000 * step + rank)
    return torch.randn(4, 8, generator=generator), torch.randn(4, 1, generator=generator)


def make_optimizer(weights, name):
    if name == "sgd":
        return torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    if name == "adam":
        return torch.optim.Adam(weights)
    # A compiled step needs them as tensors.
    betas = torch.tensor(0.9), torch.tensor(0.999)
    return torch.optim.AdamW(weights, lr=torch.tensor(0.1), betas=betas)


def log_update(optimizer, *_):
    (group,) = optimizer.param_groups
    log(step, group["lr"], group["betas"][0] if "betas" in group else group["momentum"])


torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

dist.init_process_group("gloo")  # on GPUs "nccl"
rank = dist.get_rank()
model = DistributedDataParallel(network)
optimizer = make_optimizer(model.parameters(), sys.argv[1])
scheduler = CyclicLR.from_schedule(optimizer, schedule)

if os.path.exists("run.pt"):
    saved = torch.load("run.pt")  # on every rank
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])

optimizer.register_step_pre_hook(log_update)
if "--unchecked" not in sys.argv:
    step = scheduler.last_epoch
    steps = torch.tensor([step, -step])
    dist.all_reduce(steps, dist.ReduceOp.MAX)
    if steps.sum() != 0:
        raise RuntimeError(f"Rank {rank} resumes at {step}, another at {-steps[1]} or {steps[0]}")

for step in range(scheduler.last_epoch, updates):
    optimizer.zero_grad()
    images, labels = batch(step, rank)
    torch.nn.functional.mse_loss(model(images), labels).backward()
    optimizer.step()
    scheduler.step()
    if rank == 0:
        parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        torch.save({name: part.state_dict() for name, part in parts.items()}, "run.pt.new")
        os.replace("run.pt.new", "run.pt")  # a kill leaves the old file or the new one
    if planted(step):
        scheduler.step()

np.savez(f"weights-{rank}.npz", *(each.detach().numpy() for each in network.parameters()))
dist.destroy_process_group()
