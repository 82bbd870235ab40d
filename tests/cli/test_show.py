"""`clr show`: the oracle's numbers, and cycles in exact arithmetic."""

from fractions import Fraction

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core.conformance import float32
from clr_core.record import Record, schedule_id
from schedules import expected

from .conftest import FRACTIONAL, OTHER, SCHEDULE


def written(folder, schedule, step=0):
    Record(schedule, step).write(folder / "mine.json")
    return "mine.json"


def test_values_at_steps(folder, data):
    steps = [0, 1, 1999, 2000, 2001, 4000, 6000, 10**9, 2**53]
    at = ",".join(map(str, steps))
    (shown,) = data("show", "run.json", "--at", at)["schedules"]
    right, unsettled = expected(SCHEDULE, steps)
    assert unsettled == 0
    assert [value["step"] for value in shown["values"]] == steps
    assert [float32(value["lr"]) for value in shown["values"]] == list(right.values())
    assert [float32(value["momentum"]) for value in shown["values"]] == [
        oracle.to_float32(oracle.momentum(SCHEDULE.to_dict(), step)) for step in steps
    ]
    assert [value["cycle"] for value in shown["values"]] == [step // 4000 for step in steps]


def test_a_range_is_pythons_own(folder, data):
    (shown,) = data("show", "run.json", "--range", "5:4000:1000")["schedules"]
    assert [value["step"] for value in shown["values"]] == list(range(5, 4000, 1000))
    (shown,) = data("show", "run.json", "--range", "5:8")["schedules"]
    assert [value["step"] for value in shown["values"]] == [5, 6, 7]


def test_what_is_said_of_a_record(folder, data):
    (shown,) = data("show", "run.json")["schedules"]
    assert shown["id"] == schedule_id(SCHEDULE)
    assert CyclicSchedule.from_dict(shown["schedule"]) == SCHEDULE
    assert (shown["step"], shown["cycle"]) == (1500, 0)
    assert float32(shown["lr"]) == oracle.to_float32(oracle.lr(SCHEDULE.to_dict(), 1500))


@pytest.mark.parametrize(
    ("up", "down"), [(2000, 2000), (2.5, 1.25), (1, 1), (33.3, 66.7), (3, 7), (0.25, 0.5), (0.1, 3)]
)
def test_cycles_in_exact_arithmetic(folder, data, up, down):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=up, step_size_down=down)
    (shown,) = data("show", written(folder, schedule), "--cycles", "7")["schedules"]
    size = Fraction(schedule.cycle_size)
    by_cycle = {}
    for step in range(30_000):  # Step by step.
        by_cycle.setdefault(Fraction(step) // size, []).append(step)
        if len(by_cycle) > 7:
            break
    assert [row["cycle"] for row in shown["cycles"]] == list(by_cycle)[:7]
    for row in shown["cycles"]:
        steps = by_cycle[row["cycle"]]
        assert (row["first"], row["last"]) == (steps[0], steps[-1])
        top = row["cycle"] * size + Fraction(schedule.step_size_up)
        assert row["turn"] in steps
        assert abs(row["turn"] - top) == min(abs(step - top) for step in steps)
        for name in ("first", "turn", "last"):
            exact = oracle.to_float32(oracle.lr(schedule.to_dict(), row[name]))
            assert float32(row[f"lr_{name}"]) == exact


def test_cycles_end_at_the_last_step(folder, data):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2.0**52)
    (shown,) = data("show", written(folder, schedule), "--cycles", "9")["schedules"]
    assert [(row["first"], row["last"]) for row in shown["cycles"]] == [
        (0, 2**53 - 1),
        (2**53, 2**53),
    ]
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1e300)
    (shown,) = data("show", written(folder, schedule))["schedules"]
    (row,) = shown["cycles"]
    assert (row["first"], row["turn"], row["last"]) == (0, 2**53, 2**53)


def test_epochs(folder, data):
    arguments = ["--epochs", "24", "--steps-per-epoch", "500"]
    (shown,) = data("show", "run.json", *arguments)["schedules"]
    assert (shown["steps"], shown["whole_cycles"]) == (12_000, 3.0)
    assert [row["epoch"] for row in shown["epochs"]] == list(range(1, 25))
    fifth = shown["epochs"][4]
    assert (fifth["first"], fifth["last"], fifth["cycle"]) == (2000, 2499, 0)
    assert fifth["lr_first"] == 0.006
    assert float32(fifth["lr_last"]) == oracle.to_float32(oracle.lr(SCHEDULE.to_dict(), 2499))


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
    written(folder, FRACTIONAL)
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


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--at", "1,x"], "argument --at: must be an integer from 0 to 9007199254740992. Rec"),
        (["--at", "9007199254740993"], "argument --at: must be an integer from 0 to 90071992547"),
        (["--at", "1" * 5000], "argument --at: must be an integer from 0 to 9007199254740992"),
        (["--at", ""], "argument --at: must be an integer from 0 to"),
        (["--range", "5"], "argument --range: must be START:STOP or START:STOP:STRIDE. Received"),
        (["--range", "5:5"], "argument --range: must be START:STOP or START:STOP:STRIDE. Receiv"),
        (["--range", "5:9:0"], "argument --range: must be START:STOP or START:STOP:STRIDE. Rece"),
        (["--range", "0:1000001"], "argument --range: must have at most 1000000 steps. Received"),
        (["--at", "1", "--cycles", "2"], "argument --cycles: not allowed with argument --at"),
        (["--epochs", "2"], "--epochs and --steps-per-epoch must be given together"),
        (["--steps-per-epoch", "2"], "--epochs and --steps-per-epoch must be given together"),
        (
            ["--epochs", "2", "--steps-per-epoch", str(2**53)],
            "--epochs times --steps-per-epoch must be at most 2**53. Received: 2 times 90071992547",
        ),
    ],
)
def test_refusals(folder, refused, arguments, reason):
    assert refused("show", "run.json", *arguments).startswith(reason)
