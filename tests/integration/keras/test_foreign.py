"""Converted schedules are the same curves: of TensorFlow Addons, of bckenstler, and Keras's own.

The first two are restated from their sources, cyclical_learning_rate.py in tensorflow_addons and
clr_callback.py, line by line and in float64.
"""

from itertools import accumulate

import keras
import numpy as np
import pytest

from clr_core import CyclicSchedule, verify, warm_restarts, warmup_cosine
from clr_keras import schedule_from_addons, schedule_from_callback, schedule_from_keras
from integration.keras.rates import numbers

STEPS = 500
# The originals subtract twice the cycle from `step / step_size`, which is up to 500: the last place
# of a float64 is 2**-44 there, and the band is about 1.
CLOSE = {"rtol": 0, "atol": 2.0**-44}


def theirs(step, low, high, step_size, scale_fn, scale_mode):
    cycle = np.floor(1 + step / (2 * step_size))
    x = np.abs(step / step_size - 2 * cycle + 1)
    mode_step = cycle if scale_mode == "cycle" else step
    return low + (high - low) * np.maximum(0, 1 - x) * scale_fn(mode_step)


GAMMA = 0.99
ADDONS = {
    "TriangularCyclicalLearningRate": lambda x: 1.0,
    "Triangular2CyclicalLearningRate": lambda x: 1 / (2.0 ** (x - 1)),
    "ExponentialCyclicalLearningRate": lambda x: GAMMA**x,
}


def config(name, step_size=7, **others):
    band = {"initial_learning_rate": 0.1, "maximal_learning_rate": 1.0, "step_size": step_size}
    own = {"gamma": GAMMA} if name.startswith("Exp") else {}
    return {"class_name": name, "config": {**band, **own, **others}}


def assert_same_curve(schedule, step_size, scale_fn, scale_mode):
    wanted = [theirs(s, 0.1, 1.0, step_size, scale_fn, scale_mode) for s in range(STEPS)]
    np.testing.assert_allclose([schedule.lr(s) for s in range(STEPS)], wanted, **CLOSE)
    assert max(wanted) > 0.1004


@pytest.mark.parametrize("step_size", [1, 7, 2.5, 2000])
@pytest.mark.parametrize("scale_mode", ["cycle", "iterations"])
@pytest.mark.parametrize("name", ADDONS)
def test_a_class_of_addons(name, scale_mode, step_size):
    schedule = schedule_from_addons(config(name, step_size, scale_mode=scale_mode))
    assert_same_curve(schedule, step_size, ADDONS[name], scale_mode)


def test_their_defaults():
    usual = schedule_from_addons(config("ExponentialCyclicalLearningRate"))
    assert (usual.mode, usual.gamma) == ("exp_range", GAMMA)
    assert schedule_from_addons(config("Triangular2CyclicalLearningRate")).mode == "triangular2"


@pytest.mark.parametrize("scale_mode", ["cycle", "iterations"])
def test_a_custom_function_in_addons(scale_mode):
    given = config("CyclicalLearningRate", scale_fn={"class_name": "f"}, scale_mode=scale_mode)
    with pytest.raises(TypeError, match=r"`scale_fn` that is a Python callable can't be carried"):
        schedule_from_addons(given)
    schedule = schedule_from_addons(given, scale_fn="1 / (1 + 0.1 * x)")
    assert_same_curve(schedule, 7, lambda x: 1 / (1 + 0.1 * x), scale_mode)


