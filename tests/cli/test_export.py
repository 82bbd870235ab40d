"""`clr export`: data for other programs, and code that makes the schedule."""

import csv
import io
import json
import re
import shlex

import numpy as np
import pytest

from clr_cli.record_arguments import groups_of
from clr_core import CyclicSchedule, one_cycle
from clr_core.conformance import float32
from clr_core.record import Record

from .conftest import FRACTIONAL, GROUPS, OTHER, SCHEDULE

STEPS = 60


LRS, MOMENTA = zip(*((SCHEDULE.lr(i), SCHEDULE.momentum(i)) for i in range(STEPS)), strict=True)
LRS_OF_OTHER = tuple(map(OTHER.lr, range(STEPS)))


def test_csv(folder, clr):
    done = clr("export", "run.json", "--to", "csv", "--steps", str(STEPS))
    assert (done.code, done.err) == (0, "")
    assert "\r" not in done.out
    head, *rows = csv.reader(io.StringIO(done.out))
    assert head == ["step", "lr", "momentum"]
    columns = zip(*(map(float, row) for row in rows), strict=True)
    assert [*columns] == [tuple(range(STEPS)), LRS, MOMENTA]


def test_csv_of_groups(folder, clr):
    done = clr("export", "groups.json", "--to", "csv", "--steps", "3")
    head, *rows = csv.reader(io.StringIO(done.out))
    assert head == ["group", "step", "lr", "momentum"]
    assert [row[0] for row in rows] == list("000111")
    assert rows[3:] == [["1", str(i), repr(OTHER.lr(i)), ""] for i in range(3)]


def test_json(folder, clr):
    document = json.loads(clr("export", "groups.json", "--to", "json", "--steps", str(STEPS)).out)
    assert Record.from_dict(document["record"]) == GROUPS
    first, second = document["groups"]
    assert (tuple(first["lr"]), tuple(second["lr"])) == (LRS, LRS_OF_OTHER)
    assert "momentum" not in second


def test_npy(folder, clr):
    done = clr("export", "run.json", "--to", "npy", "--steps", str(STEPS), "--out", "run.npy")
    assert (done.code, done.out, done.err) == (0, "", "")
    array = np.load("run.npy", allow_pickle=False)
    for name, column in (("step", range(STEPS)), ("lr", LRS), ("momentum", MOMENTA)):
        assert array[name].tolist() == [*column]
    clr("export", "groups.json", "--to", "npy", "--steps", "2", "--out", "groups.npy")
    array = np.load("groups.npy", allow_pickle=False)
    assert array.shape == (2, 2)
    assert np.isnan(array["momentum"][1]).all()
    clr("export", "other.json", "--to", "npy", "--out", "other.npy")
    assert np.load("other.npy").dtype.names == ("step", "lr")


def test_usually_three_cycles(clr):
    flags = ["--base-lr", "1", "--max-lr", "2", "--step-size-up", "2.5", "--step-size-down", "1"]
    printed = clr("export", *flags, "--to", "csv").out
    assert printed.splitlines()[-1].startswith("9,")


def test_what_is_written_is_what_is_printed(folder, clr, data):
    for to in ("csv", "json", "torch", "keras", "jax"):
        steps = ["--steps", "5"] if to in ("csv", "json") else []
        printed = clr("export", "run.json", "--to", to, *steps).out
        assert data("export", "run.json", "--to", to, *steps) == {
            "to": to,
            "out": None,
            "text": printed,
        }
        arguments = ["export", "run.json", "--to", to, *steps, "--out", "there.txt"]
        assert data(*arguments) == {"to": to, "out": "there.txt", "text": None}
        assert (folder / "there.txt").read_bytes() == printed.encode("ascii")


