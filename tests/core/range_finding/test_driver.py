"""What all runners share: batches, the loop, snapshots, interruptions, progress."""

import contextlib
import os
import random
import signal
import threading
from collections import OrderedDict, deque

import pytest

from clr_core import RangeTest, RangeTestResult
from clr_core.range_finding._interrupts import uninterrupted
from clr_core.range_finding._progress import progress_line
from clr_core.range_finding._random_states import restore_of, same_random_states
from clr_core.range_finding.driver import Batches, run
from clr_core.range_finding.restoring import Snapshot, restored_loader


def test_batches_come_in_order_and_from_the_start_again():
    batches = Batches("loader", "abc")
    assert "".join(batches.take() for _ in range(8)) == "abcabcab"
    assert batches.restarts == 2
    (warning,) = batches.warnings()
    assert "started anew, 2 times in 8 batches" in warning


def test_batches_that_are_just_enough_are_not_started_anew():
    batches = Batches("loader", "abc")
    for _ in range(3):
        batches.take()
    assert batches.warnings() == []


def test_batches_that_do_not_start_anew_are_an_error():
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


def drive(tests, progress=None):
    """Plain gradient descent on `weight**2 / 2`; also how often it was put back."""
    weight, resets = [1.0], []
    batches = Batches("loader", range(10_000))

    def update(lr):
        batches.take()
        loss = weight[0] ** 2
        weight[0] *= 1 - lr
        return loss

    def anew():
        resets.append(weight[0])
        weight[0] = 1.0

    return run(tests, update, batches, anew, progress), resets


def test_one_test_is_its_own_result_and_puts_nothing_back():
    by_hand = RangeTest(1e-3, 10.0)
    weight = 1.0
    while not by_hand.done:
        lr = by_hand.ask()
        by_hand.tell(weight**2)
        weight *= 1 - lr
    result, resets = drive([RangeTest(1e-3, 10.0)])
    assert result == by_hand.result()
    assert resets == []


def test_each_further_test_starts_from_the_beginning():
    one, _ = drive([RangeTest(1e-3, 10.0)])
    three, resets = drive([RangeTest(1e-3, 10.0) for _ in range(3)])
    assert len(resets) == 2
    assert three == RangeTestResult.of([one, one, one])


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals of this kind")
@pytest.mark.parametrize(("progress", "shown"), [(None, True), (True, True), (False, False)])
def test_progress_in_a_terminal(monkeypatch, progress, shown):
    reading, writing = os.openpty()
    text = ""
    with os.fdopen(writing, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        drive([RangeTest(1e-3, 10.0)], progress)
        stderr.write("end")
        stderr.flush()
        while not text.endswith("end"):
            text += os.read(reading, 100_000).decode()
    os.close(reading)
    assert ("range test" in text) == shown
    assert ("1 of 100  lr=0.001" in text) == shown
    assert text.endswith("\r\x1b[Kend" if shown else "end")


def test_progress_elsewhere_is_silent(capfd):
    drive([RangeTest(1e-3, 10.0)])
    assert capfd.readouterr() == ("", "")


def test_progress_is_taken_away_after_an_error(capfd):
    with contextlib.suppress(ZeroDivisionError), progress_line("range test", 3, True) as show:
        show(1, "")
        raise ZeroDivisionError
    assert capfd.readouterr().err.endswith("\r\x1b[K")


def test_progress_without_a_stderr(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    drive([RangeTest(1e-3, 10.0)])


def test_progress_on_a_stream_that_knows_ascii_only(monkeypatch, tmp_path):
    path = tmp_path / "stderr"
    with path.open("w", encoding="ascii") as file:
        monkeypatch.setattr("sys.stderr", file)
        with progress_line("range test", 2, shown=True) as show:
            show(1, "")
    assert "############............ 1 of 2" in path.read_text(encoding="ascii")


def test_an_interruption_waits_for_the_end_and_then_comes():
    done = []

    def work():
        with uninterrupted():
            for part in range(3):
                signal.raise_signal(signal.SIGINT)
                done.append(part)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [0, 1, 2]


def test_the_handler_of_interruptions_is_the_one_of_before():
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_needs_no_protection():
    done = []

    def work():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


class Grown(list):
    def extend(self, values):
        raise AssertionError("a subclass's own method")

    clear = append = extend


def test_containers_are_filled_again_in_place_and_in_order():
    inner = {"a": [1, 2], 3: {4}}
    state = OrderedDict(x=inner, y=deque([5, 6], maxlen=3), z=Grown([7]), t=([8],))
    parts = [state, inner, inner["a"], inner[3], state["y"], state["z"], state["t"][0]]
    kept = [repr(each) for each in parts]
    snapshot = Snapshot([state], lambda value: None)
    for _ in range(2):
        state["new"] = state.pop("x")
        state.move_to_end("y")
        inner.clear()
        parts[2].append(9)
        parts[3].add(9)
        parts[4].appendleft(9)
        list.append(parts[5], 9)
        parts[6].clear()
        snapshot.restore()
        assert [repr(each) for each in parts] == kept
        assert state["x"] is inner
        assert inner["a"] is parts[2]


def test_what_contains_itself():
    state = {}
    state["self"] = state
    snapshot = Snapshot([state], lambda value: None)
    state.clear()
    snapshot.restore()
    assert state["self"] is state


def test_random_generators(np):
    generators = random.Random(0), np.random.default_rng(0), np.random.RandomState(0)
    restores = [restore_of(each) for each in generators]

    def draw():
        return [each.random() if hasattr(each, "random") else each.rand() for each in generators]

    first = draw()
    for restore in restores:
        restore()
    assert draw() == first
    assert restore_of("no generator") is None


def test_global_random_states(np):
    def draw():
        return random.random(), np.random.random()

    random.seed(1)
    np.random.seed(1)
    with contextlib.suppress(ZeroDivisionError), same_random_states():
        first = draw()
        raise ZeroDivisionError
    assert draw() == first


class Loader:
    """It knows its position, as torchdata's does, and counts how often it was begun."""

    def __init__(self):
        self.at, self.begun, self.random = {"batch": 3}, 0, random.Random(0)

    def __iter__(self):
        self.begun += 1
        while True:
            self.at["batch"] += 1
            yield self.random.random()

    def state_dict(self):
        return self.at

    def load_state_dict(self, state):
        self.at = dict(state)


def test_a_loader_is_put_back_where_it_was():
    loader = Loader()
    state = loader.random.getstate()
    with contextlib.suppress(ZeroDivisionError), restored_loader(loader):
        batches = Batches("loader", loader)
        batches.take()
        batches.take()
        raise ZeroDivisionError
    assert (loader.at, loader.begun, loader.random.getstate()) == ({"batch": 3}, 0, state)
