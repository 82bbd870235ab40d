"""The range test, asked and told: its ramp, what ends it, and what it refuses."""

import math
import random
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from clr_core import RangeTest


def told(losses, scores=None, **parameters):
    """The test after as many of these losses as it takes."""
    test = RangeTest(**parameters)
    for i, loss in enumerate(losses):
        if test.done:
            break
        test.ask()
        test.tell(loss, None if scores is None else scores[i])
    return test


def rates(**parameters):
    return list(told([1.0] * parameters.get("num_steps", 100), **parameters).result().lrs)


ENDS = [(1e-6, 10.0), (1e-4, 0.02), (0.3, 0.7), (5e-324, 1e308), (1, 3)]


@pytest.mark.parametrize("ramp", ["exponential", "linear"])
@pytest.mark.parametrize(("start_lr", "end_lr"), ENDS)
def test_both_ends_are_reached_to_the_bit(start_lr, end_lr, ramp):
    for num_steps in (10, 37, 100):
        lrs = []
        test = RangeTest(start_lr, end_lr, num_steps, ramp=ramp, divergence=None)
        while not test.done:
            lrs.append(test.ask())
            test.tell(1.0)
        assert len(lrs) == num_steps
        assert (lrs[0], lrs[-1]) == (start_lr, end_lr)
        assert all(a < b for a, b in pairwise(lrs))


def test_the_linear_ramp_is_the_line():
    start, end = Fraction(1e-4), Fraction(0.02)
    for i, lr in enumerate(rates(start_lr=1e-4, end_lr=0.02, num_steps=50, ramp="linear")):
        exact = start + (end - start) * i / 49
        assert abs(Fraction(lr) - exact) <= 3 * Fraction(math.ulp(lr))  # Three roundings.


def test_the_exponential_ramp_multiplies():
    lrs = rates(start_lr=1e-6, end_lr=10.0, num_steps=50)
    for i, lr in enumerate(lrs):
        # lr = start * (end / start) ** (i / n), raised to the n-th power: exact in rationals. That
        # power magnifies n times what `pow` makes of a rounded exponent: ln(1e-6) roundings of it.
        left = (Fraction(lr) / Fraction(1e-6)) ** 49
        right = (Fraction(10.0) / Fraction(1e-6)) ** i
        assert abs(left / right - 1) < 49 * 20 * Fraction(2) ** -53


def test_the_same_rate_until_its_loss_is_told():
    test = RangeTest()
    first = test.ask()
    assert [test.ask(), test.ask()] == [first, first]
    test.tell(1.0)
    assert test.ask() > first


@pytest.mark.parametrize("first", [[], [2.0], [2.0, 2.0]], ids=len)
def test_a_loss_without_a_rate(first):
    test = told(first)
    with pytest.raises(RuntimeError) as caught:
        test.tell(1.0)
    assert str(caught.value) == (
        "`tell` must follow `ask`: a loss belongs to a rate. Call `ask` first, once for each loss."
    )
    assert list(test.result().losses) == first


def test_nothing_after_the_end():
    test = told([1.0] * 10, num_steps=10)
    assert test.done
    with pytest.raises(RuntimeError) as caught:
        test.ask()
    assert str(caught.value) == "`ask` has no further rate: the test is done. Call `result`."
    with pytest.raises(RuntimeError, match=r"^`tell` must follow `ask`.*The test is done\.$"):
        test.tell(1.0)
    assert len(test.result().losses) == 10


