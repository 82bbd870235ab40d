"""The core's curve: against the oracle, and the properties that users rely on."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
from clr_core import CyclicSchedule
from schedules import random_schedule, random_steps

pytestmark = pytest.mark.filterwarnings("ignore:.*'exp_range' with gamma=1")

# A rate of 1e-300 is nobody's, but nothing breaks down to there; sizes as a user may have them.
rates = st.floats(0, 1e6).filter(lambda rate: rate == 0.0 or rate > 1e-300)
sizes = st.floats(1e-3, 1e7)
whole_sizes = st.integers(1, 10**7)
steps = st.one_of(st.integers(0, 10**4), st.integers(0, 2**53))
modes = st.sampled_from(["triangular", "triangular2", "exp_range"])


@st.composite
def schedules(draw, sizes=sizes, modes=modes):
    base_lr, max_lr = sorted((draw(rates), draw(rates)))
    momenta = sorted((draw(st.floats(0, 0.999)), draw(st.floats(0, 0.999))))
    mode = draw(modes)
    return CyclicSchedule(
        base_lr=base_lr,
        max_lr=max_lr,
        step_size_up=draw(sizes),
        step_size_down=draw(sizes),
        mode=mode,
        gamma=draw(st.floats(0.9, 1)) if mode == "exp_range" else 1.0,
        base_momentum=momenta[0],
        max_momentum=momenta[1],
    )


def test_within_four_ulps_of_the_exact_value():
    # Four: one each for the height, the decay, the two products with their sum, and their sum.
    rng = random.Random(7)
    worst = 0
    for _ in range(2000):
        schedule = random_schedule(rng)
        if schedule.scale_fn is not None:
            continue
        for step in random_steps(rng, schedule, 10, 2**53):
            exact = oracle.to_float64(oracle.lr(schedule.to_dict(), step))
            apart = oracle.ulps64(schedule.lr(step), exact)
            worst = max(worst, apart)
            assert apart <= 4, f"{schedule!r} at step {step}: expected {exact!r}, {apart} ulps"
    print(f"{worst} float64 ulps at most")


@given(schedules(), steps)
def test_never_outside_the_boundaries(schedule, step):
    assert schedule.base_lr <= schedule.lr(step) <= schedule.max_lr
    assert schedule.base_momentum <= schedule.momentum(step) <= schedule.max_momentum


@given(schedules())
def test_starts_at_base_lr_to_the_bit(schedule):
    assert schedule.lr(0) == schedule.base_lr
    assert schedule.momentum(0) == schedule.max_momentum


@given(schedules(sizes=whole_sizes, modes=st.sampled_from(["triangular", "triangular2"])))
def test_first_peak_is_max_lr_to_the_bit(schedule):
    peak = int(schedule.step_size_up)
    assert schedule.lr(peak) == schedule.max_lr
    assert schedule.momentum(peak) == schedule.base_momentum


@given(schedules(sizes=whole_sizes, modes=st.just("triangular")), steps)
def test_whole_cycles_repeat_to_the_bit(schedule, step):
    later = step + int(schedule.cycle_size) * 1000
    assume(later <= 2**53)
    assert schedule.lr(step) == schedule.lr(later)


@given(schedules(), steps)
def test_rises_then_falls(schedule, step):
    assume(schedule.mode == "triangular")
    assume(step + 1 <= 2**53)
    position = step % schedule.cycle_size
    now, then = schedule.lr(step), schedule.lr(step + 1)
    if position + 1 <= schedule.step_size_up:
        assert now <= then
    elif schedule.step_size_up <= position and position + 1 <= schedule.cycle_size:
        assert now >= then


def test_decay_never_overflows():
    """Torch's class raises OverflowError in cycle 1025."""
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=1, mode="triangular2")
    assert schedule.lr(2 * 1024 + 1) == 0.1
    assert schedule.lr(2**53 - 1) == 0.1
    shrinking = CyclicSchedule(base_lr=0.1, max_lr=0.5, mode="exp_range", gamma=0.5)
    assert shrinking.lr(2**53) == 0.1


