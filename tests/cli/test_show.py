"""`clr show`: the schedule's numbers, at steps, in cycles and in epochs."""

import shlex
from itertools import islice

import pytest

from clr_core.record import Record, schedule_id
from clr_core.schedules.cycles import cycles

from .conftest import FRACTIONAL, OTHER, SCHEDULE


def test_values_at_steps(folder, data):
    steps = [0, 1, 1999, 2000, 2001, 4000, 6000, 10**9, 2**53]
    at = ",".join(map(str, steps))
    (shown,) = data("show", "run.json", "--at", at)["schedules"]
    assert shown["values"] == [
        {
            "step": step,
            "cycle": step // 4000,
            "lr": SCHEDULE.lr(step),
            "momentum": SCHEDULE.momentum(step),
        }
        for step in steps
    ]


def test_a_range_is_pythons_own(folder, data):
    (shown,) = data("show", "run.json", "--range", "5:4000:1000")["schedules"]
    assert [value["step"] for value in shown["values"]] == list(range(5, 4000, 1000))
    (shown,) = data("show", "run.json", "--range", "5:8")["schedules"]
    assert [value["step"] for value in shown["values"]] == [5, 6, 7]


def test_cycles(folder, data):
    Record(FRACTIONAL).write("mine.json")
    (shown,) = data("show", "mine.json", "--cycles", "7")["schedules"]
    found = islice(cycles(FRACTIONAL.step_size_up, FRACTIONAL.cycle_size), 7)
    for row, each in zip(shown["cycles"], found, strict=True):
        steps = {"cycle": each.index, "first": each.first, "turn": each.turn, "last": each.last}
        rates = {f"lr_{name}": FRACTIONAL.lr(steps[name]) for name in ("first", "turn", "last")}
        assert row == steps | rates


def test_epochs(folder, data):
    arguments = ["--epochs", "24", "--steps-per-epoch", "500"]
    (shown,) = data("show", "run.json", *arguments)["schedules"]
    assert (shown["steps"], shown["whole_cycles"]) == (12_000, 3.0)
    assert [row["epoch"] for row in shown["epochs"]] == list(range(1, 25))
    fifth = shown["epochs"][4]
    assert (fifth["first"], fifth["last"], fifth["cycle"]) == (2000, 2499, 0)
    assert (fifth["lr_first"], fifth["lr_last"]) == (0.006, SCHEDULE.lr(2499))


def test_text_of_a_record(folder, clr):
    assert clr("show", "other.json", "--at", "0,2000,4000").out == (
        "schedule  CyclicSchedule(base_lr=0.0015, max_lr=0.005, mode='triangular2')\n"
        f"id        {schedule_id(OTHER)}\n"
        "step      0, in cycle 0: lr 0.0015\n"
        "\n"
        "step  cycle      lr\n"
        "   0      0  0.0015\n"
        "2000      0   0.005\n"
        "4000      1  0.0015\n"
    )


def test_numbers_in_the_text_mean_the_same_float64(folder, clr, data):
    Record(FRACTIONAL).write("mine.json")
    text = clr("show", "mine.json").out.splitlines()[4:]
    head, *rows = ([cell.strip() for cell in line.split("  ") if cell] for line in text)
    assert head == ["cycle", "first", "turn", "last", "lr first", "lr turn", "lr last"]
    (shown,) = data("show", "mine.json")["schedules"]
    assert [list(map(float, row)) for row in rows] == [
        list(row.values()) for row in shown["cycles"]
    ]
    assert len({len(line) for line in text}) == 1  # Aligned.


def test_each_group(folder, clr, data):
    shown = data("show", "groups.json", "--at", "2000")["schedules"]
    assert [each["values"][0]["lr"] for each in shown] == [0.006, 0.005]
    printed = clr("show", "groups.json").out
    assert printed.index("group 0\n") < printed.index("0.006") < printed.index("group 1\n")
    assert "momentum 0.8375" in printed


def test_what_is_not_finite(clr, data):
    """A `scale_fn` is checked at a few steps only."""
    given = ["--base-lr", "0", "--max-lr", "1", "--step-size-up", "1", "--scale-fn", "1 / (x - 4)"]
    assert clr("show", *given, "--at", "7").out.endswith("\n   7      3  nan\n")
    (shown,) = data("show", *given, "--at", "7")["schedules"]
    assert shown["values"] == [{"step": 7, "cycle": 3, "lr": None}]


REFUSED = {
    "--at 1,x": "argument --at: must be an integer from 0 to 9007199254740992. Rec",
    "--at 9007199254740993": "argument --at: must be an integer from 0 to 90071992547",
    f"--at {'1' * 5000}": "argument --at: must be an integer from 0 to 9007199254740992",
    "--at ''": "argument --at: must be an integer from 0 to",
    "--range 5": "argument --range: must be START:STOP or START:STOP:STRIDE. Received",
    "--range 5:5": "argument --range: must be START:STOP or START:STOP:STRIDE. Receiv",
    "--range 5:9:0": "argument --range: must be START:STOP or START:STOP:STRIDE. Rece",
    "--range 0:1000001": "argument --range: must have at most 1000000 steps. Received",
    "--at 1 --cycles 2": "argument --cycles: not allowed with argument --at",
    "--epochs 2": "--epochs and --steps-per-epoch must be given together",
    "--steps-per-epoch 2": "--epochs and --steps-per-epoch must be given together",
    "--epochs 2 --steps-per-epoch 9007199254740992": (
        "--epochs times --steps-per-epoch must be at most 2**53. Received: 2 times 90071992547"
    ),
}


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda each: each[:50])
def test_refusals(folder, refused, arguments):
    assert refused("show", "run.json", *shlex.split(arguments)).startswith(REFUSED[arguments])
