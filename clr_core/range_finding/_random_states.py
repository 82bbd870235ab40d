"""The states of random generators, to be put back after work that draws from them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from clr_core.range_finding._interrupts import uninterrupted

Restore = Callable[[], object]


def restore_of(generator: Any) -> Restore | None:
    """What puts a random generator back where it is now; None if it isn't one.

    >>> generator = random.Random(7)
    >>> restore = restore_of(generator)
    >>> first = generator.random()
    >>> _ = restore()
    >>> generator.random() == first
    True
    """
    if isinstance(generator, random.Random):
        python = generator.getstate()
        return lambda: generator.setstate(python)
    # Who has a generator of NumPy has imported it.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(generator, numpy.random.Generator):
        bits = generator.bit_generator
        state = bits.state
        return lambda: setattr(bits, "state", state)
    # NumPy's `RandomState` and torch's `Generator`.
    kind = type(generator)
    if hasattr(kind, "get_state") and hasattr(kind, "set_state"):
        state = generator.get_state()
        return lambda: generator.set_state(state)
    return None


@contextmanager
def same_random_states() -> Iterator[None]:
    """Python's, NumPy's and torch's global generators are afterwards where they were before.

    Those of NumPy and torch, where they are in use: a loader of torch's draws from its generator,
    whatever the model is made of.

    >>> with same_random_states():
    ...     first = random.random()
    >>> random.random() == first
    True
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    restores: list[Restore] = [partial(random.setstate, random.getstate())]
    if numpy is not None:
        restores.append(partial(numpy.random.set_state, numpy.random.get_state()))
    if torch is not None:
        restores.append(partial(torch.set_rng_state, torch.get_rng_state()))
    try:
        yield
    finally:
        with uninterrupted():
            for restore in restores:
                restore()
