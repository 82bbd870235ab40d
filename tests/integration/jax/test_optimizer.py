"""`scheduled_optimizer`: optax's optimizers with a rate and a momentum that cycle."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import clr_jax
from clr_core import CyclicSchedule
from clr_jax import current_lr, current_momentum, cyclic_lr, cyclic_momentum, cyclic_optimizer

MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.95}
SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.01, step_size_up=20, step_size_down=30, **MOMENTA)
WITHOUT = CyclicSchedule(base_lr=0.001, max_lr=0.01, step_size_up=20, step_size_down=30)
CONSTANT = CyclicSchedule(base_lr=0.01, max_lr=0.01)
CONSTANT_BOTH = CyclicSchedule(base_lr=0.01, max_lr=0.01, base_momentum=0.9, max_momentum=0.9)

WITH_MOMENTUM = [optax.sgd, optax.lars, optax.sm3]
WITH_B1 = [
    *(optax.adam, optax.adamw, optax.nadam, optax.nadamw, optax.adamax, optax.adamaxw, optax.lion),
    *(optax.amsgrad, optax.radam, optax.yogi, optax.adabelief, optax.lamb, optax.novograd),
    *(optax.contrib.ademamix, optax.contrib.adopt),
]
WITHOUT_ONE = [optax.rmsprop, optax.adagrad, optax.adadelta, optax.contrib.muon]


def name_of(factory):
    named = factory.func if isinstance(factory, functools.partial) else factory
    return f"{named.__name__}{'-nesterov' if named is not factory else ''}"


X = jax.random.normal(jax.random.key(0), (20, 4, 5))
Y = jax.random.normal(jax.random.key(1), (20, 4))


def train(optimizer, steps=100, dtype=jnp.float32):
    """The weights after each step of a linear regression, and the state after the last."""

    def loss(weights, batch):
        return ((X[batch].astype(dtype) @ weights - Y[batch].astype(dtype)) ** 2).mean()

    def step(carry, number):
        weights, state = carry
        gradient = jax.grad(loss)(weights, number % len(X))
        updates, state = optimizer.update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
        return (weights, state), weights

    weights = jnp.ones(5, dtype)
    (_, state), seen = jax.lax.scan(step, (weights, optimizer.init(weights)), jnp.arange(steps))
    return np.asarray(seen), state


def used(optimizer, steps=300):
    """The hyperparameters that each update used."""
    weights = jnp.ones(5)

    def step(state, gradient):
        _, state = optimizer.update(gradient, state, weights)
        return state, state.hyperparams

    gradients = jax.random.normal(jax.random.key(2), (steps, 5))
    return jax.lax.scan(step, optimizer.init(weights), gradients)[1]


@pytest.mark.parametrize("factory", WITH_MOMENTUM + WITH_B1, ids=name_of)
def test_rate_and_momentum_of_each_update(factory, on_host, same_bits):
    name = "momentum" if factory in WITH_MOMENTUM else "b1"
    seen = used(cyclic_optimizer(factory, SCHEDULE))
    assert set(seen) == {"learning_rate", name}
    same_bits(seen["learning_rate"], on_host(SCHEDULE.lr))
    same_bits(seen[name], on_host(SCHEDULE.momentum))


@pytest.mark.parametrize("factory", [optax.sgd, optax.adam, *WITHOUT_ONE], ids=name_of)
def test_without_momentum_only_the_rate_is_scheduled(factory, on_host, same_bits):
    seen = used(cyclic_optimizer(factory, WITHOUT))
    assert set(seen) == {"learning_rate"}
    same_bits(seen["learning_rate"], on_host(WITHOUT.lr))


@pytest.mark.parametrize(
    ("factory", "moment"), [(optax.sgd, "trace"), (optax.adam, "mu")], ids=["sgd", "adam"]
)
def test_the_momentum_is_what_a_moment_decays_by(factory, moment, on_host, same_bits):
    optimizer = cyclic_optimizer(factory, SCHEDULE)
    weight = jnp.zeros(())

    def step(state, gradient):
        _, state = optimizer.update(gradient, state, weight)
        return state, optax.tree_utils.tree_get(state.inner_state, moment)

    # One gradient and then none: from then on each step multiplies by its momentum.
    gradients = jnp.zeros(100).at[0].set(1.0)
    seen = np.asarray(jax.lax.scan(step, optimizer.init(weight), gradients)[1])
    same_bits(seen[1:], seen[:-1] * on_host(SCHEDULE.momentum)[1:100])


@pytest.mark.parametrize("factory", WITH_MOMENTUM + WITH_B1 + WITHOUT_ONE, ids=name_of)
def test_a_constant_schedule_is_the_factory_itself(factory, same_bits):
    plain, _ = train(factory(0.01))
    ours, _ = train(cyclic_optimizer(factory, CONSTANT))
    same_bits(ours, plain)


@pytest.mark.parametrize(
    ("factory", "static"),
    [
        (optax.sgd, {"momentum": 0.9}),
        (optax.sgd, {"momentum": 0.9, "nesterov": True}),
        (optax.sgd, {"momentum": 0.9, "accumulator_dtype": jnp.bfloat16}),
        (optax.adam, {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4, "nesterov": True}),
        (optax.adamw, {"weight_decay": 0.1, "mask": lambda tree: jax.tree.map(jnp.ndim, tree)}),
        (optax.adamw, {"weight_decay": optax.linear_schedule(0.0, 0.5, 50)}),
        (optax.rmsprop, {"decay": 0.99, "centered": True}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else name_of(value),
)
def test_static_arguments_pass_through(factory, static, same_bits):
    plain, _ = train(factory(0.01, **static))
    ours, state = train(cyclic_optimizer(factory, CONSTANT, **static))
    same_bits(ours, plain)
    assert set(state.hyperparams) == {"learning_rate"}
    assert (plain != train(factory(0.01))[0]).any()


def test_a_constant_momentum_too(same_bits):
    plain, _ = train(optax.sgd(0.01, momentum=0.9))
    same_bits(train(cyclic_optimizer(optax.sgd, CONSTANT_BOTH))[0], plain)
    # `1 - b1` of a Python float is float64; from the state it is float32.
    plain, _ = train(optax.adam(0.01))
    np.testing.assert_allclose(train(cyclic_optimizer(optax.adam, CONSTANT_BOTH))[0], plain, 1e-5)


def test_factories_of_ones_own(on_host, same_bits):
    def mine(learning_rate, momentum, *, clip=1.0):
        return optax.chain(
            optax.clip(clip), optax.sgd(learning_rate, momentum), optax.add_decayed_weights(0.0)
        )

    for factory in (mine, functools.partial(mine, clip=0.5)):
        seen = used(cyclic_optimizer(factory, SCHEDULE))
        same_bits(seen["momentum"], on_host(SCHEDULE.momentum))


def skipping(learning_rate, momentum):
    return optax.apply_if_finite(optax.sgd(learning_rate, momentum), 3)


@pytest.mark.parametrize("factory", [*WITH_MOMENTUM, *WITH_B1, skipping], ids=name_of)
def test_bfloat16_parameters(factory, same_bits):
    # A scan requires that no dtype in the state changes.
    seen, state = train(cyclic_optimizer(factory, SCHEDULE), 50, jnp.bfloat16)
    assert seen.dtype == jnp.bfloat16
    assert np.isfinite(seen.astype(np.float32)).all()
    assert set(state.hyperparams) <= {"learning_rate", "momentum", "b1"}
    same_bits(current_lr(state), np.float32(SCHEDULE.lr(49)))
    same_bits(current_momentum(state), np.float32(SCHEDULE.momentum(49)))


def test_small_and_large_parameters_together():
    # Optax's `cond` in novograd requires one dtype in both of its branches, eagerly too.
    weights = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2), "c": jnp.ones((), jnp.float16)}
    optimizer = cyclic_optimizer(optax.novograd, SCHEDULE)
    state = optimizer.init(weights)
    for _ in range(3):
        updates, state = optimizer.update(weights, state, weights)
    for tree in (updates, state.inner_state[0].mu):
        assert {name: leaf.dtype for name, leaf in tree.items()} == {
            name: leaf.dtype for name, leaf in weights.items()
        }
    exact = cyclic_optimizer(optax.novograd, SCHEDULE)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), weights)
    state = exact.init(wide)
    for _ in range(3):
        expected, state = exact.update(wide, state, wide)
    for ours, theirs in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(ours, np.float32), theirs, rtol=2**-6)


def test_moments_keep_the_dtype_that_the_factory_gives_them():
    for static, dtype in ({}, jnp.bfloat16), ({"mu_dtype": jnp.float32}, jnp.float32):
        _, state = train(cyclic_optimizer(optax.adam, SCHEDULE, **static), 3, jnp.bfloat16)
        assert state.inner_state[0].mu.dtype == dtype
        assert state.inner_state[0].nu.dtype == jnp.bfloat16


def test_optax_by_itself_rounds_b2_to_1():
    # If this fails, optax has fixed it.
    theirs = optax.inject_hyperparams(optax.adam)(
        learning_rate=cyclic_lr(SCHEDULE), b1=cyclic_momentum(SCHEDULE)
    )
    weights = jnp.ones(5, jnp.bfloat16)
    state = theirs.init(weights)
    assert float(state.hyperparams["b2"]) == 1.0
    for _ in range(3):
        updates, state = theirs.update(2 * weights, state, weights)
        weights = optax.apply_updates(weights, updates)
    assert np.isnan(np.asarray(weights, np.float32)).any()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("factory", [optax.sgd, optax.adam], ids=name_of)
def test_parameters_keep_their_dtype_if_x64_is_enabled(factory, dtype, same_bits):
    with jax.enable_x64(True):
        seen, state = train(cyclic_optimizer(factory, SCHEDULE), 30, dtype)
        assert seen.dtype == dtype
        same_bits(current_lr(state), np.float32(SCHEDULE.lr(29)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("factory", [optax.sgd, optax.adamw], ids=name_of)
def test_one_compilation(factory, dtype):
    optimizer = cyclic_optimizer(factory, SCHEDULE)
    traces = []

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(weights, state):
        traces.append(1)
        updates, state = optimizer.update(2 * weights, state, weights)
        return optax.apply_updates(weights, updates), state

    weights = jnp.ones(5, dtype)
    state = optimizer.init(weights)
    for _ in range(5):
        weights, state = step(weights, state)
    assert len(traces) == 1
    assert float(current_lr(state)) == np.float32(SCHEDULE.lr(4))


def test_arguments_of_an_update_pass_through():
    def factory(learning_rate):
        def update(updates, state, params=None, *, scale, **_):
            return jax.tree.map(lambda each: -learning_rate * scale * each, updates), state

        return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)

    optimizer = cyclic_optimizer(factory, CONSTANT)
    updates, _ = optimizer.update(jnp.ones(()), optimizer.init(jnp.ones(())), scale=2.0)
    assert float(updates) == np.float32(-0.02)


def test_specs_for_its_state():
    # Such specs are used for sharding.
    optimizer = cyclic_optimizer(optax.adam, SCHEDULE)
    weights = {"a": jnp.ones(5)}
    specs = optax.tree_utils.tree_map_params(
        optimizer, lambda _: "weight", optimizer.init(weights), transform_non_params=lambda _: None
    )
    assert specs.inner_state[0].mu == {"a": "weight"}
    assert specs.hyperparams == {"learning_rate": None, "b1": None}


SHORT = CyclicSchedule(base_lr=0.001, max_lr=0.03, step_size_up=20, step_size_down=30, **MOMENTA)


def rmsprop(learning_rate, momentum, decay=0.99, eps=1e-8):
    return optax.chain(
        optax.scale_by_rms(decay, eps, eps_in_sqrt=False),
        optax.trace(momentum),
        optax.scale_by_learning_rate(learning_rate),
    )


def as_torch_computes_it(schedule, steps=100):
    """`torch.optim.RMSprop(momentum=…)` in float64: the buffer doesn't contain the rate."""
    weights, square, buffer = np.ones(5), np.zeros(5), np.zeros(5)
    x, y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    for step in range(steps):
        batch = step % len(x)
        gradient = 2 * x[batch].T @ (x[batch] @ weights - y[batch]) / 4
        square = 0.99 * square + 0.01 * gradient**2
        buffer = schedule.momentum(step) * buffer + gradient / (np.sqrt(square) + 1e-8)
        weights = weights - schedule.lr(step) * buffer
    return weights


