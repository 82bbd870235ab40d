"""Progress on stderr: a bar in a terminal, otherwise one line at the start and one at the end."""

import sys
import time
from collections.abc import Iterator

_WIDTH = 32
_REDRAWS_PER_SECOND = 20


def say(label: str, text: str, *, end: str = "\n") -> None:
    """Print one line about `label`. In a terminal, it replaces a bar or an unfinished line."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}  {label:<16} {text}", end=end, file=sys.stderr, flush=True)


def loading(label: str) -> None:
    """Say that `label` is starting. In a terminal, the next message replaces this line."""
    say(label, "starting", end="" if sys.stderr.isatty() else "\n")


def counted(label: str, total: int, unit: str = "steps") -> Iterator[int]:
    """Yield the numbers from 0 to `total - 1`, and show the progress."""
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
