"""Fixtures that several tests of this folder share."""

from contextlib import contextmanager

import pytest
import torch


@pytest.fixture
def unchanged():
    """A context in which nothing in the optimizer may change."""

    @contextmanager
    def watch(optimizer):
        before = _everything(optimizer)
        yield
        assert _everything(optimizer) == before

    return watch


def _everything(optimizer):
    # When a scheduler starts, torch adds a wrapped `step` to the optimizer's attributes.
    attributes = sorted(vars(optimizer))
    return attributes, optimizer.defaults, [_seen(group) for group in optimizer.param_groups]


def _seen(value):
    """`value` with its types, and each tensor with its identity and version."""
    if isinstance(value, torch.Tensor):
        return id(value), value._version, value.tolist()
    if isinstance(value, dict):
        return [(name, _seen(each)) for name, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [_seen(each) for each in value]
    return type(value), value
