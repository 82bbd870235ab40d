"""Argument checks: what they return, and the one form of their messages."""

import pytest

from clr_core import CyclicSchedule
from clr_core._arguments import (
    LARGEST_STEP,
    check_schedule,
    count,
    integer,
    received,
)


class Broken:
    def __repr__(self):
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "Received: step=0"),
        ("a" * 118, f"Received: step='{'a' * 118}'"),
        ("a" * 119, f"Received: step='{'a' * 99}… (121 characters)"),
        (10**5000, "Received: step=<int>"),
        (Broken(), "Received: step=<Broken>"),
    ],
    ids=["short", "120", "121", "no repr", "broken repr"],
)
def test_received(value, text):
    assert received("step", value) == text


def test_a_name_from_a_file_is_visible_and_short():
    assert received("lr\0\n\x1b[2J", 1) == r"Received: lr\x00 \x1b[2J=1"
    assert len(received("lr" * 5000, 1)) < 200


class Index:
    def __index__(self):
        return 7


def test_an_integer_is_an_int():
    assert integer("step", Index()) == 7


@pytest.mark.parametrize("value", [True, 1.0, "1", None], ids=repr)
def test_what_is_no_integer(value):
    with pytest.raises(TypeError, match=r"^`step` must be an integer\. Received: step="):
        integer("step", value)


def test_a_bool_of_numpy_is_no_integer(np):
    with pytest.raises(TypeError, match=r"^`step` must be an integer\. Received: step="):
        integer("step", np.True_)


def test_a_count_ends_where_float64_skips_integers():
    assert LARGEST_STEP == 9007199254740992
    assert float(LARGEST_STEP) == float(LARGEST_STEP + 1)
    assert [count("step", value) for value in (0, LARGEST_STEP, Index())] == [0, LARGEST_STEP, 7]
    for value in (-1, LARGEST_STEP + 1):
        with pytest.raises(ValueError, match=r"^`step` must lie between 0 and 2\*\*53\. Received"):
            count("step", value)
    with pytest.raises(TypeError, match=r"^`step` must be an integer\. Received: step=0\.5$"):
        count("step", 0.5)


class Half:
    def lr(self, step):
        return 0.5

    to_dict = momentum = lr


@pytest.mark.parametrize("missing", ["lr", "momentum", "to_dict"])
def test_a_schedule_has_three_methods(missing):
    check_schedule(Half())
    check_schedule(CyclicSchedule(base_lr=0.1, max_lr=0.5))
    broken = type("Broken", (Half,), {missing: None})()
    with pytest.raises(TypeError, match=r"^`schedule` must be a schedule such as CyclicSchedule\."):
        check_schedule(broken)
