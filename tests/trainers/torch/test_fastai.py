"""fastai: a callback for its own optimizers, and a scheduler of an OptimWrapper's optimizer."""

import functools
import warnings

import fastai.basics
import fastai.optimizer
import pytest
import torch
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Callback, Learner

from clr_core import verify
from clr_torch import CyclicLR
from trainers.following import BATCH, BATCHES, SCHEDULE, assert_followed
from trainers.torch.problem import bits, dataset, loss_of, network, sgd
from trainers.torch.watching import watched

UPDATES = 2 * BATCHES


class Cyclic(Callback):
    order = 60

    def __init__(self, schedule, step=0):
        self.schedule, self.step = schedule, step

    def before_batch(self):
        if self.training:
            self.opt.set_hyper("lr", self.schedule.lr(self.step))
            self.opt.set_hyper("mom", self.schedule.momentum(self.step))

    def after_cancel_step(self):
        self.step -= 1

    def after_step(self):
        self.step += 1


class Seen(Callback):
    """What fastai's own optimizers use."""

    order = 100  # After fp16, which cancels steps.

    def __init__(self):
        self.used = []

    def before_step(self):
        hypers = self.opt.hypers[-1]
        self.used.append((hypers["lr"], hypers["mom"]))


def learner(callbacks, optimizer=None, model=None):
    loader = functools.partial(DataLoader, dataset(), bs=BATCH)
    return Learner(
        DataLoaders(loader(shuffle=False), loader()),
        model or network(),
        loss_func=loss_of,
        opt_func=optimizer or functools.partial(fastai.optimizer.SGD, mom=0.9),
        cbs=callbacks,
    )


def fit(made, *epochs):
    with made.no_bar(), made.no_logging():
        for each in epochs:
            made.fit(each)
    return made


@pytest.mark.parametrize("name", ["SGD", "Adam", "ranger"])
@pytest.mark.parametrize("epochs", [[2], [1, 1]])
def test_the_callback_follows_in_all_fits(name, epochs):
    seen = Seen()
    optimizer = getattr(fastai.optimizer, name)
    made = fit(learner([Cyclic(SCHEDULE), seen], functools.partial(optimizer, mom=0.9)), *epochs)
    assert_followed(seen.used, UPDATES)
    if len(epochs) == 1:
        assert made.recorder.lrs == [SCHEDULE.lr(step) for step in range(UPDATES)]
        assert verify(SCHEDULE, range(UPDATES), made.recorder.lrs).status == "followed"


def test_the_callback_counts_no_batch_that_is_accumulated():
    seen = Seen()
    fit(learner([Cyclic(SCHEDULE), seen, GradientAccumulation(3 * BATCH)]), 2)
    assert_followed(seen.used, UPDATES // 3)


class Overflowing(MixedPrecision):
    """Mixed precision on the CPU, with an overflow in some batches."""

    def before_fit(self):
        self.autocast = torch.autocast("cpu", enabled=False)
        self.learn.scaler, self.scales = torch.amp.GradScaler("cpu"), fastai.basics.L()
        self.batch, self.skips = 0, 0

    def before_step(self):
        self.batch += 1
        if self.batch in (1, 4, 5, 30):
            next(iter(self.model.parameters())).grad.fill_(torch.inf)
            self.skips += 1
        super().before_step()


def test_the_callback_counts_no_update_that_overflowed():
    seen, scaling = Seen(), Overflowing()
    fit(learner([Cyclic(SCHEDULE), seen, scaling]), 2)
    assert_followed(seen.used, UPDATES - 4)


def test_the_callback_resumes_bit_for_bit(tmp_path):
    whole = fit(learner([Cyclic(SCHEDULE)]), 1, 1)
    clr = Cyclic(SCHEDULE)
    first = fit(learner([clr]), 1)
    first.path = tmp_path
    first.save("first", with_opt=True)
    seen = Seen()
    resumed = learner([Cyclic(SCHEDULE, clr.step), seen])
    resumed.path = tmp_path
    fit(resumed.load("first", with_opt=True), 1)
    assert_followed(seen.used, UPDATES, first=BATCHES)
    assert bits(resumed.model) == bits(whole.model)


# A scheduler of torch's.


class ItsRate(Callback):
    def __init__(self, scheduler):
        self.scheduler = scheduler

    def before_fit(self):
        self.scheduler.step()


class Steps(Callback):
    """Calls `step()` after the event `at`."""

    def __init__(self, scheduler, at):
        setattr(self, at, scheduler.step)


class Wrapped:
    def __init__(self, callback=ItsRate, others=(), name="SGD", **arguments):
        model = network()
        self.optimizer = sgd(model, name)
        self.used = watched(self.optimizer)
        self.scheduler = CyclicLR.from_schedule(self.optimizer, SCHEDULE, **arguments)
        self.learner = learner(
            [callback(self.scheduler), *others],
            fastai.optimizer.OptimWrapper(opt=self.optimizer),
            model,
        )


def with_optimizer(*others, **arguments):
    return Wrapped(others=others, step_with_optimizer=True, **arguments)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("epochs", [[2], [1, 1]])
def test_a_scheduler_that_steps_with_the_optimizer(name, epochs):
    made = with_optimizer(name=name)
    fit(made.learner, *epochs)
    assert_followed(made.used, UPDATES)
    # Each is logged after the update, as the rate of the next one.
    lrs = made.learner.recorder.lrs
    first = UPDATES - len(lrs)
    assert verify(SCHEDULE, range(first, UPDATES), lrs, first_step=-1).status == "followed"


def test_that_counts_no_batch_that_is_accumulated():
    made = with_optimizer(GradientAccumulation(3 * BATCH))
    fit(made.learner, 2)
    assert_followed(made.used, UPDATES // 3)


def test_that_counts_no_update_that_overflowed():
    made = with_optimizer(Overflowing())
    fit(made.learner, 2)
    assert_followed(made.used, UPDATES - 4)


def test_that_resumes_bit_for_bit(tmp_path):
    whole = with_optimizer()
    fit(whole.learner, 1, 1)
    first, resumed = with_optimizer(), with_optimizer()
    for each in (first, resumed):
        each.learner.path = tmp_path
    fit(first.learner, 1).save("first", with_opt=True)
    resumed.learner.load("first", with_opt=True)
    resumed.scheduler.load_state_dict(first.scheduler.state_dict())
    fit(resumed.learner, 1)
    assert_followed(resumed.used, UPDATES, first=BATCHES)
    assert bits(resumed.learner.model) == bits(whole.learner.model)


IN_FASTAI = "In fastai, `fit` writes the Learner's `lr` first"


@pytest.mark.parametrize(
    ("at", "accumulation", "said"),
    [
        ("after_step", 1, [IN_FASTAI]),
        ("after_epoch", 1, [IN_FASTAI, "the optimizer made 20 updates since the last `step()`"]),
        ("after_batch", 3, ["the optimizer made no update since the last `step()`"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_lines_that_are_wrong_are_said_once(at, accumulation, said):
    accumulating = GradientAccumulation(accumulation * BATCH)
    made = Wrapped(lambda scheduler: Steps(scheduler, at), [accumulating])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(made.learner, 3)
    texts = [str(each.message) for each in caught if "The optimizer" in str(each.message)]
    texts += [str(each.message) for each in caught if "A step is an update" in str(each.message)]
    assert len(texts) == len(said)
    assert all(words in text for words, text in zip(said, texts, strict=True))
    assert all("In fastai, " in text for text in texts)
