"""The usual schedules made of phases: what their arguments mean."""

from inspect import signature
from itertools import pairwise

import pytest

from clr_core import (
    Phase,
    PiecewiseSchedule,
    one_cycle,
    warm_restarts,
    warmup_cosine,
    warmup_stable_decay,
)
from clr_core.schedules.families import arguments_of


def points(schedule):
    """The lengths and ends of its phases."""
    return [(each.steps, each.start, each.end, each.shape) for each in schedule.phases]


def test_one_cycle():
    two = one_cycle(0.5, 100, pct_start=0.25, div_factor=5, final_div_factor=10)
    assert points(two) == [(25, 0.1, 0.5, "cosine"), (75, 0.5, 0.01, "cosine")]
    three = one_cycle(
        0.5,
        100,
        pct_start=0.25,
        div_factor=5,
        final_div_factor=10,
        three_phase=True,
        shape="linear",
    )
    assert points(three) == [
        (25, 0.1, 0.5, "linear"),
        (25, 0.5, 0.1, "linear"),
        (50, 0.1, 0.01, "linear"),
    ]
    momenta = {"base_momentum": 0.85, "max_momentum": 0.95}
    assert [one_cycle(0.5, 100, **momenta).momentum(step) for step in (0, 30, 100)] == [
        0.95,
        0.85,
        0.95,
    ]
    slow = one_cycle(0.5, 100, three_phase=True, **momenta)
    assert [slow.momentum(step) for step in (0, 30, 60, 80, 100)] == [0.95, 0.85, 0.95, 0.95, 0.95]


def test_defaults():
    # Those of torch's OneCycleLR.
    assert points(one_cycle(0.25, 1000)) == [
        (300, 0.01, 0.25, "cosine"),
        (700, 0.25, 1e-6, "cosine"),
    ]
    assert points(warm_restarts(0.1, 10)) == [(10, 0.1, 0.0, "cosine")]
    assert points(warmup_cosine(0.1, 10, 110)) == [
        (10, 0.0, 0.1, "linear"),
        (100, 0.1, 0.0, "cosine"),
    ]
    assert points(warmup_stable_decay(0.1, 10, 20, 30)) == [
        (10, 0.0, 0.1, "linear"),
        (20, 0.1, 0.1, "linear"),
        (30, 0.1, 0.0, "linear"),
    ]


def test_limits_are_included():
    assert points(warm_restarts(0.1, 10, growth=1, decay=1, cycles=1)) == [(10, 0.1, 0.0, "cosine")]
    assert not warm_restarts(0.1, 10, cycles=2).repeat
    assert len(warm_restarts(0.1, 10, cycles=10_000).phases) == 10_000
    assert warm_restarts(0.1, 10, min_lr=0.1, cycles=2).lr(5) == 0.1
    flat = [
        one_cycle(0.1, 10, div_factor=1, final_div_factor=1),
        warm_restarts(0.1, 10, min_lr=0.1),
        warmup_cosine(0.1, 10, 20, start_lr=0.1, end_lr=0.1),
        warmup_stable_decay(0.1, 1, 1, 1, start_lr=0.1, end_lr=0.1),
    ]
    assert all(each.levels() == {"lowest": 0.1, "highest": 0.1} for each in flat)
    assert one_cycle(0.5, 10, div_factor=4, final_div_factor=0.25).lr(10) == 0.5
    same = one_cycle(0.1, 10, base_momentum=0.9, max_momentum=0.9)
    assert same.levels("momentum") == {"lowest": 0.9, "highest": 0.9}


def test_warm_restarts():
    endless = warm_restarts(0.1, 10, min_lr=0.01)
    assert points(endless) == [(10, 0.1, 0.01, "cosine")]
    assert endless.repeat
    growing = warm_restarts(0.1, 10, growth=2)
    starts = [0]
    for each in growing.phases:
        starts.append(starts[-1] + int(each.steps))
    assert all(after - 10 == 2 * before for before, after in pairwise(starts))
    for each in (growing, warm_restarts(0.1, 10, growth=1.5, decay=0.5)):
        assert each.total_steps - each.phases[-1].steps <= 2**53 < each.total_steps
    assert all(growing.lr(start) == 0.1 for start in starts[:-1])
    decaying = warm_restarts(0.1, 10, growth=1.5, decay=0.5, min_lr=0.01, cycles=3)
    assert points(decaying) == [
        (10, 0.1, 0.01, "cosine"),
        (15, 0.05, 0.01, "cosine"),
        (22.5, 0.025, 0.01, "cosine"),
    ]


