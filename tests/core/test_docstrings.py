"""The examples in the docstrings of the core run and print what they say."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".schedule",
        ".expression",
        ".errors",
        ".conformance",
        ".svg",
        ".python_ops",
        ".record",
        ".documents",
        ".files",
    ],
)
def test_examples(module):
    failed, _ = doctest.testmod(import_module(f"clr_core{module}"))
    assert failed == 0


def test_there_are_examples_to_run():
    tried = [
        doctest.testmod(import_module(f"clr_core{module}")).attempted
        for module in ("", ".schedule", ".expression", ".errors", ".conformance", ".record")
    ]
    assert all(tried), tried
