"""Flax's NNX and linen, and equinox: each update of a loop as their guides write it."""

from types import SimpleNamespace

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from flax.training.train_state import TrainState

from clr_core import Record, schedule_from_dict
from clr_jax import (
    current_lr,
    current_momentum,
    cyclic_optimizer,
    read_record,
    set_step,
    to_record,
)
from trainers.following import BATCH, BATCHES, SCHEDULE, assert_followed, digits


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@nnx.jit
def nnx_step(model, optimizer, images, labels):
    gradients = nnx.grad(lambda model: cross_entropy(model(images), labels))(model)
    optimizer.update(model, gradients)


class Nnx:
    """`nnx.Optimizer`."""

    def __init__(self, optimizer, dtype, seed=0):
        self.model = nnx.Linear(64, 10, param_dtype=dtype, rngs=nnx.Rngs(seed))
        self.state = nnx.Optimizer(self.model, optimizer, wrt=nnx.Param)

    def update(self, images, labels):
        nnx_step(self.model, self.state, images, labels)

    def saved(self):
        return nnx.state((self.model, self.state))

    def load(self, tree):
        nnx.update((self.model, self.state), tree)


@nnx.jit
def both_step(both, images, labels):
    gradients = nnx.grad(lambda model: cross_entropy(model(images), labels))(both.model)
    both.update(gradients)


class Both:
    """`nnx.ModelAndOptimizer`."""

    def __init__(self, optimizer, dtype, seed=0):
        model = nnx.Linear(64, 10, param_dtype=dtype, rngs=nnx.Rngs(seed))
        self.state = nnx.ModelAndOptimizer(model, optimizer)

    def update(self, images, labels):
        both_step(self.state, images, labels)

    def saved(self):
        return nnx.state(self.state)

    def load(self, tree):
        nnx.update(self.state, tree)


@jax.jit
def linen_step(state, images, labels):
    def loss(params):
        return cross_entropy(state.apply_fn({"params": params}, images), labels)

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


class Linen:
    """flax.linen's `TrainState`."""

    def __init__(self, optimizer, dtype, seed=0):
        model = nn.Dense(10, param_dtype=dtype)
        params = model.init(jax.random.key(seed), jnp.ones((1, 64)))["params"]
        self.state = TrainState.create(apply_fn=model.apply, params=params, tx=optimizer)

    def update(self, images, labels):
        self.state = linen_step(self.state, images, labels)

    def saved(self):
        return self.state

    def load(self, tree):
        self.state = tree


class Equinox:
    """A module of equinox, under `filter_jit`."""

    def __init__(self, optimizer, dtype, seed=0):
        self.model = eqx.nn.Linear(64, 10, dtype=dtype, key=jax.random.key(seed))
        self.state = optimizer.init(eqx.filter(self.model, eqx.is_array))

        @eqx.filter_jit
        def step(model, state, images, labels):
            gradients = eqx.filter_grad(
                lambda model: cross_entropy(jax.vmap(model)(images), labels)
            )(model)
            updates, state = optimizer.update(gradients, state, eqx.filter(model, eqx.is_array))
            return eqx.apply_updates(model, updates), state

        self.step = step

    def update(self, images, labels):
        self.model, self.state = self.step(self.model, self.state, images, labels)

    def saved(self):
        return {"model": eqx.filter(self.model, eqx.is_array), "state": self.state}

    def load(self, tree):
        self.model = eqx.combine(tree["model"], self.model)
        self.state = tree["state"]


TRAINERS = {each.__name__: each for each in (Nnx, Both, Linen, Equinox)}
SITUATIONS = {
    "plain": SimpleNamespace(),
    "bfloat16": SimpleNamespace(dtype=jnp.bfloat16),
    "MultiSteps": SimpleNamespace(
        around=lambda optimizer: optax.MultiSteps(optimizer, 3), counts=lambda call: call % 3 == 2
    ),
    "apply_if_finite": SimpleNamespace(
        around=lambda optimizer: optax.apply_if_finite(optimizer, 3),
        counts=lambda call: call not in (4, 11),
    ),
}


def made(trainer, situation="plain", seed=0):
    has = vars(SITUATIONS[situation])
    optimizer = cyclic_optimizer(optax.sgd, SCHEDULE)
    optimizer = has.get("around", lambda optimizer: optimizer)(optimizer)
    return TRAINERS[trainer](optimizer, has.get("dtype", jnp.float32), seed)


def train(training, calls, situation="plain"):
    """Train on each of the batches, and return what each update used."""
    images, labels = digits()
    counts = vars(SITUATIONS[situation]).get("counts", lambda call: True)
    used = []
    for call in calls:
        batch = slice(BATCH * (call % BATCHES), BATCH * (call % BATCHES + 1))
        scale = np.nan if situation == "apply_if_finite" and not counts(call) else 1
        training.update(np.float32(scale) * images[batch], labels[batch])
        if counts(call):
            used.append((current_lr(training.state), current_momentum(training.state)))
    return used


@pytest.fixture(params=TRAINERS)
def trainer(request):
    return request.param


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_update_is_the_schedules(trainer, situation):
    training = made(trainer, situation)
    used = train(training, range(40), situation)
    updates = {"MultiSteps": 13, "apply_if_finite": 38}.get(situation, 40)
    assert_followed(used, updates)
    assert to_record(SCHEDULE, training.state) == Record(SCHEDULE, updates)
    if trainer != "Equinox":  # Flax's own count is of calls.
        assert training.state.step == 40


def test_it_resumes_from_a_checkpoint_with_the_same_weights(trainer, tmp_path):
    whole = made(trainer)
    train(whole, range(17))
    with ocp.CheckpointManager(tmp_path) as checkpoints:
        items = {
            "training": ocp.args.StandardSave(whole.saved()),
            "schedule": ocp.args.JsonSave(SCHEDULE.to_dict()),
        }
        checkpoints.save(17, args=ocp.args.Composite(**items))
    train(whole, range(17, 40))

    resumed = made(trainer, seed=1)
    with ocp.CheckpointManager(tmp_path) as checkpoints:
        items = {
            "training": ocp.args.StandardRestore(resumed.saved()),
            "schedule": ocp.args.JsonRestore(),
        }
        restored = checkpoints.restore(17, args=ocp.args.Composite(**items))
    resumed.load(restored["training"])
    assert schedule_from_dict(restored["schedule"]) == SCHEDULE
    assert read_record(tmp_path / "17", SCHEDULE) == Record(SCHEDULE, 17)
    assert_followed(train(resumed, range(17, 40)), 40, first=17)
    for ours, theirs in zip(*map(jax.tree.leaves, (resumed.saved(), whole.saved())), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def test_it_goes_on_at_another_step(trainer):
    training = made(trainer)
    training.state = set_step(training.state, 17)
    assert_followed(train(training, range(3)), 20, first=17)
