"""`clr plot`: pictures that other programs open, and plots for any terminal."""

import json
import sys
from xml.etree import ElementTree

import pytest
from matplotlib import image

from clr_core import CyclicSchedule
from clr_core.record import Record
from clr_core.schedules.samples import samples

from .conftest import GROUPS, in_picture


def test_png(folder, clr):
    done = clr("plot", "run.json", "--out", "run.png")
    assert (done.code, done.out, done.err) == (0, "", "")
    pixels = image.imread("run.png")
    assert pixels.shape[0] > 500 < pixels.shape[1]
    # Both panels have a line in the schedule's colour.
    blue = (abs(pixels[:, :, :3] - [0, 0x72 / 255, 0xB2 / 255]) < 0.01).all(axis=2)
    half = len(pixels) // 2
    assert blue[:half].sum() > 500 < blue[half:].sum()


def test_svg_and_pdf(folder, clr):
    drawn = {}
    for name in ("a.svg", "b.svg", "a.pdf", "b.pdf"):
        assert clr("plot", "groups.json", "--out", name).code == 0
        drawn[name] = (folder / name).read_bytes()
    assert drawn["a.svg"] == drawn["b.svg"]  # Reproducible.
    assert drawn["a.pdf"] == drawn["b.pdf"]
    assert ElementTree.fromstring(drawn["a.svg"]).tag == "{http://www.w3.org/2000/svg}svg"
    for text in ("learning rate", "momentum", "step (updates)", "group 1", "step 1,500", "0.006"):
        assert in_picture(text, folder / "a.svg")


def test_terminal(folder, clr):
    lines = clr("plot", "other.json").out.splitlines()
    assert lines[0].strip() == "learning rate over steps"
    assert lines[2].startswith("   0.005")
    assert lines[-1].split() == ["0", *(f"{k},000" for k in range(2, 13, 2))]
    assert "\x1b" not in "".join(lines)
    # The peaks fall, so the highest line has dots only in its left third.
    (top,) = [line for line in lines if line.startswith("   0.005")]
    dots = [i for i, each in enumerate(top) if "\u2800" < each <= "\u28ff"]
    assert dots
    assert max(dots) < len(top) / 3


def test_terminal_of_groups_and_momentum(folder, clr):
    printed = clr("plot", "groups.json").out
    for text in ("learning rate over steps", "momentum over steps", "* group 0   o group 1"):
        assert text in printed
    assert printed.endswith("The run is at step 1,500.\n")


def test_terminal_of_ascii_only(folder, process):
    done = process("plot", "run.json", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\\u" not in done.stdout
    assert "*" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        "--base-lr 0 --max-lr 0",
        "--base-lr 0.1 --max-lr 0.1",
        "--base-lr 0 --max-lr 1 --scale-fn 1/(x-4) --step-size-up 1",
        "--base-lr 0 --max-lr 1e-300",
        "--base-lr 1e-320 --max-lr 2e-320",
        "--base-lr 0 --max-lr 1e300",
        "--base-lr 0 --max-lr 1 --step-size-up 1e15",
        "--base-lr 0 --max-lr 1 --step-size-up 0.001",
        "--base-lr 0 --max-lr 1 --steps 9007199254740992",
        "--base-lr 0 --max-lr 1 --steps 1",
    ],
)
def test_any_schedule(folder, clr, flags):
    drawn = clr("plot", *flags.split())
    assert (drawn.code, drawn.err) == (0, "")
    assert clr("plot", *flags.split(), "--out", "run.svg").code == 0


def test_points(folder, data):
    found = data("plot", "groups.json", "--steps", "12345")
    assert found["out"] is None
    for curve, expected in zip(found["curves"], samples(GROUPS.schedule, 12_345), strict=True):
        assert (curve["steps"], curve["lr"]) == (expected.steps, expected.lrs)
        assert curve.get("momentum") == expected.momenta


def test_json_beside_a_picture(folder, clr):
    done = clr("plot", "run.json", "--json", "--out", "run.svg")
    assert json.loads(done.out)["out"] == "run.svg"
    assert (folder / "run.svg").exists()


