"""The same curve in another number of updates: for another batch size or number of workers."""

from fractions import Fraction

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core.record import Record
from other_kinds import Cosine, other_kinds
from schedules import BY_ITERATION, DECAYS, MOMENTA

__all__ = ["other_kinds"]
BAND = {"base_lr": 0.001, "max_lr": 0.006} | MOMENTA
SIZES = {"step_size_up": 300, "step_size_down": 700}
SCHEDULES = {
    **{name: CyclicSchedule(**BAND, **SIZES, **decay) for name, decay in DECAYS.items()},
    **{
        text: CyclicSchedule(**BAND, **SIZES, scale_fn=text, scale_mode="iterations")
        for text in [*BY_ITERATION, "1 / (x ** 2 + 1)", "-x / (-x - 1)"]
    },
    "of the cycle": CyclicSchedule(**BAND, **SIZES, scale_fn="1 / x"),
}
FACTORS = [2, 0.5, 1 / 3, Fraction(4, 3), 0.75, 1]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_times_the_factor_has_the_rate_and_momentum_of_the_step(name, factor):
    old = SCHEDULES[name]
    new = old.rescaled(factor)
    ratio = Fraction(factor).limit_denominator(100)
    for step in range(0, 3000, 12):
        scaled = int(step * ratio)
        # Sizes, gamma and x / factor are rounded to float64, and gamma to a power of up to 6,000.
        assert new.lr(scaled) == pytest.approx(float(oracle.lr(old.to_dict(), step)), rel=1e-12)
        exact = oracle.momentum(old.to_dict(), step)
        assert new.momentum(scaled) == pytest.approx(float(exact), rel=1e-12)


def test_there_and_back_is_the_same_schedule():
    schedule = SCHEDULES["triangular2"]
    assert schedule.rescaled(4).rescaled(0.25) == schedule
    assert schedule.rescaled(1) == schedule
    assert schedule.rescaled(1 / 3).rescaled(3) == schedule  # As float: 300 * (1/3) is below 100.


def test_a_callable_of_the_cycle_is_kept_and_one_of_the_step_is_refused():
    by_cycle = CyclicSchedule(**BAND, scale_fn=abs)
    assert by_cycle.rescaled(2) == CyclicSchedule(**BAND, step_size_up=4000, scale_fn=abs)
    with pytest.raises(TypeError, match="`scale_fn` must be an expression for its step"):
        CyclicSchedule(**BAND, scale_fn=abs, scale_mode="iterations").rescaled(2)


def test_a_class_derived_from_the_schedule_stays_the_class():
    class Ours(CyclicSchedule):
        pass

    assert type(Ours(**BAND).rescaled(2)) is Ours


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e308, 1e-308, 5e-324])
def test_a_factor_out_of_range_is_refused(factor):
    with pytest.raises(ValueError, match="must"):
        CyclicSchedule(**BAND, mode="exp_range", gamma=0.999).rescaled(factor)


@pytest.mark.parametrize("factor", ["2", None, True, 1j])
def test_a_factor_of_another_type_is_refused(factor):
    with pytest.raises(TypeError, match="`factor` must be a number"):
        CyclicSchedule(**BAND).rescaled(factor)


def test_a_record_takes_its_schedules_and_its_step_along():
    one, other = SCHEDULES["triangular"], SCHEDULES["exp_range"]
    assert Record(one, 600).rescaled(0.5) == Record(one.rescaled(0.5), 300)
    assert Record((one, other), 600).rescaled(1 / 3) == Record(
        (one.rescaled(1 / 3), other.rescaled(1 / 3)), 200
    )


@pytest.mark.parametrize(
    ("step", "factor", "exact", "before", "after"),
    [(7, 0.5, "3.5", 6, 8), (4, 1 / 6, "0.6666666666666666", 0, 6), (10, 0.75, "7.5", 8, 12)],
)
def test_a_step_that_is_not_whole_is_refused_with_those_that_are(
    step, factor, exact, before, after
):
    record = Record(SCHEDULES["triangular"], step)
    with pytest.raises(ValueError, match=f"give {exact}. Rescale at step {before} or {after},"):
        record.rescaled(factor)
    Record(SCHEDULES["triangular"], before).rescaled(factor)
    Record(SCHEDULES["triangular"], after).rescaled(factor)


def test_or_it_is_rounded_aloud():
    record = Record(SCHEDULES["triangular"], 7)
    with pytest.warns(UserWarning, match=r"Step 7 is 5.25 .* rounded to 5: .* shifted by -0.25"):
        assert record.rescaled(0.75, round_step=True).step == 5


@pytest.mark.usefixtures("other_kinds")
def test_a_kind_that_cannot_be_rescaled_is_refused():
    with pytest.raises(TypeError, match="must be of a kind that can be rescaled"):
        Record(Cosine(peak=0.5)).rescaled(2)
