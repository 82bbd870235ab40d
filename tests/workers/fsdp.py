"""FSDP2 (`fully_shard`): an update from two micro-batches, and then a distributed checkpoint."""

import shutil
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from clr_torch import CyclicLR
from worker import log, planted, schedule, updates

torch.set_num_threads(1)
MICRO_BATCHES = 2


def loss(step, part):
    """The same on each rank, so that the mean of their gradients doesn't depend on their number."""
    generator = torch.Generator().manual_seed(1000 * step + part)
    images, labels = (torch.randn(4, size, generator=generator) for size in (8, 1))
    return torch.nn.functional.mse_loss(model(images), labels)


def log_update(optimizer, *_):
    (group,) = optimizer.param_groups
    log(step, group["lr"], group["betas"][0])


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

dist.init_process_group("gloo")
fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
optimizer = torch.optim.AdamW(model.parameters())  # after fully_shard
scheduler = CyclicLR.from_schedule(optimizer, schedule)


def state():
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optimizer": moments, "scheduler": scheduler}


complete = [int(path.parent.name) for path in Path("run").glob("*/.metadata")]
if complete:
    saved = state()
    dcp.load(saved, checkpoint_id=f"run/{max(complete)}")  # the scheduler too
    set_state_dict(
        model, optimizer, model_state_dict=saved["model"], optim_state_dict=saved["optimizer"]
    )

dist.barrier()  # Nobody saves before all have looked.
optimizer.register_step_pre_hook(log_update)
for step in range(scheduler.last_epoch, updates):
    optimizer.zero_grad()
    for part in range(MICRO_BATCHES):
        model.set_requires_gradient_sync(part == MICRO_BATCHES - 1)
        (loss(step, part) / MICRO_BATCHES).backward()
    optimizer.step()
    scheduler.step()
    if planted(step):
        scheduler.step()
    if dist.get_rank() == 0:
        shutil.rmtree(f"run/{step + 1}", ignore_errors=True)  # what a killed launch left
    dist.barrier()  # Nobody writes before it is gone.
    dcp.save(state(), checkpoint_id=f"run/{step + 1}")

np.savez(
    f"weights-{dist.get_rank()}.npz",
    *(each.full_tensor().detach().numpy() for each in model.parameters()),
)
dist.destroy_process_group()
