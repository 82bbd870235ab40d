"""What comes with the extra `plot`, imported where it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

PICTURES = (".png", ".svg")


def of_extra(module: str, library: str) -> Any:
    """The module that needs the library, or an error that says what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ImportError(
            f"This needs {library}. Install it with: pip install 'cyclical-lr[plot]'"
        ) from None
