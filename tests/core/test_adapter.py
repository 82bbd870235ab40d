"""What adapters share: one-line errors and schedules that can be carried."""

import random
from dataclasses import replace

import pytest

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, adapter
from clr_core.adapter import lowest_lr, one_line, portable, rate_only, schedules_from_documents
from schedules import random_of_any_kind, random_phases, random_steps

EXPRESSION = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn="1 / x")


def reciprocal(x):
    return 1 / x


CALLABLE = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=reciprocal)


def test_its_names_exist():
    assert sorted(adapter.__all__, key=str.lower) == sorted(set(adapter.__all__), key=str.lower)
    assert all(hasattr(adapter, name) for name in adapter.__all__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  one\n\ttwo  ", "one two"),
        ("a" * 1000, "a" * 1000),
        ("a" * 1001, "a" * 1000 + "…"),
        ("", "ValueError"),
    ],
    ids=["lines", "long", "too long", "empty"],
)
def test_one_line(text, expected):
    assert one_line(ValueError(text)) == expected


def test_an_expression_takes_the_place_of_a_callable():
    assert portable(CALLABLE, "1 / x") == EXPRESSION
    assert portable(EXPRESSION) is EXPRESSION


def test_a_callable_without_an_expression():
    with pytest.raises(TypeError, match=r"can't be carried .* this is one: reciprocal\. Give the"):
        portable(CALLABLE)
    with pytest.raises(TypeError, match="this is one: reciprocal"):
        portable(CALLABLE, reciprocal)


def test_an_expression_without_a_callable():
    message = r"^`scale_fn` must be left out unless .* callable\. Received: scale_fn='x'$"
    with pytest.raises(ValueError, match=message):
        portable(EXPRESSION, "x")


def test_an_expression_stands_for_one_callable_wherever_it_is():
    of_step = {"scale_fn": "1 / (1 + x)", "scale_mode": "iterations"}
    three = CALLABLE.then(replace(CALLABLE, scale_mode="iterations"), 8).then(EXPRESSION, 16)
    one, another, last = portable(three, of_step["scale_fn"]).schedules
    assert one == replace(CALLABLE, scale_fn=of_step["scale_fn"])
    assert (another, last) == (replace(CALLABLE, **of_step), EXPRESSION)
    other = replace(CALLABLE, scale_fn=lambda x: 0.5**x)
    for scale_fn in (None, "1 / x"):  # At once, and not after the first expression.
        with pytest.raises(TypeError, match=r"there are 2: reciprocal, <lambda>\. Write an expr"):
            portable(CALLABLE.then(other, 8), scale_fn)
    documents = [each.to_dict(strict=False) for each in (EXPRESSION, CALLABLE, other)]
    assert schedules_from_documents(documents[:2], "1 / x") == [EXPRESSION, EXPRESSION]
    with pytest.raises(TypeError, match="`scale_fn` must stand for one Python callable"):
        schedules_from_documents(documents, "1 / x")


def test_what_a_file_noted_in_place_of_a_callable():
    document = CALLABLE.to_dict(strict=False) | {"scale_fn": {"callable": "module.name"}}

    def name_of(value):
        return value["callable"] if isinstance(value, dict) and "callable" in value else None

    assert schedules_from_documents([document] * 2, "1 / x", name_of) == [EXPRESSION] * 2
    with pytest.raises(TypeError, match=r"this is one: module\.name"):
        schedules_from_documents([document], None, name_of)


def test_rate_only():
    momenta = {"base_momentum": 0.8, "max_momentum": 0.9}
    both = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=reciprocal, **momenta)
    assert rate_only(both) == CALLABLE
    assert rate_only(CALLABLE) is CALLABLE


@pytest.mark.parametrize("kind", [random_phases, random_of_any_kind])
def test_no_rate_is_below_the_lowest(kind):
    rng = random.Random(0)
    for _ in range(200):
        schedule = kind(rng)
        lowest = lowest_lr(schedule)
        rates = [schedule.lr(step) for step in random_steps(rng, schedule, 100, 2**53)]
        assert all(rate == 0 or rate >= lowest for rate in rates), schedule


def test_a_step_may_be_as_near_as_it_likes_to_an_end_within_a_step():
    first = PiecewiseSchedule([Phase(3.0, 0.1, 0.1), Phase(1e8, 0.0, 1.0, "cosine")])
    assert lowest_lr(first) == 1 / 1e8 / 1e8 / 2 < first.lr(4)
    other = PiecewiseSchedule([Phase(2.999999999, 0.1, 0.1), Phase(1e8, 0.0, 1.0, "cosine")])
    assert 0 < other.lr(3) < lowest_lr(first)
    assert lowest_lr(other) == 0


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 3, 2**26 + 1, 2**53])
def test_the_lowest_beside_an_end_of_0(shape, steps):
    phases = [Phase(steps, 0.0, 0.1, shape), Phase(7, 0.1, 0.01)]
    lowest = lowest_lr(PiecewiseSchedule(phases))
    assert 0.0 < lowest <= PiecewiseSchedule(phases).lr(1)
    assert lowest > 2.0**-126  # So that all of float32 is normal, or 0.
    assert lowest_lr(PiecewiseSchedule([Phase(0.5, 0.0, 0.1, shape), *phases])) == 0.0


def test_the_lowest_of_what_may_lead_anywhere():
    both = {"base_lr": 0.1, "max_lr": 0.5}
    assert lowest_lr(CyclicSchedule(**both, mode="triangular2")) == 0.1
    assert lowest_lr(CyclicSchedule(**both, scale_fn="-x")) == 0.0
    assert lowest_lr(PiecewiseSchedule([Phase(3, 0.5, 0.2)]).then(CyclicSchedule(**both))) == 0.1
