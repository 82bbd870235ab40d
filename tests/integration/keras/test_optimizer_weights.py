"""The weights after two cycles and a half, beside the definitions in NumPy and float64."""

import keras
import numpy as np
import pytest

import clr_keras
from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from integration.keras.cycled import (
    BACKEND,
    CLOSE,
    GRADIENTS,
    LOOPS,
    NAMES,
    SCHEDULE,
    START,
    UPDATES,
    VARIANTS,
    expected,
    fit,
    model,
    momenta,
    optimizer,
    rates,
    weights,
)

# Keras's conditions compile again in each step of JAX's eager loops: 0.4 s a batch.
FEWER = [name for name in LOOPS if name == "jit" or (BACKEND != "jax" and name == "eager")]
with_fewer_loops = pytest.mark.parametrize("loop", [LOOPS[name] for name in FEWER], ids=FEWER)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_weights_are_those_of_the_definition(variant, loop):
    trained = model(optimizer(variant), **loop)
    np.testing.assert_allclose(fit(trained), expected(variant), **CLOSE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_constant_momentum_or_the_one_of_another_step_would_be_seen(variant):
    constant = np.full(UPDATES, SCHEDULE.max_momentum)
    shifted = momenta(updates=UPDATES + 1)[1:]
    for other in (constant, shifted):
        apart = abs(expected(variant, momenta_=other) - expected(variant)).max()
        assert apart > 4e-3


NESTEROV = pytest.mark.parametrize("nesterov", [False, True])


@NESTEROV
def test_the_two_forms_of_the_velocity_are_the_same_at_a_constant_rate(nesterov):
    constant = CyclicSchedule.from_dict(SCHEDULE.to_dict() | {"base_lr": 0.006})
    keras_form, torch_form = (
        fit(model(optimizer("SGD", constant, torch_velocity=each, nesterov=nesterov)))
        for each in (False, True)
    )
    np.testing.assert_allclose(keras_form, torch_form, **CLOSE)
    assert abs(expected("SGD") - expected("SGD-torch")).max() > 0.01


@NESTEROV
def test_torchs_form_with_a_constant_momentum(nesterov):
    made = clr_keras.SGD(rate_only(SCHEDULE), momentum=0.5, torch_velocity=True, nesterov=nesterov)
    variant = "SGD-torch-nesterov" if nesterov else "SGD-torch"
    wanted = expected(variant, momenta_=np.full(UPDATES, 0.5))
    np.testing.assert_allclose(fit(model(made)), wanted, **CLOSE)


@pytest.mark.skipif(BACKEND != "torch", reason="torch.optim.SGD itself, on that backend")
@NESTEROV
def test_torchs_form_gives_the_weights_of_torch(nesterov):
    import torch

    weight = torch.tensor(START, requires_grad=True)
    theirs = torch.optim.SGD([weight], lr=1.0, momentum=0.5, nesterov=nesterov)
    for gradient, rate, momentum in zip(GRADIENTS, rates(), momenta(), strict=True):
        theirs.param_groups[0].update(lr=float(rate), momentum=float(momentum))
        weight.grad = torch.tensor(gradient)
        theirs.step()
    ours = fit(model(optimizer("SGD", torch_velocity=True, nesterov=nesterov)))
    np.testing.assert_allclose(ours, weight.detach().numpy(), **CLOSE)


@with_fewer_loops
@pytest.mark.parametrize("variant", ["SGD", "Adam", "Nadam", "RMSprop"])
def test_gradient_accumulation_is_an_update_with_their_mean(variant, loop):
    parts = np.random.default_rng(2).normal(size=(UPDATES, 4, GRADIENTS.shape[1]))
    parts = np.float32(parts)
    trained = model(optimizer(variant, gradient_accumulation_steps=4), **loop)
    given = fit(trained, parts.reshape(4 * UPDATES, -1))
    means = np.float64(parts).mean(axis=1)
    np.testing.assert_allclose(given, expected(variant, means), **CLOSE)


@with_fewer_loops
@pytest.mark.parametrize("variant", ["SGD", "Adam"])
def test_a_batch_that_loss_scaling_skips_is_no_step(variant, loop):
    trained = model(keras.optimizers.LossScaleOptimizer(optimizer(variant)), **loop)
    fit(trained, GRADIENTS[:4])
    before = weights(trained)
    skipped = fit(trained, np.full_like(GRADIENTS[:1], np.inf))
    np.testing.assert_array_equal(skipped, before)
    np.testing.assert_allclose(fit(trained, GRADIENTS[4:]), expected(variant), **CLOSE)


def moved_by(gradient, variant, dtype="float32"):
    """A weight of ones after updates that all have the same gradient."""
    weight, made = keras.Variable(np.ones(gradient.shape), dtype=dtype), optimizer(variant)
    for _ in range(UPDATES):
        made.apply([gradient], [weight])
    return keras.ops.convert_to_numpy(weight)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sparse gradients are TensorFlow's")
@pytest.mark.parametrize("variant", ["SGD", "SGD-nesterov", "SGD-torch", "RMSprop", "Adam"])
def test_sparse_gradients_are_as_dense_ones(variant):
    import tensorflow as tf

    rows, values = [2, 0], tf.constant([[0.5], [-1.0]])
    sparse = tf.IndexedSlices(values, tf.constant(rows), tf.constant([3, 1]))
    moved = [moved_by(each, variant) for each in (sparse, tf.convert_to_tensor(sparse))]
    np.testing.assert_allclose(*moved, **CLOSE)
    assert abs(moved[0][[0, 2]] - 1).min() > 0.005


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_of_other_types(variant, dtype):
    """Rates and momenta are float32 numbers there, too."""
    if dtype == "float64" and BACKEND == "jax":
        pytest.skip("float64 is off in JAX")
    given = moved_by(keras.ops.ones(2, dtype=dtype), variant, dtype)
    assert given.dtype == dtype
    by_float32 = moved_by(keras.ops.ones(2), variant)
    # float16 rounds the weight, its velocity and Adam's corrections to 11 bits each.
    atol = 1e-6 if dtype == "float64" else 5e-3
    np.testing.assert_allclose(given, by_float32, rtol=0, atol=atol)


def test_the_optimizers_are_keras_own_ones_and_as_fast():
    for name in NAMES:
        # On torch, Keras puts a subclass in the place of its class: a step over whole lists.
        assert issubclass(getattr(clr_keras, name), type(getattr(keras.optimizers, name)(0.1)))
