"""The range test on compiled models: every byte of state is as it was."""

import pickle
import random
import signal

import keras
import numpy as np
import pytest

import clr_keras
import range_problem as problem
from clr_core import CyclicSchedule, RangeTestResult
from clr_keras._keras_internals import inner_optimizers
from integration.keras.conftest import BACKEND

pytestmark = pytest.mark.usefixtures("ctrl_c")

FEW = {"num_steps": 12, "start_lr": 1e-4, "end_lr": 0.1, "trials": False}
WITH_TRIALS = {**FEW, "trials": True}
SCHEDULE = CyclicSchedule(
    base_lr=0.001, max_lr=0.01, step_size_up=5, base_momentum=0.8, max_momentum=0.9
)
_random = np.random.default_rng(3)
X = _random.normal(size=(128, 8)).astype("float32")
Y = X.sum(1, keepdims=True)
BATCHES = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 128, 8)]


def multi():
    by_group = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01))
    by_group["last/.*"] = clr_keras.SGD(SCHEDULE)
    return keras.optimizers.MultiOptimizer(by_group)


OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "Adam with a moving average": lambda: keras.optimizers.Adam(0.01, use_ema=True),
    "a schedule of Keras": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.01, 100)
    ),
    "a callable": lambda: keras.optimizers.Adam(lambda: 0.01),
    "CyclicLR": lambda: keras.optimizers.RMSprop(clr_keras.CyclicLR.of(SCHEDULE), momentum=0.9),
    "clr_keras.SGD": lambda: clr_keras.SGD(SCHEDULE, torch_velocity=True),
    "clr_keras.Nadam": lambda: clr_keras.Nadam(SCHEDULE),
    "accumulated": lambda: clr_keras.SGD(SCHEDULE, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        clr_keras.Adam(SCHEDULE), initial_scale=8.0, dynamic_growth_steps=3
    ),
    "MultiOptimizer": multi,
}
if not hasattr(keras.optimizers, "MultiOptimizer"):  # Newer than this Keras.
    del OPTIMIZERS["MultiOptimizer"]


def new(optimizer="SGD", **options):
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(16, kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1, name="last"),
    ]
    model = keras.Sequential([keras.layers.Input((8,)), *layers])
    options = {"jit_compile": BACKEND == "jax"} | options
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"], **options)
    return model


def train(model, updates):
    for x, y in BATCHES[:updates]:
        model.train_on_batch(x, y)


def bits(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable)).tobytes()


def everything(model):
    """Every variable with its bytes; the parts of the optimizer; and the global random states."""
    optimizers = [model.optimizer, *inner_optimizers(model.optimizer)]
    kept = [each for each in (model._compile_loss, model._compile_metrics) if each is not None]
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    torch_grads = [
        id(each.value.grad) for each in model.trainable_variables if hasattr(each.value, "grad")
    ]
    return {
        "variables": [(id(each), each.path, bits(each)) for each in variables],
        "attributes": [
            {name: id(value) for name, value in vars(each).items() if name != "_lock"}
            for each in (*optimizers, *kept)
        ],
        "built": [each.built for each in (*optimizers, *kept)],
        "functions": [id(each) for each in (model.train_function, model.test_function)],
        "gradients": torch_grads,
        "random": (random.getstate(), pickle.dumps(np.random.get_state())),  # noqa: NPY002
    }


class Failing:
    """Batches that draw random numbers, and at one of them fail in some way."""

    def __init__(self, fail=None, at=7):
        self.fail, self.at, self.given = fail, at, 0

    def __iter__(self):
        for batch in BATCHES * 3:
            self.given += 1
            random.random(), np.random.random()  # noqa: NPY002
            if self.given == self.at and self.fail is not None:
                self.fail()
            yield batch


def an_error():
    raise RuntimeError("planted")


