"""The counts that a schedule takes, and its results: strong float32 of the count's shape."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clr_core import CyclicSchedule
from clr_jax import cyclic_lr, cyclic_momentum, scheduled_lr, scheduled_momentum

SCHEDULE = CyclicSchedule(
    base_lr=0.1, max_lr=0.5, step_size_up=20, base_momentum=0.8, max_momentum=0.9
)
ANY = pytest.mark.parametrize(
    "make", [cyclic_lr, scheduled_lr, cyclic_momentum, scheduled_momentum]
)
MAKERS = pytest.mark.parametrize("make", [cyclic_lr, cyclic_momentum])


@ANY
@pytest.mark.parametrize(
    "count",
    [3, np.int64(3), np.array(3, np.uint8), jnp.int32(3), jnp.arange(4), np.zeros((2, 0, 3), int)],
    ids=["int", "NumPy scalar", "NumPy array", "JAX scalar", "JAX array", "empty"],
)
def test_a_strong_float32_of_the_counts_shape(make, count):
    # A weak one would be cast by optax to whatever the parameters are, bfloat16 too.
    for schedule in (make(SCHEDULE), jax.jit(make(SCHEDULE))):
        value = schedule(count)
        assert isinstance(value, jax.Array)
        assert (value.dtype, value.shape) == (jnp.float32, np.shape(count))
        assert not value.weak_type


INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_dtype(dtype, same_bits):
    with jax.enable_x64(True):
        counts = jnp.arange(128, dtype=dtype)
    assert counts.dtype == dtype
    expected = np.array([SCHEDULE.lr(step) for step in range(128)], np.float32)
    same_bits(cyclic_lr(SCHEDULE)(counts), expected)
    same_bits(jax.jit(cyclic_lr(SCHEDULE))(counts), expected)
    same_bits(cyclic_lr(SCHEDULE)(np.arange(128, dtype=dtype)), expected)


@MAKERS
@pytest.mark.parametrize(
    ("count", "dtype"),
    [
        (True, "bool"),
        (np.bool_(True), "bool"),
        (jnp.array([True]), "bool"),
        (1j, "complex128"),
    ],
    ids=str,
)
def test_what_is_no_integer(make, count, dtype):
    for schedule in (make(SCHEDULE), jax.jit(make(SCHEDULE))):
        with pytest.raises(TypeError) as caught:
            schedule(count)
        message = str(caught.value)
        assert message.rpartition(" ")[2] in (dtype, "complex64")


@MAKERS
@pytest.mark.parametrize(
    "count",
    [3.0, np.float32(3), jnp.float32(3), jnp.bfloat16(3), jnp.float16(3), np.arange(4.0), -2.0],
    ids=lambda count: f"{getattr(count, 'dtype', 'float')}{np.shape(count)}",
)
def test_a_float_that_is_whole(make, count, same_bits):
    # A warm-up that wraps a schedule may cast the count.
    expected = make(SCHEDULE)(np.asarray(count).astype(int))
    for schedule in (make(SCHEDULE), jax.jit(make(SCHEDULE))):
        same_bits(schedule(count), expected)


@MAKERS
@pytest.mark.parametrize("count", [0.5, -0.5, np.nan, np.inf, 1e300, jnp.float32(2.5)])
def test_a_float_that_is_not_whole(make, count):
    with pytest.raises(ValueError, match=r"`count` must be a whole number\. Received: count="):
        make(SCHEDULE)(count)
    with pytest.raises(ValueError, match=r"Received: count=2\.5"):
        make(SCHEDULE)(np.array([1, 2.5, 3.5]))


@MAKERS
@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_a_negative_count_counts_as_0(make, dtype, schedule, same_bits):
    # `optax.join_schedules` evaluates these and discards the results.
    made = make(schedule)
    counts = jnp.array([-128, -41, -40, -1, 0], dtype)
    same_bits(made(counts), np.full(5, made(0)))
    assert made(-5) == made(0)
    assert made(jnp.iinfo(jnp.int32).min) == made(0)


@pytest.mark.parametrize("step", [2**24 + 1, 2**31 - 1, 2**31, 2**40 + 7, 2**53 - 1])
def test_large_counts_are_exact(step):
    # optax's own schedules raise an OverflowError for a Python int from 2**31.
    assert cyclic_lr(SCHEDULE)(step) == np.float32(SCHEDULE.lr(step))
    assert cyclic_lr(SCHEDULE)(np.int64(step)) == np.float32(SCHEDULE.lr(step))


@ANY
def test_what_is_no_schedule(make):
    with pytest.raises(TypeError, match=r"`schedule` must be a schedule .*Received: schedule=0\.1"):
        make(0.1)


def test_a_schedule_without_momentum():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5)
    for make in (cyclic_momentum, scheduled_momentum):
        with pytest.raises(ValueError, match="base_momentum") as caught:
            make(schedule)
        assert str(caught.value) == (
            "`schedule` must have a momentum (in CyclicSchedule: `base_momentum`, `max_momentum`). "
            "Received: schedule=CyclicSchedule(base_lr=0.1, max_lr=0.5)"
        )


PARAMETERS = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 20, "step_size_down": 5}
MOMENTA = {"base_momentum": 0.8, "max_momentum": 0.9}


@pytest.mark.filterwarnings("ignore:.* have no effect in cyclic_lr")  # A test is below.
@MAKERS
def test_parameters_in_place_of_a_schedule(make, same_bits):
    counts = np.arange(60)
    given = {**PARAMETERS, **MOMENTA, "mode": "exp_range", "gamma": 0.99}
    same_bits(make(**given)(counts), make(CyclicSchedule(**given))(counts))


@MAKERS
def test_parameters_that_are_wrong(make):
    with pytest.raises(TypeError, match=r"`max_lr` must be left out beside a schedule.*Cyclic"):
        make(SCHEDULE, max_lr=0.5)
    with pytest.raises(TypeError, match="base_lr"):
        make(max_lr=0.5)
    with pytest.raises(TypeError, match="stepsize"):
        make(**PARAMETERS, stepsize=3)
    with pytest.raises(ValueError, match="`base_lr` must not be above `max_lr`"):
        make(base_lr=0.5, max_lr=0.1)
    with pytest.raises(TypeError, match="positional"):
        make(0.1, 0.5)


@pytest.mark.filterwarnings("error")
def test_momenta_that_have_no_effect_are_said():
    with pytest.warns(UserWarning, match=r"`max_momentum` have no effect in cyclic_lr") as caught:
        cyclic_lr(**PARAMETERS, **MOMENTA)
    assert [each.filename for each in caught] == [__file__]
    cyclic_lr(**PARAMETERS)


@pytest.mark.filterwarnings("error")
def test_the_rate_of_a_schedule_with_a_momentum():
    # Whoever calls it, and whatever else is made where.
    rates = [make(SCHEDULE) for make in (cyclic_lr, scheduled_lr)]
    momenta = [make(SCHEDULE) for make in (cyclic_momentum, scheduled_momentum)]
    for rate, momentum in zip(rates, momenta, strict=True):
        optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=momentum)
        hyperparams = optimizer.init(jnp.ones(3)).hyperparams
        assert hyperparams["learning_rate"] == np.float32(SCHEDULE.lr(0))
        assert hyperparams["momentum"] == np.float32(SCHEDULE.momentum(0))
