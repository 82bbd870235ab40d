"""float64 inside and nowhere else, but throughout if the user has enabled it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import cyclic_lr, cyclic_momentum

SCHEDULE = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.006,
    step_size_up=37,
    step_size_down=90,
    base_momentum=0.8,
    max_momentum=0.95,
)


def floats():
    """JAX's default float dtypes, inside and outside of a traced function."""
    inside = jax.jit(lambda: jnp.asarray(1.0) + jnp.arange(3) / 2)()
    return {str(each.dtype) for each in (jnp.asarray(1.0), jnp.zeros(2), inside)}


def test_nothing_leaks_out_of_a_call():
    cyclic_lr(rate_only(SCHEDULE))(3)
    assert (floats(), str(jnp.asarray(1).dtype)) == ({"float32"}, "int32")
    for count, error in ((1.5, ValueError), (True, TypeError)):
        with pytest.raises(error):
            cyclic_lr(rate_only(SCHEDULE))(count)
    assert floats() == {"float32"}

    def broken(x):
        raise ZeroDivisionError

    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=broken)
    with pytest.raises(ZeroDivisionError):
        cyclic_lr(rate_only(schedule))(3)
    assert floats() == {"float32"}


def test_nothing_leaks_into_the_function_around_it():
    rate, dtypes = cyclic_lr(rate_only(SCHEDULE)), {}

    @jax.jit
    def around(count):
        before = jnp.asarray(1.0) * count
        value = rate(count)
        dtypes["next to it"] = {
            str(each.dtype)
            for each in (
                before,
                value,
                value * 2.0,
                value + jnp.asarray(0.1),
                jnp.arange(2.0),
                before,
            )
        }
        dtypes["count"] = {str((count + 1).dtype)}
        return value

    around(jnp.int32(3))
    assert dtypes == {"next to it": {"float32"}, "count": {"int32"}}


@pytest.mark.parametrize("how", [lambda update: update, jax.jit], ids=["eager", "jit"])
def test_nothing_leaks_into_an_optimizers_state(how):
    def dtypes(rate, momentum):
        optimizer = optax.inject_hyperparams(optax.adamw)(learning_rate=rate, b1=momentum)
        params = {"a": jnp.ones(3), "b": jnp.ones(2, jnp.bfloat16)}
        state = optimizer.init(params)
        updates, state = how(optimizer.update)(params, state, params)
        params = optax.apply_updates(params, updates)
        return jax.tree.map(lambda leaf: leaf.dtype, (params, updates, state))

    # The dtypes with any schedule that returns float32.
    def constant(count):
        return jnp.float32(0.1)

    assert dtypes(cyclic_lr(SCHEDULE), cyclic_momentum(SCHEDULE)) == dtypes(constant, constant)


def test_inside_of_a_local_x64_it_is_float64(same_bits):
    rate, steps = cyclic_lr(rate_only(SCHEDULE)), np.arange(300)
    expected = np.array([SCHEDULE.lr(int(step)) for step in steps])
    with jax.enable_x64(True):
        same_bits(rate(steps), expected)
    same_bits(rate(steps), expected.astype(np.float32))


def test_a_local_x32_in_a_global_x64(run):
    output = run(
        """
import jax
from clr_core import CyclicSchedule
from clr_jax import cyclic_lr
rate = cyclic_lr(CyclicSchedule(base_lr=0.1, max_lr=0.5))
with jax.enable_x64(False):
    print(rate(3).dtype, jax.jit(rate)(3).dtype)
print(rate(3).dtype, jax.jit(rate)(3).dtype)
""",
        JAX_ENABLE_X64="1",
    )
    assert output == "float32 float32\nfloat64 float64\n"


def test_float64_under_a_global_x64(run):
    """In the two modes that promise it, no bit differs from the host's."""
    output = run(
        """
import jax, jax.numpy as jnp, numpy as np, optax
from clr_core import CyclicSchedule
from clr_jax import cyclic_lr, cyclic_momentum

steps = np.concatenate([np.arange(2000), 2**24 + np.arange(500), 2**40 + np.arange(500)])
for mode in ("triangular", "triangular2"):
    differing = points = 0
    for base_lr, max_lr, up, down in (
        (0.001, 0.006, 2000, 2000), (0.1, 0.5, 37, 90), (0.0, 0.3, 3.3, 6.7)
    ):
        schedule = CyclicSchedule(
            base_lr=base_lr, max_lr=max_lr, step_size_up=up, step_size_down=down, mode=mode,
            base_momentum=0.8, max_momentum=0.95,
        )
        for curve, made in ((schedule.lr, cyclic_lr), (schedule.momentum, cyclic_momentum)):
            rate = made(schedule)
            expected = np.array([curve(int(step)) for step in steps])
            # Below float64's normal range XLA gives 0.
            expected[expected < 2.0**-1022] = 0.0
            scanned = jax.lax.scan(lambda _, step: (0, rate(step)), 0, steps)[1]
            for got in (rate(steps), jax.jit(rate)(steps), scanned):
                assert got.dtype == jnp.float64 and not got.weak_type
                differing += int((np.asarray(got).view(np.int64) != expected.view(np.int64)).sum())
                points += len(steps)
    print(mode, differing, "of", points)

params = jnp.ones(3, jnp.float32)
optimizer = optax.sgd(cyclic_lr(schedule))
updates, _ = optimizer.update(params, optimizer.init(params))
print(updates.dtype)
""",
        JAX_ENABLE_X64="1",
    )
    assert output.splitlines() == [
        "triangular 0 of 54000",
        "triangular2 0 of 54000",
        "float32",  # optax casts the rate to its parameters.
    ]
