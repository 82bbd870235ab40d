"""A run resumes with its optimizer's memory of past gradients."""

import numpy as np
import pytest
import torch

from clr_core import CyclicSchedule
from clr_core.moments import Moments
from clr_core.record import Record
from clr_torch import from_moments, from_record, to_moments, to_record

SCHEDULE = CyclicSchedule(
    base_lr=0.01,
    max_lr=0.1,
    step_size_up=3,
    mode="triangular2",
    base_momentum=0.8,
    max_momentum=0.9,
)
STEPS, HALF = 24, 11

OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    "SGD foreach": (torch.optim.SGD, {"momentum": 0.9, "foreach": True}),
    "Adam": (torch.optim.Adam, {}),
    "Adam foreach": (torch.optim.Adam, {"foreach": True, "weight_decay": 1e-3}),
    "Adam fused": (torch.optim.Adam, {"fused": True}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.9, 0.95), "eps": 1e-3}),  # A float16 has no 1e-8.
    "RAdam": (torch.optim.RAdam, {}),
}


def network(dtype=torch.float32):
    """A network of the size that classifies scikit-learn's digits: 64 pixels, ten classes."""
    torch.manual_seed(1)
    layers = torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    return torch.nn.Sequential(*layers).to(dtype)


def grouped(model, name, **more):
    kind, options = OPTIMIZERS[name]
    first, _, last = model
    groups = [{"params": first.parameters()}, {"params": last.parameters()}]
    return kind(groups, lr=0.3, **options | more)


def train(model, scheduler, steps):
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        parameter = next(model.parameters())
        images = torch.rand(8, 64, generator=generator).to(parameter.dtype)
        labels = torch.randint(10, (8,), generator=generator)
        scheduler.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        scheduler.optimizer.step()
        scheduler.step()


