"""The same schedule from a file, from standard input, or from flags."""

import json
import shlex

import pytest

from clr_cli.record_arguments import flag
from clr_core import CyclicSchedule
from clr_core.record import MAX_BYTES, Record

FLAGS = ("--base-lr", "1e-3", "--max-lr", ".006", "--step-size-up", "12", "--step", "7")
RECORD = Record(CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=12), step=7)
TOML = """
format = "cyclical-lr/1"
step = 7
schedule = {base_lr = 1e-3, max_lr = 0.006, step_size_up = 12}
"""
YAML = "format: cyclical-lr/1\nstep: 7\nschedule: {base_lr: 1e-3, max_lr: .006, step_size_up: 12}"


def test_from_anywhere(folder, clr):
    RECORD.write("mine.json")
    (folder / "mine.yaml").write_text(YAML)
    (folder / "mine.toml").write_text(TOML)
    for arguments in (FLAGS, ["mine.json"], ["mine.yaml"], ["mine.toml"], ["-"]):
        done = clr("convert", *arguments, stdin="\ufeff" + RECORD.to_json())
        assert (done.code, done.out, done.err) == (0, RECORD.to_json(), "")


CONFIG = """\
lr: &lr 1e-3
trainer:
  schedules:
  - {base_lr: *lr, max_lr: .006, step_size_up: 12}
  - {base_lr: *lr, max_lr: .006, step_size_up: 13}
"""
FIRST, SECOND = "trainer.schedules.0", "trainer.schedules.1"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("show", "config.yaml", "--key", FIRST), 0),
        (("plot", "config.yaml", "--key", FIRST), 0),
        (("export", "config.yaml", "--to", "torch", "--key", FIRST), 0),
        (("verify", "config.yaml", "log.csv", "--key", FIRST), 1),
        (("convert", "config.yaml", "--key", FIRST), 0),
        (("compare", "config.yaml", "config.yaml", "--key", FIRST), 0),
        (("compare", "config.yaml", "config.yaml", "--key-a", FIRST, "--key-b", SECOND), 1),
        (("compare", "config.yaml", "schedule.json", "--key-a", FIRST), 0),
        (("compare", "schedule.json", "config.yaml", "--key-b", SECOND), 1),
    ],
)
def test_a_part_of_a_file(folder, clr, command, code):
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "schedule.json").write_text(RECORD.schedule.to_json())
    done = clr(*command)
    assert (done.code, done.err) == (code, "")


def test_what_is_no_part_of_a_file(folder, refused):
    (folder / "config.yaml").write_text(CONFIG)
    said = "'config.yaml' must be a record"
    assert refused("show", "config.yaml", "--key", "trainer.schedule") == (
        f"{said} at 'trainer.schedule': there is nothing. There are 'schedules' in 'trainer'"
    )
    assert refused("show", "config.yaml") == (
        f"{said}: `format` must be 'cyclical-lr/1'. It is missing. Its keys are 'lr', 'trainer'. "
        "--key reads a part of a document"
    )
    assert refused("show", *FLAGS, "--key", FIRST).startswith("--key must be given with a FILE.")
    assert refused("compare", "run.json", "run.json", "--key", "a", "--key-b", "b") == (
        "--key must be left out with --key-a or --key-b"
    )


def test_a_flag_given_twice(folder, refused):
    for flags in (("--max-lr", "1"), ("--step", "3"), ("--key", "a"), ("--at", "1")):
        assert refused("show", "run.json", *flags, *flags) == (
            f"argument {flags[0]}: must be given once. See clr show --help"
        )


def test_a_schedule_by_itself(folder, clr):
    (folder / "schedule.json").write_text(RECORD.schedule.to_json())
    expected = Record(RECORD.schedule).to_json()
    assert clr("convert", "schedule.json").out == expected
    assert clr("convert", "-", stdin=RECORD.schedule.to_json()).out == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"step_size_up": 3.5, "step_size_down": 7, "mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.99},
        {"scale_fn": "1 / 5 ** (x * 1e-4)", "scale_mode": "iterations"},
        {"scale_fn": "-0.5 + x", "base_momentum": 0.0, "max_momentum": 0.5},
    ],
)
def test_a_flag_for_each_parameter(clr, parameters):
    schedule = CyclicSchedule(base_lr=0.0, max_lr=0.5, **parameters)
    given = schedule.to_dict()
    # With `=`, since text may begin with a minus.
    flags = [f"{flag(name)}={given[name]}" for name in given if given[name] is not None]
    flags = [each for each in flags if not each.startswith("--kind")]
    assert json.loads(clr("convert", *flags).out) == Record(schedule).to_dict()


REFUSED = {
    "": "A schedule must be given: as a FILE, as - for standard input, or by flags such as",
    "--max-lr 1": "--base-lr must be given. Received: --max-lr",
    "--step 1": "A schedule must be given: ",
    "run.json --max-lr 1 --step 3": (
        "A schedule must be given once. Received: the file 'run.json' and --max-lr, --step"
    ),
    "- --max-lr 1": "A schedule must be given once. Received: the file '-' and --max",
    "--base-lr 2 --max-lr 1": "`base_lr` must not be above `max_lr`. Received: base_lr=2.0, max",
    "--base-lr nan --max-lr 1": "`base_lr` must be finite. Received: base_lr=nan",
    "--base-lr 0 --max-lr 1 --scale-fn 'exit()'": "`scale_fn` must be an expression of",
    "--base-lr 0 --max-lr 1 --step -1": "argument --step: must be an integer",
    "run.txt": "`path` must end in .json, .yaml, .yml or .toml. Received: path='run.txt'",
}


@pytest.mark.parametrize("arguments", REFUSED)
@pytest.mark.parametrize("command", ["show", "plot"])
def test_refusals(folder, refused, command, arguments):
    assert refused(command, *shlex.split(arguments)).startswith(REFUSED[arguments])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Standard input must be a record: Expecting value: line 1 column 1 (char 0)"),
        ("[1]", "Standard input must be a record: A record must be a mapping. Received: document="),
        ('{"kind": "cyclic"}', "Standard input must be a record: A schedule must have the key `b"),
        (b"\xff\xfe", "Standard input must be UTF-8 text: invalid start byte at byte 0"),
        ("[" * 100_000, "Standard input must be a record: it is nested too deep"),
        (" " * (MAX_BYTES + 1), f"Standard input may have at most {MAX_BYTES} bytes"),
    ],
)
def test_standard_input(refused, text, reason):
    assert refused("show", "-", stdin=text).startswith(reason)
