"""Ray Train with SIGKILLs, Ray Tune's PBT and Optuna: by hand, since Ray isn't in the environment.

    pip install 'ray[train,tune]' optuna
    python tests/workers/ray_by_hand.py

Prints how many rates and momenta were compared with the schedule's, and how many differed.
"""

import json
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import ray.train
import ray.train.torch
import ray.tune
import torch

import clr_torch
from clr_core import CyclicSchedule
from clr_torch import CyclicLR
from launcher import SCHEDULE

UPDATES = 40
KILLS = {7: 0, 18: 1, 30: 0}
"""The updates after which a worker is killed, and its rank."""


def log(folder, name, step, optimizer, max_lr):
    (group,) = optimizer.param_groups
    line = {"step": step, "lr": group["lr"], "momentum": group["momentum"], "max_lr": max_lr}
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def compare(title, folder):
    """Compare each logged update with the schedule that it should have followed."""
    compared, differing, steps = 0, 0, []
    for path in sorted(folder.glob("*.jsonl")):
        used = [json.loads(line) for line in path.read_text().splitlines()]
        steps.append([line["step"] for line in used])
        for line in used:
            schedule = replace(SCHEDULE, max_lr=line["max_lr"])
            for key in ("lr", "momentum"):
                compared += 1
                right = np.float32(getattr(schedule, key)(line["step"]))
                differing += np.float32(line[key]).tobytes() != right.tobytes()
    missing = [sorted({*range(UPDATES)} - {*each}) for each in steps]
    print(f"{title}: {compared} rates and momenta, {differing} differ; updates missing: {missing}")
    return steps


def train(config):
    def loss(step):
        generator = torch.Generator().manual_seed(1000 * step + rank)
        images, labels = (torch.randn(4, size, generator=generator) for size in (8, 1))
        return torch.nn.functional.mse_loss(model(images), labels)

    rank = ray.train.get_context().get_world_rank()
    model = ray.train.torch.prepare_model(torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = CyclicLR.from_schedule(optimizer, config["schedule"])
    checkpoint = ray.train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:  # on every worker
            saved = torch.load(f"{folder}/run.pt")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        scheduler.load_state_dict(saved["scheduler"])

    for step in range(scheduler.last_epoch, config["updates"]):
        log(config["folder"], f"rank-{rank}", step, optimizer, config["schedule"].max_lr)
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        scheduler.step()
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if rank == 0:
                parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
                torch.save(
                    {name: part.state_dict() for name, part in parts.items()}, f"{folder}/run.pt"
                )
                checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report({"step": step}, checkpoint=checkpoint)
        killed = config["folder"] / f"killed-{step}"
        if KILLS.get(step) == rank and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def tune(config):
    """PBT mutates `max_lr`, and not the rate, which is the schedule's."""
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.9)
    schedule = replace(SCHEDULE, max_lr=config["max_lr"])
    step = 0
    checkpoint = ray.tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            saved = torch.load(f"{folder}/run.pt")
        optimizer.load_state_dict(saved["optimizer"])  # first: it has the former rate in it
        step = clr_torch.to_record(saved["scheduler"]).step
        with torch.no_grad():
            weights.copy_(saved["weights"])
    scheduler = CyclicLR.from_schedule(optimizer, schedule, last_epoch=step - 1)
    for step in range(step, UPDATES):  # noqa: B020
        name = ray.tune.get_context().get_trial_id()
        log(config["folder"], name, step, optimizer, config["max_lr"])
        optimizer.zero_grad()
        (weights**2).sum().backward()
        optimizer.step()
        scheduler.step()
        with tempfile.TemporaryDirectory() as folder:
            parts = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
            torch.save({"weights": weights.detach(), **parts}, f"{folder}/run.pt")
            checkpoint = ray.tune.Checkpoint.from_directory(folder)
            ray.tune.report({"loss": weights.square().sum().item()}, checkpoint=checkpoint)


def ray_train(folder):
    (folder / "train").mkdir()
    loop = {"schedule": SCHEDULE, "updates": UPDATES, "folder": folder / "train"}
    ray.train.torch.TorchTrainer(
        train,
        train_loop_config=loop,
        scaling_config=ray.train.ScalingConfig(num_workers=2),
        run_config=ray.train.RunConfig(
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=len(KILLS)),
        ),
    ).fit()
    kills = len([*(folder / "train").glob("killed-*")])
    compare(f"Ray Train, 2 workers, {kills} SIGKILLs", folder / "train")


def ray_tune(folder):
    (folder / "tune").mkdir()
    scheduler = ray.tune.schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=8,
        hyperparam_mutations={"max_lr": ray.tune.uniform(0.02, 0.1)},
        quantile_fraction=0.5,
        synch=True,
    )
    ray.tune.Tuner(
        tune,
        param_space={"max_lr": ray.tune.uniform(0.02, 0.1), "folder": folder / "tune"},
        tune_config=ray.tune.TuneConfig(
            metric="loss", mode="min", num_samples=2, scheduler=scheduler
        ),
        run_config=ray.tune.RunConfig(storage_path=str(folder)),
    ).fit()
    bands = set()
    for path in (folder / "tune").glob("*.jsonl"):
        bands |= {json.loads(line)["max_lr"] for line in path.read_text().splitlines()}
    compare(f"Ray Tune, PBT of `max_lr` ({len(bands)} values of it)", folder / "tune")


def with_optuna(folder):
    def objective(trial):
        max_lr = trial.suggest_float("max_lr", 1e-3, 1.0, log=True)
        schedule = replace(
            SCHEDULE, max_lr=max_lr, base_lr=max_lr * trial.suggest_float("share", 0.05, 0.5)
        )
        trial.set_user_attr("schedule", schedule.to_dict())
        trial.set_user_attr("rates", [schedule.lr(step) for step in range(UPDATES)])
        return schedule.lr(UPDATES)

    storage = f"sqlite:///{folder}/study.db"
    optuna.create_study(storage=storage, study_name="clr").optimize(objective, n_trials=10)
    differing = 0
    for trial in optuna.load_study(storage=storage, study_name="clr").trials:
        schedule = CyclicSchedule.from_dict(trial.user_attrs["schedule"])
        differing += sum(schedule.lr(s) != lr for s, lr in enumerate(trial.user_attrs["rates"]))
    print(f"Optuna in SQLite, 10 trials: {10 * UPDATES} rates, {differing} differ")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        with_optuna(Path(name))
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=2**27)
        ray_train(Path(name))
        ray_tune(Path(name))
        ray.shutdown()
