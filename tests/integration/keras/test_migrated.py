"""Running the code that `clr migrate` writes for Keras: the rate and momentum of each update."""

import keras
import pytest

import clr_keras
import migrate_cases as cases
import oracle
from clr_cli.migrate import migrate, rewritten
from clr_core import CyclicSchedule

STEPS = 20


def _run(source, **names):
    (finding,) = migrate(source, "train.py", to="keras")
    exec(compile(finding.replacement, "train.py", "exec"), names)
    return names


def _check(optimizer, schedule, first=0):
    """That the optimizer's updates use the oracle's numbers."""
    weight = keras.Variable([1.0, -2.0])
    if not optimizer.built:
        optimizer.build([weight])
    document = schedule.to_dict()
    for step in range(first, first + STEPS):
        assert int(optimizer.iterations) == step
        assert float(optimizer.learning_rate) == oracle.to_float32(oracle.lr(document, step))
        if schedule.momentum(0) is not None:
            used = optimizer.momentum if hasattr(optimizer, "momentum") else optimizer.beta_1
            assert used == oracle.to_float32(oracle.momentum(document, step))
        optimizer.apply([keras.ops.convert_to_tensor([0.1, 0.2])], [weight])


@pytest.mark.parametrize(
    "name", [name for name in cases.all_cases() if not name.startswith("addons")]
)
def test_the_replacement_follows_the_schedule(name):
    source, means = cases.all_cases()[name]
    names = _run(source)
    if isinstance(means, list):
        for optimizer, each in zip(names["optimizers"], means, strict=True):
            _check(optimizer, CyclicSchedule(**each))
    else:
        _check(names["optimizer"], CyclicSchedule(**means))


@pytest.mark.parametrize("name", cases.ADDONS)
def test_a_schedule_of_addons_is_replaced_in_place(name):
    call, means = cases.ADDONS[name]
    source = cases.addons_source(call)
    names = _run(source)
    rate = names["rate"]
    assert isinstance(rate, clr_keras.CyclicLR)
    assert rate.schedule == CyclicSchedule(**means)
    assert rate.name == ("mine" if "mine" in call else "CyclicLR")
    names["keras"] = keras
    exec(source[source.index("optimizer = ") :], names)
    assert (names["optimizer"].momentum, names["optimizer"].nesterov) == (0.5, True)
    _check(names["optimizer"], CyclicSchedule(**means))


@pytest.mark.parametrize("name", cases.ADDONS)
def test_the_rewritten_program_follows_the_schedule(name):
    call, means = cases.ADDONS[name]
    source = cases.addons_source(call)
    names = {}
    exec(rewritten(source, migrate(source, "train.py")), names)
    assert names["rate"].name == ("mine" if "mine" in call else "CyclicLR")
    _check(names["optimizer"], CyclicSchedule(**means))


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_adams_beta1_follows_it_too(kind):
    optimizer = cases.ADAM.replace("Adam", kind)
    names = _run(cases.torch_source("optimizer, 0.001, 0.006, 3", optimizer))
    assert type(names["optimizer"]) is getattr(clr_keras, kind)
    assert names["optimizer"].beta_2 == 0.99
    assert names["optimizer"].weight_decay == (0.01 if kind == "AdamW" else None)
    _check(names["optimizer"], CyclicSchedule(**cases.BAND, **cases.MOMENTA, step_size_up=3))


def test_a_cycled_momentum_of_torch_keeps_torchs_velocity():
    names = _run(cases.torch_source("optimizer, 0.001, 0.006, 3"))
    assert names["optimizer"].torch_velocity is True


def test_a_run_goes_on_at_its_step():
    call = "optimizer, 0.001, 0.006, 3, cycle_momentum=False, last_epoch=4"
    names = _run(cases.torch_source(call))
    _check(names["optimizer"], CyclicSchedule(**cases.BAND, step_size_up=3), first=5)


def test_for_an_unknown_optimizer_only_the_rate_is_migrated():
    source = "from torch.optim.lr_scheduler import CyclicLR\nCyclicLR(make(), 0.001, 0.006, 3)\n"
    with pytest.warns(UserWarning, match="A CyclicLR gives the rate alone: the momentum of its"):
        optimizer = keras.optimizers.Adam(_run(source)["learning_rate"])
    _check(optimizer, CyclicSchedule(**cases.BAND, step_size_up=3))
