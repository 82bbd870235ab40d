"""A single step on the torch backend is read if its value is known, and never waited for."""

import keras
import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

import clr_keras
from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.cycled import SCHEDULE
from integration.keras.rates import BAND, BY_CYCLE, SCHEDULES, TRIANGULAR, UPDATES, assert_same, at

STEPS = torch.arange(UPDATES, dtype=torch.int32)
with_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


class Watch(TorchDispatchMode):
    """Record the operations that torch executes."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        self.operations.append(str(operation))
        return operation(*arguments, **(options or {}))


def test_a_rate_and_a_momentum_take_few_operations_on_tensors():
    """Twenty would be a tenth of a small model's batch."""
    optimizer = clr_keras.SGD(SCHEDULE)
    for read in (lambda: optimizer.learning_rate, optimizer._momentum):
        with Watch() as watch:
            read()
        assert len(watch.operations) <= 3  # Of these, one reads the step and one makes the result.


@with_schedules
def test_one_by_one_as_all_at_once(schedule):
    rate = CyclicLR(schedule)
    given = [rate(step) for step in STEPS]
    assert {(each.dtype, each.shape, each.device.type) for each in given} == {
        (torch.float32, (), "cpu")
    }
    assert_same(given, rate(STEPS).numpy())


@pytest.mark.parametrize("step", [-(2**31), -1, 0, 2**53 + 1, 2**63 - 1])
def test_the_ends_of_int64(step):
    rate, tensor = CyclicLR(BY_CYCLE), torch.tensor(step)  # It clips no rate to the band.
    assert_same(rate(tensor), rate(tensor[None])[0])


@pytest.mark.parametrize("scale", ["1e45", "-1e45", "1e400 - 1e400"], ids=["inf", "-inf", "nan"])
def test_beyond_float32(scale):
    schedule = CyclicSchedule(**BAND, scale_fn=lambda x: float(eval(scale)))
    step = torch.tensor(1)
    rates = CyclicLR(schedule)(step), CyclicLR(schedule)(step[None])[0]
    assert not np.isfinite(rates).any()
    np.testing.assert_array_equal(*rates)


def test_a_callable_may_use_torchs_functions():
    schedule = CyclicSchedule(**BAND, scale_fn=lambda x: torch.exp(-torch.as_tensor(x)))
    rate = CyclicLR(schedule)
    assert_same([rate(step) for step in STEPS], rate(STEPS).numpy())


def test_a_step_of_a_tensor_subclass_gives_a_rate_of_that_type():
    """As a distributed tensor does, which mixes with no other."""

    class Tensor(torch.Tensor):
        pass

    rate = CyclicLR(TRIANGULAR)(STEPS[3].as_subclass(Tensor))
    assert type(rate) is Tensor
    assert rate == at(TRIANGULAR, 3)


@with_schedules
def test_under_vmap(schedule):
    assert_same(torch.vmap(CyclicLR(schedule))(STEPS), at(schedule))


@with_schedules
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_a_traced_step_is_no_number(mode, schedule):
    traced = make_fx(CyclicLR(schedule), tracing_mode=mode)(STEPS[3])
    assert_same([traced(step) for step in STEPS], at(schedule))


def test_exported():
    class Rate(torch.nn.Module):
        def forward(self, step):
            return CyclicLR(TRIANGULAR)(step)

    exported = torch.export.export(Rate(), (STEPS[3],)).module()
    assert_same([exported(step) for step in STEPS], at(TRIANGULAR))


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
# It says so of every `as_tensor`. A step that is baked in would say "Converting a tensor to …".
@pytest.mark.filterwarnings("ignore:torch.as_tensor results:torch.jit.TracerWarning")
def test_traced_by_torchscript():
    traced = torch.jit.trace(lambda step: CyclicLR(TRIANGULAR)(step), (STEPS[3],))
    assert_same([traced(step) for step in STEPS], at(TRIANGULAR))


def test_the_rate_is_where_the_step_is():
    with torch.device("meta"):
        assert_same(CyclicLR(TRIANGULAR)(STEPS[3]), at(TRIANGULAR, 3))
    assert CyclicLR(TRIANGULAR)(STEPS[3].to("meta")).device.type == "meta"


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("torch_velocity", [False, True])
def test_an_update_on_another_device_asks_it_for_no_number(torch_velocity, nesterov):
    """Reading from a GPU would wait for it. The meta device takes its place here."""
    optimizer = clr_keras.SGD(SCHEDULE, torch_velocity=torch_velocity, nesterov=nesterov)
    with keras.device("meta"):
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer.build([weight])
        with Watch() as watch:
            optimizer.apply([torch.ones(3, device="meta")], [weight])
    assert weight.value.device.type == "meta"
    assert not [each for each in watch.operations if "_local_scalar_dense" in each]