@pytest.mark.parametrize(
    ("given", "error", "rule"),
    [
        ({"start_lr": 0}, ValueError, "must be positive"),
        ({"start_lr": math.nan}, ValueError, "must be finite"),
        ({"start_lr": "1"}, TypeError, "must be a number"),
        ({"end_lr": math.inf}, ValueError, "must be finite"),
        ({"end_lr": 1.09, "start_lr": 1.0}, ValueError, "must be at least 1.1 times `start_lr`"),
        ({"num_steps": 9}, ValueError, "must be at least 10"),
        ({"num_steps": 50.0}, TypeError, "must be an integer"),
        ({"ramp": "exp"}, ValueError, "must be one of 'exponential', 'linear'"),
        ({"divergence": 0}, ValueError, "must be positive or None"),
        ({"divergence": math.nan}, ValueError, "must be finite"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_input(given, error, rule):
    with pytest.raises(error) as caught:
        RangeTest(**given)
    received = ", ".join(f"{name}={value!r}" for name, value in given.items())
    assert str(caught.value) == f"`{next(iter(given))}` {rule}. Received: {received}"
    assert RangeTest(1.0, 1.1).end_lr == 1.1


@pytest.mark.parametrize(
    "loss", ["1.0", b"1.0", True, None, 1j, [1.0], {}, object, Decimal("sNaN")], ids=repr
)
def test_a_loss_that_is_no_number_changes_nothing(loss):
    test = told([2.0] * 3)
    lr = test.ask()
    with pytest.raises(TypeError) as caught:
        test.tell(loss)
    assert str(caught.value) == f"`loss` must be a single number. Received: loss={loss!r}"
    assert test.ask() == lr
    test.tell(1.0)
    assert test.result().losses == (2.0, 2.0, 2.0, 1.0)


def test_numbers_of_numpy(np):
    assert told([np.float32(2), np.array(2.0), np.int64(2)]).result().losses == (2.0, 2.0, 2.0)
    for wrong in (np.array([2.0]), np.array([[2.0]]), np.array([1.0, 2.0]), np.array(1j)):
        with pytest.raises(TypeError, match="`loss` must be a single number"):
            told([wrong])


class OneElement:
    """As a tensor of torch is: of one element, and yet `float` takes it."""

    shape = (1,)

    def __float__(self):
        return 2.0


def test_a_list_of_one_loss_is_not_a_loss():
    with pytest.raises(TypeError, match="`loss` must be a single number"):
        told([OneElement()])


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 10**400], ids=str)
def test_what_is_not_finite_ends_the_test_and_is_not_a_loss(loss):
    test = told([2.0, 1.5, loss])
    assert test.done
    assert test.result().losses == (2.0, 1.5)
    value = "inf" if loss == 10**400 else repr(loss)
    assert test.result().stop_reason == f"The loss was {value} at lr=1.4e-06."


def falling_and_rising(scale=1.0, shift=0.0):
    """Flat at 8, down to 1, then up without an end; each loss and each sum is exact in float64."""
    losses = [8.0] * 30 + [8.0 - k / 8 for k in range(56)] + [2.0 * k for k in range(14)]
    return [scale * loss + shift for loss in losses]


@pytest.mark.parametrize(
    ("scale", "shift"),
    [(1.0, -8.0), (1.0, -100.0), (1.0, 2.0**20), (2.0**-10, 0.0), (2.0**10, -1.0)],
    ids=str,
)
def test_where_the_loss_has_diverged_depends_on_no_zero(scale, shift):
    plain = told(falling_and_rising(), divergence=0.5)
    other = told(falling_and_rising(scale, shift), divergence=0.5)
    assert plain.done
    assert len(plain.result().losses) == len(other.result().losses) == 96
    assert plain.result().suggestions == other.result().suggestions
    assert plain.result().max_lr == other.result().max_lr is not None


def test_a_loss_that_has_diverged_ends_the_test():
    losses = [2.0] * 50 + [1.0] * 10 + [4.0, 5.5, 5.5, 5.5, 5.5]
    test = told(losses)
    assert len(test.result().losses) == 64  # The third in a row above 2 + 3 * (2 - 1).
    assert test.result().stop_reason == "The loss diverged: above 5 from lr=0.021 to 0.028."


def test_a_loss_at_the_limit_is_not_above_it():
    losses = [2.0] * 50 + [1.0] * 10 + [5.0] * 40  # 2 + 3 * (2 - 1)
    assert told(losses).result().stop_reason is None


def test_ten_losses_say_what_is_noise_and_three_more_that_it_diverged():
    noise = [3.0, 5.0, 1.0, 4.0, 2.0, 3.0, 2.0, 4.0, 3.0, 3.0]
    test = told([*noise, 6.0, 7.0, 8.0, 9.0], divergence=0.5)
    # The median of the first five is 3, and the ten range over 4: 3 + 0.5 * 4.
    assert test.result().stop_reason == "The loss diverged: above 5 from lr=5.1e-06 to 7.1e-06."
    # Now it has fallen by 10, and 3 + 0.5 * 10 isn't reached thrice.
    assert not told([*noise, -7.0, 6.0, 7.0, 8.0, 9.0], divergence=0.5).done


@pytest.mark.parametrize(
    ("noise", "most"),
    [
        (lambda rng: rng.gauss(2.3, 0.1), 0.001),
        (lambda rng: rng.expovariate(1), 0.02),
        (lambda rng: rng.lognormvariate(0, 1), 0.02),
        (lambda rng: 2 - rng.expovariate(1), 0.02),
    ],
    ids=["normal", "exponential", "lognormal", "downwards"],
)
def test_noise_alone_ends_no_test(noise, most):
    rng, tests = random.Random(0), 1000
    stopped = sum(told([noise(rng) for _ in range(100)], num_steps=101).done for _ in range(tests))
    assert stopped <= most * tests


def test_a_fall_is_at_least_eight_roundings_of_float32():
    def stops(rise):
        return told([1.0] * 20 + [1.0 + rise] * 80, divergence=2.0).result().stop_reason is not None

    assert not stops(2.0 * 2**-20)
    assert stops(2.1 * 2**-20)


def test_one_bad_batch_ends_nothing():
    losses = [2.0] * 100
    losses[40], losses[60:62] = 1e30, [1e9, 1e9]
    test = told(losses)
    assert len(test.result().losses) == 100
    assert test.result().stop_reason is None


def test_divergence_none_goes_on():
    test = told([2.0] * 50 + [1e30] * 50, divergence=None)
    assert len(test.result().losses) == 100


def test_scores_with_each_loss_or_with_none():
    test = told([2.0, 2.0], scores=[0.1, 0.2])
    lr = test.ask()
    for wrong, error, text in (
        (
            None,
            TypeError,
            "`score` must be given with each loss or with none. Received: score=None",
        ),
        (math.nan, ValueError, "`score` must be finite. Received: score=nan"),
        ("0.3", TypeError, "`score` must be a single number. Received: score='0.3'"),
    ):
        with pytest.raises(error) as caught:
            test.tell(2.0, wrong)
        assert str(caught.value).startswith(text)
    assert test.ask() == lr
    test.tell(2.0, 0.3)
    assert test.result().scores == (0.1, 0.2, 0.3)
    assert test.result().losses == (2.0, 2.0, 2.0)
    without = told([2.0, 2.0])
    without.ask()
    with pytest.raises(TypeError, match="`score` must be given with each loss or with none"):
        without.tell(2.0, 0.3)


def test_stopped_early():
    rng = random.Random(0)
    result = told([2.3 + rng.gauss(0, 0.01) for _ in range(40)]).result()
    assert result.stop_reason is None
    assert result.max_lr is None
    assert result.warnings[0] == "The test was stopped early, after 40 of 100 steps."


def test_it_says_what_it_is():
    assert repr(RangeTest()) == (
        "RangeTest(start_lr=1e-06, end_lr=10.0, num_steps=100, ramp='exponential', divergence=3.0)"
    )
    test = RangeTest(1e-4, 0.02, 400, ramp="linear")
    assert (test.start_lr, test.end_lr, test.num_steps, test.ramp) == (1e-4, 0.02, 400, "linear")
    assert repr(test) == (
        "RangeTest(start_lr=0.0001, end_lr=0.02, num_steps=400, ramp='linear', divergence=3.0)"
    )
