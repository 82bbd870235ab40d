"""The conformance check sees errors, and says where they are."""

import math
import sys

import pytest

from clr_core import CyclicSchedule
from clr_core.conformance import check, differences, float32, golden_curves
from schedules import expected, expected_momenta, named


def lrs(schedule, steps):
    return [schedule.lr(step) for step in steps]


def momenta(schedule, steps):
    return [schedule.momentum(step) for step in steps]


def test_golden_curves_are_the_oracles():
    """What is in the file is what the oracle gives; a changed curve is a breaking change."""
    curves = {curve.name: curve for curve in golden_curves()}
    assert list(curves) == [name for name, _ in named()]
    for curve in curves.values():
        lrs, _ = expected(curve.schedule, list(curve.steps))
        assert lrs == dict(zip(curve.steps, curve.lrs, strict=True)), curve.name
        if curve.momenta:
            momenta, _ = expected_momenta(curve.schedule, list(curve.steps))
            assert momenta == dict(zip(curve.steps, curve.momenta, strict=True)), curve.name


def test_counts_what_it_compared():
    curves = golden_curves()
    numbers = sum(len(curve.lrs) for curve in curves)
    assert check(lrs) == numbers
    assert check(lrs, momenta) == numbers + sum(len(curve.momenta or ()) for curve in curves)
    assert 0 < check(lrs, max_step=2**31) < numbers


@pytest.mark.parametrize(
    ("host", "what"),
    [
        (
            lambda schedule, steps: [
                math.nextafter(x, 1) * (1 + 2e-7) for x in lrs(schedule, steps)
            ],
            "1 float32 ulp",
        ),
        (
            lambda schedule, steps: lrs(schedule, [step + 1 for step in steps if step < 2**53 - 1]),
            "lr of",
        ),
        (lambda schedule, steps: lrs(schedule, steps)[:-1], "numbers were asked for"),
        (lambda schedule, steps: [*lrs(schedule, steps), 0.1], "numbers were asked for"),
        (lambda schedule, steps: [math.nan for _ in steps], "got nan"),
        (lambda schedule, steps: [math.inf for _ in steps], "got inf"),
        (lambda schedule, steps: [1e300 for _ in steps], "got inf"),
        (lambda schedule, steps: [-0.0 if x == 0 else x for x in lrs(schedule, steps)], "got -0.0"),
    ],
    ids=[
        "an ulp",
        "a step late",
        "one missing",
        "one more",
        "nan",
        "inf",
        "too large",
        "minus zero",
    ],
)
def test_sees_an_error(host, what):
    with pytest.raises(AssertionError, match=what):
        check(host)


def test_a_golden_curve_is_a_value():
    one, other = (golden_curves()[0] for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))


def test_sees_a_wrong_momentum():
    with pytest.raises(AssertionError, match="momentum of triangular"):
        check(lrs, lrs)


def test_units_in_the_last_place_are_counted():
    lines = differences({0: 1.0, 1: 1.0}, [1 + 2**-23, 1 + 2**-22])
    assert [line.partition(" (")[2] for line in lines] == [
        "1 float32 ulp apart)",
        "2 float32 ulps apart)",
    ]


def test_a_complaint_needs_no_knowledge_of_the_test():
    (line,) = differences({0: 0.5, 7: 1.0}, [0.5, 0.25])
    assert line == "  step 7: expected 1.0, got 0.25 (16777216 float32 ulps apart)"
    with pytest.raises(AssertionError) as caught:
        check(lambda schedule, steps: [0.0 for _ in steps])
    assert "CyclicSchedule(base_lr=0.001, max_lr=0.006" in str(caught.value)


def test_golden_curves_cover_what_the_promise_names():
    curves = golden_curves()
    schedules = [c.schedule for c in curves if isinstance(c.schedule, CyclicSchedule)]
    for mode in ("triangular", "triangular2", "exp_range"):
        of_mode = [s for s in schedules if s.mode == mode and s.scale_fn is None]
        assert any(s.step_size_up == s.step_size_down for s in of_mode)
        assert any(s.step_size_up != s.step_size_down for s in of_mode)
        assert any(s.step_size_up % 1 for s in of_mode)
        assert any(s.base_lr == 0 for s in of_mode)
        assert any(s.base_lr == float32(s.base_lr) > 0 for s in of_mode)
        assert any(s.base_lr != float32(s.base_lr) for s in of_mode)
        assert any(s.max_momentum for s in of_mode)
    assert {s.scale_mode for s in schedules if s.scale_fn} == {"cycle", "iterations"}
    steps = {step for curve in curves for step in curve.steps}
    for around in (0, 2**24, 2**31, 2**53):
        assert any(abs(step - around) < 5 for step in steps), around
    assert any(1000 * s.cycle_size in c.steps for c, s in zip(curves, schedules, strict=False))
    kinds = {type(curve.schedule).__name__ for curve in curves}
    assert kinds == {"CyclicSchedule", "PiecewiseSchedule", "SequenceSchedule"}


def test_the_core_alone_imports_no_other_package():
    """In the environment of the core there is none; elsewhere, importing it must load none."""
    import subprocess

    code = (
        "import sys; before = set(sys.modules); import clr_core, clr_core.conformance, "
        "clr_core.schedules.expression, clr_core.schedules.draw; "
        "clr_core.conformance.golden_curves(); "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    output = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "['clr_core']"
