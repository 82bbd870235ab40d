"""The learning rate range test, asked and told: let the rate rise, and watch the loss."""

from __future__ import annotations

from clr_core._arguments import integer, number, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clr_core.range_finding.result import RangeTestResult

RAMPS = ("exponential", "linear")
FEWEST_STEPS = 10
# The first losses together say where the curve starts, a few in a row that it has diverged: one bad
# batch says neither.
FIRST, IN_A_ROW = 5, 3
# What float32 rounds off a loss, in sums too, is no fall of it.
ROUNDING = 2.0**-20


class RangeTest:
    """A short run in which the rate rises from `start_lr` to `end_lr`, one step at a time.

    With `i` from 0 to `n = num_steps - 1`, both ends of the ramp are reached to the bit:

        exponential: lr = start_lr ** (1 - i / n) * end_lr ** (i / n)
        linear:      lr = start_lr + (end_lr - start_lr) * i / n      (the paper's)

    It knows no framework. Any loop asks it for a rate, makes one update with that, and tells it the
    loss of that batch, computed before the update. The model is another one afterwards: keep a copy
    of it, or let `clr_torch.range_test`, `clr_keras.range_test` or `clr_jax.range_test` do that.

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

    It ends before `end_lr` where a loss is NaN or infinite, and where the loss has diverged: three
    in a row are above where they started by `divergence` times the deepest fall below that. This is
    the same for a loss that is zero or negative, and for one with a constant added.

    Args:
        start_lr: The first rate, above 0; so small that nothing is learned with it.
        end_lr: The last rate, at least 1.1 times `start_lr`; so large that training breaks.
        num_steps: How many updates, at least 10.
        ramp: "exponential" or "linear".
        divergence: How far the loss may rise above its start, in units of its fall; None: however
            far.

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
        start, end = number("start_lr", start_lr), number("end_lr", end_lr)
        steps = integer("num_steps", num_steps)
        factor = None if divergence is None else number("divergence", divergence)
        if start <= 0.0:
            raise ValueError(f"`start_lr` must be positive. {received('start_lr', start_lr)}")
        # Nearer, there is nothing to see between them; and then each rate is above the last.
        if end < 1.1 * start:
            raise ValueError(
                "`end_lr` must be above `start_lr` by a tenth at least. "
                f"{received('end_lr', end_lr)}, start_lr={start_lr!r}"
            )
        if steps < FEWEST_STEPS:
            raise ValueError(
                f"`num_steps` must be at least {FEWEST_STEPS}. {received('num_steps', num_steps)}"
            )
        if not isinstance(ramp, str) or ramp not in RAMPS:
            raise ValueError(
                f"`ramp` must be one of {', '.join(map(repr, RAMPS))}. {received('ramp', ramp)}"
            )
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
        self._with_scores: bool | None = None
        self._asked: float | None = None
        self._stop_reason: str | None = None

    @property
    def done(self) -> bool:
        """Whether the test is over: there is no further rate to ask for."""
        return self._stop_reason is not None or len(self._losses) == self.num_steps

    def ask(self) -> float:
        """The rate for the next update; the same one until its loss was told.

        Raises:
            RuntimeError: The test is over.
        """
        if self.done:
            raise RuntimeError("`ask` has no further rate: the test is done. Call `result`.")
        self._asked = self._lr(len(self._losses))
        return self._asked

    def tell(self, loss: Any, score: Any = None) -> None:
        """Takes the loss of the batch that the rate last asked for was used on.

        Args:
            loss: A number, or a scalar of any array library. NaN and infinity end the test.
            score: A number of which more is better, such as the accuracy, if the paper's own
                reading of the curve is wanted; with each loss or with none.

        Raises:
            TypeError: Not a number.
            ValueError: A score that isn't finite.
            RuntimeError: No rate was asked for since the last call, or the test is over.
        """
        if self._asked is None:
            raise RuntimeError(
                "`tell` must follow `ask`: a loss belongs to a rate. "
                + ("The test is done." if self.done else "Call `ask` first, once for each loss.")
            )
        value = scalar("loss", loss)
        if value - value != 0.0:
            self._stop_reason = f"The loss was {value!r} at lr={self._asked:.2g}."
            self._asked = None
            return
        if self._with_scores is not None and self._with_scores != (score is not None):
            raise TypeError(
                "`score` must be given with each loss or with none. "
                f"{received('score', score)}, after {len(self._losses)} losses"
            )
        if score is not None:
            finite = scalar("score", score)
            if finite - finite != 0.0:
                raise ValueError(f"`score` must be finite. {received('score', score)}")
            self._scores.append(finite)
        self._with_scores = score is not None
        self._lrs.append(self._asked)
        self._losses.append(value)
        self._lowest = min(self._lowest, value)
        self._asked = None
        self._watch()

    def result(self) -> RangeTestResult:
        """What the curve says so far: the rates, the losses, and the boundaries read from them."""
        from dataclasses import replace

        from clr_core.range_finding.result import RangeTestResult

        result = RangeTestResult.from_curve(
            self._lrs,
            self._losses,
            self._scores if self._with_scores else None,
            ramp=self.ramp,
            stop_reason=self._stop_reason,
        )
        if self.done:
            return result
        ended = f"The test was broken off after {len(self._losses)} of {self.num_steps} steps."
        return replace(result, warnings=(ended, *result.warnings))

    def _lr(self, i: int) -> float:
        n = self.num_steps - 1
        if i == 0 or i == n:
            return self.end_lr if i else self.start_lr
        if self.ramp == "linear":
            return self.start_lr + (self.end_lr - self.start_lr) * (i / n)
        # As two powers, since the quotient of the ends may be too large for a float.
        return float(self.start_lr ** (1.0 - i / n) * self.end_lr ** (i / n))

    def _watch(self) -> None:
        """Ends the test where the loss has diverged."""
        losses = self._losses
        if self.divergence is None or len(losses) < FIRST + IN_A_ROW:
            return
        start = sorted(losses[:FIRST])[FIRST // 2]
        fall = max(start - self._lowest, ROUNDING * abs(start))
        most = start + self.divergence * fall
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
    """`value` as a float, finite or not; a scalar of an array library is one too.

    >>> scalar("loss", 2)
    2.0
    """
    complaint = f"`{name}` must be a single number. {received(name, value)}"
    # What float() would take though it's no number, or one only by chance.
    if isinstance(value, str | bytes | bytearray | bool) or getattr(value, "shape", ()) != ():
        raise TypeError(complaint)
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except (TypeError, ValueError) as error:
        raise TypeError(complaint) from error
