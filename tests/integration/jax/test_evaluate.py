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
OTHERS = [1e-45, 1e-40, SMALLEST_NORMAL, 1.0, 3e38, 1e39, float("inf"), float("nan"), -1.0]
HOW = pytest.mark.parametrize(
    "how",
    [lambda f: f, jax.jit, jax.vmap, lambda f: lambda steps: jax.lax.map(f, steps)],
    ids=["eager", "jit", "vmap", "scan"],
)


@HOW
def test_a_rate_that_halves_until_it_is_0(how, on_host, same_bits):
    steps = np.arange(100 * 6, 160 * 6, dtype=np.int32)
    expected = on_host(HALVING.lr, steps)
    subnormal = (expected > 0) & (expected < SMALLEST_NORMAL)
    assert subnormal.sum() > 100
    assert (expected == 0).sum() > 10
    same_bits(how(cyclic_lr(HALVING))(steps), expected)


def test_a_value_that_does_not_depend_on_the_step():
    # It still has a strong type and the step's shape.
    for dtype in ("float32", "float64"):
        value = evaluate(lambda step, ops: 0.25, jnp.arange(6).reshape(2, 3), dtype)
        assert (value.dtype, value.shape, value.weak_type) == (dtype, (2, 3), False)
        assert (np.asarray(value) == 0.25).all()


@HOW
def test_the_rounding(how, same_bits):
    rng = np.random.default_rng(0)
    counts = np.concatenate(
        [np.arange(100), rng.integers(0, 2**23, 2000), np.arange(2**23 - 100, 2**23 + 100)]
    )
    ties = counts + 0.5
    numbers = [counts, ties, np.nextafter(ties, 0), np.nextafter(ties, 2**24)]
    numbers = np.concatenate([np.concatenate(numbers) * SMALLEST, OTHERS])

    def curve(step, ops):
        return jnp.asarray(numbers)[step.astype(int)]

    given = how(lambda step: evaluate(curve, step))(jnp.arange(len(numbers)))
    with np.errstate(over="ignore"):
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
