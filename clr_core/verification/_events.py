"""Read the scalars of TensorBoard's event files.

A file is a sequence of records: the length, its checksum, a message of protobuf, its checksum. Of
the messages only scalars are read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from clr_core._arguments import listed
from clr_core.verification._table import MAX_BYTES, Table

EVENT_FILE = "tfevents"
_CASTAGNOLI = 0x82F63B78
_FLOAT = 1  # DT_FLOAT
Message = dict[int, list[bytes | int]]


def read_events(path: Path, table: Table) -> None:
    """Add the scalars of a file, or of the files in a folder and the folders in it.

    Raises:
        OSError: A file can't be read.
        ValueError: There is none, they are too large, or one is corrupted; or several folders,
            which are several runs, have rates.
    """
    files = [path]
    if path.is_dir():  # A named pipe in it would wait for ever.
        files = sorted(file for file in path.rglob(f"*{EVENT_FILE}*") if file.is_file())
    if not files:
        raise ValueError(f"{path} must contain an event file of TensorBoard; it has none")
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise ValueError(f"{path} must have at most 256 MiB. Log fewer lines, or cut it.")
    table.float32, table.unit = True, ", scalar "
    scalars = [
        (wall, file.parent, step, tag, value)
        for file in files
        for wall, step, tag, value in _scalars(file)
        if table.has_rates([tag])
    ]
    folders = sorted({os.path.relpath(folder, path) for _, folder, *_ in scalars})
    if len(folders) > 1:
        raise ValueError(
            f"{path} must be the folder of one run; there are rates in several: {listed(folders)}"
        )
    # Files may overlap: one may have been started before another was finished.
    scalars.sort(key=itemgetter(0))
    for place, (_, _, step, tag, value) in enumerate(scalars, start=1):
        epochs = "epoch" in tag.lower()  # Keras's `epoch_learning_rate`.
        table.add(place, {tag: value, "epoch" if epochs else "step": step})


def _scalars(path: Path) -> Iterator[tuple[float, int, str, float]]:
    """The wall time, step, tag and value of each scalar."""
    left = path.stat().st_size
    with path.open("rb") as file:
        number = 0
        while True:
            head = file.read(12)
            left -= 16
            number += 1
            length, checksum = struct.unpack("<QI", head.ljust(12, b"\0"))
            if len(head) == 12 and _masked_crc32c(head[:8]) != checksum:
                raise ValueError(f"{path}, event {number}: it is corrupted (crc32c of its length)")
            if len(head) < 12 or length > left:
                return  # A run that was killed while writing, or is still writing.
            left -= length
            data = file.read(length)
            if _masked_crc32c(data) != int.from_bytes(file.read(4), "little"):
                raise ValueError(f"{path}, event {number}: it is corrupted (crc32c of its data)")
            try:
                yield from _of_event(_message(data))
            except (ValueError, IndexError, TypeError, struct.error):
                raise ValueError(f"{path}, event {number}: not an event") from None


def _of_event(event: Message) -> Iterator[tuple[float, int, str, float]]:
    (wall,) = struct.unpack("<d", _bytes(event[1][-1])) if 1 in event else (0.0,)
    step = int(event.get(2, [0])[-1])
    for summary in event.get(5, []):
        for each in _message(summary).get(1, []):
            value = _message(each)
            scalar = _scalar(value)
            if scalar is not None:
                yield wall, step - (step >> 63 << 64), _bytes(value[1][-1]).decode(), scalar


def _scalar(value: Message) -> float | None:
    if 2 in value:  # simple_value
        return float(struct.unpack("<f", _bytes(value[2][-1]))[0])
    if 8 in value:  # TensorFlow 2 writes tensors without a dimension.
        tensor = _message(value[8][-1])
        dimensions = _message(tensor[2][-1]).get(2) if 2 in tensor else None
        # tensor_content or float_val
        data = b"".join(_bytes(each) for each in tensor.get(4, tensor.get(5, [])))
        if tensor.get(1) == [_FLOAT] and not dimensions and len(data) == 4:
            return float(struct.unpack("<f", data)[0])
    return None


def _message(data: bytes | int) -> Message:
    """The fields of a protobuf message: integers, or the bytes of anything else."""
    data, at = _bytes(data), 0
    fields: Message = {}
    while at < len(data):
        key, at = _varint(data, at)
        value: bytes | int
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(key & 7)
            if key & 7 == 2:
                length, at = _varint(data, at)
            if length is None or at + length > len(data):
                raise ValueError
            value, at = data[at : at + length], at + length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at + shift // 7 + 1
    raise ValueError


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise TypeError
    return value


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def _masked_crc32c(data: bytes) -> int:
    crc = 2**32 - 1
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 2**32 - 1
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & (2**32 - 1)
