"""Hugging Face's Trainer: the rate and momentum of each update, and what it saves and logs."""

import dataclasses
import json
import sys
import types
from functools import partial
from itertools import count

import pytest
import torch

from clr_cli.main import main
from clr_core import read_rates, verify
from clr_core.record import Record
from trainers.following import SCHEDULE, assert_followed
from trainers.torch.hugging_face_run import ON_TWO, WAYS, WITH, make_trainer, sgd, trained
from workers.launcher import HERE, Job

UPDATES, SAVED = 24, 17


@pytest.fixture(scope="module")
def on_one(tmp_path_factory):
    """What one process used and said, and where its checkpoints lie."""
    folder = tmp_path_factory.mktemp("trainer")
    return {way: trained(folder / way, **how) for way, how in WAYS.items()}, folder


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    """The same of each of two processes."""
    folder = tmp_path_factory.mktemp("trainers") / "job"
    path = {"PYTHONPATH": str(HERE.parent)}
    job = Job("../trainers/torch/hugging_face_run.py", folder, 2, updates=0, environment=path)
    job.finish()
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def assert_right(run, first=0):
    assert (run["said"], run["step"]) == ([], UPDATES)
    for used in run["used"]:
        assert_followed(used, UPDATES, first)


@pytest.mark.parametrize("way", WAYS)
def test_on_one_process(way, on_one):
    assert_right(on_one[0][way])


@pytest.mark.parametrize("way", ON_TWO)
def test_on_two_processes(way, on_two):
    for run in on_two:
        assert_right(run[way])


@pytest.mark.parametrize("way", WAYS)
def test_it_resumes(way, on_one, tmp_path):
    runs, folder = on_one
    run = trained(tmp_path, folder / way / f"checkpoint-{SAVED}", **WAYS[way])
    assert_right(run, first=SAVED)
    assert run["weights"] == runs[way]["weights"]


@pytest.mark.parametrize("way", ON_TWO)
def test_two_processes_resume(way, on_two):
    for run in on_two:
        assert_right(run[f"{way}, resumed"], first=SAVED)
        assert run[f"{way}, resumed"]["weights"] == run[way]["weights"]


def test_the_trainers_own_groups(tmp_path):
    trainer, _ = make_trainer(tmp_path, make=None, weight_decay=0.1)
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.1, 0.0]


def test_a_checkpoint_of_torchs_class_is_resumed(tmp_path):
    trainer, _ = make_trainer(tmp_path)
    parameters = SCHEDULE.to_dict()
    del parameters["kind"], parameters["scale_fn"]
    trainer.lr_scheduler = torch.optim.lr_scheduler.CyclicLR(trainer.optimizer, **parameters)
    trainer.train()
    run = trained(tmp_path, tmp_path / f"checkpoint-{SAVED}")
    assert_right(run, first=SAVED)


def test_a_checkpoint_of_the_model_alone_is_resumed(tmp_path):
    trained(tmp_path, save_only_model=True)
    checkpoint = tmp_path / f"checkpoint-{SAVED}"
    run = trained(tmp_path, checkpoint, save_only_model=True, last_epoch=SAVED - 1)
    assert_right(run, first=SAVED)


def test_another_schedule_is_refused_at_a_resume(on_one, tmp_path):
    another = dataclasses.replace(SCHEDULE, max_lr=0.08)
    trainer, _ = make_trainer(tmp_path, schedule=another)
    with pytest.raises(ValueError, match=r"Received for group 0: max_lr=0\.07 in place of 0\.08"):
        trainer.train(resume_from_checkpoint=on_one[1] / f"optimizers/checkpoint-{SAVED}")


def test_a_checkpoint_is_converted(on_one, tmp_path):
    file = on_one[1] / f"optimizers/checkpoint-{SAVED}/scheduler.pt"
    assert main(["convert", str(file), "--out", str(tmp_path / "run.json")]) == 0
    assert Record.read(tmp_path / "run.json") == Record(SCHEDULE, SAVED)


@pytest.mark.parametrize("report_to", ["none", "tensorboard"])
@pytest.mark.parametrize("how", [{}, WITH])
@pytest.mark.parametrize("every", [1, 5])
def test_its_log_is_verified(every, how, report_to, tmp_path, monkeypatch):
    # TensorBoard would import TensorFlow.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))
    trained(tmp_path, logging_steps=every, report_to=report_to, **how)
    log = f"checkpoint-{UPDATES}/trainer_state.json" if report_to == "none" else "runs"
    verdict = verify(SCHEDULE, *read_rates(tmp_path / log))
    assert (verdict.status, verdict.lines) == ("followed", UPDATES // every)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("with_optimizer", [False, True])
def test_updates_that_a_grad_scaler_leaves_out(with_optimizer, fused, tmp_path):
    trainer, (used,) = make_trainer(
        tmp_path, make=partial(torch.optim.AdamW, fused=fused), with_optimizer=with_optimizer
    )
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu")  # As fp16=True makes on a GPU.
    overflows, batches, loss_of = (0, 3, 4, 9), count(), trainer.compute_loss
    trainer.compute_loss = lambda *given, **named: (
        loss_of(*given, **named) * (torch.inf if next(batches) in overflows else 1.0)
    )
    trainer.train()
    if not fused:
        assert_followed(used, UPDATES - len(overflows))
    # A fused optimizer leaves them out by itself, which the Trainer doesn't see.
    unseen = fused and not with_optimizer
    assert trainer.lr_scheduler.last_epoch == UPDATES - (0 if unseen else len(overflows))


@pytest.mark.parametrize(("make", "steps"), [(sgd, 2 * UPDATES), (None, UPDATES)])
def test_training_a_second_time(make, steps, tmp_path):
    trainer, _ = make_trainer(tmp_path, make=make)
    trainer.train()
    trainer.train()
    assert trainer.lr_scheduler.last_epoch == steps
