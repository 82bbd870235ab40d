"""Read the steps and rates of a run from what loggers write, and how finely they are given."""

from __future__ import annotations

import csv
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from clr_core._arguments import LARGEST_STEP, received
from clr_core._float32 import float32

MAX_BYTES = 2**28  # 256 MiB: some ten million lines.
STEP_NAMES = ("step", "global_step", "_step", "iteration", "iterations", "update", "updates")
RATE_NAMES = ("lr", "learning_rate")
# Lightning's monitor logs these beside the rate, under names that start like the rate's.
NOT_RATES = ("-momentum", "-weight_decay")
EVENT_FILE = "tfevents"


# With so many digits or fewer, a decimal number may stand for a float32 (`repr` of one has at most
# nine), so that float32's own rounding comes on top of the decimal one.
FLOAT32_DIGITS = 9
MOST_DIGITS = 17  # `repr` of a float64 needs no more.
MOST_DECIMALS = 400  # float64 has no smaller numbers than 5e-324.


@dataclass(frozen=True)
class Resolution:
    """The rounding that the rates of a log went through: to digits, to float32, or to float64.

        >>> log = Resolution.of_texts(["1.00e-03", "1.25e-03", "1.50e-03"])
        >>> print(log)
        3 digits
        >>> round(log.half_unit(0.00125), 10)
        5.0001e-06

    A rate may be off by half a unit of the last digit. A log may have been rounded to significant
    digits or to decimals; the larger of both half units covers either. In a log of float32 numbers
    it is half the distance to the next float32.

    Args:
        digits: Most significant digits of any rate.
        decimals: Most decimals of any rate, 3 in "0.001" and in "1e-03".
        float32: True if each rate is a float32 number.
        padded: True if a text ends with zeros that a number doesn't need. If none does, the rates
            may have been round numbers rather than rounded ones.
    """

    digits: int
    decimals: int
    float32: bool
    padded: bool = False

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Resolution:
        """The resolution of rates as they were written.

        Raises:
            ValueError: A text that isn't a number.
        """
        digits, decimals, float32, padded = 1, -MOST_DIGITS, True, False
        for text in texts:
            rate = float(text)
            if rate - rate != 0.0:
                continue  # NaN and infinity have no digits.
            float32 = float32 and is_float32(rate)
            padded = padded or _is_padded(text)
            digits_here, decimals_here = _precision(text)
            digits, decimals = max(digits, digits_here), max(decimals, decimals_here)
            if digits >= MOST_DIGITS - 1 and not float32:
                break  # As fine as it gets.
        return cls(digits, decimals, float32, padded)

    @classmethod
    def of_rates(cls, rates: Iterable[float]) -> Resolution:
        """The resolution of numbers: float32 if all of them are float32 numbers, else float64.

            >>> print(Resolution.of_rates([0.001, 0.002]))
            float64

        A number doesn't show to how many digits it was rounded: 0.001 may be exact.
        """
        return FLOAT32 if all(is_float32(rate) or rate != rate for rate in rates) else FLOAT64

    def half_unit(self, rate: float) -> float:
        """How far the rate that was used may be from the logged one."""
        if self.digits > FLOAT32_DIGITS and self.float32:
            return _half_ulp32(rate)
        decimal = max(0.5 * 10.0**-self.decimals, math.ulp(rate))
        if rate:
            # log10 of a power of ten may come out as the float64 below.
            exponent = math.floor(math.log10(abs(rate)) + 1e-12)
            decimal = max(decimal, 0.5 * 10.0 ** (exponent + 1 - self.digits))
        if self.digits > FLOAT32_DIGITS:
            return decimal
        return decimal + _half_ulp32(rate)

    def __str__(self) -> str:
        if self.digits > FLOAT32_DIGITS:
            return "float32" if self.float32 else "float64"
        return f"{self.digits} digit{'s' if self.digits > 1 else ''}"


FLOAT32 = Resolution(digits=MOST_DIGITS, decimals=MOST_DECIMALS, float32=True)
FLOAT64 = Resolution(digits=MOST_DIGITS, decimals=MOST_DECIMALS, float32=False)


def is_float32(rate: float) -> bool:
    """True if this is a float32 number.

    >>> is_float32(0.5), is_float32(0.1)
    (True, False)
    """
    return float32(rate) == rate


def _half_ulp32(rate: float) -> float:
    exponent = math.frexp(rate)[1] if rate else -125
    return math.ldexp(1.0, max(exponent, -125) - 25)


def _is_padded(text: str) -> bool:
    mantissa = text.strip().lower().partition("e")[0]
    return "." in mantissa and mantissa.endswith("0")


