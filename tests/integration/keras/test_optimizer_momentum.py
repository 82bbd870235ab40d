"""The momentum that an update really uses, read back from it to the bit."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_keras import CyclicLR
from integration.keras.cycled import (
    BACKEND,
    LOOPS,
    NAMES,
    SCHEDULE,
    TO_ZERO,
    UPDATES,
    WEIGHTS,
    fit,
    model,
    momenta,
    optimizer,
    rates,
    shown,
)
from integration.keras.rates import assert_same, numbers

VELOCITIES = {"SGD": "momentums", "RMSprop": "_momentums", "Adamax": "_m"}
READABLE = [name for name in NAMES if name != "Lion"]  # Whose beta_1 leaves no trace but a sign.
OF_0_AND_1 = np.float32([[0, 1, 1, 1, 1]])


def velocity(optimizer):
    return getattr(optimizer, VELOCITIES.get(type(optimizer).__name__, "_momentums"))[0]


def used(trained, updates=UPDATES, of_each=1):
    """From 1, a gradient of 0 takes a velocity to exactly the momentum, whatever the rate is.

    That is so for `momentum * v` and, from 0.5 on, for `v + (0 - v) * (1 - beta_1)`.
    """
    given = []
    for _ in range(updates):
        velocity(trained.optimizer).assign(np.ones((WEIGHTS, 1), "float32"))
        for _ in range(of_each):
            trained.train_on_batch(OF_0_AND_1, np.float32([[-1000.0]]))
        given.append(numbers(velocity(trained.optimizer))[0, 0])
    return given


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("name", READABLE)
def test_every_update_uses_the_momentum_of_its_step(name, loop):
    assert_same(used(model(optimizer(name), **loop)), momenta())


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
def test_a_momentum_of_exactly_0_clears_the_velocity(name, loop):
    assert momenta(TO_ZERO)[3] == 0.0
    assert_same(used(model(optimizer(name, TO_ZERO), **loop)), momenta(TO_ZERO))


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_lion_weighs_with_the_beta_1_of_its_step(loop):
    """It moves by the sign of `beta_1 * v + (1 - beta_1) * g`: bracketed by two gradients."""
    trained = model(optimizer("Lion"), **loop)
    for beta in momenta().astype("float64"):
        turns = -beta / (1 - beta)
        velocity(trained.optimizer).assign(np.ones((WEIGHTS, 1), "float32"))
        trained.set_weights([np.zeros((WEIGHTS, 1), "float32")])
        beside = turns * np.float32([[1 - 1e-5, 1 + 1e-5, 1, 1, 1]])
        trained.train_on_batch(np.float32(beside), np.float32([[-1e6]]))
        assert np.sign(trained.get_weights()[0][:2, 0]).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("name", NAMES)
def test_outside_the_step_it_is_a_float_the_momentum_of_the_next_update(name):
    class Read(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            read.append(shown(self.model.optimizer))

    read = []
    trained = model(optimizer(name))
    assert shown(trained.optimizer) == momenta()[0]
    fit(trained, callbacks=[Read()])
    assert {type(each) for each in read} == {float}
    assert_same(np.float32(read), momenta())
    assert shown(trained.optimizer) == np.float32(SCHEDULE.momentum(UPDATES))
    trained.optimizer.iterations.assign(3)
    assert shown(trained.optimizer) == momenta()[3]


def test_a_schedule_may_be_replaced_by_another():
    optimizer = clr_keras.SGD(SCHEDULE, gradient_accumulation_steps=2)
    optimizer.learning_rate = CyclicLR.of(TO_ZERO)
    assert optimizer.momentum == momenta(TO_ZERO)[0]
    assert numbers(optimizer.learning_rate) == rates(TO_ZERO)[0]
    assert optimizer.get_config()["learning_rate"]["config"]["gradient_accumulation_steps"] == 2


@pytest.mark.skipif(BACKEND != "jax", reason="stateless, as only JAX is")
@pytest.mark.parametrize("name", READABLE)
def test_a_jitted_loop_of_ones_own(name):
    import jax

    made = optimizer(name)
    weight = keras.Variable(np.zeros((WEIGHTS, 1), "float32"))
    made.build([weight])
    place = [id(each) for each in made.variables].index(id(velocity(made)))

    @jax.jit
    def step(state):
        state[place] = np.ones((WEIGHTS, 1), "float32")
        _, state = made.stateless_apply(state, [np.zeros((WEIGHTS, 1), "float32")], [weight.value])
        return state

    state, given = [variable.value for variable in made.variables], []
    for _ in range(UPDATES):
        state = step(state)
        given.append(np.asarray(state[place])[0, 0])
    assert_same(given, momenta())
    assert step._cache_size() == 1
