"""optax's own schedules, step by step: the same curves, but for their float32."""

import jax
import numpy as np
import optax
import pytest

from clr_core import one_cycle, verify, warmup_cosine
from clr_core.schedules import originals

STEPS = np.arange(130)
SGDR = [
    {
        "init_value": 0.01,
        "peak_value": 0.1 / (i + 1),
        "warmup_steps": 5,
        "decay_steps": 10 * (i + 1),
    }
    for i in range(3)
]
# The name of optax's function and its arguments.
CASES = [
    *(("cosine_onecycle", (n, 0.1, p)) for n in (1, 7, 20, 100) for p in (0.01, 0.3, 0.37, 0.9)),
    *(("linear_onecycle", (n, 0.1, p)) for n in (10, 20, 100) for p in (0.3, 0.37, 0.5)),
    ("linear_onecycle", (33, 0.1, 0.01, 0.5, 3.0, 7.0)),
    ("warmup_cosine_decay", (0.0, 0.1, 10, 100)),
    ("warmup_cosine_decay", (0.02, 0.1, 0, 17, 1e-3)),
    ("warmup_cosine_decay", (0.1, 0.02, 7, 8, 0.05)),
    ("cosine_decay", (0.1, 100)),
    ("cosine_decay", (0.1, 11, 0.2)),
    ("linear", (0.1, 0.0, 100)),
    ("linear", (0.0, 0.1, 20, 13)),
    ("linear", (0.1, 0.0, 0)),
    ("sgdr", (SGDR,)),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_schedule_of_optax(name, arguments):
    schedule = getattr(originals, f"optax_{name}")(*arguments)
    theirs = jax.vmap(getattr(optax, f"{name}_schedule")(*arguments))(STEPS)
    # Some roundings of numbers up to the peak, and pi / 2 times one of the position.
    close = 6 * 2.0**-24 * schedule.levels()["highest"]
    np.testing.assert_allclose(np.asarray(theirs, float), schedule.lr(STEPS), rtol=0, atol=close)


@pytest.mark.parametrize("boundaries", [[10, 40], [5, 30], [20, 100]])
def test_joined_schedules_of_optax(boundaries):
    parts = [("linear", (0.0, 0.1, 10)), ("constant", (0.1,)), ("cosine_decay", (0.1, 50))]
    ours = [getattr(originals, f"optax_{name}")(*given) for name, given in parts]
    theirs = [getattr(optax, f"{name}_schedule")(*given) for name, given in parts]
    rates = [optax.join_schedules(theirs, boundaries)(step) for step in STEPS]
    wanted = originals.joined(ours, boundaries).lr(STEPS)
    np.testing.assert_allclose(np.asarray(rates, float), wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("mine", "theirs", "says"),
    [
        (
            originals.torch_one_cycle(0.1, 500),
            optax.cosine_onecycle_schedule(500, 0.1),
            "such as optax's or clr_core.one_cycle: each phase ends a step after yours",
        ),
        (
            one_cycle(0.1, 500, shape="linear"),
            optax.linear_onecycle_schedule(500, 0.1),
            "optax's linear_onecycle_schedule: it has a third phase",
        ),
        (
            warmup_cosine(0.1, 50, 550),
            optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 500),
            "optax's warmup_cosine_decay_schedule: its decay_steps includes the warm-up",
        ),
        (one_cycle(0.1, 500), optax.cosine_onecycle_schedule(500, 0.1), "a formula in float32"),
    ],
    ids=str,
)
def test_verify_knows_a_log_of_optax(mine, theirs, says):
    steps = range(600)
    rates = np.asarray(jax.vmap(theirs)(np.arange(600)), float)
    verdict = verify(mine, steps, rates)
    assert verdict.fault is not None
    assert says in verdict.sentence
