"""Checks that two states, or the moments of two, are the same to the bit."""

import jax
import numpy as np


def same(ours, theirs):
    structures = jax.tree.structure(ours), jax.tree.structure(theirs)
    assert structures[0] == structures[1], structures
    _same_arrays(jax.tree.leaves(ours), jax.tree.leaves(theirs))


def same_moments(ours, theirs):
    assert (ours.kind, ours.count) == (theirs.kind, theirs.count), (ours, theirs)
    for slot, arrays in theirs.slots.items():
        _same_arrays(ours.slots[slot], arrays)


def _same_arrays(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape), (mine, other)
        assert np.asarray(mine).tobytes() == np.asarray(other).tobytes(), (mine, other)
