"""Files of Keras 2 and TensorFlow Addons, written by the real packages, are read.

`write_old_files.py` beside this made them; each model in them had 7 updates.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
from clr_core.record import Record
from clr_keras import CyclicLR, read_moments, read_record, read_weights

FOLDER = Path(__file__).parent / "old_files"
CONTENTS = json.loads((FOLDER / "contents.json").read_text())
UPDATES = 7
BAND = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 3}
TRIANGULAR = CyclicSchedule(**BAND)
TRIANGULAR2 = CyclicSchedule(**BAND, mode="triangular2")
EXPONENTIAL = CyclicSchedule(**BAND, mode="exp_range", gamma=0.9)
COSINE = PiecewiseSchedule([Phase(100, 0.01, 0.0, "cosine")])
OTHER = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)

WITH_A_SCHEDULE = {
    "adam-cosine.keras": COSINE,
    "adam-triangular2.h5": TRIANGULAR2,
    "adam-triangular2.keras": TRIANGULAR2,
    "adamw-exponential-of-cycle.h5": CyclicSchedule(**BAND, scale_fn="0.9 ** x"),
    "addons-adamw-triangular2.h5": TRIANGULAR2,
    "legacy-adam-triangular2.h5": TRIANGULAR2,
    "legacy-sgd-exponential.h5": EXPONENTIAL,
    "legacy-sgd-triangular.h5": TRIANGULAR,
    "lookahead-triangular.h5": TRIANGULAR,
    "rmsprop-triangular.h5": TRIANGULAR,
    "scaled-legacy-triangular.h5": TRIANGULAR,
    "scaled-triangular.h5": TRIANGULAR,
    "scaled-triangular.keras": TRIANGULAR,
    "sgd-tensors.keras": CyclicSchedule(
        base_lr=float(np.float32(0.001)), max_lr=float(np.float32(0.006)), step_size_up=3
    ),
    "sgd-triangular.h5": TRIANGULAR,
    "sgd-triangular.keras": TRIANGULAR,
    "subclassed.keras": TRIANGULAR2,
    "tf-keras-adam-cosine.keras": COSINE,
    "tf-keras-legacy-adam.h5": COSINE,
}
OF_A_FUNCTION = {
    "adam-function.keras": ("halved", "iterations"),
    "adam-lambda.h5": ("__lambda__", "cycle"),
    "adam-lambda.keras": ("__lambda__", "cycle"),
}
# Keras 2 doesn't save the state of a legacy optimizer in a .keras file.
WITHOUT_A_COUNT = {
    "addons-adamw-triangular2.keras": TRIANGULAR2,
    "legacy-adam-triangular2.keras": TRIANGULAR2,
    "legacy-sgd-exponential.keras": EXPONENTIAL,
    "legacy-sgd-triangular.keras": TRIANGULAR,
    "lookahead-triangular.keras": TRIANGULAR,
}
WITHOUT_A_SCHEDULE = {
    "adam-float.h5": "another rate than a ScheduledLR: 0.00999",
    "adam-float.keras": "another rate than a ScheduledLR: 0.00999",
    "adam-triangular2.weights.h5": "it has weights and no schedule",
    "sgd-decay.h5": "another rate than a ScheduledLR: 'ExponentialDecay'",
    "tf-keras-adam-cosine.weights.h5": "it has weights and no schedule",
    "tf-keras-sgd-float.h5": "another rate than a ScheduledLR: 0.00999",
    "tf-keras-sgd-float.keras": "another rate than a ScheduledLR: 0.00999",
}
WITH_NEITHER = {
    "legacy-adam.weights.h5": "it has weights and no schedule",
    "legacy-weights.h5": "it has weights and no schedule",
    "not-compiled.h5": "the model in it wasn't compiled",
    "not-compiled.keras": "the model in it wasn't compiled",
    "without-optimizer.h5": "the model in it wasn't compiled",
}


def test_each_file_is_in_one_of_these_tables():
    tables = (WITH_A_SCHEDULE, OF_A_FUNCTION, WITHOUT_A_COUNT, WITHOUT_A_SCHEDULE, WITH_NEITHER)
    assert sorted(name for table in tables for name in table) == sorted(CONTENTS)


def refuses(name, message, read=read_record, **options):
    with pytest.raises(ValueError, match="must be a ") as caught:
        read(FOLDER / name, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WITH_A_SCHEDULE)
def test_the_schedule_and_the_count(name):
    assert read_record(FOLDER / name) == Record(WITH_A_SCHEDULE[name], UPDATES)
    refuses(name, "it has a schedule in it: leave out `schedule`", schedule=OTHER)
    refuses(name, "it has its own step, 7: leave out `step`. Received: step=5", step=5)


@pytest.mark.parametrize("name", OF_A_FUNCTION)
def test_a_function_may_be_given_as_an_expression(name):
    function, scale_mode = OF_A_FUNCTION[name]
    refuses(name, f"can't be carried to another framework, and this is one: {function}. Give")
    wanted = CyclicSchedule(**BAND, scale_fn="0.5 ** x", scale_mode=scale_mode)
    assert read_record(FOLDER / name, scale_fn="0.5 ** x") == Record(wanted, UPDATES)


@pytest.mark.parametrize("name", WITHOUT_A_COUNT)
def test_the_count_may_be_given(name):
    refuses(name, "without the state of its legacy optimizer, which an .h5 file has, so it has no")
    assert read_record(FOLDER / name, step=5) == Record(WITHOUT_A_COUNT[name], 5)


@pytest.mark.parametrize("name", WITHOUT_A_SCHEDULE)
def test_the_schedule_may_be_given(name):
    refuses(name, WITHOUT_A_SCHEDULE[name])
    refuses(name, ": pass `schedule`")
    assert read_record(FOLDER / name, OTHER) == Record(OTHER, UPDATES)
    assert read_record(FOLDER / name, CyclicLR.of(OTHER)) == Record(OTHER, UPDATES)


@pytest.mark.parametrize("name", WITH_NEITHER)
def test_both_may_be_given(name):
    refuses(name, WITH_NEITHER[name])
    refuses(name, ", so it has no step: pass `step`", schedule=OTHER)
    assert read_record(FOLDER / name, OTHER, step=5) == Record(OTHER, 5)


# The names of a slot's variables end in ":0" in an old optimizer, and begin with the slot's in a
# new one.
SLOTS = {
    "sgd-keras": {"velocity": ("m/", "momentum:0")},
    "adam": {"first": ("m/", "/m:0"), "second": ("v/", "/v:0")},
}
KINDS = {
    name: "sgd-keras" if "sgd" in name or name == "scaled-triangular.keras" else "adam"
    for name in [*WITH_A_SCHEDULE, *OF_A_FUNCTION, *WITHOUT_A_SCHEDULE]
}
WITHOUT_MOMENTS = {
    "lookahead-triangular.h5": "its Lookahead remembers more than the Adam in it",
    "rmsprop-triangular.h5": "its optimizer must be SGD, Adam or AdamW. Received: RMSprop",
    "sgd-decay.h5": "its SGD has no momentum",
    "sgd-tensors.keras": "its SGD has no momentum",
    **dict.fromkeys([*WITHOUT_A_COUNT, *WITH_NEITHER], "it was saved without the state of an opt"),
}


@pytest.mark.parametrize("name", sorted(KINDS.keys() - WITHOUT_MOMENTS))
def test_moments(name):
    if "weights" in name:
        refuses(name, "doesn't say what its optimizer is: pass `kind`, one of 's", read_moments)
        moments = read_moments(FOLDER / name, kind="adam")
    else:
        moments = read_moments(FOLDER / name)
    assert (moments.kind, moments.count) == (KINDS[name], UPDATES)
    for slot, (start, end) in SLOTS[moments.kind].items():
        wanted = [
            np.float32(value)
            for variable, value in CONTENTS[name]["optimizer"]
            if f"/{variable}".find(f"/{start}") >= 0 or variable.endswith(end)
        ]
        assert len(wanted) == len(CONTENTS[name]["trainable"])
        for array, expected in zip(moments.slots[slot], wanted, strict=True):
            np.testing.assert_array_equal(array, expected, strict=True)


@pytest.mark.parametrize("name", WITHOUT_MOMENTS)
def test_no_moments(name):
    refuses(name, WITHOUT_MOMENTS[name], read_moments)


@pytest.mark.parametrize("name", CONTENTS)
def test_weights(name):
    weights = read_weights(FOLDER / name)
    wanted = dict(CONTENTS[name]["weights"])
    if name.endswith(".h5") and ".weights." not in name:
        assert list(weights) == list(wanted)
    assert len(weights) == len(wanted)
    for array, expected in zip(weights.values(), wanted.values(), strict=True):
        np.testing.assert_array_equal(array, np.float32(expected), strict=True)
