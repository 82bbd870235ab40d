"""Modules that need an extra, imported on request."""

from __future__ import annotations

from importlib import import_module
from typing import Any

PICTURES = (".png", ".svg")


def of_extra(module: str, library: str, extra: str = "plot") -> Any:
    """Import a module that needs a library of an extra.

    Raises:
        ImportError: The library isn't installed; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ImportError(
            f"This needs {library}. Install it with: pip install 'cyclical-lr[{extra}]'"
        ) from None
