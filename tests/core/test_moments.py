"""Moments as plain arrays: refusals, files, and the checks that adapters share."""

import importlib
import math
import os
import pickle
import re
import tracemalloc
from copy import copy
from dataclasses import replace
from functools import partial
from zipfile import ZipFile

import pytest


@pytest.fixture
def core(np):
    """The module, which needs NumPy."""
    return importlib.import_module("clr_core.moments")


@pytest.fixture
def moments(np, core):
    random = np.random.default_rng(3)
    shapes = [(2, 3), (3,), ()]
    slots = {
        name: [random.normal(size=shape).astype(np.float32) for shape in shapes]
        for name in ("first", "second")
    }
    return core.Moments("adam", 17, slots)


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


def test_the_text_for_people_is_short(np, moments):
    assert repr(moments) == (
        "Moments('adam', count=17: first and second of 3 parameters, 20 numbers, 80 bytes)"
    )
    assert type(moments)("sgd", 0, {"velocity": [np.zeros(3)]}).count == 0
    large = type(moments)("sgd", 10**6, {"velocity": [np.zeros((100, 1000))] * 1000})
    assert repr(large) == (
        "Moments('sgd', count=1000000: velocity of 1000 parameters, 100000000 numbers, "
        "800000000 bytes)"
    )


@pytest.mark.parametrize("name", ["file", "a/b", "../x", "layer.weight", "größe", "kwds", ""])
def test_arrays_have_any_name(core, np, tmp_path, name):
    arrays = {name: np.arange(3), "z": np.eye(2)[:, :1], "a": np.array(1.5)}
    core.write_arrays(tmp_path / "weights.npz", arrays)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as read:
        assert list(read) == list(arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(read[key], array, strict=True)


def test_arrays_that_cannot_be_written(core, np, tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"before")
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        core.write_arrays(tmp_path / "weights.npz", {"a": np.array([None])})
    with pytest.raises(ValueError, match=r"`path` must end in \.npz\. Received: path='weights'"):
        core.write_arrays("weights", {})
    assert (tmp_path / "weights.npz").read_bytes() == b"before"


def test_comparing_compares_no_arrays(moments):
    """The truth of whole arrays is ambiguous, and NumPy refuses it."""
    assert moments == moments
    assert moments != replace(moments)
    assert len({moments, replace(moments)}) == 2


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
        (
            {"slots": {"first": [], "second": [], 3: []}},
            "`slots` must have first and second. Received: first, second, 3",
        ),
        (
            {"slots": {"first": [1.0], "second": []}},
            "`slots` must have the same shapes in each. Received: {'first': [()], 'second': []}",
        ),
    ],
)
def test_refusals(moments, arguments, complaint):
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
        replace(moments, **arguments)


def test_other_arrays_than_floats(np, moments):
    arrays = [np.ones(2), np.array([1, 2]), np.array([True])]
    with pytest.raises(TypeError) as caught:
        type(moments)("sgd", 1, {"velocity": arrays})
    assert str(caught.value) == (
        "`slots` must have arrays of float16, float32, float64. Received: bool, int64"
    )


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


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "adagrad"},
        {"count": [1, 2]},
        {"count": math.inf},
        {"count": None},
        {"velocity/0": [1, 2]},
        {"velocity/0": None, "velocity/1": [1.0]},
    ],
    ids=str,
)
def test_another_files_arrays_are_refused(np, moments, tmp_path, change):
    arrays = {"kind": "sgd", "count": 1, "velocity/0": [1.0], **change}
    path = tmp_path / "moments.npz"
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match="must hold moments as an"):
        type(moments).read(path)


def test_a_damaged_file_has_one_kind_of_error(np, moments, tmp_path):
    """Some changes do no harm, such as one of a time stamp or of a number."""
    path = tmp_path / "moments.npz"
    moments.write(path)
    whole, errors = path.read_bytes(), []
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            type(moments).read(path)
        except (ValueError, OSError) as error:  # An OSError: an entry would lie before the file.
            errors.append(error)
    assert len(errors) > len(whole) / 3 / 4
    for error in errors:
        assert isinstance(error, OSError) or "must hold moments as an .npz: " in str(error)


def compressed(np, path):
    np.savez_compressed(path, kind="sgd", count=1, **{"velocity/0": np.zeros(2**20)})


def overlapping(np, path):
    """Many names of one array."""
    compressed(np, path)
    with ZipFile(path) as archive, ZipFile(path, "a") as more:
        for index in range(1, 100):
            info = copy(archive.getinfo("velocity/0.npy"))
            info.filename = f"velocity/{index}.npy"
            more.filelist.append(info)
        more._didModify = True


