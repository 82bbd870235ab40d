"""`clr compare`: the differences of two records, the first and the largest."""

from dataclasses import replace

import pytest

from clr_core import (
    CyclicSchedule,
    Phase,
    PiecewiseSchedule,
    one_cycle,
    warm_restarts,
    warmup_cosine,
)
from clr_core.conformance import ulps_apart
from clr_core.record import Record
from clr_core.schedules import originals

from .conftest import GROUPS, RECORD, SCHEDULE, in_picture


def pair(a, b):
    """The command to compare two schedules, which it writes."""
    Record(a).write("a.json")
    Record(b).write("b.json")
    return "compare", "a.json", "b.json"


def test_equal_records(folder, clr, data):
    done = clr("compare", "other.json", "other.yaml")
    assert (done.code, done.out, done.err) == (0, "The records are equal.\n", "")
    assert data("compare", "other.json", "other.yaml")["equal"] is True


def test_one_schedule_is_a_list_of_one(folder, clr):
    Record([SCHEDULE], step=1500).write("list.json")
    assert clr("compare", "run.json", "list.json").code == 0


def test_what_differs(folder, data):
    found = data("compare", "run.json", "other.json", code=1)
    assert found["equal"] is False
    assert found["record"] == {"step": [1500, 0]}
    (group,) = found["groups"]
    assert group["parameters"] == {
        "max_lr": [0.006, 0.005],
        "base_momentum": [0.8, None],
        "max_momentum": [0.95, None],
    }
    assert group["steps"] == 12_000
    assert group["momentum"] is None


def test_where_the_rates_differ(folder, data):
    other = CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=100)
    command = pair(CyclicSchedule(base_lr=0.0015, max_lr=0.006), other)
    (group,) = data(*command, "--steps", "500", code=1)["groups"]
    left, right = ([Record.read(f"{x}.json").schedule.lr(i) for i in range(500)] for x in "ab")
    apart = [abs(x - y) for x, y in zip(left, right, strict=True)]
    assert group["lr"]["different"] == sum(map(bool, apart))
    assert group["lr"]["first"]["step"] == next(step for step in range(500) if apart[step])
    step = apart.index(max(apart))
    assert group["lr"]["largest"] == {
        "step": step,
        "a": left[step],
        "b": right[step],
        "difference": apart[step],
        "float32_ulps": ulps_apart(left[step], right[step]),
    }


def test_other_parameters_of_the_same_curve(folder, clr, data):
    """Triangular2 equals triangular in the first cycle: only the parameters differ."""
    band = {"base_lr": 0.1, "max_lr": 0.5}
    command = pair(CyclicSchedule(**band), CyclicSchedule(**band, mode="triangular2"))
    done = clr(*command, "--steps", "4000")
    assert done.code == 1
    assert done.out.endswith("lr: the same at steps 0 to 3999\n")
    (group,) = data(*command, code=1)["groups"]
    assert group["lr"]["first"]["step"] == 4001


def test_momenta(folder, data):
    a = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)
    (group,) = data(*pair(a, replace(a, max_momentum=0.95)), code=1)["groups"]
    assert group["lr"] is None
    assert group["momentum"]["first"]["step"] == 0
    assert group["momentum"]["largest"]["difference"] == pytest.approx(0.05)


def test_groups(folder, clr, data):
    Record([SCHEDULE, SCHEDULE, SCHEDULE], step=1500).write("three.json")
    found = data("compare", "groups.json", "three.json", code=1)
    assert found["record"] == {"groups": [2, 3]}
    assert [bool(group["parameters"]) for group in found["groups"]] == [False, True]
    printed = clr("compare", "groups.json", "three.json").out
    assert printed.startswith("groups: 2 and 3\ngroup 0: the schedules are equal\ngroup 1: ")


def test_text(folder, clr):
    Record(CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=2)).write("a.json")
    Record(CyclicSchedule(base_lr=0.25, max_lr=0.75, step_size_up=2), step=3).write("b.json")
    assert clr("compare", "a.json", "b.json", "--steps", "4").out == (
        "step: 0 and 3\n"
        "parameter    A     B\n"
        "   max_lr  0.5  0.75\n"
        "lr: differs at 3 of 4 steps\n"
        "  first at step 1: 0.375 and 0.5\n"
        "  most at step 2: 0.5 and 0.75, 0.25 apart (4194304 float32 ulps)\n"
    )


