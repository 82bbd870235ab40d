"""`clr range-test`: the result of a range test as text, as JSON and as a picture."""

import json
import math
import shlex
from xml.etree import ElementTree

import pytest

from clr_core import RangeTestResult

from .conftest import RESULT, in_picture


def test_show(folder, clr, data):
    found = data("range-test", "show", "range.json")
    assert found["suggestions"] == RESULT.suggestions
    assert (found["max_lr"], found["base_lr"]) == (RESULT.max_lr, RESULT.base_lr)
    done = clr("range-test", "show", "range.json")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("tested   70 rates from 1e-06 to ")
    assert lines[1:3] == [f"max_lr   {RESULT.max_lr!r}", f"base_lr  {RESULT.base_lr!r}"]
    for name, rate in RESULT.suggestions.items():
        assert any(line.split() == [name, "-" if rate is None else repr(rate)] for line in lines)
    for warning in RESULT.warnings:
        assert warning in lines


HOSTILE = "\x1b[2J\x9b\u202e\r\u2028max_lr   9.0\nmax_lr   9.0 $\\frac$ </text><!--"


@pytest.fixture
def hostile(folder):
    """A result in whose text there is all that a terminal, a picture or a page obeys."""
    document = RESULT.to_dict() | {"stop_reason": HOSTILE, "warnings": [HOSTILE, "x" * 10**5] * 9}
    document["suggestions"][HOSTILE] = 0.1
    (folder / "hostile.json").write_text(json.dumps(document))
    return RangeTestResult.from_dict(document)


def test_text_from_a_file_is_inert(hostile, clr):
    for arguments in (["show"], ["show", "--json"], ["plot"]):
        done = clr("range-test", *arguments, "hostile.json")
        assert (done.code, done.err) == (0, "")
        assert done.out.replace("\n", "").isprintable()
        assert "\nmax_lr   9" not in done.out
    sizes = ("--samples", "900", "--batch-size", "9", "--epochs", "24")
    done = clr("suggest", *sizes, "--result", "hostile.json")
    assert done.out.replace("\n", "").isprintable()


def test_text_from_a_file_in_a_picture(hostile, folder, clr):
    for suffix in ("svg", "png"):
        assert clr("range-test", "plot", "hostile.json", "--out", f"h.{suffix}").code == 0
    ElementTree.parse(folder / "h.svg")
    page = hostile._repr_html_()
    ElementTree.fromstring(f"<html>{page}</html>")
    assert page.replace("\n", "").isprintable()


def test_a_long_test_reads_back(folder, clr):
    """A result that was written can be read, though it has more than the megabyte of a record."""
    steps = 40_000
    lrs = [1e-6 * 1.0004**i for i in range(steps)]
    result = RangeTestResult.from_curve(lrs, [2.3 - 1e-5 * i for i in range(steps)])
    (folder / "long.json").write_text(json.dumps(result.to_dict()))
    assert (folder / "long.json").stat().st_size > 2**20
    assert clr("range-test", "show", "long.json").out.startswith("tested   40000 rates")


def test_pictures(folder, clr, data):
    assert clr("range-test", "plot", "range.json", "--out", "range.svg").out == ""
    first = (folder / "range.svg").read_bytes()
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    for text in ("loss of each batch", f"max_lr {RESULT.max_lr:.2g} (edge)"):
        assert in_picture(text, folder / "range.svg")
    assert data("range-test", "plot", "range.json", "--out", "range.svg")["out"] == "range.svg"
    assert (folder / "range.svg").read_bytes() == first  # The same result, the same file.


def test_in_the_terminal(folder, clr):
    done = clr("range-test", "plot", "range.json")
    assert (done.code, done.err) == (0, "")
    title, *lines = done.out.splitlines()
    assert title.strip() == "loss over learning rate (logarithmic; exponential ramp)"
    assert (
        f". single batches   b base_lr {RESULT.base_lr:.2g}   m max_lr {RESULT.max_lr:.2g} (edge)"
        in lines
    )
    (axis,) = [line for line in lines if "1e-06" in line]
    assert axis.split() == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]
    # The line of `max_lr` stands at its rate, among the decades.
    curve = next(line for line in lines if "m" in line.partition("│")[2])
    left, right = axis.index("0.001") + 2, axis.index(" 0.01 ") + 2
    decade = (curve.index("m") - left) / (right - left) - 3
    assert decade == pytest.approx(math.log10(RESULT.max_lr), abs=0.3)


@pytest.mark.parametrize("losses", [[], [1.0], [1.0] * 40, [float(k) for k in range(40)]])
def test_a_curve_without_a_number(folder, clr, data, losses):
    result = RangeTestResult.from_curve([1e-5 * 1.2**i for i in range(len(losses))], losses)
    assert result.max_lr is None
    text = json.dumps(result.to_dict())
    shown, drawn = (clr("range-test", action, "-", stdin=text) for action in ("show", "plot"))
    assert (shown.code, shown.err, drawn.code, drawn.err) == (1, "", 1, "")
    assert "max_lr   None\n" in shown.out
    assert result.warnings[0] in shown.out
    assert drawn.out.endswith(f"{result.warnings[-1]}\n")
    found = data("range-test", "show", "-", stdin=text, code=1)
    assert (found["max_lr"], found["warnings"]) == (None, list(result.warnings))


REFUSED = {
    "show range.json --out x.png": "--out must be left out with show",
    "plot range.json --out x.gif": "--out must end in .png, .svg or .pdf. Received: ",
    "plot range.yaml --out x.png": "`path` must end in .json. Received: path='ra",
    "show run.json": "'run.json' must be the result of a range test: A result must have",
    "draw range.json": "argument action: invalid choice: 'draw' (choose from 'show', ",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_is_refused(folder, refused, arguments):
    assert refused("range-test", *shlex.split(arguments)).startswith(REFUSED[arguments])
