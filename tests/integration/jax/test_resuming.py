"""A training that stopped at any step resumes from files with the bits of the uninterrupted one."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import oracle
from clr_core import CyclicSchedule
from clr_jax import (
    current_lr,
    current_momentum,
    cyclic_optimizer,
    schedule_counts,
    set_step,
)
from integration.jax.comparing import same
from integration.jax.resume import (
    CALLS,
    LIBRARIES,
    OPTIMIZERS,
    SCHEDULE,
    bits,
    initial,
    run,
    save,
)

# A new optimizer would be compiled again.
optimizer_of = functools.cache(lambda name: OPTIMIZERS[name](SCHEDULE))


@functools.cache
def straight(name):
    """The training before each call, and after the last."""
    optimizer = optimizer_of(name)
    trainings = [initial(optimizer)]
    for number in range(CALLS):
        trainings.append(run(optimizer, trainings[-1], number, number + 1))
    return trainings


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_step(name, library, tmp_path):
    optimizer, files = optimizer_of(name), LIBRARIES[library]
    # At the peak, and in the middle of an update of MultiSteps; every step of one of them.
    for number in range(CALLS) if name == "adam" else (3, 7):
        files.save(tmp_path / str(number), straight(name)[number])
        restored = files.load(tmp_path / str(number), initial(optimizer))
        same(restored, straight(name)[number])
        # The states that are compared contain the rates and momenta.
        same(run(optimizer, restored, number, number + 1), straight(name)[number + 1])


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"partition", "a rate"}))
def test_what_it_is_held_against(name):
    """The uninterrupted training uses the oracle's rates and momenta, and learns."""
    document = SCHEDULE.to_dict()
    for number, training in enumerate(straight(name)[1:], start=1):
        update = max((number // 2 if name == "MultiSteps" else number) - 1, 0)
        assert current_lr(training["state"]) == oracle.to_float32(oracle.lr(document, update))
        assert current_momentum(training["state"]) == oracle.to_float32(
            oracle.momentum(document, update)
        )
    first, last = straight(name)[0]["weights"], straight(name)[-1]["weights"]
    assert not any(np.array_equal(first[layer], last[layer]) for layer in first)


def into_shapes(files, folder, training, fresh):
    """Load into shapes, for which nothing is computed."""
    files.save(folder / "training", training)
    return files.load(folder / "training", jax.eval_shape(lambda: fresh))


def moments_from_a_file_and_the_step_by_hand(files, folder, training, fresh):
    (step,) = {int(count) for count in schedule_counts(training["state"]).values()}
    files.save(folder / "training", training | {"state": set_step(training["state"], 0)})
    restored = files.load(folder / "training", fresh)
    return restored | {"state": set_step(restored["state"], step)}


ORDERS = [into_shapes, moments_from_a_file_and_the_step_by_hand]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
def test_any_order(order, library, tmp_path):
    optimizer, trainings = optimizer_of("adam"), straight("adam")
    restored = order(LIBRARIES[library], tmp_path, trainings[4], initial(optimizer))
    same(run(optimizer, restored, 4, CALLS), trainings[-1])


@pytest.mark.parametrize(
    ("library", "name", "number"),
    [
        ("orbax", "MultiSteps", 7),  # With half of the gradients of an update.
        ("flax", "chain", 6),  # Within the second cycle, which begins at 5.5.
        ("equinox", "partition", 9),
    ],
)
def test_another_process(library, name, number, tmp_path):
    save(tmp_path, library, SCHEDULE, straight(name)[number])
    done = subprocess.run(
        [
            *(sys.executable, "-P", Path(__file__).with_name("resume.py")),
            *(tmp_path, library, name, str(number)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == bits(straight(name)[-1])


WITHOUT = CyclicSchedule(base_lr=0.001, max_lr=0.01, step_size_up=3)
WEIGHTS = {"hidden": np.ones((3, 2), np.float32), "last": np.ones(2, np.float32)}
STATES = {
    "cycled": cyclic_optimizer(optax.adam, SCHEDULE),
    "constant": cyclic_optimizer(optax.adam, WITHOUT),
    "none": cyclic_optimizer(optax.sgd, WITHOUT),
}


@pytest.mark.parametrize("saved", STATES)
@pytest.mark.parametrize("asked", STATES)
def test_a_state_with_another_momentum(saved, asked, library, tmp_path):
    files, fresh = LIBRARIES[library], STATES[asked].init(WEIGHTS)
    files.save(tmp_path / "state", set_step(STATES[saved].init(WEIGHTS), 4))
    overlooked = {  # Besides its own. The step is the file's all the same.
        "orbax": [],
        "flax": [("cycled", "constant")],  # A key that isn't asked for is ignored.
        "equinox": [("constant", "none")],  # Leaves beyond those that are asked for are ignored.
    }
    if saved == asked or (saved, asked) in overlooked[library]:
        restored = files.load(tmp_path / "state", fresh)
        assert set(map(int, schedule_counts(restored).values())) == {4}
    else:
        with pytest.raises(RuntimeError if library == "equinox" else ValueError):
            files.load(tmp_path / "state", fresh)
