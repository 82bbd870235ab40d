"""Put back what a range test changes: random states, a loader's position, and what a runner names.

To restore means to call a list of functions without arguments, each of which puts one thing back.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

Restore = Callable[[], object]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C until the block has finished, however often it is pressed."""
    # Only the main thread is interrupted. None: the handler wasn't installed by Python.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is None
    ):
        yield
        return
    pressed = False

    def note(*_: Any) -> None:
        nonlocal pressed
        pressed = True

    handler = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def restore(restores: Sequence[Restore]) -> None:
    """Call each of them in order, even if one raises; a Ctrl-C waits for the last."""
    with uninterrupted(), ExitStack() as stack:
        for each in reversed(restores):
            stack.callback(each)


@contextmanager
def restored(restores: Sequence[Restore]) -> Iterator[None]:
    """Restore after the block, also if it fails or is interrupted.

    >>> with restored(random_states()):
    ...     first = random.random()
    >>> random.random() == first
    True
    """
    try:
        yield
    finally:
        restore(restores)


def random_states() -> list[Restore]:
    """Restores the global random generators of Python, NumPy and torch.

    Those of NumPy and torch only if they have been imported: a torch loader draws from torch's
    generator, whatever framework the model belongs to.
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    restores: list[Restore] = [partial(random.setstate, random.getstate())]
    if numpy is not None:
        restores.append(partial(numpy.random.set_state, numpy.random.get_state()))
    if torch is not None:
        restores.append(partial(torch.set_rng_state, torch.get_rng_state()))
    return restores


def loader_position(loader: Any) -> list[Restore]:
    """Restores the position of a loader of any kind.

    Its position is its `state_dict()`, if it has that and `load_state_dict`, and the `generator` of
    the loader and of its samplers. The data set isn't touched.

        >>> class Loader:
        ...     generator = random.Random(7)
        >>> with restored(loader_position(Loader())):
        ...     first = Loader.generator.random()
        >>> Loader.generator.random() == first
        True
    """
    restores: list[Restore] = []
    if hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"):
        restores.append(partial(loader.load_state_dict, deepcopy(loader.state_dict())))
    batch_sampler = getattr(loader, "batch_sampler", None)
    samplers = getattr(loader, "sampler", None), getattr(batch_sampler, "sampler", None)
    for each in (loader, batch_sampler, *samplers):
        restores += _generator(getattr(each, "generator", None))
    return restores


def _generator(generator: Any) -> list[Restore]:
    if isinstance(generator, random.Random):
        return [partial(generator.setstate, generator.getstate())]
    # Whoever has a generator of NumPy has imported NumPy.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(generator, numpy.random.Generator):
        bits = generator.bit_generator
        return [partial(setattr, bits, "state", bits.state)]
    # NumPy's `RandomState` and torch's `Generator`.
    if hasattr(generator, "get_state") and hasattr(generator, "set_state"):
        return [partial(generator.set_state, generator.get_state())]
    return []
