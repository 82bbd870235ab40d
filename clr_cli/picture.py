"""A matplotlib figure as the bytes of a file."""

from __future__ import annotations

from io import BytesIO

import matplotlib
from matplotlib.figure import Figure


def image(figure: Figure, suffix: str) -> bytes:
    """Render a figure as PNG or SVG; equal figures give equal bytes.

    Args:
        figure: The figure.
        suffix: ".png" or ".svg".
    """
    data = BytesIO()
    metadata = {"Date": None} if suffix == ".svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "clr"}):
        figure.savefig(data, format=suffix[1:], dpi=150, metadata=metadata, facecolor="white")
    return data.getvalue()
