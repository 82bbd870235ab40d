"""The rate of the last update in a state, and the step of the next one."""

import functools
import inspect
from typing import NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_jax import (
    current_lr,
    current_momentum,
    cyclic_lr,
    cyclic_optimizer,
    schedule_counts,
    set_step,
)
from needs import needs

SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=3,
    step_size_down=5,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.95,
)
OTHER = CyclicSchedule(base_lr=0.001, max_lr=0.5, step_size_up=7)
LABELS = {"a": "first", "b": "second"}
INJECTED = [
    ".count",
    ".hyperparams_states['b1'].count",
    ".hyperparams_states['learning_rate'].count",
]


def adam():
    return cyclic_optimizer(optax.adam, SCHEDULE)


def below(place, paths=INJECTED):
    return [place + path for path in paths]


# A function that makes an optimizer, and the counts in its state that a schedule reads.
COMPOSITIONS = {
    "alone": (adam, INJECTED),
    "chain": (lambda: optax.chain(optax.clip_by_global_norm(1.0), adam()), below("[1]")),
    "named chain": (
        lambda: optax.named_chain(("clip", optax.clip(1.0)), ("adam", adam())),
        below("['adam']"),
    ),
    "masked": (lambda: optax.masked(adam(), {"a": True, "b": False}), below(".inner_state")),
    "accumulated": (
        lambda: optax.MultiSteps(adam(), 2),
        [".gradient_step", *below(".inner_opt_state")],
    ),
    "if finite": (lambda: optax.apply_if_finite(adam(), 3), below(".inner_state")),
    "partition": (
        lambda: optax.partition(
            {"first": adam(), "second": cyclic_optimizer(optax.sgd, OTHER)}, LABELS
        ),
        [
            *below(".inner_states['first'].inner_state"),
            ".inner_states['second'].inner_state.count",
            ".inner_states['second'].inner_state.hyperparams_states['learning_rate'].count",
        ],
    ),
    "conditional": (
        lambda: optax.conditionally_transform(adam(), lambda step: step % 2 == 0),
        [".step", *below(".inner_state")],
    ),
    "conditionally masked": (
        lambda: optax.conditionally_mask(adam(), lambda step: step > 3),
        [".step", *below(".inner_state")],
    ),
    "lookahead": (lambda: optax.lookahead(adam(), 2, 0.5), below(".fast_state")),
    "a schedule by itself": (lambda: optax.adam(cyclic_lr(rate_only(SCHEDULE))), ["[1].count"]),
    "scheduled decay": (
        lambda: optax.adamw(cyclic_lr(rate_only(SCHEDULE)), weight_decay=cyclic_lr(OTHER)),
        ["[1].count", "[2].count"],
    ),
    "injected by hand": (
        lambda: optax.inject_hyperparams(optax.adam)(learning_rate=cyclic_lr(rate_only(SCHEDULE))),
        [INJECTED[0], INJECTED[2]],
    ),
    "schedule free": (
        lambda: optax.contrib.schedule_free(
            optax.sgd(cyclic_lr(OTHER)), cyclic_lr(rate_only(SCHEDULE)), b1=0.9
        ),
        [".step_count", ".base_optimizer_state[1].count"],
    ),
    "a scheduled mixture": (
        lambda: optax.contrib.ademamix(cyclic_lr(OTHER), alpha=optax.linear_schedule(0.0, 5.0, 9)),
        ["[0].count_m2", "[2].count"],
    ),
    "everything": (
        lambda: optax.chain(
            optax.masked(optax.add_decayed_weights(cyclic_lr(OTHER)), {"a": True, "b": False}),
            optax.apply_if_finite(optax.chain(optax.clip(1.0), adam()), 3),
            optax.scale_by_schedule(cyclic_lr(OTHER)),
        ),
        ["[0].inner_state.count", *below("[1].inner_state[1]"), "[2].count"],
    ),
}
# The compositions with one rate.
WITH_ONE = {
    name: make
    for name, (make, _) in COMPOSITIONS.items()
    if name not in ("partition", "a schedule by itself", "scheduled decay")
    and name not in ("schedule free", "a scheduled mixture")
}
# The compositions with equal counts: a condition counts calls, the optimizer inside updates.
WITH_ONE_COUNT = {
    name: make for name, (make, _) in COMPOSITIONS.items() if not name.startswith("conditional")
}


