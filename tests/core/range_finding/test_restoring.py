"""Putting back random states and a loader's position, also if the test is interrupted."""

import contextlib
import random
import signal
import threading

import pytest

from clr_core.range_finding.driver import Batches
from clr_core.range_finding.restoring import (
    loader_position,
    random_states,
    restore,
    restored,
    uninterrupted,
)

pytestmark = pytest.mark.usefixtures("ctrl_c")


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


def test_a_handler_that_python_did_not_install_stays(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            during = signal.signal(signal.SIGINT, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, before)
    assert during is signal.SIG_IGN


def test_everything_is_restored_though_something_fails():
    done = []

    def fail():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError

    with pytest.raises(KeyboardInterrupt) as caught:
        restore([lambda: done.append(1), fail, lambda: done.append(2)])
    assert done == [1, 2]
    assert isinstance(caught.value.__context__, ZeroDivisionError)


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_it_is_restored_after_the_block(error):
    done = []

    def work():
        with restored([lambda: done.append("restored")]):
            done.append("worked")
            if error is not None:
                raise error

    with pytest.raises(error) if error is not None else contextlib.nullcontext():
        work()
    assert done == ["worked", "restored"]


@pytest.mark.parametrize("part", ["", "sampler", "batch_sampler", "batch_sampler.sampler"])
@pytest.mark.parametrize("kind", ["Random", "default_rng", "RandomState"])
def test_generators(np, part, kind):
    class Part:
        pass

    generator = random.Random(0) if kind == "Random" else getattr(np.random, kind)(0)
    loader = place = Part()
    for name in filter(None, part.split(".")):
        setattr(place, name, Part())
        place = getattr(place, name)
    place.generator = generator
    draw = generator.rand if kind == "RandomState" else generator.random
    with restored(loader_position(loader)):
        first = [draw() for _ in range(3)]
    assert [draw() for _ in range(3)] == first


def test_global_random_states(np):
    def draw():
        return random.random(), np.random.random()

    random.seed(1)
    np.random.seed(1)
    with contextlib.suppress(ZeroDivisionError), restored(random_states()):
        first = draw()
        raise ZeroDivisionError
    assert draw() == first


class Loader:
    """It knows its position, as torchdata's does."""

    def __init__(self):
        self.at, self.generator = {"batch": 3}, random.Random(0)

    def __iter__(self):
        while True:
            self.at["batch"] += 1
            yield self.generator.random()

    def state_dict(self):
        return self.at

    def load_state_dict(self, state):
        self.at = dict(state)


def test_a_loader_is_put_back_where_it_was():
    loader = Loader()
    state = loader.generator.getstate()
    with contextlib.suppress(ZeroDivisionError), restored(loader_position(loader)):
        batches = Batches("loader", loader)
        batches.take()
        batches.take()
        raise ZeroDivisionError
    assert (loader.at, loader.generator.getstate()) == ({"batch": 3}, state)


class Halves:
    """What can tell its position and not take it, and a generator that is likewise."""

    def state_dict(self):
        raise AssertionError

    @property
    def generator(self):
        class Told:
            def get_state(self):
                raise AssertionError

        return Told()


@pytest.mark.parametrize("loader", [[1, 2], "ab", range(3), {"x": 1}, Halves()], ids=repr)
def test_what_has_no_position(loader):
    assert loader_position(loader) == []
