"""Every command takes any kind of schedule: here two that only this file knows."""

import ast
import csv
import io
import json
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

import pytest

from clr_core import CyclicSchedule, Schedule, python_ops, schedule_from_dict
from clr_core.evaluate import evaluate
from clr_core.record import Record, schedule_id
from clr_core.schedules import KINDS


@dataclass(frozen=True)
class Ramp:
    """A rate that moves from `start` to `end` in some steps, and stays there."""

    start: float
    end: float = 0.0
    steps: int = 2000  # Means nothing; `clr export` has an option of this name.
    over: int = 1000

    def lr(self, step, ops=None):
        if ops is None and type(step) is not int:
            return evaluate(self.lr, step)
        ops = ops or python_ops
        part = ops.minimum(ops.divide(step, float(self.over)), 1.0)
        return ops.rounded(self.start * (1.0 - part)) + ops.rounded(self.end * part)

    def momentum(self, step, ops=None):
        return None

    def to_dict(self, *, strict=True):
        return {"kind": "ramp", **asdict(self)}

    @classmethod
    def from_dict(cls, document):
        return cls(**{name: value for name, value in document.items() if name != "kind"})

    def turns(self, first, last):
        yield from sorted({first, last, *([self.over] if first < self.over < last else [])})

    def levels(self, of="lr"):
        return {"start": self.start, "end": self.end} if of == "lr" else {}


@dataclass(frozen=True)
class Half:
    """Another schedule at half its rate."""

    inner: Schedule

    def lr(self, step, ops=None):
        return 0.5 * self.inner.lr(step) if ops is None else 0.5 * self.inner.lr(step, ops)

    def momentum(self, step, ops=None):
        return self.inner.momentum(step) if ops is None else self.inner.momentum(step, ops)

    def to_dict(self, *, strict=True):
        return {"kind": "half", "inner": self.inner.to_dict(strict=strict)}

    @classmethod
    def from_dict(cls, document):
        return cls(schedule_from_dict(document["inner"]))

    def turns(self, first, last):
        return self.inner.turns(first, last)

    def levels(self, of="lr"):
        return {}


RAMP = Ramp(0.5, 0.25, over=100)
CYCLIC = CyclicSchedule(
    base_lr=0.5, max_lr=1.0, step_size_up=50, base_momentum=0.8, max_momentum=0.9
)
OTHERS = {"ramp": RAMP, "nested": Half(RAMP), "nested cyclic": Half(CYCLIC)}


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    monkeypatch.setitem(KINDS, "ramp", f"{__name__}:Ramp")
    monkeypatch.setitem(KINDS, "half", f"{__name__}:Half")


@pytest.fixture(params=OTHERS.values(), ids=OTHERS)
def schedule(request, folder):
    Record(request.param, step=10).write("mine.json")
    return request.param


def test_show(schedule, clr, data):
    (shown,) = data("show", "mine.json")["schedules"]
    assert shown["id"] == schedule_id(schedule)
    assert schedule_from_dict(shown["schedule"]) == schedule
    assert (shown["step"], shown["lr"]) == (10, schedule.lr(10))
    assert shown["turns"][1]["step"] in (50, 100)
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


def test_cycles_of_a_mere_sequence_of_turns(folder, data):
    Record(Half(CYCLIC)).write("mine.json")
    (shown,) = data("show", "mine.json", "--cycles", "1")["schedules"]
    assert [row["step"] for row in shown["turns"]] == [0, 50, 100]


def test_plot(schedule, folder, clr, data):
    (curve,) = data("plot", "mine.json")["curves"]
    assert schedule_from_dict(curve["schedule"]) == schedule
    assert curve["lr"] == [schedule.lr(step) for step in curve["steps"]]
    assert ("momentum" in curve) == (schedule.momentum(0) is not None)
    pytest.importorskip("plotext")
    assert clr("plot", "mine.json").out.lstrip().startswith("learning rate over steps\n")
    pytest.importorskip("matplotlib")
    assert clr("plot", "mine.json", "--out", "mine.svg").code == 0
    assert ElementTree.parse("mine.svg").getroot().tag.endswith("svg")
    assert clr("plot", "mine.json", "--out", "mine.png").code == 0


