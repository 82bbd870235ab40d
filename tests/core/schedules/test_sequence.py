"""Schedules one after another."""

import pytest

from clr_core import (
    CyclicSchedule,
    Phase,
    PiecewiseSchedule,
    Record,
    SequenceSchedule,
    schedule_from_dict,
    verify,
    warm_restarts,
)
from clr_core.adapter import portable, rate_only

WARM_UP = PiecewiseSchedule([Phase(4, 0.0, 0.1, "linear", 0.95, 0.95)])
CYCLES = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=3, base_momentum=0.8, max_momentum=0.95
)
BOTH = WARM_UP.then(CYCLES)


def test_each_begins_at_its_own_step_0():
    for name in ("lr", "momentum"):
        first, second, both = (getattr(each, name) for each in (WARM_UP, CYCLES, BOTH))
        assert [both(step) for step in range(4)] == [first(step) for step in range(4)]
        assert [both(step) for step in range(4, 40)] == [second(step) for step in range(36)]
        assert both(2**53) == second(2**53 - 4)


def test_then_makes_one_flat_sequence():
    three = rate_only(BOTH).then(warm_restarts(0.3, 10), at=16)
    assert three.boundaries == (4, 16)
    assert len(three.schedules) == 3
    assert three.lr(16) == 0.3
    assert three.lr(15) == CYCLES.lr(11)
    up, down = PiecewiseSchedule([Phase(4, 0, 1)]), PiecewiseSchedule([Phase(6, 1, 0)])
    assert up.then(down).then(up).then(down).boundaries == (4, 10, 14)


def test_limits_are_included():
    plain = rate_only(CYCLES)
    most = SequenceSchedule([plain] * 100, list(range(1, 100)))
    assert (len(most.schedules), most.lr(99)) == (100, plain.lr(0))
    last = plain.then(rate_only(WARM_UP), 2**53)
    assert (last.lr(2**53 - 1), last.lr(2**53)) == (plain.lr(2**53 - 1), 0.0)


def test_it_holds_others_of_its_kind():
    inner = rate_only(BOTH)
    outer = SequenceSchedule([inner, inner, rate_only(CYCLES)], [8, 20])
    assert [outer.lr(step) for step in range(8, 20)] == [inner.lr(step) for step in range(12)]
    assert schedule_from_dict(outer.to_dict()) == outer
    assert list(outer.turns(0, 30)) == sorted({*outer.turns(0, 30)})
    assert Record.from_json(Record(outer, 9).to_json()).schedule == outer


def test_deep_nesting_ends_in_a_clear_error():
    schedule = rate_only(BOTH)
    for _ in range(45):
        schedule = SequenceSchedule([schedule, rate_only(CYCLES)], [5])
    with pytest.raises(ValueError, match="nested"):
        Record(schedule)
    with pytest.raises(ValueError, match="nested"):
        Record.from_dict(schedule.to_dict())


def test_a_callable_within_is_found():
    schedule = SequenceSchedule(
        [
            rate_only(WARM_UP),
            CyclicSchedule(base_lr=0, max_lr=1, scale_fn=lambda x: 1 / x),
        ],
        [4],
    )
    assert schedule.lr(2004) == 1.0
    with pytest.raises(TypeError, match="`scale_fn` must be an expression for the schedule"):
        schedule.to_dict()
    assert portable(schedule, "1 / x").schedules[1].scale_fn == "1.0 / x"


def test_turns_and_levels():
    assert list(BOTH.turns(0, 20)) == [0, 3, 4, 7, 10, 13, 16, 19, 20]
    for first in range(20):
        from_there = [turn for turn in BOTH.turns(0, 20) if turn > first]
        assert list(BOTH.turns(first, 20)) == [first, *from_there]
    assert list(BOTH.turns(5, 8)) == [5, 7, 8]
    other_way = SequenceSchedule([CYCLES, WARM_UP], [10])
    assert list(other_way.turns(0, 15)) == [0, 3, 6, 9, 10, 14, 15]
    assert BOTH.levels() == {"lowest": 0.0, "highest": 0.1, "base_lr": 0.1, "max_lr": 0.5}
    twice = SequenceSchedule([CYCLES, CyclicSchedule(**vars_of(CYCLES, max_lr=0.3))], [6])
    assert twice.levels() == {"base_lr": 0.1, "max_lr of 0": 0.5, "max_lr of 1": 0.3}


def phases(*ends):
    return SequenceSchedule(
        [
            each if isinstance(each, SequenceSchedule) else PiecewiseSchedule([Phase(4, *each)])
            for each in ends
        ],
        [*range(4, 4 * len(ends), 4)],
    )


HOLD = phases((0.1, 0.1), (0.1, 0.0))


@pytest.mark.parametrize(
    ("schedule", "levels"),
    [
        (HOLD, {"highest": 0.1, "lowest of 1": 0.0}),
        (
            phases((0, 0.1), (0.2, 0), (0, 0.1)),
            {"lowest": 0.0, "highest of 0": 0.1, "highest of 1": 0.2},
        ),
        (
            phases((0.1, 0.2), (0.3, 0.4)),
            {"lowest of 0": 0.1, "highest of 0": 0.2, "lowest of 1": 0.3, "highest of 1": 0.4},
        ),
        (
            phases(HOLD, (0.2, 0.1)),
            {"lowest of 1 of 0": 0.0, "highest of 0": 0.1, "highest of 1": 0.2},
        ),
    ],
    ids=str,
)
def test_a_level_of_several_values_says_of_which_schedule(schedule, levels):
    assert schedule.levels() == levels
    assert {*levels.values()} == {
        value for each in schedule.schedules for value in each.levels().values()
    }


