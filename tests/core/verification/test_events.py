"""Event files of TensorBoard, byte by byte."""

import os
import struct

import pytest

from clr_core import read_rates

from .test_right_runs import event, record, varint


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def tensor_event(step, *, dtype=1, content=b"", packed=b"", unpacked=b"", dims=b""):
    tensor = b"\x08" + bytes([dtype]) + (field(2, dims) if dims else b"")
    tensor += field(4, content) if content else b""
    tensor += field(5, packed) if packed else b""
    tensor += b"\x2d" + unpacked if unpacked else b""
    value = field(1, b"lr") + field(8, tensor)
    return record(
        b"\x09" + struct.pack("<d", step) + b"\x10" + varint(step) + field(5, field(1, value))
    )


FLOAT = struct.pack("<f", 0.5)


@pytest.mark.parametrize(
    "tensor",
    [{"content": FLOAT}, {"packed": FLOAT}, {"unpacked": FLOAT}],
    ids=lambda each: next(iter(each)),
)
def test_tensors_of_one_float(tmp_path, tensor):
    path = tmp_path / "events.out.tfevents.1"
    others = [
        tensor_event(7, dtype=2, content=FLOAT),
        tensor_event(8, content=FLOAT * 2),
        tensor_event(9, content=FLOAT, dims=field(2, b"\x08\x01")),
        record(b"\x09" + struct.pack("<d", 0.0) + b"\x1a\x0dbrain.Event:2"),
    ]
    path.write_bytes(b"".join([*others, tensor_event(3, **tensor), event(300, "lr", 0.25)]))
    # By the time at which they were written.
    assert read_rates(path)[:2] == ([300, 3], [0.25, 0.5])
    assert str(read_rates(path).resolution) == "float32"  # Though one digit tells them.


def test_of_a_number_that_is_there_twice_the_last_counts(tmp_path):
    # As the format, Protocol Buffers, says.
    value = field(1, b"lr") + b"\x15" + struct.pack("<f", 0.25) + b"\x15" + FLOAT
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(
        record(b"\x09" + struct.pack("<d", 3) + b"\x10\x02\x10\x03" + field(5, field(1, value)))
    )
    assert read_rates(path)[:2] == ([3], [0.5])
    # A tensor with one dimension, and then with none.
    tensor = b"\x08\x01" + field(2, field(2, b"\x08\x01")) + field(2, b"") + field(4, FLOAT)
    value = field(1, b"lr") + field(8, tensor)
    path.write_bytes(record(b"\x10\x04" + field(5, field(1, value))))
    assert read_rates(path)[:2] == ([4], [0.5])


def test_an_event_without_a_time_comes_first(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    scalar = field(5, field(1, field(1, b"lr") + b"\x15" + FLOAT))
    at_1, at_0 = (tensor_event(time, content=FLOAT) for time in (1, 0))
    path.write_bytes(at_1 + at_0 + record(b"\x10\x04" + scalar))
    assert read_rates(path).steps == [0, 4, 1]  # 0 is the format's default.


def test_what_is_wrong_with_an_event(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    whole = event(0, "lr", 0.25) + event(1, "lr", 0.5)
    for cut in range(1, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        assert read_rates(path).lrs == [0.25]  # It was killed while writing.
    for place in range(len(whole) // 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"event 1: it is corrupted \(crc32c"):
            read_rates(path)
    for data in (
        b"\x2a\x7f",
        b"\x2a",
        b"\xff" * 11,
        b"\x0b",
        b"\x29abc",
        field(5, b"\x08\x01"),
    ):
        path.write_bytes(record(data))
        with pytest.raises(ValueError, match="event 1: not an event"):
            read_rates(path)
    path.write_bytes(whole[: len(whole) // 2] + record(b"\x09" + bytes(8) + b"\x7b\x00"))
    with pytest.raises(ValueError, match="event 2: not an event"):  # The start of a group.
        read_rates(path)
    # A claim of 2**64 - 1 bytes takes no memory.
    claim = struct.pack("<Q", 2**64 - 1)
    path.write_bytes(claim + b"abcdefg")
    with pytest.raises(ValueError, match=r"event 1: it is corrupted \(crc32c of its length"):
        read_rates(path)


@pytest.mark.parametrize("step", [-1, 127, 128, 2**14, 2**53])
def test_a_step(tmp_path, step):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(event(step, "lr", 0.25))
    assert read_rates(path).steps == [step]


def test_a_folder_above_the_event_files(tmp_path):
    path = tmp_path / "runs" / "one" / "events.out.tfevents.1"
    path.parent.mkdir(parents=True)
    path.write_bytes(event(0, "lr", 0.25))
    # A named pipe would wait for its writer for ever.
    os.mkfifo(path.with_name("x.tfevents.2"))
    assert read_rates(tmp_path).lrs == [0.25]
    with pytest.raises(ValueError, match="must be a file or a folder"):
        read_rates(path.with_name("x.tfevents.2"))
    other = tmp_path / "runs" / "two" / "events.out.tfevents.1"
    other.parent.mkdir()
    other.write_bytes(event(0, "loss", 0.5))
    assert read_rates(tmp_path).lrs == [0.25]
    other.write_bytes(event(0, "lr", 0.5))
    with pytest.raises(
        ValueError, match=r"the folder of one run; .* several: 'runs/one', 'runs/two'"
    ):
        read_rates(tmp_path)
