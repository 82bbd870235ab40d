"""The examples in the docstrings of the core run and print what they say."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import clr_core

# They import what isn't in the standard library; their tests are those with NumPy and PyYAML.
OTHERS = {"clr_core.numpy_ops", "clr_core.moments", "clr_core.record._yaml"}
MODULES = [
    "clr_core",
    *(each.name for each in pkgutil.walk_packages(clr_core.__path__, "clr_core.")),
]


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("name", [name for name in MODULES if name not in OTHERS])
def test_examples(name):
    failed, attempted = doctest.testmod(import_module(name))
    assert failed == 0
    if name in (
        "clr_core",
        "clr_core.schedules.cyclic",
        "clr_core.record",
        "clr_core.verification",
    ):
        assert attempted > 0