FAILURES = {
    "nothing": (None, None),
    "an error": (an_error, RuntimeError),
    "Ctrl-C": (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
}


# Each optimizer in one of the ways: to compile each in all of them takes minutes.
WAYS = [(how, updates) for updates in (3, 0) for how in FAILURES]
CASES = [
    pytest.param(name, *FAILURES[how], updates, id=f"{name}, {how}, after {updates}")
    for index, name in enumerate(OPTIMIZERS)
    for how, updates in (WAYS if index == 0 else WAYS[index % 3 : index % 3 + 4 : 3])
]


@pytest.mark.parametrize(("name", "fail", "error", "updates"), CASES)
def test_every_byte_is_as_it_was(name, updates, fail, error):
    model = new(name)
    train(model, updates)
    before = everything(model)
    if error is None:
        assert len(clr_keras.range_test(model, Failing(), **WITH_TRIALS).losses) == 12
    else:
        with pytest.raises(error):
            clr_keras.range_test(model, Failing(fail, at=20), **WITH_TRIALS)
    assert everything(model) == before


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("name", ["SGD", "a schedule of Keras", "clr_keras.Nadam"])
def test_a_training_goes_on_as_if_there_had_been_no_test(name, epochs):
    def weights(tested):
        model = new(name)
        if epochs:
            model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0)
        if tested:
            clr_keras.range_test(model, X, Y, batch_size=8, **FEW)
        history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history
        return history, [bits(each) for each in (*model.variables, *model.optimizer.variables)]

    assert weights(tested=True) == weights(tested=False)


def test_no_names_are_used_up():
    """Keras numbers what it makes, so that paths of variables depend on what was made before."""

    def numbered():
        """The next layer's number, and the next optimizer's, which Keras numbers since 3.15."""
        made = [keras.layers.Dropout(0.5), keras.optimizers.SGD()]
        return np.array([int(each.name.partition("_")[2] or 0) for each in made])

    model = new("clr_keras.SGD")
    first, second = numbered(), numbered()
    clr_keras.range_test(model, X, Y, **FEW)
    np.testing.assert_array_equal(numbered() - second, second - first)


@pytest.mark.parametrize("updates", [0, 2])
def test_weights_of_losses(updates):
    """Also in a model that was never trained, whose losses are made a second time."""
    layers = [keras.layers.Input((8,)), keras.layers.Dense(1, kernel_initializer="ones")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.0), "mse", loss_weights=0.25, run_eagerly=True)
    for x, y in BATCHES[:updates]:
        model.train_on_batch(x, y + 1)
    found = clr_keras.range_test(model, [(x, y + 1) for x, y in BATCHES], **FEW).losses[0]
    assert found == pytest.approx(0.25, rel=1e-4)


def test_what_fails_in_the_midst_of_an_update():
    calls = []

    def loss(y, y_pred):
        calls.append(1)
        if len(calls) == 9:  # Three of the training, then the sixth of the test.
            raise RuntimeError("planted")
        return keras.losses.mean_squared_error(y, y_pred)

    model = new()
    model.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    train(model, 3)
    before = everything(model)
    with pytest.raises(RuntimeError, match="planted"):
        clr_keras.range_test(model, BATCHES, **FEW)
    assert everything(model) == before
    train(model, 3)


@pytest.mark.skipif(BACKEND != "jax", reason="only there a step takes the arrays themselves away")
def test_an_interruption_before_jax_has_given_the_arrays_back(monkeypatch):
    model = new("clr_keras.SGD")
    train(model, 3)
    before = everything(model)
    calls = []

    def interrupted():
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return type(model).jax_state_sync(model)

    monkeypatch.setattr(model, "jax_state_sync", interrupted)
    watched = everything(model)
    with pytest.raises(KeyboardInterrupt):
        clr_keras.range_test(model, BATCHES, **FEW)
    monkeypatch.undo()
    assert everything(model) == before == watched
    train(model, 3)


