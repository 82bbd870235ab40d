"""Keras's `fit`, on each backend: each of its updates is the schedule's."""

import contextlib

import keras
import numpy as np
import pytest

import clr_keras
from clr_cli.main import main as clr
from clr_core import Record
from clr_core.adapter import rate_only
from clr_keras import CyclicLR
from integration.keras.rates import (
    BY_CYCLE,
    TRIANGULAR2,
    UPDATES,
    assert_same,
    at,
    data,
    model,
    numbers,
    used,
)
from integration.keras.rates import fit as fit_rates
from trainers.following import SCHEDULE, assert_followed
from workers.probe import EachUpdate, batches, make_model

BACKEND = keras.backend.backend()
EPOCH, EPOCHS = 10, 2
RATE = rate_only(SCHEDULE)


def of_ours(**options):
    return clr_keras.SGD(SCHEDULE, torch_velocity=True, **options)


def of_keras(**options):
    return keras.optimizers.SGD(CyclicLR(RATE), **options)


def compiled(optimizer, **options):
    made = make_model()
    made.compile(optimizer, "mse", **options)
    made.optimizer.build(made.trainable_variables)  # The probe needs the velocities.
    return made


def fit(trained, *callbacks, epochs=EPOCHS, end=EPOCH, **options):
    """Train on the batches of an epoch up to `end`, and return what each update used."""
    followed = []
    each = EachUpdate(lambda step, used: followed.append(used[0]))
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    with contextlib.suppress(Interrupted):
        trained.fit(*batches(0, end), epochs=epochs, callbacks=[*callbacks, each], **options)
    return followed


def same_weights(ours, theirs):
    return [x.tobytes() for x in ours.get_weights()] == [x.tobytes() for x in theirs.get_weights()]


class Interrupted(Exception):
    pass


class InterruptIn(keras.callbacks.Callback):
    def __init__(self, update):
        super().__init__()
        self.updates_left = update

    def on_train_batch_begin(self, batch, logs=None):
        if not self.updates_left:
            raise Interrupted
        self.updates_left -= 1


SITUATIONS = {
    "ours": (of_ours, 1),
    "of keras": (of_keras, 1),
    "accumulation": (lambda: of_ours(gradient_accumulation_steps=4), 4),
    "accumulation of keras": (
        lambda: keras.optimizers.SGD(CyclicLR(RATE, 4), gradient_accumulation_steps=4),
        4,
    ),
}
"""Optimizers, and the batches of an update: a power of two, so that the mean of equal gradients is
exact."""


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_update_is_the_schedules(situation):
    make, of_each = SITUATIONS[situation]
    trained = compiled(make())
    updates = EPOCH * EPOCHS // of_each
    assert_followed(fit(trained), updates)
    assert clr_keras.to_record(trained).step == updates


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    trained = compiled(of_ours())
    followed = fit(trained)
    assert len(followed) > EPOCH  # The loss scale of float16 leaves out the first, if it overflows.
    assert_followed(followed, len(followed))
    assert clr_keras.to_record(trained) == Record(SCHEDULE, len(followed))


LOOPS = {
    "eager": {"run_eagerly": True, "jit_compile": False},
    "plain": {"jit_compile": False},  # A graph in TensorFlow.
    "jit": {"jit_compile": True},
    "of four": {"steps_per_execution": 4},
}
if BACKEND == "torch":
    del LOOPS["plain"]  # The eager one.
    del LOOPS["of four"]


@pytest.mark.parametrize("schedule", [TRIANGULAR2, BY_CYCLE], ids=["mode", "text"])
@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_uses_the_rate_of_its_step(loop, schedule):
    if BACKEND == "torch" and loop == "jit" and schedule is TRIANGULAR2:
        pytest.skip("torch.compile takes long; the text is the harder one")
    trained = model(keras.optimizers.SGD(CyclicLR(schedule)), **LOOPS[loop])
    fit_rates(trained)
    assert_same(used(trained), at(schedule))


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution there")
def test_several_updates_in_one_execution_cycle_the_momentum_too():
    one, four = compiled(of_ours()), compiled(of_ours(), steps_per_execution=4)
    for each in (one, four):
        each.fit(*batches(0, EPOCH), batch_size=8, epochs=EPOCHS, shuffle=False, verbose=0)
    assert same_weights(one, four)


