"""How far along a long piece of work is: one line on stderr, which redraws itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clr_core._arguments import received

WIDTH = 24
REDRAWS_PER_SECOND = 10


def check_progress(progress: object) -> None:
    """Raises a TypeError unless `progress` is None, True or False."""
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(
            f"`progress` must be True, False or None. {received('progress', progress)}. "
            "None shows it where stderr is a terminal."
        )


@contextmanager
def progress_line(
    label: str, total: int, shown: bool | None = None
) -> Iterator[Callable[[int, str], None]]:
    """A function that shows how much of `total` is done, with a word on it; at the end it is gone.

        >>> with progress_line("range test", 100, shown=False) as show:
        ...     show(37, "lr=0.002")

    Args:
        label: What is going on.
        total: How many steps it has.
        shown: None: where stderr is a terminal.
    """
    check_progress(shown)
    stream = sys.stderr
    if shown is None:
        # A program without a console, such as pythonw.exe's, has no stderr at all.
        shown = stream is not None and stream.isatty()
    drawn = float("-inf")

    def show(done: int, word: str) -> None:
        nonlocal drawn
        now = time.perf_counter()
        if shown and now - drawn >= 1 / REDRAWS_PER_SECOND:
            drawn = now
            filled = WIDTH * done // total
            bar = "█" * filled + "░" * (WIDTH - filled)
            _write(f"\r\x1b[K{label} {bar} {done:,} of {total:,}  {word}")

    def _write(text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.replace("█", "#").replace("░", "."))
        stream.flush()

    try:
        yield show
    finally:
        if drawn > float("-inf"):
            _write("\r\x1b[K")