REFUSED = {
    "--to npy": "--out must be given with --to npy, which isn't text",
    "--to torch --steps 5": "--steps must be left out with --to torch, which has no end",
    "--to mxnet": "argument --to: invalid choice: 'mxnet' (choose from 'csv', 'json', ",
    "": "the following arguments are required: --to.",
    "--to csv --steps 0": "argument --steps: must be an integer from 1 to 1000000",
    "--to csv --steps 999999999": "argument --steps: must be an integer from 1 to 100",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(folder, refused, arguments):
    assert refused("export", "run.json", *shlex.split(arguments)).startswith(REFUSED[arguments])


@pytest.mark.parametrize(
    ("to", "line"),
    [
        ("keras", "optimizer = keras.optimizers.SGD(clr_keras.CyclicLR(base_lr=0.1, max_lr=0.5))"),
        ("jax", "optimizer = optax.sgd(cyclic_lr(base_lr=0.1, max_lr=0.5))"),
    ],
)
def test_a_rate_alone_takes_one_line(clr, to, line):
    code = clr("export", "--base-lr", "0.1", "--max-lr", "0.5", "--to", to).out
    assert line in code.splitlines()
    assert "clr_core" not in code


@pytest.mark.parametrize(("other", "name"), [("pytorch", "torch"), ("optax", "jax")])
def test_other_names_of_frameworks(folder, clr, other, name):
    done = clr("export", "run.json", "--to", other)
    assert (done.code, done.out) == (0, clr("export", "run.json", "--to", name).out)


@pytest.mark.parametrize("to", ["torch", "keras", "jax"])
@pytest.mark.parametrize("momenta", [{}, {"base_momentum": 0.85, "max_momentum": 0.95}])
def test_the_code_has_the_names_for_any_kind(folder, clr, to, momenta):
    Record((one_cycle(0.1, 100, **momenta), OTHER)[: 1 + (to == "torch")]).write("phases.json")
    code = clr("export", "phases.json", "--to", to).out
    assert not re.search("[Cc]yclic(LR|_)", code)
    names = {"torch": "ScheduledLR", "keras": "ScheduledLR", "jax": "scheduled_lr"}
    if momenta:
        names |= {"keras": "clr_keras.SGD", "jax": "scheduled_optimizer"}
    assert f"{names[to]}(" in code


RECORDS = {
    "momentum": Record(SCHEDULE),
    "later": Record(SCHEDULE, step=1990),
    "rate alone": Record(OTHER, step=3990),
    "fractional": Record(FRACTIONAL),
    "expression": Record(
        CyclicSchedule(base_lr=0.001, max_lr=0.1, step_size_up=3, scale_fn="exp(-0.1 * x)")
    ),
    "groups": Record([OTHER, FRACTIONAL], step=7),
    "groups with momentum": GROUPS,
}
RUN = """
import json
found = {}
for name, code in CODES.items():
    made = {}
    exec(code, made)
    several = [made.get(f"{key}s") or [made[key]] for key in KEYS]
    found[name] = [read(*each) for each in zip(*several)]
print(json.dumps(found))
"""
# The names of what the code makes, and a function that reads it.
MADE = {
    "torch": (["scheduler"], "read = lambda made: clr_torch.to_record(made).to_dict()"),
    "keras": (["optimizer"], "read = lambda made: clr_keras.to_record(made).to_dict()"),
    # A schedule of optax is a closure, so its next update has to tell.
    "jax": (
        ["optimizer", "state"],
        """
import jax.numpy as jnp
def read(optimizer, state):
    parameters = {"weights": jnp.zeros(3)}
    updates, after = optimizer.update({"weights": jnp.ones(3)}, state, parameters)
    momentum = getattr(after, "hyperparams", {}).get("momentum", 0)
    return [-float(updates["weights"][0]), float(momentum)]
""",
    ),
}


@pytest.mark.parametrize("to", MADE)
def test_the_code_makes_the_schedule_at_its_step(folder, clr, in_one_process, to):
    codes, expected = {}, {}
    for name, record in RECORDS.items():
        record.write("mine.json")
        codes[name] = clr("export", "mine.json", "--to", to).out
        assert codes[name].isascii()
        schedules = groups_of(record)
        if to == "torch":
            expected[name] = [record.to_dict()]
        elif to == "keras":
            expected[name] = [Record(each, record.step).to_dict() for each in schedules]
        else:
            expected[name] = [
                [float32(each.lr(record.step)), float32(each.momentum(record.step) or 0)]
                for each in schedules
            ]
    keys, read = MADE[to]
    given = f"import clr_{to}\nCODES, KEYS = {codes!r}, {keys!r}\n{read}"
    _, (found,) = in_one_process({}, check=given + RUN, KERAS_BACKEND="jax")
    assert found == expected