def test_compare_two_kinds(schedule, folder, clr, data):
    other = CyclicSchedule(base_lr=0.5, max_lr=0.75, step_size_up=100)
    Record(other, step=10).write("other.json")
    (group,) = data("compare", "mine.json", "other.json", code=1)["groups"]
    kind = schedule.to_dict()["kind"]
    assert group["parameters"]["kind"] == [kind, "cyclic"]
    assert group["parameters"]["max_lr"] == [None, 0.75]
    assert group["steps"] == 600  # Of the longer one.
    steps = range(600)
    apart = [abs(schedule.lr(step) - other.lr(step)) for step in steps]
    assert group["lr"]["first"]["step"] == next(step for step in steps if apart[step])
    assert group["lr"]["largest"]["difference"] == max(apart)
    text = clr("compare", "mine.json", "other.json").out
    rows = [line.split() for line in text.splitlines()]
    assert ["kind", repr(kind), "'cyclic'"] in rows
    assert ["max_lr", "-", "0.75"] in rows
    assert clr("compare", "mine.json", "mine.json").code == 0


def test_export(schedule, folder, clr):
    rows = list(csv.DictReader(io.StringIO(clr("export", "mine.json", "--to", "csv").out)))
    assert [float(row["lr"]) for row in rows] == [schedule.lr(i) for i in range(len(rows))]
    document = json.loads(clr("export", "mine.json", "--to", "json", "--steps", "3").out)
    assert Record.from_dict(document["record"]) == Record(schedule, step=10)


@pytest.mark.parametrize("to", ["torch", "keras", "jax"])
def test_code_makes_the_schedule(schedule, folder, clr, to):
    assert made(clr("export", "mine.json", "--to", to).out, "schedule") == schedule
    Record([schedule, CYCLIC]).write("both.json")
    assert made(clr("export", "both.json", "--to", to).out, "schedules") == [schedule, CYCLIC]


def made(code, name):
    """What the code assigns to a name, run without what needs the framework."""
    wanted = [
        node
        for node in ast.parse(code).body
        if (isinstance(node, ast.ImportFrom) and node.module == "clr_core")
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
    ]
    namespace = {}
    exec(compile(ast.Module(wanted, []), "code", "exec"), namespace)
    return namespace[name]


def test_records_are_converted(schedule, folder, clr):
    assert Record.from_json(clr("convert", "mine.json").out) == Record(schedule, step=10)


def test_flags_of_each_kind(folder, clr, refused):
    given = ("--kind", "ramp", "--start", "0.5", "--over", "7")
    record = Record.from_json(clr("convert", *given, "--step", "3").out)
    assert record == Record(Ramp(0.5, over=7), step=3)
    assert refused("convert", "--kind", "ramp", "--over", "7").startswith("--start must be given.")
    assert refused("convert", *given, "--max-lr", "1") == (
        "--max-lr must be left out with --kind ramp"
    )
    assert refused("convert", "--kind", "ramp", "--over", "1.5").startswith("argument --over: ")
    # A kind that holds another schedule can't be given by flags.
    assert refused("convert", "--kind", "half").startswith("argument --kind: invalid choice: 'half")


def test_an_option_of_the_command_comes_first(folder, clr):
    """`--steps` is how many to export, whatever a kind of schedule calls its parameters."""
    given = ("--kind", "ramp", "--start", "0.5", "--over", "7", "--steps", "3")
    assert len(clr("export", *given, "--to", "csv").out.splitlines()) == 4


def test_one_kind_needs_no_flag(clr, monkeypatch):
    assert "--kind" in clr("show", "--help").out
    for name in ("ramp", "half"):
        monkeypatch.delitem(KINDS, name)
    assert "--kind" not in clr("show", "--help").out
