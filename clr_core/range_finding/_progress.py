"""A progress bar for the runners of a range test, if tqdm is installed and somebody can see it."""

from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(name: str, total: int | None) -> Iterator[Callable[[], object]]:
    """A bar in a notebook or a terminal; call what this yields after each update."""
    # A notebook's output is no terminal, and tqdm would take it for a file.
    in_notebook = hasattr(builtins, "__IPYTHON__")  # IPython sets it, wherever it runs.
    seen = in_notebook or (sys.stderr is not None and sys.stderr.isatty())
    bar_of = _tqdm() if seen else None
    if bar_of is None:
        yield lambda: None
        return
    with bar_of(total=total, desc=name, unit="update", leave=False) as bar:
        yield bar.update


def _tqdm() -> Any:
    """The bar that fits the surroundings; None: tqdm isn't installed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Without ipywidgets the bar is text.
            from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    return tqdm
