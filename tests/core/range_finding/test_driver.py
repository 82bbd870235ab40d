"""The loop that all runners share, and the batches it takes."""

import builtins
import inspect
import sys

import pytest

from clr_core import RangeTest, RangeTestResult
from clr_core.range_finding.ask_tell import RangeTestOptions
from clr_core.range_finding.driver import Batches, check_callable, positive, repeated, run


def test_batches_come_in_order_and_from_the_start_again():
    batches = Batches("loader", "abc")
    assert "".join(batches.take() for _ in range(8)) == "abcabcab"
    assert batches.restarts == 2
    (warning,) = batches.warnings()
    assert warning == (
        "`loader` ran out and started over 2 times in 8 batches. Batches seen before make the loss "
        "fall sooner: give it more data, or take fewer `num_steps`."
    )
    batches = Batches("data", "abc")
    for _ in range(4):
        batches.take()
    assert batches.warnings()[0].startswith("`data` ran out and started over 1 time in 4 batches. ")


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
    with pytest.raises(ValueError, match=r"^`loader` must have batches") as caught:
        batches.take()
    assert str(caught.value) == ("`loader` must have batches. Received: none after the first 2.")


def test_no_batches():
    starts = []

    class Empty:
        def __iter__(self):
            starts.append(1)
            return iter(())

    with pytest.raises(ValueError, match=r"^`loader` must have batches\. Received: none\.$"):
        Batches("loader", Empty()).take()
    assert len(starts) == 1  # To start over may be expensive, and is of no use here.


@pytest.mark.parametrize("source", [iter([1, 2]), (i for i in range(3))], ids=["iter", "generator"])
def test_an_iterator_is_refused(source):
    with pytest.raises(TypeError) as caught:
        Batches("loader", source)
    assert str(caught.value) == (
        f"`loader` must start over with each `iter()`. Received: loader={source!r}. What is taken "
        "from an iterator can't be put back: pass what it iterates over."
    )


def test_what_is_not_iterable():
    with pytest.raises(TypeError) as caught:
        Batches("loader", 3)
    assert str(caught.value) == "`loader` must be an iterable of batches. Received: loader=3"


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
        return loss, -loss

    return run(tests, start, update, batches, trials=False), starts


def test_one_test_is_its_own_result():
    by_hand = RangeTest(1e-3, 10.0)
    weight = 1.0
    while not by_hand.done:
        lr = by_hand.ask()
        by_hand.tell(weight**2, -(weight**2))
        weight *= 1 - lr
    result, starts = drive([RangeTest(1e-3, 10.0)])
    assert result == by_hand.result()
    assert len(starts) == 1


def test_batches_that_ran_out_are_a_warning_of_the_result():
    batches = Batches("loader", range(30))
    result = run(
        [RangeTest(divergence=None)],
        lambda: None,
        lambda lr: [batches.take()],
        batches,
        trials=False,
    )
    assert result.warnings[-1] == batches.warnings()[0]
    assert "started over 3 times in 100 batches" in result.warnings[-1]


def test_each_further_test_starts_from_the_beginning():
    one, _ = drive([RangeTest(1e-3, 10.0)])
    three, starts = drive([RangeTest(1e-3, 10.0) for _ in range(3)])
    assert len(starts) == 3
    assert three == RangeTestResult.of([one, one, one])


def test_the_runners_take_all_options_of_a_test():
    assert list(RangeTestOptions.__annotations__) == list(inspect.signature(RangeTest).parameters)
    assert not RangeTestOptions.__required_keys__


@pytest.mark.parametrize(
    ("check", "error", "text"),
    [
        (
            lambda: repeated(0, True),
            ValueError,
            "`repeats` must be at least 1. Received: repeats=0",
        ),
        (
            lambda: repeated(1.5, True),
            TypeError,
            "`repeats` must be an integer. Received: repeats=",
        ),
        (lambda: repeated(True, True), TypeError, "`repeats` must be an integer. Received: repeat"),
        (lambda: repeated(1, 3), TypeError, "`trials` must be True or False. Received: trials=3"),
        (lambda: positive("size", 0), ValueError, "`size` must be at least 1. Received: size=0"),
        (lambda: check_callable("f", 3), TypeError, "`f` must be callable. Received: f=3"),
    ],
    ids=["none", "a part", "truth", "trials", "size", "callable"],
)
def test_arguments_that_are_refused(check, error, text):
    with pytest.raises(error) as caught:
        check()
    assert str(caught.value).startswith(text)


def test_arguments_that_are_taken():
    assert [test.num_steps for test in repeated(2, True, num_steps=20)] == [20, 20]
    assert len(repeated(1, False)) == positive("size", 1) == 1
    check_callable("f", print)


@pytest.mark.parametrize("where", ["terminal", "notebook", "file"])
def test_progress_shows_where_somebody_can_see_it(monkeypatch, capsys, where):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: where == "terminal")
    if where == "notebook":
        monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    result, _ = drive([RangeTest(1e-3, 10.0) for _ in range(2)])
    said = capsys.readouterr()
    assert said.out == ""
    if where == "file":
        assert said.err == ""
    else:
        assert "range test:   0%" in said.err
        assert "/200 " in said.err  # Of both tests.
        assert said.err.endswith("\r")  # It is gone afterwards.
    monkeypatch.undo()
    assert result == drive([RangeTest(1e-3, 10.0) for _ in range(2)])[0]


def test_progress_needs_no_tqdm(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    assert drive([RangeTest(1e-3, 10.0)])[0].losses
    assert capsys.readouterr() == ("", "")
