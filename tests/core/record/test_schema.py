"""`record.schema.json` and `Record.from_dict` agree on what a record is."""

import copy
import importlib
import inspect
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clr_core import CyclicSchedule
from clr_core.record import Record, schema
from schedules import random_schedule

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")

PLAIN = {"base_lr": 0.001, "max_lr": 0.006}
MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.9}
EXP_RANGE = {"mode": "exp_range", "gamma": 0.5}


@pytest.fixture(scope="module")
def validator(request):
    """Of jsonschema, which is missing only where the core is tested by itself."""
    if request.config.option.with_numpy:
        jsonschema = importlib.import_module("jsonschema")
    else:
        jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))
    return jsonschema.Draft202012Validator(json.loads(schema()))


def document(*change, **top):
    schedules = [{**PLAIN, **each} for each in change or ({},)]
    schedule = schedules if len(schedules) > 1 else schedules[0]
    return {"format": "cyclical-lr/1", "schedule": schedule, **top}


def accepted(document):
    try:
        Record.from_dict(document)
    except (TypeError, ValueError) as error:
        return False, str(error)
    return True, ""


def test_it_has_the_parameters_and_the_defaults_of_the_constructor():
    parameters = inspect.signature(CyclicSchedule).parameters
    described = json.loads(schema())["$defs"]["schedule"]
    assert list(described["properties"]) == ["kind", *parameters]
    assert described["required"] == [
        name for name, each in parameters.items() if each.default is each.empty
    ]
    for name, each in parameters.items():
        if each.default is not each.empty:
            assert described["properties"][name]["default"] == each.default, name
    for each in described["properties"].values():
        assert each["title"]


schedules = st.randoms(use_true_random=False).map(random_schedule)


@settings(max_examples=200)
@given(
    st.builds(
        Record,
        schedules | st.lists(schedules, min_size=1, max_size=3),
        st.integers(0, 2**53),
    )
)
def test_every_record_is_valid(validator, record):
    validator.validate(json.loads(record.to_json()))


@pytest.mark.parametrize(
    "good",
    [
        document(),
        document({}, {"kind": "cyclic"}, step=0),
        document(step=2**53),
        document({"base_lr": 0, "max_lr": 0}),
        document({"step_size_up": 2**-53, "step_size_down": None}),
        document({"max_lr": 1.7976931348623157e308}),
        document({"gamma": 1, "mode": "triangular2"}),
        document(EXP_RANGE),
        document({"scale_fn": "1 / x", "mode": "triangular", "gamma": 1.0}),
        document({"scale_fn": "x * 0", "scale_mode": "iterations"}),
        document({"scale_fn": None, "scale_mode": "cycle"}),
        document({"base_momentum": None}),
        document({"max_momentum": None}),
        document(MOMENTA),
        document({"base_momentum": 0, "max_momentum": 0}),
    ],
    ids=str,
)
def test_both_accept(validator, good):
    validator.validate(good)
    assert accepted(good) == (True, "")


@pytest.mark.parametrize(
    "bad",
    [
        [],
        {"schedule": PLAIN},
        {"format": "cyclical-lr/1"},
        document(format="cyclical-lr/2"),
        document(steps=3),
        document(step=-1),
        document(step=2**53 + 1),
        document(step=1.5),
        document(step=True),
        document(schedule=[]),
        document(schedule=[PLAIN, {}]),
        document({}, {"stepsize": 3}),
        document({"kind": "onecycle"}),
        document({"base_lr": -1e-300}),
        document({"base_lr": "0.1"}),
        document({"max_lr": 10**309}),
        document({"step_size_up": 2**-54}),
        document({"step_size_up": None}),
        document({"mode": "Triangular"}),
        document({**EXP_RANGE, "gamma": 0}),
        document({"gamma": 0.5, "mode": "triangular2"}),
        document({"mode": "triangular2", "scale_fn": "1 / x"}),
        document({"scale_fn": "x" + " + x" * 125}),
        document({"scale_mode": "iterations", "scale_fn": None}),
        document({"max_momentum": 0.8, "base_momentum": None}),
        document({**MOMENTA, "max_momentum": 1}),
    ],
    ids=lambda bad: str(bad)[:90],
)
def test_both_refuse(validator, bad):
    assert not validator.is_valid(bad)
    assert not accepted(bad)[0]


# What a JSON Schema can't say, or doesn't: a comparison of two values, rounding, a grammar; 3.0 is
# an integer to it; and NaN, which isn't JSON, is neither below a minimum nor above a maximum.
BEYOND = {
    "`base_lr` must not be above `max_lr`": document({"base_lr": 1}),
    "`base_momentum` must not be above `max_momentum`": document({**MOMENTA, "max_momentum": 0.7}),
    "`step_size_up` and `step_size_down` must have a finite sum": document(
        {"step_size_up": 1e17, "step_size_down": 1}
    ),
    "`scale_fn` must ": document({"scale_fn": "import os"}),
    "`step` must be an integer": document(step=3.0),
    "`max_lr` must be finite": document({"max_lr": float("nan")}),
}


@pytest.mark.parametrize(("text", "bad"), BEYOND.items(), ids=BEYOND)
def test_what_only_from_dict_refuses(validator, text, bad):
    validator.validate(bad)
    assert accepted(bad)[1].startswith(text)


GOOD = {
    "kind": ["cyclic"],
    "base_lr": [0, 0.0001],
    "max_lr": [0.01, 1],
    "step_size_up": [1, 2.5],
    "step_size_down": [None, 2**-53, 7],
    "mode": ["triangular", "triangular2", "exp_range"],
    "gamma": [1, 0.5],
    "scale_fn": [None, "1 / x", "1 / (x + 1)"],
    "scale_mode": ["cycle", "iterations"],
    "base_momentum": [None, 0, 0.5],
    "max_momentum": [None, 0.5, 0.9],
    "step": [0, 2**53],
    "stepsize": [],
}
ODD = [None, True, 0, -1, 1.0, 3.0, 2**54, 2**-54, 1e17, 10**400, "", "x", "y", "x" * 501, [], {}]
VALUES = {name: st.sampled_from([*good * 9, *ODD]) for name, good in GOOD.items()}
change = st.one_of([st.tuples(st.just(name), VALUES[name]) for name in GOOD if name != "step"])
changes = st.lists(change, max_size=4).map(dict)


@settings(max_examples=400)
@given(st.lists(changes, min_size=1, max_size=2), VALUES["step"])
def test_they_agree_on_documents_at_random(validator, changes, step):
    either = document(*changes, step=step)
    before = copy.deepcopy(either)
    good, reason = accepted(either)
    assert either == before
    if not validator.is_valid(either):
        assert not good
    elif not good:
        assert re.sub(r"^`schedule\[\d]`: ", "", reason).startswith(tuple(BEYOND))
