"""The examples in the docstrings run."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import clr_torch

MODULES = [
    "clr_torch",
    *(each.name for each in pkgutil.walk_packages(clr_torch.__path__, "clr_torch.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, attempted = doctest.testmod(import_module(name))
    assert failed == 0
    if name in ("clr_torch", "clr_torch.schedule"):
        assert attempted > 0
