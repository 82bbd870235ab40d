"""The portable record: its one form, its id, and what is refused in a document."""

import hashlib
import json
import random
from html import escape

import pytest

from clr_core import CyclicSchedule
from clr_core.record import Record, schedule_id
from schedules import named, random_schedule

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")

PLAIN = {"base_lr": 0.001, "max_lr": 0.006}
DOCUMENT = {"format": "cyclical-lr/1", "schedule": PLAIN}


def test_the_text_to_the_byte():
    schedule = CyclicSchedule(
        base_lr=1e-5, max_lr=0.1, scale_fn="1/x", base_momentum=0, max_momentum=0.9
    )
    assert Record([schedule], step=2**53).to_json() == (
        """{
  "format": "cyclical-lr/1",
  "schedule": [
    {
      "kind": "cyclic",
      "base_lr": 1e-05,
      "max_lr": 0.1,
      "step_size_up": 2000.0,
      "step_size_down": 2000.0,
      "mode": "triangular",
      "gamma": 1.0,
      "scale_fn": "1.0 / x",
      "scale_mode": "cycle",
      "base_momentum": 0.0,
      "max_momentum": 0.9
    }
  ],
  "step": 9007199254740992
}
"""
    )


def test_different_schedules_have_different_ids():
    rng = random.Random(3)
    every = {schedule for _, schedule in named()} | {random_schedule(rng) for _ in range(1000)}
    assert len({schedule_id(schedule) for schedule in every}) == len(every)


# They are in other people's logs: an id that changes is a breaking change.
IDS = {
    "454a42e61394": PLAIN,
    "b834fd91fbee": {**PLAIN, "mode": "triangular2", "base_momentum": 0.8, "max_momentum": 0.95},
    "675f9a9ca77a": {**PLAIN, "mode": "exp_range", "gamma": 0.99994, "step_size_down": 2.75},
    "1978a2ba5f0a": {**PLAIN, "scale_fn": "-x**2 * (1/(x - -1)) + max(sin(x), 1e-300)"},
    "f9f60dcd9082": {**PLAIN, "scale_fn": "1/5**(x*1e-4)", "scale_mode": "iterations"},
    "415f04ddbd89": {"base_lr": 5e-324, "max_lr": 1.7976931348623157e308, "step_size_up": 1e16},
}


@pytest.mark.parametrize(("name", "parameters"), IDS.items(), ids=IDS)
def test_ids_stay(name, parameters):
    assert schedule_id(CyclicSchedule(**parameters)) == name


def test_the_id_can_be_computed_by_hand():
    text = (
        '{"base_lr":0.001,"base_momentum":null,"gamma":1.0,"kind":"cyclic","max_lr":0.006,'
        '"max_momentum":null,"mode":"triangular","scale_fn":null,"scale_mode":"cycle",'
        '"step_size_down":2000.0,"step_size_up":2000.0}'
    )
    schedule = CyclicSchedule(**PLAIN)
    assert schedule_id(schedule) == hashlib.sha256(text.encode()).hexdigest()[:12]
    groups = hashlib.sha256(f"[{text},{text}]".encode()).hexdigest()[:12]
    assert schedule_id([schedule, schedule]) == schedule_id((schedule, schedule)) == groups


def test_what_a_person_leaves_out_has_the_default_of_the_constructor():
    assert Record.from_dict(DOCUMENT) == Record(CyclicSchedule(**PLAIN), step=0)
    given = {"mode": "triangular2", "step_size_up": 3, "step_size_down": None}
    document = {**DOCUMENT, "schedule": [{**PLAIN, **given, "kind": "cyclic"}, PLAIN], "step": 4}
    expected = (CyclicSchedule(**PLAIN, **given), CyclicSchedule(**PLAIN))
    assert Record.from_dict(document) == Record(expected, step=4)


def test_one_for_each_group_is_not_one_for_all():
    schedule = CyclicSchedule(**PLAIN)
    assert Record(schedule) != Record([schedule])
    assert Record([schedule]) == Record((schedule,))
    assert Record.from_json(Record([schedule]).to_json()).schedule == (schedule,)


def test_a_step_of_numpy_becomes_an_int(np):
    record = Record(CyclicSchedule(**PLAIN), step=np.int64(5))
    assert type(record.step) is int
    assert '"step": 5' in record.to_json()


def test_arguments():
    schedule = CyclicSchedule(**PLAIN)

    def message(error, *args):
        with pytest.raises(error) as caught:
            Record(*args)
        return str(caught.value)

    assert message(ValueError, schedule, -1) == (
        "`step` must lie between 0 and 2**53. Received: step=-1"
    )
    assert message(ValueError, schedule, 2**53 + 1).startswith("`step` must lie between 0 and")
    for step in (1.0, "1", None, True):
        assert message(TypeError, schedule, step) == (
            f"`step` must be an integer. Received: step={step!r}"
        )
    assert message(ValueError, ()) == (
        "`schedule` must have at least one schedule. Received: schedule=()"
    )
    for other in (0.1, None, PLAIN, [schedule, 0.1]):
        assert message(TypeError, other).startswith("`schedule` must be a schedule such as Cyclic")