TRIANGULAR = "TriangularCyclicalLearningRate"
WITHOUT_A_BAND = {"class_name": TRIANGULAR, "config": {"step_size": 3}}
REFUSED = [
    (3, "`config` must be a mapping. Received: config=3"),
    (config(TRIANGULAR)["config"], "the name of the class and the config of the object: .*: ini"),
    (config("CosineDecay"), "`class_name` must be one of Triangular.*'CosineD"),
    (config(TRIANGULAR, gamma=0.9), f"of {TRIANGULAR} has no such key. Received: key='gamma'"),
    (WITHOUT_A_BAND, "must have the key `initial_learning_rate`. It is missing"),
    (config(TRIANGULAR, initial_learning_rate={"class_name": "f"}), "must be a number. Received"),
    (config(TRIANGULAR, scale_mode="cycles"), "one of 'cycle', 'iterations'. Received: scale"),
    (config(TRIANGULAR, maximal_learning_rate=0.01), "`base_lr` must not be above `max_lr`"),
    (config("ExponentialCyclicalLearningRate", gamma=1.5, scale_mode="cycle"), "`scale_fn` must"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_is_none_of_addons(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        schedule_from_addons(given)


def test_a_class_that_has_its_own_function():
    with pytest.raises(ValueError, match=f"`scale_fn` must be left out: {TRIANGULAR} has its own"):
        schedule_from_addons(config(TRIANGULAR), scale_fn="x")


CALLBACK = {
    "triangular": (lambda x: 1.0, "cycle"),
    "triangular2": (lambda x: 1 / (2.0 ** (x - 1)), "cycle"),
    "exp_range": (lambda x: GAMMA**x, "iterations"),
}


@pytest.mark.parametrize("step_size", [1, 7, 2.5, 2000.0])
@pytest.mark.parametrize("mode", CALLBACK)
def test_a_mode_of_the_callback(mode, step_size):
    schedule = schedule_from_callback(0.1, 1.0, step_size, mode, GAMMA, None, "iterations")
    assert_same_curve(schedule, step_size, *CALLBACK[mode])


@pytest.mark.parametrize("scale_mode", ["cycle", "iterations"])
def test_a_custom_function_in_the_callback(scale_mode):
    arguments = {"base_lr": 0.1, "max_lr": 1.0, "step_size": 7.0, "scale_mode": scale_mode}
    with pytest.raises(
        TypeError, match=r"callable can't be carried\. Received: scale_fn=<function"
    ):
        schedule_from_callback(**arguments, scale_fn=lambda x: 1 / (1 + 0.1 * x))
    # With it `mode` and `gamma` don't matter, as there.
    given = arguments | {"mode": "exp_range", "gamma": 0.5, "scale_fn": "1 / (1 + 0.1 * x)"}
    schedule = schedule_from_callback(**given)
    assert_same_curve(schedule, 7, lambda x: 1 / (1 + 0.1 * x), scale_mode)


def test_the_defaults_of_the_callback():
    assert schedule_from_callback() == CyclicSchedule(base_lr=0.001, max_lr=0.006)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "triangle"}, "`mode` must be one of 'triangular', 'triangular2', 'exp_range'"),
        ({"step_size": 0}, "must be positive"),
        ({"scale_fn": "x", "scale_mode": "batch"}, "`scale_mode` must be one of 'cycle', 'iterat"),
    ],
)
def test_what_the_callback_could_not_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        schedule_from_callback(**arguments)


SCHEDULES = keras.optimizers.schedules
KERAS_STEPS = np.arange(300)


def keras_rates(schedule):
    """Keras's own rates."""
    if getattr(schedule, "warmup_target", None) is None:
        return numbers(schedule(KERAS_STEPS)).astype(float)
    steps = KERAS_STEPS[:70]  # With a warm-up, it takes one step at a time.
    if keras.backend.backend() == "jax":
        return numbers(keras.ops.vectorized_map(schedule, steps)).astype(float)
    return np.array([float(numbers(schedule(int(step)))) for step in steps])


