"""The form and the address, which need no browser."""

import doctest
import json

import pytest

import draft
import explorer
import picture
from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, warm_restarts
from clr_core.schedules import KINDS
from other_kinds import Cosine, Mean, other_kinds
from schedules import named

from .conftest import DEFAULT, address

__all__ = ["other_kinds"]

CYCLIC = CyclicSchedule(base_lr=0.1, max_lr=0.3, base_momentum=0.85, max_momentum=0.95)
ODD = {
    "odd floats": CyclicSchedule(
        base_lr=3e-45, max_lr=1e-7, step_size_up=1 / 3, step_size_down=5e15
    ),
    "subnormal": CyclicSchedule(base_lr=0.0, max_lr=5e-324),
    "large": CyclicSchedule(base_lr=0.1 + 0.2, max_lr=1e299, step_size_up=2.0**52),
    "expression": CyclicSchedule(
        base_lr=0.1, max_lr=0.3, scale_fn="1 / 5 ** (x * 1e-4)", scale_mode="iterations"
    ),
    "nested": CYCLIC.then(CYCLIC.then(CYCLIC, at=7), at=9).then(
        CYCLIC.then(PiecewiseSchedule([Phase(2.5, 0.1, 0.2, "cosine", 0.9, 0.8)], True), at=3),
        at=2**40,
    ),
    "groups of restarts": warm_restarts(0.1, 10, growth=1.5),
}
SCHEDULES = dict(named()) | ODD


def opened(text):
    page = explorer.Page()
    return page, json.loads(page.opened(text, 800))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")
def test_the_address_carries_the_schedule(name):
    page, shown = opened("#" + address(SCHEDULES[name], steps_per_epoch="391", step="5"))
    assert (shown["unread"], page.schedule) == (None, SCHEDULES[name])
    again, same = opened("#" + shown["address"])
    assert again.schedule == page.schedule
    assert same["address"] == shown["address"]
    assert (again.numbers["step"], again.numbers["steps_per_epoch"]) == (5, 391)
    assert json.loads(same["code"]["record"]) == {
        "format": "cyclical-lr/1",
        "schedule": SCHEDULES[name].to_dict(),
        "step": 5,
    }


def test_every_kind_can_be_chosen_and_comes_back():
    page = explorer.Page()
    for kind in draft.kinds():
        shown = json.loads(page.changed("kind", kind))
        assert shown["error"] is None
        assert opened("#" + shown["address"])[0].schedule == page.schedule
    assert set(KINDS) <= set(draft.kinds())


@pytest.mark.usefixtures("other_kinds")
def test_a_kind_that_it_does_not_know():
    page, shown = opened('#kind=test-mean&parts=[{"kind":"test-cosine","peak":0.5,"steps":40}]')
    assert page.schedule == Mean((Cosine(peak=0.5, steps=40),))
    assert opened("#" + shown["address"])[0].schedule == page.schedule
    page.changed("kind", "test-cosine")
    shown = json.loads(page.changed("peak", "0.3"))
    assert page.schedule == Cosine(peak=0.3)
    assert "test-cosine" in shown["code"]["torch"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base_lr=abc&max_lr=1", "`base_lr` must be a number"),
        ("base_lr=0.1", "`max_lr` must be given."),
        ("base_lr=2&max_lr=1", "`base_lr` must not be above `max_lr`. Received: base_lr=2.0"),
        ("base_lr=nan&max_lr=1", "`base_lr` must be finite"),
        ("base_lr=0&max_lr=1e400", "`max_lr` must be finite"),
        ("base_lr=0&max_lr=1e305", "too large to be drawn"),
        ("base_lr=0&max_lr=1&max_lr=2", "must not name anything twice"),
        ("base_lr=0&max_lr=1&colour=red", "has no such key. Received: key='colour'"),
        ("base_lr=0&max_lr=1&steps=0", "`steps` must be an integer from 1"),
        ("base_lr=0&max_lr=1&scale_fn=__import__('os')", "`scale_fn` must be an expression of"),
        ("base_lr=0&max_lr=1&scale_fn=true", "`scale_fn` must be an expression"),
        ("kind=square", "`kind` must be one of cyclic"),
        ("kind=piecewise", "`phases` must be given."),
        ("kind=piecewise&phases=", "`phases` must be given."),
        ("kind=piecewise&phases=[]", "`phases` must be from 1 to 10,000 phases"),
        ("kind=piecewise&phases=[1]", "A phase must be a mapping"),
        ("kind=piecewise&phases=7", "`phases` must be a list"),
        ("kind=piecewise&phases={}", "`phases` must be a list"),
        ('kind=piecewise&phases=[{"steps":[],"start":0,"end":1}]', "`steps` must be a number"),
        ('kind=piecewise&phases=[{"steps":1,"start":0,"end":1,"shape":[]}]', "`shape` must be"),
        ('kind=piecewise&phases=[{"steps":1,"start":0,"end":1}]&repeat=7', "`repeat` must be a"),
        ("kind=sequence&schedules=[1,2]&boundaries=[3]", "A schedule must be a mapping"),
        ('kind=sequence&schedules=[{"kind":[]}]&boundaries=[3]', "`kind` must be"),
        ("kind=sequence&schedules=" + "[" * 5000 + "&boundaries=[3]", "nested too deeply"),
        ("kind=sequence&schedules=[&boundaries=[3]", "Expecting value"),
        ("%ff=1", "can't decode"),
        ("nothing", "bad query field"),
    ],
)
def test_an_address_that_is_none_leaves_the_schedule(text, said):
    page, shown = opened("#" + text)
    assert shown["unread"].startswith("The address has no schedule that can be read. ")
    assert said in shown["unread"]
    assert len(shown["unread"]) < 1000
    assert page.schedule == CyclicSchedule(base_lr=0.001, max_lr=0.006)
    assert shown["address"] == DEFAULT