def test_the_losses_are_those_of_float64():
    model = keras.Sequential(
        [
            keras.layers.Input((problem.INPUTS,)),
            keras.layers.Dense(problem.HIDDEN, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.set_weights(problem.WEIGHTS)
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=BACKEND == "jax")
    for score in (less_the_error, keras.metrics.MeanMetricWrapper(less_the_error)):
        result = clr_keras.range_test(model, problem.batches(), score=score, **problem.OPTIONS)
        np.testing.assert_allclose(result.lrs, problem.rates(), rtol=1e-12)
        np.testing.assert_allclose(result.losses, problem.losses(), **problem.CLOSE)
        np.testing.assert_allclose(result.scores, problem.scores(), **problem.CLOSE)


def less_the_error(targets, outputs):
    return -keras.ops.mean(keras.ops.absolute(keras.ops.subtract(outputs, targets)), axis=-1)


def test_a_score_changes_nothing_of_a_model_with_metrics():
    model, metric = new(), keras.metrics.MeanAbsoluteError()
    train(model, 3)
    metric.update_state(Y[:2], Y[2:4])
    before, held = everything(model), [bits(each) for each in metric.variables]
    result = clr_keras.range_test(model, Failing(), score=metric, repeats=2, **FEW)
    assert len(result.scores) == 12
    assert everything(model) == before
    assert [bits(each) for each in metric.variables] == held


ONE = np.ones((1, 1), "float32"), np.ones((1, 1), "float32")


def one_weight(optimizer):
    """A model whose gradient is 1, so that each update shows its rate."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    model.compile(optimizer, lambda y, y_pred: keras.ops.mean(y_pred), jit_compile=BACKEND == "jax")
    return model


RATED = {
    "a variable": lambda: keras.optimizers.SGD(0.5),
    "a schedule": lambda: keras.optimizers.SGD(clr_keras.CyclicLR.of(SCHEDULE)),
    "accumulated": lambda: keras.optimizers.SGD(
        clr_keras.CyclicLR.of(SCHEDULE, 2), gradient_accumulation_steps=2
    ),
}


@pytest.mark.parametrize("name", RATED)
def test_each_update_uses_the_rate_that_was_asked_for(name):
    model = one_weight(RATED[name]())
    for _ in range(2):  # Now there is a step that was compiled with the schedule.
        model.train_on_batch(*ONE)
    model.set_weights([np.zeros((1, 1))])
    result = clr_keras.range_test(model, [ONE] * 24, **FEW)
    assert not [each for each in result.warnings if "`x`" in each]
    weight, expected = np.float32(0), []
    for lr in result.lrs:
        expected.append(float(weight))  # The loss is the weight, before the update.
        weight = weight - np.float32(lr)
    # In float32 either way; a fused operation may round one time less.
    np.testing.assert_allclose(result.losses, expected, rtol=12 * 2.0**-24)


@pytest.mark.parametrize("updates", [0, 2])
def test_a_momentum_that_is_cycled_stays_where_it_is(updates):
    model = one_weight(clr_keras.SGD(SCHEDULE))
    for _ in range(updates):
        model.train_on_batch(*ONE)
    constant = one_weight(keras.optimizers.SGD(0.5, momentum=float(model.optimizer.momentum)))
    constant.optimizer.build(constant.trainable_variables)
    constant.set_weights(model.get_weights())
    if updates:
        velocity = keras.ops.convert_to_numpy(model.optimizer.momentums[0])
        constant.optimizer.momentums[0].assign(np.array(velocity))
    losses = [clr_keras.range_test(each, [ONE] * 12, **FEW).losses for each in (model, constant)]
    # The same updates, compiled from two programs, each of which may fuse operations of its own.
    np.testing.assert_allclose(*losses, rtol=12 * 2.0**-23, atol=1e-9)


def test_the_loss_is_that_of_the_batch_and_not_a_running_mean():
    """Of the whole loss: what a layer adds belongs to it."""
    layers = [keras.layers.Dense(16, kernel_regularizer="l2"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.layers.Input((8,)), *layers])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=BACKEND == "jax")
    expected = []
    for x, y in BATCHES[:12]:
        model.reset_metrics()
        expected.append(model.test_on_batch(x, y, return_dict=True)["loss"])
    # So small a rate that no weight changes by as much as half an ulp.
    options = {"num_steps": 12, "start_lr": 1e-30, "end_lr": 1e-29}
    result = clr_keras.range_test(model, BATCHES, **options)
    # Compiled from two programs, each of which may sum in an order of its own.
    np.testing.assert_allclose(result.losses, expected, rtol=2.0**-22)


class Counted(keras.Sequential):
    """Counts how often its step is traced."""

    traces = 0

    def train_step(self, *arguments):
        type(self).traces += 1
        return super().train_step(*arguments)


@pytest.mark.skipif(BACKEND == "torch", reason="torch compiles nothing by default")
@pytest.mark.parametrize("name", ["SGD", "clr_keras.SGD"])
def test_it_is_compiled_once(name, monkeypatch):
    monkeypatch.setattr(Counted, "traces", 0)
    model = Counted(new()._layers)
    model.compile(OPTIMIZERS[name](), "mse", jit_compile=BACKEND == "jax")
    clr_keras.range_test(model, X, Y, batch_size=20, repeats=2, **FEW)
    compiled = Counted.traces
    # TensorFlow traces a function twice before its first call, for the variables that it may make.
    assert compiled <= (2 if BACKEND == "tensorflow" else 1)
    clr_keras.range_test(model, X, Y, batch_size=20, num_steps=40)
    assert Counted.traces == 2 * compiled


@pytest.mark.skipif(BACKEND == "torch", reason="torch compiles nothing by default")
def test_what_was_compiled_before_is_used_again():
    model = Counted(new()._layers)
    model.compile("adam", "mse", jit_compile=BACKEND == "jax")
    train(model, 2)
    compiled, function = Counted.traces, model.train_function
    clr_keras.range_test(model, X, Y, batch_size=8, **FEW)
    train(model, 2)
    assert Counted.traces == compiled
    assert model.train_function is function


def test_repeats_start_from_the_same_weights_with_other_batches(monkeypatch):
    runs = []
    of = RangeTestResult.of
    monkeypatch.setattr(RangeTestResult, "of", lambda results: runs.extend(results) or of(results))
    model = new("clr_keras.SGD")
    train(model, 3)
    before = everything(model)
    clr_keras.range_test(model, X, Y, batch_size=8, repeats=3, **FEW)
    assert everything(model) == before
    assert len({run.losses for run in runs}) == len(runs) == 3
    alone = clr_keras.range_test(model, X, Y, batch_size=8, **FEW)
    assert alone.losses == runs[0].losses


def test_trials_start_from_the_same_weights_with_the_same_batches(monkeypatch):
    given = []
    model = one_weight(keras.optimizers.SGD(0.5))
    train_on_batch = model.train_on_batch

    def noted(x, y, **options):
        given.append((bits(model.weights[0]), x.tobytes()))
        return train_on_batch(x, y, **options)

    monkeypatch.setattr(model, "train_on_batch", noted)
    clr_keras.range_test(model, X[:, :1], Y, batch_size=8, **WITH_TRIALS)
    trials = [given[i : i + 12] for i in range(0, len(given), 12)]
    assert len(trials) >= 4
    assert {trial[0] for trial in trials} == {given[0]}
    assert len({tuple(batch for _, batch in trial) for trial in trials}) == 1


def test_repeats_begin_with_the_moments_of_before():
    """One batch, no dropout: then a repeat is the same run once more."""
    model = one_weight(keras.optimizers.Adam(0.5))
    model.train_on_batch(*ONE)
    once = clr_keras.range_test(model, [ONE] * 50, **FEW)
    thrice = clr_keras.range_test(model, [ONE] * 50, repeats=3, **FEW)
    assert thrice.losses == once.losses


def test_batches_of_any_kind():
    class Data(keras.utils.PyDataset):
        def __len__(self):
            return len(BATCHES)

        def __getitem__(self, index):
            return BATCHES[index]

    def losses(x, y=None, **options):
        return clr_keras.range_test(new(), x, y, **FEW, **options).losses

    assert losses(Data()) == losses(BATCHES) == losses([list(each) for each in BATCHES])
    ones = [(*each, np.ones(8, "float32")) for each in BATCHES]
    # The mean of losses with weights is another sum than that without.
    close = {"rtol": 12 * 2.0**-22}
    np.testing.assert_allclose(losses(ones), losses(BATCHES), **close)
    tensors = keras.ops.convert_to_tensor(X), keras.ops.convert_to_tensor(Y)
    assert losses(*tensors, batch_size=8) == losses(X, Y, batch_size=8)
    weighted = losses(X, Y, batch_size=8, sample_weight=np.ones(128))
    np.testing.assert_allclose(weighted, losses(X, Y, batch_size=8), **close)


def test_each_sample_of_an_array_is_seen_once_an_epoch():
    seen = []

    class Watching(keras.Sequential):
        def train_on_batch(self, x, *arguments, **options):
            seen.append(x[:, 0])
            return super().train_on_batch(x, *arguments, **options)

    model = Watching(new()._layers)
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    result = clr_keras.range_test(
        model, X[:100], Y[:100], batch_size=10, **{**FEW, "num_steps": 20}
    )
    assert {len(each) for each in seen} == {10}
    first, second = np.concatenate(seen[:10]), np.concatenate(seen[10:])
    assert sorted(first) == sorted(second) == sorted(X[:100, 0])
    assert first.tolist() != second.tolist()
    (warning,) = [each for each in result.warnings if each.startswith("`x`")]
    assert "started over 1 time in 20 batches" in warning


def test_several_inputs():
    left, right = keras.layers.Input((4,), name="left"), keras.layers.Input((4,), name="right")
    outputs = keras.layers.Dense(1)(keras.layers.Concatenate()([left, right]))
    model = keras.Model({"left": left, "right": right}, outputs)
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    result = clr_keras.range_test(model, {"left": X[:, :4], "right": X[:, 4:]}, Y, **FEW)
    assert len(result.losses) == 12


def refused(error, match, change=None, **options):
    return pytest.param(error, match, change or {}, options, id=match)


def unbuilt():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def weightless():
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.ReLU()])
    model.compile("sgd", "mse")
    return model


def uncompiled():
    return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])


def of_two_outputs():
    inputs = keras.layers.Input((8,))
    model = keras.Model(inputs, [keras.layers.Dense(1)(inputs) for _ in range(2)])
    model.compile("sgd", ["mse", "mse"])
    return model


REFUSED = [
    refused(TypeError, "`model` must be a keras.Model. Received: a int", {"model": lambda: 3}),
    refused(ValueError, "`model` must be compiled with an optimizer", {"model": uncompiled}),
    refused(ValueError, "`model` must be built", {"model": unbuilt}),
    refused(ValueError, "`model` must have weights to train. Received: n", {"model": weightless}),
    refused(ValueError, "`x` must have batches. Received: none.", {"x": [], "y": None}),
    refused(ValueError, "`x` must have batches. Received: none.", {"x": X[:0], "y": Y[:0]}),
    refused(TypeError, "`x` must start over with each `iter()`", {"x": iter(BATCHES), "y": None}),
    refused(ValueError, "must have the same length. Received: lengths [128, 5]", {"y": Y[:5]}),
    refused(TypeError, "`y` must be given if `x` is an array", {"y": None}),
    refused(TypeError, "`score` must be a metric, as `compile` takes it. Received: s", score=3),
    refused(ValueError, "must have one output. Received: 2 outputs",
            {"model": of_two_outputs, "y": [Y, Y]}, score="mae"),
    refused(TypeError, "`sample_weight` must be left out", {"x": BATCHES, "y": None},
            sample_weight=Y),
    refused(ValueError, "Received: a tuple of 4", {"x": [(X, Y, Y, Y)], "y": None}),
    refused(ValueError, "`batch_size` must be at least 1", batch_size=0),
]  # fmt: skip


@pytest.mark.parametrize(("error", "match", "change", "options"), REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(error, match, change, options):
    change = dict(change)
    model = change.pop("model", new)()
    watched = isinstance(model, keras.Model) and getattr(model, "_compile_metrics", None)
    before = watched and everything(model)
    with pytest.raises(error) as caught:
        clr_keras.range_test(model, **{"x": X, "y": Y, **change}, **options)
    assert match in str(caught.value)
    assert not watched or everything(model) == before
    if isinstance(model, keras.Model) and getattr(model, "optimizer", None):
        assert not model.optimizer.built