def test_warm_ups():
    assert points(warmup_cosine(0.1, 10, 110, start_lr=0.01, end_lr=0.001)) == [
        (10, 0.01, 0.1, "linear"),
        (100, 0.1, 0.001, "cosine"),
    ]
    assert points(
        warmup_stable_decay(0.1, 10, 20, 30, start_lr=0.05, end_lr=0.01, shape="cosine")
    ) == [
        (10, 0.05, 0.1, "linear"),
        (20, 0.1, 0.1, "linear"),
        (30, 0.1, 0.01, "cosine"),
    ]


def test_a_rate_that_is_no_number():
    with pytest.raises(TypeError, match="`min_lr` must be a number"):
        warm_restarts(0.1, 10, min_lr="0", cycles=2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: one_cycle(0.1, 0), "`total_steps` must be positive. Received: total_steps=0"),
        (lambda: one_cycle(0.1, 10, pct_start=1), "`pct_start` must be above 0 and below 1.0"),
        (lambda: one_cycle(0.1, 10, pct_start=1.5), "`pct_start` must be above 0 and below 1.0"),
        (lambda: one_cycle(0.1, 10, pct_start=0), "`pct_start` must be above 0 and below 1.0"),
        (
            lambda: one_cycle(0.1, 10, pct_start=0.5, three_phase=True),
            "`pct_start` must be above 0 and below 0.5. Received: pct_start=0.5",
        ),
        (lambda: one_cycle(0.1, 10, div_factor=0), "`div_factor` must be positive"),
        (lambda: one_cycle(0.1, 10, final_div_factor=-1), "`final_div_factor` must be positive"),
        (lambda: one_cycle(0.1, 10, shape="cos"), "`shape` must be one of 'linear', 'cosine'"),
        (
            lambda: one_cycle(0.1, 10, max_momentum=0.9),
            "`base_momentum` and `max_momentum` must be given together. "
            "Received: base_momentum=None, max_momentum=0.9",
        ),
        (
            lambda: one_cycle(0.1, 10, base_momentum=0.9, max_momentum=0.8),
            "`base_momentum` must not be above `max_momentum`",
        ),
        (lambda: one_cycle(0.1, 10, div_factor=0.9), "`div_factor` must be at least 1: `max_lr`"),
        (
            lambda: one_cycle(0.1, 10, div_factor=4, final_div_factor=0.24),
            "`final_div_factor` must be at least 1 / `div_factor`: `max_lr` is the peak",
        ),
        (lambda: warm_restarts(0.1, 0), "`first_steps` must be positive"),
        (lambda: warm_restarts(0.1, 10, growth=0.5), "`growth` must be at least 1"),
        (lambda: warm_restarts(0.1, 10, decay=0), "`decay` must be above 0 and at most 1"),
        (
            lambda: warm_restarts(0.1, 10, decay=0.5),
            "`cycles` must be given unless the cycles grow",
        ),
        (lambda: warm_restarts(0.1, 10, growth=1.0001), "`cycles` must be given unless"),
        (
            lambda: warm_restarts(0.1, 10, growth=1e200, cycles=3),
            "`growth` must leave the sum of the cycles finite. Received: growth=1e+200, cycles=3",
        ),
        (lambda: warm_restarts(0.1, 1e308, growth=1, cycles=3), "`growth` must leave the sum of"),
        (lambda: warm_restarts(0.1, 10, cycles=0), "`cycles` must be from 1 to 10,000"),
        (lambda: warm_restarts(0.1, 10, cycles=10_001), "`cycles` must be from 1 to 10,000"),
        (lambda: warm_restarts(0.1, 10, decay=1.1, cycles=2), "`decay` must be above 0 and at"),
        (
            lambda: warm_restarts(1, 10, decay=0.25, min_lr=0.125, cycles=3),
            "`min_lr` must not be above the peak of a cycle. Received: min_lr=0.125, and a peak of "
            "0.0625 in cycle 2, counted from 0",
        ),
        (
            lambda: warm_restarts(0.001, 100, min_lr=1),
            "`min_lr` must not be above `max_lr`. Received: min_lr=1, max_lr=0.001. Piecewise",
        ),
        (lambda: warmup_cosine(0.1, 10, 10), "`total_steps` must be above `warmup_steps`"),
        (lambda: warmup_cosine(0.1, 10, 50, end_lr=1), "`end_lr` must not be above `max_lr`"),
        (lambda: warmup_cosine(0.1, 10, 50, start_lr=1), "`start_lr` must not be above `max_lr`"),
        (
            lambda: warmup_stable_decay(0.1, 1, 1, 1, start_lr=0.2),
            "`start_lr` must not be above `max_lr`",
        ),
        (
            lambda: warmup_stable_decay(0.1, 1, 1, 1, end_lr=0.2),
            "`end_lr` must not be above `max_lr`",
        ),
        (lambda: warmup_stable_decay(0.1, 0, 1, 1), "`warmup_steps` must be positive"),
    ],
)
def test_bad_input(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    assert str(caught.value).startswith(text)


GIVEN = {
    one_cycle: {"max_lr": 0.1, "total_steps": 9, "base_momentum": 0.8, "max_momentum": 0.9},
    warm_restarts: {"max_lr": 0.1, "first_steps": 10},
    warmup_cosine: {"max_lr": 0.1, "warmup_steps": 1, "total_steps": 9},
    warmup_stable_decay: {"max_lr": 0.1, "warmup_steps": 1, "stable_steps": 5, "decay_steps": 2},
}


@pytest.mark.parametrize(
    "value", [-1, float("nan"), float("inf"), -(10**400), "x"], ids=lambda value: str(value)[:4]
)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make, name)
        for make in GIVEN
        for name in signature(make).parameters
        if name != "three_phase"
    ],
)
def test_an_error_names_the_argument_of_the_caller(make, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^`{name}` must .* Received: {name}="):
        make(**GIVEN[make] | {name: value})


def test_they_are_ordinary_schedules_of_phases():
    assert type(one_cycle(0.1, 10)) is PiecewiseSchedule


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (one_cycle, {"max_lr": 0.1, "total_steps": 1000.0}),
        (one_cycle, {"max_lr": 0.1, "total_steps": 90.0, "pct_start": 0.2, "shape": "linear"}),
        (one_cycle, {"max_lr": 0.1, "total_steps": 90.0, "three_phase": True, "div_factor": 3.0}),
        (
            one_cycle,
            {"max_lr": 1.0, "total_steps": 9.5, "base_momentum": 0.8, "max_momentum": 0.9},
        ),
        # Its first phase, as a part of all steps, is the float below 0.3.
        (one_cycle, {"max_lr": 0.1, "total_steps": 109.0}),
        (warmup_cosine, {"max_lr": 0.1, "warmup_steps": 10.0, "total_steps": 99.0}),
        (
            warmup_cosine,
            {
                "max_lr": 0.1,
                "warmup_steps": 1.0,
                "total_steps": 9.0,
                "start_lr": 0.01,
                "end_lr": 0.02,
            },
        ),
        (
            warmup_stable_decay,
            {"max_lr": 0.1, "warmup_steps": 1.0, "stable_steps": 5.0, "decay_steps": 2.0},
        ),
        (warm_restarts, {"max_lr": 0.1, "first_steps": 10.0}),
        (warm_restarts, {"max_lr": 0.1, "first_steps": 10.0, "growth": 2.0, "min_lr": 0.01}),
        (
            warm_restarts,
            {"max_lr": 0.1, "first_steps": 7.0, "growth": 1.5, "decay": 0.5, "cycles": 4},
        ),
    ],
    ids=str,
)
def test_its_arguments_are_found_again(make, arguments):
    name, found = arguments_of(make(**arguments))
    assert name == make.__name__
    assert found.keys() == arguments.keys()
    for name, value in arguments.items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_other_phases_have_no_arguments():
    phases = [Phase(10, 0.1, 0.2, "cosine"), Phase(10, 0.3, 0.1)]
    assert arguments_of(PiecewiseSchedule(phases)) is None
    assert arguments_of(PiecewiseSchedule(phases[:1], repeat=True)) is None
    warmup = warmup_cosine(0.1, 10, 100).phases
    assert arguments_of(PiecewiseSchedule([*warmup, warmup[0]])) is None
    assert arguments_of(PiecewiseSchedule(warmup, repeat=True)) is None
