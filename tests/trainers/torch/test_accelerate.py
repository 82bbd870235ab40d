"""Accelerate: the rate and momentum of each update, on one process and on two."""

import json
import re
import sys
import types

import pytest
import torch

import clr_torch
from clr_core import read_rates, verify
from clr_torch import CyclicLR
from trainers.following import BATCHES, SCHEDULE, assert_followed
from trainers.torch.accelerate_run import (
    THREE,
    UNLINKED,
    WAYS,
    WITH,
    accelerator_with,
    make_parts,
    resumed,
    train,
    trained,
)
from trainers.torch.watching import watched
from workers.launcher import HERE, Job

RULE = "A step is an update, but the optimizer made no update since the last `step()`. "
IN_ACCELERATE = (
    f"{RULE}In accelerate, pass Accelerator(step_scheduler_with_optimizer=False), and step only if "
    "accelerator.sync_gradients; or pass step_with_optimizer=True."
)
IN_A_LOOP = f"{RULE}Call it once after each update, or pass step_with_optimizer=True."
# What is said on one process and on two, and how many steps are made on two, if it is wrong.
WRONG = {
    "prepared": (None, IN_ACCELERATE, 20),
    "prepared, accumulating": (None, IN_ACCELERATE, 8),
    "unprepared, accumulating": (IN_A_LOOP, IN_A_LOOP, 10),
    "unlinked, accumulating": (IN_ACCELERATE, IN_ACCELERATE, 10),
}


def updates_of(way, processes=1):
    batches = BATCHES if WAYS[way].get("split") else BATCHES // processes
    return -(-batches // WAYS[way].get("gradient_accumulation_steps", 1))


@pytest.mark.parametrize("way", WAYS)
def test_on_one_process(way):
    run = trained(**WAYS[way])
    wrong = WRONG.get(way, [None])[0]
    assert run["said"] == ([] if wrong is None else [wrong])
    if wrong is None:
        assert_followed(run["used"], updates_of(way))
        assert run["step"] == updates_of(way)


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    """What each of two processes used and said."""
    folder = tmp_path_factory.mktemp("accelerate") / "job"
    path = {"PYTHONPATH": str(HERE.parent)}
    job = Job("../trainers/torch/accelerate_run.py", folder, ranks=2, updates=0, environment=path)
    job.finish()
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("way", WAYS)
def test_on_two_processes(way, on_two):
    for run in (each[way] for each in on_two):
        if way in WRONG:
            _, said, steps = WRONG[way]
            assert (run["said"], run["step"]) == ([said], steps)
        else:
            assert run["said"] == []
            assert_followed(run["used"], updates_of(way, processes=2))


@pytest.mark.parametrize(("way", "updates"), [("zero", 10), ("zero, with the optimizer", 4)])
def test_zero_on_two_processes(way, updates, on_two):
    for run in (each[way] for each in on_two):
        assert (run["said"], run["step"]) == ([], updates)
        assert_followed(run["used"], updates)


@pytest.mark.parametrize("way", ["resumed", "resumed, with the optimizer"])
def test_two_processes_resume(way, on_two):
    for run in (each[way] for each in on_two):
        assert_followed(run["used"], 10, first=4)
        assert run["same_weights"]


@pytest.mark.parametrize("with_optimizer", [False, True])
@pytest.mark.parametrize("how", ["prepared", "registered", "record"])
def test_it_resumes_in_each_order(how, with_optimizer, tmp_path):
    run = resumed(str(tmp_path), how=how, step_with_optimizer=with_optimizer)
    assert_followed(run["used"], BATCHES, first=9)
    assert run["same_weights"]
    files = {"prepared": "scheduler.bin", "registered": "custom_checkpoint_0.pkl"}
    if how in files:
        record = clr_torch.read_record(tmp_path / files[how])
        assert (record.schedule, record.step) == (SCHEDULE, 9)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("with_optimizer", [False, True])
def test_a_scheduler_of_the_prepared_optimizer(with_optimizer, prepared):
    accelerator = accelerator_with(**THREE)
    model, raw, loader, _ = make_parts()
    used = watched(raw)
    model, optimizer, loader = accelerator.prepare(model, raw, loader)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=with_optimizer)
    stepped = accelerator.prepare(scheduler) if prepared else scheduler
    if not (prepared or with_optimizer):
        with pytest.warns(UserWarning, match=re.escape(IN_ACCELERATE)) as said:
            train(accelerator, model, optimizer, loader, stepped)
        assert len(said) == 1
    else:
        train(accelerator, model, optimizer, loader, stepped)
        assert_followed(used, 7)


