"""Pictures of schedules for notebooks: the curves at their steps, with their levels and names."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from clr_core import CyclicSchedule, one_cycle
from clr_core._drawing import ANY_PAGE
from clr_core.schedules.svg import html, svg

WIDTH, HEIGHT = 480, 160
LEFT, RIGHT, TOP, BOTTOM = 70, 468, 12, 126  # The frame of the curve.


class Given:
    """The least of a schedule: a rate for each step, and levels."""

    def __init__(self, *rates, **levels):
        self.rates, self.named = rates, levels
        self.cycle_size = (len(rates) - 1) / 2  # A notebook shows two cycles.

    def lr(self, step):
        return self.rates[step]

    def momentum(self, step):
        return None

    def turns(self, first, last):
        return iter(range(first, min(last, len(self.rates) - 1) + 1))

    def levels(self, of="lr"):
        return self.named if of == "lr" else {}


TINY = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
TINY_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="160" viewBox="0 0 480 160" '
    'role="img" font-family="sans-serif" font-size="11" fill="currentColor" '
    'style="max-width: 100%; height: auto">'
    "<title>CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0)</title>"
    # Both boundaries.
    '<line x1="70" x2="468" y1="126.0" y2="126.0" '
    'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
    '<text x="64.0" y="130.0" text-anchor="end">0.1</text>'
    '<line x1="70" x2="468" y1="12.0" y2="12.0" '
    'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
    '<text x="64.0" y="16.0" text-anchor="end">0.5</text>'
    '<text x="12.0" y="69.0" text-anchor="middle" transform="rotate(-90 12 69)">'
    "learning rate</text>"
    # Two cycles: up, down, up, down.
    '<polyline points="70.0,126.0 119.8,69.0 169.5,12.0 219.2,69.0 269.0,126.0 '
    '318.8,69.0 368.5,12.0 418.2,69.0 468.0,126.0" '
    'fill="none" stroke="#1F84C8" stroke-width="1.8"/>'
    # The axis of the steps.
    '<text x="70.0" y="142.0" text-anchor="start">0</text>'
    '<text x="269.0" y="142.0" text-anchor="middle">4</text>'
    '<text x="468.0" y="142.0" text-anchor="end">8</text>'
    '<text x="269.0" y="156.0" text-anchor="middle">step</text></svg>'
    '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">'
    "CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0)</pre>"
)


def drawn(schedule):
    """The texts with their places, the heights of the levels, and the points of the curve."""
    root = ET.fromstring(svg(schedule).partition("<pre ")[0])
    texts = [
        (text.text, float(text.get("x")), float(text.get("y"))) for text in root.findall("{*}text")
    ]
    heights = [float(line.get("y1")) for line in root.findall("{*}line")]
    (line,) = root.findall("{*}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    return texts, heights, points


def test_a_picture_to_the_last_character():
    assert svg(TINY) == TINY._repr_html_() == TINY_SVG


def test_the_curve_of_a_notebook():
    schedule = CyclicSchedule(
        base_lr=0.0123456, max_lr=0.6, step_size_up=123_456, mode="triangular2"
    )
    texts, heights, points = drawn(schedule)
    assert texts == [
        ("0.0123", LEFT - 6, BOTTOM + 4),
        ("0.6", LEFT - 6, TOP + 4),
        ("learning rate", 12, (TOP + BOTTOM) / 2),
        ("0", LEFT, BOTTOM + 16),
        ("246,912", (LEFT + RIGHT) / 2, BOTTOM + 16),
        ("493,824", RIGHT, BOTTOM + 16),
        ("step", (LEFT + RIGHT) / 2, BOTTOM + 30),
    ]
    assert heights == [BOTTOM, TOP]
    # 400 spaces and no turn between them: the grid has each quarter.
    assert len(points) == 401
    for place, (x, y) in enumerate(points):
        step = round(493_824 * place / 400)
        part = (schedule.lr(step) - 0.0123456) / (0.6 - 0.0123456)
        assert x == pytest.approx(LEFT + (RIGHT - LEFT) * place / 400, abs=0.06)
        assert y == pytest.approx(BOTTOM - (BOTTOM - TOP) * part, abs=0.06)
    assert [points[i][1] for i in (0, 100, 200, 300, 400)] == [126, 12, 126, 69, 126]


def test_a_curve_beyond_its_levels():
    above = CyclicSchedule(base_lr=0.1, max_lr=0.2, step_size_up=2, scale_fn="3")
    _, heights, points = drawn(above)
    assert heights == [BOTTOM, BOTTOM - 114 / 3]
    assert min(y for _, y in points) == TOP
    texts, heights, points = drawn(Given(5.0, 1.0, 3.0, first=2.0, second=4.0))
    assert heights == [12 + 114 * 3 / 4, 12 + 114 / 4]
    assert points == [(70, 12), (269, 126), (468, 69)]
    assert [text for text, *_ in texts] == ["2", "4", "learning rate", "0", "1", "2", "step"]


def test_levels_at_one_height_have_one_line():
    texts, heights, points = drawn(CyclicSchedule(base_lr=0.1, max_lr=0.1, step_size_up=2))
    assert heights == [69]
    assert texts[0] == ("0.1", 64, 73)
    assert texts[2] == ("0", 70, 142)
    assert {y for _, y in points} == {69}


def test_labels_that_would_touch():
    texts, heights, _ = drawn(CyclicSchedule(base_lr=0, max_lr=1, scale_fn="1000 * x"))
    assert len(heights) == 2
    assert [text for text, *_ in texts[:2]] == ["0", "learning rate"]


def test_what_is_not_finite_is_left_out():
    nan, inf = float("nan"), float("inf")
    _, _, points = drawn(Given(1.0, inf, 2.0, -inf, nan, 3.0, low=1.0))
    assert points == [(70, 126), (round(70 + 398 * 2 / 5, 1), 69), (468, 12)]


def test_a_name_is_text():
    class Named(Given):
        def __repr__(self):
            return "<b>&"

    page = svg(Named(1.0, 2.0))
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert page.endswith('anywhere">&lt;b&gt;&amp;</pre>')


def test_a_notebook_needs_no_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from clr_core import CyclicSchedule; "
        "print(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)._repr_html_())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (TINY_SVG + "\n", "")


def panels(page):
    """The curves of each panel: the strokes, and the heights at the left of each."""
    root = ET.fromstring(page.partition("<pre ")[0])
    lines = root.findall("{*}polyline")
    found = [(line.get("stroke"), line.get("points").split()) for line in lines]
    return [(stroke, [float(point.split(",")[1]) for point in points]) for stroke, points in found]


def test_the_momentum_is_drawn_below_the_rate():
    momenta = {"base_momentum": 0.8, "max_momentum": 0.95}
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, **momenta)
    root = ET.fromstring(svg(schedule).partition("<pre ")[0])
    texts = [text.text for text in root.findall("{*}text")]
    assert texts[:6] == ["0.1", "0.5", "learning rate", "0.8", "0.95", "momentum"]
    (_, rates), (_, momentum) = panels(schedule._repr_html_())
    assert rates[:3] == [126, 69, 12]
    assert momentum[:3] == [148, 205, 262]  # From the top of its panel to the bottom.


def test_several_schedules_on_one_axis():
    named = {"a <": TINY, "b": CyclicSchedule(base_lr=0.2, max_lr=0.3, step_size_up=4)}
    page = html(named, ["Said."], step=3)
    (first, rates), (second, others) = panels(page)
    assert (first, second) == ANY_PAGE[:2]
    # Both as far as the longer one, whose band is the second quarter of the other's.
    assert (max(rates), min(rates), max(others), min(others)) == (126, 12, 97.5, 69)
    assert 'stroke="currentColor" stroke-dasharray="1 3"' in page
    lines = page.partition('anywhere">')[2].removesuffix("</pre>").split("\n")
    assert lines == [
        f'<span style="color: {ANY_PAGE[0]}">━━</span> a &lt;: {TINY!r}',
        f'<span style="color: {ANY_PAGE[1]}">╍╍</span> b: {named["b"]!r}',
        "Said.",
    ]


def test_rates_far_apart_have_a_logarithmic_axis():
    named = {str(k): CyclicSchedule(base_lr=10.0**k, max_lr=10.0 ** (k + 1)) for k in (-5, -3, -1)}
    heights = [(max(curve), min(curve)) for _, curve in panels(html(named))]
    decade = (BOTTOM - TOP) / 5
    for place, (bottom, top) in enumerate(heights):
        assert bottom == pytest.approx(BOTTOM - 2 * place * decade, abs=0.06)
        assert top == pytest.approx(bottom - decade, abs=0.11)


ZERO_AT_FIRST = CyclicSchedule(base_lr=0.0, max_lr=0.01, step_size_up=50)


def test_a_rate_of_zero_on_a_logarithmic_axis():
    page = html({"a": one_cycle(10.0, 100, final_div_factor=1e9), "b": ZERO_AT_FIRST})
    (_, rising), (_, falling) = panels(page)  # What rises and falls again lies below.
    # Seven decades: from a ten-thousandth of the lower peak to the higher one.
    assert (max(falling), min(falling)) == (126, 12)
    assert (rising[0], max(rising)) == (126, 126)
    assert min(rising) == pytest.approx(126 - 114 * 4 / 7, abs=0.06)


def test_more_schedules_than_can_be_told_apart():
    many = {f"group {k}": CyclicSchedule(base_lr=0.1, max_lr=0.2 + k) for k in range(9)}
    page = html(many)
    assert len(panels(page)) == 6
    assert page.endswith("\nand 3 more</pre>")


def test_hundreds_of_phases_do_not_hide_the_rest():
    class Long(Given):
        def __repr__(self):
            return "x" * 5000

    page = svg(Long(1.0, 2.0))
    assert page.endswith("x" * 1000 + " …</pre>")
