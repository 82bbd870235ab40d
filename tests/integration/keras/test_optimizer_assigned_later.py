"""What is assigned to an optimizer after a `fit` takes effect, or raises and changes nothing."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_core import CyclicSchedule
from clr_core.record import Record
from clr_keras import CyclicLR, to_record
from integration.keras.cycled import NAMES
from integration.keras.rates import UPDATES, assert_same, at, fit, model, used

BACKEND = keras.backend.backend()
FIRST = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
SECOND = CyclicSchedule(base_lr=0.01, max_lr=0.05, step_size_up=3)
MOMENTA = {"base_momentum": 0.5, "max_momentum": 0.9}
WITH_MOMENTUM = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, **MOMENTA)
EAGER = {"run_eagerly": True, "jit_compile": False}
# A step on torch isn't compiled, or notices by itself.
LOOPS = {"eager": EAGER, "compiled": {}}
KEEPS = BACKEND != "torch"
keeps = pytest.mark.skipif(not KEEPS, reason="there it takes effect")


@pytest.mark.parametrize("loop", LOOPS)
def test_another_schedule_takes_effect_or_raises(loop):
    optimizer = clr_keras.SGD(FIRST)
    trained = model(optimizer, **LOOPS[loop])
    optimizer.learning_rate = SECOND
    optimizer.learning_rate = FIRST
    fit(trained, range(3))
    if loop == "compiled" and KEEPS:
        with pytest.raises(
            ValueError, match=r"^`learning_rate` must not be changed after .*compile"
        ):
            optimizer.learning_rate = SECOND
        last = FIRST
    else:
        optimizer.learning_rate = last = SECOND
    assert to_record(trained) == Record(last, 3)
    fit(trained, range(3, UPDATES))
    assert_same(used(trained), np.concatenate([at(FIRST)[:3], at(last)[3:]]))


OTHERS = {"nesterov": True, "gradient_accumulation_steps": 3, "momentum": 0.5, "clipnorm": 1.0}


@keeps
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("schedule", [FIRST, WITH_MOMENTUM], ids=["rate", "momentum"])
def test_what_a_compiled_step_keeps_is_not_changed(schedule, name):
    optimizer = clr_keras.SGD(schedule)
    fit(model(optimizer), range(1))
    before = getattr(optimizer, name)
    with pytest.raises(ValueError, match=f"^`{name}` must not be changed after a step was com"):
        setattr(optimizer, name, OTHERS[name])
    assert getattr(optimizer, name) == before


def test_what_keras_has_made_variables_for_is_not_changed():
    optimizer = clr_keras.Adam(FIRST)
    with pytest.raises(
        AttributeError, match="`gradient_accumulation_steps` must be given to the c"
    ):
        optimizer.gradient_accumulation_steps = 3
    with pytest.raises(ValueError, match="must have a momentum to cycle if the former schedule"):
        optimizer.learning_rate = WITH_MOMENTUM


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@keeps
def test_a_record_of_keras_own_optimizer_says_what_its_step_keeps():
    optimizer = keras.optimizers.SGD(CyclicLR(FIRST))
    trained = model(optimizer)
    fit(trained, range(3))
    assert to_record(trained) == Record(FIRST, 3)
    optimizer.learning_rate = CyclicLR(SECOND)
    with pytest.warns(UserWarning, match="was replaced after its step was compiled, which keeps"):
        to_record(trained)
    trained.compile(optimizer, "mean_absolute_error")
    fit(trained, range(3, UPDATES))
    assert to_record(trained) == Record(SECOND, UPDATES)
    assert_same(used(trained), np.concatenate([at(FIRST)[:3], at(SECOND)[3:]]))


@pytest.mark.parametrize("accumulated", [None, 4])
@pytest.mark.parametrize("name", NAMES)
def test_without_a_momentum_it_is_keras_optimizer_with_one_place_for_the_number(name, accumulated):
    option = {"SGD": {"momentum": 0.5}, "RMSprop": {"momentum": 0.5}}.get(name, {"beta_1": 0.8})
    options = {**option, "gradient_accumulation_steps": accumulated}
    ours = getattr(clr_keras, name)(FIRST, **options)
    theirs = getattr(keras.optimizers, name)(CyclicLR(FIRST, accumulated), **options)
    again = type(ours).from_config(ours.get_config())
    weights = []
    for optimizer in (ours, theirs, again):
        variable = keras.Variable(np.linspace(1.0, 2.0, 4).astype("float32"))
        for _ in range(8):
            optimizer.apply([2 * variable.value], [variable])
        weights.append(keras.ops.convert_to_numpy(variable))
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert to_record(ours) == Record(FIRST, 8 // (accumulated or 1))
    (key,) = option
    assert ours.get_config()[key] == getattr(ours, key) == option[key]
