"""The config of `ScheduledLR` and `CyclicLR`, and the arguments that they refuse."""

import copy
import inspect
import json
import pickle
import re

import keras
import numpy as np
import pytest

from clr_core import CyclicSchedule, one_cycle
from clr_keras import CyclicLR, ScheduledLR
from integration.keras.rates import BAND, SCHEDULES, TRIANGULAR, assert_same, at, numbers


def test_it_is_a_registered_schedule_of_keras():
    assert issubclass(CyclicLR, keras.optimizers.schedules.LearningRateSchedule)
    assert issubclass(CyclicLR, ScheduledLR)
    # The names in every saved file: to change one is to lose those.
    assert keras.saving.get_registered_name(CyclicLR) == "clr_keras>CyclicLR"
    assert keras.saving.get_registered_name(ScheduledLR) == "clr_keras>ScheduledLR"


@pytest.mark.parametrize("kind", [CyclicLR, ScheduledLR])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_round_trip_through_json(schedule, kind):
    written = keras.saving.serialize_keras_object(kind(schedule, 3, name="mine"))
    read = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert type(read) is kind
    assert (read.schedule, read.gradient_accumulation_steps, read.name) == (schedule, 3, "mine")


def test_a_local_function_goes_through_the_config_as_itself():
    def scale(x):
        return 1 / x

    config = CyclicLR(CyclicSchedule(**BAND, scale_fn=scale)).get_config()
    assert CyclicLR.from_config(config).schedule.scale_fn is scale


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@pytest.mark.parametrize("kind", [CyclicLR, ScheduledLR])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies(copied, kind):
    schedule = SCHEDULES["by_cycle"]
    rates = copied(kind(schedule, 2, name="mine"))
    assert type(rates) is kind
    assert rates.get_config() == kind(schedule, 2, name="mine").get_config()
    assert_same(numbers(rates(np.arange(20))), at(schedule, np.arange(20) // 2))


@pytest.mark.parametrize("given", [0.1, [TRIANGULAR], json], ids=["number", "list", "module"])
def test_what_is_no_schedule_raises(given):
    message = f"`schedule` must be a schedule such as CyclicSchedule. Received: schedule={given!r}"
    for kind in (CyclicLR, ScheduledLR):
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            kind(given)


@pytest.mark.parametrize("steps", [0, -1, 2.5, 2.0, True, False, "2", [2]], ids=repr)
def test_what_is_no_number_of_steps_raises(steps):
    message = (
        "`gradient_accumulation_steps` must be a positive integer or None. "
        f"Received: gradient_accumulation_steps={steps!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CyclicLR(TRIANGULAR, gradient_accumulation_steps=steps)


@pytest.mark.parametrize("steps", [np.int64(1), 1, None])
def test_one_step_is_an_int_and_the_default(steps):
    config = CyclicLR(TRIANGULAR, gradient_accumulation_steps=steps).get_config()
    assert config == CyclicLR(TRIANGULAR).get_config()
    assert type(config["gradient_accumulation_steps"]) is int


PARAMETERS = [
    {"base_lr": 0.001, "max_lr": 0.006},
    {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 3, "step_size_down": 2.5},
    {"base_lr": 0.001, "max_lr": 0.006, "mode": "exp_range", "gamma": 0.9},
    {"base_lr": 0.001, "max_lr": 0.006, "scale_fn": "0.5 ** x", "scale_mode": "iterations"},
]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_parameters_in_place_of_a_schedule(parameters):
    rates = CyclicLR(**parameters, gradient_accumulation_steps=2, name="mine")
    schedule = CyclicSchedule(**parameters)
    assert rates.schedule == schedule
    assert rates.get_config() == CyclicLR(schedule, 2, "mine").get_config()
    assert CyclicLR.from_config(rates.get_config()).schedule == schedule


def test_an_editor_shows_the_parameters():
    shown = inspect.signature(CyclicLR).parameters
    assert set(inspect.signature(CyclicSchedule).parameters) <= set(shown)
    assert [*shown][:3] == ["schedule", "gradient_accumulation_steps", "name"]


@pytest.mark.parametrize("given", [{"mode": "triangular2"}, {"step_size_up": 3}, PARAMETERS[0]])
def test_a_schedule_and_parameters_are_refused(given):
    with pytest.raises(ValueError, match=rf"given by itself.*and {', '.join(given)}$"):
        CyclicLR(TRIANGULAR, **given)


def test_parameters_that_are_missing_or_wrong():
    with pytest.raises(TypeError, match="`schedule` must be a schedule"):
        CyclicLR()
    with pytest.raises(TypeError, match="max_lr"):
        CyclicLR(base_lr=0.001)
    with pytest.raises(ValueError, match=r"`step_size_up` must be positive\. Received: step_size"):
        CyclicLR(base_lr=0.001, max_lr=0.006, step_size_up=0)


BETWEEN = {"base_momentum": 0.8, "max_momentum": 0.9}
MOMENTA = {"base_lr": 0.001, "max_lr": 0.006, **BETWEEN}


def test_a_momentum_that_is_not_cycled_is_said():
    message = r"gives the rate alone: the momentum .* pass the schedule itself .* clr_keras.SGD\(s"
    for make in (
        lambda: CyclicLR(CyclicSchedule(**MOMENTA)),
        lambda: CyclicLR(**MOMENTA),
        lambda: ScheduledLR(one_cycle(0.5, 9, **BETWEEN)),
    ):
        with pytest.warns(UserWarning, match=message) as caught:
            make()
        assert caught[0].filename == __file__
