"""The examples in the docstrings run."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import clr_jax

MODULES = ["clr_jax", *(each.name for each in pkgutil.walk_packages(clr_jax.__path__, "clr_jax."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, attempted = doctest.testmod(import_module(name))
    assert failed == 0
    if name in ("clr_jax", "clr_jax.schedule"):
        assert attempted > 0
