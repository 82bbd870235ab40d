"""Lightning's Trainer on several processes, with accumulation."""

import warnings

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning

from clr_torch import CyclicLR
from worker import log, rank, schedule, updates, world

torch.set_num_threads(1)
warnings.filterwarnings("ignore", category=PossibleUserWarning)
UPDATES = 4
"""In an epoch, with two micro-batches of 8 examples each on each process."""


class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = torch.nn.Linear(8, 1)

    def training_step(self, batch, _):
        images, labels = batch
        return torch.nn.functional.mse_loss(self.network(images), labels)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        optimizer.register_step_pre_hook(self.log_update)
        scheduler = CyclicLR.from_schedule(optimizer, schedule)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def log_update(self, optimizer, *_):
        log(
            self.global_step, optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
        )


random = torch.Generator().manual_seed(0)
images, labels = (torch.randn(UPDATES * 2 * 8 * world, size, generator=random) for size in (8, 1))
data = torch.utils.data.TensorDataset(images, labels)
module = Module()
trainer = L.Trainer(
    max_epochs=updates // UPDATES,
    accelerator="cpu",
    strategy="ddp",
    devices=world,
    accumulate_grad_batches=2,
    enable_checkpointing=False,
    enable_progress_bar=False,
    logger=False,
)
trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=8))
assert trainer.estimated_stepping_batches == updates
np.savez(f"weights-{rank}.npz", *(each.detach().numpy() for each in module.parameters()))
