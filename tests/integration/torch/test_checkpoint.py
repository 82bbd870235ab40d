"""Files become records: nothing in a file runs, and the file stays as it was."""

import io
import os
import pickle
import sys
import types
import zipfile

import pytest
import torch
from torch.optim import lr_scheduler

from clr_torch import (
    CyclicLR,
    read_hyperparameters,
    read_moments,
    read_record,
    read_weights,
    to_record,
)

KINDS = {"ours": CyclicLR, "torch": lr_scheduler.CyclicLR}


def begun(kind="ours", steps=5, **arguments):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))], betas=(0.9, 0.99))
    scheduler = KINDS[kind](
        optimizer,
        **{"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "mode": "triangular2"} | arguments,
    )
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return scheduler


@pytest.mark.filterwarnings("ignore:The lr scheduler")
@pytest.mark.parametrize("arguments", [{}, {"mode": "triangular", "scale_fn": abs}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_scheduler_that_was_saved_whole(tmp_path, kind, arguments):
    scheduler, path = begun(kind, 1, **arguments), tmp_path / "scheduler.pt"
    scheduler.max_lrs[0] = 0.5  # A list that was touched is saved too.
    torch.save({"epoch": 3, "scheduler": scheduler}, path)
    if not arguments:
        assert read_record(path) == to_record(scheduler)
    else:
        with pytest.raises(TypeError, match=r"this is one: builtins\.abs\. Give the decay"):
            read_record(path)
        assert read_record(path, scale_fn="abs(x)") == to_record(scheduler, scale_fn="abs(x)")


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_in_a_protocol_that_torch_reads_with_a_warning_or_by_running_it(tmp_path, protocol):
    scheduler, path = begun(), tmp_path / "scheduler.pt"
    torch.save(scheduler.state_dict(), path, pickle_protocol=protocol)
    assert read_record(path) == to_record(scheduler)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_without_torch(tmp_path, protocol):
    scheduler, path = begun(), tmp_path / "scheduler.pkl"
    path.write_bytes(pickle.dumps({"scheduler": scheduler.state_dict()}, protocol))
    assert read_record(path) == to_record(scheduler)
    path.write_bytes(path.read_bytes() + b"N.")
    with pytest.raises(ValueError, match=r"isn't a whole file from `torch\.save`$"):
        read_record(path)


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    path, content = tmp_path / "scheduler.pt", saved(begun().state_dict())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in zipfile.ZipFile(io.BytesIO(content)).infolist():
            archive.writestr(each.filename, zipfile.ZipFile(io.BytesIO(content)).read(each))
    with pytest.raises(ValueError, match=r": it is compressed, which torch\.save never does$"):
        read_record(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_checkpoint(tmp_path, kind, zipped):
    scheduler, path = begun(kind), tmp_path / "checkpoint.pt"
    checkpoint = {
        "epoch": 3,
        "last_epoch": 3,
        "model": torch.nn.Linear(2, 2).state_dict(),
        "optimizer": scheduler.optimizer.state_dict(),
        "training": {"schedulers": [scheduler.state_dict()]},
    }
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    assert read_record(path) == read_record(str(path)) == to_record(scheduler)
    assert read_record(path, key="training.schedulers.0") == to_record(scheduler)


class Runs:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


class Sneaks(Runs):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({self.folder!r})",)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def itself():
    endless = {"kind": "cyclic"}
    endless["base_lr"] = [endless]
    return [endless]


BROKEN = {
    "empty": b"",
    "text": b"base_lr: 0.1\nmax_lr: 0.5\n",
    "json": b'{"format": "cyclical-lr/1", "step": 3}',
    "binary": bytes(range(256)) * 40,
    "zip": b"PK\3\4" + bytes(100),
    "a tensor": lambda: saved(torch.ones(3)),
    "a tensor of 10**12 numbers": lambda: saved(torch.zeros(1).expand(10**12)),
    "nothing of a scheduler": lambda: saved({"model": {"weight": torch.ones(3)}}),
    "a module": lambda: saved(torch.nn.Linear(2, 2)),
    "a class of one's own": lambda: saved({"options": types.SimpleNamespace(a=1)}),
    "huge names": lambda: saved(begun("torch").state_dict() | {"mode": "x\n" * 10**6}),
    "huge keys": lambda: saved({"x" * 10**6: {"_step_count": 1, "y" * 10**6: 1}}),
    "a huge number": lambda: saved(begun("torch").state_dict() | {"last_epoch": 10**5000}),
    "a schedule in many places": lambda: saved(
        begun().state_dict()
        | {"schedules": [{"kind": "cyclic", "base_lr": [[[0] * 1000] * 1000] * 1000}]}
    ),
    "a schedule with itself in it": lambda: saved(begun().state_dict() | {"schedules": itself()}),
    "a broken schedule": lambda: saved(begun().state_dict() | {"schedules": [{"kind": "x\ny"}]}),
    "a tensor for a rate": lambda: saved(
        begun("torch").state_dict() | {"base_lrs": [torch.eye(9)]}
    ),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_such_file(tmp_path, content):
    content, path = content if isinstance(content, bytes) else content(), tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises((TypeError, ValueError)) as caught:
        read_record(path)
    message = str(caught.value)
    assert message.startswith(f"{str(path)!r} must hold the state of a scheduler: ")
    assert "\n" not in message
    assert len(message) < 1500
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file.pt"]


@pytest.mark.parametrize("kind", [Runs, Sneaks])
@pytest.mark.parametrize(
    "save",
    [
        saved,
        lambda value: saved(value, _use_new_zipfile_serialization=False),
        lambda value: pickle.dumps(value, 2),
        lambda value: pickle.dumps(value, 0),
        pickle.dumps,
    ],
    ids=["zip", "legacy", "pickle 2", "pickle 0", "pickle of today"],
)
def test_nothing_in_it_runs(tmp_path, save, kind):
    path, made = tmp_path / "file.pt", tmp_path / "made"
    content = save(kind(str(made)))
    path.write_bytes(content)
    message = r"but an object of (posix\.mkdir|nt\.mkdir|builtins\.eval), which isn't plain"
    with pytest.raises(ValueError, match=message):
        read_record(path)
    assert not made.exists()
    assert path.read_bytes() == content
    pickle.loads(pickle.dumps(kind(str(made))))
    assert made.exists()  # Otherwise it would have run.


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_that_was_cut_short(tmp_path, zipped):
    whole = saved({"scheduler": begun().state_dict()}, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "file.pt"
    path.write_bytes(whole)
    read_record(path)
    for length in range(0, len(whole) - 1, 13):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^'\S*' must hold [^\n]*$"):
            read_record(path)


def test_a_byte_that_was_changed(tmp_path):
    whole = bytearray(saved({"scheduler": begun("torch").state_dict()}))
    path, expected = tmp_path / "file.pt", to_record(begun("torch"))
    for index in range(0, len(whole), 17):
        whole[index] ^= 0xFF
        path.write_bytes(whole)
        try:
            record = read_record(path)
        except (TypeError, ValueError) as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:  # Padding between the members of the archive may change.
            assert record == expected, index
        whole[index] ^= 0xFF


@pytest.mark.parametrize("head", [b"", b"PK\3\4", b"\x80\x02"], ids=["zeros", "zip", "pickle"])
def test_a_gigabyte(tmp_path, head):
    path = tmp_path / "file.pt"
    path.write_bytes(head)
    os.truncate(path, 2**30)  # A sparse file takes no space on disk.
    with pytest.raises(ValueError, match=r"it isn't a whole file from `torch\.save`$"):
        read_record(path)
    assert path.stat().st_size == 2**30


@pytest.mark.parametrize("read", [read_record, read_moments, read_weights, read_hyperparameters])
def test_no_file(tmp_path, read):
    for path in (None, 3, io.BytesIO()):
        with pytest.raises(TypeError, match=r"^`path` must be a path\. Received: path="):
            read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r"must hold .*: it isn't a regular file$"):
        read(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders.")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it isn't a regular file"):
        read_record(tmp_path / "pipe")
