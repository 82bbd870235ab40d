"""Read the steps and rates of a run from what loggers write, and how finely they are given."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from clr_core._float32 import float32
from clr_core.verification._events import EVENT_FILE, read_events
from clr_core.verification._table import Table
from clr_core.verification._text import read_text

# With so many digits or fewer, a decimal number may stand for a float32 (`repr` of one has at most
# nine), so that float32's own rounding comes on top of the decimal one.
FLOAT32_DIGITS = 9
MOST_DIGITS = 17  # `repr` of a float64 needs no more.
MOST_DECIMALS = 400  # float64 has no smaller numbers than 5e-324.
SMALLEST_FLOAT32 = 2.0**-126  # Below, their distance stays the same.


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
            if not math.isfinite(rate):
                continue  # NaN and infinity have no digits.
            float32 = float32 and is_float32(rate)
            padded = padded or _is_padded(text)
            digits_here, decimals_here = _precision(text)
            digits, decimals = max(digits, digits_here), max(decimals, decimals_here)
        return cls(digits, decimals, float32, padded)

    @classmethod
    def of_rates(cls, rates: Iterable[float]) -> Resolution:
        """The resolution of numbers: float32 if all of them are float32 numbers, else float64.

            >>> print(Resolution.of_rates([0.001, 0.002]))
            float64

        A number doesn't show to how many digits it was rounded: 0.001 may be exact.
        """
        return FLOAT32 if all(is_float32(rate) or math.isnan(rate) for rate in rates) else FLOAT64

    @property
    def is_text(self) -> bool:
        """True if the rates were rounded to few digits, as text, rather than to floats."""
        return self.digits <= FLOAT32_DIGITS

    def half_unit(self, rate: float) -> float:
        """How far the rate that was used may be from the logged one."""
        if self.float32 and not self.is_text:
            return _half_ulp32(rate)
        decimal = max(0.5 * 10.0**-self.decimals, math.ulp(rate))
        if rate:
            # log10 of a power of ten may come out as the float64 below.
            exponent = math.floor(math.log10(abs(rate)) + 1e-12)
            decimal = max(decimal, 0.5 * 10.0 ** (exponent + 1 - self.digits))
        if not self.is_text:
            return decimal
        # The shortest text that stands for a float32 may be off by half its distance to the next.
        half_ulp = _half_ulp32(rate)
        return max(decimal, half_ulp) + half_ulp

    def __str__(self) -> str:
        if not self.is_text:
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
    _, exponent = math.frexp(max(abs(rate), SMALLEST_FLOAT32))
    return math.ldexp(1.0, exponent - 25)


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
    path: str | PathLike[str],
    *,
    lr: str | None = None,
    step: str | None = None,
    per_epoch: bool = False,
) -> RunLog:
    """Read the steps and rates of a log, for `verify(schedule, *read_rates(path))`.

    Formats:

    - tables with a header, separated by `,`, `;`, tabs or blanks, such as Lightning's
      `metrics.csv`; a header may be repeated after a resume;
    - JSON: a list of objects, an object with a list per column, or an object that contains one of
      these, such as `log_history` in the `trainer_state.json` of Hugging Face's Trainer;
    - JSON lines, one object per line;
    - text with names and numbers in its lines, such as `step 50 lr 1.2e-03`;
    - TensorBoard's event files, or a folder that contains some; and MLflow's files of a metric.

    The column of the steps is `step`, `global_step`, `iteration`, `num_updates` or the like. The
    column of the rates is `lr` or `learning_rate`, also as a part of a longer name: `train/lr`,
    `lr-Adam`, `lr/pg0`. Lines without a rate are skipped, since loggers write other metrics in
    separate lines.

    Args:
        path: The file, at most 256 MiB; for TensorBoard also a folder, at most 256 MiB in total.
        lr: The column of the rates, or TensorBoard's tag, if it has another name or if there are
            several.
        step: The same for the steps; "#" for the row's number, from 0.
        per_epoch: True: the log has a line for each epoch, and the steps returned are the numbers
            of epochs, for `verify(…, steps_per_epoch=…)`.

    Returns:
        `(steps, lrs, resolution)`, in the order of the log.

    Raises:
        OSError: The file can't be read.
        ValueError: It is too large; a column is missing or ambiguous; or a line can't be read, in
            which case the message gives its number.
    """
    path = Path(path)
    table = Table(path, lr=lr, step=step)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{str(path)!r} must be a file or a folder")  # A pipe might never end.
    if path.is_dir() or EVENT_FILE in path.name:
        read_events(path, table)
    else:
        read_text(path, table)
    steps, texts = table.chosen(per_epoch=per_epoch)
    resolution = FLOAT32 if table.float32 else Resolution.of_texts(texts)
    return RunLog(steps, list(map(float, texts)), resolution)
