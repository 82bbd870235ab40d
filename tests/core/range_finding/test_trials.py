"""Trainings around the rate of a curve, and that the advice of a range test works when followed."""

import math
import random
import re
from itertools import pairwise

import pytest

from clr_core import CyclicSchedule, RangeTest, RangeTestResult
from clr_core.range_finding.driver import Batches, run
from clr_core.range_finding.trials import compared

LRS = [1e-6 * 10.0 ** (7 * i / 99) for i in range(100)]


def drive(losses_of, *, trials=True, noise=None, **parameters):
    """A test of a model whose loss depends on the sum of the rates so far, and the rates asked for.

    `noise` is added to the loss of each batch; the same batch has the same.
    """
    rng = random.Random(3)
    noises = [0.0 if noise is None else noise(rng) for _ in range(10_000)]
    state, asked = {}, []
    batches = Batches("batches", noises)

    def start():
        state.update(moved=0.0, broken=False)
        asked.append([])

    def update(lr):
        asked[-1].append(lr)
        loss = losses_of(state, lr)
        return (loss + batches.take(),)

    return run([RangeTest(**parameters)], start, update, batches, trials=trials), asked


def valley(best, width=0.3):
    """Learning is fastest at `best`; ten times that breaks it."""

    def loss(state, lr):
        value = 10.0 if state["broken"] else math.exp(-state["moved"])
        state["broken"] |= lr > 10 * best
        state["moved"] += math.exp(-((math.log10(lr / best) / width) ** 2)) / 20
        return value

    return loss


def curve(max_lr):
    """A result with this rate, which lies on the ramp."""
    fall = math.log10(max_lr) + 0.5
    losses = [
        2.3 - 2 * min(1.0, max(0.0, x - fall)) + 5 * max(0.0, x - fall - 1.4)
        for x in map(math.log10, LRS)
    ]
    return RangeTestResult.from_curve(LRS, losses)


@pytest.mark.parametrize("best", [1e-3, 0.01, 0.1])
def test_it_goes_to_the_best_rate(best):
    result, _ = drive(valley(best))
    assert best / 10**0.26 < result.max_lr < best * 10**0.26  # The nearest of its ladder.
    assert result.suggestions["trials"] == result.max_lr == float(f"{result.max_lr:.1e}")
    assert result.base_lr == result.max_lr / 4
    alone, asked = drive(valley(best), trials=False)
    assert len(asked) == 1
    assert "trials" not in alone.suggestions
    assert (alone.lrs, alone.losses) == (result.lrs, result.losses)


def test_a_trial_is_one_cycle_from_a_quarter():
    result, asked = drive(valley(0.01), num_steps=50)
    ladder = sorted(max(trial) for trial in asked[1:])
    assert len({*ladder}) == len(ladder)
    assert all(b / a == pytest.approx(math.sqrt(10)) for a, b in pairwise(ladder))
    for trial in asked[1:]:
        cycle = CyclicSchedule(base_lr=max(trial) / 4, max_lr=max(trial), step_size_up=25)
        assert trial == [cycle.lr(step) for step in range(50)]
    assert min(abs(math.log10(lr / result.suggestions["edge"])) for lr in ladder) < 0.01


def ended(ends, first=None):
    """The result after trials that end at a loss by their rate, and the rates that were tried."""
    result, tried = curve(0.01) if first is None else first, []

    def update(lr):
        tried[-1] = max(tried[-1], lr)
        return (ends(tried[-1]),)

    return compared(result, lambda: tried.append(0.0), update, 20), tried


def test_it_stops_after_two_decades():
    middle = curve(0.01).max_lr
    for sign in (1, -1):
        result, tried = ended(lambda lr, sign=sign: -sign * lr)
        assert result.max_lr == pytest.approx(middle * 100.0**sign, rel=0.06)
        assert len(tried) == 6


def test_the_rate_stays_if_no_other_is_better():
    result, tried = ended(lambda lr: 1.0)
    assert (result.max_lr, len(tried)) == (curve(0.01).max_lr, 3)


@pytest.mark.parametrize(("before", "better"), [(5, False), (4, True)])
def test_a_training_is_judged_by_its_last_quarter(before, better):
    # The next rate ends with so many losses above that of all others, after lower ones.
    first, tried = curve(0.01), []

    def update(lr):
        tried[-1].append(lr)
        higher = 4 * tried[-1][0] > 2 * first.max_lr  # It begins with a quarter of its rate.
        return (float(len(tried[-1]) > 20 - before) if higher else 0.9,)

    result = compared(first, lambda: tried.append([]), update, 20)
    assert (result.max_lr > first.max_lr) == better


