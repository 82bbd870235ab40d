"""`clr export`: data for other programs, and code that uses the oracle's rates."""

import csv
import io
import json
import re

import numpy as np
import pytest

import oracle
from clr_cli.record_arguments import groups_of
from clr_core import CyclicSchedule, one_cycle
from clr_core.conformance import float32
from clr_core.record import Record
from schedules import expected, expected_momenta

from .conftest import FRACTIONAL, GROUPS, OTHER, SCHEDULE

STEPS = 60


def rates(schedule, steps):
    return [oracle.to_float32(oracle.lr(schedule.to_dict(), step)) for step in steps]


def momenta(schedule, steps):
    return [oracle.to_float32(oracle.momentum(schedule.to_dict(), step)) for step in steps]


def test_csv(folder, clr):
    done = clr("export", "run.json", "--to", "csv", "--steps", str(STEPS))
    assert (done.code, done.err) == (0, "")
    assert "\r" not in done.out
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == ["step", "lr", "momentum"]
    assert [int(row["step"]) for row in rows] == list(range(STEPS))
    assert [float32(float(row["lr"])) for row in rows] == rates(SCHEDULE, range(STEPS))
    assert [float32(float(row["momentum"])) for row in rows] == momenta(SCHEDULE, range(STEPS))


def test_csv_of_groups(folder, clr):
    done = clr("export", "groups.json", "--to", "csv", "--steps", "3")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == ["group", "step", "lr", "momentum"]
    assert [row["group"] for row in rows] == list("000111")
    assert [row["momentum"] for row in rows[3:]] == ["", "", ""]
    assert [float32(float(row["lr"])) for row in rows[3:]] == rates(OTHER, range(3))


def test_json(folder, clr):
    document = json.loads(clr("export", "groups.json", "--to", "json", "--steps", str(STEPS)).out)
    assert Record.from_dict(document["record"]) == GROUPS
    first, second = document["groups"]
    assert list(map(float32, first["lr"])) == rates(SCHEDULE, range(STEPS))
    assert list(map(float32, second["lr"])) == rates(OTHER, range(STEPS))
    assert "momentum" not in second


def test_npy(folder, clr):
    done = clr("export", "run.json", "--to", "npy", "--steps", str(STEPS), "--out", "run.npy")
    assert (done.code, done.out, done.err) == (0, "", "")
    array = np.load("run.npy", allow_pickle=False)
    assert array["step"].tolist() == list(range(STEPS))
    assert list(map(float32, array["lr"])) == rates(SCHEDULE, range(STEPS))
    assert list(map(float32, array["momentum"])) == momenta(SCHEDULE, range(STEPS))
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


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "npy"], "--out must be given with --to npy, which isn't text"),
        (
            ["--to", "torch", "--steps", "5"],
            "--steps must be left out with --to torch, which has no end",
        ),
        (["--to", "mxnet"], "argument --to: invalid choice: 'mxnet' (choose from 'csv', 'json', "),
        ([], "the following arguments are required: --to."),
        (["--to", "csv", "--steps", "0"], "argument --steps: must be an integer from 1 to 1000000"),
        (["--to", "csv", "--steps", "9" * 9], "argument --steps: must be an integer from 1 to 100"),
    ],
)
def test_refusals(folder, refused, arguments, reason):
    assert refused("export", "run.json", *arguments).startswith(reason)


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
# Each runs the code and its optimizer, and prints the rates and momenta that were used.
DRIVERS = {
    "torch": """
import json, torch
used = {}
for name, code in CODES.items():
    made = {}
    exec(code, made)
    optimizer, scheduler = made["optimizer"], made["scheduler"]
    used[name] = []
    for step in range(STEPS):
        groups = optimizer.param_groups
        used[name].append([(group["lr"], group["momentum"]) for group in groups])
        optimizer.step()
        scheduler.step()
print(json.dumps(used))
""",
    "keras": """
import json, keras
used = {}
for name, code in CODES.items():
    made = {}
    exec(code, made)
    columns = []
    for group, optimizer in enumerate(made.get("optimizers") or [made["optimizer"]]):
        weight = keras.Variable(0.0)
        columns.append([])
        for step in range(STEPS):
            momentum = float(optimizer.momentum) if CYCLED[name][group] else 0.0
            columns[-1].append((float(optimizer.learning_rate), momentum))
            optimizer.apply([keras.ops.convert_to_tensor(1.0)], [weight])
    used[name] = list(zip(*columns))
print(json.dumps(used))
""",
    "jax": """
import json, jax, jax.numpy as jnp, clr_jax
used = {}
for name, code in CODES.items():
    made = {}
    exec(code, made)
    parameters = made["parameters"]
    gradients = jax.tree.map(jnp.ones_like, parameters)
    states = made.get("states") or [made["state"]]
    columns = []
    optimizers = made.get("optimizers") or [made["optimizer"]]
    for group, (optimizer, state) in enumerate(zip(optimizers, states)):
        update = jax.jit(optimizer.update)
        columns.append([])
        for step in range(STEPS):
            updates, state = update(gradients, state, parameters)
            if CYCLED[name][group]:
                used_now = clr_jax.current_lr(state), clr_jax.current_momentum(state)
            else:
                used_now = -updates["weights"][0], 0.0
            columns[-1].append(tuple(map(float, used_now)))
    used[name] = list(zip(*columns))
print(json.dumps(used))
""",
}


@pytest.mark.parametrize("to", DRIVERS)
def test_the_code_runs_and_gives_the_oracles_rates(folder, clr, in_one_process, to):
    """To the last bit of float32, in a real optimizer, from the record's step."""
    codes, cycled = {}, {}
    for name, record in RECORDS.items():
        record.write("mine.json")
        codes[name] = clr("export", "mine.json", "--to", to).out
        assert codes[name].isascii()
        cycled[name] = [schedule.momentum(0) is not None for schedule in groups_of(record)]
    given = f"CODES, CYCLED, STEPS = {codes!r}, {cycled!r}, 20"
    _, (used,) = in_one_process([], check=given + DRIVERS[to], KERAS_BACKEND="jax")
    compared = 0
    for name, record in RECORDS.items():
        steps = list(range(record.step, record.step + 20))
        for group, schedule in enumerate(groups_of(record)):
            given = [row[group] for row in used[name]]
            pairs = [(0, expected(schedule, steps)[0])]
            if schedule.momentum(0) is not None:
                pairs.append((1, expected_momenta(schedule, steps)[0]))
            for part, right in pairs:
                for step, value in right.items():
                    assert float32(given[step - record.step][part]) == value, (name, group, step)
                    compared += 1
    assert compared > 200
