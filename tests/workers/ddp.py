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


def loss(step):
    """On this rank's own batch."""
    generator = torch.Generator().manual_seed(1000 * step + rank)
    images, labels = (torch.randn(4, size, generator=generator) for size in (8, 1))
    return torch.nn.functional.mse_loss(model(images), labels)


def log_update(optimizer, *_):
    (group,) = optimizer.param_groups
    log(step, group["lr"], group["betas"][0] if "betas" in group else group["momentum"])


torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

dist.init_process_group("gloo")  # on GPUs "nccl"
rank = dist.get_rank()
model = DistributedDataParallel(network)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
if sys.argv[1] == "adamw":  # With tensors, as a compiled step needs them.
    rate, beta1, beta2 = map(torch.tensor, (0.1, 0.9, 0.999))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(beta1, beta2))

scheduler = CyclicLR.from_schedule(optimizer, schedule)
if os.path.exists("run.pt"):
    saved = torch.load("run.pt")  # on every rank
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])

optimizer.register_step_pre_hook(log_update)
if "--unchecked" not in sys.argv:
    step = scheduler.last_epoch
    most_and_least = torch.tensor([step, -step])
    dist.all_reduce(most_and_least, dist.ReduceOp.MAX)
    most, least = most_and_least[0].item(), -most_and_least[1].item()
    if most != least:
        raise RuntimeError(f"Rank {rank} resumes at update {step}; others at {least} and {most}")

for step in range(scheduler.last_epoch, updates):
    optimizer.zero_grad()
    loss(step).backward()
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