def test_rates_that_diverge():
    middle = curve(0.01).max_lr
    result, _ = ended(lambda lr: math.inf if lr > middle / 5 else 1.0)
    assert result.max_lr == pytest.approx(middle / 10, rel=0.06)
    # If all do, there is none.
    result, tried = ended(lambda lr: math.nan)
    assert (result.max_lr, result.base_lr, len(tried)) == (None, None, 5)
    assert result.warnings == (
        f"The loss diverged in each of 5 trials, at rates down to {middle / 100:.2g}: check the "
        "model and the data.",
    )
    # A loss so high that a sum of them isn't finite is no error.
    assert ended(lambda lr: 1e308 if lr > middle / 2 else 1.0)[0].max_lr < middle / 2


NOISY = {"noise": lambda rng: rng.gauss(0, 3)}


def test_a_curve_that_noise_hides():
    """The trials have the same batches, so the noise is the same in all of them."""
    alone, _ = drive(valley(0.01), trials=False, **NOISY)
    assert alone.max_lr is None
    result, asked = drive(valley(0.01), **NOISY)
    assert result.max_lr == pytest.approx(0.01, rel=0.8)
    assert result.warnings == (
        *alone.warnings,
        f"So `max_lr` is no more than the best of {len(asked) - 2} trials.",
    )
    assert max(asked[1]) == pytest.approx(math.sqrt(alone.lrs[0] * alone.lrs[-1]))


@pytest.mark.parametrize("learned", [0.0, 1e-9])
def test_noise_alone_gives_no_rate(learned):
    """Neither with the same noise for all trials, nor with noise from elsewhere."""
    rates = 0
    for seed in range(100):
        rng = random.Random(seed)
        result, _ = drive(lambda state, lr, rng=rng: learned * rng.gauss(0, 1), **NOISY)
        rates += result.max_lr is not None
    assert rates <= 2


def test_too_few_losses_are_not_followed_by_trials():
    result, asked = drive(lambda state, lr: math.nan)
    assert result.max_lr is None
    assert len(asked) == 1
    for lowest in (1e-200, 1e140):  # Nor are rates of which two have a product that is no float.
        far = RangeTestResult.from_curve([lowest * 10.0**i for i in range(20)], [1.0] * 20)
        assert ended(lambda lr: 1.0, far) == (far, [])


ADVICE = re.compile(r"`(start_lr|end_lr)=(\S+)`")


def followed(losses_of, times=1, **parameters):
    """What a test says, and what it says with the ends of the ramp that its advice names."""
    first, _ = drive(losses_of, trials=False, **parameters)
    then = first
    for _ in range(times):
        named = {name: float(value) for name, value in ADVICE.findall(then.warnings[0])}
        assert named
        parameters |= named
        then, _ = drive(losses_of, trials=False, **parameters)
    return first, then


def breaking(best):
    """A valley, from which the loss breaks into NaN."""
    inner = valley(best)

    def loss(state, lr):
        value = inner(state, lr)
        return math.nan if state["broken"] else value

    return loss


@pytest.mark.parametrize(
    ("losses_of", "times", "says"),
    [
        (breaking(3e-7), 1, "7 losses are too few to read a curve from"),
        (valley(2e-6), 1, "The loss breaks so early that the suggestion, 9e-07, is below the"),
        (valley(1e-8), 2, "The loss breaks so early that the suggestion, 1.3e-07, is below the"),
    ],
)
def test_lower_the_first_rate_is_good_advice(losses_of, times, says):
    first, then = followed(losses_of, times)
    assert first.warnings[0].startswith(says)
    assert (first.max_lr, then.warnings) == (None, ())
    assert then.max_lr is not None


def test_raise_the_last_rate_is_good_advice():
    first, then = followed(valley(10.0), end_lr=0.1)
    assert (first.max_lr, then.max_lr is None) == (None, False)
    first, then = followed(valley(10.0))
    assert first.max_lr < then.max_lr
    assert then.warnings == ()


def test_advice_that_leads_to_other_advice():
    """A loss that no rate changes is flat over a wider ramp too, and the optimizer is suspected."""
    first, then = followed(lambda state, lr: 2.3)
    assert first.max_lr is then.max_lr is None
    assert "check that the rate reaches the optimizer" in then.warnings[0]


def test_larger_batches_are_good_advice():
    alone, _ = drive(valley(0.01), trials=False, **NOISY)
    assert "Take larger batches, or compare trainings" in alone.warnings[0]
    larger, _ = drive(valley(0.01), trials=False, noise=lambda rng: rng.gauss(0, 3 / 100))
    assert larger.max_lr is not None
