"""The examples in docstrings print what they claim."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import clr_cli

# Running `__main__` would run the command.
MODULES = [
    name for _, name, _ in pkgutil.walk_packages(clr_cli.__path__, "clr_cli.") if "__" not in name
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    results = doctest.testmod(import_module(name), raise_on_error=False)
    assert results.failed == 0


def test_some_have_examples():
    names = ("clr_cli.parser", "clr_cli.output", "clr_cli.compare")
    for name in names:
        assert doctest.testmod(import_module(name)).attempted, name