def test_a_verdict_names_the_level_of_the_whole():
    verdict = verify(HOLD, range(8), [0.1] * 8)
    assert "kept the rate 0.1 (highest)" in str(verdict)


def vars_of(schedule, **changes):
    return {**{k: v for k, v in schedule.to_dict().items() if k != "kind"}, **changes}


def test_rescaled():
    half = BOTH.rescaled(0.5)
    assert half.boundaries == (2,)
    assert [half.lr(step) for step in range(9)] == [BOTH.lr(2 * step) for step in range(9)]
    with pytest.raises(ValueError, match=r"`boundaries` must stay whole\. Received: boundary=4"):
        BOTH.rescaled(1 / 3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: CYCLES.then(CYCLES), ValueError, "`at` must be given unless the schedule ends"),
        (
            lambda: PiecewiseSchedule([Phase(4.5, 0, 1)]).then(rate_only(CYCLES)),
            ValueError,
            "`at` must be given unless the schedule ends after a whole number of steps. "
            "Received: one with an end after 4.5 steps",
        ),
        (
            lambda: warm_restarts(0.1, 10).then(rate_only(CYCLES)),
            ValueError,
            "`at` must be given unless the schedule ends after a whole number of steps. "
            "Received: one with no end",
        ),
        (
            lambda: WARM_UP.then(CYCLES, 0),
            ValueError,
            "`at` must be above 0, where the schedule before begins, and at most 2**53. "
            "Received: at=0",
        ),
        (lambda: BOTH.then(CYCLES, 4), ValueError, "`at` must be above 4, where the schedule"),
        (lambda: BOTH.then(CYCLES, 3), ValueError, "`at` must be above 4, where the schedule"),
        (lambda: WARM_UP.then(CYCLES, 2.5), TypeError, "`at` must be an integer. Received: at=2.5"),
        (lambda: SequenceSchedule([CYCLES] * 2, [2.5]), TypeError, "`boundary` must be an integer"),
        (lambda: WARM_UP.then(3), TypeError, "`schedule` must "),
        (
            lambda: WARM_UP.then(rate_only(CYCLES)),
            ValueError,
            "`schedules` must all have a momentum, or none. Received: none in schedule 1",
        ),
        (lambda: SequenceSchedule([CYCLES], []), ValueError, "`schedules` must be from 2 to 100"),
        (
            lambda: SequenceSchedule([CYCLES] * 101, [*range(1, 101)]),
            ValueError,
            "`schedules` must be from 2 to 100 schedules. Received: 101",
        ),
        (
            lambda: WARM_UP.then(CYCLES, 2**53 + 1),
            ValueError,
            "`at` must be above 0, where the schedule before begins, and at most 2**53. "
            "Received: at=9007199254740993",
        ),
        (
            lambda: SequenceSchedule([CYCLES] * 2, [2**53 + 1]),
            ValueError,
            "`boundaries` must ascend from above 0 to at most 2**53. Received: 9007199254740993",
        ),
        (lambda: SequenceSchedule(CYCLES, [3]), TypeError, "`schedules` must be a list"),
        (lambda: SequenceSchedule([CYCLES] * 2, 3), TypeError, "`boundaries` must be a list"),
        (
            lambda: SequenceSchedule([CYCLES] * 3, [5, 5]),
            ValueError,
            "`boundaries` must ascend from above 0 to at most 2**53. Received: 5 after 5",
        ),
        (
            lambda: SequenceSchedule([CYCLES] * 3, [5]),
            ValueError,
            "`boundaries` must have one for each schedule but the first (2). Received: 1",
        ),
        (
            lambda: SequenceSchedule.from_dict({"schedules": 3, "boundaries": [5]}),
            TypeError,
            "`schedules` must be a list. Received: schedules=3",
        ),
        (
            lambda: SequenceSchedule.from_dict({"schedules": [{}, 3], "boundaries": [5]}),
            ValueError,
            "A schedule must have the key `base_lr`. It is missing",
        ),
        (
            lambda: SequenceSchedule.from_dict({"schedules": [CYCLES, 3], "boundaries": [5]}),
            TypeError,
            "`schedule` must be a schedule such as CyclicSchedule. Received: schedule=3",
        ),
        (
            lambda: SequenceSchedule.from_dict({"boundaries": [5]}),
            ValueError,
            "A schedule must have the key `schedules`. It is missing",
        ),
        (
            lambda: SequenceSchedule.from_dict([5]),
            TypeError,
            "A schedule must be a mapping. Received: document=[5]",
        ),
        (
            lambda: SequenceSchedule.from_dict({"schedules": [{}] * 10**6, "boundaries": [5]}),
            ValueError,
            "`schedules` must be from 2 to 100 schedules. Received: 1000000",
        ),
        (lambda: BOTH.lr(-1), ValueError, "`step` must lie between 0 and 2**53"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(text)
