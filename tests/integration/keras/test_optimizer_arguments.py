"""Arguments that the optimizers refuse, and the error messages."""

import inspect
import json
import re
from typing import get_args, get_type_hints

import keras
import pytest

import clr_keras
from clr_core import CyclicSchedule
from clr_keras import CyclicLR, ScheduledLR
from integration.keras.cycled import NAMES, SCHEDULE

WITHOUT = CyclicSchedule(base_lr=0.001, max_lr=0.006)
with_names = pytest.mark.parametrize("name", NAMES)


def exactly(text):
    return f"^{re.escape(text)}$"


def scheduled(name):
    return "momentum" if name in ("SGD", "RMSprop") else "beta_1"


DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)


@pytest.mark.parametrize("given", [0.1, None, "0.1", {}, keras.optimizers.SGD, DECAY])
def test_no_schedule(given):
    message = (
        "`learning_rate` must be a schedule such as CyclicSchedule, or a ScheduledLR. "
        f"Received: learning_rate={given!r}"
    )
    with pytest.raises(TypeError, match=exactly(message)):
        clr_keras.Adam(given)


@with_names
@pytest.mark.parametrize("given", [0.9, None])
def test_a_momentum_beside_the_schedule(name, given):
    message = (
        f"`{scheduled(name)}` must be left out: the schedule cycles it. "
        f"Received: {scheduled(name)}={given}"
    )
    with pytest.raises(ValueError, match=exactly(message)):
        getattr(clr_keras, name)(SCHEDULE, **{scheduled(name): given})


@with_names
def test_a_momentum_assigned_later(name):
    message = (
        f"`{scheduled(name)}` must be left to the schedule. Received: {scheduled(name)}=0.5. "
        "Make an optimizer of another schedule."
    )
    optimizer = getattr(clr_keras, name)(SCHEDULE)
    with pytest.raises(AttributeError, match=exactly(message)):
        setattr(optimizer, scheduled(name), 0.5)


@pytest.mark.parametrize("kind", [CyclicLR, ScheduledLR])
@pytest.mark.parametrize("given", [None, 4])
def test_two_accumulations(given, kind):
    message = (
        "`gradient_accumulation_steps` must be the same in the optimizer and in its "
        f"{kind.__name__}. Received: gradient_accumulation_steps={given} and 3. "
        f"Leave it out of the {kind.__name__}."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        clr_keras.SGD(kind(WITHOUT, 3), gradient_accumulation_steps=given)


@pytest.mark.parametrize("of_schedule", [1, 3])
def test_one_accumulation_said_once_or_twice(of_schedule):
    rate = CyclicLR(WITHOUT, of_schedule, name="mine")
    optimizer = clr_keras.SGD(rate, gradient_accumulation_steps=3)
    config = optimizer.get_config()["learning_rate"]["config"]
    assert (config["gradient_accumulation_steps"], config["name"]) == (3, "mine")
    assert rate.gradient_accumulation_steps == of_schedule


def test_what_keras_refuses():
    with pytest.raises(ValueError, match="not recognized"):
        clr_keras.Adam(SCHEDULE, beta1=0.9)
    with pytest.raises(TypeError, match="positional"):
        clr_keras.SGD(SCHEDULE, 0.9)


@with_names
def test_the_config_holds_the_schedule_and_no_momentum(name):
    optimizer = getattr(clr_keras, name)(SCHEDULE, weight_decay=0.5, gradient_accumulation_steps=2)
    config = optimizer.get_config()
    assert scheduled(name) not in config
    assert config["weight_decay"] == 0.5
    document = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    assert document["registered_name"] == f"clr_keras>{name}"
    again = keras.optimizers.deserialize(document)
    assert type(again) is type(optimizer)
    assert again.get_config() == config


@with_names
def test_the_keywords_that_an_editor_shows_are_those_of_keras(name):
    (options,) = [
        get_args(hint)[0]
        for each, hint in get_type_hints(getattr(clr_keras, name).__init__).items()
        if each == "options"
    ]
    of_keras = set(inspect.signature(getattr(keras.optimizers, name)).parameters)
    assert set(get_type_hints(options)) == of_keras - {"learning_rate", "kwargs"}
