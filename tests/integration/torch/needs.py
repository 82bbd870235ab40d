"""Skips tests for what an older torch doesn't have, by name."""

from operator import attrgetter

import pytest
import torch


def needs(name, has=None):
    """A mark for a test: it is skipped if torch has no `name`, or if `has` is False."""
    if has is None:
        try:
            has = attrgetter(name.removeprefix("torch."))(torch) is not None
        except AttributeError:
            has = False
    return pytest.mark.skipif(not has, reason=f"torch {torch.__version__} doesn't have {name}")
