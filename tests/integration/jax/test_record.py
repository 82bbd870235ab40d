"""Records of a run in JAX, from a live state and from checkpoints, and runs from records."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_core.record import Record
from clr_jax import (
    current_lr,
    cyclic_lr,
    cyclic_optimizer,
    from_record,
    read_record,
    schedule_counts,
    set_step,
    to_record,
)
from jax_checkpoints import to_a_manager, to_flax, to_orbax, to_zarr

SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=3,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.9,
)
OTHER = CyclicSchedule(base_lr=0.2, max_lr=0.3, step_size_up=5)
WEIGHTS = {"a": np.ones((3, 2), np.float32), "b": np.ones(2, np.float32)}
LABELS = {"a": "body", "b": "head"}
UPDATES = 5

OPTIMIZERS = {
    "cyclic_optimizer": lambda: cyclic_optimizer(optax.sgd, SCHEDULE),
    "a rate": lambda: optax.adam(cyclic_lr(rate_only(SCHEDULE))),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), cyclic_optimizer(optax.adam, SCHEDULE)
    ),
    "inject": lambda: optax.inject_hyperparams(optax.adamw)(
        cyclic_lr(rate_only(SCHEDULE)), weight_decay=cyclic_lr(OTHER)
    ),
    "MultiSteps": lambda: optax.MultiSteps(cyclic_optimizer(optax.adam, SCHEDULE), 2),
    "masked": lambda: optax.masked(cyclic_optimizer(optax.adam, SCHEDULE), {"a": True, "b": False}),
    "partition": lambda: optax.partition(
        {"head": optax.sgd(cyclic_lr(OTHER)), "body": cyclic_optimizer(optax.adam, SCHEDULE)},
        LABELS,
    ),
    "conditionally": lambda: optax.conditionally_transform(
        optax.sgd(cyclic_lr(rate_only(SCHEDULE)), momentum=0.9), lambda step: step >= 0
    ),
}


def trained(optimizer, calls):
    state = optimizer.init(WEIGHTS)
    update = jax.jit(optimizer.update)  # MultiSteps would be compiled in each call.
    for _ in range(calls):
        _, state = update(WEIGHTS, state, WEIGHTS)
    return state


@pytest.fixture(scope="module", params=OPTIMIZERS)
def run(request):
    """A name, and the state after `UPDATES` updates; of micro-batches, the last is incomplete."""
    micro = request.param == "MultiSteps"
    return request.param, trained(
        OPTIMIZERS[request.param](), 2 * UPDATES + 1 if micro else UPDATES
    )


WRITERS = [to_orbax, to_zarr, to_a_manager, to_flax]


@pytest.fixture(params=WRITERS, ids=lambda each: each.__name__)
def write(request):
    return request.param


def test_the_step_is_found_wherever_it_is(run):
    _, state = run
    assert to_record(SCHEDULE, state) == Record(SCHEDULE, UPDATES)


def test_the_step_is_found_on_disk(run, write, tmp_path):
    _, state = run
    path = write(tmp_path / "training", {"params": WEIGHTS, "opt_state": state, "step": 99})
    assert read_record(path, SCHEDULE) == Record(SCHEDULE, UPDATES)


@pytest.mark.parametrize("write", [to_orbax, to_flax], ids=["orbax", "flax"])
def test_the_places_on_disk_are_those_of_the_live_state(run, write, tmp_path):
    _, state = run
    # Each count gets a different number, so that none can be taken for another.
    numbers = iter(range(70, 90))
    state = set_step(state, 0)
    leaves, structure = jax.tree.flatten(state)
    own = [
        np.int32(next(numbers)) if leaf.dtype == np.int32 and leaf.shape == () else leaf
        for leaf in leaves
    ]
    state = jax.tree.unflatten(structure, own)
    expected = sorted(int(count) for count in schedule_counts(state).values())
    path = write(tmp_path / "training", {"opt_state": state})
    if len(expected) == 1:
        assert read_record(path, SCHEDULE).step == expected[0]
        return
    with pytest.raises(ValueError, match="must be at one step, or `count`") as caught:
        read_record(path, SCHEDULE)
    listed = dict(re.findall(r"'(opt_state[\w.]+)': (\d+)", str(caught.value)))
    assert sorted(map(int, listed.values())) == expected
    assert len(listed) == len(expected)
    for place, step in listed.items():
        assert read_record(path, SCHEDULE, count=place).step == int(step)


def test_counts_that_differ_are_asked_back():
    state = (trained(OPTIMIZERS["a rate"](), 3), trained(OPTIMIZERS["a rate"](), 4))
    with pytest.raises(ValueError, match="must be at one step") as caught:
        to_record(SCHEDULE, state)
    assert "Received: '[0][1].count': 3, '[1][1].count': 4" in str(caught.value)
    assert to_record(SCHEDULE, state, count="[1][1].count").step == 4
    with pytest.raises(ValueError, match=r"`count` must be one of '\[0\]\[1\].count', "):
        to_record(SCHEDULE, state, count=".count")


def test_a_state_without_a_schedule(tmp_path, write):
    state = optax.adam(0.1).init(WEIGHTS)
    with pytest.raises(ValueError, match=r"must have a count that a schedule reads.*Record\("):
        to_record(SCHEDULE, state)
    # Weights of these names aren't counts either.
    params = {"count": np.ones(2, np.int32), "other": {"count": np.float32(1.0)}}
    path = write(tmp_path / "training", {"params": params, "opt_state": state})
    with pytest.raises(ValueError, match="must have a count that a schedule reads"):
        read_record(path, SCHEDULE)


def test_a_schedule_for_each_label_of_a_partition(tmp_path, write):
    state = trained(OPTIMIZERS["partition"](), UPDATES)
    path = write(tmp_path / "training", {"opt_state": state})
    expected = Record((SCHEDULE, OTHER), UPDATES)
    assert to_record((SCHEDULE, OTHER), state) == expected
    assert read_record(path, [SCHEDULE, OTHER]) == expected
    for schedules in ((SCHEDULE,), (SCHEDULE,) * 3):
        message = rf"Received: {len(schedules)} for the labels \['body', 'head'\]"
        with pytest.raises(ValueError, match=message):
            to_record(schedules, state)
        with pytest.raises(ValueError, match=message):
            read_record(path, schedules)


def test_a_label_that_is_frozen_has_no_schedule():
    optimizer = optax.partition(
        {"body": optax.set_to_zero(), "head": optax.sgd(cyclic_lr(OTHER))}, LABELS
    )
    assert to_record((OTHER,), optimizer.init(WEIGHTS)) == Record((OTHER,))


def test_a_callable_is_named():
    def decay(x):
        return 1.0 / x

    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=decay)
    state = cyclic_optimizer(optax.sgd, schedule).init(WEIGHTS)
    with pytest.raises(TypeError, match="decay"):
        to_record(schedule, state)


def test_a_stacked_or_traced_state_is_refused():
    state = cyclic_optimizer(optax.sgd, SCHEDULE).init(WEIGHTS)
    stacked = jax.tree.map(lambda each: jnp.stack([each] * 8), state)
    with pytest.raises(ValueError, match=r"single integer at '.count'.*int32 of shape \(8,\)"):
        to_record(SCHEDULE, stacked)
    assert to_record(SCHEDULE, jax.tree.map(lambda each: each[0], stacked)).step == 0
    with pytest.raises(TypeError, match="must not be traced: call this outside of jit"):
        jax.jit(lambda state: to_record(SCHEDULE, state).step)(state)


@pytest.mark.parametrize("step", [0, 1, 7, 2**24 + 1, 2**31 - 2])
def test_a_run_resumes_at_the_step(step):
    optimizer, state = from_record(Record(SCHEDULE, step), optax.adam, WEIGHTS, b2=0.9)
    assert to_record(SCHEDULE, state) == Record(SCHEDULE, step)
    _, state = optimizer.update(WEIGHTS, state, WEIGHTS)
    assert float(current_lr(state)) == oracle.to_float32(oracle.lr(SCHEDULE.to_dict(), step))


def test_a_count_that_can_rise_no_more(tmp_path):
    schedule = replace(SCHEDULE, mode="triangular")  # It doesn't end at `base_lr`.
    optimizer, state = from_record(Record(schedule, 2**31 - 3), optax.adam, WEIGHTS)
    for step in (2**31 - 3, 2**31 - 2, 2**31 - 1, 2**31 - 1):
        _, state = optimizer.update(WEIGHTS, state, WEIGHTS)
        assert float(current_lr(state)) == oracle.to_float32(oracle.lr(schedule.to_dict(), step))
    (tmp_path / "state.msgpack").write_bytes(flax.serialization.to_bytes(state))
    for read, source in (
        (to_record, (schedule, state)),
        (read_record, (tmp_path / "state.msgpack", schedule)),
    ):
        with pytest.warns(UserWarning, match="stays there: the run may be at any later step"):
            assert read(*source).step == 2**31 - 1


def test_what_optax_cannot_resume():
    with pytest.raises(ValueError, match=r"at most 2\*\*31 - 1, .*step=2147483648"):
        from_record(Record(SCHEDULE, 2**31), optax.adam, WEIGHTS)
    with pytest.raises(ValueError, match=r"one schedule.*Received: 2\..*optax.partition.*set_step"):
        from_record(Record((SCHEDULE, OTHER)), optax.adam, WEIGHTS)
    with pytest.raises(TypeError, match=r"must be a clr_core.Record. Received: record=3"):
        from_record(3, optax.adam, WEIGHTS)


def copy(stored, tmp_path):
    """A copy that may be damaged."""
    path = tmp_path / "damaged"
    (shutil.copytree if stored.is_dir() else shutil.copyfile)(stored, path)
    return path


def files(path):
    return {each: each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def check_refused(path):
    """Check that the error is one line, names the path, and that the files are unchanged."""
    before = files(path.parent)
    with pytest.raises(ValueError, match="must hold an optax state: ") as caught:
        read_record(path, SCHEDULE)
    assert str(caught.value).startswith(repr(str(path)))
    assert "\n" not in str(caught.value)
    assert files(path.parent) == before


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """An intact checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("stored")
    tree = {"opt_state": trained(OPTIMIZERS["chain"](), 2)}
    return {write: write(folder / write.__name__, tree) for write in (to_orbax, to_flax)}


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_file_cut_short(stored, share, tmp_path):
    path = copy(stored[to_flax], tmp_path)
    os.truncate(path, int(share * path.stat().st_size))
    check_refused(path)


