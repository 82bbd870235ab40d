"""`clr range-test`: the result of a range test as text, as JSON and as a picture."""

import json
from xml.etree import ElementTree

import pytest

from clr_core import RangeTestResult

from .conftest import RESULT


def test_show(folder, clr):
    done = clr("range-test", "show", "range.json")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("tested   70 rates from 1e-06 to ")
    assert lines[1:3] == [f"max_lr   {RESULT.max_lr!r}", f"base_lr  {RESULT.base_lr!r}"]
    for name, rate in RESULT.suggestions.items():
        assert any(line.split() == [name, "-" if rate is None else repr(rate)] for line in lines)
    for warning in RESULT.warnings:
        assert warning in lines


@pytest.mark.parametrize("losses", [[], [1.0] * 40])
def test_a_curve_without_a_number(folder, clr, data, losses):
    result = RangeTestResult.from_curve([1e-5 * 1.2**i for i in range(len(losses))], losses)
    assert result.max_lr is None
    text = json.dumps(result.to_dict())
    done = clr("range-test", "show", "-", stdin=text)
    assert (done.code, done.err) == (1, "")
    assert "max_lr   None\n" in done.out
    assert result.warnings[0] in done.out
    found = data("range-test", "show", "-", stdin=text, code=1)
    assert (found["max_lr"], found["warnings"]) == (None, list(result.warnings))


def test_json(folder, data):
    found = data("range-test", "show", "range.json")
    assert found["suggestions"] == RESULT.suggestions
    assert (found["max_lr"], found["base_lr"]) == (RESULT.max_lr, RESULT.base_lr)


def test_pictures(folder, clr, data):
    pytest.importorskip("matplotlib")
    assert clr("range-test", "plot", "range.json", "--out", "range.svg").out == ""
    first = (folder / "range.svg").read_bytes()
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    for text in ("loss of each batch", f"max_lr {RESULT.max_lr:.2g}"):
        assert f"<!-- {text} -->".encode() in first or f">{text}<".encode() in first, text
    assert data("range-test", "plot", "range.json", "--out", "range.svg")["out"] == "range.svg"
    assert (folder / "range.svg").read_bytes() == first  # The same result, the same file.


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["plot", "range.json"], "--out must be given with plot and left out with show"),
        (["show", "range.json", "--out", "x.png"], "--out must be given with plot and left out"),
        (["plot", "range.json", "--out", "x.pdf"], "`path` must end in .png or .svg. Received: "),
        (["plot", "range.yaml", "--out", "x.png"], "`path` must end in .json. Received: path='ra"),
        (["show", "run.json"], "'run.json' must be the result of a range test: A result must have"),
        (["draw", "range.json"], "argument action: invalid choice: 'draw' (choose from 'show', "),
    ],
)
def test_what_is_refused(folder, refused, arguments, reason):
    assert refused("range-test", *arguments).startswith(reason)
