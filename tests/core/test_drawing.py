"""What pictures share: the frame of an SVG, its labels, and the palette."""

import sys
import xml.etree.ElementTree as ET

import pytest

from clr_core import _drawing
from clr_core._drawing import PALETTE, figure_class, svg_frame, svg_text


def test_a_frame():
    assert svg_frame("a < b & c", 30, 20, "<g/>") == (
        '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20" viewBox="0 0 30 20" '
        'role="img" font-family="sans-serif" font-size="11" fill="currentColor">'
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