def _precision(text: str) -> tuple[int, int]:
    """The significant digits and the decimals of a number: 3 and 5 for "1.20e-03"."""
    mantissa, _, exponent = text.strip().lstrip("+-").lower().partition("e")
    whole, _, fraction = mantissa.replace("_", "").partition(".")
    # An exponent may have any number of digits, of which Python converts 4,300.
    power = max(-MOST_DECIMALS, min(float(exponent or 0), MOST_DECIMALS))
    decimals = min(len(fraction) - int(power), MOST_DECIMALS)
    return len((whole + fraction).lstrip("0")), decimals


class RunLog(NamedTuple):
    """The steps and rates that a run logged, and how the rates were rounded."""

    steps: list[int]
    lrs: list[float]
    resolution: Resolution


def read_rates(
    path: str | PathLike[str], *, lr: str | None = None, step: str | None = None
) -> RunLog:
    """Read the steps and rates of a log, for `verify(schedule, *read_rates(path))`.

    Formats:

    - CSV with a header, separated by `,`, `;` or tabs, such as Lightning's `metrics.csv`;
    - JSON: a list of objects; an object with such a list in `log_history`, such as
      `trainer_state.json` of Hugging Face's Trainer; or an object with a list per column;
    - JSON lines, one object per line;
    - TensorBoard's event files, or a folder that contains some (extra `tensorboard`).

    The column of the steps is `step` or `global_step`. The column of the rates is `lr`,
    `learning_rate`, or Lightning's `lr-…`, optionally after a slash, as in `train/learning_rate`.
    Lines without a rate are skipped, since loggers write other metrics in separate lines.

    Args:
        path: The file, at most 256 MiB; for TensorBoard also a folder, at most 256 MiB in total.
        lr: The column of the rates, or TensorBoard's tag, if it has another name or if there are
            several.
        step: The same for the steps.

    Returns:
        `(steps, lrs, resolution)`, in the order of the log.

    Raises:
        OSError: The file can't be read.
        ValueError: It is too large; a column is missing or ambiguous; or a line can't be read, in
            which case the message gives its number.
        ImportError: It is an event file, and TensorBoard isn't installed.
    """
    path = Path(path)
    if path.is_dir() or EVENT_FILE in path.name:
        return _of_events(path, lr)
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be text: CSV, JSON or JSON lines in UTF-8") from None
    first = text.lstrip()[:1]
    if first in ("{", "["):
        rows = _of_json(text, path)
    elif first:
        rows = _of_csv(text, path)
    else:
        raise ValueError(f"{path} must contain at least one line; it is empty")
    return _chosen(list(rows), lr, step, path)


Row = tuple[str, Mapping[str, Any]]  # Its place in the file, for errors; and its content.


def _of_csv(text: str, path: Path) -> Iterator[Row]:
    header = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    # Strict: otherwise an open quote would swallow the rest of the file.
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = reader.fieldnames or []
        twice = sorted({name for name in names if names.count(name) > 1 and _is_rate(name)})
        if twice:
            raise ValueError(
                f"{path} must not have duplicated columns. Received: {twice[0]!r} twice"
            )
        for row in reader:
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _of_json(text: str, path: Path) -> Iterator[Row]:
    try:
        # As text, to count the digits that were logged.
        document = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        yield from _of_json_lines(text, path)
        return
    if isinstance(document, dict) and isinstance(document.get("log_history"), list):
        document = document["log_history"]
    if isinstance(document, dict):
        columns = {name: values for name, values in document.items() if isinstance(values, list)}
        if not columns:
            document = [document]
        else:
            length = max(map(len, columns.values()))
            document = [
                {name: values[i] for name, values in columns.items() if i < len(values)}
                for i in range(length)
            ]
    for number, row in enumerate(document, start=1):
        yield f"{path}, entry {number}", _as_row(row, f"{path}, entry {number}")


