"""Lightning's Trainer: each update of its loops is the schedule's."""

import json
import math

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision

from clr_cli.main import main as clr
from clr_core import Record, read_rates, verify
from clr_torch import CyclicLR, read_record, to_record
from trainers.following import BATCH, BATCHES, SCHEDULE, assert_followed, digits
from trainers.torch.watching import watched
from workers import launcher

pytestmark = [
    # Its advice about the loader, and its use of a deprecated function of torch.
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
]
torch.set_num_threads(1)  # More of them wait for each other, on so small a model.

CONFIGURED = {
    "step": lambda scheduler: {"scheduler": scheduler, "interval": "step"},
    "epoch": lambda scheduler: {"scheduler": scheduler, "interval": "epoch"},
    "alone": lambda scheduler: scheduler,
}
"""How `configure_optimizers` returns the scheduler: by default its interval is the epoch."""


class Module(L.LightningModule):
    def __init__(self, schedule=SCHEDULE, configured="step", with_optimizer=False):
        super().__init__()
        self.save_hyperparameters()
        self.network = torch.nn.Linear(64, 10)

    def training_step(self, batch, _):
        images, labels = batch
        return torch.nn.functional.cross_entropy(self.network(images), labels)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        self.used = watched(optimizer)
        self.scheduler = CyclicLR.from_schedule(
            optimizer, self.hparams.schedule, step_with_optimizer=self.hparams.with_optimizer
        )
        return [optimizer], [CONFIGURED[self.hparams.configured](self.scheduler)]


class ByHand(Module):
    """Manual optimization: the module calls both steps by itself."""

    def __init__(self, **options):
        super().__init__(**options)
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, index))
        optimizer.step()
        self.lr_schedulers().step()


class Batches:
    """The batches of an epoch, which Lightning can resume in the middle."""

    def __init__(self):
        data = torch.utils.data.TensorDataset(*map(torch.from_numpy, digits()))
        self.batches = [*torch.utils.data.DataLoader(data, batch_size=BATCH)]
        self.next = 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.next %= len(self)
        for batch in self.batches[self.next :]:
            self.next += 1
            yield batch

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


def fit(module, epochs=2, resume=None, **options):
    options = {"logger": False, "enable_checkpointing": False} | options
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, Batches(), ckpt_path=resume)
    return trainer


RIGHT = {
    "step": (Module, "step", {}),
    "accumulation": (Module, "step", {"accumulate_grad_batches": 3}),
    "bf16": (Module, "step", {"precision": "bf16-mixed"}),
    "clipping": (Module, "step", {"gradient_clip_val": 0.1}),
    "manual": (ByHand, "alone", {}),
}
WRONG = {
    "default": (Module, "alone", {}),
    "epoch": (Module, "epoch", {}),
    "epoch and accumulation": (Module, "epoch", {"accumulate_grad_batches": 3}),
}


@pytest.mark.parametrize("with_optimizer", [False, True])
@pytest.mark.parametrize("situation", [*RIGHT, *WRONG])
def test_each_update_is_the_schedules(situation, with_optimizer):
    make, configured, options = (RIGHT | WRONG)[situation]
    module = make(configured=configured, with_optimizer=with_optimizer)
    updates = 2 * math.ceil(BATCHES / options.get("accumulate_grad_batches", 1))
    if situation in RIGHT or with_optimizer:
        fit(module, **options)
        assert_followed(module.used, updates)
        assert to_record(module.scheduler) == Record(SCHEDULE, updates)
    else:
        line = r"In lightning, return .*, \"interval\": \"step\"} in `configure_optimizers`"
        with pytest.warns(UserWarning, match=rf"made {updates // 2} updates.*\. {line}"):
            fit(module, **options)
        assert to_record(module.scheduler).step == 2


class Overflowing(Module):
    """In fp16, the gradients of some batches overflow."""

    def training_step(self, batch, index):
        return super().training_step(batch, index) * (math.inf if index in (0, 7) else 1.0)


