"""What needs an extra, imported on request."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

from clr_core.adapter import suffix, write

PICTURES = (".png", ".svg", ".pdf")


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


def write_picture(name: str, figure: Any) -> None:
    """Write a figure of matplotlib as one of `PICTURES`; equal figures give equal files."""
    from matplotlib import rc_context

    data, kind = BytesIO(), suffix(name)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(kind)
    with rc_context({"svg.hashsalt": "clr"}):
        figure.savefig(data, format=kind[1:], dpi=150, metadata=metadata, facecolor="white")
    write(name, data.getvalue())
