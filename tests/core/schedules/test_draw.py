"""`schedule.plot()`: what is drawn is the schedule, with its boundaries, names and units."""

import sys

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core.conformance import float32

SCHEDULE = CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=250, mode="triangular2")
WITH_MOMENTUM = CyclicSchedule(base_lr=0.1, max_lr=0.4, base_momentum=0.8, max_momentum=0.95)


@pytest.fixture(autouse=True)
def matplotlib():
    return pytest.importorskip("matplotlib")


def texts(axes):
    return {text.get_text() for text in axes.texts}


def test_the_rate_between_its_boundaries():
    (axes,) = SCHEDULE.plot().axes
    line, *_ = axes.lines
    assert set(line.get_xdata()) >= {0, 250, 499, 500, 750, 1500}
    for step, lr in zip(line.get_xdata(), line.get_ydata(), strict=True):
        assert float32(lr) == oracle.to_float32(oracle.lr(SCHEDULE.to_dict(), step))
    assert (axes.get_xlim(), axes.get_xlabel()) == ((0, 1500), "step (updates)")
    assert axes.get_ylabel() == "learning rate"
    assert texts(axes) == {"base_lr 0.0015", "max_lr 0.006"}
    assert {tuple(each.get_ydata()) for each in axes.lines[1:]} == {(0.0015,) * 2, (0.006,) * 2}


def test_the_momentum_below():
    upper, lower = WITH_MOMENTUM.plot(4000).axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("learning rate", "momentum")
    assert texts(lower) == {"base_momentum 0.8", "max_momentum 0.95"}
    drawn = dict(zip(*lower.lines[0].get_data(), strict=True))
    assert (drawn[0], drawn[2000], drawn[4000]) == (0.95, 0.8, 0.95)


def test_epochs_on_a_second_axis(tmp_path):
    figure = SCHEDULE.plot(2000, steps_per_epoch=100)
    figure.savefig(tmp_path / "schedule.png")  # Drawing is what gives the axis its limits.
    (axes,) = figure.axes
    (epochs,) = axes.child_axes
    assert epochs.get_xlabel() == "epochs (of 100 updates)"
    assert epochs.get_xlim() == pytest.approx((0, 20))  # matplotlib scales in floats.
    assert axes.get_xlim() == (0, 2000)


def test_a_flat_schedule_names_its_one_boundary():
    (axes,) = CyclicSchedule(base_lr=0.1, max_lr=0.1).plot(10).axes
    assert texts(axes) == {"base_lr = max_lr 0.1"}


def test_into_axes_of_ones_own():
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    right.set_title("mine")
    assert WITH_MOMENTUM.plot(100, ax=left) is figure
    assert left.lines
    assert left.get_ylabel() == "learning rate"
    assert (right.get_title(), len(right.lines), len(figure.axes)) == ("mine", 0, 2)


def test_pyplot_is_left_alone():
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 17, "axes.spines.right": True}):
        before = dict(pyplot.rcParams), pyplot.get_fignums()
        WITH_MOMENTUM.plot(steps_per_epoch=10)
        assert (dict(pyplot.rcParams), pyplot.get_fignums()) == before


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"steps": 0}, ValueError, r"^`steps` must be from 1 to 2\*\*53\. Received: steps=0$"),
        ({"steps": 2.5}, TypeError, r"^`steps` must be an integer\. Received: steps=2\.5$"),
        ({"steps_per_epoch": 0}, ValueError, r"^`steps_per_epoch` must be from 1 to 2\*\*53\. "),
        ({"steps_per_epoch": "9"}, TypeError, r"^`steps_per_epoch` must be an integer\. "),
    ],
)
def test_what_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        SCHEDULE.plot(**arguments)


def test_without_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"matplotlib: pip install 'cyclical-lr\[plot\]'$"):
        SCHEDULE.plot()
