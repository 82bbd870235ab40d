"""What pictures share: the palette, the frame of an SVG, and matplotlib as an optional extra."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from clr_core._arguments import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY = "#666666"
# Much the same for notebooks: each at least 3:1 in contrast to the pages of light and dark themes.
ANY_PAGE = ("#1F84C8", VERMILLION, GREEN, "#C0689A", "#B97F00", "#808080")


def figure_class() -> type[Figure]:
    """Matplotlib's `Figure`, which needs no display and leaves the user's pyplot alone.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'cyclical-lr[plot]'") from error
    return Figure


def svg_frame(title: str, width: int, height: int, body: str) -> str:
    """A picture for a notebook: inline SVG in the colours of the page, around `body`."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="11" '
        'fill="currentColor" style="max-width: 100%; height: auto">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def svg_text(x: float, y: float, text: str, anchor: str = "middle", *, upright: bool = True) -> str:
    """A label at a point; turned by a quarter for an axis on the left unless `upright`."""
    turned = "" if upright else f' transform="rotate(-90 {x:g} {y:g})"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(text)}</text>'


def html_text(*lines: str, marks: Sequence[str] = ()) -> str:
    """Text for a notebook that wraps, in the colours of the page.

    Args:
        lines: Text from anywhere.
        marks: HTML before each of the first lines.
    """
    marked = [*marks, *[""] * (len(lines) - len(marks))]
    text = "\n".join(mark + escape(visible(line)) for mark, line in zip(marked, lines, strict=True))
    return f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{text}</pre>'
