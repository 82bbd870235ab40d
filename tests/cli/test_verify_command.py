"""`clr verify`: the exit code is the answer, the sentence says why."""

import shlex

import pytest

from clr_core.conformance import float32

from .conftest import OTHER, SCHEDULE, log


def test_a_run_that_followed(folder, clr, data):
    done = clr("verify", "run.json", "log.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("The run followed the schedule: all 180 lines agree with it")
    assert done.out.count("\n") == 1
    found = data("verify", "run.json", "log.csv")
    assert (found["status"], found["fault"], found["first_difference"]) == ("followed", None, None)
    assert (found["lines"], found["different"], found["candidates"]) == (180, 0, [])


@pytest.mark.parametrize(
    ("rate", "fault", "first"),
    [
        (lambda step: SCHEDULE.lr(2 * step), "speed", 50),
        (lambda step: SCHEDULE.lr(step + 1 if step >= 5000 else step), "shift", 5000),
        (lambda step: 0.006, "constant", 0),
        (lambda step: 2 * SCHEDULE.lr(step), "scale", 0),
        (lambda step: float32(OTHER.lr(step)), "other parameters", 50),
    ],
)
def test_a_run_that_did_not(folder, clr, data, rate, fault, first):
    log(folder / "log.csv", range(0, 9000, 50), rate)
    done = clr("verify", "run.json", "log.csv")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("The run didn't follow the schedule")
    found = data("verify", "run.json", "log.csv", code=1)
    assert (found["status"], found["first_difference"]) == ("deviated", first)
    assert found["fault"]["name"] == fault
    assert done.out == found["sentence"] + "\n"


def test_a_log_that_cannot_tell(folder, clr, data):
    """The answer isn't yes, so the code is 1."""
    log(folder / "log.csv", [0], SCHEDULE.lr)
    found = data("verify", "run.json", "log.csv", code=1)
    assert (found["status"], found["fault"]) == ("undecided", None)
    assert [fault["name"] for fault in found["candidates"]] == ["constant"]
    assert clr("verify", "run.json", "log.csv").out.startswith("The log can't tell ")


def test_flags_and_standard_input(folder, clr):
    flags = ["--base-lr", "0.0015", "--max-lr", "0.006", "--mode", "triangular2"]
    assert clr("verify", "log.csv", *flags).code == 0
    assert clr("verify", *flags, "log.csv").code == 0
    assert clr("verify", "-", "log.csv", stdin=(folder / "run.json").read_text()).code == 0
    assert clr("verify", "log.csv", *flags, "--gamma", "1").code == 0


@pytest.mark.parametrize("flag", ["--step", "--base-momentum", "--max-momentum"])
def test_a_flag_without_effect_is_not_taken(folder, clr, refused, flag):
    """A verdict depends neither on the momentum nor on the step at which the run is."""
    assert f" {flag} " not in clr("verify", "--help").out
    given = ["--base-lr", "0.0015", "--max-lr", "0.006", flag, "0.5"]
    assert refused("verify", "log.csv", *given).startswith(f"unrecognized arguments: {flag}")


def test_groups(folder, clr, refused):
    assert refused("verify", "groups.json", "log.csv") == (
        "--group must be given: the record has 2 schedules"
    )
    assert clr("verify", "groups.json", "log.csv", "--group", "0").code == 0
    assert clr("verify", "groups.json", "log.csv", "--group", "1").code == 1
    assert refused("verify", "groups.json", "log.csv", "--group", "2") == (
        "--group must be below 2. Received: --group 2"
    )


def test_columns_by_name(folder, clr, refused):
    text = (folder / "log.csv").read_text().replace("step,lr", "n,rate")
    (folder / "log.csv").write_text(text)
    assert "Name the one with --lr-column." in refused("verify", "run.json", "log.csv")
    there = ["--lr-column", "rate"]
    assert "--step-column" in refused("verify", "run.json", "log.csv", *there)
    assert clr("verify", "run.json", "log.csv", *there, "--step-column", "n").code == 0


def test_logs_of_epochs(folder, clr, refused):
    log(folder / "log.csv", range(180), lambda n: SCHEDULE.lr(50 * n + 50), "epoch,learning_rate")
    assert "give --steps-per-epoch" in refused("verify", "run.json", "log.csv")
    done = clr("verify", "run.json", "log.csv", "--steps-per-epoch", "50")
    assert done.code == 0
    assert "that of the next epoch's first update, of 50 in an epoch" in done.out
    plotted = clr("verify", "run.json", "log.csv", "--steps-per-epoch", "50", "--plot", "run.svg")
    assert plotted.out == done.out
    assert refused("verify", "run.json", "log.csv", "--steps-per-epoch", "0").startswith(
        "argument --steps-per-epoch: must be an integer from 1 to"
    )


def test_logs_that_count_otherwise(folder, clr, refused):
    log(folder / "log.csv", range(0, 9000, 50), lambda step: SCHEDULE.lr(max(step - 1, 0)))
    done = clr("verify", "run.json", "log.csv")
    assert done.code == 1
    assert "or the log counts from 1 (--first-step 1)" in done.out
    done = clr("verify", "run.json", "log.csv", "--first-step", "1")
    assert (done.code, done.err) == (0, "")
    log(folder / "log.csv", range(0, 9000, 50), lambda step: SCHEDULE.lr(step + 1))
    assert "(--first-step -1)" in clr("verify", "run.json", "log.csv").out
    assert clr("verify", "run.json", "log.csv", "--first-step", "-1").code == 0
    assert "invalid choice" in refused("verify", "run.json", "log.csv", "--first-step", "7")


@pytest.mark.parametrize(
    ("name", "start"), [("run.png", b"\x89PNG\r\n"), ("run.svg", b"<?xml"), ("run.pdf", b"%PDF")]
)
def test_picture(folder, clr, name, start):
    done = clr("verify", "run.json", "log.csv", "--plot", name)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("The run followed")
    assert (folder / name).read_bytes().startswith(start)


REFUSED = {
    "log.csv": "A schedule and a LOG must be given, the schedule as a FILE or by flags. Rec",
    "": "the following arguments are required: LOG.",
    "run.json log.csv --plot run.gif": "--plot must end in .png, .svg or .pdf. Received",
    "run.json /dev/zero": "'/dev/zero' must be a file or a folder",
    "run.json run.json": "run.json must have a column with the rates. It has: ",
    "run.json models": "models must contain an event file of TensorBoard; it has none",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(folder, refused, arguments):
    assert refused("verify", *shlex.split(arguments)).startswith(REFUSED[arguments])
