"""The adapter takes any kind of schedule, also an unknown one, and one that holds others."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_core import CyclicSchedule, Record
from clr_core.adapter import rate_only
from clr_keras import CyclicLR, ScheduledLR, from_record, read_record, to_record
from other_kinds import CYCLIC, DRIVEN, Cosine, Mean, other_kinds

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

EACH = pytest.mark.parametrize("schedule", DRIVEN.values(), ids=DRIVEN)


def model(optimizer):
    made = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    made.compile(optimizer, "mse")
    return made


def train(made, steps):
    for _ in range(steps):
        made.train_on_batch(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))


@EACH
def test_rates(schedule):
    expected = np.array([schedule.lr(step) for step in range(30)], np.float32)
    rate = ScheduledLR.of(schedule)
    steps = keras.ops.arange(30, dtype="int32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(rate(steps)), expected)


@EACH
def test_a_trained_model_in_a_file(schedule, tmp_path):
    trained = model(clr_keras.SGD(schedule))
    train(trained, 13)
    assert to_record(trained) == Record(schedule, 13)
    trained.save(tmp_path / "run.keras")
    loaded = keras.models.load_model(tmp_path / "run.keras")
    assert to_record(loaded) == Record(schedule, 13)
    assert float(loaded.optimizer.learning_rate) == float(trained.optimizer.learning_rate)
    assert loaded.optimizer.momentum == pytest.approx(schedule.momentum(13), rel=1e-7)
    assert read_record(tmp_path / "run.keras") == Record(schedule, 13)


@EACH
def test_config_and_records(schedule):
    config = ScheduledLR.of(schedule).get_config()
    assert ScheduledLR.from_config(config).schedule == schedule
    optimizer = from_record(Record(schedule, 13), clr_keras.SGD)
    assert float(optimizer.learning_rate) == np.float32(schedule.lr(13))
    # Keras's own optimizers don't cycle a momentum, so the record has none.
    plain = keras.optimizers.SGD(ScheduledLR.of(schedule))
    assert to_record(plain) == Record(rate_only(schedule), 0)


@pytest.mark.parametrize("schedule", [*DRIVEN.values(), CYCLIC], ids=[*DRIVEN, "cyclic"])
def test_an_optimizer_keeps_the_class_it_is_given_and_finds_the_one_of_a_schedule(schedule):
    kind = CyclicLR if schedule is CYCLIC else ScheduledLR
    for given, found in (
        (schedule, kind),
        *((each.of(schedule), each) for each in (CyclicLR, kind)),
    ):
        optimizer = clr_keras.SGD(given)
        config = optimizer.get_config()["learning_rate"]
        assert config["registered_name"] == keras.saving.get_registered_name(found)
        assert config["config"]["name"] == found.__name__
        assert (
            clr_keras.SGD.from_config(optimizer.get_config()).get_config() == optimizer.get_config()
        )


@keras.saving.register_keras_serializable(package="test_other_kinds")
def reciprocal(x):
    return 1.0 / x


def test_a_callable_within_a_nested_schedule(tmp_path):
    called = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn=reciprocal)
    schedule = Mean((Cosine(peak=0.5), Mean((called,))))
    trained = model(keras.optimizers.SGD(ScheduledLR.of(schedule)))
    train(trained, 3)
    trained.save(tmp_path / "run.keras")
    loaded = keras.models.load_model(tmp_path / "run.keras")
    assert loaded.optimizer._learning_rate.schedule == schedule
    written = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7, scale_fn="1 / x")
    expected = Record(Mean((Cosine(peak=0.5), Mean((written,)))), 3)
    assert to_record(loaded, scale_fn="1 / x") == expected
    assert read_record(tmp_path / "run.keras", scale_fn="1 / x") == expected