def test_the_recipe_for_rmsprop_is_torchs():
    seen, _ = train(cyclic_optimizer(rmsprop, SHORT))
    np.testing.assert_allclose(seen[-1], as_torch_computes_it(SHORT), atol=1e-5)


def test_optax_rmsprop_is_another_algorithm():
    # If this fails, optax has taken the rate out of the buffer, and the refusal can go.
    theirs = optax.inject_hyperparams(optax.rmsprop, static_args=("decay", "eps"))(
        learning_rate=cyclic_lr(SHORT),
        momentum=cyclic_momentum(SHORT),
        decay=0.99,
        eps=1e-8,
        eps_in_sqrt=False,
    )
    assert np.abs(train(theirs)[0][-1] - as_torch_computes_it(SHORT)).max() > 0.1


@pytest.mark.parametrize(
    ("factory", "schedule", "static"),
    [
        (optax.rmsprop, SCHEDULE, {}),
        (optax.rmsprop, WITHOUT, {"momentum": 0.9}),
        (functools.partial(optax.rmsprop, momentum=0.9), WITHOUT, {}),
        (functools.partial(optax.rmsprop, decay=0.99), SCHEDULE, {}),
    ],
)
def test_rmsprop_with_a_momentum_is_refused(factory, schedule, static):
    with pytest.raises(ValueError, match="optax") as error:
        cyclic_optimizer(factory, schedule, **static)
    message = str(error.value)
    assert message.startswith(
        "`factory` must not be optax.rmsprop with a momentum: it accumulates updates that are "
        "already scaled by the rate, so that old rates stay in effect. "
        "Received: factory=<function rmsprop at "
    )
    assert message.endswith(
        "Write a function that chains optax.scale_by_rms, optax.trace and "
        "optax.scale_by_learning_rate, as in the docstring of `scheduled_optimizer`."
    )


