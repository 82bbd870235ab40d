"""The learning rate range test as an object: ask it for a rate, tell it the loss."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import Any, TypedDict

from clr_core._arguments import integer, number, one_of, positive_number, received
from clr_core.range_finding._reading import FEWEST_POINTS
from clr_core.range_finding._smoothing import FIRST, IN_A_ROW, RAMPS, ROUNDING
from clr_core.range_finding.result import RangeTestResult


class RangeTestOptions(TypedDict, total=False):
    """The arguments of `RangeTest`, as the runners of the frameworks take them."""

    start_lr: float
    end_lr: float
    num_steps: int
    ramp: str
    divergence: float | None


class RangeTest:
    """A short run in which the rate rises from `start_lr` to `end_lr`, one step at a time.

    With `i` from 0 to `n = num_steps - 1`, both ends of the ramp are reached to the bit:

        exponential: lr = start_lr ** (1 - i / n) * end_lr ** (i / n)
        linear:      lr = start_lr + (end_lr - start_lr) * i / n      (the paper's)

    It knows no framework. Any loop asks it for a rate, makes one update with that rate, and tells
    it the loss of the batch, computed before the update. Training changes the model: keep a copy of
    it, or let `clr_torch.range_test`, `clr_keras.range_test` or `clr_jax.range_test` do that. These
    also compare trainings with the rate that is found and with rates around it.

        >>> weight, test = 1.0, RangeTest(start_lr=1e-4, end_lr=100)
        >>> while not test.done:
        ...     lr = test.ask()
        ...     test.tell(weight**2)
        ...     weight -= lr * 2 * weight
        >>> result = test.result()
        >>> 0.01 < result.max_lr < 1  # From 1 on, this loss grows with each step.
        True
        >>> result.stop_reason
        'The loss diverged: above 4 from lr=8.1 to 11.'

    It ends before `end_lr` if a loss is NaN or infinite, or if the loss has diverged: three in a
    row are above the start by more than `divergence` times the deepest fall below it, or times the
    range of the first ten losses if that is larger: else noise alone would end it. A constant added
    to the loss changes nothing, and the loss may be zero or negative.

    Args:
        start_lr: The first rate, above 0 and so small that nothing is learned with it.
        end_lr: The last rate, at least 1.1 times `start_lr` and so large that training breaks.
        num_steps: Number of updates, at least 10.
        ramp: "exponential" or "linear".
        divergence: How far the loss may rise above its start, in units of its fall, or of the range
            of the first ten losses; None: without limit.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: An argument outside its range.
    """

    def __init__(
        self,
        start_lr: float = 1e-6,
        end_lr: float = 10.0,
        num_steps: int = 100,
        *,
        ramp: str = "exponential",
        divergence: float | None = 3.0,
    ) -> None:
        start, end = positive_number("start_lr", start_lr), number("end_lr", end_lr)
        steps = integer("num_steps", num_steps)
        factor = None if divergence is None else number("divergence", divergence)
        # Closer ends show nothing, and each rate must be above the previous one.
        if end < 1.1 * start:
            raise ValueError(
                "`end_lr` must be at least 1.1 times `start_lr`. "
                f"{received('end_lr', end_lr, start_lr=start_lr)}"
            )
        if steps < FEWEST_POINTS:
            raise ValueError(
                f"`num_steps` must be at least {FEWEST_POINTS}. {received('num_steps', num_steps)}"
            )
        ramp = one_of("ramp", ramp, RAMPS)
        if factor is not None and factor <= 0.0:
            raise ValueError(
                f"`divergence` must be positive or None. {received('divergence', divergence)}"
            )
        self.start_lr, self.end_lr, self.num_steps = start, end, steps
        self.ramp, self.divergence = ramp, factor
        self._lrs: list[float] = []
        self._losses: list[float] = []
        self._lowest = float("inf")
        self._scores: list[float] = []
        self._asked: float | None = None
        self._stop_reason: str | None = None

    @property
    def done(self) -> bool:
        """True once the test is over, with no further rate to ask for."""
        return self._stop_reason is not None or len(self._losses) == self.num_steps

    def ask(self) -> float:
        """The rate for the next update; the same until its loss has been told.

        Raises:
            RuntimeError: The test is over.
        """
        if self.done:
            raise RuntimeError("`ask` has no further rate: the test is done. Call `result`.")
        self._asked = self._lr(len(self._losses))
        return self._asked

    def tell(self, loss: Any, score: Any = None) -> None:
        """Records the loss of the batch that the last rate was used on.

        Args:
            loss: A number, or a scalar of any array library. NaN and infinity end the test.
            score: A number of which more is better, such as the accuracy, for the paper's own
                reading of the curve. Give it with each loss or with none.

        Raises:
            TypeError: The loss or the score isn't a single number.
            ValueError: A score that isn't finite.
            RuntimeError: No rate has been asked for since the last call, or the test is over.
        """
        if self._asked is None:
            raise RuntimeError(
                "`tell` must follow `ask`: a loss belongs to a rate. "
                + ("The test is done." if self.done else "Call `ask` first, once for each loss.")
            )
        value = scalar("loss", loss)
        if not isfinite(value):
            self._stop_reason = f"The loss was {value!r} at lr={self._asked:.2g}."
            self._asked = None
            return
        if self._losses and bool(self._scores) != (score is not None):
            raise TypeError(
                "`score` must be given with each loss or with none. "
                f"{received('score', score)}, after {len(self._losses)} losses"
            )
        if score is not None:
            finite = scalar("score", score)
            if not isfinite(finite):
                raise ValueError(f"`score` must be finite. {received('score', score)}")
            self._scores.append(finite)
        self._lrs.append(self._asked)
        self._losses.append(value)
        self._lowest = min(self._lowest, value)
        self._asked = None
        self._watch()

    def result(self) -> RangeTestResult:
        """The rates and losses so far, and the boundaries read from them."""
        result = RangeTestResult.from_curve(
            self._lrs,
            self._losses,
            self._scores or None,
            ramp=self.ramp,
            stop_reason=self._stop_reason,
        )
        if self.done:
            return result
        ended = f"The test was stopped early, after {len(self._losses)} of {self.num_steps} steps."
        return replace(result, warnings=(ended, *result.warnings))

    def _lr(self, i: int) -> float:
        n = self.num_steps - 1
        if i == n:  # The line might miss it by a rounding.
            return self.end_lr
        if self.ramp == "linear":
            return self.start_lr + (self.end_lr - self.start_lr) * (i / n)
        # Two powers, since the quotient of the ends may overflow.
        return float(self.start_lr ** (1.0 - i / n) * self.end_lr ** (i / n))

    def _watch(self) -> None:
        """Ends the test if the loss has diverged."""
        losses = self._losses
        if self.divergence is None or len(losses) < FEWEST_POINTS + IN_A_ROW:
            return
        first = losses[:FEWEST_POINTS]
        start = sorted(losses[:FIRST])[FIRST // 2]
        # Before anything is learned, the fall is an accident of noise, and can be nearly nothing.
        unit = max(start - self._lowest, max(first) - min(first), ROUNDING * abs(start))
        most = start + self.divergence * unit
        if min(losses[-IN_A_ROW:]) > most:
            self._stop_reason = (
                f"The loss diverged: above {most:.2g} from lr={self._lrs[-IN_A_ROW]:.2g} "
                f"to {self._lrs[-1]:.2g}."
            )

    def __repr__(self) -> str:
        return (
            f"RangeTest(start_lr={self.start_lr!r}, end_lr={self.end_lr!r}, "
            f"num_steps={self.num_steps!r}, ramp={self.ramp!r}, divergence={self.divergence!r})"
        )


def scalar(name: str, value: Any) -> float:
    """`value` as a float, finite or not; it may be a scalar of any array library.

    >>> scalar("loss", 2)
    2.0
    """
    complaint = f"`{name}` must be a single number. {received(name, value)}"
    # float() would accept these, though they aren't numbers, or only happen to have one element.
    if isinstance(value, str | bytes | bytearray | bool) or getattr(value, "shape", ()) != ():
        raise TypeError(complaint)
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except Exception as error:  # Array libraries raise what they like.
        raise TypeError(complaint) from error
