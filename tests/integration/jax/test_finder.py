"""The range test on jitted steps: one compilation, and what was given stays as it was."""

import pickle
import random
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import clr_jax
import range_problem as problem

pytestmark = pytest.mark.usefixtures("ctrl_c")

FEW = {"num_steps": 12, "start_lr": 1e-4, "end_lr": 0.1, "trials": False}
WITH_TRIALS = {**FEW, "trials": True}


def forward(params, x):
    return jnp.tanh(x @ params[0] + params[1]) @ params[2] + params[3]


def loss_fn(params, batch):
    x, y = batch
    return jnp.mean((forward(params, x) - y) ** 2)


def sgd(params, opt_state, batch, lr):
    loss, gradients = jax.value_and_grad(loss_fn)(params, batch)
    return jax.tree.map(lambda w, g: w - lr * g, params, gradients), opt_state, loss


def weights():
    return [jnp.array(each) for each in problem.WEIGHTS]


def bits(*trees):
    return [(id(leaf), leaf.dtype, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(trees)]


def randomness():
    return random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 - its global state


def scored(params, opt_state, batch, lr):
    score = -jnp.mean(jnp.abs(forward(params, batch[0]) - batch[1]))
    return *sgd(params, opt_state, batch, lr), score


def test_the_losses_and_scores_are_those_of_float64():
    result = clr_jax.range_test(scored, weights(), None, problem.batches(), **problem.OPTIONS)
    np.testing.assert_allclose(result.lrs, problem.rates(), rtol=1e-12)
    np.testing.assert_allclose(result.losses, problem.losses(), **problem.CLOSE)
    np.testing.assert_allclose(result.scores, problem.scores(), **problem.CLOSE)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_is_compiled_once(dtype):
    traces = []

    def step_fn(*arguments):
        traces.append(1)
        return sgd(*arguments)

    params = jax.tree.map(lambda leaf: leaf.astype(dtype), weights())
    batches = [(x.astype(dtype), y.astype(dtype)) for x, y in problem.batches()]
    result = clr_jax.range_test(step_fn, params, None, batches, repeats=2, **FEW)
    assert len(result.lrs) > 0
    assert len(traces) == 1


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("fail", [None, RuntimeError, KeyboardInterrupt])
def test_what_was_given_is_as_it_was(donate, fail):
    """With momentum in flight, batch statistics and a random key; and a step that donates."""
    optimizer = optax.sgd(1.0, momentum=0.9)

    def step(params, opt_state, batch, lr):
        momenta, mean, key = opt_state
        key, now = jax.random.split(key)
        x, y = batch
        kept = jax.random.bernoulli(now, 0.8, x.shape)
        loss, gradients = jax.value_and_grad(loss_fn)(params, (jnp.where(kept, x, 0), y))
        updates, momenta = optimizer.update(gradients, momenta, params)
        params = optax.apply_updates(params, jax.tree.map(lambda each: lr * each, updates))
        return params, (momenta, 0.9 * mean + 0.1 * x.mean(0), key), loss

    jitted = jax.jit(step, donate_argnums=(0, 1) if donate else ())
    params = weights()
    opt_state = optimizer.init(params), jnp.zeros(problem.INPUTS), jax.random.PRNGKey(3)
    for batch in problem.batches()[:3]:
        params, opt_state, _ = jitted(params, opt_state, batch, 0.01)
    calls = []

    def failing(*arguments):
        calls.append(1)
        random.random(), np.random.random()  # noqa: NPY002 - its global state
        if len(calls) == 20 and fail is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        if len(calls) == 20 and fail is not None:
            raise fail("planted")
        return jitted(*arguments)

    before, drawn = bits(params, opt_state), randomness()
    arguments = failing, params, opt_state, problem.batches()
    if fail is None:
        clr_jax.range_test(*arguments, jit=False, **WITH_TRIALS)
    else:
        with pytest.raises(fail):
            clr_jax.range_test(*arguments, jit=False, **WITH_TRIALS)
    assert bits(params, opt_state) == before
    assert randomness() == drawn
    jitted(params, opt_state, problem.batches()[0], 0.01)  # They are there to go on with.


def test_a_step_that_is_jitted_is_taken_as_it_is():
    jitted = jax.jit(sgd, donate_argnums=0)
    result = clr_jax.range_test(jitted, weights(), None, problem.batches(), **FEW)
    assert len(result.losses) == 12
    assert jitted._cache_size() == 1


def test_a_step_that_cannot_be_jitted():
    def step_fn(params, opt_state, batch, lr):
        loss = float(np.mean((batch @ params - 1) ** 2))
        return params - lr * batch.T @ (batch @ params - 1), opt_state, loss

    batches = np.random.default_rng(0).normal(size=(12, 16, 4))
    result = clr_jax.range_test(step_fn, np.zeros(4), None, batches, jit=False, **FEW)
    assert result.losses[0] == 1.0


def test_repeats_start_from_the_same_parameters_with_other_batches():
    starts = []

    def step_fn(params, opt_state, batch, lr):
        starts.append((float(lr), np.asarray(params[0]).tobytes(), batch[0].tobytes()))
        return sgd(params, opt_state, batch, lr)

    clr_jax.range_test(step_fn, weights(), None, problem.batches(), jit=False, repeats=3, **FEW)
    first = [starts[12 * k] for k in range(3)]
    assert len(starts) == 36
    assert len({each[:2] for each in first}) == 1
    assert len({each[2] for each in first}) == 3


def test_trials_start_from_the_same_parameters_with_the_same_batches():
    given = []

    def step_fn(params, opt_state, batch, lr):
        given.append((np.asarray(params[0]).tobytes(), batch[0].tobytes()))
        return sgd(params, opt_state, batch, lr)

    batches = problem.batches()
    clr_jax.range_test(step_fn, weights(), None, batches, jit=False, **WITH_TRIALS)
    trials = [given[i : i + 12] for i in range(0, len(given), 12)]
    assert len(trials) >= 4
    assert {trial[0] for trial in trials} == {given[0]}
    assert len({tuple(batch for _, batch in trial) for trial in trials}) == 1


def refused(error, match, change=None, **options):
    return pytest.param(error, match, change or {}, options, id=match)


REFUSED = [
    refused(TypeError, "`step_fn` must be callable. Received: step_fn=3", {"step_fn": 3}),
    refused(ValueError, "`params` must have arrays to train. Received: params={}", {"params": {}}),
    refused(TypeError, "`batches` must start over with each `iter()`", {"batches": iter([1])}),
    refused(
        TypeError,
        "`step_fn` must return params, opt_state, the loss and, if you like, a score. Received: a ",
        {"step_fn": lambda params, opt_state, batch, lr: (params, opt_state)},
    ),
    refused(
        TypeError,
        "`loss` must be a single number",
        {"step_fn": lambda params, opt_state, batch, lr: (params, opt_state, batch[0])},
    ),
    refused(ValueError, "`repeats` must be at least 1", repeats=0),
    refused(TypeError, "`jit` must be True or False. Received: jit='yes'", jit="yes"),
]


@pytest.mark.parametrize(("error", "match", "change", "options"), REFUSED)
def test_what_is_refused(error, match, change, options):
    arguments = {
        "step_fn": sgd,
        "params": weights(),
        "opt_state": None,
        "batches": problem.batches(),
    } | change
    with pytest.raises(error) as caught:
        clr_jax.range_test(*arguments.values(), **options)
    assert match in str(caught.value)
