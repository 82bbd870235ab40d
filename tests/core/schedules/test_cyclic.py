"""A schedule as a record: its one form, equality, and how it is written down."""

import dataclasses
import pickle
import xml.etree.ElementTree as ET

import pytest

from clr_core import CyclicSchedule
from schedules import named

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")

EVERY_KIND = [schedule for _, schedule in named()]


def scale(x):
    return 1 / x


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"step_size_up": 2}, {"step_size_up": 2.0}),
        ({"step_size_up": 2}, {"step_size_up": 2, "step_size_down": 2}),
        ({"base_lr": 0}, {"base_lr": -0.0}),
        ({"scale_fn": "1/x"}, {"scale_fn": " (1.0) / (x)"}),
        ({"scale_fn": "1e-4*x"}, {"scale_fn": "0.0001 * x"}),
        ({"scale_fn": scale}, {"scale_fn": scale}),
    ],
)
def test_one_meaning_one_form(one, other):
    first = CyclicSchedule(**{"base_lr": 0.1, "max_lr": 0.5, **one})
    second = CyclicSchedule(**{"base_lr": 0.1, "max_lr": 0.5, **other})
    assert first == second
    assert hash(first) == hash(second)
    assert repr(first) == repr(second)
    if not callable(first.scale_fn):
        assert first.to_json() == second.to_json()


@pytest.mark.parametrize(
    ("decay", "values"),
    [
        ({}, [1.0, 1.0, 1.0]),
        ({"mode": "triangular2"}, [1.0, 0.5, 0.25]),
        ({"mode": "exp_range", "gamma": 0.5}, [0.5, 0.25, 0.125]),
        ({"scale_fn": "1 / x"}, [1.0, 0.5, 1 / 3]),
        ({"scale_fn": "1 / (x + 1)", "scale_mode": "iterations"}, [0.5, 1 / 3, 0.25]),
    ],
)
def test_the_decay_at_the_first_numbers(decay, values):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, **decay)
    assert [schedule.scale(x) for x in (1, 2, 3)] == values


def test_frozen():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.base_lr = 0.2
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.step = 3


def test_to_dict_has_every_parameter_and_the_kind():
    document = CyclicSchedule(base_lr=0.001, max_lr=0.006).to_dict()
    assert document == {
        "kind": "cyclic",
        "base_lr": 0.001,
        "max_lr": 0.006,
        "step_size_up": 2000.0,
        "step_size_down": 2000.0,
        "mode": "triangular",
        "gamma": 1.0,
        "scale_fn": None,
        "scale_mode": "cycle",
        "base_momentum": None,
        "max_momentum": None,
    }


def test_replace_keeps_the_rest():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn="1 / x", step_size_up=3)
    replaced = dataclasses.replace(schedule, max_lr=0.6)
    assert replaced == CyclicSchedule(base_lr=0.1, max_lr=0.6, scale_fn="1 / x", step_size_up=3)


def test_repr_shows_what_was_chosen():
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=500, mode="triangular2")
    assert repr(schedule) == (
        "CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=500.0, mode='triangular2')"
    )


def test_a_callable_is_compared_by_identity_and_cannot_be_written_down():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=scale)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    with pytest.raises(
        TypeError, match=r"^`scale_fn` must be an expression for the schedule to be"
    ):
        schedule.to_dict()
    with pytest.raises(
        TypeError, match=r"Write it as text in `x`, such as \"1 / 2 \*\* \(x - 1\)\""
    ):
        schedule.to_json()
    assert schedule.to_dict(strict=False)["scale_fn"] is scale


def test_cycle_size_is_the_float64_sum():
    schedule = CyclicSchedule(base_lr=0, max_lr=1, step_size_up=0.1, step_size_down=0.2)
    assert schedule.cycle_size == 0.30000000000000004


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=repr)
def test_picture_is_well_formed(schedule):
    svg, _, text = schedule._repr_html_().partition("<pre ")
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    lines = root.findall("{*}polyline")
    assert len(lines) == (1 if schedule.momentum(0) is None else 2)
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) > 2
        assert all(0 <= x <= 480 and 0 <= y <= float(root.get("height")) for x, y in points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert text.endswith("</pre>")
