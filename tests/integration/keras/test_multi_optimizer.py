"""`MultiOptimizer`: a schedule, and a momentum that it cycles, for each group of weights."""

import keras
import numpy as np

from clr_core import CyclicSchedule
from integration.keras.cycled import (
    BACKEND,
    CLOSE,
    GRADIENTS,
    SCHEDULE,
    START,
    UPDATES,
    WEIGHTS,
    optimizer,
    shown,
)
from integration.keras.cycled import expected as weights_expected
from integration.keras.rates import numbers
from needs import needs
from schedules import expected, expected_momenta

pytestmark = needs("keras.optimizers.MultiOptimizer")
OTHER = CyclicSchedule(
    base_lr=0.002, max_lr=0.02, step_size_up=2, base_momentum=0.5, max_momentum=0.9
)
GROUPS = {"body": ("SGD-torch", SCHEDULE), "head": ("Adam", OTHER)}
SAVED_AT = 5
STEPS = list(range(UPDATES + 1))
RATES = {name: expected(schedule, STEPS)[0] for name, (_, schedule) in GROUPS.items()}
MOMENTA = {name: expected_momenta(schedule, STEPS)[0] for name, (_, schedule) in GROUPS.items()}


def new():
    """The gradient of both layers is the input, as in `cycled`."""
    layers = [keras.layers.Dense(1, use_bias=False, name=name) for name in GROUPS]
    inputs = keras.layers.Input((WEIGHTS,))
    made = keras.Model(inputs, keras.layers.Add()([layer(inputs) for layer in layers]))
    made.set_weights([START[:, None], START[:, None]])
    by_group = keras.optimizers.OptimizerMap(optimizer(*GROUPS["body"]))
    by_group["head/.*"] = optimizer(*GROUPS["head"])
    both = keras.optimizers.MultiOptimizer(by_group)
    made.compile(both, "mean_absolute_error", jit_compile=BACKEND == "jax")
    both.build(made.trainable_variables)
    return made


def of_groups(trained):
    head, body = trained.optimizer.optimizers
    return {"body": body, "head": head}


def fit(trained, gradients, *callbacks):
    targets = np.full((len(gradients), 1), -1000.0, "float32")
    options = {"batch_size": 1, "shuffle": False, "verbose": 0, "callbacks": callbacks}
    trained.fit(gradients, targets, **options)
    return {name: trained.get_layer(name).get_weights()[0][:, 0] for name in GROUPS}


def assert_at(trained, step):
    for name, each in of_groups(trained).items():
        assert numbers(each.learning_rate) == RATES[name][step]
        assert shown(each) == MOMENTA[name][step]


class Look(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.step = 0

    def on_train_batch_begin(self, batch, logs=None):
        assert_at(self.model, self.step)
        self.step += 1


def test_each_group_follows_its_own_schedule():
    trained, look = new(), Look()
    given = fit(trained, GRADIENTS, look)
    assert look.step == UPDATES
    assert_at(trained, UPDATES)
    for name, (variant, schedule) in GROUPS.items():
        wanted = weights_expected(variant, schedule=schedule)
        np.testing.assert_allclose(given[name], wanted, **CLOSE)


def test_both_groups_resume_in_the_middle_of_their_cycles(tmp_path):
    uninterrupted, trained = fit(new(), GRADIENTS), new()
    fit(trained, GRADIENTS[:SAVED_AT])
    trained.save(tmp_path / "both.keras")
    resumed = keras.saving.load_model(tmp_path / "both.keras")
    assert_at(resumed, SAVED_AT)
    for name, given in fit(resumed, GRADIENTS[SAVED_AT:]).items():
        np.testing.assert_array_equal(given, uninterrupted[name])
