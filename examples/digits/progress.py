"""Progress on stderr: a bar that redraws itself in a terminal, a line at either end elsewhere."""

import sys
import time
from collections.abc import Iterator

_WIDTH = 32
_REDRAWS_PER_SECOND = 20


def say(label: str, text: str, *, end: str = "\n") -> None:
    """One line about `label`, over the bar or the line before it if that had no end."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}  {label:<16} {text}", end=end, file=sys.stderr, flush=True)


def loading(label: str) -> None:
    """Say that `label` is starting; what is said next takes the line's place in a terminal."""
    say(label, "starting", end="" if sys.stderr.isatty() else "\n")


def counted(label: str, total: int, unit: str = "steps") -> Iterator[int]:
    """The numbers from 0 to `total - 1`, and how far along they are."""
    start = time.perf_counter()
    drawn = float("-inf")
    for done in range(total):
        now = time.perf_counter()
        if sys.stderr.isatty() and now - drawn > 1 / _REDRAWS_PER_SECOND:
            drawn = now
            filled = _WIDTH * done // total
            bar = "█" * filled + "░" * (_WIDTH - filled)
            say(label, f"{bar} {done:>6,} of {total:,} {unit}", end="")
        yield done
    say(label, f"{total:,} {unit} in {time.perf_counter() - start:.1f} s")
