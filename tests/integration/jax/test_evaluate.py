"""Numbers below float32's normal range, for which XLA's own conversion gives 0; many phases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clr_core import CyclicSchedule, Phase, PiecewiseSchedule
from clr_jax import cyclic_lr, scheduled_lr
from clr_jax.evaluate import evaluate

SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

# Halved with each cycle, the peaks run from 0.1 down through the subnormal numbers to 0.
HALVING = CyclicSchedule(base_lr=0.0, max_lr=0.1, step_size_up=3, mode="triangular2")


@pytest.mark.parametrize("how", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_a_rate_that_halves_until_it_is_0(how, on_host, same_bits):
    steps = np.arange(100 * 6, 160 * 6, dtype=np.int32)
    expected = on_host(HALVING.lr, steps)
    subnormal = (expected > 0) & (expected < SMALLEST_NORMAL)
    assert subnormal.sum() > 100
    assert (expected == 0).sum() > 10
    same_bits(how(cyclic_lr(HALVING))(steps), expected)


def test_scanned(on_host, same_bits):
    steps = np.arange(120 * 6, 155 * 6, dtype=np.int32)
    rate = cyclic_lr(HALVING)
    scanned = jax.lax.scan(lambda _, step: (0, rate(step)), 0, steps)[1]
    same_bits(scanned, on_host(HALVING.lr, steps))


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        SMALLEST / 2,  # A tie, to even: 0.
        np.nextafter(SMALLEST / 2, 1),
        SMALLEST,
        1.5 * SMALLEST,  # A tie, to even: 2.
        2.5 * SMALLEST,  # A tie, to even: 2.
        SMALLEST_NORMAL - SMALLEST,
        SMALLEST_NORMAL - SMALLEST / 2,  # Rounds up to the smallest normal number.
        SMALLEST_NORMAL,
        SMALLEST_NORMAL + SMALLEST,
        1e-45,
        1e-40,
        1.0,
        3e38,
        1e39,
        float("inf"),
        float("nan"),
        -1.0,
    ],
)
def test_the_rounding(value, same_bits):
    # A constant schedule, so that nothing is rounded before.
    with np.errstate(over="ignore"):
        expected = np.float32(value)
    count = jnp.int32(0)
    same_bits(evaluate(lambda step, ops: step * 0.0 + value, count), expected)


@pytest.mark.parametrize("how", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_the_rounding_of_many(how, same_bits):
    rng = np.random.default_rng(0)
    counts = np.concatenate(
        [np.arange(100), rng.integers(0, 2**23, 2000), np.arange(2**23 - 100, 2**23 + 100)]
    )
    ties = counts + 0.5
    numbers = [counts, ties, np.nextafter(ties, 0), np.nextafter(ties, 2**24)]
    numbers = np.concatenate(numbers) * SMALLEST

    def curve(step, ops):
        return jnp.asarray(numbers)[step.astype(int)]

    given = how(lambda step: evaluate(curve, step))(jnp.arange(len(numbers)))
    same_bits(given, numbers.astype(np.float32))


def phases(lengths):
    """Phases between rates from 0 and the smallest float32 up, of both shapes."""
    ends = [0.0, 0.1, 3 * SMALLEST, 1e-39, 0.5, 0.0, 1e-7]
    return [
        Phase(steps, ends[index % 7], ends[(3 * index + 1) % 7], ("linear", "cosine")[index % 2])
        for index, steps in enumerate(lengths)
    ]


LENGTHS = {
    "some hundred": [30 + index % 17 for index in range(400)],
    "doubling": [2.0**index for index in range(30)],
    "several in a step": [0.01 * (1 + index % 90) for index in range(100)],
    "of very different sizes": [1, 1, 10.5, 1e6, 1, 0.25] * 3,
}


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_the_phase_of_a_step_among_many(lengths, repeat, on_host, same_bits):
    schedule = PiecewiseSchedule(phases(lengths), repeat)
    begins = np.cumsum([0, *lengths]).astype(np.int64)
    near = np.concatenate([begins - 1, begins, begins + 1, np.arange(200), [2**31 - 1]])
    steps = near[(near >= 0) & (near < 2**31)].astype(np.int32)
    expected = on_host(schedule.lr, steps)
    assert ((expected > 0) & (expected < SMALLEST_NORMAL)).any()
    same_bits(jax.jit(scheduled_lr(schedule))(steps), expected)