def test_a_callable_cannot_be_written_down():
    schedule = CyclicSchedule(**PLAIN, scale_fn=lambda x: 1.0)
    for write in (Record, schedule_id, lambda each: Record([CyclicSchedule(**PLAIN), each])):
        with pytest.raises(TypeError, match=r"^`scale_fn` must be an expression for the schedule"):
            write(schedule)


def changed(**change):
    return {**DOCUMENT, **change}


def with_parameters(**change):
    return {**DOCUMENT, "schedule": {**PLAIN, **change}}


KEYS = (
    "kind, base_lr, max_lr, step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode, "
    "base_momentum, max_momentum"
)
REFUSED = [
    (TypeError, [], "A record must be a mapping. Received: document=[]"),
    (ValueError, {}, "`format` must be 'cyclical-lr/1'. It is missing"),
    (
        ValueError,
        {"schedule": PLAIN},
        "`format` must be 'cyclical-lr/1'. It is missing. Its keys are 'schedule'. "
        "`Record.read(…, key=…)` reads a part of a document",
    ),
    (
        ValueError,
        changed(format="cyclical-lr/2"),
        "`format` must be 'cyclical-lr/1'. Received: format='cyclical-lr/2'. "
        "Another version of cyclical-lr wrote this",
    ),
    (ValueError, changed(format=1), "`format` must be 'cyclical-lr/1'. Received: format=1"),
    (
        ValueError,
        {"format": "cyclical-lr/1"},
        "A record must have the key `schedule`. It is missing",
    ),
    (
        ValueError,
        changed(Steps=3),
        "A record has no such key. Received: key='Steps'. Did you mean 'step'?",
    ),
    (
        ValueError,
        changed(optimizer="adam"),
        "A record has no such key. Received: key='optimizer'. Its keys are format, schedule, step",
    ),
    (
        ValueError,
        {**DOCUMENT, 3: 4},
        "A record has no such key. Received: key=3. Its keys are format, schedule, step",
    ),
    (
        ValueError,
        with_parameters(stepsize=3),
        "A schedule has no such key. Received: key='stepsize'. Did you mean 'step_size_up'?",
    ),
    (
        ValueError,
        with_parameters(epochs=3),
        f"A schedule has no such key. Received: key='epochs'. Its keys are {KEYS}",
    ),
    (
        ValueError,
        changed(schedule={"base_lr": 0.1}),
        "A schedule must have the key `max_lr`. It is missing",
    ),
    (
        ValueError,
        with_parameters(kind="onecycle"),
        "`kind` must be one of 'cyclic', 'piecewise', 'sequence'. Received: kind='onecycle'",
    ),
    (TypeError, changed(schedule=None), "A schedule must be a mapping. Received: schedule=None"),
    (
        ValueError,
        changed(schedule=[]),
        "`schedule` must have at least one schedule. Received: schedule=()",
    ),
    (
        TypeError,
        changed(schedule=[PLAIN, 3]),
        "`schedule[1]`: A schedule must be a mapping. Received: schedule=3",
    ),
    (
        ValueError,
        changed(schedule=[PLAIN, {**PLAIN, "base_lr": -1}]),
        "`schedule[1]`: `base_lr` must not be negative. Received: base_lr=-1",
    ),
    (TypeError, with_parameters(gamma=None), "`gamma` must be a number. Received: gamma=None"),
    (TypeError, changed(step=1.0), "`step` must be an integer. Received: step=1.0"),
]


@pytest.mark.parametrize(("error", "document", "text"), REFUSED, ids=[row[2] for row in REFUSED])
def test_documents_that_are_refused(error, document, text):
    with pytest.raises(error) as caught:
        Record.from_dict(document)
    assert type(caught.value) is error
    assert str(caught.value) == text
    if 3 not in (document or ()):  # JSON has no such key.
        with pytest.raises(ValueError, match=r"^`text` must be the JSON of a record: ") as caught:
            Record.from_json(json.dumps(document))
        assert str(caught.value) == f"`text` must be the JSON of a record: {text}"


@pytest.mark.parametrize("text", [None, b"{}", DOCUMENT], ids=repr)
def test_text_that_is_no_text(text):
    with pytest.raises(TypeError, match=r"^`text` must be a str\. Received: text="):
        Record.from_json(text)


def test_a_picture_for_notebooks():
    one, other = CyclicSchedule(**PLAIN), CyclicSchedule(base_lr=0.1, max_lr=0.2)
    page = Record(one, step=1500)._repr_html_()
    assert page.startswith("<svg ")
    assert page.endswith(f"{escape(repr(one))}\nstep 1,500, id {schedule_id(one)}</pre>")
    # Equal schedules are drawn once.
    groups = Record([one, other, one, one], step=1500)
    page = groups._repr_html_()
    assert page.count("<polyline") == 2
    assert f"groups 0, 2, 3: {one!r}" in page
    assert f"group 1: {other!r}" in page
    assert schedule_id(groups.schedule) in page


def test_a_picture_of_thousands_of_groups():
    many = Record([CyclicSchedule(base_lr=0.001 / k, max_lr=0.1) for k in range(1, 2000)])
    assert many._repr_html_().count("<polyline") == 6
    same = Record([CyclicSchedule(**PLAIN)] * 2000)
    assert "groups 0, 1, 2, 3, 4, 5, 6, 7 and 1992 more" not in same._repr_html_()  # A single one.
    assert len(same._repr_html_()) < 10_000
