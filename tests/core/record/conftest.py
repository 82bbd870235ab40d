"""What several tests of records need."""

import signal

import pytest


def hangs(*_):
    raise AssertionError("it hangs")


@pytest.fixture
def ends():
    """What hangs fails, such as opening a pipe or reading a terabyte of keys."""
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
