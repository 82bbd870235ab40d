"""A run resumes with its optimizer's memory of past gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_core.moments import Moments
from clr_core.record import Record
from clr_jax import (
    cyclic_lr,
    cyclic_optimizer,
    from_moments,
    from_record,
    schedule_counts,
    set_step,
    to_moments,
    to_record,
)
from integration.jax.comparing import same

SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=3,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.9,
)
STEPS, HALF = 24, 11
WEIGHTS = {"a": np.ones((3, 2), np.float32), "b": np.ones(2, np.float32)}

FACTORIES = {
    "sgd": (optax.sgd, {}),
    "Nesterov": (optax.sgd, {"nesterov": True}),
    "adam": (optax.adam, {}),
    "adamw": (optax.adamw, {"b2": 0.95, "weight_decay": 0.1}),
    "adam of a small mean": (optax.adam, {"mu_dtype": jnp.bfloat16}),
    "radam": (optax.radam, {}),
}


@functools.cache
def network(dtype=np.float32):
    """A network of the size that classifies scikit-learn's digits: 64 pixels, ten classes."""
    random = np.random.default_rng(1)
    shapes = {"hidden": {"kernel": (64, 32), "bias": (32,)}, "last": {"kernel": (32, 10)}}
    return jax.tree.map(
        lambda shape: jnp.asarray(random.normal(size=shape) / 8, dtype),
        shapes,
        is_leaf=lambda each: isinstance(each, tuple),
    )


@functools.partial(jax.jit, static_argnums=0)
def update(optimizer, weights, state, images, labels):
    images = images.astype(weights["last"]["kernel"].dtype)

    def loss(weights):
        hidden = jnp.tanh(images @ weights["hidden"]["kernel"] + weights["hidden"]["bias"])
        logits = hidden @ weights["last"]["kernel"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
    return optax.apply_updates(weights, updates), state


def train(optimizer, weights, state, steps):
    for step in steps:
        random = np.random.default_rng(step)  # To compile JAX's takes as long as all the rest.
        images = random.random((8, 64), np.float32)
        labels = random.integers(10, size=8, dtype=np.int32)
        weights, state = update(optimizer, weights, state, images, labels)
    return weights, state


def saved(tmp_path, state):
    """The record and the moments, read back from files."""
    to_record(SCHEDULE, state).write(tmp_path / "run.json")
    to_moments(state).write(tmp_path / "moments.npz")
    return Record.read(tmp_path / "run.json"), Moments.read(tmp_path / "moments.npz")


@functools.cache
def started(name, dtype):
    # One optimizer for all tests of a name, so that it is compiled once.
    factory, options = FACTORIES[name]
    return from_record(Record(SCHEDULE), factory, network(dtype), **options)


def assert_resumes(tmp_path, name, at, dtype=np.float32):
    factory, options = FACTORIES[name]
    weights = network(dtype)
    optimizer, state = started(name, dtype)
    half, state = train(optimizer, weights, state, range(at))
    record, moments = saved(tmp_path, state)
    straight, straight_state = train(optimizer, half, state, range(at, STEPS))

    again, fresh = from_record(record, factory, half, **options)
    resumed = train(again, half, from_moments(moments, fresh), range(at, STEPS))
    same(resumed, (straight, straight_state))
    # Without the moments, the weights differ.
    if at:
        without, _ = train(again, half, fresh, range(at, STEPS))
        assert np.any(np.asarray(without["last"]["kernel"] != straight["last"]["kernel"]))


@pytest.mark.parametrize(
    ("name", "at"), [("sgd", 0), ("sgd", 1), ("adamw", 1), *((name, HALF) for name in FACTORIES)]
)
def test_resumes_bit_for_bit(tmp_path, name, at):
    assert_resumes(tmp_path, name, at)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["Nesterov", "adamw"])
def test_resumes_in_each_float(tmp_path, name, dtype):
    assert_resumes(tmp_path, name, HALF, dtype)


