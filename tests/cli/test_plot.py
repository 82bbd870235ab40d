"""`clr plot`: pictures that other programs open, and plots for any terminal."""

import json
import sys
from xml.etree import ElementTree

import pytest

import oracle
from clr_core.conformance import float32

from .conftest import OTHER, SCHEDULE


def test_png(folder, clr):
    image = pytest.importorskip("matplotlib.image")
    done = clr("plot", "run.json", "--out", "run.png")
    assert (done.code, done.out, done.err) == (0, "", "")
    pixels = image.imread("run.png")
    assert pixels.shape[0] > 500 < pixels.shape[1]
    # Both panels have a line in the schedule's colour.
    blue = (abs(pixels[:, :, :3] - [0, 0x72 / 255, 0xB2 / 255]) < 0.01).all(axis=2)
    half = len(pixels) // 2
    assert blue[:half].sum() > 500 < blue[half:].sum()


def test_svg(folder, clr):
    assert clr("plot", "groups.json", "--out", "run.svg").code == 0
    first = (folder / "run.svg").read_bytes()
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    for text in ("learning rate", "momentum", "step (updates)", "group 1", "step 1,500", "0.006"):
        assert f"<!-- {text} -->".encode() in first or f">{text}<".encode() in first, text
    assert clr("plot", "groups.json", "--out", "run.svg").code == 0
    assert (folder / "run.svg").read_bytes() == first  # Reproducible.


def test_pdf(folder, clr):
    pytest.importorskip("matplotlib")
    for name in ("one.pdf", "other.pdf"):
        assert clr("plot", "run.json", "--out", name).code == 0
    assert (folder / "one.pdf").read_bytes() == (folder / "other.pdf").read_bytes()


def test_terminal(folder, clr):
    pytest.importorskip("plotext")
    lines = clr("plot", "other.json").out.splitlines()
    assert lines[0].strip() == "learning rate over steps"
    assert lines[2].startswith("   0.005")
    assert lines[-1].split() == ["0", "3,000", "6,000", "9,000", "12,000"]
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
    assert printed.endswith("The run is at step 1500.\n")


def test_terminal_of_ascii_only(folder, process):
    done = process("plot", "run.json", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\\u" not in done.stdout
    assert "*" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--base-lr", "0", "--max-lr", "0"],
        ["--base-lr", "0.1", "--max-lr", "0.1"],
        ["--base-lr", "0", "--max-lr", "1", "--scale-fn", "1 / (x - 4)", "--step-size-up", "1"],
        ["--base-lr", "0", "--max-lr", "1e-300"],
        ["--base-lr", "1e-320", "--max-lr", "2e-320"],
        ["--base-lr", "0", "--max-lr", "1e300"],
        ["--base-lr", "0", "--max-lr", "1", "--step-size-up", "1e15"],
        ["--base-lr", "0", "--max-lr", "1", "--step-size-up", "0.001"],
        ["--base-lr", "0", "--max-lr", "1", "--steps", "9007199254740992"],
        ["--base-lr", "0", "--max-lr", "1", "--steps", "1"],
    ],
    ids=" ".join,
)
def test_any_schedule(tmp_path, monkeypatch, clr, flags):
    monkeypatch.chdir(tmp_path)
    drawn = clr("plot", *flags)
    assert (drawn.code, drawn.err) == (0, "")
    assert clr("plot", *flags, "--out", "run.svg").code == 0


def test_points(folder, data):
    """They include the peaks, which an even grid would cut off."""
    found = data("plot", "groups.json", "--steps", "12345")
    assert found["out"] is None
    for schedule, curve in zip((SCHEDULE, OTHER), found["curves"], strict=True):
        assert curve["steps"] == sorted(set(curve["steps"]))
        assert (curve["steps"][0], curve["steps"][-1]) == (0, 12345)
        assert {2000, 4000, 6000, 8000, 10_000} <= set(curve["steps"])
        for step, lr in zip(curve["steps"][::97], curve["lr"][::97], strict=True):
            assert float32(lr) == oracle.to_float32(oracle.lr(schedule.to_dict(), step))
    assert "momentum" in found["curves"][0]
    assert "momentum" not in found["curves"][1]


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


def test_epochs(folder, clr, refused):
    assert clr("plot", "run.json", "--steps-per-epoch", "450", "--out", "run.svg").code == 0
    drawn = (folder / "run.svg").read_text()
    assert "epochs (of 450 updates)" in drawn
    assert refused("plot", "run.json", "--steps-per-epoch", "450").startswith("--steps-per-epoch ")