@pytest.mark.parametrize(
    ("library", "arguments"), [("plotext", []), ("matplotlib", ["--out", "run.png"])]
)
def test_without_the_extra(folder, refused, monkeypatch, library, arguments):
    for name in [name for name in sys.modules if name.partition(".")[0] in (library, "clr_cli")]:
        if name not in ("clr_cli.main", "clr_cli.parser", "clr_cli.output"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    text = refused("plot", "run.json", *arguments)
    assert f" needs {library}" in text
    assert text.endswith(": pip install 'cyclical-lr[plot]'")
    assert not (folder / "run.png").exists()


def test_rates_that_no_library_draws(refused):
    flags = ["--base-lr", "0", "--max-lr", "1.7e308"]
    for more in ([], ["--out", "run.png"]):
        assert refused("plot", *flags, *more).startswith("A rate must be at most 1e+300 to be dra")


@pytest.mark.parametrize("name", ["run.gif", "run", "run.png.txt"])
def test_other_pictures(folder, refused, name):
    assert refused("plot", "run.json", "--out", name).startswith(
        "--out must end in .png, .svg or .p"
    )


def test_epochs_in_a_picture(folder, clr):
    assert clr("plot", "run.json", "--steps-per-epoch", "450", "--out", "run.svg").code == 0
    assert "epochs (of 450 updates)" in (folder / "run.svg").read_text()


@pytest.mark.parametrize(
    ("size", "ticks"),
    [
        (450, [0, 5, 10, 15, 20, 25]),
        (391, [0, 10, 20, 30]),
        (12_000, [0, 1]),
        (50_000, [0, 0.05, 0.1, 0.15, 0.2]),
        (7, [0, 500, "1,000", "1,500"]),
    ],
)
def test_round_epochs_in_the_terminal(folder, clr, size, ticks):
    _, epochs, *lines = clr("plot", "run.json", "--steps-per-epoch", str(size)).out.splitlines()
    assert epochs.split() == [str(tick) for tick in ticks]
    assert f"The upper axis counts epochs of {size:,} updates." in lines
    steps = next(line for line in lines if "12,000" in line)
    assert steps.split() == ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]
    # The tick of an epoch stands above its step.
    if size == 450:
        assert abs(epochs.index("20") - (steps.index("8,000") + steps.index("10,000") + 5) / 2) <= 3


def test_several_schedules_in_one_terminal_plot(folder, clr):
    done = clr("plot", "run.json", "other.yaml", "groups.json")
    assert (done.code, done.err) == (0, "")
    assert (
        "* run.json   o other.yaml   + groups.json group 0   x groups.json group 1\n"
        "run.json is at step 1,500.\n"
        "groups.json is at step 1,500.\n"
    ) in done.out


def test_several_schedules_in_one_picture(folder, clr, data):
    assert clr("plot", "run.json", "other.yaml", "--out", "both.svg").code == 0
    for text in ("run.json", "other.yaml", "step 1,500", "momentum"):
        assert in_picture(text, folder / "both.svg")
    found = data("plot", "run.json", "other.yaml")
    assert [curve["name"] for curve in found["curves"]] == ["run.json", "other.yaml"]
    assert [curve["schedule"]["max_lr"] for curve in found["curves"]] == [0.006, 0.005]


def test_short_cycles_hide_no_others(folder, clr):
    Record(CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=9)).write("short.json")
    dots = {
        symbol: clr("plot", *files).out.partition("momentum over")[0].count(symbol)
        for symbol, files in (("*", ["run.json", "short.json"]), ("o", ["short.json", "run.json"]))
    }
    assert dots["*"] > 50 < dots["o"]
    assert abs(dots["*"] - dots["o"]) < 10  # `o` is in names, too.


def test_lengths_and_rates_far_apart(folder, clr):
    Record(CyclicSchedule(base_lr=1.0, max_lr=5.0, step_size_up=20)).write("high.json")
    out = clr("plot", "run.json", "high.json").out
    assert "learning rate over steps (logarithmic)" in out
    rates = out.partition("momentum over steps")[0].splitlines()
    assert sum("*" in line for line in rates) >= 2  # The lower curve isn't flat.
    # The short cycles fill their band.
    assert sum(line.count("o") for line in rates) > 100


def test_two_files_of_standard_input(refused):
    assert refused("plot", "-", "-") == "Standard input can't be read twice"
