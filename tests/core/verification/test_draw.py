"""The picture of a log: what was logged over the schedule, and below how far they are apart."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from clr_core import CyclicSchedule, verify
from clr_core._drawing import BLUE, GREY, VERMILLION
from clr_core.verification import picture
from clr_core.verification._draw import draw

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)
STEPS = list(range(10, 110, 5))
LRS = [SCHEDULE.lr(step) for step in STEPS]


@pytest.fixture(autouse=True)
def matplotlib():
    return pytest.importorskip("matplotlib")


class Given:
    """The least of a schedule: a rate of 1."""

    def lr(self, step):
        return 1.0

    def turns(self, first, last):
        return iter(())


def panels(schedule=SCHEDULE, steps=STEPS, lrs=LRS, title="It followed.", mark=None):
    return draw(schedule, steps, lrs, title=title, mark=mark).axes


def data(line):
    return [list(values) for values in line.get_data()]


def drawn_steps(count, mark=None):
    """The steps of the dots for a log of every step from 5."""
    steps = range(5, 5 + count)
    upper, lower = panels(Given(), steps, [1.0] * count, mark=mark)
    assert data(upper.lines[1])[0] == data(lower.lines[1])[0]
    return data(upper.lines[1])[0]


def test_what_was_logged_over_the_schedule():
    late = [SCHEDULE.lr(step - 1) for step in STEPS]
    upper, lower = panels(lrs=late)
    schedule, logged = upper.lines
    every = list(range(10, 106))
    assert data(schedule) == [every, [SCHEDULE.lr(step) for step in every]]
    assert data(logged) == [STEPS, late]
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["schedule", "logged"]
    zero, difference = lower.lines
    assert data(zero) == [[0, 1], [0, 0]]  # From side to side.
    assert data(difference) == [STEPS, [a - b for a, b in zip(late, LRS, strict=True)]]
    assert (schedule.get_color(), logged.get_color()) == (BLUE, VERMILLION)
    assert (zero.get_color(), difference.get_color()) == (BLUE, VERMILLION)
    # The steps are the same in both, and have numbers below the lower one.
    lower.set_xlim(20, 30)
    assert upper.get_xlim() == (20, 30)
    assert not any(label.get_visible() for label in upper.get_xticklabels())


def test_a_log_in_any_order():
    upper, lower = panels(steps=STEPS[::-1], lrs=LRS[::-1])
    assert data(upper.lines[0])[0] == list(range(10, 106))
    assert data(upper.lines[1]) == [STEPS[::-1], LRS[::-1]]
    assert set(data(lower.lines[1])[1]) == {0.0}


def test_arrays(np):
    upper, lower = panels(steps=np.array(STEPS), lrs=np.array(LRS, np.float32), mark=15)
    assert data(upper.lines[1]) == [STEPS, [float(np.float32(lr)) for lr in LRS]]
    assert max(map(abs, data(lower.lines[1])[1])) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("count", "marker"), [(1, "."), (300, "."), (301, "")])
def test_dots_for_few_lines_and_a_dashed_line_for_many(count, marker):
    upper, lower = panels(Given(), range(count), [1.0] * count)
    logged, difference = upper.lines[1], lower.lines[1]
    assert logged.get_marker() == difference.get_marker() == marker
    assert logged.get_linestyle() == ("None" if marker else "--")


def test_at_most_4000_lines_are_drawn_and_always_the_last():
    assert drawn_steps(4000) == list(range(5, 4005))
    assert drawn_steps(4001) == list(range(5, 4006, 2))
    assert drawn_steps(8000) == [*range(5, 8005, 2), 8004]
    assert drawn_steps(8001) == [*range(5, 8006, 3), 8005]


def test_the_marked_line_is_always_drawn():
    assert drawn_steps(8000, mark=6) == [5, 6, *range(7, 8005, 2), 8004]
    assert drawn_steps(8000, mark=7) == [*range(5, 8005, 2), 8004]


def test_the_first_difference_is_a_line_in_both_panels():
    upper, lower = panels(mark=1010, steps=[*STEPS, 1010], lrs=[*LRS, 1.0])
    for axes in (upper, lower):
        mark = axes.lines[-1]
        assert data(mark) == [[1010, 1010], [0, 1]]  # From the bottom to the top.
        assert mark.get_color() == GREY
        assert len(axes.lines) == 3
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert labels == ["schedule", "logged", "first difference: step 1,010"]


def test_step_0_is_marked_as_well():
    upper, _ = panels(steps=[0, 1], lrs=[1.0, 1.0], mark=0)
    assert data(upper.lines[-1])[0] == [0, 0]


def test_the_axes():
    upper, lower = panels()
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("learning rate", "logged - schedule")
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "step (updates)")
    assert lower.get_xlim() == upper.get_xlim()
    assert lower.xaxis.get_major_formatter()(1_250_000) == "1,250,000"
    for axes in (upper, lower):
        assert [name for name, spine in axes.spines.items() if spine.get_visible()] == [
            "left",
            "bottom",
        ]


def test_no_text_lies_over_another_or_outside():
    words = " ".join(["word"] * 60)
    figure = draw(SCHEDULE, STEPS, LRS, title=words, mark=15)
    figure.draw_without_rendering()
    above, below = (axes.get_window_extent() for axes in figure.axes)
    assert above.y0 > below.y1
    legend = figure.axes[0].get_legend().get_window_extent()
    (title,) = [text for text in figure.texts if text.get_text()]
    assert title.get_text().replace("\n", " ") == words
    box = title.get_window_extent()
    assert 0 < box.x0 < box.x1 < figure.bbox.width
    assert above.y1 < legend.y0 < legend.y1 < box.y0 < box.y1 < figure.bbox.height


@pytest.mark.parametrize(("rate", "power"), [(0.002, "1e−3"), (0.02, ""), (2e3, ""), (2e4, "1e4")])
def test_rates_are_written_with_a_power_only_if_that_is_shorter(rate, power):
    steps = range(11)
    lrs = [rate * step / 10 for step in steps]
    figure = draw(CyclicSchedule(base_lr=0.0, max_lr=1e-9), steps, lrs, title="", mark=None)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.yaxis.get_offset_text().get_text() == power


def test_the_file_of_a_verdict(matplotlib, tmp_path):
    from matplotlib.image import imread

    late = [SCHEDULE.lr(step - 3) for step in STEPS]
    verdict = verify(SCHEDULE, STEPS, late)
    with matplotlib.rc_context({"savefig.facecolor": "black", "savefig.dpi": 50}):
        picture(SCHEDULE, STEPS, late, verdict, tmp_path / "run.png")
    pixels = imread(tmp_path / "run.png")
    assert pixels.shape[:2] == (780, 1350)  # 150 in an inch.
    assert pixels[0, 0].tolist() == [1, 1, 1, 1]
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        picture(SCHEDULE, STEPS, late, verdict, tmp_path / "run.svg")
    text = " ".join(ET.parse(tmp_path / "run.svg").getroot().itertext())
    assert f"first difference: step {verdict.first_difference}" in text
    assert verdict.sentence[:60] in text


def test_without_the_extra():
    code = """
import sys
sys.modules["matplotlib"] = None
from clr_core import CyclicSchedule, verify
from clr_core.verification import picture
schedule = CyclicSchedule(base_lr=0.1, max_lr=0.1)
picture(schedule, [0], [0.1], verify(schedule, [0], [0.1]), "never.png")
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("matplotlib: pip install 'cyclical-lr[plot]'\n")
