"""The loop that all runners share, and the batches it takes."""

import inspect

import pytest

from clr_core import RangeTest, RangeTestResult
from clr_core.range_finding.ask_tell import RangeTestOptions
from clr_core.range_finding.driver import Batches, repeated, run


def test_batches_come_in_order_and_from_the_start_again():
    batches = Batches("loader", "abc")
    assert "".join(batches.take() for _ in range(8)) == "abcabcab"
    assert batches.restarts == 2
    (warning,) = batches.warnings()
    assert "started over 2 times in 8 batches" in warning


def test_batches_that_are_just_enough_do_not_start_over():
    batches = Batches("loader", "abc")
    for _ in range(3):
        batches.take()
    assert batches.warnings() == []


def test_batches_that_do_not_start_over_are_an_error():
    class Once:
        left = [1, 2]  # noqa: RUF012 - shared on purpose

        def __iter__(self):
            while self.left:
                yield self.left.pop()

    batches = Batches("loader", Once())
    batches.take()
    batches.take()
    with pytest.raises(ValueError, match=r"`loader` must have batches. Received: none after the f"):
        batches.take()


def test_an_iterable_with_nothing_but_items():
    class Old:
        def __getitem__(self, index):
            return [3, 4][index]

    batches = Batches("loader", Old())
    assert [batches.take() for _ in range(3)] == [3, 4, 3]


def drive(tests):
    """Plain gradient descent on `weight**2 / 2`; also how often it was put at its beginning."""
    weight, starts = [0.0], []
    batches = Batches("loader", range(10_000))

    def start():
        starts.append(weight[0])
        weight[0] = 1.0

    def update(lr):
        batches.take()
        loss = weight[0] ** 2
        weight[0] *= 1 - lr
        return loss

    return run(tests, start, update, batches), starts


def test_one_test_is_its_own_result():
    by_hand = RangeTest(1e-3, 10.0)
    weight = 1.0
    while not by_hand.done:
        lr = by_hand.ask()
        by_hand.tell(weight**2)
        weight *= 1 - lr
    result, starts = drive([RangeTest(1e-3, 10.0)])
    assert result == by_hand.result()
    assert len(starts) == 1


def test_each_further_test_starts_from_the_beginning():
    one, _ = drive([RangeTest(1e-3, 10.0)])
    three, starts = drive([RangeTest(1e-3, 10.0) for _ in range(3)])
    assert len(starts) == 3
    assert three == RangeTestResult.of([one, one, one])


def test_the_runners_take_all_options_of_a_test():
    assert list(RangeTestOptions.__annotations__) == list(inspect.signature(RangeTest).parameters)


@pytest.mark.parametrize(
    ("repeats", "error", "text"),
    [
        (0, ValueError, "`repeats` must be at least 1. Received: repeats=0"),
        (1.5, TypeError, "`repeats` must be an integer. Received: repeats=1.5"),
        (True, TypeError, "`repeats` must be an integer. Received: repeats=True"),
    ],
)
def test_repeats_that_are_refused(repeats, error, text):
    with pytest.raises(error) as caught:
        repeated(repeats)
    assert str(caught.value) == text
    assert [test.num_steps for test in repeated(2, num_steps=20)] == [20, 20]
