"""ignite: `step()` at its events, its LRScheduler, its checkpoints and logs."""

import sys

import pytest
import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from ignite.handlers import Checkpoint
from ignite.handlers.param_scheduler import (
    ConcatScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    create_lr_scheduler_with_warmup,
)
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_core import read_rates, verify
from clr_torch import CyclicLR, read_record, to_record
from trainers.following import BATCHES, SCHEDULE, assert_followed
from trainers.torch.problem import batches, bits, loss_of, network, sgd
from trainers.torch.watching import watched


class Run:
    """A trainer, whose scheduler `attach` connects with it."""

    def __init__(self, attach, accumulation=1, name="SGD", **arguments):
        self.model = network()
        self.optimizer = sgd(self.model, name)
        self.used = watched(self.optimizer)
        self.scheduler = CyclicLR.from_schedule(self.optimizer, SCHEDULE, **arguments)
        self.trainer = create_supervised_trainer(
            self.model, self.optimizer, loss_of, gradient_accumulation_steps=accumulation
        )
        self.parts = {
            name: getattr(self, name) for name in ("model", "optimizer", "scheduler", "trainer")
        }
        attach(self.trainer, self.scheduler)

    def train(self, epochs=2):
        self.trainer.run(batches(), max_epochs=epochs)
        return self.used


def stepping(event):
    return lambda trainer, scheduler: trainer.add_event_handler(event, lambda: scheduler.step())


def wrapping(event):
    return lambda trainer, scheduler: trainer.add_event_handler(event, LRScheduler(scheduler))


