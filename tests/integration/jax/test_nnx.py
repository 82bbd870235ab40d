"""Optimizers of flax's NNX, which wraps every array: alive, as states, and in checkpoints."""

import functools

import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import CyclicSchedule
from clr_core.record import Record
from clr_jax import (
    current_lr,
    current_momentum,
    cyclic_lr,
    cyclic_optimizer,
    from_moments,
    read_moments,
    read_record,
    read_weights,
    schedule_counts,
    set_step,
    to_moments,
    to_record,
)
from integration.jax.comparing import same_moments
from jax_checkpoints import to_flax, to_orbax
from needs import needs

SCHEDULE = CyclicSchedule(
    base_lr=0.01, max_lr=0.1, step_size_up=2, base_momentum=0.8, max_momentum=0.9
)
RATE = CyclicSchedule(base_lr=0.01, max_lr=0.1, step_size_up=2)
UPDATES = 3
OPTIMIZERS = {
    "adam": lambda: cyclic_optimizer(optax.adam, SCHEDULE),
    "chain": lambda: optax.chain(optax.clip(1.0), cyclic_optimizer(optax.sgd, SCHEDULE)),
    "a rate": lambda: optax.sgd(cyclic_lr(RATE), momentum=0.9),
}


class Model(nnx.Module):
    def __init__(self, rngs):
        # Eleven layers: as text, "10" sorts before "2".
        self.layers = nnx.List([nnx.Linear(1, 1, rngs=rngs) for _ in range(11)])
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


@functools.cache
def trained(name):
    model = Model(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, OPTIMIZERS[name](), wrt=nnx.Param)
    for _ in range(UPDATES):
        optimizer.update(model, nnx.state(model, nnx.Param))
    return model, optimizer


# As flax's guides write them: https://flax.readthedocs.io/en/latest/guides/checkpointing.html
FORMS = {
    "optimizer": lambda model, optimizer: optimizer,
    "opt_state": lambda model, optimizer: optimizer.opt_state,
    "state": lambda model, optimizer: nnx.state(optimizer),
    "state of opt_state": lambda model, optimizer: nnx.state(optimizer)["opt_state"],
    "split": lambda model, optimizer: nnx.split(optimizer)[1],
    "split of both": lambda model, optimizer: nnx.split((model, optimizer))[1],
    "split of a dict": lambda model, optimizer: nnx.split({"m": model, "o": optimizer})[1],
    "pure": lambda model, optimizer: nnx.to_pure_dict(nnx.state(optimizer)),
    "pure of both": lambda model, optimizer: nnx.to_pure_dict(
        nnx.state((model, optimizer), nnx.Not(nnx.RngState))
    ),
    "arrays": lambda model, optimizer: nnx.as_pure(optimizer.opt_state),
    "two states": lambda model, optimizer: {
        "model": nnx.state(model, nnx.Param),
        "optimizer": nnx.state(optimizer),
    },
}


@pytest.fixture(
    params=[
        pytest.param(each, marks=[needs("flax.nnx.as_pure")] if each == "arrays" else [])
        for each in FORMS
    ]
)
def form(request):
    return FORMS[request.param]


@pytest.fixture(params=OPTIMIZERS)
def name(request):
    return request.param


def plain(name):
    """The moments in the state that optax itself makes of the same updates."""
    model = Model(nnx.Rngs(0))
    params = jax.tree.map(jnp.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    optimizer = OPTIMIZERS[name]()
    state = optimizer.init(params)
    for _ in range(UPDATES):
        updates, state = optimizer.update(params, state, params)
        params = optax.apply_updates(params, updates)
    return to_moments(state)


def test_a_living_state(name, form):
    state = form(*trained(name))
    assert to_record(SCHEDULE, state) == Record(SCHEDULE, UPDATES)
    assert set(map(int, schedule_counts(state).values())) == {UPDATES}
    assert to_moments(state).count == UPDATES
    if name != "a rate":
        assert f"{current_lr(state):.7f}" == "0.1000000"
        assert f"{current_momentum(state):.7f}" == "0.8000000"
    moved = set_step(state, 7)
    assert jax.tree.structure(moved) == jax.tree.structure(state)
    assert set(map(int, schedule_counts(moved).values())) == {7}
    assert set(map(int, schedule_counts(state).values())) == {UPDATES}


def test_the_moments_are_those_of_optax(name):
    same_moments(to_moments(trained(name)[1]), plain(name))
    same_moments(to_moments(nnx.state(trained(name)[1])), plain(name))


def test_an_optimizer_that_is_set_resumes(name):
    model, optimizer = trained(name)
    fresh = nnx.Optimizer(model, OPTIMIZERS[name](), wrt=nnx.Param)
    moved = from_moments(to_moments(optimizer), set_step(fresh, UPDATES))
    assert int(moved.step[...]) == UPDATES
    before = [int(count) for count in schedule_counts(fresh).values()]
    assert set(before) == {0}
    for ours, theirs in zip(
        jax.tree.leaves(nnx.state(moved)["opt_state"]),
        jax.tree.leaves(nnx.state(optimizer)["opt_state"]),
        strict=True,
    ):
        if jnp.issubdtype(ours.dtype, jnp.integer) or ours.shape:
            np.testing.assert_array_equal(ours, theirs)
    moved.update(model, nnx.state(model, nnx.Param))
    assert set(map(int, schedule_counts(moved).values())) == {UPDATES + 1}
    if name != "a rate":
        assert np.asarray(current_lr(moved)) == np.float32(SCHEDULE.lr(UPDATES))


def test_a_checkpoint(form, tmp_path):
    model, optimizer = trained("chain" if form is FORMS["state"] else "adam")
    tree = form(model, optimizer)
    to_orbax(tmp_path / "checkpoint", tree)
    paths = [tmp_path / "checkpoint"]
    if isinstance(tree, dict) and form is not FORMS["two states"]:  # flax stores no variables.
        to_flax(tmp_path / "checkpoint.msgpack", tree)
        paths.append(tmp_path / "checkpoint.msgpack")
    for path in paths:
        assert read_record(path, SCHEDULE) == Record(SCHEDULE, UPDATES)
        same_moments(read_moments(path), to_moments(optimizer))


@pytest.mark.parametrize("parts", ["split of both", "pure of both", "two states"])
def test_the_weights_of_a_checkpoint(parts, tmp_path):
    model, optimizer = trained("adam")
    to_orbax(tmp_path / "checkpoint", FORMS[parts](model, optimizer))
    key = "model" if parts == "two states" else "0"
    for weights in (
        read_weights(tmp_path / "checkpoint"),
        read_weights(tmp_path / "checkpoint", key=f"{key}.layers"),
    ):
        found = [array for name, array in weights.items() if "layers" in name]
        expected = jax.tree.leaves(nnx.state(model, nnx.Param)["layers"])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert next(iter(weights)).startswith(f"{key}/layers/0/bias")
        assert not any("opt_state" in name or "rngs" in name for name in weights)
