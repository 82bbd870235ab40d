"""skorch: its LRScheduler per batch and per epoch, several fits, its files and its history."""

import pickle
import warnings

import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler

from clr_core import verify
from clr_torch import CyclicLR
from trainers.following import BATCH, BATCHES, SCHEDULE, assert_followed, digits
from trainers.torch.problem import bits
from trainers.torch.watching import watched

PER_BATCH = {"step_every": "batch"}
WITH_OPTIMIZER = {"step_with_optimizer": True}
SAID = "A step is an update, but "


def from_epochs(optimizer, last_epoch=-1, **arguments):
    """A policy, which skorch gives the number of epochs less one."""
    return CyclicLR.from_schedule(
        optimizer, SCHEDULE, last_epoch=(last_epoch + 1) * BATCHES - 1, **arguments
    )


def net(
    policy=CyclicLR.from_schedule, name="SGD", batch=BATCH, kind=NeuralNetClassifier, **arguments
):
    if policy == CyclicLR.from_schedule:
        arguments["schedule"] = SCHEDULE
    momentum = {"optimizer__momentum": 0.9} if name == "SGD" else {}
    torch.manual_seed(0)
    return kind(
        torch.nn.Linear,
        module__in_features=64,
        module__out_features=10,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=getattr(torch.optim, name),
        **momentum,
        batch_size=batch,
        train_split=None,
        callbacks=[("clr", LRScheduler(policy, **arguments))],
        verbose=0,
    ).initialize()


def fitted(made, *epochs):
    """What the optimizer used in as many fits."""
    used = watched(made.optimizer_)
    for each in epochs:
        made.partial_fit(*digits(), epochs=each)
    return used


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("arguments", [PER_BATCH, WITH_OPTIMIZER, PER_BATCH | WITH_OPTIMIZER])
@pytest.mark.parametrize(
    ("policy", "epochs"), [(CyclicLR.from_schedule, [2]), (from_epochs, [1, 2])]
)
def test_the_lines_that_are_right(name, arguments, policy, epochs):
    used = fitted(net(policy, name, **arguments), *epochs)
    assert_followed(used, sum(epochs) * BATCHES)


def test_the_arguments_of_torchs_class():
    arguments = {name: value for name, value in SCHEDULE.to_dict().items() if name != "kind"}
    assert_followed(fitted(net(CyclicLR, **arguments, **PER_BATCH), 2), 2 * BATCHES)


@pytest.mark.parametrize(
    ("arguments", "epochs", "said"),
    [
        ({}, [3], ["the optimizer made 20 updates since the last `step()`. In skorch, pass"]),
        (
            PER_BATCH,
            [1, 1],
            ["skorch starts the scheduler at its number of epochs: at step 1, aft"],
        ),
        (WITH_OPTIMIZER, [1, 1], ["skorch starts the scheduler at its number of epochs: at step"]),
    ],
)
def test_lines_that_are_wrong_are_said_once(arguments, epochs, said):
    made = net(**arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        used = fitted(made, *epochs)
    texts = [str(each.message) for each in caught]
    texts = [text.removeprefix(SAID) for text in texts if text.startswith(SAID)]
    assert [text[: len(start)] for text, start in zip(texts, said, strict=True)] == said
    with pytest.raises(AssertionError):
        assert_followed(used, len(used))


def test_one_batch_per_epoch_is_right_in_every_fit():
    assert_followed(fitted(net(batch=-1), 3, 4), 7)


class Accumulating(NeuralNetClassifier):
    """skorch's recipe: an update for each 4 batches."""

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) / 4

    def train_step(self, batch, **arguments):
        step = self.train_step_single(batch, **arguments)
        if len(self.history[-1, "batches"]) % 4 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


def from_epochs_of_5(optimizer, last_epoch=-1, **arguments):
    last_epoch = (last_epoch + 1) * BATCHES // 4 - 1
    return CyclicLR.from_schedule(optimizer, SCHEDULE, last_epoch=last_epoch, **arguments)


def test_accumulation():
    used = fitted(net(from_epochs_of_5, kind=Accumulating, **WITH_OPTIMIZER), 2, 1)
    assert_followed(used, 3 * BATCHES // 4)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_accumulation_with_a_step_per_batch_is_said():
    with pytest.warns(UserWarning, match="made no update since the last `step.*In skorch, pass"):
        fitted(net(from_epochs_of_5, kind=Accumulating, **PER_BATCH), 2)


@pytest.mark.parametrize("arguments", [PER_BATCH, WITH_OPTIMIZER])
def test_its_files_resume_bit_for_bit(arguments, tmp_path):
    names = ("params", "optimizer", "history")
    files = {f"f_{name}": str(tmp_path / name) for name in names}
    whole = net(from_epochs, **arguments)
    fitted(whole, 1, 1)
    first = net(from_epochs, **arguments)
    fitted(first, 1)
    first.save_params(**files)
    for resumed in (net(from_epochs, **arguments), pickle.loads(pickle.dumps(first))):
        if not resumed.history:
            resumed.load_params(**files)
        assert_followed(fitted(resumed, 1), 2 * BATCHES, first=BATCHES)
        assert bits(resumed.module_) == bits(whole.module_)


def test_clones_and_simulations():
    made = clone(net(**PER_BATCH)).initialize()
    assert_followed(fitted(made, 1), BATCHES)
    without = LRScheduler(CyclicLR, base_lr=0.01, max_lr=0.07, cycle_momentum=False)
    schedule = CyclicLR(made.optimizer_, 0.01, 0.07, cycle_momentum=False).schedules[0]
    assert list(without.simulate(30, initial_lr=0.1)) == [schedule.lr(k) for k in range(30)]


def test_its_history_as_a_log():
    made = net(**PER_BATCH)
    fitted(made, 2)
    lrs = [lr for epoch in made.history[:, "batches", :, "event_lr"] for lr in epoch]
    assert verify(SCHEDULE, range(2 * BATCHES), lrs).status == "followed"