WRAPPED = {
    "a rate": lambda: optax.adam(cyclic_lr(rate_only(SCHEDULE))),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), cyclic_optimizer(optax.sgd, SCHEDULE)
    ),
    "named": lambda: optax.named_chain(
        ("clip", optax.clip(1.0)), ("descent", cyclic_optimizer(optax.adam, SCHEDULE))
    ),
    "MultiSteps": lambda: optax.MultiSteps(cyclic_optimizer(optax.adam, SCHEDULE), 2),
    "masked": lambda: optax.masked(
        cyclic_optimizer(optax.adam, SCHEDULE), {"hidden": True, "last": False}
    ),
    "partition": lambda: optax.partition(
        {"a": cyclic_optimizer(optax.sgd, SCHEDULE), "b": optax.set_to_zero()},
        {"hidden": "b", "last": "a"},
    ),
    "if finite": lambda: optax.apply_if_finite(cyclic_optimizer(optax.sgd, SCHEDULE), 3),
    "conditionally": lambda: optax.conditionally_transform(
        cyclic_optimizer(optax.sgd, SCHEDULE), lambda step: step >= 0
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_moments_are_found_wherever_they_are(tmp_path, name):
    optimizer, weights = WRAPPED[name](), network()
    fresh = optimizer.init(weights)
    # An even number of micro-batches, so that the update is complete.
    half, state = train(optimizer, weights, fresh, range(12))
    record, moments = saved(tmp_path, state)
    assert record.step == (6 if name == "MultiSteps" else 12)
    again = from_moments(moments, set_step(optimizer.init(weights), record.step))
    straight, _ = train(optimizer, half, state, range(12, STEPS))
    compiled = update._cache_size()
    resumed, _ = train(optimizer, half, again, range(12, STEPS))
    same(resumed, straight)
    assert update._cache_size() == compiled


def test_the_counts_of_schedules_stay():
    optimizer = cyclic_optimizer(optax.adam, SCHEDULE)
    weights = network()
    _, state = train(optimizer, weights, optimizer.init(weights), range(3))
    fresh = set_step(optimizer.init(weights), 50)
    moved = from_moments(to_moments(state), fresh)
    assert {int(count) for count in schedule_counts(moved).values()} == {50}
    assert moved.inner_state[0].count == 3
    # The given state is unchanged.
    same(fresh, set_step(optimizer.init(weights), 50))


def test_the_order_is_that_of_the_leaves():
    gradients = {"b": jnp.full(2, 3.0), "a": {"z": jnp.full(4, 1.0), "y": jnp.full((1, 5), 2.0)}}
    optimizer = optax.sgd(0.1, momentum=0.5)
    state = optimizer.init(gradients)
    for _ in range(2):
        _, state = optimizer.update(gradients, state)
    velocity = to_moments(state, count=2).slots["velocity"]
    # Each is 0.5 * g + g.
    assert [array.tolist() for array in velocity] == [[[3.0] * 5], [1.5] * 4, [4.5] * 2]


def test_the_arrays_are_copies():
    optimizer = optax.sgd(0.1, momentum=0.5)
    moments = to_moments(optimizer.init(WEIGHTS), count=0)
    state = from_moments(moments, optimizer.init(WEIGHTS))
    moments.slots["velocity"][0][:] = 7.0
    assert not np.any(state[0].trace["a"])


def test_the_count_of_sgd():
    constant = optax.sgd(0.1, momentum=0.9).init(WEIGHTS)
    with pytest.raises(
        ValueError, match=r"`count` must be given, since SGD .*\(opt_state, count=record\.step"
    ):
        to_moments(constant)
    assert to_moments(constant, count=4).count == 4
    cycled = set_step(cyclic_optimizer(optax.sgd, SCHEDULE).init(WEIGHTS), 9)
    assert to_moments(cycled).count == 9
    adam = optax.adam(0.1).init(WEIGHTS)
    with pytest.raises(ValueError, match=r"must be Adam's, 0\. Received: count=4"):
        to_moments(adam, count=4)
    with pytest.raises(TypeError, match=r"`count` must be an integer\. Received: count=1\.5"):
        to_moments(constant, count=1.5)


def rate_first(momentum=0.9):
    return optax.chain(
        optax.scale_by_learning_rate(cyclic_lr(rate_only(SCHEDULE))), optax.trace(momentum)
    )


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            optax.sgd(0.1),
            r"must have the moments of Adam, or of optax\.sgd with .*a tuple without them",
        ),
        (optax.amsgrad(0.1), r"a ScaleByAmsgradState at opt_state\[0\], which can't be carried"),
        (optax.rmsprop(0.1, momentum=0.9), r"a ScaleByRmsState at opt_state\[0\]"),
        (optax.lion(0.1), r"a ScaleByLionState at opt_state\[0\]"),
        (optax.chain(optax.ema(0.9), optax.adam(0.1)), r"a EmaState at opt_state\[0\]"),
        (optax.contrib.prodigy(0.1), r"a ProdigyState at opt_state, which"),
        (
            optax.GradientTransformation(lambda params: params["b"], lambda *args: args),
            r"a ndarray at opt_state, which can't be carried",
        ),
        (
            optax.chain(optax.trace(0.9), optax.adam(0.1)),
            r"in one place. Received: opt_state\[0\], opt_state\[1\]\[0\]\. Pass one of these",
        ),
        (
            rate_first(),
            r"that doesn't contain the rate.*opt_state\[1\], after the schedule at opt_st",
        ),
    ],
    ids=["plain", "amsgrad", "rmsprop", "lion", "ema", "prodigy", "own", "two", "rate first"],
)
def test_what_cannot_be_carried_is_named(optimizer, message):
    state = optimizer.init(WEIGHTS)
    with pytest.raises(ValueError, match=message):
        to_moments(state, count=0)
    moments = Moments("sgd", 0, {"velocity": list(WEIGHTS.values())})
    with pytest.raises(ValueError, match=message):
        from_moments(moments, state)


