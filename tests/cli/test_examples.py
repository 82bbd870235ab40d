"""Every example runs, in `--help` and on the page about the command."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from clr_cli.main import COMMANDS
from clr_core import CyclicSchedule
from clr_core.record import Record

from .conftest import CLR, ENVIRONMENT, RECORD, log

PLAIN = CyclicSchedule(base_lr=0.0015, max_lr=0.006, mode="triangular2")
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.fixture
def shell(folder, tmp_path_factory):
    """Run a line as a user would, with `clr` on the path; returns its output and exit code."""
    bin = tmp_path_factory.mktemp("bin")
    command = bin / "clr"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(CLR)} "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(bin), os.environ["PATH"]])

    def run(line):
        done = subprocess.run(
            ["sh", "-c", line],
            env={**ENVIRONMENT, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.stdout, done.returncode

    return run


def examples(help):
    return re.findall(r"^  (clr .*)$", help.partition("examples:\n")[2], re.MULTILINE)


# The exit codes of the examples that answer "no".
NO = {"compare": 1}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "convert"])
def test_examples_of_help(folder, clr, command):
    found = examples(clr(command, "--help").out)
    assert found
    for line in found:
        name, *arguments = shlex.split(line)
        done = clr(*arguments)
        assert (name, done.code, done.err) == ("clr", NO.get(command, 0), ""), line
        if "--out" in arguments:
            assert (folder / arguments[arguments.index("--out") + 1]).stat().st_size > 100
        else:
            assert done.out


MAKE_CHECKPOINT = """
import torch
from clr_core.record import Record
from clr_torch import to_state_dict

model = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(2)).sum().backward()
optimizer.step()
states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
torch.save(states | {"scheduler": to_state_dict(Record.read("run.json"))}, "checkpoint.pt")
"""


def test_examples_of_convert(folder, clr, in_one_process):
    """The first command of each pipe runs in a shared process, since it imports torch."""
    lines = dict(line.partition(" | clr ")[::2] for line in examples(clr("convert", "--help").out))
    first = {line: line.removeprefix("clr ") for line in lines}
    results, _ = in_one_process(first, MAKE_CHECKPOINT)
    for line, done in results.items():
        assert (done.code, "of the kind 'adam'" in done.err) == (0, "--moments" in line), done.err
        if piped := lines[line]:
            assert clr(*shlex.split(piped), stdin=done.out).out.startswith("schedule  CyclicSch")
    assert any(lines.values())
    assert Record.read("run.json") == RECORD  # It came back out of the checkpoint.
    assert (folder / "scheduler.pt").stat().st_size > 100


def commands(page):
    """The commands in the console blocks, each with its output and exit code."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            output, code = re.subn(r"^\[1\]\n", "", output, flags=re.MULTILINE)
            yield line, output, code


def test_the_page(folder, shell):
    """In one folder, in order; an ellipsis stands for any text."""
    log(folder / "log.csv", range(0, 9000, 50), PLAIN.lr)
    count = 0
    for line, expected, code in commands(PAGE.read_text(encoding="utf-8")):
        count += 1
        pattern = re.escape(expected).replace("…", ".*")
        output, given = shell(line)
        assert re.fullmatch(pattern, output, re.DOTALL), f"$ {line}\n{output}"
        assert given == code, line
    assert count > 10


def test_the_page_names_every_command():
    text = PAGE.read_text(encoding="utf-8")
    for name, line in COMMANDS.items():
        assert re.search(rf"`clr {name}`.* \| {re.escape(line)} \|", text), name
