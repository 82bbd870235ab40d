"""Moments and weights out of checkpoints, and checkpoints that are damaged or hostile."""

import functools
import json
import os
import time

import flax.serialization
import flax.training.checkpoints
import jax
import jax.numpy as jnp
import msgpack
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from clr_core import CyclicSchedule
from clr_core.record import Record
from clr_jax import (
    cyclic_lr,
    cyclic_optimizer,
    from_moments,
    read_moments,
    read_record,
    read_weights,
    to_moments,
)
from integration.jax.comparing import same_moments
from jax_checkpoints import to_a_manager, to_flax, to_orbax, to_zarr

SCHEDULE = CyclicSchedule(
    base_lr=0.01, max_lr=0.1, step_size_up=3, base_momentum=0.8, max_momentum=0.9
)
RATE = CyclicSchedule(base_lr=0.01, max_lr=0.1, step_size_up=3)
PARAMS = {
    "b": {"kernel": np.full((3, 2), 0.5, np.float32), "bias": np.ones(2, np.float32)},
    "a": [np.full(1, number, np.float32) for number in range(11)],
}
OPTIMIZERS = {
    "adamw": lambda: cyclic_optimizer(optax.adamw, SCHEDULE),
    "chain": lambda: optax.chain(optax.clip(1.0), cyclic_optimizer(optax.sgd, SCHEDULE)),
    "a rate": lambda: optax.sgd(cyclic_lr(RATE), momentum=0.9),
    "MultiSteps": lambda: optax.MultiSteps(cyclic_optimizer(optax.adam, SCHEDULE), 2),
    "partition": lambda: optax.partition(
        {"x": cyclic_optimizer(optax.adam, SCHEDULE), "y": optax.set_to_zero()},
        {"a": "x", "b": "y"},
    ),
}


@functools.cache
def train_state(name, updates=4):
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=OPTIMIZERS[name]())
    for _ in range(updates):
        state = state.apply_gradients(grads=state.params)
    return state


def to_flax_checkpoints(path, tree):
    flax.training.checkpoints.save_checkpoint(path, tree, step=7)
    return path / "checkpoint_7"


WRITERS = [to_orbax, to_zarr, to_a_manager, to_flax, to_flax_checkpoints]


@pytest.mark.parametrize("write", WRITERS, ids=lambda each: each.__name__)
def test_moments_and_weights_of_a_training(write, tmp_path):
    state = train_state("adamw")
    # flax's own count need not be the number of updates.
    path = write(tmp_path / "training", state.replace(step=77))
    assert read_record(path, SCHEDULE) == Record(SCHEDULE, 4)
    moments = read_moments(path)
    same_moments(moments, to_moments(state.opt_state))
    weights = read_weights(path)
    # Matched by their order: eleven layers of a list, then a dict in the order of its keys.
    for array, leaf in zip(weights.values(), jax.tree.leaves(state.params), strict=True):
        assert array.dtype == leaf.dtype
        np.testing.assert_array_equal(array, leaf)
    names = [name.removeprefix("state/") for name in weights]
    assert names[:2] + names[-2:] == [
        *("params/a/0", "params/a/1"),
        *("params/b/bias", "params/b/kernel"),
    ]
    from_moments(moments, state.tx.init(PARAMS))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("write", [to_orbax, to_flax], ids=lambda each: each.__name__)
def test_the_moments_of_each_optimizer(name, write, tmp_path):
    state = train_state(name)
    same_moments(read_moments(write(tmp_path / "state", state)), to_moments(state.opt_state))
    own = {"weights": state.params, "optimizer": state.opt_state}
    path = write(tmp_path / "own", own)
    for key in (None, "optimizer"):
        same_moments(read_moments(path, key=key), to_moments(state.opt_state))
    for key in (None, "weights"):
        weights = list(read_weights(path, key=key).values())
        assert len(weights) == len(jax.tree.leaves(state.params))


def test_small_floats_become_float32(tmp_path):
    params = {"w": jnp.arange(4, dtype=jnp.bfloat16), "v": jnp.ones(2, jnp.float16)}
    state = optax.sgd(0.1, momentum=0.9).init(params)
    for path in (
        to_orbax(tmp_path / "a", {"params": params, "opt_state": state}),
        to_flax(tmp_path / "b", {"params": params, "opt_state": state}),
    ):
        assert [each.dtype for each in read_weights(path).values()] == ["float16", "float32"]
        assert read_weights(path)["params/w"].tolist() == [0, 1, 2, 3]
        with pytest.raises(ValueError, match=r"it doesn't count SGD's updates\. Pass their number"):
            read_moments(path)
        moments = read_moments(path, count=3)
        assert [each.dtype for each in moments.slots["velocity"]] == ["float16", "float32"]


def test_an_array_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 64)
    array = np.arange(100, dtype=np.float32).reshape(20, 5)
    path = to_flax(tmp_path / "file", {"w": array})
    np.testing.assert_array_equal(read_weights(path)["w"], array)


