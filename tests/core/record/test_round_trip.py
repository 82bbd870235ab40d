"""Whatever can be constructed can be written in every form, and reads back as it was."""

import copy
import enum
import importlib.util
import json
import pickle
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from clr_core import CyclicSchedule, RangeTestResult, schedule_from_dict
from clr_core.record import Record, schedule_id
from other_kinds import Mean, other_kinds

__all__ = ["other_kinds"]
NUMBERS = ("2", "0.5", "1e-5", "1e22", ".5", "5.", "1_000", "0x10", "1e-400", str(2**53 + 1))


def longer(inner):
    return st.one_of(
        st.builds("({}{}{})".format, inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner),
        st.builds("{}{}{}".format, inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner),
        st.builds("-{}".format, inner),
        st.builds("min({},{})".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(["sin", "exp", "abs", "floor"]), inner),
        st.builds(lambda text, times: "*".join([text] * times), inner, st.integers(2, 60)),
    )


expressions = st.recursive(st.sampled_from((*NUMBERS, "x", "pi", "e")), longer, max_leaves=40)


class Mode(enum.StrEnum):
    TRIANGULAR2 = "triangular2"


rates = st.floats(0, 1e308) | st.integers(0, 2**60) | st.fractions(0, 1)
sizes = st.floats(2.0**-53, 1e300) | st.integers(1, 2**53) | st.just(Fraction(7, 2))
momenta = st.none() | st.floats(0, 1, exclude_max=True)
decays = st.one_of(
    st.fixed_dictionaries({"mode": st.sampled_from(["triangular", Mode.TRIANGULAR2])}),
    st.fixed_dictionaries(
        {"mode": st.just("exp_range"), "gamma": st.floats(0, 1, exclude_min=True, exclude_max=True)}
    ),
    st.fixed_dictionaries(
        {"scale_fn": expressions, "scale_mode": st.sampled_from(["cycle", "iterations"])}
    ),
)


@st.composite
def schedules(draw):
    low, high = sorted([draw(rates), draw(rates)])
    given = {"base_lr": low, "max_lr": high, "step_size_up": draw(sizes), **draw(decays)}
    given["step_size_down"] = draw(st.none() | sizes)
    base, peak = draw(momenta), draw(momenta)
    if base is not None and peak is not None:
        given |= {"base_momentum": min(base, peak), "max_momentum": max(base, peak)}
    try:
        return CyclicSchedule(**given)
    except ValueError:
        assume(False)


def toml(record):
    """The record as TOML, which has no null."""
    lines = ['format = "cyclical-lr/1"', f"step = {record.step}"]
    for schedule in record.schedule:
        values = {key: each for key, each in schedule.to_dict().items() if each is not None}
        lines += ["[[schedule]]", *(f"{key} = {json.dumps(each)}" for key, each in values.items())]
    return "\n".join(lines)


@settings(max_examples=200)
@given(st.lists(schedules(), min_size=1, max_size=2), st.integers(0, 2**53))
@example([CyclicSchedule(base_lr=0, max_lr=5e-324, scale_fn="1e-5")], 2**53)
@example([CyclicSchedule(base_lr=0, max_lr=1, scale_fn="-x**-2**-x")], 0)
@example([CyclicSchedule(base_lr=-0.0, max_lr=2**53 + 1, step_size_up=2.0**-53)], 0)
def test_a_record_in_every_form(tmp_path_factory, schedules, step):
    record = Record(schedules, step)
    folder = tmp_path_factory.mktemp("forms")
    forms = {".json": record.to_json(), ".toml": toml(record)}
    if importlib.util.find_spec("yaml"):
        import yaml

        forms |= {".yaml": yaml.safe_dump(record.to_dict()), ".yml": record.to_json()}
    for suffix, text in forms.items():
        path = folder / f"run{suffix}"
        path.write_text(text)
        assert Record.read(path) == record, suffix
    for each in (
        Record.from_json(record.to_json()),
        Record.from_dict(record.to_dict()),
        *(pickle.loads(pickle.dumps(record, protocol)) for protocol in (0, 2, 5)),
        copy.copy(record),
        copy.deepcopy(record),
    ):
        assert each == record
        assert schedule_id(each.schedule) == schedule_id(record.schedule)


@given(schedules())
def test_a_schedule_in_every_form(schedule):
    assert CyclicSchedule.from_json(schedule.to_json()) == schedule
    assert schedule_from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
    assert all(
        type(each) in (float, str, type(None)) for each in schedule.to_dict().values()
    )  # What every format can hold.
    assert eval(repr(schedule), {"CyclicSchedule": CyclicSchedule}) == schedule


def test_an_expression_that_would_be_too_long_once_it_is_saved():
    text = "*".join(["min(x,1)"] * 40)
    assert len(text) == 359
    with pytest.raises(
        ValueError, match="at most 500 characters, and this one has 557 in the form"
    ):
        CyclicSchedule(base_lr=0, max_lr=1, scale_fn=text)


@pytest.mark.usefixtures("other_kinds")
def test_kinds_that_nest(tmp_path):
    cyclic = CyclicSchedule(base_lr=0, max_lr=1)

    def mean(depth, schedule=cyclic):
        for _ in range(depth):
            schedule = Mean((schedule,))
        return schedule

    yaml = pytest.importorskip("yaml")
    record = Record([mean(8)])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(record.to_dict()))
    assert Record.read(tmp_path / "run.yaml") == Record.from_json(record.to_json()) == record
    with pytest.raises(ValueError, match="must be nested at most 18 deep to be written down"):
        Record([mean(9)])
    assert Record.from_json(Record([mean(8, Mean(()))]).to_json())  # An empty list is no deeper.


texts = st.text(max_size=20)


@given(
    st.lists(st.floats(1e-300, 1e300), unique=True, max_size=20).map(sorted),
    st.data(),
    texts,
    st.dictionaries(texts, st.none() | st.floats(1e-300, 1e300), max_size=3),
    st.lists(texts, max_size=3),
)
def test_the_result_of_a_range_test(lrs, data, reason, suggestions, warnings):
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    of_each = st.lists(numbers, min_size=len(lrs), max_size=len(lrs))
    losses, scores = data.draw(of_each), data.draw(st.none() | of_each)
    result = RangeTestResult(
        lrs, losses, scores, "linear", reason, suggestions, None, None, warnings
    )
    assert RangeTestResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result
