"""Trackers and tuners: the schedule among the parameters of a run, and its rates in the log."""

import sys

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from clr_core import CyclicSchedule, read_rates, schedule_from_dict, schedule_id, verify
from clr_torch import CyclicLR
from trainers.following import SCHEDULE
from trainers.torch.problem import network, sgd


@pytest.fixture
def tensorboard(monkeypatch):
    # Otherwise TensorBoard would import TensorFlow into a process with torch.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    return pytest.importorskip("torch.utils.tensorboard")


def test_tensorboard_has_the_rates_and_the_parameters(tmp_path, monkeypatch, tensorboard):
    monkeypatch.chdir(tmp_path)
    SummaryWriter, schedule = tensorboard.SummaryWriter, SCHEDULE
    optimizer = sgd(network())
    scheduler = CyclicLR.from_schedule(optimizer, schedule)
    loss = 0.25
    with SummaryWriter("run") as writer:
        for step in range(40):
            writer.add_scalar("lr", scheduler.get_last_lr()[0], step)
            optimizer.step()
            scheduler.step()
        parameters = schedule.to_dict() | {"schedule_id": schedule_id(schedule)}
        writer.add_hparams(parameters, {"loss": loss}, run_name=".")
    assert verify(SCHEDULE, *read_rates("run")).status == "followed"

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = EventAccumulator("run").Reload().summary_metadata
    content = metadata["_hparams_/session_start_info"].plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    written = {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}
    assert written.pop("schedule_id") == schedule_id(SCHEDULE)
    assert schedule_from_dict(written) == SCHEDULE


def study(path):
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(storage=storage, study_name="clr", load_if_exists=True)


def test_optuna_keeps_the_schedule_to_the_bit(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = []

    def objective(trial):
        max_lr = trial.suggest_float("max_lr", 1e-4, 1.0, log=True)
        base_lr = max_lr / trial.suggest_float("ratio", 2, 20)
        schedule = CyclicSchedule(base_lr=base_lr, max_lr=max_lr, step_size_up=4, scale_fn="1 / x")
        trial.set_user_attr("schedule", schedule.to_dict())
        made.append(schedule)
        return schedule.lr(6)

    study(tmp_path / "journal").optimize(objective, n_trials=20)
    trials = study(tmp_path / "journal").trials
    read = [schedule_from_dict(trial.user_attrs["schedule"]) for trial in trials]
    assert read == made
    assert len({*map(schedule_id, read)}) == 20