@pytest.mark.parametrize(
    ("factory", "schedule", "name"),
    [
        (optax.sgd, WITHOUT, "learning_rate"),
        (optax.sgd, SCHEDULE, "momentum"),
        (optax.adam, SCHEDULE, "b1"),
    ],
)
def test_what_the_schedule_sets_must_be_left_out(factory, schedule, name):
    with pytest.raises(ValueError, match="must be left out") as error:
        cyclic_optimizer(factory, schedule, **{name: 0.1})
    assert str(error.value) == (
        f"`{name}` must be left out, since `schedule` sets it. Received: {name}=0.1"
    )


def test_what_others_refuse():
    with pytest.raises(TypeError, match=r"`schedule` must be a schedule .*Received: schedule=0\.1"):
        cyclic_optimizer(optax.sgd, 0.1)
    with pytest.raises(TypeError, match=r"sgd\(\) got an unexpected keyword argument 'nestorov'"):
        cyclic_optimizer(optax.sgd, WITHOUT, nestorov=True)


@pytest.mark.parametrize(
    "factory",
    [
        0.1,
        optax.adam(0.1),
        optax.scale_by_adam,
        functools.partial(optax.sgd, 0.1),
        lambda learning_rate: None,
        lambda learning_rate: optax.MultiSteps(optax.sgd(learning_rate), 2),
        dict,
    ],
)
def test_what_makes_no_optimizer_is_refused(factory):
    with pytest.raises(TypeError) as error:
        cyclic_optimizer(factory, WITHOUT)
    assert str(error.value).startswith(
        "`factory` must be a function that makes an optimizer from a `learning_rate`, such as "
        "optax.sgd. Received: factory="
    )


def both(learning_rate, momentum=0.9, b1=0.9):
    return optax.sgd(learning_rate)


@pytest.mark.parametrize("factory", [*WITHOUT_ONE[1:], both], ids=name_of)
def test_no_momentum_to_schedule(factory):
    with pytest.raises(ValueError, match="momentum") as error:
        cyclic_optimizer(factory, SCHEDULE)
    message = str(error.value)
    assert message.startswith(
        "`factory` must have either `momentum` or `b1` for its momentum to be cycled. "
        f"Received: factory=<function {name_of(factory)} at "
    )
    assert message.endswith(
        "Wrap it in a function that takes one of these, or leave the momentum out of the schedule."
    )


def test_the_package_has_every_name():
    for name in clr_jax.__all__:
        assert name in dir(clr_jax)
        assert callable(getattr(clr_jax, name))
    with pytest.raises(AttributeError, match="module 'clr_jax' has no attribute 'cyclic'"):
        clr_jax.cyclic  # noqa: B018
    assert sys.modules["clr_jax.optimizer"] is clr_jax.optimizer