def test_one_label_of_several():
    optimizer = optax.partition(
        {"x": cyclic_optimizer(optax.adam, SCHEDULE), "y": cyclic_optimizer(optax.sgd, SCHEDULE)},
        {"a": "x", "b": "y"},
    )
    state = optimizer.init(WEIGHTS)
    with pytest.raises(ValueError, match=r"\.inner_states\['x'\]\.inner_state\.inner_state\[0\], "):
        to_moments(state)
    moments = to_moments(state.inner_states["x"])
    assert [array.shape for array in moments.slots["first"]] == [(3, 2)]
    assert to_moments(state.inner_states["y"]).kind == "sgd"


def adams(count=1, **changed):
    arrays = {
        "first": [np.ones((3, 2)), np.ones(2)],
        "second": [np.ones((3, 2)), np.ones(2)],
    }
    return Moments("adam", count, {**arrays, **changed})


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (
            Moments("sgd-keras", 1, {"velocity": list(WEIGHTS.values())}),
            r"kind 'adam' for optax's ScaleByAdamState. Received: kind='sgd-keras'$",
        ),
        (
            adams(first=[np.ones((2, 3)), np.ones(2)], second=[np.ones((2, 3)), np.ones(2)]),
            r"shape \(3, 2\) in array 0. Received: \(2, 3\) in 'first'. `moments.rearranged`",
        ),
        (adams(count=2**31), r"count up to 2\*\*31 - 1, .*Received: count=2147483648"),
        (
            adams(second=[np.ones((3, 2)), np.full(2, 1e39)]),
            "that the state's float32 can hold. Received: larger ones in array 1 of 'second'",
        ),
    ],
    ids=["kind", "shape", "count", "size"],
)
def test_moments_that_do_not_fit(moments, message):
    with pytest.raises(ValueError, match=message):
        from_moments(moments, optax.adam(0.1).init(WEIGHTS))


def test_what_is_no_moments():
    with pytest.raises(TypeError, match=r"must be a clr_core\.Moments\. Received: moments={"):
        from_moments({"velocity": []}, optax.sgd(0.1, momentum=0.9).init(WEIGHTS))


def test_the_largest_count():
    state = from_moments(adams(count=2**31 - 1), optax.adam(0.1).init(WEIGHTS))
    assert to_moments(state).count == 2**31 - 1


@pytest.mark.parametrize("make", [optax.adam, lambda rate: optax.sgd(rate, 0.9)])
def test_nothing_is_traced(make):
    state = make(0.1).init(WEIGHTS)
    moments = to_moments(state, count=0)
    for convert in (to_moments, lambda state: from_moments(moments, state)):
        with pytest.raises(TypeError, match="must not be traced: call this outside of jit"):
            jax.jit(lambda state, convert=convert: convert(state) and 0)(state)