@pytest.mark.parametrize("write", [to_orbax, to_flax], ids=lambda each: each.__name__)
def test_what_is_not_there_is_said(write, tmp_path):
    state = optax.adam(0.1).init(PARAMS)
    only_state = write(tmp_path / "state", state)
    with pytest.raises(ValueError, match="must hold weights: it has no weights besides an opt"):
        read_weights(only_state)
    only_weights = write(tmp_path / "weights", {"params": PARAMS})
    with pytest.raises(ValueError, match="must have the moments of Adam, or of optax"):
        read_moments(only_weights)
    with pytest.raises(ValueError, match=r"must lead to a part of it.*At params there is 'a', 'b'"):
        read_weights(only_weights, key="params.c")
    lion = write(tmp_path / "lion", {"opt_state": optax.lion(0.1).init(PARAMS)})
    with pytest.raises(ValueError, match="must remember nothing but the moments of SGD or Adam"):
        read_moments(lion)
    two = write(tmp_path / "two", {"g": {"opt_state": state}, "d": {"opt_state": state}})
    with pytest.raises(ValueError, match="must have moments in one place"):
        read_moments(two)
    assert read_moments(two, key="g").kind == "adam"
    with pytest.raises(TypeError, match="`path` must be a path"):
        read_weights(3)


def nested(depth, width):
    """Many small mappings below a chain of others."""
    inner = {f"{number:05d}": {"x": 0} for number in range(width)}
    return b"\x81\xa1a" * depth + msgpack.packb(inner)


def array(shape, dtype, data):
    return msgpack.packb(msgpack.ExtType(1, msgpack.packb((shape, dtype, data))))


COUNT = array((), "int32", b"\0\0\0\0")
HOSTILE = {
    "a pickle": b"\x80\x04c__builtin__\neval\n",
    "JSON": b'{"opt_state": 1}',
    "not msgpack": b"\xff" * 1000,
    "lists that claim 2**32 entries": b"\xdd\xff\xff\xff\xff" * 500,
    "an unknown extension": b"\x81\xa5count\xc7\xff\x01",
    "nesting": nested(480, 65_000),
    "deep": b"\x81\xa1a" * 200_000 + b"\x01",
    "a key twice": b"\x82\xa5count" + COUNT + b"\xa5count" + COUNT,
    "a key that isn't text": b"\x81\x93\x01\x02\x03\x01",
    "a shape that claims more": b"\x81\xa1w" + array((2**40,), "float32", b"1234"),
    "a negative shape": b"\x81\xa1w" + array((-1,), "float32", b"1234"),
    "a shape that overflows": b"\x81\xa1w" + array((2**60, 2**60), "float32", b""),
    "an unknown dtype": b"\x81\xa1w" + array((1,), "float99", b"1234"),
    "objects": b"\x81\xa1w" + array((1,), "O", b"12345678"),
    "a long dtype": b"\x81\xa1w" + array((1,), "f4," * 10_000, b"1234"),
    "not an array": b"\x81\xa1w\xc7\x03\x01\x93\xc1\x00",
    "a shape of texts": b"\x81\xa1w" + array(("a",), "float32", b"1234"),
    "too many mappings": b"\x9f" + b"\xdc\xff\xff" + b"\x80" * 65535,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "read", [lambda path: read_record(path, SCHEDULE), read_moments, read_weights]
)
def test_a_hostile_file(read, content, tmp_path):
    path = tmp_path / "file.msgpack"
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(ValueError, match="must hold ") as caught:
        read(path)
    assert time.process_time() - began < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_many_small_mappings_are_read(tmp_path):
    path = tmp_path / "file.msgpack"
    path.write_bytes(nested(90, 60_000))
    began = time.process_time()
    with pytest.raises(ValueError, match="must have a count that a schedule reads"):
        read_record(path, SCHEDULE)
    assert time.process_time() - began < 15


@pytest.fixture
def folder(tmp_path):
    state = train_state("adamw", 1)
    return to_zarr(tmp_path / "folder", {"params": state.params, "opt_state": state.opt_state})


def check_refused(folder, match="must hold "):
    for read in (lambda path: read_record(path, SCHEDULE), read_moments, read_weights):
        with pytest.raises(ValueError, match=match) as caught:
            read(folder)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1500


def test_a_pipe_in_a_folder(folder):
    os.mkfifo(folder / "pipe")
    check_refused(folder, "pipe' is neither a file nor a folder")


def test_a_link_to_a_folder(folder):
    (folder / "link").symlink_to("/")
    check_refused(folder, "link' is neither a file nor a folder")


def test_arrays_that_claim_more_than_there_is(folder):
    changed = 0
    for path in folder.rglob(".zarray"):
        about = json.loads(path.read_text())
        about["shape"] = [2**40]
        about["chunks"] = [2**40]
        path.write_text(json.dumps(about))
        changed += 1
    assert changed
    check_refused(folder)


def test_metadata_that_is_nested(folder):
    (folder / "_METADATA").write_text("[" * 100_000)
    check_refused(folder, "isn't a complete checkpoint of orbax")
    (folder / "_METADATA").write_text('{"tree_metadata": {}}')
    check_refused(folder)


def test_the_last_of_several_steps_is_named(tmp_path):
    for step in (9, 10):
        flax.training.checkpoints.save_checkpoint(tmp_path, PARAMS, step=step, keep=5)
    with pytest.raises(ValueError, match=r"such as the last: .*checkpoint_10$"):
        read_weights(tmp_path)
