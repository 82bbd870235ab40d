"""What is read from the curve of a range test, on problems whose answer is known."""

import math
import random
from itertools import pairwise

import pytest

from clr_core import RangeTest, RangeTestResult

STEPS = 100
LRS = [1e-6 * 10.0 ** (7 * i / (STEPS - 1)) for i in range(STEPS)]
NAMES = ["steepest", "valley", "minimum", "minimum/10", "edge"]


def descent(curvature, *, momentum=0.0, noise=0.0, seed=0, steps=STEPS, **parameters):
    """A range test of gradient descent on a parabola: it breaks at `2 * (1 + momentum) / c`."""
    rng = random.Random(seed)
    weight, velocity = 1.0, 0.0
    test = RangeTest(num_steps=steps, **parameters)
    while not test.done:
        lr = test.ask()
        test.tell(curvature * weight**2 / 2 * (1 + noise * rng.gauss(0, 1)))
        velocity = momentum * velocity + curvature * weight
        weight -= lr * velocity
    return test.result()


def bowl(noise=0.0, seed=0):
    """A loss of 2.3 that falls to 0.3 in the decade before 0.01, and rises again without an end."""
    rng = random.Random(seed)
    losses = []
    for lr in LRS:
        past = math.log10(lr) + 2
        loss = 2.3 - 2 * max(0.0, 1 - abs(past)) + 5 * max(0.0, past - 1)
        losses.append(loss + noise * rng.gauss(0, 1))
    return losses


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("curvature", [10.0, 300.0, 1000.0, 10_000.0])
def test_what_is_suggested_trains_and_is_not_timid(curvature, momentum):
    result = descent(curvature, momentum=momentum)
    breaks_at = 2 * (1 + momentum) / curvature
    assert breaks_at / 300 < result.max_lr < breaks_at
    assert result.base_lr == pytest.approx(result.max_lr / 4)  # Nothing but a rounded division.
    weight = 1.0, 0.0
    for _ in range(1000):
        velocity = momentum * weight[1] + curvature * weight[0]
        weight = weight[0] - result.max_lr * velocity, velocity
    assert abs(weight[0]) < 1e-3


def test_a_steeper_problem_gets_a_smaller_rate_in_proportion():
    suggested = [descent(10.0**k).max_lr for k in range(1, 5)]
    for larger, smaller in pairwise(suggested):
        # The ramp isn't at the same places of both: a step of it is a factor of 1.18.
        assert 10 / 1.4 < larger / smaller < 10 * 1.4


@pytest.mark.parametrize("ramp", ["exponential", "linear"])
@pytest.mark.parametrize("steps", [50, 100, 1000])
def test_the_ramp_and_its_length_change_little(steps, ramp):
    result = descent(100.0, steps=steps, ramp=ramp, start_lr=1e-4, end_lr=0.2)
    # Over longer time less of a rate is enough for the same fall; it breaks at 0.02.
    assert 0.02 / 200 < result.max_lr < 0.02


def test_the_named_places():
    result = RangeTestResult.from_curve(LRS, bowl())
    found = result.suggestions
    assert list(found) == NAMES
    # The window rounds the tip of the bowl but doesn't move it; a step of the ramp is 1.18.
    assert found["minimum"] == pytest.approx(0.01, rel=0.2)
    assert found["minimum/10"] == pytest.approx(found["minimum"] / 10, rel=0.05)  # Two digits.
    assert 0.001 < found["valley"] < found["minimum"]
    assert 0.001 < found["steepest"] < found["minimum"]
    # Three quarters of the fall are regained three quarters of a decade later.
    assert found["edge"] == pytest.approx(math.sqrt(0.01 * 0.01 * 10**0.75) / 10, rel=0.3)
    assert result.max_lr == found["edge"]
    assert result.warnings == ()


def test_the_steepest_place_and_the_valley():
    losses = [2 - math.tanh(2 * (x + 3)) + 10 * max(0.0, x + 0.5) for x in map(math.log10, LRS)]
    found = RangeTestResult.from_curve(LRS, losses).suggestions
    assert found["steepest"] == pytest.approx(1e-3, rel=0.18)  # A step of the ramp.
    # A tenth of the fall from 3 to 1 is done where the loss is 2.8.
    begun = 10 ** (-3 - math.atanh(0.8) / 2)
    assert found["valley"] == pytest.approx(math.sqrt(begun * found["minimum"]), rel=0.18)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_two_rates_close_to_each_other_are_no_steep_place(scale):
    exponents = sorted([-6 + 7 * i / 29 for i in range(30)] + [-3.54])  # The nearest: -3.586.
    losses = [scale * (2 - math.tanh(2 * (x + 3)) + 10 * max(0.0, x + 0.5)) for x in exponents]
    found = RangeTestResult.from_curve([10.0**x for x in exponents], losses).suggestions
    assert found["steepest"] == pytest.approx(1e-3, rel=0.3)  # Half a step of the ramp.


