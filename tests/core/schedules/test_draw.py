"""Figures of schedules: the rates at their steps, with their boundaries, names and units."""

from itertools import pairwise, product

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core._drawing import BLUE, GREY, PALETTE
from clr_core.conformance import float32
from clr_core.schedules.draw import picture
from clr_core.schedules.samples import samples
from other_kinds import Cosine

SCHEDULE = CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=250, mode="triangular2")
WITH_MOMENTUM = CyclicSchedule(base_lr=0.1, max_lr=0.4, base_momentum=0.8, max_momentum=0.95)


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
    assert list(epochs.get_xticks()) == [0, 5, 10, 15, 20]
    assert axes.get_xlim() == (0, 2000)
    assert box(epochs.xaxis.label)[1] > box(axes)[3]
    upper, lower = WITH_MOMENTUM.plot(4000, steps_per_epoch=100).axes
    assert (len(upper.child_axes), len(lower.child_axes)) == (1, 0)


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


def test_several_schedules_by_name(matplotlib):
    one = CyclicSchedule(base_lr=0.1, max_lr=0.4, step_size_up=100)
    figure = picture(samples([SCHEDULE, one]), names=["run.json", "other.yaml"], step=[300, 0])
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["run.json", "other.yaml"]
    figure.draw_without_rendering()
    one, other = map(box, figure.legends[0].get_texts())
    assert one[2] < other[0]  # Beside each other.
    # Each as far as the longer one, and the step that one has reached in its colour.
    assert [curve.get_xdata()[-1] for curve in curves(axes) if len(curve.get_xdata()) > 2] == [
        1500,
        1500,
    ]
    (label,) = [text for text in axes.texts if text.get_text() == "step 300"]
    assert label.get_color() == PALETTE[0]


def test_names_of_files_have_room_in_the_legend(matplotlib):
    names = [f"a/rather/long/path/to/the/checkpoints/of/run-{k}/schedule.json" for k in range(4)]
    figure = picture(samples(GROUPS[:4]), names=names)
    figure.draw_without_rendering()
    left, _, right, top = box(figure.legends[0])
    assert 0 <= left < right <= figure.bbox.width
    assert top <= figure.bbox.height
    longer = picture(samples(GROUPS[:2]), names=[f"{name}/{'x' * 40}" for name in names[:2]])
    longer.draw_without_rendering()  # One below the other, however long.


def test_rates_far_apart_have_a_logarithmic_axis(matplotlib):
    low = CyclicSchedule(base_lr=0.0, max_lr=0.001, step_size_up=100)
    (axes,) = picture(samples([low, CyclicSchedule(base_lr=0.1, max_lr=0.5)])).axes
    assert axes.get_yscale() == "log"
    bottom, top = axes.get_ylim()
    assert 0 < bottom < 1e-5
    assert top > 0.5
    assert "base_lr 0" not in texts(axes)  # Zero lies nowhere on this axis.
    (axes,) = picture(samples([low, CyclicSchedule(base_lr=0.001, max_lr=0.02)])).axes
    assert axes.get_yscale() == "linear"


def test_a_curve_of_many_turns_hides_no_other(matplotlib):
    short = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1)
    (axes,) = picture(samples([CyclicSchedule(base_lr=0.1, max_lr=0.5), short])).axes
    above, below = (line for line in curves(axes) if line.get_label().startswith("group"))
    assert above.get_zorder() > below.get_zorder()


def test_names_of_levels_do_not_touch(matplotlib):
    figure = picture(samples(GROUPS))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    heights = sorted((box(text)[1], box(text)[3]) for text in axes.texts)
    assert len(heights) >= 7
    assert all(top <= bottom + 1 for (_, top), (bottom, _) in pairwise(heights))
    assert len(levels(axes)) == len({r for g in GROUPS for r in (g.base_lr, g.max_lr)})


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
        ({"steps": 0}, ValueError, r"^`steps` must lie between 1 and 2\*\*53\. Received: steps=0$"),
        ({"steps": 2.5}, TypeError, r"^`steps` must be an integer\. Received: steps=2\.5$"),
        ({"steps": 2**53 + 1}, ValueError, r"^`steps` must lie between 1 and 2\*\*53\. Received: "),
        (
            {"steps_per_epoch": 0},
            ValueError,
            r"^`steps_per_epoch` must lie between 1 and 2\*\*53\. ",
        ),
        ({"steps_per_epoch": "9"}, TypeError, r"^`steps_per_epoch` must be an integer\. "),
    ],
)
def test_what_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        SCHEDULE.plot(**arguments)
