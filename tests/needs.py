"""Skips tests for what an older version of a framework doesn't have, by name."""

from importlib import import_module
from operator import attrgetter

import pytest


def needs(name, has=None):
    """A mark for a test: it is skipped if a module has no `name`, or if `has` is False.

    `name` begins with the module, such as "torch.optim.Muon".
    """
    top, _, path = name.partition(".")
    if has is None:
        try:
            has = attrgetter(path)(import_module(top)) is not None
        except AttributeError:
            has = False
    return pytest.mark.skipif(not has, reason=f"doesn't have {name}")