@pytest.mark.skipif(BACKEND != "torch", reason="only there Keras has no steps_per_execution")
def test_several_steps_per_execution_are_refused_by_keras():
    with pytest.raises(ValueError, match="`steps_per_execution` must be 1"):
        fit(compiled(of_ours(), steps_per_execution=4))


def test_a_second_fit_and_train_on_batch_continue_the_cycle():
    trained = model(keras.optimizers.SGD(CyclicLR(TRIANGULAR2)))
    fit_rates(trained, range(3))
    fit_rates(trained, range(3, 7))
    for update in range(7, UPDATES):
        trained.train_on_batch(*data([update]))
    assert_same(used(trained), at(TRIANGULAR2))
    assert_same(numbers(trained.optimizer.learning_rate), at(TRIANGULAR2, UPDATES))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_a_schedule_that_was_not_told_of_accumulation_runs_too_fast():
    optimizer = keras.optimizers.SGD(CyclicLR(TRIANGULAR2), gradient_accumulation_steps=4)
    trained, micro_batches = model(optimizer), np.repeat(np.arange(UPDATES), 4)
    with pytest.warns(UserWarning, match=r"should be the same in the .*=4 and 1\. .* give it 4"):
        fit_rates(trained, micro_batches)
    assert_same(used(trained), at(TRIANGULAR2, np.arange(3, len(micro_batches), 4)))


@pytest.mark.parametrize(
    ("save_freq", "interrupted", "resumes"),
    [("epoch", 13, 10), (3, 14, 12)],  # In the latter case Keras repeats the batches of the epoch.
)
def test_a_fit_that_was_interrupted_resumes(save_freq, interrupted, resumes, tmp_path):
    def backed_up(trained, *callbacks):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
        return fit(trained, backup, *callbacks)

    stopped, resumed, whole = (compiled(of_ours()) for _ in range(3))
    assert_followed(backed_up(stopped, InterruptIn(interrupted)), interrupted)
    assert_followed(backed_up(resumed), resumes + EPOCH, first=resumes)
    fit(whole, epochs=1)
    if resumes > EPOCH:
        fit(whole, epochs=1, end=resumes - EPOCH)
    fit(whole, epochs=1)
    assert same_weights(resumed, whole)


def test_a_model_of_model_checkpoint_continues(tmp_path):
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    whole = compiled(of_ours())
    fit(whole, saving)
    loaded = keras.saving.load_model(tmp_path / "1.keras")
    assert_followed(fit(loaded, initial_epoch=1), EPOCH * EPOCHS, first=EPOCH)
    assert same_weights(loaded, whole)


class LogRate(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        step, lr = map(keras.ops.convert_to_numpy, (optimizer.iterations, optimizer.learning_rate))
        with open("log.txt", "a") as file:
            print(f"step {step} lr {lr}", file=file)


@pytest.mark.parametrize(
    ("options", "in_one"), [({}, 1), ({"gradient_accumulation_steps": 2}, 1), ({}, 4)]
)
def test_a_log_is_verified(options, in_one, tmp_path, monkeypatch, capsys):
    if in_one > 1 and BACKEND == "torch":
        pytest.skip("Keras has no steps_per_execution there")
    monkeypatch.chdir(tmp_path)
    trained = compiled(of_ours(**options), steps_per_execution=in_one)
    fit(trained, LogRate())
    clr_keras.to_record(trained).write("run.json")
    assert clr(["verify", "run.json", "log.txt"]) == 0
    assert capsys.readouterr().out.startswith("The run followed the schedule: all ")


@pytest.mark.parametrize(
    "callback",
    [
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        lambda: keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0),
    ],
    ids=["LearningRateScheduler", "ReduceLROnPlateau"],
)
@pytest.mark.parametrize("make", [of_ours, of_keras])
def test_callbacks_that_write_the_rate_are_refused(make, callback):
    with pytest.raises((TypeError, ValueError), match=r"learning.rate"):
        fit(compiled(make()), callback(), epochs=4)
