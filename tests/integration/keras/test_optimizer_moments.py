"""A run resumes with its momentum, within Keras and by the definitions of torch."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_core.moments import Moments
from clr_core.record import Record
from clr_keras import CyclicLR, from_moments, from_record, to_moments, to_record
from integration.keras.cycled import (
    BACKEND,
    CLOSE,
    GRADIENTS,
    SCHEDULE,
    VARIANTS,
    defined,
    expected,
    fit,
    model,
    optimizer,
    weights,
)
from integration.keras.test_record import ADAM, ALONE, both, multi

HALF = 7
VARIED = ["SGD", "SGD-nesterov", "SGD-torch", "SGD-torch-nesterov", "Adam", "AdamW"]
KINDS = {"SGD": "sgd-keras", "SGD-nesterov": "sgd-keras", "Adam": "adam", "AdamW": "adam"}


def resume(record, variant, moments, start):
    name, own = VARIANTS[variant]
    trained = model(from_record(record, getattr(clr_keras, name), **own))
    trained.set_weights([start[:, None]])
    from_moments(moments, trained.optimizer)
    return trained


@pytest.mark.parametrize("variant", VARIED)
def test_a_run_that_resumes_elsewhere_has_the_same_bits(variant, tmp_path):
    uninterrupted = fit(model(optimizer(variant)))
    trained = model(optimizer(variant))
    fit(trained, GRADIENTS[:HALF])
    to_moments(trained.optimizer).write(tmp_path / "moments.npz")
    to_record(trained).write(tmp_path / "run.json")
    moments, record = Moments.read(tmp_path / "moments.npz"), Record.read(tmp_path / "run.json")
    assert (moments.kind, moments.count) == (KINDS.get(variant, "sgd"), HALF)
    resumed = resume(record, variant, moments, weights(trained))
    np.testing.assert_array_equal(fit(resumed, GRADIENTS[HALF:]), uninterrupted)


SLOTS = {"adam": {"first": "m", "second": "v"}}


@pytest.mark.parametrize("variant", ["SGD", "SGD-torch", "Adam"])
def test_in_and_out_by_the_definition(variant):
    start, state = defined(variant, GRADIENTS[:HALF])
    kind = KINDS.get(variant, "sgd")
    slots = SLOTS.get(kind, {"velocity": "v"})
    moments = Moments(kind, HALF, {name: [state[each][:, None]] for name, each in slots.items()})
    trained = model(optimizer(variant))
    fit(trained, GRADIENTS[:HALF])
    for slot, (array,) in to_moments(trained.optimizer).slots.items():
        # A rounding of float32 in each update, of numbers below 4.
        np.testing.assert_allclose(array, moments.slots[slot][0], rtol=0, atol=HALF * 2.0**-22)
    resumed = resume(Record(SCHEDULE, HALF), variant, moments, start)
    given = fit(resumed, GRADIENTS[HALF:])
    np.testing.assert_allclose(given, expected(variant), **CLOSE)
    without = model(
        from_record(Record(SCHEDULE, HALF), type(trained.optimizer), **VARIANTS[variant][1])
    )
    without.set_weights([start[:, None]])
    assert abs(fit(without, GRADIENTS[HALF:]) - expected(variant)).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_in_the_precision_of_the_weights(dtype):
    if BACKEND == "jax" and dtype == "float64":
        pytest.skip("JAX has no float64 of itself")
    variable = keras.Variable([1.0, 2.0], dtype=dtype)
    old, new = (keras.optimizers.SGD(0.5, momentum=0.5) for _ in range(2))
    old.build([variable])
    old.momentums[0].assign([0.25, -3.0])
    new.build([variable])
    from_moments(to_moments(old), new)
    assert to_moments(new).slots["velocity"][0].tolist() == [0.25, -3.0]
    assert str(to_moments(new).slots["velocity"][0].dtype) == dtype.replace("bfloat16", "float32")


def test_of_the_optimizer_in_one_that_scales_the_loss():
    inner = optimizer("Adam")
    outer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1.0)
    trained = model(outer)
    fit(trained, GRADIENTS[:2])
    moments = to_moments(outer)
    assert moments.count == 2
    np.testing.assert_array_equal(moments.slots["first"], to_moments(inner).slots["first"])
    from_moments(moments, outer)


def built(made, shape=(2,)):
    made.build([keras.Variable(np.ones(shape, "float32"))])
    return made


ONES = np.ones(2)


def sgd(count=0, kind="sgd", arrays=(ONES,)):
    return Moments(kind, count, {"velocity": list(arrays)})


def adam(count=0, arrays=(ONES,)):
    return Moments("adam", count, {"first": list(arrays), "second": list(arrays)})


def keras_sgd(**options):
    return keras.optimizers.SGD(0.1, **{"momentum": 0.9} | options)


class Derived(keras.optimizers.Adam):
    pass


REFUSED = {
    "no moments": (3, lambda: built(keras_sgd()), TypeError, "must be a clr_core.Moments."),
    "RMSprop": (
        sgd(),
        lambda: built(optimizer("RMSprop")),
        TypeError,
        r"SGD, Adam or AdamW, of Keras or of clr_keras. Received: clr_keras.optimizer.RMSprop",
    ),
    "derived": (adam(), lambda: built(Derived(0.1)), TypeError, r"Received: .*\.Derived"),
    "not built": (
        sgd(),
        keras_sgd,
        ValueError,
        r"must be built. .*Call optimizer.build\(model.trainable_variables\)",
    ),
    "amsgrad": (adam(), lambda: built(ADAM(amsgrad=True)), ValueError, "`amsgrad` must be off"),
    "average": (sgd(), lambda: built(keras_sgd(use_ema=True)), ValueError, "`use_ema` must be off"),
    "no momentum": (
        sgd(),
        lambda: built(keras_sgd(momentum=0.0)),
        ValueError,
        "must have a momentum, since plain SGD keeps no state. Received: momentum=0.0",
    ),
    "torch's for Keras's": (
        sgd(),
        lambda: built(keras_sgd()),
        ValueError,
        "of the kind 'sgd-keras' for this SGD. Received: kind='sgd'. Keras's own velocity contains",
    ),
    "another count": (
        adam(count=3),
        lambda: built(ADAM(CyclicLR(ALONE))),
        ValueError,
        "equal to the optimizer's `iterations`, by which Keras corrects Adam's bias. Received: "
        "count=3 and 0. Make the optimizer with clr_keras.from_record from a record",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    moments, make, error, message = REFUSED[name]
    made = make()
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in made.variables]
    with pytest.raises(error, match=message):
        from_moments(moments, made)
    for each, was in zip(made.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(each), was)
    if name not in ("no moments", "torch's for Keras's", "another count"):
        with pytest.raises(error, match=message):
            to_moments(made)


def test_the_velocity_of_sgd_has_no_bias_to_correct():
    made = built(keras_sgd())
    from_moments(sgd(count=9, kind="sgd-keras"), made)
    assert to_moments(made).slots["velocity"][0].tolist() == [1.0, 1.0]


@multi
def test_each_of_several_optimizers_by_itself():
    with pytest.raises(TypeError, match=r"MultiOptimizer. Pass each of its `optimizers` by itself"):
        to_moments(both(keras_sgd(), ADAM()))
