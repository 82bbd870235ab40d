"""Checkpoints with anything beside the states are read, whatever it is."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pickle
import random
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from clr_torch import CyclicLR, read_moments, read_record, read_weights, to_moments, to_record
from needs import needs


@dataclasses.dataclass
class Options:
    lr: float
    inner: object = None


class Color(enum.Enum):
    RED = 1


class Attributes(dict):
    __getattr__ = dict.__getitem__


class Marked(torch.Tensor):
    pass


Pair = collections.namedtuple("Pair", "first second")


def begun(kind=CyclicLR):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = kind(optimizer, 0.1, 0.5, 3, mode="triangular2", cycle_momentum=False)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return model, optimizer, scheduler


MODEL, OPTIMIZER, SCHEDULER = begun()
LAYER = torch.nn.Linear(2, 2)
SCALARS = {
    "a NumPy float": np.float64(3),
    "a NumPy float32": np.float32(3),
    "a NumPy integer": np.int64(3),
    "a NumPy bool": np.bool_(True),
    "a NumPy date": np.datetime64("2020-01-01"),
    "an enum": Color.RED,
    "a dtype": torch.float32,
    "a device": torch.device("cpu"),
    "a layout": torch.strided,
    "a size": torch.Size([2, 3]),
    "a complex": 1 + 2j,
    "bytes": bytes(300),
    "a bytearray": bytearray(b"x"),
    "a large integer": 10**100,
    "a date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "a decimal": decimal.Decimal("1.5"),
    "a path": Path("x/y"),
    "a function": functools.reduce,
    "a partial": functools.partial(print, 1),
    "a class": dict,
    "an error": ValueError("x"),
}
CONTAINERS = {
    "a Namespace": argparse.Namespace(a=1, b=[2]),
    "a SimpleNamespace": types.SimpleNamespace(a=1),
    "a defaultdict": collections.defaultdict(list, a=[1]),
    "an OrderedDict": collections.OrderedDict(a=1),
    "a Counter": collections.Counter("aab"),
    "a deque": collections.deque([1, 2], maxlen=3),
    "a dict with attributes": Attributes(a=1),
    "a dataclass": Options(0.1, Options(0.2)),
    "a namedtuple": Pair(1, {"x": 2}),
    "a set": {1, (2, 3)},
    "a frozenset": frozenset([1]),
    "a range": range(3),
    "a tuple as a key": {(1, 2): 3, None: 4},
    "an array": np.arange(6.0).reshape(2, 3, order="F"),
    "an array of text": np.array(["a"]),
    "an array of objects": np.array([1, "a"], dtype=object),
    "a record array": np.zeros(2, dtype=[("a", "f4")]),
    "a masked array": np.ma.array([1, 2], mask=[0, 1]),
    "NumPy's generator": np.random.default_rng(1),
    "NumPy's state": np.random.RandomState(1).get_state(),
    "Python's generator": random.Random(3),
    "torch's state": torch.get_rng_state(),
}
SAVED_UINT16 = needs("files with a torch.uint16", torch.uint16 in torch.storage._new_dtypes())
TENSORS = {
    "a parameter": torch.nn.Parameter(torch.ones(2)),
    "a subclass": torch.ones(2).as_subclass(Marked),
    "a bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "a float8": torch.ones(3).to(torch.float8_e4m3fn),
    "a uint16": pytest.param(torch.ones(2).to(torch.uint16), marks=SAVED_UINT16),
    "a conjugate": torch.ones(2, dtype=torch.complex64).conj(),
    "a sparse tensor": torch.eye(3).to_sparse(),
    "a tensor without data": torch.ones(3, device="meta"),
    "a storage": torch.ones(3).untyped_storage(),
    "a module": LAYER,
    "a module in parallel": torch.nn.DataParallel(LAYER),
    "an average": torch.optim.swa_utils.AveragedModel(LAYER),
    "an optimizer": torch.optim.Adam(LAYER.parameters()),
    "transforms": [torch.nn.ReLU(), torch.nn.CrossEntropyLoss()],
}
FOREIGN = SCALARS | CONTAINERS | TENSORS
SAVES = {
    "zip": torch.save,
    "legacy": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
    "pickle 2": lambda value, path: path.write_bytes(pickle.dumps(value, 2)),
    "pickle 5": lambda value, path: path.write_bytes(pickle.dumps(value, 5)),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.filterwarnings("ignore")  # Torch's own, about storages.
def test_beside_it(tmp_path, value, save):
    path = tmp_path / "checkpoint.pt"
    states = {
        "model": MODEL.state_dict(),
        "optimizer": OPTIMIZER.state_dict(),
        "scheduler": SCHEDULER.state_dict(),
    }
    save({"first": value, **states, "last": [value]}, path)
    assert read_record(path, key="scheduler") == to_record(SCHEDULER)
    moments, expected = read_moments(path, key="optimizer"), to_moments(OPTIMIZER, count=5)
    assert moments.count == 5
    for mine, theirs in zip(moments.slots["velocity"], expected.slots["velocity"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    weights = read_weights(path, key="model")
    assert list(weights) == list(MODEL.state_dict())
    for name, tensor in MODEL.state_dict().items():
        np.testing.assert_array_equal(weights[name], tensor.numpy(), strict=True)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: argparse.Namespace(scheduler=state),
        lambda state: Options(0.1, {"scheduler": state}),
        lambda state: Attributes(scheduler=state),
        lambda state: Pair(1, state),
        lambda state: collections.defaultdict(dict, scheduler=state),
        lambda state: collections.deque([state]),
    ],
    ids=["Namespace", "dataclass", "dict", "namedtuple", "defaultdict", "deque"],
)
def test_a_state_within_another_object(tmp_path, wrap):
    torch.save({"run": wrap(SCHEDULER.state_dict())}, tmp_path / "run.pt")
    assert read_record(tmp_path / "run.pt") == to_record(SCHEDULER)


def test_rates_of_numpy(tmp_path):
    scheduler = lr_scheduler.CyclicLR(
        OPTIMIZER, np.float64(0.1), np.float64(0.5), np.int64(3), cycle_momentum=False
    )
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    assert read_record(tmp_path / "scheduler.pt") == to_record(scheduler)


def test_rates_that_are_tensors(tmp_path):
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weights], lr=torch.tensor(0.1))
    scheduler = lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 3, cycle_momentum=False)
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    assert read_record(tmp_path / "scheduler.pt") == to_record(scheduler)


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
@pytest.mark.filterwarnings("ignore")
def test_objects_saved_whole(tmp_path, save):
    """Of a whole module, optimizer or scheduler of torch the content is read."""
    model, optimizer, scheduler = begun(lr_scheduler.CyclicLR)
    path = tmp_path / "run.pt"
    save({"scheduler": scheduler, "model": torch.nn.DataParallel(model)}, path)
    assert read_record(path) == to_record(scheduler)
    assert list(read_weights(path)) == [f"module.{name}" for name in model.state_dict()]
    save(optimizer, path)
    moments = read_moments(path, count=5)
    for mine, theirs in zip(
        moments.slots["velocity"], to_moments(optimizer, 5).slots["velocity"], strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


WRITTEN = Path(__file__).with_name("checkpoints")
EXPECTED = {
    "accelerate/scheduler.bin": (read_record, (6, 0.1)),
    "accelerate/optimizer.bin": (read_moments, ("sgd", 6, [(2, 2), (2,)])),
    "accelerate/pytorch_model.bin": (read_weights, {"weight": (2, 2), "bias": (2,)}),
    "accelerate/random_states_0.pkl": (read_record, None),
    "transformers/scheduler.pt": (read_record, (5, 0.01)),
    "transformers/optimizer.pt": (read_moments, ("adam", 5, [(2, 2), (2,)])),
    "transformers/training_args.bin": (read_record, None),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_hugging_face(name):
    read, expected = EXPECTED[name]
    path = WRITTEN / name
    if expected is None:
        with pytest.raises(ValueError, match="Received: none"):
            read(path)
    elif read is read_record:
        record = read(path)
        assert (record.step, record.schedule.base_lr) == expected
    elif read is read_moments:
        moments = read(path, count=expected[1])
        first, *_ = moments.slots.values()
        assert (moments.kind, moments.count, [each.shape for each in first]) == expected
    else:
        assert {key: array.shape for key, array in read(path).items()} == expected


def test_every_file_is_read():
    found = {str(path.relative_to(WRITTEN)) for path in WRITTEN.rglob("*.*")}
    assert found == set(EXPECTED)
