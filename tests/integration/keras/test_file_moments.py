"""Moments and weights out of files that Keras wrote are those of the model."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_core import CyclicSchedule, Record
from clr_keras import CyclicLR, read_moments, read_record, read_weights, to_moments
from integration.keras.test_record import multi

SCHEDULE = CyclicSchedule(
    base_lr=0.001, max_lr=0.01, step_size_up=3, base_momentum=0.6, max_momentum=0.95
)
SUFFIXES = [".keras", ".h5", ".weights.h5"]
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(CyclicLR.of(SCHEDULE)),
    "sgd of Keras 3.14": lambda: keras.optimizers.SGD(0.01, momentum=0.9, name="SGD"),
    "adamw": lambda: keras.optimizers.AdamW(0.01),
    "adamw of Keras 3.14": lambda: keras.optimizers.AdamW(0.01, name="adamw"),
    "our sgd": lambda: clr_keras.SGD(SCHEDULE),
    "our sgd in torch's form": lambda: clr_keras.SGD(SCHEDULE, torch_velocity=True),
    "our adamw": lambda: clr_keras.AdamW(SCHEDULE),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        clr_keras.Adam(SCHEDULE), initial_scale=1.0
    ),
}


def trained(optimizer):
    """A model that is as after 5 batches, with random numbers for weights and moments."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            keras.Sequential([layers.Dense(2), layers.Dense(3)]),
            *(layers.Dense(1, use_bias=False) for _ in range(11)),
        ]
    )
    model.compile(optimizer, "mse", jit_compile=False)
    optimizer.build(model.trainable_variables)
    random = np.random.default_rng(1)
    for variable in [*model.weights, *optimizer.variables]:
        if "int" in variable.dtype:
            variable.assign(5)
        elif variable.shape:
            variable.assign(random.normal(size=variable.shape))
    return model


def save(model, path):
    (model.save_weights if ".weights." in path.name else model.save)(path)
    return path


def assert_equal(arrays, wanted):
    for array, each in zip(arrays, wanted, strict=True):
        np.testing.assert_array_equal(array, each, strict=True)


def assert_same(moments, wanted):
    assert (moments.kind, moments.count) == (wanted.kind, wanted.count)
    for slot in wanted.slots:
        assert_equal(moments.slots[slot], wanted.slots[slot])


@pytest.fixture(scope="module", params=OPTIMIZERS)
def model(request):
    return trained(OPTIMIZERS[request.param]())


@pytest.mark.filterwarnings("ignore:.*HDF5")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_moments_and_weights(suffix, model, tmp_path):
    path = save(model, tmp_path / f"run{suffix}")
    assert_same(read_moments(path), to_moments(model.optimizer))
    weights = read_weights(path)
    values = [keras.ops.convert_to_numpy(each) for each in model.weights]
    assert sorted(each.shape for each in weights.values()) == sorted(each.shape for each in values)
    if suffix != ".weights.h5":  # It has no order of layers.
        assert_equal(weights.values(), values)


@pytest.mark.filterwarnings("ignore:.*HDF5")
@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize(
    ("kind", "rate"), [(keras.optimizers.Adam, 0.01), (clr_keras.Adam, SCHEDULE)]
)
def test_accumulated_gradients_are_passed_over(kind, rate, suffix, tmp_path):
    made = kind(rate, gradient_accumulation_steps=2)
    moments = read_moments(save(trained(made), tmp_path / f"run{suffix}"))
    assert moments.count == 2
    assert_same(moments, to_moments(made))


def test_a_file_of_weights_does_not_tell_all(tmp_path):
    options = {"learning_rate": 0.01, "momentum": 0.9}
    named = save(trained(keras.optimizers.SGD(name="mine", **options)), tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"doesn't say what its optimizer is: pass `kind`, one of"):
        read_moments(named)
    assert read_moments(named, kind="sgd-keras").kind == "sgd-keras"
    with pytest.raises(ValueError, match=r"`kind` must be one of 'sgd', 'sgd-keras', 'adam'\. Rec"):
        read_moments(named, kind="rmsprop")
    made = keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    accumulated = save(trained(made), tmp_path / "b.weights.h5")
    with pytest.raises(ValueError, match="hasn't first and second alone for weights of the model"):
        read_moments(accumulated)
    whole = save(trained(keras.optimizers.SGD(**options)), tmp_path / "c.keras")
    with pytest.raises(ValueError, match="its config has the kind: leave out `kind`"):
        read_moments(whole, kind="sgd-keras")


