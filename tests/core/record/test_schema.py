"""`record.schema.json` and `Record.from_dict` agree on what a record is."""

import copy
import importlib
import inspect
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule, SequenceSchedule
from clr_core.record import Record, schema
from schedules import random_of_any_kind

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


PHASE = {"steps": 10, "start": 0, "end": 0.1}
BENT = {**PHASE, "shape": "cosine", "start_momentum": 0.9, "end_momentum": 0.8}


def phases(*each, **changes):
    schedule = {"kind": "piecewise", "phases": [*each], **changes}
    return {"format": "cyclical-lr/1", "schedule": schedule}


def sequence(*each, boundaries=(5,)):
    schedule = {"kind": "sequence", "schedules": [*each], "boundaries": [*boundaries]}
    return {"format": "cyclical-lr/1", "schedule": schedule}


def accepted(document):
    try:
        Record.from_dict(document)
    except (TypeError, ValueError) as error:
        return False, str(error)
    return True, ""


def test_it_has_the_parameters_and_the_defaults_of_the_constructor():
    parameters = inspect.signature(CyclicSchedule).parameters
    described = json.loads(schema())["$defs"]["cyclic"]
    assert list(described["properties"]) == ["kind", *parameters]
    assert described["required"] == [
        name for name, each in parameters.items() if each.default is each.empty
    ]
    for name, each in parameters.items():
        if each.default is not each.empty:
            assert described["properties"][name]["default"] == each.default, name
    for each in described["properties"].values():
        assert each["title"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("phase", Phase), ("piecewise", PiecewiseSchedule), ("sequence", SequenceSchedule)],
)
def test_other_kinds_have_theirs(name, kind):
    described = json.loads(schema())["$defs"][name]["properties"]
    parameters = inspect.signature(kind).parameters
    assert [each for each in described if each != "kind"] == [*parameters]
    for parameter, each in parameters.items():
        assert described[parameter].get("default", each.empty) == each.default


schedules = st.randoms(use_true_random=False).map(random_of_any_kind)


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
        phases(PHASE),
        phases(PHASE, PHASE, repeat=True),
        phases(BENT),
        sequence(PLAIN, phases(PHASE)["schedule"]),
        sequence(sequence(PLAIN, PLAIN)["schedule"], PLAIN, PLAIN, boundaries=(5, 7)),
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
        phases(),
        phases(PHASE, repeat=1),
        phases({**PHASE, "steps": 0}),
        phases({**PHASE, "start": -1}),
        phases({**PHASE, "shape": "square"}),
        phases({**PHASE, "start_momentum": 0.5}),
        phases({**BENT, "end_momentum": 1}),
        phases({**PHASE, "length": 3}),
        phases({"steps": 3, "start": 1}),
        phases(*[PHASE] * 10_001),
        phases(3),
        sequence(PLAIN, boundaries=()),
        sequence(PLAIN, PLAIN, boundaries=(0,)),
        sequence(PLAIN, {"base_lr": 1}),
        sequence(PLAIN, 3),
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
    "`phases` must all have a momentum": phases(PHASE, BENT),
    "`steps` must not be lost": phases({**PHASE, "steps": 1e30}, PHASE),
    "`boundaries` must ascend": sequence(PLAIN, PLAIN, PLAIN, boundaries=(5, 5)),
    "`boundaries` must have one for each": sequence(PLAIN, PLAIN, boundaries=(5, 6)),
    "`schedules` must all have a momentum": sequence(PLAIN, {**PLAIN, **MOMENTA}),
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