def bits(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def begun(name, steps=HALF, dtype=torch.float32, **more):
    model = network(dtype)
    scheduler = from_record(Record(SCHEDULE), grouped(model, name, **more))
    train(model, scheduler, range(steps))
    return model, scheduler


def assert_resumes(tmp_path, name, at, dtype=torch.float32, **more):
    straight, scheduler = begun(name, at, dtype, **more)
    # All that is kept is on disk, and no pickle.
    to_record(scheduler).write(tmp_path / "run.json")
    to_moments(scheduler.optimizer, count=at).write(tmp_path / "moments.npz")
    weights = bits(straight)
    train(straight, scheduler, range(at, STEPS))

    again = network(dtype)
    with torch.no_grad():
        for parameter, weight in zip(again.parameters(), weights, strict=True):
            parameter.copy_(weight)
    optimizer = grouped(again, name, **more)
    record = Record.read(tmp_path / "run.json")
    from_moments(Moments.read(tmp_path / "moments.npz"), optimizer)
    train(again, from_record(record, optimizer), range(at, STEPS))
    for mine, theirs in zip(bits(again), bits(straight), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("at", [0, 1, HALF])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumes_bit_for_bit(tmp_path, name, at):
    assert_resumes(tmp_path, name, at)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["Nesterov", "AdamW"])
def test_resumes_in_each_float(tmp_path, name, dtype):
    assert_resumes(tmp_path, name, HALF, dtype)


def test_without_its_moments_it_would_differ(tmp_path):
    straight, scheduler = begun("SGD")
    again, _ = begun("SGD")
    train(straight, scheduler, range(HALF, STEPS))
    train(again, from_record(to_record(scheduler), grouped(again, "SGD")), range(HALF, STEPS))
    assert not torch.equal(bits(again)[0], bits(straight)[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_the_one_that_torch_makes(name):
    _, scheduler = begun(name)
    model = network()
    optimizer = grouped(model, name)
    from_moments(to_moments(scheduler.optimizer, count=HALF), optimizer)
    mine, torchs = optimizer.state_dict()["state"], scheduler.optimizer.state_dict()["state"]
    assert mine.keys() == torchs.keys()
    for index, state in torchs.items():
        assert mine[index].keys() == state.keys()
        for key, tensor in state.items():
            assert torch.equal(mine[index][key], tensor), key
            assert mine[index][key].dtype == tensor.dtype, key
            assert mine[index][key].device == tensor.device, key
            assert mine[index][key].stride() == tensor.stride(), key
            assert not mine[index][key].requires_grad, key


@pytest.mark.parametrize("name", ["Adam", "Adam fused", "RAdam"])
def test_the_count_has_torchs_type_where_float64_is_the_default(name):
    torch.set_default_dtype(torch.float64)
    try:
        _, scheduler = begun(name, steps=2, dtype=torch.float64)
        optimizer = grouped(network(torch.float64), name)
        from_moments(to_moments(scheduler.optimizer), optimizer)
    finally:
        torch.set_default_dtype(torch.float32)
    (mine, *_), (torchs, *_) = optimizer.state.values(), scheduler.optimizer.state.values()
    assert mine["step"].dtype == torchs["step"].dtype


def test_the_layout_in_memory_is_that_of_the_parameter():
    weight = torch.nn.Parameter(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))
    optimizer = torch.optim.Adam([weight])
    slots = {name: [np.arange(120.0).reshape(2, 3, 4, 5)] for name in ("first", "second")}
    from_moments(Moments("adam", 3, slots), optimizer)
    assert optimizer.state[weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)
    again = to_moments(optimizer)
    assert again.count == 3
    for name, (array,) in slots.items():
        np.testing.assert_array_equal(again.slots[name][0], array)


def test_what_the_slots_are():
    # Three gradients, by the definitions in `clr_core.moments.SLOTS`; all numbers are exact.
    gradients = [1.0, -2.0, 4.0]
    weight = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([weight], lr=0.25, momentum=0.5)
    adam = torch.optim.Adam([weight], lr=0.25, betas=(0.5, 0.75))
    velocity = first = second = 0.0
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        sgd.step()
        adam.step()
        velocity = 0.5 * velocity + gradient
        first = 0.5 * first + 0.5 * gradient
        second = 0.75 * second + 0.25 * gradient**2
    assert to_moments(sgd, count=3).slots["velocity"][0].tolist() == [velocity]
    moments = to_moments(adam)
    assert (moments.kind, moments.count) == ("adam", 3)
    assert [array.tolist() for (array,) in moments.slots.values()] == [[first], [second]]


def test_is_a_snapshot_each_way():
    model, scheduler = begun("Adam")
    moments = to_moments(scheduler.optimizer)
    kept = [array.copy() for array in moments.slots["first"]]
    optimizer = grouped(model, "Adam")
    from_moments(moments, optimizer)
    train(model, scheduler, range(3))
    train(model, from_record(Record(SCHEDULE), optimizer), range(3))
    for array, before in zip(moments.slots["first"], kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_before_the_first_update():
    for name in ("SGD", "Adam"):
        moments = to_moments(grouped(network(), name))
        assert moments.count == 0
        assert not any(array.any() for arrays in moments.slots.values() for array in arrays)


def test_a_parameter_that_had_no_gradient_has_no_velocity():
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.SGD([used, unused], lr=0.1, momentum=0.9)
    used.grad = torch.ones(2)
    optimizer.step()
    moments = to_moments(optimizer, count=1)
    assert [array.tolist() for array in moments.slots["velocity"]] == [[1.0, 1.0], [0.0, 0.0]]


@pytest.fixture
def untouched():
    """A check that nothing in the optimizer's state changed."""

    def snapshot(optimizer):
        return [
            (id(parameter), key, id(value), value.tolist())
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        ]

    return snapshot


def refused(moments, optimizer, error, message, snapshot):
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        from_moments(moments, optimizer)
    assert snapshot(optimizer) == before


def moments_of(kind, shapes=((3,),), count=1, names=None):
    names = {"adam": ("first", "second")}.get(kind, ("velocity",))
    return Moments(kind, count, {name: [np.ones(shape) for shape in shapes] for name in names})


def stepped(kind, **options):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = kind([weight], lr=0.1, **options)
    weight.grad = torch.ones(3)
    optimizer.step()
    return optimizer


REFUSED = {
    "dampening": (
        torch.optim.SGD,
        {"momentum": 0.9, "dampening": 0.5},
        ValueError,
        "=0.5 in group 0",
    ),
    "maximize": (
        torch.optim.SGD,
        {"momentum": 0.9, "maximize": True},
        ValueError,
        "=True in group 0",
    ),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True}, ValueError, "what Adam remembers"),
    "momentum": (torch.optim.SGD, {}, ValueError, "momentum=0 in group 0"),
    "NAdam": (torch.optim.NAdam, {}, TypeError, r"Received: torch\.optim\.nadam\.NAdam$"),
    "RMSprop": (
        torch.optim.RMSprop,
        {"momentum": 0.9},
        TypeError,
        "one of torch.optim's SGD, Adam",
    ),
    "a class of one's own": (
        type("Mine", (torch.optim.SGD,), {}),
        {"momentum": 0.9},
        TypeError,
        r"Received: \S+\.Mine$",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_optimizer_with_another_definition_is_refused(name, untouched):
    kind, options, error, message = REFUSED[name]
    optimizer = stepped(kind, **options)
    with pytest.raises(error, match=message):
        to_moments(optimizer, count=1)
    if error is ValueError:
        with pytest.raises(error, match=f"`{name}`|must have a momentum"):
            to_moments(optimizer, count=1)
    given = moments_of("sgd" if issubclass(kind, torch.optim.SGD) else "adam")
    refused(given, optimizer, error, message, untouched)


def test_another_kind_is_refused(untouched):
    sgd, adam = stepped(torch.optim.SGD, momentum=0.9), stepped(torch.optim.AdamW)
    message = r"must be of the kind '{}' for a torch {}\. Received: kind='{}'$"
    refused(moments_of("adam"), sgd, ValueError, message.format("sgd", "SGD", "adam"), untouched)
    refused(moments_of("sgd"), adam, ValueError, message.format("adam", "AdamW", "sgd"), untouched)


@pytest.mark.parametrize("count", [2**24 + 1, 2**53, 10**400], ids=["2**24+1", "2**53", "10**400"])
def test_a_count_that_torch_can_not_count_on_from_is_refused(count, untouched):
    optimizer = stepped(torch.optim.Adam)
    message = r"^`moments` must have a count up to 16777216\. Received: count="
    refused(moments_of("adam", count=count), optimizer, ValueError, message, untouched)


def test_the_largest_count():
    optimizer = stepped(torch.optim.Adam)
    from_moments(moments_of("adam", count=2**24), optimizer)
    assert to_moments(optimizer).count == 2**24


def test_sgd_has_to_be_told_the_count():
    optimizer = stepped(torch.optim.SGD, momentum=0.9)
    message = r"^`count` must be given, since SGD .*to_moments\(optimizer, count=record\.step\)$"
    with pytest.raises(ValueError, match=message):
        to_moments(optimizer)
    assert to_moments(optimizer, count=1).count == 1
    with pytest.raises(ValueError, match=r"^`count` must be at least 0\. Received: count=-1$"):
        to_moments(optimizer, count=-1)
    with pytest.raises(TypeError, match=r"^`count` must be an integer\. Received: count=1\.5$"):
        to_moments(optimizer, count=1.5)


def test_adam_knows_its_count():
    optimizer = stepped(torch.optim.Adam)
    assert to_moments(optimizer, count=1).count == 1
    with pytest.raises(ValueError, match=r"^`count` must be Adam's, 1\. Received: count=2$"):
        to_moments(optimizer, count=2)


def test_different_counts_are_refused():
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.Adam([used, unused], lr=0.1)
    used.grad = torch.ones(2)
    optimizer.step()
    message = r"Received: 1 of parameter 0, 0 of parameter 1$"
    with pytest.raises(ValueError, match=message):
        to_moments(optimizer)


def test_complex_parameters_are_refused():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    with pytest.raises(TypeError, match=r"of floats\. Received: torch\.complex64 in parameter 0$"):
        to_moments(optimizer)


def test_a_momentum_that_the_schedule_took_to_zero_is_one():
    schedule = CyclicSchedule(
        base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.0, max_momentum=0.9
    )
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    scheduler = from_record(Record(schedule), optimizer)
    for _ in range(2):
        weight.grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["momentum"] == 0.0
    velocity = optimizer.state[weight]["momentum_buffer"].tolist()
    assert to_moments(optimizer, count=2).slots["velocity"][0].tolist() == velocity