def test_a_loss_that_is_steepest_right_at_the_start():
    lrs = [10.0 ** (k / 2 - 4) for k in range(10)]
    losses = [float((8 - k) ** 2) for k in range(9)] + [30.0]
    # A slope needs a neighbour on either side, so the second rate is the first that has one.
    assert RangeTestResult.from_curve(lrs, losses).suggestions["steepest"] == 0.00032


@pytest.mark.parametrize("scale", [2.0**-20, 0.5, 2.0**20])
def test_the_unit_of_the_loss_does_not_matter(scale):
    losses = bowl(noise=0.1)
    plain = RangeTestResult.from_curve(LRS, losses)
    other = RangeTestResult.from_curve(LRS, [scale * loss for loss in losses])
    assert plain.suggestions == other.suggestions  # A power of two rounds nothing.


@pytest.mark.parametrize("at", [5, 50, 59, 70, 90])
def test_one_bad_batch_changes_little(at):
    losses = bowl(noise=0.05)
    plain = RangeTestResult.from_curve(LRS, losses).max_lr
    losses[at] = 1e6
    assert plain / 2 < RangeTestResult.from_curve(LRS, losses).max_lr < plain * 2


@pytest.mark.parametrize(("noise", "factor"), [(0.3, 3), (0.6, 5)])
def test_noise_changes_little(noise, factor):
    plain = RangeTestResult.from_curve(LRS, bowl()).max_lr
    for seed in range(50):
        noisy = RangeTestResult.from_curve(LRS, bowl(noise=noise, seed=seed)).max_lr
        assert plain / factor < noisy < plain * factor


def nothing(losses, lrs=LRS, **parameters):
    """The sentence in place of a number."""
    result = RangeTestResult.from_curve(lrs, losses, **parameters)
    assert (result.max_lr, result.base_lr) == (None, None)
    (sentence,) = result.warnings
    with pytest.raises(ValueError, match=r"^The range test gives no `max_lr`\. ") as caught:
        result.schedule(100)
    assert str(caught.value) == f"The range test gives no `max_lr`. {sentence}"
    return result, sentence


def test_too_few_losses():
    result, sentence = nothing(bowl()[:9], LRS[:9], stop_reason="The loss was nan at lr=4e-06.")
    assert sentence == (
        "9 losses are too few to read a curve from; it takes 10. The loss was nan at lr=4e-06. "
        "Lower the first rate: `start_lr=1e-08`. Check the batches if that doesn't help: then it "
        "isn't the rate."
    )
    assert result.suggestions == dict.fromkeys(NAMES)
    _, sentence = nothing([], [], stop_reason="The loss was nan at lr=1e-06.")
    assert sentence == (
        "0 losses are too few to read a curve from; it takes 10. The loss was nan at lr=1e-06. "
        "No update had been made, so it isn't the rate: check the model and the data."
    )
    _, sentence = nothing([], [])
    assert sentence == (
        "0 losses are too few to read a curve from; it takes 10. Let the test run on."
    )


@pytest.mark.parametrize("factor", [9.5e-145, 1.05e149])
def test_rates_of_which_one_is_out_of_range(factor):
    # The product of two of them isn't a float any more.
    _, sentence = nothing(bowl(), [lr * factor for lr in LRS])
    low, high = (f"{lr * factor:.2g}" for lr in (LRS[0], LRS[-1]))
    assert sentence.startswith(f"Boundaries can't be read from rates from {low} to {high}: ")
    assert "between 1e-150 and 1e+150" in sentence


@pytest.mark.parametrize("loss", [0.0, 2.3, -1e6])
def test_a_flat_curve(loss):
    result, sentence = nothing([loss] * STEPS)
    assert sentence == (
        "The loss is flat: it doesn't change by more than its noise. Raise the last rate: "
        "`end_lr=1e+03`. If that changes nothing, check that the rate reaches the optimizer."
    )
    assert result.suggestions == dict.fromkeys(NAMES)


def test_noise_alone():
    numbers = 0
    for seed in range(300):
        rng = random.Random(seed)
        losses = [2.3 + rng.gauss(0, 0.5) for _ in LRS]
        numbers += RangeTestResult.from_curve(LRS, losses).max_lr is not None
    assert numbers <= 6


def test_the_lowest_point_at_the_end():
    result = RangeTestResult.from_curve(LRS[:57], bowl()[:57])
    # Four fifths of the fall are done a little before the lowest point, which is the last: 0.0091.
    assert result.max_lr == 0.00077
    assert result.warnings == (
        "Training hadn't broken by the last rate, 0.0091: `max_lr` may come out higher with "
        "`end_lr=0.91`.",
    )


def test_it_broke_right_after_its_lowest_point():
    result = RangeTestResult.from_curve(
        LRS[:57], bowl()[:57], stop_reason="The loss was nan at lr=0.011."
    )
    assert (result.max_lr, result.warnings) == (0.00077, ())


