"""Every command takes any kind of schedule, also those that only the tests know."""

import ast
import csv
import io
import json
from xml.etree import ElementTree

import pytest

from clr_core import CyclicSchedule, SequenceSchedule, schedule_from_dict
from clr_core.record import Record, schedule_id
from other_kinds import Cosine, Mean, other_kinds

from .conftest import log

__all__ = ["other_kinds"]
pytestmark = pytest.mark.usefixtures("other_kinds")

CYCLIC = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=50, base_momentum=0.8, max_momentum=0.9
)
COSINE = Cosine(peak=0.5, floor=0.1)
IN_A_SEQUENCE = SequenceSchedule([CYCLIC, Cosine(0.5, 0.1, start_momentum=0.9)], [100])
SCHEDULES = {
    "plain": COSINE,
    "with momentum": Cosine(peak=0.5, floor=0.1, start_momentum=0.9),
    "nested": Mean((COSINE, CYCLIC)),
    "nested with momentum": Mean((Mean((CYCLIC,)), CYCLIC)),
    "in a sequence": IN_A_SEQUENCE,
    "in a sequence in a sequence": SequenceSchedule([IN_A_SEQUENCE, CYCLIC], [200]),
}


@pytest.fixture(params=SCHEDULES.values(), ids=SCHEDULES)
def schedule(request, folder):
    Record(request.param, step=10).write("mine.json")
    return request.param


def test_show(schedule, clr, data):
    (shown,) = data("show", "mine.json")["schedules"]
    assert shown["id"] == schedule_id(schedule)
    assert schedule_from_dict(shown["schedule"]) == schedule
    assert (shown["step"], shown["lr"]) == (10, schedule.lr(10))
    assert 100 in [row["step"] for row in shown["turns"]]
    for row in shown["turns"]:
        assert row["lr"] == schedule.lr(row["step"])
        assert row.get("momentum") == schedule.momentum(row["step"])
    lines = clr("show", "mine.json").out.splitlines()
    assert lines[0] == f"schedule  {schedule!r}"
    assert lines[2].startswith(f"step      10: lr {schedule.lr(10)!r}")
    assert lines[4].split()[:2] == ["step", "lr"]
    assert len(lines) == 5 + len(shown["turns"])


def test_show_values_and_epochs(schedule, clr, data):
    (shown,) = data("show", "mine.json", "--at", "0,7")["schedules"]
    assert [row["lr"] for row in shown["values"]] == [schedule.lr(0), schedule.lr(7)]
    epochs = ("--epochs", "2", "--steps-per-epoch", "30")
    (shown,) = data("show", "mine.json", *epochs)["schedules"]
    assert [row["lr_first"] for row in shown["epochs"]] == [schedule.lr(0), schedule.lr(30)]
    assert "training  60 steps\n" in clr("show", "mine.json", *epochs).out


def test_without_cycles_their_number_is_one_of_turns(folder, data):
    Record(Mean((CYCLIC,))).write("mine.json")
    (shown,) = data("show", "mine.json", "--cycles", "1")["schedules"]
    assert [row["step"] for row in shown["turns"]] == [0, 50, 100]


def test_plot(schedule, folder, clr, data):
    (curve,) = data("plot", "mine.json")["curves"]
    assert schedule_from_dict(curve["schedule"]) == schedule
    assert curve["lr"] == [schedule.lr(step) for step in curve["steps"]]
    assert ("momentum" in curve) == (schedule.momentum(0) is not None)
    assert clr("plot", "mine.json").out.lstrip().startswith("learning rate over steps\n")
    assert clr("plot", "mine.json", "--out", "mine.svg").code == 0
    assert ElementTree.parse("mine.svg").getroot().tag.endswith("svg")
    assert clr("plot", "mine.json", "--out", "mine.png").code == 0


def test_compare_two_kinds(schedule, clr, data):
    other = CyclicSchedule(base_lr=0.5, max_lr=0.75, step_size_up=100)
    Record(other, step=10).write("other.json")
    (group,) = data("compare", "mine.json", "other.json", code=1)["groups"]
    kind = schedule.to_dict()["kind"]
    assert group["parameters"]["kind"] == [kind, "cyclic"]
    assert group["parameters"]["max_lr"] == [None, 0.75]
    assert group["steps"] == 600  # Three cycles of the longer one.
    rows = [line.split() for line in clr("compare", "mine.json", "other.json").out.splitlines()]
    assert ["kind", repr(kind), "'cyclic'"] in rows
    assert ["max_lr", "-", "0.75"] in rows
    assert clr("compare", "mine.json", "mine.json").code == 0


def test_export(schedule, clr):
    rows = list(csv.DictReader(io.StringIO(clr("export", "mine.json", "--to", "csv").out)))
    assert [float(row["lr"]) for row in rows] == [schedule.lr(i) for i in range(len(rows))]
    assert ("momentum" in rows[0]) == (schedule.momentum(0) is not None)
    document = json.loads(clr("export", "mine.json", "--to", "json", "--steps", "3").out)
    assert Record.from_dict(document["record"]) == Record(schedule, step=10)


MAKERS = {"CyclicSchedule": CyclicSchedule, "schedule_from_dict": schedule_from_dict}


@pytest.mark.parametrize("to", ["torch", "keras", "jax"])
def test_code_makes_the_schedule(schedule, clr, to):
    assert made(clr("export", "mine.json", "--to", to).out) == [schedule]
    Record([schedule, CYCLIC]).write("both.json")
    assert made(clr("export", "both.json", "--to", to).out) == [schedule, CYCLIC]


def made(code):
    """The schedules that generated code makes, without running the framework."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    made = [call for call in calls if ast.unparse(call.func) in MAKERS]
    made.sort(key=lambda call: (call.lineno, call.col_offset))
    return [eval(ast.unparse(call), MAKERS.copy()) for call in made]


def test_verify(schedule, folder, clr):
    log(folder / "log.csv", range(90), schedule.lr)
    done = clr("verify", "mine.json", "log.csv")
    assert (done.code, done.err) == (0, "")
    log(folder / "log.csv", range(90), lambda n: schedule.lr(n) * (1 if n < 20 else 1.1))
    done = clr("verify", "mine.json", "log.csv")
    assert (done.code, done.err) == (1, "")
