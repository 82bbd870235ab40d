"""The code that `clr migrate` writes for JAX: the rates and momenta that each update uses."""

import jax.numpy as jnp
import optax
import pytest

import migrate_cases as cases
import oracle
from clr_cli.migrate import migrate
from clr_core import CyclicSchedule
from clr_jax import current_lr, current_momentum

STEPS = 20


def _run(source, **names):
    (finding,) = migrate(source, "train.py", to="jax")
    exec(compile(finding.replacement, "train.py", "exec"), names)
    return finding, names


def _check(optimizer, schedule, state=None, first=0):
    """Check that the optimizer's updates use the oracle's numbers."""
    weights = jnp.ones(3)
    state = optimizer.init(weights) if state is None else state
    document = schedule.to_dict()
    for step in range(first, first + STEPS):
        _, state = optimizer.update(2 * weights, state, weights)
        assert float(current_lr(state)) == oracle.to_float32(oracle.lr(document, step))
        if schedule.momentum(0) is not None:
            expected = oracle.to_float32(oracle.momentum(document, step))
            assert float(current_momentum(state)) == expected


@pytest.mark.parametrize("name", cases.all_cases())
def test_the_replacement_follows_the_schedule(name):
    source, means = cases.all_cases()[name]
    _, names = _run(source)
    if isinstance(means, list):
        for optimizer, each in zip(names["optimizers"], means, strict=True):
            _check(optimizer, CyclicSchedule(**each))
    else:
        _check(names["optimizer"], CyclicSchedule(**means))


@pytest.mark.parametrize("optimizer", [cases.ADAM, cases.ADAM.replace("Adam", "AdamW")])
def test_adams_beta1_follows_it_too(optimizer):
    source = cases.torch_source("optimizer, 0.001, 0.006, 3", optimizer)
    _, names = _run(source)
    _check(names["optimizer"], CyclicSchedule(**cases.BAND, **cases.MOMENTA, step_size_up=3))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("torch.optim.SGD(p, 0.1, 0.7, 0, 0, True)", optax.sgd(0.002, 0.7, nesterov=True)),
        ("torch.optim.Adam(p, betas=(0.8, 0.9), eps=0.1)", optax.adam(0.002, 0.8, 0.9, 0.1)),
        ("torch.optim.AdamW(p)", optax.adamw(0.002, weight_decay=0.01)),
        ("torch.optim.AdamW(p, weight_decay=0.3)", optax.adamw(0.002, weight_decay=0.3)),
    ],
)
def test_the_optimizer_is_the_one_of_the_file(optimizer, expected):
    call = "optimizer, base_lr=0.002, max_lr=0.002, cycle_momentum=False"
    _, names = _run(cases.torch_source(call, optimizer))
    weights, gradient = jnp.asarray([1.0, -2.0]), jnp.asarray([0.3, 0.2])
    states = [each.init(weights) for each in (names["optimizer"], expected)]
    for _ in range(3):
        first, states[0] = names["optimizer"].update(gradient, states[0], weights)
        second, states[1] = expected.update(gradient, states[1], weights)
        assert first.tolist() == second.tolist()


@pytest.mark.parametrize("last_epoch", ["4", "epoch"])
def test_a_run_resumes_at_its_step(last_epoch):
    call = f"optimizer, 0.001, 0.006, 3, cycle_momentum=False, last_epoch={last_epoch}"
    _, names = _run(cases.torch_source(call), params=jnp.ones(3), epoch=4)
    schedule = CyclicSchedule(**cases.BAND, step_size_up=3)
    _check(names["optimizer"], schedule, names["state"], first=5)


def test_where_the_optimizer_is_unknown_the_rate_stands_alone():
    source = "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(make(), 0.001, 0.006, 3)\n"
    _, names = _run(source)
    document = CyclicSchedule(**cases.BAND, step_size_up=3).to_dict()
    for step in range(STEPS):
        rate = float(names["learning_rate"](step))
        assert rate == oracle.to_float32(oracle.lr(document, step))
