"""Pictures of a range test: each loss at its rate, the smooth curve, and what is suggested."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from clr_core import RangeTestResult
from clr_core._drawing import BLUE, GREEN, GREY, VERMILLION, html_text
from clr_core.range_finding._smoothing import SmoothedLoss

LEFT, RIGHT, TOP, BOTTOM = 86, 462, 26, 202  # The frame of the curve in a notebook.


def result(
    lrs,
    losses,
    scores=None,
    *,
    ramp="exponential",
    stop_reason=None,
    suggestions=None,
    max_lr=None,
    base_lr=None,
    warnings=(),
):
    suggestions = suggestions or {}
    return RangeTestResult(
        lrs, losses, scores, ramp, stop_reason, suggestions, max_lr, base_lr, warnings
    )


# Losses on a line, which is its own smooth curve.
TINY = result(
    [0.001, 0.01, 0.1],
    [3.0, 2.0, 1.0],
    max_lr=0.1,
    base_lr=0.01,
    stop_reason="The loss < 1.",
    warnings=["It & fell."],
)
TINY_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="240" viewBox="0 0 480 240" '
    'role="img" font-family="sans-serif" font-size="11" fill="currentColor" '
    'style="max-width: 100%; height: auto">'
    "<title>&lt;RangeTestResult: max_lr=0.1, base_lr=0.01, losses=3, "
    "stop_reason=&#x27;The loss &lt; 1.&#x27;, warnings=[&#x27;It &amp; fell.&#x27;]&gt;</title>"
    # The axes, and a tick at each decade.
    '<polyline points="86,26 86,202 462,202" fill="none" '
    'stroke="currentColor" stroke-opacity="0.5"/>'
    '<line x1="86.0" x2="86.0" y1="202" y2="206" stroke="currentColor"/>'
    '<text x="86.0" y="218.0" text-anchor="middle">0.001</text>'
    '<line x1="274.0" x2="274.0" y1="202" y2="206" stroke="currentColor"/>'
    '<text x="274.0" y="218.0" text-anchor="middle">0.01</text>'
    '<line x1="462.0" x2="462.0" y1="202" y2="206" stroke="currentColor"/>'
    '<text x="462.0" y="218.0" text-anchor="middle">0.1</text>'
    # Three losses by name.
    '<text x="80.0" y="206.0" text-anchor="end">1</text>'
    '<text x="80.0" y="118.0" text-anchor="end">2</text>'
    '<text x="80.0" y="30.0" text-anchor="end">3</text>'
    '<text x="274.0" y="234.0" text-anchor="middle">learning rate (logarithmic)</text>'
    '<text x="12.0" y="114.0" text-anchor="middle" transform="rotate(-90 12 114)">'
    "loss of each batch</text>"
    # The batches, and the smooth curve.
    '<g stroke="#D55E00" stroke-width="0.8">'
    '<circle cx="86.0" cy="26.0" r="1.7" fill="#D55E00"/>'
    '<circle cx="274.0" cy="114.0" r="1.7" fill="#D55E00"/>'
    '<circle cx="462.0" cy="202.0" r="1.7" fill="#D55E00"/></g>'
    '<polyline points="86.0,26.0 274.0,114.0 462.0,202.0" '
    'fill="none" stroke="#1F84C8" stroke-width="1.8"/>'
    # The boundaries, with their names above.
    '<line x1="274.0" x2="274.0" y1="26" y2="202" '
    'stroke="currentColor" stroke-width="1.3" stroke-dasharray="2 3"/>'
    '<text x="276.0" y="18.0" text-anchor="end">base_lr 0.01</text>'
    '<line x1="462.0" x2="462.0" y1="26" y2="202" '
    'stroke="currentColor" stroke-width="1.3" stroke-dasharray="6 3"/>'
    '<text x="410.0" y="18.0" text-anchor="start">max_lr 0.1</text></svg>'
    '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">'
    "max_lr=0.1, base_lr=0.01\nThe loss &lt; 1.\nIt &amp; fell.</pre>"
)
# The last loss has diverged: 9 is further above the first than the lowest is below it.
DECADES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
BOWL = [3.0, 3.0, 2.0, 1.0, 2.0, 9.0]


def drawn(result):
    """The parts of the picture by the names of their tags."""
    root = ET.fromstring(result._repr_html_().partition("<pre ")[0])
    return {tag: root.findall(f".//{{*}}{tag}") for tag in ("text", "line", "polyline", "circle")}


def points(polyline):
    return [tuple(map(float, point.split(","))) for point in polyline.get("points").split()]


def numbers(elements, *names):
    return [tuple(float(each.get(name)) for name in names) for each in elements]


# The picture of a notebook.


def test_a_picture_to_the_last_character():
    assert TINY._repr_html_() == TINY_SVG


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_losses_are_too_few_for_a_picture(count):
    few = result(DECADES[:count], BOWL[:count], warnings=["Too < few."])
    assert few._repr_html_() == html_text("max_lr=None, base_lr=None", "Too < few.")
    assert result(DECADES[:3], BOWL[:3])._repr_html_().startswith("<svg ")


def test_the_last_rate_is_not_cut_off():
    *_, last = drawn(result([1e-6, 1e-5, 1e-4], BOWL[:3]))["text"][:3]
    assert last.text == "0.0001"
    assert (
        RIGHT - 10 < float(last.get("x")) <= 480 - 7 * len(last.text) / 2
    )  # Digits are 7 wide in DejaVu Sans


def test_a_loss_above_the_picture_is_a_hollow_dot_at_its_top():
    parts = drawn(result(DECADES, BOWL))
    heights = [y for (y,) in numbers(parts["circle"], "cy")]
    assert heights == [114, 114, 158, 202, 158, TOP]  # From 1 at the bottom to 5 at the top.
    assert [dot.get("fill") for dot in parts["circle"]] == [VERMILLION] * 5 + ["none"]
    labels = [(text.text, float(text.get("y"))) for text in parts["text"][6:9]]
    assert labels == [("1", BOTTOM + 4), ("3", 114 + 4), ("5", TOP + 4)]


def test_the_smooth_curve_among_the_dots():
    (_, curve), shown = drawn(result(DECADES, BOWL))["polyline"], [*BOWL[:5], 5.0]
    smooth = SmoothedLoss.of(DECADES, shown).values
    for (_, y), loss in zip(points(curve), smooth, strict=True):
        assert y == pytest.approx(BOTTOM - (BOTTOM - TOP) * (loss - 1) / 4, abs=0.06)


def test_a_flat_loss_lies_in_the_middle():
    parts = drawn(result(DECADES, [0.5] * 6))
    assert {y for (y,) in numbers(parts["circle"], "cy")} == {114}
    assert {y for _, y in points(parts["polyline"][1])} == {114}
    assert [(text.text, text.get("y")) for text in parts["text"][6:7]] == [("0.5", "118.0")]
    assert parts["text"][7].text == "learning rate (logarithmic)"


@pytest.mark.parametrize(
    ("first", "last", "ticks"),
    [
        (0.002, 0.3, ["0.01", "0.1"]),
        (0.0009, 0.011, ["0.001", "0.01"]),
        (0.2, 0.9, []),
        # Rounding moves neither end away from its tick.
        (0.001 * (1 + 1e-10), 0.1 * (1 - 1e-10), ["0.001", "0.01", "0.1"]),
        (0.001 * (1 + 1e-7), 0.1 * (1 - 1e-7), ["0.01"]),
    ],
)
def test_a_tick_at_each_decade(first, last, ticks):
    parts = drawn(result([first, (first * last) ** 0.5, last], [3.0, 2.0, 1.0]))
    count = len(ticks)
    assert [text.text for text in parts["text"][: count + 1]] == [*ticks, "1"]
    assert len(parts["line"]) == count


@pytest.mark.parametrize(
    ("base_lr", "max_lr", "names"),
    [
        (1e-5, 1.0, ["base_lr 1e-05", "max_lr 1"]),
        (1.0, 1e-5, ["base_lr 1", "max_lr 1e-05"]),
        (0.99e-5, 1.01, []),
        (1.01, 0.99e-5, []),
        (None, 0.0123, ["max_lr 0.012"]),
        (0.0123, None, ["base_lr 0.012"]),
    ],
)
def test_boundaries_within_the_tested_rates(base_lr, max_lr, names):
    given = result(DECADES, BOWL, base_lr=base_lr, max_lr=max_lr)
    texts = drawn(given)["text"]
    assert [text.text for text in texts if "_lr" in text.text] == names
    assert html_text(f"max_lr={max_lr}, base_lr={base_lr}") in given._repr_html_()


def test_the_labels_of_boundaries_stand_at_their_lines():
    parts = drawn(result(DECADES, BOWL, base_lr=0.001, max_lr=0.05))
    labels = [text for text in parts["text"] if "_lr" in text.text]
    for line, label, beside, anchor in zip(
        parts["line"][-2:], labels, (2, -2), ("end", "start"), strict=True
    ):
        assert float(label.get("x")) == pytest.approx(float(line.get("x1")) + beside, abs=0.11)
        assert label.get("text-anchor") == anchor


@pytest.mark.parametrize(
    ("lrs", "losses", "base_lr", "max_lr"),
    [
        (DECADES, BOWL, 0.25, 1.0),
        (DECADES, BOWL, 0.9, 1.0),
        (DECADES, BOWL, 1e-5, 1.1e-5),
        (DECADES, BOWL, 1e-5, None),
        ([10.0**k for k in range(11)], [2.3 - k / 10 for k in range(11)], 2.5e9, 1e10),
        ([10.0 ** (6 * k) for k in range(-50, 51)], [-1.23e5 * k for k in range(101)], None, 1e300),
        ([2e-4, 5e-4, 9e-4], [-1.234e-5, -3.7e-4, -7.4e-4], 2e-4, 8e-4),
    ],
)
def test_labels_lie_within_the_picture_and_apart(lrs, losses, base_lr, max_lr):
    named = {"minimum/10": max_lr}  # The longest name of a rule.
    picture = drawn(result(lrs, losses, base_lr=base_lr, max_lr=max_lr, suggestions=named))
    rows = {}
    for text in picture["text"]:
        if text.get("transform"):
            continue
        width = 6.7 * len(text.text)  # DejaVu Sans, which is wide.
        part = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor")]
        begin = float(text.get("x")) - part * width
        # The name of the axis stands at the left of the losses.
        assert (0 if "_lr" in text.text else 16) <= begin < begin + width <= 480, text.text
        rows.setdefault(text.get("y"), []).append((begin, begin + width))
    for row in rows.values():
        row.sort()
        assert all(end < begin for (_, end), (begin, _) in pairwise(row))


# The figure.

LRS = [10 ** (-5 + k / 10) for k in range(51)]
LOSSES = [2.0 + (-1) ** k / 10 - (k > 25) * (k - 25) / 20 for k in range(46)] + [9.0] * 5
SUGGESTIONS = {
    "edge": 0.05,
    "valley": 0.004,
    "steepest": 0.02,
    "minimum": 0.3,
    "minimum/10": 0.03,
    "score rises": 0.001,
    "score stalls": 0.4,
}
SHAPES = {
    "steepest": "v",
    "valley": "s",
    "minimum": "D",
    "minimum/10": "P",
    "score rises": "<",
    "score stalls": ">",
}


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def lines(axes):
    """The lines of a panel by their labels."""
    return {line.get_label(): line for line in axes.lines}


def data(line):
    return [list(values) for values in line.get_data()]


def look(line):
    return line.get_color(), line.get_linestyle()


def test_each_batch_is_a_dot_and_the_smooth_curve_a_line_above(matplotlib):
    (axes,) = result(LRS, LOSSES).plot().axes
    batches, smooth, above = axes.lines
    assert data(batches) == [LRS, LOSSES]
    assert (batches.get_marker(), batches.get_linestyle()) == (".", "None")
    most = 2.1 + (2.1 - min(LOSSES))  # The first tenth has a median of 2.1.
    assert above.get_label() == "off the picture"
    assert data(above)[0] == LRS[46:]
    assert (batches.get_label(), smooth.get_label()) == ("single batches", "smoothed")
    curve = SmoothedLoss.of(LRS, [min(loss, most) for loss in LOSSES])
    assert data(smooth) == [list(curve.lrs), list(curve.values)]
    assert look(smooth) == (BLUE, "-")


def test_what_is_off_the_picture_lies_at_its_top(matplotlib):
    # From 1 to 5: a margin of 5 % below, and of 8 % above with the dots for what is higher.
    (axes,) = result(DECADES, BOWL).plot().axes
    assert axes.get_ylim() == pytest.approx((1 - 0.05 * 4, 5 + 0.08 * 4))
    above = lines(axes)["off the picture"]
    assert data(above) == [[1.0], [pytest.approx(5.32)]]
    assert not above.get_clip_on()
    assert above.get_marker() == "^"


def test_the_axis_of_the_rates(matplotlib):
    figure = result(LRS, LOSSES, ramp="linear").plot()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate (logarithmic scale; linear ramp)"
    assert axes.get_ylabel() == "loss of each batch"
    assert tuple(figure.get_size_inches()) == (9.0, 5.0)
    visible = [side for side in axes.spines if axes.spines[side].get_visible()]
    assert visible == ["left", "bottom"]


@pytest.mark.parametrize(("count", "smooth"), [(1, False), (2, False), (3, True)])
def test_a_smooth_curve_takes_three_losses(matplotlib, count, smooth):
    (axes,) = result(LRS[:count], LOSSES[:count]).plot().axes
    assert ("smoothed" in lines(axes)) == smooth
    assert data(axes.lines[0]) == [LRS[:count], LOSSES[:count]]


def test_suggestions_on_the_smooth_curve(matplotlib):
    (axes,) = result(LRS, LOSSES, suggestions=SUGGESTIONS).plot().axes
    drawn = lines(axes)
    curve = dict(zip(*data(drawn["smoothed"]), strict=True))
    marks = axes.lines[3:]
    assert [mark.get_label() for mark in marks] == [
        f"{name} {SUGGESTIONS[name]:.2g}" for name in SHAPES
    ]
    for mark, (name, shape) in zip(marks, SHAPES.items(), strict=True):
        near = min(curve, key=lambda lr, at=SUGGESTIONS[name]: abs(lr - at))
        assert data(mark) == [[SUGGESTIONS[name]], [curve[near]]]
        assert (mark.get_marker(), mark.get_markersize()) == (shape, 8)
        assert (mark.get_markerfacecolor(), mark.get_markeredgecolor()) == ("white", "black")
        assert mark.get_linestyle() == "None"
        assert mark.get_zorder() > drawn["smoothed"].get_zorder()


def test_only_the_suggestions_that_there_are(matplotlib):
    some = {"steepest": None, "valley": 0.0042}
    (axes,) = result(LRS, LOSSES, suggestions=some).plot().axes
    assert list(lines(axes))[3:] == ["valley 0.0042"]


def test_both_boundaries_and_the_band_between(matplotlib):
    (axes,) = result(LRS, LOSSES, base_lr=0.0123, max_lr=0.05).plot().axes
    base, most = axes.lines[3:]
    assert (base.get_label(), most.get_label()) == ("base_lr 0.012", "max_lr 0.05")
    assert (look(base), look(most)) == (("black", ":"), ("black", "--"))
    assert (data(base), data(most)) == ([[0.0123] * 2, [0, 1]], [[0.05] * 2, [0, 1]])
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.0123, 0.05))
    assert (band.get_y(), band.get_height()) == (0, 1)
    assert band.get_facecolor() == pytest.approx((0.4, 0.4, 0.4, 0.12))  # GREY
    assert GREY == "#666666"
    assert band.get_linewidth() == 0


@pytest.mark.parametrize("name", ["base_lr", "max_lr"])
def test_one_boundary_has_no_band(matplotlib, name):
    (axes,) = result(LRS, LOSSES, **{name: 0.02}).plot().axes
    assert list(lines(axes))[3:] == [f"{name} 0.02"]
    assert list(axes.patches) == []


def test_scores_have_an_axis_on_the_right(matplotlib):
    scores = [k / 100 for k in range(51)]
    figure = result(LRS, LOSSES, scores).plot()
    _, right = figure.axes
    (line,) = right.lines
    assert data(line) == [LRS, scores]
    assert look(line) == (GREEN, ":")
    assert right.get_ylabel() == "score of each batch (dotted)"


def test_sentences_above_all_in_lines_that_fit(matplotlib):
    fits = "x" * 54 + " " + "y" * 55  # 110 characters; one more doesn't fit.
    words = f"{fits} {fits}y"
    figure = result(LRS, LOSSES, stop_reason="It stopped.", warnings=[words, "Last."]).plot()
    assert figure.get_suptitle() == "\n".join(["It stopped.", fits, "x" * 54, "y" * 56, "Last."])
    figure.draw_without_rendering()
    (title,) = [text for text in figure.texts if text.get_text()]
    box = title.get_window_extent()
    assert 0 < box.x0 < box.x1 < figure.bbox.width
    assert box.y0 > figure.axes[0].get_legend().get_window_extent().y1


@pytest.mark.parametrize("count", [10, 11, 12])
def test_at_most_ten_lines_of_sentences(matplotlib, count):
    warnings = [f"Warning {i}." for i in range(count)]
    shown = warnings if count <= 10 else [*warnings[:10], "…"]
    assert result(LRS, LOSSES, warnings=warnings).plot().get_suptitle() == "\n".join(shown)