@pytest.fixture(params=COMPOSITIONS.values(), ids=COMPOSITIONS)
def composition(request):
    return request.param


def weights():
    keys = jax.random.split(jax.random.key(0))
    return {"a": jax.random.normal(keys[0], (3,)), "b": jax.random.normal(keys[1], (2, 2))}


def initial(optimizer):
    params = weights()
    if isinstance(optimizer, optax.GradientTransformation) and "lookahead" in repr(optimizer):
        params = optax.LookaheadParams.init_synced(params)
    return params, optimizer.init(params)


def update(optimizer, params, state, number):
    fast = params.fast if isinstance(params, optax.LookaheadParams) else params
    gradients = jax.tree.map(lambda each: each + jnp.cos(number + 1.0), fast)
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state


@functools.cache
def compiled(optimizer):
    return jax.jit(functools.partial(update, optimizer))


def run(optimizer, params, state, first, last):
    step = compiled(optimizer)
    for number in range(first, last):
        params, state = step(params, state, number)
    return params, state


def same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(mine, other)  # A sum that was dropped may have been -0.


def updates_made(state):
    """The number of updates made by the optimizer with one rate."""
    (count,) = (
        count
        for place, count in schedule_counts(state).items()
        if place.endswith("['learning_rate'].count")
    )
    return int(count)


@pytest.mark.parametrize("make", WITH_ONE.values(), ids=WITH_ONE)
def test_what_the_last_update_used(make):
    optimizer = make()
    params, state = initial(optimizer)
    assert current_lr(state) == np.float32(SCHEDULE.lr(0))
    for number in range(12):
        params, state = compiled(optimizer)(params, state, number)
        # If updates are accumulated or skipped, the last update isn't the last call.
        made = updates_made(state)
        assert current_lr(state) == np.float32(SCHEDULE.lr(max(made - 1, 0)))
        if any("b1" in place for place in schedule_counts(state)):
            assert current_momentum(state) == np.float32(SCHEDULE.momentum(max(made - 1, 0)))
    assert made >= 6


def test_within_jit_and_scan():
    optimizer = adam()

    def step(carry, number):
        params, state = update(optimizer, *carry, number)
        return (params, state), (current_lr(state), current_momentum(state))

    _, (rates, momenta) = jax.jit(lambda: jax.lax.scan(step, initial(optimizer), jnp.arange(40)))()
    assert rates.tolist() == [np.float32(SCHEDULE.lr(step)) for step in range(40)]
    assert momenta.tolist() == [np.float32(SCHEDULE.momentum(step)) for step in range(40)]


def test_several_rates_are_listed():
    _, state = initial(COMPOSITIONS["partition"][0]())
    with pytest.raises(ValueError, match="one learning rate") as error:
        current_lr(state)
    assert str(error.value) == (
        "`opt_state` must have one learning rate. Received: one each in "
        "opt_state.inner_states['first'].inner_state, "
        "opt_state.inner_states['second'].inner_state. Pass one of these."
    )
    assert current_lr(state.inner_states["first"].inner_state) == np.float32(SCHEDULE.lr(0))
    assert current_lr(state.inner_states["second"]) == np.float32(OTHER.lr(0))
    assert current_momentum(state) == np.float32(SCHEDULE.momentum(0))


@pytest.mark.parametrize(
    ("read", "what"), [(current_lr, "learning rate"), (current_momentum, "momentum")]
)
def test_no_rate(read, what):
    for optimizer in (optax.adam(0.1), optax.adam(cyclic_lr(rate_only(SCHEDULE)))):
        with pytest.raises(ValueError, match=what) as error:
            read(optimizer.init(weights()))
        assert str(error.value) == (
            f"`opt_state` must have the {what} that an update used, as the state of a "
            "`scheduled_optimizer` has. Received: a tuple without one."
        )


def test_the_counts_that_a_schedule_reads(composition):
    make, places = composition
    counts = schedule_counts(initial(make())[1])
    assert list(counts) == places
    assert all(count.dtype == jnp.int32 and count == 0 for count in counts.values())