def assert_keras_curve(schedule, steps):
    """The same as Keras's, but for its float32."""
    theirs, ours = keras_rates(schedule), schedule_from_keras(schedule)
    wanted = np.array([ours.lr(int(step)) for step in KERAS_STEPS[: len(theirs)]])
    # They divide the step in float32, in up to two operations; the cosine has the slope pi / 2.
    close = (6 + np.pi * KERAS_STEPS[: len(theirs)] / steps) * 2.0**-24 * wanted.max()
    off = np.abs(theirs - wanted) > close
    # On torch, a float32 logarithm takes some first steps of a cycle for the end of the one before.
    starts = {0.0, *accumulate(each.steps for each in ours.phases)}
    ends = np.isclose(theirs, ours.levels()["lowest"], rtol=1e-6) & [
        step in starts for step in range(len(off))
    ]
    assert not np.any(off & ~ends), np.max(np.abs(theirs - wanted) / close)


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("steps", [1, 10, 47, 250])
@pytest.mark.parametrize("warmup", [None, (0.3, 13), (1e-3, 20), (0.1, 0)], ids=str)
def test_cosine_decay_of_keras(warmup, steps, alpha):
    target, warmup_steps = warmup or (None, 5)  # Without a target, the steps are ignored.
    schedule = SCHEDULES.CosineDecay(
        0.1, steps, alpha, warmup_target=target, warmup_steps=warmup_steps
    )
    assert_keras_curve(schedule, min(steps, warmup_steps or steps))


@pytest.mark.parametrize("m_mul", [1.0, 0.5, 0.9])
@pytest.mark.parametrize("t_mul", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("first", [3, 10, 100])
def test_cosine_decay_restarts_of_keras(first, t_mul, m_mul):
    assert_keras_curve(SCHEDULES.CosineDecayRestarts(0.1, first, t_mul, m_mul, 0.01), first)


def test_verify_knows_a_log_of_keras():
    theirs = SCHEDULES.CosineDecayRestarts(0.1, 40, 2.0, 0.5, 0.01)
    mine = warm_restarts(0.1, 40, growth=2, decay=0.5, min_lr=0.001, cycles=4)
    verdict = verify(mine, KERAS_STEPS.tolist(), keras_rates(theirs))
    assert "has the rates of Keras's CosineDecayRestarts: its m_mul" in verdict.sentence


def test_a_schedule_of_keras_from_its_config():
    schedule = SCHEDULES.CosineDecay(0.0, 1000, 0.1, warmup_target=0.5, warmup_steps=100)
    wanted = warmup_cosine(0.5, 100, 1100, end_lr=0.05)
    assert schedule_from_keras(schedule) == wanted
    assert schedule_from_keras(keras.saving.serialize_keras_object(schedule)) == wanted
    restarts = SCHEDULES.CosineDecayRestarts(0.1, 10, name="mine")
    assert schedule_from_keras(restarts) == warm_restarts(0.1, 10, growth=2)


class Mine(SCHEDULES.CosineDecay):
    def __call__(self, step):
        return 2 * super().__call__(step)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "`source` must be Keras's CosineDecay or CosineDecayRestarts, or its config"),
        (Mine(0.1, 10), "`source` must be Keras's"),
        (SCHEDULES.ExponentialDecay(0.1, 10, 0.9), "`source` must be Keras's"),
        ({"class_name": "ExponentialDecay", "config": {}}, "`class_name` must be that of Keras's"),
        ({"class_name": "CosineDecay", "registered_name": "mine>CosineDecay", "config": {}}, "`cl"),
        ({"class_name": "CosineDecay", "module": "mine", "config": {}}, "`class_name` must be"),
        ({"class_name": "CosineDecay"}, "'config'|`config` must have"),
        ({"class_name": "CosineDecay", "config": {}}, "must have the keys of its class"),
        (
            {"class_name": "CosineDecay", "config": {"initial_learning_rate": "x"}},
            "`initial_learning_rate` must be a number",
        ),
        (SCHEDULES.CosineDecayRestarts(0.1, 10, 0.5), "must not become shorter"),
        (SCHEDULES.CosineDecayRestarts(0.1, 10, 1.0, 0.9999), "say how many|Say how many"),
    ],
    ids=str,
)
def test_what_isnt_a_schedule_of_keras_that_is_read(source, message):
    with pytest.raises((TypeError, ValueError), match=message):
        schedule_from_keras(source)