def _of_json_lines(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                row = json.loads(line, parse_float=str)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not JSON: {error}") from None
            yield where, _as_row(row, where)


def _as_row(row: object, where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: must be an object with a step and a rate")
    return row


def _chosen(rows: list[Row], lr: str | None, step: str | None, path: Path) -> RunLog:
    names: dict[str, None] = {}
    for _, row in rows:
        names |= dict.fromkeys(name for name in row if isinstance(name, str))
    rate_name = _the_one("lr", lr, names, _is_rate, path)
    step_name = _the_one("step", step, names, _is_step, path)
    steps, texts = [], []
    for where, row in rows:
        text = row.get(rate_name)
        if text is None or text == "":
            continue
        steps.append(_step(row.get(step_name), step_name, where))
        texts.append(_rate(text, rate_name, where))
    if not steps:
        raise ValueError(
            f"{path} must contain at least one rate; its column {rate_name!r} is empty"
        )
    return RunLog(steps, list(map(float, texts)), Resolution.of_texts(texts))


def _the_one(
    argument: str,
    given: str | None,
    names: Iterable[str],
    fits: Callable[[str], bool],
    path: Path,
) -> str:
    """The column to read: the given one, or the only one with such a name."""
    names = list(names)
    listed = ", ".join(map(repr, names[:20])) + (" …" if len(names) > 20 else "")
    if given is not None:
        if given not in names:
            raise ValueError(f"{path} has no column {given!r}. It has: {listed}")
        return given
    found = [name for name in names if fits(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        what = "the rates" if argument == "lr" else "the steps"
        raise ValueError(
            f"{path} must have a column with {what}. It has: {listed or 'none'}. "
            f"Name the one with `{argument}=`."
        )
    raise ValueError(
        f"{path} has several columns that could be meant: {', '.join(map(repr, found))}. "
        f"Name the one with `{argument}=`."
    )


def _is_step(name: str) -> bool:
    return name.strip().lower().rpartition("/")[2] in STEP_NAMES


def _is_rate(name: str) -> bool:
    name = name.strip().lower()
    lightning = name.startswith("lr-") and not name.endswith(NOT_RATES)
    return lightning or name.rpartition("/")[2] in RATE_NAMES


def _step(value: object, name: str, where: str) -> int:
    try:
        if type(value) is int:
            return value
        number = float(value) if isinstance(value, str) else -0.5
        # Tables with gaps write 1200 as "1200.0".
        if number.is_integer() and abs(number) <= LARGEST_STEP:
            return int(number)
    except ValueError:
        pass
    raise ValueError(f"{where}: {name!r} must be an integer. {received(name, value)}")


def _rate(value: object, name: str, where: str) -> str:
    text = value if isinstance(value, str) else repr(value)
    try:
        float(text)
    except ValueError:
        raise ValueError(f"{where}: {name!r} must be a number. {received(name, value)}") from None
    return text


def _of_events(path: Path, tag: str | None) -> RunLog:
    """The scalars of TensorBoard's event files: float32 numbers, with their steps."""
    files = (
        sorted(each for each in path.iterdir() if EVENT_FILE in each.name)
        if path.is_dir()
        else [path]
    )
    if not files:
        raise ValueError(f"{path} must contain an event file of TensorBoard; it has none")
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise _too_large(path)
    rates: dict[str, list[tuple[float, int, float]]] = {}
    for file in files:
        for event in _events(file):
            for value in event.summary.value:
                scalar = _scalar(value)
                if scalar is not None:
                    rates.setdefault(value.tag, []).append((event.wall_time, event.step, scalar))
    name = _the_one("lr", tag, rates, _is_rate, path)
    # Files may overlap: one may have been started before another was finished.
    logged = sorted(rates[name], key=itemgetter(0))
    return RunLog([step for _, step, _ in logged], [rate for _, _, rate in logged], FLOAT32)


def _events(file: Path) -> Iterator[Any]:
    # Not TensorBoard's EventAccumulator: it imports TensorFlow if installed, which takes
    # seconds, and crashes in a process that has imported torch.
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub import errors
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
    except ImportError as error:
        raise ImportError(
            f"reading {file.name} needs TensorBoard: pip install 'cyclical-lr[tensorboard]'"
        ) from error
    reader = PyRecordReader_New(str(file))
    number = 0
    while True:
        number += 1
        try:
            reader.GetNext()
        except errors.OutOfRangeError:
            return
        except errors.DataLossError as error:
            if "has truncated record in" in str(error):
                return  # A run that was killed while writing, or is still writing.
            raise ValueError(f"{file}, event {number}: {error}") from None
        try:
            event = Event.FromString(reader.record())
        except DecodeError as error:
            raise ValueError(f"{file}, event {number}: not an event: {error}") from None
        yield event


def _scalar(value: Any) -> float | None:
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if value.HasField("tensor") and not value.tensor.tensor_shape.dim:  # TensorFlow 2 writes these.
        tensor = value.tensor
        if tensor.dtype == 1:  # DT_FLOAT
            if tensor.float_val:
                return float(tensor.float_val[0])
            if len(tensor.tensor_content) == 4:
                return float(struct.unpack("<f", tensor.tensor_content)[0])
    return None


def _too_large(path: Path) -> ValueError:
    return ValueError(f"{path} must have at most 256 MiB. Log fewer lines, or cut it.")