def claiming(np, path, **claim):
    with ZipFile(path, "w") as archive, archive.open("velocity/0.npy", "w") as member:
        header = {"descr": "<f8", "fortran_order": False, "shape": (), **claim}
        np.lib.format.write_array_header_1_0(member, header)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (compressed, "its arrays are larger than the file: it is damaged or compressed"),
        (overlapping, "its arrays are larger than the file: it is damaged or compressed"),
        (partial(claiming, shape=(20,)), "an array has fewer bytes than it claims: the file "),
        (partial(claiming, shape=(2**27,)), "an array has fewer bytes than it claims: the file "),
        (partial(claiming, shape=(2**20,) * 9), "an array has fewer bytes than it claims: the f"),
        (partial(claiming, descr=f"<U{2**28}"), "an array has fewer bytes than it claims: the f"),
    ],
)
def test_a_file_that_claims_too_much(np, moments, tmp_path, make, reason):
    path = tmp_path / "moments.npz"
    make(np, path)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"must hold moments as an .npz: {reason}"):
        type(moments).read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_cannot_be_read(moments, tmp_path):
    read = type(moments).read
    with pytest.raises(TypeError, match=r"^`path` must be a path\. Received: path=3$"):
        read(3)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match=r"as an \.npz: it isn't a regular file$"):
        read(tmp_path / "pipe.npz")


FITTING = {"kind": "adam", "owner": "an Adam", "shapes": [(2, 3), (3,), ()]}


@pytest.mark.parametrize("shapes", [[(2, 3), (3,), ()], [[2, 3], [3], []]], ids=["tuples", "lists"])
def test_moments_that_fit(core, moments, shapes):
    core.check_moments(moments, "adam", "an Adam", shapes)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"kind": "sgd"}, "must be of the kind 'sgd' for an Adam. Received: kind='adam'$"),
        ({"shapes": [(2, 3)]}, "for each of the 1 parameters. Received: 3 in 'first'$"),
        ({"shapes": [], "what": "variables"}, "for each of the 0 variables. Received: 3 in"),
        (
            {"shapes": [(3, 2), (3,), ()]},
            r"the shape \(3, 2\) in array 0. Received: \(2, 3\) in 'first'. `moments.rearranged`",
        ),
        ({"shapes": [(2, 3), (3,), (1,)]}, r"the shape \(1,\) in array 2. Received: \(\) in"),
    ],
)
def test_moments_that_do_not_fit(core, moments, changed, complaint):
    with pytest.raises(ValueError, match=complaint):
        core.check_moments(moments, **FITTING | changed)


@pytest.mark.parametrize(("given", "wanted"), [("sgd", "sgd-keras"), ("sgd-keras", "sgd")])
def test_the_two_velocities(core, np, given, wanted):
    moments = core.Moments(given, 1, {"velocity": [np.ones(2)]})
    message = "contains the rate of each update, so that neither .*'sgd' with torch_velocity=True"
    with pytest.raises(ValueError, match=message):
        core.check_moments(moments, wanted, "an SGD", [(2,)])
    with pytest.raises(ValueError, match=f"Received: kind='{given}'$"):
        core.check_moments(moments, "adam", "an Adam", [(2,)])


def test_something_else_than_moments(core):
    message = r"^`moments` must be a clr_core\.Moments\. Received: moments=3$"
    with pytest.raises(TypeError, match=message):
        core.check_moments(3, "adam", "an Adam", [])


@pytest.mark.parametrize(
    ("given", "stored", "count"), [(None, 3, 3), (3, 3, 3), (3, None, 3), (0, None, 0)]
)
def test_the_count(core, given, stored, count):
    assert core.agreed_count(given, stored, "optimizer") == count


@pytest.mark.parametrize(
    ("given", "stored", "kind", "complaint"),
    [
        (None, None, ValueError, "`count` must be given, since .*to_moments(state, count=record."),
        (2, 3, ValueError, "`count` must be Adam's, 3. Received: count=2"),
        (0, 3, ValueError, "`count` must be Adam's, 3. Received: count=0"),
        (1.5, None, TypeError, "`count` must be an integer. Received: count=1.5"),
        (True, 1, TypeError, "`count` must be an integer. Received: count=True"),
    ],
)
def test_a_count_that_is_refused(core, given, stored, kind, complaint):
    with pytest.raises(kind, match=complaint.replace("(", r"\(")):
        core.agreed_count(given, stored, "state")
