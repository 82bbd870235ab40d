"""Training with Accelerate in many ways: in this process or, as a script, in each of several.

As a script it trains in each way of `WAYS` and writes what was used and said into `rank-0.json`, ….
"""

import json
import os
import warnings

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from torch.distributed.optim import ZeroRedundancyOptimizer

import clr_torch
from clr_core.record import Record
from clr_torch import CyclicLR
from trainers.following import BATCH, SCHEDULE, digits
from trainers.torch.watching import watched

torch.set_num_threads(1)


def make_parts(make_optimizer=torch.optim.SGD, *, step_with_optimizer=False, **options):
    """A model, its optimizer, the data, and the scheduler."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 10))
    optimizer = make_optimizer(model.parameters(), **options or {"lr": 0.1, "momentum": 0.9})
    data = torch.utils.data.TensorDataset(*map(torch.from_numpy, digits()))
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=step_with_optimizer)
    return model, optimizer, torch.utils.data.DataLoader(data, BATCH), scheduler


def accelerator_with(**options):
    """Another Accelerator, as if there had been none in this process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True, **options)


def train(accelerator, model, optimizer, loader, scheduler, *, only_synced=False):
    for images, labels in loader:
        with accelerator.accumulate(model):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            if accelerator.sync_gradients or not only_synced:
                scheduler.step()
            optimizer.zero_grad()


def trained(
    *,
    prepared=True,
    only_synced=False,
    step_with_optimizer=False,
    zero=False,
    split=False,
    **options,
):
    """What each update of an epoch used, what was warned of, and the step at the end."""
    accelerator = accelerator_with(
        dataloader_config=DataLoaderConfiguration(split_batches=split), **options
    )
    make = zero_optimizer if zero else torch.optim.SGD
    model, raw, loader, scheduler = make_parts(make, step_with_optimizer=step_with_optimizer)
    used = watched(raw)
    model, loader = accelerator.prepare(model, loader)
    # ZeRO's state can't be taken before the first update, as the placement on a device does.
    optimizer = accelerator.prepare_optimizer(raw, device_placement=not zero)
    stepped = accelerator.prepare(scheduler) if prepared else scheduler
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # It is torch's.
        train(accelerator, model, optimizer, loader, stepped, only_synced=only_synced)
    return {
        "used": used,
        "said": [str(each.message) for each in said],
        "step": clr_torch.to_record(scheduler).step,
    }


def zero_optimizer(parameters, **options):
    return ZeroRedundancyOptimizer(parameters, torch.optim.SGD, **options)


def resumed(folder, at=9, *, how="prepared", step_with_optimizer=False):
    """What is used after a checkpoint, and whether the weights are those of the run that made it.

    The scheduler is "prepared", "registered", or written as a "record" beside the checkpoint.
    """
    ends = []
    for is_resumed in (False, True):
        accelerator = accelerator_with(step_scheduler_with_optimizer=False)
        model, raw, loader, scheduler = make_parts(step_with_optimizer=step_with_optimizer)
        model, optimizer, loader = accelerator.prepare(model, raw, loader)
        if how == "prepared":
            accelerator.prepare(scheduler)
        elif how == "registered":
            accelerator.register_for_checkpointing(scheduler)
        batches = loader
        if is_resumed:
            accelerator.load_state(folder)
            batches = accelerator.skip_first_batches(loader, at)
            if how == "record":
                scheduler = clr_torch.from_record(Record.read(f"{folder}/run.json"), raw)
                scheduler.step_with_optimizer = step_with_optimizer
        used = watched(raw)
        for number, batch in enumerate(batches):
            train(accelerator, model, optimizer, [batch], scheduler)
            if number + 1 == at and not is_resumed:
                accelerator.save_state(folder)
                clr_torch.to_record(scheduler).write(f"{folder}/run.json")
        ends.append([each.detach().numpy().tobytes() for each in model.parameters()])
    return {"used": used, "same_weights": ends[0] == ends[1]}


WITH = {"step_with_optimizer": True}
UNLINKED = {"step_scheduler_with_optimizer": False}
THREE = {"gradient_accumulation_steps": 3}
WAYS = {
    "prepared": {},
    "prepared, split_batches": {"split": True},
    "prepared, accumulating": THREE,
    "unprepared": {"prepared": False},
    "unprepared, accumulating": THREE | {"prepared": False},
    "unprepared, accumulating, if synced": THREE | {"prepared": False, "only_synced": True},
    "unlinked": UNLINKED,
    "unlinked, accumulating": THREE | UNLINKED,
    "unlinked, accumulating, if synced": THREE | UNLINKED | {"only_synced": True},
    "with the optimizer": WITH,
    "with the optimizer, split_batches": WITH | {"split": True},
    "with the optimizer, accumulating": WITH | THREE,
    "with the optimizer, unprepared, accumulating": WITH | THREE | {"prepared": False},
    "with the optimizer, unlinked, accumulating": WITH | THREE | UNLINKED,
    "with the optimizer, bf16": WITH | {"mixed_precision": "bf16"},
}

if __name__ == "__main__":
    results = {name: trained(**how) for name, how in WAYS.items()}
    results["zero"] = trained(zero=True, **UNLINKED)
    results["zero, with the optimizer"] = trained(zero=True, **WITH | THREE)
    results["resumed"] = resumed("checkpoint", at=4)
    results["resumed, with the optimizer"] = resumed("checkpoint-with", at=4, **WITH)
    with open(f"rank-{os.environ['RANK']}.json", "w") as file:
        json.dump(results, file)
    torch.distributed.destroy_process_group()