def test_a_schedule_that_no_record_can_hold_is_refused():
    inner = flat = {"kind": "cyclic", "base_lr": 0, "max_lr": 1}
    for _ in range(60):
        inner = {"kind": "sequence", "schedules": [inner, flat], "boundaries": [3]}
    parts = json.dumps([inner, flat])
    _, shown = opened(f"#kind=sequence&schedules={parts}&boundaries=[3]")
    assert "must be nested at most 18 deep to be written down" in shown["unread"]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")
def test_handles_lie_where_they_say(name):
    """Each handle in the picture, moved to where it is, keeps its argument's rounded value."""
    page, _ = opened("#" + address(SCHEDULES[name]))
    drawn = page._picture()
    for each in page._handles():
        if drawn.shown(each) is None:
            continue
        place = drawn.axis_of(each).place(each.x if each.axis == "x" else each.y)
        axis = drawn.axis_of(each)
        pixel = (axis.high - axis.low) / abs(axis.stop - axis.start) / each.factor
        moved = float(drawn.moved(each, "place", place))
        assert moved == pytest.approx(each.value, abs=max(2 * pixel, 1.0 * (each.axis == "x")))


def test_a_phase_that_is_dragged_takes_the_next_one_with_it():
    page = explorer.Page()
    page.changed("kind", "piecewise")
    page.moved("phases.0.end", "keys", 10)
    first, second = page.schedule.phases
    assert first.end == second.start > 0.006


def test_phases_and_parts_come_and_go():
    page = explorer.Page()
    page.changed("kind", "one_cycle")
    page.changed("kind", "piecewise")
    page.acted("add phases")
    page.acted("add phases")
    page.acted("remove phases.1")
    assert [each.steps for each in page.schedule.phases] == [1800.0, 4200.0, 4200.0]
    page.changed("kind", "sequence")
    page.acted("add schedules")
    page.acted("add schedules.0.phases")
    page.acted("remove schedules.0.phases.3")
    page.changed("schedules.2.mode", "triangular2")
    page.acted("remove schedules.1")
    assert page.schedule.boundaries == (22_200,)
    assert page.schedule.schedules[1].mode == "triangular2"


def test_what_belongs_together_may_be_written_one_after_the_other():
    page = explorer.Page()
    shown = json.loads(page.changed("base_momentum", "0.8"))
    assert shown["stale"]
    assert shown["error"]["path"] == "base_momentum"
    assert "must be given together" in shown["error"]["message"]
    assert page.schedule.base_momentum is None
    shown = json.loads(page.changed("max_momentum", "0.9"))
    assert (shown["stale"], shown["error"]) == (False, None)
    assert page.schedule.base_momentum == 0.8


@pytest.mark.parametrize("module", [draft, picture, explorer])
def test_examples(module):
    assert not doctest.testmod(module).failed