def test_a_cycle_scale_fn_counts_from_1():
    seen = []
    schedule = CyclicSchedule(
        base_lr=0, max_lr=1, step_size_up=1, scale_fn=lambda x: seen.append(x) or 1.0
    )
    for step in range(5):
        schedule.lr(step)
    assert seen == [1, 1, 2, 2, 3]
    assert all(type(x) is int for x in seen)


def test_momentum_is_none_where_none_is_set():
    assert CyclicSchedule(base_lr=0.1, max_lr=0.5).momentum(3) is None


class TestArrays:
    def test_same_bits_as_one_by_one(self, np):
        rng = random.Random(3)
        for _ in range(60):
            schedule = random_schedule(rng)
            if schedule.mode == "exp_range" or schedule.scale_fn is not None:
                continue  # NumPy's own `pow` and `sin` may differ in the last bit.
            steps = random_steps(rng, schedule, 500, 2**53)
            assert schedule.lr(np.array(steps)).tolist() == [schedule.lr(step) for step in steps]

    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 0, 2)])
    @pytest.mark.parametrize(
        "scale_fn", [None, "1 / x", "0.5", lambda x: 1 / x, lambda x: 0.5 if x > 1 else 1]
    )
    def test_float64_of_the_same_shape(self, np, shape, scale_fn):
        schedule = CyclicSchedule(
            base_lr=0.1, max_lr=0.5, scale_fn=scale_fn, base_momentum=0.8, max_momentum=0.9
        )
        for curve in (schedule.lr, schedule.momentum):
            values = curve(np.ones(shape, np.int32))
            assert values.dtype == np.float64
            assert values.shape == shape

    @pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint64"])
    def test_every_integer_type(self, np, dtype):
        schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=7)
        steps = np.array([0, 1, 7, 100], dtype)
        assert schedule.lr(steps).tolist() == [schedule.lr(int(step)) for step in steps]
        assert schedule.lr(steps[2]) == 0.5
        assert type(schedule.lr(steps[2])) is float

    def test_a_callable_sees_each_element(self, np):
        import math

        schedule = CyclicSchedule(
            base_lr=0, max_lr=1, step_size_up=2, scale_fn=lambda x: math.exp(-x) if x > 1 else 0.5
        )
        steps = np.arange(12)
        assert schedule.lr(steps).tolist() == [schedule.lr(int(step)) for step in steps]

    @pytest.mark.parametrize(
        ("steps", "error", "text"),
        [
            (
                [0.0, 1.0],
                TypeError,
                "`step` must be an array of integers. Received: an array of float64",
            ),
            ([True], TypeError, "`step` must be an array of integers. Received: an array of bool"),
            ([3, -1, -2], ValueError, "`step` must lie between 0 and 2**53. Received: step=-1"),
            (
                [2**53 + 1],
                ValueError,
                f"`step` must lie between 0 and 2**53. Received: step={2**53 + 1}",
            ),
        ],
    )
    def test_bad_steps(self, np, steps, error, text):
        with pytest.raises(error) as caught:
            CyclicSchedule(base_lr=0.1, max_lr=0.5).lr(np.array(steps))
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        (-1, ValueError, "`step` must lie between 0 and 2**53. Received: step=-1"),
        (
            2**53 + 1,
            ValueError,
            "`step` must lie between 0 and 2**53. Received: step=9007199254740993",
        ),
        (1.0, TypeError, "`step` must be an integer. Received: step=1.0"),
        (True, TypeError, "`step` must be an integer. Received: step=True"),
        (None, TypeError, "`step` must be an integer. Received: step=None"),
        ("3", TypeError, "`step` must be an integer. Received: step='3'"),
        ([1, 2], TypeError, "`step` must be an integer. Received: step=[1, 2]"),
    ],
)
def test_bad_step(step, error, text):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)
    for curve in (schedule.lr, schedule.momentum):
        with pytest.raises(error) as caught:
            curve(step)
        assert str(caught.value) == text