@multi
@pytest.mark.filterwarnings("ignore:.*HDF5")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_of_several_optimizers(suffix, tmp_path):
    by_group = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.01, momentum=0.9, name="rest"))
    by_group[".*kernel"] = keras.optimizers.Adam(0.01, name="kernels")
    model = trained(keras.optimizers.MultiOptimizer(by_group))
    path = save(model, tmp_path / f"run{suffix}")
    with pytest.raises(ValueError, match=r"the optimizer's name, one of 'kernels', 'rest'\. Rec"):
        read_moments(path)
    for optimizer in model.optimizer.optimizers:
        kind = {"rest": "sgd-keras", "kernels": "adam"}[optimizer.name]
        kind_of_weights = kind if suffix == ".weights.h5" else None
        moments = read_moments(path, key=optimizer.name, kind=kind_of_weights)
        assert (moments.kind, moments.count) == (kind, 5)
        assert_same(moments, to_moments(optimizer))


def test_half_precision(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    model = trained(keras.optimizers.Adam(0.01))
    path = save(model, tmp_path / "run.keras")
    wanted = to_moments(model.optimizer)
    assert_equal(read_moments(path).slots["second"], wanted.slots["second"])
    weights = [keras.ops.convert_to_numpy(each).astype("float32") for each in model.weights]
    assert_equal(read_weights(path).values(), weights)


def test_a_part_of_the_weights(tmp_path):
    model = trained(keras.optimizers.SGD(0.01))
    path = save(model, tmp_path / "run.keras")
    part = read_weights(path, key="layers.sequential")
    wanted = [each for layer in model.layers[3].layers for each in layer.get_weights()]
    assert_equal(part.values(), wanted)
    assert next(iter(part)) == "layers/sequential/layers/dense/vars/0"
    with pytest.raises(ValueError, match=r"`key` must be one of 'layers/dense/vars/0', .*key='x'"):
        read_weights(path, key="x")


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda: keras.optimizers.SGD(0.01), "its SGD has no momentum, and plain SGD keeps no st"),
        (lambda: keras.optimizers.Adam(0.01, amsgrad=True), "`amsgrad` must be off"),
        (lambda: keras.optimizers.Adam(0.01, use_ema=True), "`use_ema` must be off"),
        (lambda: keras.optimizers.Lion(0.01), "its optimizer must be SGD, Adam or AdamW. Received"),
    ],
)
def test_what_has_no_moments(optimizer, message, tmp_path):
    path = save(trained(optimizer()), tmp_path / "run.keras")
    with pytest.raises(ValueError, match=f"must be a Keras file with moments: {message}"):
        read_moments(path)


REMEMBERING = {
    "SGD": {"momentum": 0.9},
    "Adam": {},
    "Nadam": {},
    "Lion": {"name": "mine"},
    "Adagrad": {},
}


@pytest.mark.parametrize("rate", [0.01, CyclicLR.of(SCHEDULE)], ids=["number", "schedule"])
@pytest.mark.parametrize("name", REMEMBERING)
def test_a_count_of_micro_batches_is_said_where_it_shows(name, rate, tmp_path):
    make = getattr(keras.optimizers, name)
    path, record = tmp_path / "run.weights.h5", Record(SCHEDULE, 5)
    save(trained(make(rate, **REMEMBERING[name])), path)
    assert read_record(path, SCHEDULE) == record
    save(trained(make(rate, **REMEMBERING[name], gradient_accumulation_steps=2)), path)
    with pytest.warns(UserWarning, match="accumulates gradients, and counts micro-ba") as caught:
        assert read_record(path, SCHEDULE) == record
    assert caught[0].filename == __file__
    assert read_record(path, CyclicLR.of(SCHEDULE, 2)) == Record(SCHEDULE, 2)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.01, amsgrad=True),
        lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    ],
)
def test_no_other_count_is_taken_for_one_of_micro_batches(optimizer, tmp_path):
    path = save(trained(optimizer()), tmp_path / "run.weights.h5")
    assert read_record(path, SCHEDULE) == Record(SCHEDULE, 5)
