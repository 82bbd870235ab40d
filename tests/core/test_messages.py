"""Strange values for every argument: refused in one bounded line of our own words, or taken."""

import decimal
import fractions
import inspect
import json

import pytest

from clr_core import CyclicSchedule, RangeTest, RangeTestResult, schedule_from_dict, schedule_id
from clr_core.planning import suggest_schedule
from clr_core.record import Record

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")


class Broken:
    def __repr__(self):
        raise RuntimeError("broken")

    def __float__(self):
        raise RuntimeError("broken")


class Long:
    def __repr__(self):
        return "a\n\x1b[2J\u2028" * 100_000


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE = [
    *(10**5000, -(10**5000), 2**53 + 1, 5e-324, 1e308, -0.0, float("nan"), -float("inf"), True),
    *(decimal.Decimal("0.1"), decimal.Decimal("sNaN"), fractions.Fraction(10**400, 3), 1j),
    *("9" * 10**6, "1e-2", "\n\x1b[2J\u202e", "\ud800", "$x_$", "x" * 501, "min(x,1)*" * 50 + "x"),
    *(None, b"", object(), int, len, Broken(), Long(), [1] * 10**5, nested(5000), (), [{}]),
    *({"kind": []}, {"base_lr": Long(), "max_lr": 1}, dict.fromkeys(map(str, range(60_000)))),
]

SCHEDULE = CyclicSchedule(base_lr=0.1, max_lr=0.5)
RESULT = RangeTestResult.from_curve(
    [10.0 ** (k - 6) for k in range(11)], [2.3, 2.3, 2.3, 2.2, 1.8, 0.9, 0.5, 1.5, 4.0, 9.0, 9.0]
)


def with_each(function, given):
    """A call for each argument of a function, which takes the value of that argument."""
    names = [name for name in inspect.signature(function).parameters if name != "options"]
    return {
        f"{function.__qualname__}({name})": lambda value, name=name: function(
            **{**given, name: value}
        )
        for name in names
    }


def told(value):
    test = RangeTest()
    test.ask()
    test.tell(value, value)


CALLS = {
    **with_each(CyclicSchedule, {"base_lr": 0.1, "max_lr": 0.5}),
    **with_each(Record, {"schedule": SCHEDULE}),
    **with_each(RangeTest, {}),
    **with_each(suggest_schedule, {"samples": 9, "batch_size": 3, "epochs": 9, "max_lr": 0.1}),
    **with_each(RangeTestResult, RESULT.to_dict()),
    **with_each(RESULT.schedule, {"step_size_up": 5}),
    "lr": SCHEDULE.lr,
    "tell": told,
    "RangeTestResult.of": RangeTestResult.of,
    "schedule_from_dict": schedule_from_dict,
    "schedule_id": schedule_id,
    "Record.from_dict": Record.from_dict,
    "Record.from_json": Record.from_json,
    "a record's key": lambda value: Record.from_json('{"a": 1}', key=value),
    "a record's format": lambda value: Record.from_dict({"format": value, "schedule": {}}),
    "an unknown key": lambda value: Record.from_dict({"base_lr": 0, "max_lr": 1, value: 1}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_strange_values(call):
    for value in STRANGE:
        try:
            call(value)
        except (TypeError, ValueError) as error:
            text = str(error)
            if "hash" in text:  # The test's own mapping has no such key.
                continue
            assert "Received: " in text or "`" in text, text
            assert text.isprintable(), text
            assert len(text) < 1000


def test_many_unknown_keys_in_a_file(tmp_path):
    for keys in (range(60_000), ["x" * 10**5] * 2):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(dict.fromkeys(map(str, keys))))
        with pytest.raises(ValueError, match="must be a record") as caught:
            Record.read(path)
        assert len(str(caught.value)) < 1000
        with pytest.raises(ValueError, match=r"^A result must have the keys") as caught:
            RangeTestResult.from_dict(json.loads(path.read_text()))
        assert len(str(caught.value)) < 1000
