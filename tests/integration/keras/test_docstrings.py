"""The examples in the docstrings run."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["clr_keras", "clr_keras.schedule"])
def test_examples(name):
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted >= 3
    assert done.failed == 0