def steps_of(state):
    """The values of its counts."""
    return {int(count) for count in schedule_counts(state).values()}


def test_each_of_these_counts_moves_and_nothing_else(composition):
    make, places = composition
    _, state = run(optimizer := make(), *initial(optimizer), 0, 6)
    moved = set_step(state, 1234)
    assert schedule_counts(moved) == dict.fromkeys(places, 1234)
    # Set back to its former count, the state is unchanged.
    if len(steps_of(state)) == 1:
        same(set_step(moved, *steps_of(state)), state)


@pytest.mark.parametrize("make", WITH_ONE_COUNT.values(), ids=WITH_ONE_COUNT)
def test_the_next_updates_are_those_of_the_step(make):
    # With the moments kept and the counts reset, setting the step restores every bit.
    optimizer = make()
    params, state = run(optimizer, *initial(optimizer), 0, 6)
    (step,) = steps_of(state)
    straight = run(optimizer, params, state, 6, 16)
    resumed = run(optimizer, params, set_step(set_step(state, 0), step), 6, 16)
    same(resumed, straight)
    lost = run(optimizer, params, set_step(state, 0), 6, 16)
    assert not all(map(np.array_equal, jax.tree.leaves(lost[0]), jax.tree.leaves(straight[0])))


def test_an_update_uses_the_rate_of_the_step(same_bits):
    optimizer = cyclic_optimizer(optax.sgd, SCHEDULE)
    params = jnp.zeros(())
    for step in (0, 3, 11, 1_000_003, 2**31 - 1):
        state = set_step(optimizer.init(params), step)
        moved, state = optimizer.update(-jnp.ones(()), state, params)
        same_bits(moved, np.float32(SCHEDULE.lr(step)))
        same_bits(current_momentum(state), np.float32(SCHEDULE.momentum(step)))


def test_the_count_of_moments_stays():
    optimizer = adam()
    params, state = run(optimizer, *initial(optimizer), 0, 4)
    moved = set_step(state, 100)
    assert moved.inner_state[0].count == 4
    same(moved.inner_state, state.inner_state)
    # New moments at a late step have the correction of new ones.
    state = set_step(optimizer.init(params), 100)
    _, state = run(optimizer, params, state, 100, 101)
    assert state.inner_state[0].count == 1


def test_optax_moves_the_wrong_count():
    # If this fails, `optax.tree.set` sets the right count, and `set_step` may be superfluous.
    params = jnp.zeros(())
    optimizer = cyclic_optimizer(optax.sgd, OTHER)
    state = optax.tree_utils.tree_set(optimizer.init(params), count=5)
    counts = schedule_counts(state)
    assert counts == {".count": 5, ".hyperparams_states['learning_rate'].count": 0}
    moved, _ = optimizer.update(-jnp.ones(()), state, params)
    assert moved == np.float32(OTHER.lr(0))


def test_unfinished_sums_are_dropped():
    # With a sum instead of a mean, the remainder would enter the next update.
    optimizer = optax.MultiSteps(cyclic_optimizer(optax.sgd, SCHEDULE), 3, use_grad_mean=False)
    params, state = run(optimizer, *initial(optimizer), 0, 4)
    assert state.mini_step == 1
    moved = set_step(state, 1)
    assert moved.mini_step == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(moved.acc_grads))
    fresh = optimizer.init(params)._replace(inner_opt_state=state.inner_opt_state)
    same(run(optimizer, params, moved, 0, 6), run(optimizer, params, set_step(fresh, 1), 0, 6))


def test_traced_steps(composition):
    make, _ = composition
    _, state = run(optimizer := make(), *initial(optimizer), 0, 3)
    traces = []

    @jax.jit
    def moved(state, step):
        traces.append(1)
        return set_step(state, step)

    for step in (5, 6):
        same(moved(state, step), set_step(state, step))
    same(moved(state, jnp.int32(7)), set_step(state, np.int64(7)))
    assert len(traces) <= 2  # One for Python's ints, one for arrays.


