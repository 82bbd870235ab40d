"""Any kind of schedule works in Keras, also a kind that holds others."""

import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest

import clr_core.schedules
import clr_keras
from clr_core import python_ops, schedule_from_dict
from clr_core.adapter import rate_only
from clr_core.record import Record
from clr_keras import CyclicLR, from_record, read_record, to_record
from integration.keras import cycled
from integration.keras.rates import (
    BY_CYCLE,
    TRIANGULAR2,
    UPDATES,
    assert_same,
    fit,
    model,
    numbers,
    used,
)
from integration.keras.test_schedule_saving import of, registered

SAVED_AT = 5


@dataclass(frozen=True)
class Largest:
    """The larger rate of two schedules; the momentum of one of them."""

    parts: tuple
    by_name: object

    def lr(self, step, ops=None):
        if ops is None:
            step, ops = float(step), python_ops
        first, second = (part.lr(step, ops) for part in self.parts)
        return ops.maximum(first, second)

    def momentum(self, step, ops=None):
        return self.by_name.momentum(step) if ops is None else self.by_name.momentum(step, ops)

    def to_dict(self, *, strict=True):
        return {
            "kind": "largest",
            "parts": [part.to_dict(strict=strict) for part in self.parts],
            "by_name": {"cycled": self.by_name.to_dict(strict=strict)},
        }

    @classmethod
    def from_dict(cls, document):
        parts = tuple(schedule_from_dict(part) for part in document["parts"])
        return cls(parts, schedule_from_dict(document["by_name"]["cycled"]))


@pytest.fixture(autouse=True)
def _kind(monkeypatch):
    monkeypatch.setitem(clr_core.schedules.KINDS, "largest", f"{__name__}:Largest")


PLAIN = Largest((TRIANGULAR2, BY_CYCLE), TRIANGULAR2)
CYCLED = Largest((cycled.TO_ZERO, cycled.SCHEDULE), cycled.SCHEDULE)


def lrs(schedule):
    return np.float32([schedule.lr(step) for step in range(UPDATES)])


def test_every_update_uses_the_rate_of_its_step():
    trained = model(keras.optimizers.SGD(CyclicLR(PLAIN)), jit_compile=False)
    fit(trained)
    assert_same(used(trained), lrs(PLAIN))
    assert_same(numbers(CyclicLR(PLAIN)(np.arange(UPDATES))), lrs(PLAIN))
    assert len({*lrs(PLAIN)} - {*lrs(TRIANGULAR2)}) > 3


@pytest.mark.parametrize("own", [PLAIN, Largest((TRIANGULAR2, of(registered)), BY_CYCLE)])
def test_it_is_saved_with_the_model(own, tmp_path):
    trained = model(keras.optimizers.SGD(CyclicLR(own)), jit_compile=False)
    fit(trained, range(SAVED_AT))
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    fit(loaded, range(SAVED_AT, UPDATES))
    assert_same(used(loaded), lrs(own))
    assert loaded.optimizer.get_config() == trained.optimizer.get_config()


def test_its_config_is_json():
    written = keras.saving.serialize_keras_object(CyclicLR(CYCLED))
    read = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert read.schedule == CYCLED


def test_its_record_goes_out_of_a_run_and_out_of_a_file_and_in_again(tmp_path):
    trained = cycled.model(clr_keras.SGD(CYCLED))
    cycled.fit(trained, cycled.GRADIENTS[:7])
    trained.save(tmp_path / "run.keras")
    record = to_record(trained)
    assert record == read_record(tmp_path / "run.keras") == Record(CYCLED, 7)
    resumed = from_record(Record.from_json(record.to_json()), clr_keras.SGD)
    assert numbers(resumed.learning_rate) == np.float32(CYCLED.lr(7))
    assert resumed.momentum == np.float32(CYCLED.momentum(7))
    assert to_record(resumed) == record


def test_a_momentum_that_was_not_cycled_is_not_in_the_record():
    given = to_record(keras.optimizers.SGD(CyclicLR(CYCLED))).schedule
    assert given == rate_only(CYCLED)
    assert given.momentum(0) is None
    assert given.lr(2) == CYCLED.lr(2)


def test_a_function_inside_of_it_is_named_and_may_be_given_as_an_expression(tmp_path):
    with_function = Largest((TRIANGULAR2, of(registered)), BY_CYCLE)
    wanted = Record(Largest((TRIANGULAR2, of("1 / x")), BY_CYCLE))
    trained = cycled.model(keras.optimizers.SGD(CyclicLR(with_function)))
    trained.save(tmp_path / "run.keras")
    with pytest.raises(TypeError, match=r"this is one: registered\. "):
        to_record(trained)
    with pytest.raises(ValueError, match=r"this is one: tests>registered\. "):
        read_record(tmp_path / "run.keras")
    assert to_record(trained, scale_fn="1 / x") == wanted
    assert read_record(tmp_path / "run.keras", scale_fn="1 / x") == wanted
