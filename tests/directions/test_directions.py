"""A run handed from one framework to another goes on as if nobody had touched it."""

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import oracle
from directions import relay

FRAMEWORKS = ("torch", "keras", "jax")
PAIRS = list(permutations(FRAMEWORKS, 2))
RUNS = [
    (optimizer, stretch, point)
    for optimizer in relay.OPTIMIZERS
    for stretch, (_, _, points) in relay.STRETCHES.items()
    for point in points
]
# The same definition everywhere; matrix products and means differ by the last bits of float32, in
# which the gradients, and hence the weights (of about 1), part by some 1e-7 in each update.
CLOSE = 1e-5


def work(framework, *arguments):
    """Runs a worker in a process of its own, as torch and TensorFlow need it."""
    script = Path(__file__).with_name(f"{framework}_worker.py")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """What each framework did alone, and left at each point."""
    folders = {framework: tmp_path_factory.mktemp(framework) for framework in FRAMEWORKS}
    for framework, folder in folders.items():
        work(framework, "begin", folder)
    return folders


@pytest.fixture(scope="module")
def gone_on(begun, tmp_path_factory):
    """What each framework made of what the others left."""
    folders = {pair: tmp_path_factory.mktemp("-to-".join(pair)) for pair in PAIRS}
    for target in FRAMEWORKS:
        pairs = [
            (begun[source], folders[source, target]) for source in FRAMEWORKS if source != target
        ]
        work(target, "go_on", *(folder for pair in pairs for folder in pair))
    return folders


def expected(stretch, steps):
    """The rates and momenta of the oracle, as float32."""
    schedule = relay.SCHEDULES[stretch].to_dict()
    return np.array(
        [
            [oracle.to_float32(curve(schedule, step)) for curve in (oracle.lr, oracle.momentum)]
            for step in steps
        ],
        np.float32,
    )


def differing(used, stretch, steps):
    return np.flatnonzero((used != expected(stretch, steps)).any(axis=1)).tolist()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_alone(begun, framework):
    for optimizer in relay.OPTIMIZERS:
        for stretch, (first, last, _) in relay.STRETCHES.items():
            used = np.load(begun[framework] / optimizer / stretch / "used.npy")
            assert len(used) == last - first
            assert differing(used, stretch, range(first, last)) == []


@pytest.mark.parametrize(("optimizer", "stretch", "point"), RUNS)
@pytest.mark.parametrize("pair", PAIRS, ids="-to-".join)
def test_handed_over(begun, gone_on, pair, optimizer, stretch, point):
    _, last, _ = relay.STRETCHES[stretch]
    place = gone_on[pair] / optimizer / stretch / str(point)
    used = np.load(place / "used.npy")
    assert len(used) == last - point
    assert differing(used, stretch, range(point, last)) == []

    uninterrupted = begun[pair[0]] / optimizer / stretch / "end"
    records = [(folder / "record.json").read_bytes() for folder in (place, uninterrupted)]
    assert records[0] == records[1]
    for array, other in zip(*map(relay.read_weights, (place, uninterrupted)), strict=True):
        np.testing.assert_allclose(array, other, rtol=0, atol=CLOSE)


def test_without_its_moments_a_run_is_another(begun, tmp_path):
    """The bound above is one that a run without its momentum does not keep."""
    from clr_core.moments import Moments

    for optimizer in relay.OPTIMIZERS:
        place = begun["torch"] / optimizer / "early" / "15"
        moments = Moments.read(place / "moments.npz")
        (place / "moments.npz").rename(tmp_path / f"{optimizer}.npz")
        moments.rearranged(lambda arrays: [0 * array for array in arrays]).write(
            place / "moments.npz"
        )
    work("torch", "go_on", begun["torch"], tmp_path / "out")
    for optimizer in relay.OPTIMIZERS:
        place = begun["torch"] / optimizer / "early"
        (tmp_path / f"{optimizer}.npz").rename(place / "15" / "moments.npz")
        ends = map(relay.read_weights, (place / "end", tmp_path / "out" / optimizer / "early/15"))
        gaps = [np.abs(array - other).max() for array, other in zip(*ends, strict=True)]
        assert max(gaps) > 100 * CLOSE


def test_a_shift_by_one_step_shows(begun, tmp_path):
    """The comparison of the rates is one that a run late by a step does not pass."""
    # Adam's moments are refused at another step, so that it is torch which takes them.
    work("torch", "shifted", begun["jax"], tmp_path, 1)
    for optimizer, stretch, point in RUNS:
        _, last, _ = relay.STRETCHES[stretch]
        used = np.load(tmp_path / optimizer / stretch / str(point) / "used.npy")
        assert len(differing(used, stretch, range(point, last))) > 5