def test_one_state_for_each_of_several_optimizers():
    optimizer = cyclic_optimizer(optax.sgd, SCHEDULE)
    states = jax.vmap(optimizer.init)(jnp.zeros((3, 2)))
    moved = jax.vmap(set_step)(states, jnp.array([1, 2, 3]))
    assert moved.count.tolist() == [1, 2, 3]
    assert set_step(states, 4).count.tolist() == [4, 4, 4]
    _, moved = jax.vmap(optimizer.update)(jnp.ones((3, 2)), moved, jnp.zeros((3, 2)))
    assert current_lr(moved).tolist() == [np.float32(SCHEDULE.lr(step)) for step in (1, 2, 3)]


@pytest.mark.parametrize("step", [5, np.int32(5), jnp.int32(5), np.array(5)])
@pytest.mark.parametrize("compile", [lambda fn: fn, jax.jit])
def test_a_state_that_can_be_donated(step, compile):
    optimizer = adam()
    params, state = initial(optimizer)
    state = compile(set_step)(state, step)
    donating = jax.jit(functools.partial(update, optimizer), donate_argnums=(0, 1))
    _, state = donating(params, state, 0)
    assert current_lr(state) == np.float32(SCHEDULE.lr(5))


def test_no_further_compilation():
    optimizer = adam()
    params, state = initial(optimizer)
    step = jax.jit(functools.partial(update, optimizer))
    step(params, state, 0)
    params, state = step(params, set_step(state, 5), 0)
    step(params, set_step(state, 6), 0)
    assert step._cache_size() == 1


def test_a_state_on_several_devices(run):
    assert (
        run(
            """
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from clr_core import CyclicSchedule
from clr_jax import current_lr, cyclic_optimizer, schedule_counts, set_step

mesh = Mesh(jax.devices(), "x")
everywhere, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("x"))
schedule = CyclicSchedule(base_lr=0.25, max_lr=0.5, step_size_up=2)
optimizer = cyclic_optimizer(optax.adam, schedule)
weights = jax.device_put(jnp.ones(4), split)
state = optimizer.init(weights)
state = jax.tree.map(lambda x: x if x.shape else jax.device_put(x, everywhere), state)
step = jax.jit(lambda state: optimizer.update(2 * weights, state, weights)[1])
state = step(state)
state = step(set_step(state, 10))
print(step._cache_size(), float(current_lr(state)), *state.inner_state[0].mu.sharding.spec)
print({count.sharding == everywhere for count in schedule_counts(set_step(state, 3)).values()})
""",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        )
        == "1 0.5 x\n{True}\n"
    )


@pytest.mark.parametrize("name", ["alone", "partition", "accumulated", "a schedule by itself"])
def test_a_checkpoint_without_structure(name):
    # The names of the fields tell what the classes would.
    _, state = run(optimizer := COMPOSITIONS[name][0](), *initial(optimizer), 0, 4)
    plain = flax.serialization.to_state_dict(state)
    assert list(schedule_counts(plain).values()) == list(schedule_counts(state).values())
    moved = flax.serialization.from_state_dict(state, set_step(plain, 9))
    same(moved, set_step(state, 9))
    if name in WITH_ONE:
        assert current_lr(plain) == current_lr(state)
        assert f"{current_momentum(plain):.7f}" == f"{current_momentum(state):.7f}"


def test_the_step_beside_a_state():
    state = TrainState.create(apply_fn=None, params=weights(), tx=adam())
    moved = set_step(state, 9)
    assert (moved.step, type(moved.step)) == (9, int)
    same(moved.opt_state, set_step(state.opt_state, 9))
    own = {"params": {"n": 5, "w": weights()}, "opt_state": state.opt_state, "step": jnp.uint32(3)}
    moved = set_step(own, 9)
    assert (moved["step"], moved["step"].dtype, moved["params"]["n"]) == (9, jnp.uint32, 5)


# Each hands the count that corrects its bias, or the like, to a schedule as well.
SHARING = ("prodigy", "dadapt_adamw", "momo", "momo_adam", "madgrad")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs(f"optax.contrib.{name}")) for name in SHARING]
)
def test_a_count_for_two_purposes(name):
    factory = getattr(optax.contrib, name)
    decayed = optax.chain(optax.add_decayed_weights(cyclic_lr(OTHER)), factory(cyclic_lr(OTHER)))
    with pytest.raises(ValueError, match=r"a \w+State at '\[1\].*whose count is both if its rate"):
        set_step(decayed.init(weights()), 3)
    optimizer = cyclic_optimizer(factory, OTHER)
    moved = set_step(optimizer.init(weights()), 3)
    assert steps_of(moved) == {3}
    same(moved.inner_state, optimizer.init(weights()).inner_state)


