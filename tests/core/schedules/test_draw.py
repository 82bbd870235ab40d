"""Pictures of a schedule: the rate at its steps, with its boundaries, names and units."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import product

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core._drawing import BLUE, GREY, PALETTE
from clr_core.conformance import float32
from clr_core.schedules.draw import picture, svg
from clr_core.schedules.samples import samples
from other_kinds import Cosine

SCHEDULE = CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=250, mode="triangular2")
WITH_MOMENTUM = CyclicSchedule(base_lr=0.1, max_lr=0.4, base_momentum=0.8, max_momentum=0.95)
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


# The picture of a notebook.

TINY = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)
TINY_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="160" viewBox="0 0 480 160" '
    'role="img" font-family="sans-serif" font-size="11" fill="currentColor">'
    "<title>CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0)</title>"
    # Both boundaries.
    '<line x1="70" x2="468" y1="126.0" y2="126.0" '
    'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
    '<text x="64.0" y="130.0" text-anchor="end">0.1</text>'
    '<line x1="70" x2="468" y1="12.0" y2="12.0" '
    'stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="4 3"/>'
    '<text x="64.0" y="16.0" text-anchor="end">0.5</text>'
    # The axis of the steps.
    '<text x="70.0" y="142.0" text-anchor="start">0</text>'
    '<text x="269.0" y="142.0" text-anchor="middle">4</text>'
    '<text x="468.0" y="142.0" text-anchor="end">8</text>'
    '<text x="269.0" y="156.0" text-anchor="middle">step</text>'
    '<text x="12.0" y="69.0" text-anchor="middle" transform="rotate(-90 12 69)">'
    "learning rate</text>"
    # Two cycles: up, down, up, down.
    '<polyline points="70.0,126.0 119.8,69.0 169.5,12.0 219.2,69.0 269.0,126.0 '
    '318.8,69.0 368.5,12.0 418.2,69.0 468.0,126.0" '
    'fill="none" stroke="#0072B2" stroke-width="1.8"/></svg>'
    "<pre>CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0)</pre>"
)


def drawn(schedule):
    """The texts with their places, the heights of the levels, and the points of the curve."""
    root = ET.fromstring(svg(schedule).partition("<pre>")[0])
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
    assert texts[:5] == [
        ("0.0123", LEFT - 6, BOTTOM + 4),
        ("0.6", LEFT - 6, TOP + 4),
        ("0", LEFT, BOTTOM + 16),
        ("246,912", (LEFT + RIGHT) / 2, BOTTOM + 16),
        ("493,824", RIGHT, BOTTOM + 16),
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
    assert [text for text, *_ in texts] == ["2", "4", "0", "1", "2", "step", "learning rate"]


def test_levels_at_one_height_have_one_line():
    texts, heights, points = drawn(CyclicSchedule(base_lr=0.1, max_lr=0.1, step_size_up=2))
    assert heights == [69]
    assert texts[:2] == [("0.1", 64, 73), ("0", 70, 142)]
    assert {y for _, y in points} == {69}


def test_labels_that_would_touch():
    texts, heights, _ = drawn(CyclicSchedule(base_lr=0, max_lr=1, scale_fn="1000 * x"))
    assert len(heights) == 2
    assert [text for text, *_ in texts[:2]] == ["0", "0"]  # The second one is a step.


def test_what_is_not_finite_is_left_out():
    nan, inf = float("nan"), float("inf")
    _, _, points = drawn(Given(1.0, inf, 2.0, -inf, nan, 3.0, low=1.0))
    assert points == [(70, 126), (round(70 + 398 * 2 / 5, 1), 69), (468, 12)]


def test_a_name_is_text():
    class Named(Given):
        def __repr__(self):
            return "<b>&"

    html = svg(Named(1.0, 2.0))
    assert "<title>&lt;b&gt;&amp;</title>" in html
    assert html.endswith("<pre>&lt;b&gt;&amp;</pre>")


def test_a_notebook_needs_no_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from clr_core import CyclicSchedule; "
        "print(CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2)._repr_html_())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (TINY_SVG + "\n", "")


# The figure.


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def texts(axes):
    return {text.get_text() for text in axes.texts}


def look(line):
    return line.get_color(), line.get_linestyle(), line.get_linewidth()


def levels(axes):
    return [line for line in axes.lines if look(line) == (GREY, "--", 0.8)]


def marks(axes):
    return [line for line in axes.lines if look(line) == (GREY, ":", 1)]


def curves(axes):
    return [line for line in axes.lines if line not in levels(axes) + marks(axes)]


def box(artist):
    """Where an artist is, once its figure is drawn: left, bottom, right, top."""
    return tuple(artist.get_window_extent().extents)


def test_the_rate_between_its_boundaries(matplotlib):
    figure = SCHEDULE.plot()
    (axes,) = figure.axes
    line, *_ = axes.lines
    assert curves(axes) == [line]
    assert look(line) == (BLUE, "-", 1.8)
    assert set(line.get_xdata()) >= {0, 250, 499, 500, 750, 1500}
    for step, lr in zip(line.get_xdata(), line.get_ydata(), strict=True):
        assert float32(lr) == oracle.to_float32(oracle.lr(SCHEDULE.to_dict(), step))
    assert (axes.get_xlim(), axes.get_xlabel()) == ((0, 1500), "step (updates)")
    assert axes.get_ylabel() == "learning rate"
    assert texts(axes) == {"base_lr 0.0015", "max_lr 0.006"}
    assert tuple(figure.get_size_inches()) == (8.4, 3.4)
    assert figure.legends == []


def test_the_momentum_below(matplotlib):
    figure = WITH_MOMENTUM.plot(4000)
    upper, lower = figure.axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("learning rate", "momentum")
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "step (updates)")
    assert upper.get_xlim() == lower.get_xlim() == (0, 4000)
    assert tuple(figure.get_size_inches()) == (8.4, 5.4)
    assert texts(upper) == {"base_lr 0.1", "max_lr 0.4"}
    assert texts(lower) == {"base_momentum 0.8", "max_momentum 0.95"}
    drawn = dict(zip(*lower.lines[0].get_data(), strict=True))
    assert (drawn[0], drawn[2000], drawn[4000]) == (0.95, 0.8, 0.95)
    figure.draw_without_rendering()
    assert box(upper)[1] > box(lower)[3]
    labels = [upper.yaxis.label, lower.yaxis.label, lower.xaxis.label]
    for each in (*labels, *upper.texts, *lower.texts):  # Nothing is cut off.
        left, bottom, right, top = box(each)
        assert 0 <= left < right <= figure.bbox.width
        assert 0 <= bottom < top <= figure.bbox.height
    for axes in (upper, lower):  # The names of the levels stand beside the frame.
        assert all(box(text)[0] > box(axes)[2] for text in axes.texts)


def test_steps_are_grouped_by_thousands(matplotlib):
    (axes,) = CyclicSchedule(base_lr=0.1, max_lr=0.5).plot(1_500_000).axes
    assert axes.xaxis.get_major_formatter()(1_250_000) == "1,250,000"


def test_epochs_on_a_second_axis(matplotlib):
    figure = SCHEDULE.plot(2000, steps_per_epoch=100)
    figure.draw_without_rendering()  # This is what gives the axis its limits.
    (axes,) = figure.axes
    (epochs,) = axes.child_axes
    assert epochs.get_xlabel() == "epochs (of 100 updates)"
    assert epochs.get_xlim() == pytest.approx((0, 20))  # matplotlib scales in floats.
    assert axes.get_xlim() == (0, 2000)
    assert box(epochs.xaxis.label)[1] > box(axes)[3]


@pytest.mark.parametrize(("steps_per_epoch", "whole"), [(800, True), (2000, False)])
def test_whole_epochs_are_marked_if_there_is_more_than_one(matplotlib, steps_per_epoch, whole):
    figure = SCHEDULE.plot(2000, steps_per_epoch=steps_per_epoch)
    figure.draw_without_rendering()
    (epochs,) = figure.axes[0].child_axes
    assert all(tick.is_integer() for tick in epochs.get_xticks()) == whole


def test_a_flat_schedule_names_its_one_boundary(matplotlib):
    (axes,) = CyclicSchedule(base_lr=0.1, max_lr=0.1).plot(10).axes
    assert texts(axes) == {"base_lr = max_lr 0.1"}
    assert [list(line.get_ydata()) for line in levels(axes)] == [[0.1, 0.1]]


@pytest.mark.parametrize(("step", "marked"), [(0, False), (1, True), (1500, True), (1501, False)])
def test_the_step_of_a_run(matplotlib, step, marked):
    (axes,) = picture(samples([SCHEDULE]), step=step).axes
    labels = [text for text in axes.texts if text.get_text().startswith("step")]
    assert [list(mark.get_xdata()) for mark in marks(axes)] == [[step, step]] * marked
    assert [label.get_text() for label in labels] == [f"step {step:,}"] * marked
    for label in labels:
        assert (label.xy, label.xycoords) == ((step, 0), ("data", "axes fraction"))
        assert (label.xyann, label.anncoords) == ((4, 12), "offset points")
        assert label.get_color() == GREY


def test_the_step_is_marked_in_both_panels_and_named_in_the_upper(matplotlib):
    upper, lower = picture(samples([WITH_MOMENTUM]), step=3000).axes
    for axes in (upper, lower):
        (mark,) = marks(axes)
        assert list(mark.get_xdata()) == [3000, 3000]
        assert list(mark.get_ydata()) == [0, 1]  # From the bottom to the top of the panel.
    assert "step 3,000" in texts(upper)
    assert not any(text.startswith("step") for text in texts(lower))


GROUPS = [CyclicSchedule(base_lr=0.01 * k, max_lr=0.1 * k, step_size_up=20) for k in range(1, 8)]


def test_each_group_has_a_colour_and_a_dash(matplotlib):
    figure = picture(samples(GROUPS))
    lines = curves(figure.axes[0])
    assert [line.get_color() for line in lines] == [*PALETTE, PALETTE[0]]
    assert [line.get_linestyle() for line in lines] == ["-", *["--"] * 3, "-", *["--"] * 2]
    assert [line.get_label() for line in lines] == [f"group {k}" for k in range(7)]
    for k, line in enumerate(lines, 1):
        assert max(line.get_ydata()) == 0.1 * k


def test_a_level_that_groups_share_is_named_once(matplotlib):
    pair = [CyclicSchedule(base_lr=low, max_lr=0.5, step_size_up=5) for low in (0.1, 0.2)]
    pair += [Cosine(peak=0.5, floor=0.1, steps=30)]
    (axes,) = picture(samples(pair)).axes
    assert [text.get_text() for text in axes.texts] == [
        "base_lr = floor 0.1",
        "max_lr = peak 0.5",
        "base_lr 0.2",
    ]
    assert len(levels(axes)) == 3


def test_only_some_groups_have_a_momentum(matplotlib):
    figure = picture(samples([SCHEDULE, WITH_MOMENTUM, SCHEDULE, WITH_MOMENTUM]))
    upper, lower = figure.axes
    every = [f"group {k}" for k in range(4)]
    assert [line.get_label() for line in curves(upper)] == every
    assert [text.get_text() for text in figure.legends[0].get_texts()] == every
    lines = curves(lower)
    assert [line.get_label() for line in lines] == ["group 1", "group 3"]
    assert [line.get_color() for line in lines] == [PALETTE[1], PALETTE[3]]
    assert [line.get_ydata()[0] for line in lines] == [0.95, 0.95]


def test_into_axes_of_ones_own(matplotlib):
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    right.set_title("mine")
    assert WITH_MOMENTUM.plot(100, steps_per_epoch=10, ax=left) is figure
    assert look(left.lines[0]) == (BLUE, "-", 1.8)
    assert (left.get_xlim(), left.get_xlabel()) == ((0, 100), "step (updates)")
    assert left.get_ylabel() == "learning rate"
    assert [axis.get_xlabel() for axis in left.child_axes] == ["epochs (of 10 updates)"]
    assert left.spines["top"].get_visible()  # The look of the axes is their owner's.
    assert (right.get_title(), len(right.lines), len(figure.axes)) == ("mine", 0, 2)
    picture(samples([SCHEDULE]), step=7, axes=right)
    assert "step 7" in texts(right)


def test_pyplot_is_left_alone(matplotlib):
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 17, "axes.spines.right": True}):
        before = dict(pyplot.rcParams), pyplot.get_fignums()
        figure = WITH_MOMENTUM.plot(steps_per_epoch=10)
        assert (dict(pyplot.rcParams), pyplot.get_fignums()) == before
    for axes, side in product(figure.axes, ("top", "right", "bottom", "left")):
        assert axes.spines[side].get_visible() == (side in ("bottom", "left"))
        assert axes.xaxis.label.get_fontsize() == 10


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"steps": 0}, ValueError, r"^`steps` must be from 1 to 2\*\*53\. Received: steps=0$"),
        ({"steps": 2.5}, TypeError, r"^`steps` must be an integer\. Received: steps=2\.5$"),
        ({"steps": 2**53 + 1}, ValueError, r"^`steps` must be from 1 to 2\*\*53\. Received: "),
        ({"steps_per_epoch": 0}, ValueError, r"^`steps_per_epoch` must be from 1 to 2\*\*53\. "),
        ({"steps_per_epoch": "9"}, TypeError, r"^`steps_per_epoch` must be an integer\. "),
    ],
)
def test_what_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        SCHEDULE.plot(**arguments)