def test_a_huge_file_takes_no_memory(tmp_path):
    path = tmp_path / "state.msgpack"
    with path.open("wb") as file:
        file.truncate(2**30)  # Zeros, none of which is on the disk.
    code = (
        "import resource, sys\n"
        "from clr_core import CyclicSchedule\n"
        "from clr_jax import read_record\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    read_record(sys.argv[1], CyclicSchedule(base_lr=0.1, max_lr=0.5))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, path], capture_output=True, text=True, check=True
    )
    message, kilobytes = done.stdout.splitlines()
    assert message.endswith("it isn't a complete msgpack file with a pytree of flax")
    assert int(kilobytes) < 2**16


# If one of orbax's reads fails, its other pending reads find their event loop closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_file_of_a_folder_missing_or_cut_short(stored, tmp_path):
    intact = stored[to_orbax]
    refused = 0
    for file in files(intact):
        for damage in (os.unlink, lambda path: os.truncate(path, path.stat().st_size // 2)):
            path = copy(intact, tmp_path)
            damage(path / file.relative_to(intact))
            try:
                # A file that isn't read for the counts may be damaged; the counts are then right.
                assert read_record(path, SCHEDULE).step == 2
            except ValueError:
                check_refused(path)
                refused += 1
            shutil.rmtree(path)
    assert refused > 3


def test_other_folders(stored, tmp_path):
    (tmp_path / "empty").mkdir()
    check_refused(tmp_path / "empty")
    step = to_a_manager(tmp_path / "manager", {"opt_state": trained(OPTIMIZERS["chain"](), 2)})
    with pytest.raises(ValueError, match=rf"Pass one of its steps, such as the last: {step}"):
        read_record(step.parent, SCHEDULE)
    unfinished = tmp_path / "300.orbax-checkpoint-tmp-1"
    shutil.copytree(stored[to_orbax], unfinished)
    with pytest.raises(ValueError, match="orbax didn't finish it"):
        read_record(unfinished, SCHEDULE)
    huge = copy(stored[to_orbax], tmp_path)
    os.truncate(huge / "_METADATA", 2**30)
    with pytest.raises(ValueError, match="_METADATA has more than 67108864 bytes"):
        read_record(huge, SCHEDULE)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none", SCHEDULE)
    with pytest.raises(TypeError, match=r"`path` must be a path\. Received: path=3"):
        read_record(3, SCHEDULE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="it isn't a regular file"):
        read_record(pipe, SCHEDULE)


@pytest.mark.parametrize(
    ("write", "module", "package"),
    [(to_orbax, "orbax.checkpoint", "orbax-checkpoint"), (to_flax, "msgpack", "msgpack")],
    ids=["orbax", "flax"],
)
def test_a_library_that_is_not_installed(stored, write, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"Install it with: pip install {package}$"):
        read_record(stored[write], SCHEDULE)