@pytest.mark.parametrize("regained", [0.0, 1.0])
def test_a_bottom_that_is_wide(regained):
    """As with batch norm: from 0.01 on nothing changes, or only half of the fall is regained."""
    losses = [2.3 - 2 * min(1.0, max(0.0, math.log10(lr) + 3)) for lr in LRS]
    losses = [loss + regained * (lr > 0.1) for lr, loss in zip(LRS, losses, strict=True)]
    result = RangeTestResult.from_curve(LRS, losses)
    assert result.max_lr == pytest.approx(math.sqrt(10**-2.2 * 10) / 10, rel=0.2)
    assert result.warnings == (
        "Training hadn't broken by the last rate, 10: `max_lr` may come out higher with "
        "`end_lr=1e+03`.",
    )


def test_a_loss_that_only_rises():
    losses = [2.3 + 3 * max(0.0, math.log10(lr) + 5) for lr in LRS]
    _, sentence = nothing(losses)
    assert sentence == (
        "The loss rises, but it doesn't fall before that by more than its noise. Take larger "
        "batches, or compare trainings, as `range_test` does. Lower the first rate: "
        "`start_lr=1e-08`, if the loss rises right from the start."
    )


def test_a_start_that_is_too_high():
    _, sentence = nothing(bowl()[50:], LRS[50:])
    assert sentence.startswith("The loss breaks so early that the suggestion, 0.00")
    assert sentence.endswith(
        ", is below the first rate, 0.0034. Lower the first rate: `start_lr=3.4e-05`."
    )


def test_a_loss_that_rises_from_the_first_rate_on():
    result, sentence = nothing([math.log10(lr) + 7 for lr in LRS])
    # The start is the median of the first ten, 4.5 steps above the first and lowest; three quarters
    # of that are regained at the fifth.
    edge = math.sqrt(LRS[0] * LRS[4]) / 10
    assert sentence == (
        f"The loss breaks so early that the suggestion, {edge:.2g}, is below the first rate, 1e-06."
        " Lower the first rate: `start_lr=1e-08`."
    )
    assert result.suggestions == {
        "steepest": 1e-6,
        "valley": 1e-6,
        "minimum": 1e-6,
        "minimum/10": 1e-7,
        "edge": float(f"{edge:.2g}"),
    }


def test_a_flat_curve_that_ends_in_nan():
    _, sentence = nothing([2.3] * 50, LRS[:50], stop_reason="The loss was nan at lr=0.0034.")
    assert sentence.startswith("The loss rises, but it doesn't fall before that")


@pytest.mark.parametrize(("errors", "is_read"), [(4.8, False), (5.2, True)])
def test_a_fall_of_five_standard_errors_is_not_noise(errors, is_read):
    # Each loss is 0.02 away from the middle of its neighbours; 0.6 decades have 8.5 steps.
    error = 0.02 / 0.6745 / math.sqrt(1.5) / math.sqrt(0.6 / (7 / 99))
    losses = [
        1 - errors * error * min(1.0, max(0.0, x + 4)) + 5 * max(0.0, x) + 0.01 * (-1) ** i
        for i, x in enumerate(map(math.log10, LRS))
    ]
    assert (RangeTestResult.from_curve(LRS, losses).max_lr is not None) == is_read


def test_two_falls_far_apart():
    """The steepest place is in the first, the lowest at the end of the second."""
    losses = [
        2.3
        - min(1.0, max(0.0, x + 5.2) * 2)
        - min(1.0, max(0.0, x + 4.7) / 3.2)
        + 5 * max(0.0, x + 1.5)
        for x in map(math.log10, LRS)
    ]
    result = RangeTestResult.from_curve(LRS, losses)
    assert result.suggestions["minimum"] / result.suggestions["steepest"] > 10**3.0
    assert (result.max_lr, result.warnings) == (result.suggestions["edge"], ())


def test_the_papers_reading_of_the_score():
    # Flat at 0.1 to 1e-4, then up to 0.9 at 1e-2, and ragged from there.
    rng = random.Random(0)
    scores = [
        0.1 + 0.4 * min(2.0, max(0.0, math.log10(lr) + 4)) - (lr > 0.01) * rng.random() / 4
        for lr in LRS
    ]
    found = RangeTestResult.from_curve(LRS, bowl(), scores).suggestions
    assert list(found) == [*NAMES, "score rises", "score stalls"]
    assert found["score rises"] == pytest.approx(10**-3.8, rel=0.5)  # The window rounds the bend.
    assert found["score stalls"] == pytest.approx(10**-2.2, rel=0.5)
    # It is no suggestion: that it lies far from these contradicts nothing.
    early = RangeTestResult.from_curve(LRS, bowl(), [min(lr, 1e-5) for lr in LRS])
    assert early.suggestions["score rises"] < early.suggestions["minimum"] / 1000
    assert (early.max_lr, early.warnings) == (RangeTestResult.from_curve(LRS, bowl()).max_lr, ())
    for score in (0.0, 0.1):
        flat = RangeTestResult.from_curve(LRS, bowl(), [score] * STEPS).suggestions
        assert (flat["score rises"], flat["score stalls"]) == (None, None)
