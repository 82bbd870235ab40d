"""What pictures share: the frame of an SVG, its labels, and the palette."""

import sys
import xml.etree.ElementTree as ET

import pytest

from clr_core import _drawing
from clr_core._drawing import ANY_PAGE, PALETTE, figure_class, html_text, svg_frame, svg_text


def test_a_frame():
    assert svg_frame("a < b & c", 30, 20, "<g/>") == (
        '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20" viewBox="0 0 30 20" '
        'role="img" font-family="sans-serif" font-size="11" fill="currentColor" '
        'style="max-width: 100%; height: auto">'
        "<title>a &lt; b &amp; c</title><g/></svg>"
    )


def test_a_label():
    assert svg_text(1.25, 7, "a < b") == (
        '<text x="1.2" y="7.0" text-anchor="middle">a &lt; b</text>'
    )
    assert svg_text(1, 2, "3", "end") == '<text x="1.0" y="2.0" text-anchor="end">3</text>'


def test_a_label_turned_about_its_own_point():
    label = ET.fromstring(svg_text(12, 3.5, "up", upright=False))
    assert label.attrib == {
        "x": "12.0",
        "y": "3.5",
        "text-anchor": "middle",
        "transform": "rotate(-90 12 3.5)",
    }


def test_text_that_wraps_and_is_inert():
    assert html_text("a < b", "\x1b[2J", marks=["<i>-</i> "]) == (
        '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">'
        "<i>-</i> a &lt; b\n\\x1b[2J</pre>"
    )


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("page", ["#ffffff", "#f3f3f3", "#111111", "#1e1e1e"])
def test_lines_of_a_notebook_on_light_and_dark_pages(page):
    """WCAG 2.1 asks for a contrast of 3:1 of what isn't text."""
    for colour in ANY_PAGE:
        low, high = sorted([luminance(colour), luminance(page)])
        assert (high + 0.05) / (low + 0.05) >= 3


def test_six_colours_that_differ_and_a_grey():
    named = (_drawing.BLUE, _drawing.VERMILLION, _drawing.GREEN, _drawing.PURPLE)
    assert (*named, _drawing.ORANGE, _drawing.SKY) == PALETTE
    assert len({*PALETTE, _drawing.GREY}) == 7


def test_matplotlib_is_asked_for_by_the_name_of_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError) as caught:
        figure_class()
    assert str(caught.value) == "a picture needs matplotlib: pip install 'cyclical-lr[plot]'"


def test_the_figure_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib.figure")
    assert figure_class() is matplotlib.Figure