PER_UPDATE = stepping(Events.ITERATION_COMPLETED)
PER_3_BATCHES = stepping(Events.ITERATION_COMPLETED(every=3))
PER_EPOCH = stepping(Events.EPOCH_COMPLETED)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize(
    ("attach", "accumulation"),
    [
        (PER_UPDATE, 1),
        (PER_3_BATCHES, 3),
        (wrapping(Events.ITERATION_STARTED), 1),
    ],
)
def test_the_lines_that_are_right(name, attach, accumulation):
    used = Run(attach, accumulation, name).train()
    assert_followed(used, 2 * BATCHES // accumulation)


# Torch warns of a scheduler that steps before the first update.
TORCHS = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
WRONG = {
    "per epoch": (PER_EPOCH, 1, r"20 updates since the last `step\(\)`"),
    "per batch": (PER_UPDATE, 3, r"no update since the last `step\(\)`"),
    "too seldom": (PER_3_BATCHES, 1, r"3 updates since the last `step\(\)`"),
    "LRScheduler per epoch": (wrapping(Events.EPOCH_STARTED), 1, "20 updates since the last step"),
    "LRScheduler per batch": (
        wrapping(Events.ITERATION_STARTED),
        3,
        "no update since the last step",
    ),
    "LRScheduler too late": (
        wrapping(Events.ITERATION_COMPLETED),
        1,
        "1 update before the first step",
    ),
}


@TORCHS
@pytest.mark.parametrize("name", WRONG)
def test_lines_that_are_wrong_are_said_once(name):
    attach, accumulation, made = WRONG[name]
    with pytest.warns(UserWarning, match=f"the optimizer made {made}. In ignite, call") as said:
        used = Run(attach, accumulation).train(4)
    assert sum("A step is an update" in str(each.message) for each in said) == 1
    with pytest.raises(AssertionError):
        assert_followed(used, len(used))


@pytest.mark.parametrize(
    ("attach", "accumulation"), [(PER_EPOCH, 1), (PER_UPDATE, 3), (lambda *_: None, 3)]
)
def test_any_of_them_is_right_if_it_steps_with_the_optimizer(attach, accumulation):
    used = Run(attach, accumulation, step_with_optimizer=True).train()
    assert_followed(used, 2 * BATCHES // accumulation)


def test_ignites_wrapper_counts_in_place_of_the_optimizer():
    with pytest.warns(UserWarning, match="has been turned off, since something else set"):
        used = Run(wrapping(Events.ITERATION_STARTED), step_with_optimizer=True).train()
    assert_followed(used, 2 * BATCHES)


@pytest.mark.parametrize("duration", [1, 2, 5])
def test_after_another_scheduler_of_ignites(duration):
    def attach(trainer, scheduler):
        before = LinearCyclicalScheduler(scheduler.optimizer, "lr", 0.5, 0.6, cycle_size=10)
        both = ConcatScheduler([before, LRScheduler(scheduler)], durations=[duration])
        trainer.add_event_handler(Events.ITERATION_STARTED, both)

    used = Run(attach).train()
    assert used[0][0] == 0.5
    assert_followed(used[duration:], 2 * BATCHES - duration)


def test_simulating_its_wrapper_changes_nothing():
    run = Run(PER_UPDATE)
    run.train(1)
    values = LRScheduler.simulate_values(30, run.scheduler)
    assert values == [[n, SCHEDULE.lr(BATCHES + n)] for n in range(30)]
    assert_followed(run.train(2), 2 * BATCHES)


@pytest.mark.parametrize("arguments", [{}, {"step_with_optimizer": True}])
def test_a_checkpoint_resumes_bit_for_bit(arguments, tmp_path):
    whole = Run(PER_UPDATE, **arguments)
    whole.train(2)

    first = Run(PER_UPDATE, **arguments)
    first.trainer.add_event_handler(
        Events.EPOCH_COMPLETED, Checkpoint(first.parts, str(tmp_path), n_saved=None)
    )
    assert_followed(first.train(1), BATCHES)

    (file,) = tmp_path.glob("*.pt")
    record = read_record(file)
    assert (record.step, record.schedule) == (BATCHES, SCHEDULE)
    resumed = Run(PER_UPDATE, **arguments)
    Checkpoint.load_objects(resumed.parts, checkpoint=file)
    assert_followed(resumed.train(2), 2 * BATCHES, first=BATCHES)
    assert bits(resumed.model) == bits(whole.model)


def test_the_log_of_its_tensorboard_logger(tmp_path, monkeypatch):
    # Otherwise TensorBoard would import TensorFlow into a process with torch.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    from ignite.handlers.tensorboard_logger import OptimizerParamsHandler, TensorboardLogger

    run = Run(PER_UPDATE)
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach(
            run.trainer,
            OptimizerParamsHandler(run.optimizer, param_name="lr"),
            Events.ITERATION_STARTED,
        )
        run.train()
    assert verify(SCHEDULE, *read_rates(tmp_path)).status == "followed"


# Its wrapper beside torch's own class.

ARGUMENTS = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "step_size_down": 7}
KINDS = pytest.mark.parametrize("name", ["SGD", "Adam"])


def make(name="SGD", groups=1):
    weights = [{"params": [torch.nn.Parameter(torch.ones(3))]} for _ in range(groups)]
    return getattr(torch.optim, name)(
        weights, lr=0.3, **({"momentum": 0.9} if name == "SGD" else {})
    )


def run(handler, optimizer, steps=40, event=Events.ITERATION_STARTED):
    seen = []

    def update(engine, batch):
        for group in optimizer.param_groups:
            seen.append(group["lr"])
            seen.append(group["betas"][0] if "betas" in group else group["momentum"])
            group["params"][0].grad = torch.ones(3)
        optimizer.step()

    engine = Engine(update)
    engine.add_event_handler(event, handler)
    engine.run([0] * steps, max_epochs=1)
    return seen


def wrapped(scheduler):
    return LRScheduler(scheduler)


def after_a_warm_up(scheduler):
    return create_lr_scheduler_with_warmup(
        scheduler, warmup_start_value=0.001, warmup_duration=5, warmup_end_value=0.01
    )


@KINDS
@pytest.mark.parametrize("wrap", [wrapped, after_a_warm_up])
@pytest.mark.parametrize("case", [{}, {"mode": "triangular2"}, {"cycle_momentum": False}], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_rates_and_momenta(name, wrap, case, groups):
    used = []
    for kind in (CyclicLR, Torchs):
        optimizer = make(name, groups)
        used.append(run(wrap(kind(optimizer, **ARGUMENTS | case)), optimizer))
    assert used[0] == pytest.approx(used[1], rel=1e-13)


def test_resuming():
    optimizer = make()
    straight = run(LRScheduler(CyclicLR(optimizer, **ARGUMENTS)), optimizer)
    optimizer = make()
    scheduler = CyclicLR(optimizer, **ARGUMENTS)
    handler = LRScheduler(scheduler)
    assert run(handler, optimizer, 15) == straight[:30]
    states = optimizer.state_dict(), handler.state_dict()
    assert states[1]["lr_scheduler"]["applied"] is False  # It would take the rate of step 15.

    again = make()
    resumed = LRScheduler(CyclicLR(again, **ARGUMENTS))
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert again.param_groups[0]["lr"] == straight[28]
    assert run(resumed, again, 25) == straight[30:]


@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_a_record_has_the_step_of_the_next_update(kind):
    optimizer = make()
    scheduler = kind(optimizer, **ARGUMENTS)
    run(LRScheduler(scheduler), optimizer, 15)
    for source in (scheduler, scheduler.state_dict()):
        assert to_record(source).step == 15
    ours = CyclicLR(make(), **ARGUMENTS)
    ours.load_state_dict(scheduler.state_dict())
    assert ours.last_epoch == 15
