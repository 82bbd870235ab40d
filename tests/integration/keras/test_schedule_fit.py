"""The rates that `fit` uses, in each of Keras's loops."""

import keras
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import (
    BY_CYCLE,
    TRIANGULAR2,
    UPDATES,
    assert_same,
    at,
    data,
    fit,
    model,
    numbers,
    used,
)

BACKEND = keras.backend.backend()
LOOPS = {
    "eager": {"run_eagerly": True, "jit_compile": False},
    "plain": {"jit_compile": False},  # A graph in TensorFlow.
    "jit": {"jit_compile": True},
}
if BACKEND == "torch":
    del LOOPS["plain"]  # The eager one.


def with_loops(loops=LOOPS):
    return pytest.mark.parametrize("loop", loops.values(), ids=loops)


@pytest.mark.parametrize("schedule", [TRIANGULAR2, BY_CYCLE], ids=["mode", "text"])
@with_loops()
def test_every_update_uses_the_rate_of_its_step(loop, schedule):
    if BACKEND == "torch" and loop is LOOPS["jit"] and schedule is TRIANGULAR2:
        pytest.skip("torch.compile takes long; the text is the harder one")
    trained = model(keras.optimizers.SGD(CyclicLR(schedule)), **loop)
    fit(trained)
    assert_same(used(trained), at(schedule))


def test_a_second_fit_and_train_on_batch_continue_the_cycle():
    trained = model(keras.optimizers.SGD(CyclicLR(TRIANGULAR2)))
    fit(trained, range(3))
    fit(trained, range(3, 7))
    for update in range(7, UPDATES):
        trained.train_on_batch(*data([update]))
    assert_same(used(trained), at(TRIANGULAR2))


def test_learning_rate_reads_the_rate_of_the_next_update():
    class Read(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.rates = []

        def on_train_batch_begin(self, batch, logs=None):
            self.rates.append(numbers(self.model.optimizer.learning_rate))

    read = Read()
    trained = model(keras.optimizers.SGD(CyclicLR(TRIANGULAR2)))
    assert_same(numbers(trained.optimizer.learning_rate), at(TRIANGULAR2, 0))
    fit(trained, callbacks=[read])
    assert_same(read.rates, at(TRIANGULAR2))
    assert_same(numbers(trained.optimizer.learning_rate), at(TRIANGULAR2, UPDATES))
