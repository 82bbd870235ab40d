"""The loop of a range test: what the runners of all frameworks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Unpack

from clr_core._arguments import integer, received
from clr_core.range_finding._progress import progress
from clr_core.range_finding.ask_tell import RangeTest, RangeTestOptions
from clr_core.range_finding.restoring import Restore, loader_position, random_states, restore
from clr_core.range_finding.result import RangeTestResult
from clr_core.range_finding.trials import compared


class Batches:
    """The batches of an iterable one by one, starting over when they run out.

    >>> batches = Batches("loader", [1, 2])
    >>> [batches.take() for _ in range(5)], batches.restarts
    ([1, 2, 1, 2, 1], 2)

    Args:
        name: The argument that `source` was passed as, for error messages.
        source: An iterable that starts over with each `iter()`.

    Raises:
        TypeError: `source` is an iterator, or can't be iterated over.
    """

    def __init__(self, name: str, source: Iterable[Any]) -> None:
        if isinstance(source, Iterator):
            raise TypeError(
                f"`{name}` must start over with each `iter()`. {received(name, source)}. "
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
        for again in (False, True):
            if again:
                self._iterator = iter(self._source)
            for batch in self._iterator:
                self.restarts += again
                self._taken += 1
                return batch
            if not self._taken:
                break
        raise ValueError(
            f"`{self._name}` must have batches. Received: none"
            + (f" after the first {self._taken}." if self._taken else ".")
        )

    def position(self) -> list[Restore]:
        """Makes it start over, with the batches that it would take next if it started over now."""
        return [*loader_position(self._source), self._start_over]

    def _start_over(self) -> None:
        self._iterator = None

    def warnings(self) -> list[str]:
        """A sentence if batches were used more than once."""
        if not self.restarts:
            return []
        return [
            f"`{self._name}` ran out and started over {self.restarts} "
            f"{'time' if self.restarts == 1 else 'times'} in {self._taken} batches. Batches seen "
            "before make the loss fall sooner: give it more data, or take fewer `num_steps`."
        ]


def positive(name: str, value: object) -> int:
    """`value` as an int of at least 1, or an error that names the argument.

    >>> positive("repeats", 3)
    3
    """
    number = integer(name, value)
    if number < 1:
        raise ValueError(f"`{name}` must be at least 1. {received(name, value)}")
    return number


def check_callable(name: str, value: object) -> None:
    """Raises a TypeError unless `value` is callable."""
    if not callable(value):
        raise TypeError(f"`{name}` must be callable. {received(name, value)}")


def repeated(
    repeats: object, trials: object, **options: Unpack[RangeTestOptions]
) -> list[RangeTest]:
    """A test with these options for each of `repeats`, which must be a positive integer."""
    if not isinstance(trials, bool):
        raise TypeError(f"`trials` must be True or False. {received('trials', trials)}")
    return [RangeTest(**options) for _ in range(positive("repeats", repeats))]


def run(
    tests: list[RangeTest],
    start: Callable[[], object],
    update: Callable[[float], tuple[Any, ...]],
    batches: Batches,
    *,
    trials: bool,
) -> RangeTestResult:
    """Drive each test to its end, take the one in the middle, and try rates around its own.

    In a notebook or a terminal tqdm shows the progress, if it is installed.

        >>> weight = [1.0]
        >>> def start():
        ...     weight[0] = 1.0
        >>> def update(lr):
        ...     loss, _ = weight[0] ** 2, batches.take()
        ...     weight[0] -= lr * 2 * weight[0]
        ...     return (loss,)
        >>> batches = Batches("batches", range(1000))
        >>> result = run([RangeTest(1e-4, 100)], start, update, batches, trials=False)
        >>> result.stop_reason is None
        False

    Args:
        tests: One for each repeat.
        start: Puts the model at its beginning; called before each test and each trial.
        update: Makes one update with the given rate, and returns the loss before it, alone or with
            a score.
        batches: The batches that `update` takes.
        trials: Whether to compare trainings, all with the batches and random numbers that the first
            test began with.
    """
    beginning = [*batches.position(), *random_states()]
    results: list[RangeTestResult] = []
    with progress("range test", sum(test.num_steps for test in tests)) as advance:
        for test in tests:
            start()
            while not test.done:
                test.tell(*update(test.ask()))
                advance()
            results.append(test.result())
    result = RangeTestResult.of(results)
    result = replace(result, warnings=(*result.warnings, *batches.warnings()))
    if not trials:
        return result

    def start_again() -> None:
        restore(beginning)
        start()

    # How many there will be isn't known.
    with progress("trials", None) as advance:

        def counted(lr: float) -> tuple[Any, ...]:
            returned = update(lr)
            advance()
            return returned

        return compared(result, start_again, counted, tests[0].num_steps)
