"""Training with Hugging Face's Trainer: in this process or, as a script, in each of several.

As a script it trains and resumes in the ways `ON_TWO` and writes what was used and said into
`rank-0.json`, ….
"""

import json
import os
import warnings

import torch
from transformers import Trainer, TrainingArguments

import clr_torch
from clr_torch import CyclicLR
from trainers.following import BATCH, SCHEDULE, digits
from trainers.torch.watching import watched

torch.set_num_threads(1)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.LayerNorm(
            64
        )  # It isn't decayed, so that the Trainer makes two groups.
        self.layer = torch.nn.Linear(64, 10)

    def forward(self, images, labels):
        logits = self.layer(self.norm(images))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class CyclicTrainer(Trainer):
    """The Trainer makes the optimizer; this makes its scheduler."""

    step_with_optimizer = False

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = CyclicLR.from_schedule(
            self.optimizer, SCHEDULE, step_with_optimizer=self.step_with_optimizer
        )
        return self.lr_scheduler


def examples():
    images, labels = map(torch.from_numpy, digits())
    return [{"images": image, "labels": label} for image, label in zip(images, labels, strict=True)]


def arguments(folder, **options):
    """For 24 updates, with a checkpoint at update 17."""
    defaults = {
        "per_device_train_batch_size": BATCH,
        "max_steps": 24,
        "save_steps": 17,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
    }
    return TrainingArguments(folder, **defaults | options)


def sgd(parameters):
    return torch.optim.SGD(parameters, momentum=0.9)


def make_trainer(
    folder, *, make=sgd, schedule=SCHEDULE, with_optimizer=False, last_epoch=-1, **options
):
    """A Trainer, and what each update uses in each parameter group.

    It is given an optimizer and a scheduler; if `make` is None, it makes both itself.
    """
    model = Network()
    common = {"args": arguments(folder, **options), "train_dataset": examples()}
    if make is None:
        trainer = CyclicTrainer(model, **common)
        trainer.step_with_optimizer = with_optimizer
        trainer.create_optimizer()
        return trainer, [watched(trainer.optimizer, group) for group in range(2)]
    optimizer = make(model.parameters())
    scheduler = CyclicLR.from_schedule(
        optimizer, schedule, last_epoch, step_with_optimizer=with_optimizer
    )
    trainer = Trainer(model, **common, optimizers=(optimizer, scheduler))
    return trainer, [watched(optimizer)]


def trained(folder, checkpoint=None, **how):
    """What each update used in each group, what was warned of, the step, and the weights."""
    trainer, used = make_trainer(folder, **how)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer.train(resume_from_checkpoint=checkpoint)
    return {
        "used": used,
        "said": [str(each.message) for each in said],
        "step": clr_torch.to_record(trainer.lr_scheduler).step,
        "weights": [each.tolist() for each in trainer.model.parameters()],
    }


WITH = {"with_optimizer": True}
THREE = {"gradient_accumulation_steps": 3}
WAYS = {
    "optimizers": {},
    "create_scheduler": {"make": None},
    "AdamW": {"make": torch.optim.AdamW},
    "accumulating": THREE,
    "clipping": {"max_grad_norm": 0.01},
    "bf16": {"bf16": True},
    "with the optimizer": WITH,
    "with the optimizer, create_scheduler": WITH | {"make": None},
    "with the optimizer, accumulating": WITH | THREE,
}
ON_TWO = ("optimizers", "accumulating", "with the optimizer, create_scheduler")

if __name__ == "__main__":
    results = {}
    for way in ON_TWO:
        results[way] = trained(way, **WAYS[way])
        results[f"{way}, resumed"] = trained(way, f"{way}/checkpoint-17", **WAYS[way])
    with open(f"rank-{os.environ['RANK']}.json", "w") as file:
        json.dump(results, file)
    torch.distributed.destroy_process_group()
