"""Write `checkpoints/`: what Accelerate and the Trainer of transformers leave on disk.

Run by hand, with accelerate 1.15.0 and transformers 5.24.0, which the tests don't need:

    python tests/integration/torch/write_checkpoints.py
"""

import os
import shutil
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import Trainer, TrainingArguments

from clr_torch import CyclicLR

FOLDER = Path(__file__).with_name("checkpoints")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return {"loss": self.layer(x).square().mean()}


def write_accelerate(folder):
    accelerator = Accelerator(cpu=True)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 3)
    loader = torch.utils.data.DataLoader(torch.ones(12, 2), batch_size=2)
    model, optimizer, scheduler, loader = accelerator.prepare(model, optimizer, scheduler, loader)
    for batch in loader:
        optimizer.zero_grad()
        accelerator.backward(model(batch).mean())
        optimizer.step()
        scheduler.step()
    accelerator.save_state(str(folder), safe_serialization=False)


def write_transformers(folder):
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    arguments = TrainingArguments(
        output_dir="run",
        max_steps=5,
        save_steps=5,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [{"x": torch.ones(2)}] * 20
    schedulers = optimizer, CyclicLR(optimizer, 0.01, 0.05, 3)
    Trainer(model, arguments, train_dataset=data, optimizers=schedulers).train()
    folder.mkdir()
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin"):
        shutil.copy(f"run/checkpoint-5/{name}", folder)
    shutil.rmtree("run")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.manual_seed(0)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    write_accelerate(FOLDER / "accelerate")
    write_transformers(FOLDER / "transformers")
