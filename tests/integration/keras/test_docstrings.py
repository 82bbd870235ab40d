"""The examples in the docstrings run."""

import doctest
import pkgutil
from importlib import import_module

import keras
import pytest

import clr_keras

TORCH = {
    "clr_keras._torch_backend.foreach",
    "clr_keras._torch_backend.scalar",
}  # They import torch.
MODULES = [
    "clr_keras",
    *(each.name for each in pkgutil.walk_packages(clr_keras.__path__, "clr_keras.")),
]


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name not in TORCH or keras.backend.backend() == "torch"]
)
def test_examples(name):
    failed, attempted = doctest.testmod(import_module(name))
    assert failed == 0
    if name in ("clr_keras", "clr_keras.schedule", "clr_keras.record"):
        assert attempted > 0