@pytest.mark.parametrize("with_optimizer", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_grad_scaler_leaves_out(fused, with_optimizer):
    accelerator = accelerator_with()
    accelerator.scaler = torch.amp.GradScaler("cpu")  # As mixed_precision="fp16" makes on a GPU.
    model, raw, loader, scheduler = make_parts(
        torch.optim.AdamW, fused=fused, step_with_optimizer=with_optimizer
    )
    used = watched(raw)
    model, optimizer, loader, stepped = accelerator.prepare(model, raw, loader, scheduler)
    overflows = (0, 3, 4, 9)
    for number, (images, labels) in enumerate(loader):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        accelerator.backward(loss * (torch.inf if number in overflows else 1.0))
        optimizer.step()
        stepped.step()
        optimizer.zero_grad()
    if not fused:
        assert_followed(used, BATCHES - len(overflows))
    # A fused optimizer leaves them out by itself, which Accelerate doesn't see.
    unseen = fused and not with_optimizer
    assert scheduler.last_epoch == BATCHES - (0 if unseen else len(overflows))


def test_a_compiled_update_advances_it():
    accelerator = accelerator_with()
    rate, beta1, beta2 = map(torch.tensor, (0.1, 0.9, 0.999))  # A number would be compiled in.
    model, raw, loader, scheduler = make_parts(
        torch.optim.AdamW, lr=rate, betas=(beta1, beta2), **WITH
    )
    used = []
    compiled = torch.compile(raw.step, backend="aot_eager")

    def step(closure=None):
        used.append((float(raw.param_groups[0]["lr"]), float(raw.param_groups[0]["betas"][0])))
        compiled(closure)

    raw.step = step
    model, optimizer, loader, stepped = accelerator.prepare(model, raw, loader, scheduler)
    train(accelerator, model, optimizer, loader, stepped)
    assert_followed(used, BATCHES)


def test_it_can_be_turned_off_and_removed():
    accelerator = accelerator_with()
    model, optimizer, loader, scheduler = accelerator.prepare(*make_parts(**WITH))
    train(accelerator, model, optimizer, loader, scheduler)
    scheduler.scheduler.step_with_optimizer = False
    optimizer.step()
    assert scheduler.scheduler.last_epoch == BATCHES
    scheduler.scheduler.step_with_optimizer = True
    optimizer.step()
    assert scheduler.scheduler.last_epoch == BATCHES + 1
    accelerator.free_memory()
    del scheduler
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("options", [{}, WITH])
def test_its_log_is_verified(options, tmp_path, monkeypatch):
    # TensorBoard would import TensorFlow.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))
    accelerator = accelerator_with(log_with="tensorboard", project_dir=tmp_path, **UNLINKED)
    model, optimizer, loader, scheduler = accelerator.prepare(*make_parts(**options))
    accelerator.init_trackers("run")
    for step, batch in enumerate(loader):
        accelerator.log({"lr": scheduler.get_last_lr()[0]}, step=step)
        train(accelerator, model, optimizer, [batch], scheduler)
    accelerator.end_training()
    verdict = verify(SCHEDULE, *read_rates(tmp_path / "run"))
    assert (verdict.status, verdict.lines) == ("followed", BATCHES)
