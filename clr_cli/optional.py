"""What needs an extra, imported on request."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

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


def image(figure: Any, suffix: str) -> bytes:
    """Render a figure of matplotlib as one of `PICTURES`; equal figures give equal bytes."""
    from matplotlib import rc_context

    data = BytesIO()
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    with rc_context({"svg.hashsalt": "clr"}):
        figure.savefig(data, format=suffix[1:], dpi=150, metadata=metadata, facecolor="white")
    return data.getvalue()
