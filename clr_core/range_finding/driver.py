"""The loop of a range test: what the runners of all frameworks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from clr_core._arguments import integer, received
from clr_core.range_finding._progress import check_progress, progress_line
from clr_core.range_finding.ask_tell import RangeTest
from clr_core.range_finding.result import RangeTestResult


class Batches:
    """The batches of an iterable one by one, from its start again where they run out.

    >>> batches = Batches("loader", [1, 2])
    >>> [batches.take() for _ in range(5)], batches.restarts
    ([1, 2, 1, 2, 1], 2)
    """

    def __init__(self, name: str, source: Iterable[Any]) -> None:
        if isinstance(source, Iterator):
            raise TypeError(
                f"`{name}` must start anew with each `iter()`. {received(name, source)}. "
                "What is taken from an iterator can't be put back: pass what it iterates over."
            )
        # `__getitem__` with 0, 1, 2, … is enough for `iter()`.
        if not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
            raise TypeError(f"`{name}` must be an iterable of batches. {received(name, source)}")
        self._name, self._source = name, source
        self._iterator: Iterator[Any] | None = None
        self._taken = 0
        self.restarts = 0
        """How many times it ran out."""

    def take(self) -> Any:
        """The next batch.

        Raises:
            ValueError: There is none, not even from the start.
        """
        if self._iterator is None:
            self._iterator = iter(self._source)
        for anew in (False, True):
            if anew:
                self._iterator = iter(self._source)
            for batch in self._iterator:
                self.restarts += anew
                self._taken += 1
                return batch
            if not self._taken:
                break
        raise ValueError(
            f"`{self._name}` must have batches. Received: none"
            + (f" after the first {self._taken}." if self._taken else ".")
        )

    def warnings(self) -> list[str]:
        """What is to be said of the batches that were used."""
        if not self.restarts:
            return []
        return [
            f"`{self._name}` ran out and was started anew, {self.restarts} "
            f"{'time' if self.restarts == 1 else 'times'} in {self._taken} batches. Batches seen "
            "before make the loss fall sooner: give it more data, or take fewer `num_steps`."
        ]


def check_run(repeats: object, progress: object) -> int:
    """`repeats` as an int; raises unless both are as they should be."""
    times = integer("repeats", repeats)
    if times < 1:
        raise ValueError(f"`repeats` must be at least 1. {received('repeats', repeats)}")
    check_progress(progress)
    return times


def run(
    tests: list[RangeTest],
    update: Callable[[float], Any],
    batches: Batches,
    anew: Callable[[], object],
    progress: bool | None = None,
) -> RangeTestResult:
    """Drives each test to its end, and joins what they found.

        >>> weight = [1.0]
        >>> def update(lr):
        ...     loss, _ = weight[0] ** 2, batches.take()
        ...     weight[0] -= lr * 2 * weight[0]
        ...     return loss
        >>> batches = Batches("batches", range(1000))
        >>> result = run([RangeTest(1e-4, 100)], update, batches, anew=lambda: None)
        >>> result.stop_reason is None
        False

    Args:
        tests: One for each repeat.
        update: One update with that rate; gives the loss.
        batches: Where it takes its batches from.
        anew: Puts the model back before each test but the first.
        progress: See `progress_line`.
    """
    results: list[RangeTestResult] = []
    with progress_line("range test", sum(test.num_steps for test in tests), progress) as show:
        before = 0
        for test in tests:
            if results:
                anew()
            step = 0
            while not test.done:
                lr = test.ask()
                loss = update(lr)
                test.tell(loss)
                step += 1
                show(before + step, f"lr={lr:.2g}")
            before += test.num_steps
            results.append(test.result())
    result = results[0] if len(results) == 1 else RangeTestResult.of(results)
    added = batches.warnings()
    return replace(result, warnings=(*result.warnings, *added)) if added else result
