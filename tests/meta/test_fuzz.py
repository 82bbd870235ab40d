"""`make fuzz` finds what it should, and its targets read what they begin with."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.run import finding
from fuzz.targets import TARGETS, Target

SCRIPT = Path(__file__).parents[1] / "fuzz" / "run.py"
FRAMEWORKS = ("torch", "keras", "h5", "msgpack")
CORE = [name for name in TARGETS if not name.startswith(FRAMEWORKS)]


@pytest.mark.parametrize("name", CORE)
def test_the_seeds_are_read(name):
    target = TARGETS[name]()
    seeds = list(target.seeds())
    assert seeds
    assert [found for seed in seeds if (found := finding(target, seed))] == []
    for content in (b"", seeds[0][:-9], b"\x00" + seeds[0], b"\xff" * 99):
        assert finding(target, content) is None


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (AssertionError(), "AssertionError"),
        (ValueError("a\nb"), "isn't one visible line"),
        (ValueError("a" * 10_000), "a message of 10000 characters"),
        (ValueError("`step` must be an integer"), None),
    ],
)
def test_a_fault_is_found(fault, found):
    def read(content):
        raise fault

    text = finding(Target(read, list), b"")
    assert text is None if found is None else found in text


def test_an_input_by_itself(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"min(x")
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), "expression", "--input", str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "nothing is wrong\n"), done.stderr
