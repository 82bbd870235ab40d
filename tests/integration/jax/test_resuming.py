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
    cyclic_lr,
    cyclic_optimizer,
    schedule_counts,
    set_step,
)
from integration.jax.resume import (
    CALLS,
    LABELS,
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


def same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        assert np.asarray(mine).tobytes() == np.asarray(other).tobytes()


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_step(name, library, tmp_path):
    optimizer, files = optimizer_of(name), LIBRARIES[library]
    for number, training in enumerate(straight(name)[:-1]):
        files.save(tmp_path / str(number), training)
    for number, training in enumerate(straight(name)[:-1]):
        restored = files.load(tmp_path / str(number), initial(optimizer))
        same(restored, training)
        # The states that are compared contain the rates and momenta.
        same(run(optimizer, restored, number, number + 1), straight(name)[number + 1])


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "partition"])
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


def in_one_file(files, folder, training, fresh):
    files.save(folder / "training", training)
    return files.load(folder / "training", fresh)


def into_shapes(files, folder, training, fresh):
    """Load into shapes, for which nothing is computed."""
    files.save(folder / "training", training)
    return files.load(folder / "training", jax.eval_shape(lambda: fresh))


def weights_first(files, folder, training, fresh):
    for part in ("weights", "state"):
        files.save(folder / part, training[part])
    weights = files.load(folder / "weights", fresh["weights"])
    state = files.load(folder / "state", optimizer_of("adam").init(weights))
    return {"weights": weights, "state": state}


def state_first(files, folder, training, fresh):
    for part in ("state", "weights"):
        files.save(folder / part, training[part])
    state = files.load(folder / "state", fresh["state"])
    return {"state": state, "weights": files.load(folder / "weights", fresh["weights"])}


def into_a_training_that_went_elsewhere(files, folder, training, fresh):
    files.save(folder / "training", training)
    return files.load(folder / "training", run(optimizer_of("adam"), fresh, 20, 29))


def twice(files, folder, training, fresh):
    files.save(folder / "once", training)
    files.save(folder / "twice", files.load(folder / "once", fresh))
    return files.load(folder / "twice", fresh)


def set_to_the_step_that_it_is_at(files, folder, training, fresh):
    restored = in_one_file(files, folder, training, fresh)
    (step,) = {int(count) for count in schedule_counts(restored["state"]).values()}
    return restored | {"state": set_step(restored["state"], step)}


def moments_from_a_file_and_the_step_by_hand(files, folder, training, fresh):
    (step,) = {int(count) for count in schedule_counts(training["state"]).values()}
    lost = training | {"state": set_step(training["state"], 0)}
    restored = in_one_file(files, folder, lost, fresh)
    return restored | {"state": set_step(restored["state"], step)}


ORDERS = [
    in_one_file,
    into_shapes,
    weights_first,
    state_first,
    into_a_training_that_went_elsewhere,
    twice,
    set_to_the_step_that_it_is_at,
    moments_from_a_file_and_the_step_by_hand,
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
def test_any_order(order, library, tmp_path):
    optimizer, trainings = optimizer_of("adam"), straight("adam")
    restored = order(LIBRARIES[library], tmp_path, trainings[4], initial(optimizer))
    same(run(optimizer, restored, 4, CALLS), trainings[-1])


@pytest.mark.parametrize(
    ("library", "name", "number"),
    [
        ("orbax", "adam", 3),  # At the peak, where the momentum is 0.
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
    "sgd": cyclic_optimizer(optax.sgd, SCHEDULE),
    "sgd, constant momentum": cyclic_optimizer(optax.sgd, WITHOUT, momentum=0.9),
    "sgd, no momentum": cyclic_optimizer(optax.sgd, WITHOUT),
    "adam": cyclic_optimizer(optax.adam, SCHEDULE),
    "adam, constant momentum": cyclic_optimizer(optax.adam, WITHOUT),
    "adam of cyclic_lr": optax.adam(cyclic_lr(WITHOUT)),
    "MultiSteps": optax.MultiSteps(cyclic_optimizer(optax.adam, SCHEDULE), 2),
    "partition": optax.partition(
        {"body": cyclic_optimizer(optax.adam, SCHEDULE), "head": optax.sgd(0.1)}, LABELS
    ),
}
# The mismatches that each library overlooks: (saved, asked for). The step is still the file's. The
# programs differ in whether there is a momentum and whether it is cycled.
OVERLOOKED = {
    "orbax": [],
    # A key that isn't asked for is ignored.
    "flax": [("sgd", "sgd, constant momentum"), ("adam", "adam, constant momentum")],
    # Leaves beyond those that are asked for are ignored.
    "equinox": [
        ("sgd, constant momentum", "sgd, no momentum"),
        ("adam, constant momentum", "sgd, no momentum"),
    ],
}
PAIRS = [(saved, asked) for saved in STATES for asked in STATES if saved != asked]


@pytest.fixture
def files_with_states(library, tmp_path):
    files = LIBRARIES[library]
    for name, optimizer in STATES.items():
        files.save(tmp_path / name, set_step(optimizer.init(WEIGHTS), 4))
    return files, tmp_path


def test_a_state_of_another_structure_is_refused(files_with_states, library):
    files, folder = files_with_states
    for saved, asked in PAIRS:
        if (saved, asked) in OVERLOOKED[library]:
            restored = files.load(folder / saved, STATES[asked].init(WEIGHTS))
            assert set(map(int, schedule_counts(restored).values())) == {4}
            continue
        fresh = STATES[asked].init(WEIGHTS)
        with pytest.raises(RuntimeError if library == "equinox" else ValueError):
            files.load(folder / saved, fresh)
        same(fresh, STATES[asked].init(WEIGHTS))


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("orbax", "hyperparams.b1:"),
        ("flax", "target dict contains keys {'b1'} which are not present in state dict at path "),
        (
            "equinox",
            "Error at leaf with path (GetAttrKey(name='inner_state'), SequenceKey(idx=0), ",
        ),
    ],
    indirect=["library"],
)
def test_what_a_refusal_says(files_with_states, library, says):
    # The momentum is cycled now, and wasn't when the state was saved.
    files, folder = files_with_states
    with pytest.raises(RuntimeError if library == "equinox" else ValueError) as error:
        files.load(folder / "adam, constant momentum", STATES["adam"].init(WEIGHTS))
    assert says in str(error.value)