def test_not_a_number_is_itself(folder, data):
    broken = CyclicSchedule(base_lr=0.0, max_lr=1.0, step_size_up=1, scale_fn="1 / (x - 4)")
    command = pair(broken, replace(broken, max_lr=2.0))
    (group,) = data(*command, "--steps", "20", code=1)["groups"]
    # The odd steps except 7, the peak of cycle 4, where the expression divides by 0.
    assert group["lr"]["different"] == 9


def test_a_picture_of_both(folder, clr, data, refused):
    done = clr("compare", "run.json", "other.yaml", "--out", "both.svg")
    assert done.code == 1
    assert done.out == clr("compare", "run.json", "other.yaml").out
    for text in ("A: run.json", "B: other.yaml", "step 1,500", "12,000"):
        assert in_picture(text, folder / "both.svg")
    found = data("compare", "groups.json", "run.json", "--out", "both.pdf", code=1)
    assert found["out"] == "both.pdf"
    assert (folder / "both.pdf").read_bytes().startswith(b"%PDF")
    assert clr("compare", "run.json", "run.json", "--out", "same.png").code == 0
    assert refused("compare", "run.json", "none.json", "--out", "x.gif").startswith("--out must en")


def test_standard_input(folder, clr, refused):
    assert clr("compare", "-", "run.json", stdin=RECORD.to_json()).code == 0
    assert clr("compare", "run.json", "-", stdin=GROUPS.to_json()).code == 1
    assert refused("compare", "-", "-") == "A and B can't both be read from standard input"


def lines_of(clr, a, b, *options):
    return clr(*pair(a, b), *options).out.splitlines()


def test_what_would_mend_it(folder, clr, data):
    """The arguments that turn A into B, and whose curve B is."""
    out = lines_of(clr, one_cycle(0.1, 1000), one_cycle(0.1, 900, pct_start=0.25))
    assert out[-1] == "A becomes B with total_steps=900.0, pct_start=0.25 in one_cycle(…)"
    torchs = originals.torch_one_cycle(0.1, 1000, cycle_momentum=False)
    out = lines_of(clr, one_cycle(0.1, 1000), torchs)
    assert out[-1] == (
        "B would be a run of A that has the rates of torch's OneCycleLR: "
        "each phase ends a step before yours"
    )
    assert data("compare", "a.json", "b.json", code=1)["groups"][0]["mend"] == out[-2:]
    keras = originals.keras_cosine_decay(0.0, 1000, 0.0, 0.1, 100)
    out = lines_of(clr, warmup_cosine(0.1, 100, 1000), keras)
    assert out[-2] == "A becomes B with total_steps=1100.0 in warmup_cosine(…)"
    assert "its decay_steps doesn't include the warm-up" in out[-1]
    out = lines_of(clr, warm_restarts(0.1, 100), warm_restarts(0.1, 100, growth=2), "--steps=900")
    assert out[-1] == "A becomes B with growth=2.0 in warm_restarts(…)"
    # A default that is taken up again is said too.
    out = lines_of(clr, one_cycle(0.1, 1000, shape="linear"), one_cycle(0.1, 1000))
    assert "A becomes B with shape='cosine' in one_cycle(…)" in out


def test_another_kind(folder, clr):
    """Where two kinds differ, and what B would be of A."""
    wave = CyclicSchedule(base_lr=0.01, max_lr=0.1, step_size_up=100)
    up_and_down = PiecewiseSchedule([Phase(100, 0.01, 0.1), Phase(100, 0.1, 0.01)])
    out = lines_of(clr, wave, up_and_down)
    assert out[-1] == "B would be a run of A that kept the rate 0.01 (base_lr) from step 201 on"
    higher = CyclicSchedule(base_lr=0.01, max_lr=0.2, step_size_up=100)
    out = lines_of(clr, wave, higher)
    assert out[-1] == "B would be a run of A that followed a schedule with max_lr=0.2"
    # Nothing is said if nothing is found.
    out = lines_of(clr, wave, warmup_cosine(0.1, 10, 100), "--steps=400")
    assert out[-1].startswith("  most at step")