def test_an_update_that_fp16_leaves_out_is_no_step():
    module = Overflowing(with_optimizer=True)
    fit(module, 1, plugins=MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu")))
    assert_followed(module.used, BATCHES - 2)
    assert module.scheduler.last_epoch == BATCHES - 2


class Adversaries(L.LightningModule):
    """Two optimizers: one makes an update of each batch, the other of every third."""

    def __init__(self, with_optimizer):
        super().__init__()
        self.automatic_optimization = False
        self.networks = torch.nn.ModuleList([torch.nn.Linear(64, 10), torch.nn.Linear(64, 10)])
        self.with_optimizer = with_optimizer

    def training_step(self, batch, index):
        images, labels = batch
        each = zip((1, 3), self.networks, self.optimizers(), self.lr_schedulers(), strict=True)
        for every, network, optimizer, scheduler in each:
            if index % every == 0:
                optimizer.zero_grad()
                self.manual_backward(torch.nn.functional.cross_entropy(network(images), labels))
                optimizer.step()
            scheduler.step()

    def configure_optimizers(self):
        optimizers = [torch.optim.SGD(e.parameters(), momentum=0.9) for e in self.networks]
        self.used = [watched(optimizer) for optimizer in optimizers]
        schedulers = [
            CyclicLR.from_schedule(each, schedule, step_with_optimizer=self.with_optimizer)
            for each, schedule in zip(optimizers, OF_TWO, strict=True)
        ]
        return optimizers, schedulers


OF_TWO = (SCHEDULE, SCHEDULE.rescaled(2))


def test_two_optimizers(tmp_path):
    module = Adversaries(True)
    fit(module).save_checkpoint(tmp_path / "run.ckpt")
    for index, (schedule, updates) in enumerate(zip(OF_TWO, (40, 14), strict=True)):
        assert_followed(module.used[index], updates, schedule=schedule)
        record = read_record(tmp_path / "run.ckpt", key=f"lr_schedulers.{index}")
        assert record == Record(schedule, updates)
    with pytest.warns(UserWarning, match=r"made no update since .* In lightning.*manual"):
        fit(Adversaries(False))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("with_optimizer", [False, True])
def test_it_resumes_at_any_update_with_the_same_weights(with_optimizer, tmp_path):
    whole = Module(with_optimizer=with_optimizer)

    def saved(module, **options):
        saving = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
        options |= {"accumulate_grad_batches": 3, "enable_checkpointing": True}
        fit(module, callbacks=[saving], **options)

    saved(whole)
    for step in (3, 7, 12):  # Within an epoch and a cycle, at the end of an epoch, and of a cycle.
        path = tmp_path / f"step={step}.ckpt"
        assert read_record(path) == Record(SCHEDULE, step)
        resumed = Module(with_optimizer=with_optimizer)
        saved(resumed, resume=path)
        assert_followed(resumed.used, 14, first=step)
        for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
            assert ours.detach().numpy().tobytes() == theirs.detach().numpy().tobytes()


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    fit(Module()).save_checkpoint(tmp_path / "run.ckpt")
    with pytest.raises(ValueError, match=r"step_size_up=7\.0 in place of 14\.0"):
        fit(Module(SCHEDULE.rescaled(2)), 3, resume=tmp_path / "run.ckpt")


def logged(tmp_path, module, **options):
    """What LearningRateMonitor wrote of a `fit`."""
    monitor = LearningRateMonitor("step", log_momentum=True)
    logger = CSVLogger(tmp_path)
    fit(module, logger=logger, callbacks=[monitor], log_every_n_steps=1, **options)
    return f"{logger.log_dir}/metrics.csv"


@pytest.mark.parametrize("accumulation", [1, 3])
def test_its_log_is_verified(accumulation, tmp_path, capsys):
    module = Module()
    log = logged(tmp_path, module, accumulate_grad_batches=accumulation)
    to_record(module.scheduler).write(tmp_path / "run.json")
    assert clr(["verify", str(tmp_path / "run.json"), log]) == 0
    assert capsys.readouterr().out.startswith("The run followed the schedule: all ")


@pytest.mark.filterwarnings("ignore:A step is an update")
def test_the_log_of_its_default_shows_the_speed(tmp_path):
    log = logged(tmp_path, Module(configured="alone"), epochs=12, limit_train_batches=4)
    verdict = verify(SCHEDULE, *read_rates(log))
    assert (verdict.fault.name, verdict.fault.k, verdict.fault.direction) == ("speed", 4, "slow")


def test_a_schedule_is_a_hyperparameter(tmp_path, capsys):
    logger = CSVLogger(tmp_path)
    fit(Module(), 1, logger=logger, enable_checkpointing=True)
    with open(f"{logger.log_dir}/hparams.yaml", encoding="utf-8") as file:
        # No other loader calls a function that a tag names.
        assert yaml.unsafe_load(file)["schedule"] == SCHEDULE
    (path,) = tmp_path.rglob("*.ckpt")
    assert Module.load_from_checkpoint(path, weights_only=True).hparams.schedule == SCHEDULE
    assert clr(["convert", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == Record(SCHEDULE, BATCHES).to_dict()


class OfTorch(Module):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 3)
        return [optimizer], [{"scheduler": self.scheduler, "interval": "step"}]


def test_a_checkpoint_with_torchs_own_class(tmp_path):
    module, path = OfTorch(), tmp_path / "run.ckpt"
    fit(module, 1).save_checkpoint(path)
    record = to_record(module.scheduler)
    assert record.step == BATCHES
    assert read_record(path) == read_record(path, key="lr_schedulers.0") == record


class Sized(Module):
    def configure_optimizers(self):
        self.updates = self.trainer.estimated_stepping_batches
        self.hparams.schedule = SCHEDULE.rescaled(self.updates / SCHEDULE.cycle_size)
        return super().configure_optimizers()


def test_estimated_stepping_batches_are_updates():
    module = Sized()
    fit(module, accumulate_grad_batches=3)
    assert len(module.used) == module.updates == 14
    assert to_record(module.scheduler).schedule.cycle_size == 14


def test_two_processes(tmp_path):
    environment = {"PYTHONPATH": str(launcher.HERE)}
    script = "../trainers/torch/lightning_run.py"
    job = launcher.Job(script, tmp_path, ranks=2, updates=16, environment=environment)
    job.finish()
    assert job.faults() == []
    assert job.weights()