class Own(NamedTuple):
    turns: jax.Array


def test_an_integer_that_nobody_knows():
    own = optax.GradientTransformation(
        lambda params: Own(jnp.zeros((), jnp.int32)),
        lambda updates, state, params: (updates, state),
    )
    for optimizer in (optax.chain(adam(), own), optax.masked(optax.chain(own, adam()), True)):
        state = optimizer.init(weights())
        with pytest.raises(ValueError, match=r"a schedule may read them\..*turns', in a Own\. N"):
            set_step(state, 3)
        assert steps_of(state) == {0}
    stacked = jax.vmap(lambda _: optax.chain(adam(), own).init(weights()))(jnp.arange(3))
    with pytest.raises(ValueError, match="turns"):
        set_step(stacked, 3)


FACTORIES = {
    name: factory
    for module in (optax, optax.contrib)
    for name, factory in vars(module).items()
    if inspect.isfunction(factory)
    and {"learning_rate"} <= set(inspect.signature(factory).parameters)
    # They take no schedule, or an update takes more than gradients.
    and name not in ("rprop", "scale_by_rprop", "sm3", "optimistic_adam", "lbfgs", "sophia")
    and name not in ("dpsgd", "_deprecated_dpsgd", "schedule_free", "momo", "momo_adam")
}


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.filterwarnings("ignore:Specifying a key")
def test_the_schedule_of_each_factory_is_given_the_step(name):
    seen = []

    def schedule(count):
        seen.append(int(count))
        return 0.1

    params = weights()
    try:
        optimizer = optax.chain(
            optax.add_decayed_weights(schedule), FACTORIES[name](learning_rate=schedule)
        )
        state = optimizer.init(params)
    except TypeError as error:
        pytest.skip(str(error))
    try:
        moved = set_step(state, 7)
    except ValueError:
        assert any(each in name for each in SHARING)
        return
    optimizer.update(params, moved, params)
    # A schedule-free optimizer counts from 1.
    assert set(seen) - ({8} if name.startswith("schedule_free") else set()) == {7}


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (-1, ValueError, "`step` must be from 0 to 2**31 - 1. Received: step=-1"),
        (2**31, ValueError, "`step` must be from 0 to 2**31 - 1. Received: step=2147483648"),
        (jnp.int32(-3), ValueError, "`step` must be from 0 to 2**31 - 1. Received: step=Array("),
        (1.0, TypeError, "`step` must be an integer. Received: step=1.0"),
        (jnp.float32(1), TypeError, "`step` must be an integer. Received: step=Array(1."),
        (jnp.array(True), TypeError, "`step` must be an integer. Received: step=Array(True"),
        (np.arange(2), TypeError, "`step` must be an integer. Received: step=array([0, 1])"),
    ],
)
def test_what_is_no_step(step, kind, message):
    # Even if no schedule reads the state: the step is checked first.
    for state in (adam().init(weights()), ()):
        with pytest.raises(kind) as error:
            set_step(state, step)
        assert str(error.value).startswith(message)


@pytest.mark.parametrize("step", [1.0, True, np.arange(2)])
def test_a_traced_step_that_is_no_step(step):
    with pytest.raises(TypeError, match=r"`step` must be an integer\. Received: step=JitTracer"):
        jax.jit(set_step)(adam().init(weights()), step)


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (optax.adam(0.1).init(jnp.ones(2)), "tuple"),
        (optax.EmptyState(), "EmptyState"),
        ({"count": jnp.zeros(()), "other": 3}, "dict"),
        (None, "NoneType"),
        (3, "int"),
    ],
)
def test_a_state_that_no_schedule_reads(state, name):
    assert schedule_counts(state) == {}
    with pytest.raises(ValueError, match="a count") as error:
        set_step(state, 3)
    assert str(error.value) == (
        "`opt_state` must have a count that a schedule reads, as the state of a "
        f"`scheduled_optimizer` has. Received: a {name} without one."
    )
