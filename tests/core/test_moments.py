"""Moments as plain arrays: refusals, files, and the checks that adapters share."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import pytest


@pytest.fixture
def moments(np):
    from clr_core.moments import Moments

    random = np.random.default_rng(3)
    shapes = [(2, 3), (3,), ()]
    slots = {
        name: [random.normal(size=shape).astype(np.float32) for shape in shapes]
        for name in ("first", "second")
    }
    return Moments("adam", 17, slots)


def same(np, one, other):
    return (
        (one.kind, one.count, list(one.slots)) == (other.kind, other.count, list(other.slots))
        and all(map(len, one.slots.values()))
        and all(
            np.array_equal(a, b) and a.dtype == b.dtype
            for name in one.slots
            for a, b in zip(one.slots[name], other.slots[name], strict=True)
        )
    )


def test_a_file_gives_back_what_was_written(np, moments, tmp_path):
    path = tmp_path / "moments.npz"
    moments.write(path)
    assert same(np, type(moments).read(path), moments)
    assert os.listdir(tmp_path) == ["moments.npz"]


def test_rearranged_turns_every_slot(np, moments):
    turned = moments.rearranged(lambda arrays: [arrays[1], arrays[0].T, arrays[2]])
    assert [array.shape for array in turned.slots["second"]] == [(3,), (3, 2), ()]
    assert np.array_equal(turned.slots["second"][1], moments.slots["second"][0].T)
    back = turned.rearranged(lambda arrays: [arrays[1].T, arrays[0], arrays[2]])
    assert same(np, back, moments)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "adagrad"}, "`kind` must be one of 'sgd', 'sgd-keras', 'adam'. Received: kind="),
        ({"count": -1}, "`count` must be at least 0. Received: count=-1"),
        ({"slots": {"first": []}}, "`slots` must have first and second. Received: first"),
        ({"slots": {"first": [1.0], "second": []}}, "`slots` must have the same shapes"),
    ],
)
def test_refusals(moments, arguments, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        replace(moments, **arguments)


def test_a_count_is_an_integer(moments):
    with pytest.raises(TypeError, match="`count` must be an integer"):
        type(moments)("sgd", 1.5, {"velocity": []})


def test_other_arrays_than_floats(np, moments):
    with pytest.raises(TypeError, match="must have arrays of float16, float32, float64"):
        type(moments)("sgd", 1, {"velocity": [np.array([1, 2])]})


class Hostile:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_a_pickle_is_not_executed(np, moments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Hostile()))
    np.savez(tmp_path / "object.npz", kind=np.array(Hostile(), dtype=object), count=1)
    for name in ("pickle.npz", "object.npz"):
        with pytest.raises(ValueError, match="must hold moments as an"):
            type(moments).read(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_a_file_cut_short_is_refused(moments, tmp_path):
    path = tmp_path / "moments.npz"
    moments.write(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 31):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must hold moments as an"):
            type(moments).read(path)


def test_what_was_there_stays_where_writing_fails(moments, tmp_path):
    path = tmp_path / "moments.npz"
    moments.write(path)
    before = path.read_bytes()

    moments.rearranged(list)
    script = f"""
import resource, sys
from clr_core.moments import Moments
moments = Moments.read({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    moments.write({str(path)!r})
except OSError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert done.stdout == "OSError\n", done.stderr
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["moments.npz"]
