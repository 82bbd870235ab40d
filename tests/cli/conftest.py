"""The command `clr` in this process or in a child, and files for it to read."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clr_cli.main import main
from clr_core import CyclicSchedule, RangeTestResult
from clr_core.record import Record

SCHEDULE = CyclicSchedule(
    base_lr=0.0015, max_lr=0.006, mode="triangular2", base_momentum=0.8, max_momentum=0.95
)
OTHER = CyclicSchedule(base_lr=0.0015, max_lr=0.005, mode="triangular2")
FRACTIONAL = CyclicSchedule(base_lr=0.001, max_lr=0.01, step_size_up=2.5, step_size_down=1.25)
RECORD = Record(SCHEDULE, step=1500)
# A loss that begins to fall at 1e-4 and has its minimum near 0.1.
RESULT = RangeTestResult.from_curve(
    [10.0 ** (-6 + i / 10) for i in range(70)],
    [2.3 - 1.8 * min(max(i - 20, 0), 30) / 30 + 0.4 * max(i - 50, 0) for i in range(70)],
)
GROUPS = Record([SCHEDULE, OTHER], step=1500)

# The tests run with -P: children look for packages in the same folders as this process.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
CLR = (sys.executable, "-P", "-m", "clr_cli")


def log(path, steps, rate, head="step,lr"):
    """Write what a run logs: the rate at each of these steps."""
    path.write_text("\n".join([head, *(f"{step},{rate(step)!r}" for step in steps), ""]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with files such as a user has."""
    RECORD.write(tmp_path / "run.json")
    Record(OTHER).write(tmp_path / "other.json")
    GROUPS.write(tmp_path / "groups.json")
    (tmp_path / "other.yaml").write_text(Record(OTHER).to_json())
    log(tmp_path / "log.csv", range(0, 9000, 50), SCHEDULE.lr)
    log(tmp_path / "results.csv", range(1, 30), lambda n: SCHEDULE.lr(391 * n), "epoch,lr")
    (tmp_path / "range.json").write_text(json.dumps(RESULT.to_dict()))
    (tmp_path / "train.py").write_text(
        "from torch.optim.lr_scheduler import CyclicLR\n"
        "scheduler = CyclicLR(optimizer, 0.0015, 0.006, cycle_momentum=False)\n"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text(
        "import torch\n\n"
        "def make(o):\n"
        "    return torch.optim.lr_scheduler.CyclicLR(o, 0.1, 0.5, cycle_momentum=False)\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clr(capfd, monkeypatch):
    """Run the command in this process: `clr("show", "run.json").out`."""

    def run(*arguments, stdin=""):
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def refused(clr):
    """Run a command that fails, and return its one-line error without its name."""

    def run(*arguments, stdin=""):
        done = clr(*arguments, stdin=stdin)
        assert (done.code, done.out) == (2, "")
        return said(done.err)

    return run


def said(err):
    """The message of a one-line error, without the name of the command."""
    assert err.endswith("\n")
    line = err.removesuffix("\n")
    assert line.isprintable()  # Hence one line, without control characters.
    name, _, text = line.partition(": ")
    assert name.split()[0] == "clr"
    assert "Traceback" not in text
    return text


def in_picture(text, path):
    """True if an SVG of matplotlib has the text, as text or as an outline with a comment."""
    drawn = path.read_text()
    return f"<!-- {text} -->" in drawn or f">{text}<" in drawn


@pytest.fixture
def data(clr):
    """Run a command with `--json`, and return the document that it prints."""

    def run(*arguments, code=0, **options):
        done = clr(*arguments, "--json", **options)
        assert (done.code, done.err) == (code, "")
        return json.loads(done.out)

    return run


@pytest.fixture
def process():
    """Run the command in a child process, preceded by the words `before`."""

    def run(*arguments, before=(), env=None, **options):
        return subprocess.run(
            [*before, *CLR, *arguments],
            env={**ENVIRONMENT, **(env or {})},
            **{"capture_output": True, "text": True, "timeout": 120, **options},
        )

    return run


@pytest.fixture
def in_one_process(folder):
    """Run commands with their names in a child process with a framework, in the working folder.

    Returns what each of them did, by its name, and the lines that the check has printed.
    """

    def run(commands, prepare="", check="", **env):
        script = Path(__file__).with_name("in_one_process.py")
        task = {"prepare": prepare, "commands": [*map(shlex.split, commands.values())]}
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", str(script)],
            input=json.dumps(task | {"check": check}),
            env={**ENVIRONMENT, **env},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        first, *checked = done.stdout.splitlines()
        results = {
            name: SimpleNamespace(code=code, out=out, err=err)
            for name, (code, out, err) in zip(commands, json.loads(first), strict=True)
        }
        return results, [json.loads(line) for line in checked]

    return run
