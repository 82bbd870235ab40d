"""Arguments that are refused, the messages, and the optimizer, which must not have changed.

Torch's own class accepts the first ones, and changes the optimizer before it refuses the others.
"""

import re

import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR, ScheduledLR


def weight():
    return torch.nn.Parameter(torch.zeros(3))


def sgd(**arguments):
    groups = [{"params": [weight()]}, {"params": [weight()]}]
    return torch.optim.SGD(groups, **{"lr": torch.tensor(0.3), "momentum": 0.4} | arguments)


def adagrad():
    return torch.optim.Adagrad([weight()])


MOMENTUM_WANTED = (
    "`optimizer` must have `momentum` or `betas` for its momentum to be cycled. Received: Adagrad. "
    "Pass cycle_momentum=False, or leave the momenta out of the schedule."
)


REFUSED = [
    (
        {"base_lr": [0.1, 0.6]},  # In the second group only.
        ValueError,
        "`base_lr` must not be above `max_lr`. Received: base_lr=0.6, max_lr=0.5",
    ),
    (
        {"base_lr": [0.1]},
        ValueError,
        "`base_lr` must be one value, or one per parameter group (2). Received: 1 in base_lr=[0.1]",
    ),
    (
        {"max_momentum": (0.85, 0.9, 0.95)},
        ValueError,
        "`max_momentum` must be one value, or one per parameter group (2). "
        "Received: 3 in max_momentum=(0.85, 0.9, 0.95)",
    ),
    (
        {"mode": "triangle"},
        ValueError,
        "`mode` must be one of 'triangular', 'triangular2', 'exp_range'. Received: mode='triangle'",
    ),
    (
        {"last_epoch": -2},
        ValueError,
        "`last_epoch` must be at least -1, for a fresh start. Received: last_epoch=-2",
    ),
    (
        {"last_epoch": 1.5},
        TypeError,
        "`last_epoch` must be an integer. Received: last_epoch=1.5",
    ),
    (
        {"last_epoch": 2**53},
        ValueError,
        "`step` must lie between 0 and 2**53. Received: step=9007199254740993",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "error", "message"), REFUSED, ids=[str(each[0]) for each in REFUSED]
)
def test_arguments(arguments, error, message, unchanged):
    optimizer = sgd()
    with unchanged(optimizer), pytest.raises(error) as caught:
        CyclicLR(optimizer, **{"base_lr": 0.1, "max_lr": 0.5} | arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("second", [{}, {"momentum": 0.9}], ids=["both groups", "one group"])
def test_an_optimizer_without_momentum(second, unchanged):
    optimizer = torch.optim.Adagrad([{"params": [weight()]}, {"params": [weight()]} | second])
    with unchanged(optimizer), pytest.raises(ValueError, match="`optimizer` must") as caught:
        CyclicLR(optimizer, 0.1, 0.5)
    assert str(caught.value) == MOMENTUM_WANTED
    CyclicLR(optimizer, 0.1, 0.5, cycle_momentum=False)


@pytest.mark.parametrize("make", [CyclicLR, ScheduledLR])
def test_a_step_that_was_compiled_before(make, unchanged):
    # Torch's base class, which wraps the method, fails with an AttributeError.
    optimizer = sgd()
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    with unchanged(optimizer), pytest.raises(ValueError, match="must be a method") as caught:
        make(optimizer, 0.1, 0.5)
    assert str(caught.value) == (
        f"`optimizer.step` must be a method. Received: optimizer.step={optimizer.step!r}. "
        "Make the scheduler first, then compile or replace the step."
    )


@pytest.mark.parametrize(("cycle", "last_epoch"), [(1, -1), (2, 3)])
def test_a_scale_fn_that_raises_in_a_cycle(cycle, last_epoch, unchanged):
    # Step 4 is the first of cycle 2, and the step that is set comes after `last_epoch`.
    optimizer = sgd()
    with unchanged(optimizer), pytest.raises(ZeroDivisionError):
        CyclicLR(optimizer, 0.1, 0.5, 2, scale_fn=lambda x: 1 / (x - cycle), last_epoch=last_epoch)


def test_a_scale_fn_that_raises_in_a_step(unchanged):
    optimizer = sgd()
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 1, scale_fn=lambda x: 1 / (x - 2))
    optimizer.step()
    scheduler.step()
    optimizer.step()
    before = scheduler.last_epoch, scheduler.get_last_lr(), scheduler.get_last_momentum()
    with unchanged(optimizer), pytest.raises(ZeroDivisionError):
        scheduler.step()
    assert (scheduler.last_epoch, scheduler.get_last_lr(), scheduler.get_last_momentum()) == before


WITH_MOMENTUM = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "error", "message"),
    [
        (
            sgd(),
            0.1,
            TypeError,
            "`schedule` must be a schedule such as CyclicSchedule. Received: schedule=0.1",
        ),
        (
            sgd(),
            [WITH_MOMENTUM, None],
            TypeError,
            "`schedule` must be a schedule such as CyclicSchedule. Received: schedule=None",
        ),
        (
            sgd(),
            [WITH_MOMENTUM],
            ValueError,
            "`schedule` must be one value, or one per parameter group (2). "
            f"Received: 1 in schedule=[{WITH_MOMENTUM!r}]",
        ),
        (adagrad(), WITH_MOMENTUM, ValueError, MOMENTUM_WANTED),
        (
            sgd(momentum=0),
            WITH_MOMENTUM,
            ValueError,
            "`optimizer` must have a momentum (or beta1) above 0 for it to be cycled. "
            "Received: 0 in group 0. Create it with one that the schedule has.",
        ),
        (
            torch.optim.Adam([weight()], betas=(0.0, 0.9)),
            WITH_MOMENTUM,
            ValueError,
            "`optimizer` must have a momentum (or beta1) above 0 for it to be cycled. "
            "Received: 0 in group 0. Create it with one that the schedule has.",
        ),
    ],
    ids=["a number", "None for a group", "too few", "no momentum", "momentum=0", "beta1=0"],
)
def test_schedules(optimizer, schedule, error, message, unchanged):
    with unchanged(optimizer), pytest.raises(error) as caught:
        ScheduledLR(optimizer, schedule)
    assert str(caught.value) == message


@pytest.mark.parametrize("epoch", [-1, 1.5, "2", 2**53 + 1])
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_an_epoch_to_go_to(epoch, unchanged):
    optimizer = sgd()
    scheduler = CyclicLR(optimizer, 0.1, 0.5)
    optimizer.step()
    with unchanged(optimizer), pytest.raises((TypeError, ValueError), match=r"`(step|epoch)` must"):
        scheduler.step(epoch)
    assert scheduler.last_epoch == 0


def wrapping(name):
    class AcceleratedOptimizer:
        def __init__(self):
            setattr(self, name, sgd())
            self.more = [1]

        def __repr__(self):
            return "AcceleratedOptimizer()"

    return AcceleratedOptimizer()


@pytest.mark.parametrize("name", ["optimizer", "optim", "_optimizer", "base_optimizer"])
@pytest.mark.parametrize("make", [CyclicLR, ScheduledLR])
def test_a_wrapper_is_told_from_its_inner_optimizer(make, name):
    wrapper = wrapping(name)
    message = (
        "`optimizer` must be a torch.optim.Optimizer. Received: optimizer=AcceleratedOptimizer(). "
        f"Pass the optimizer inside of it, its `.{name}`"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        make(wrapper, 0.1, 0.5)
    make(
        getattr(wrapper, name),
        WITH_MOMENTUM if make != CyclicLR else 0.1,
        0.5 if make == CyclicLR else -1,
    )


@pytest.mark.parametrize(
    "given", [torch.optim.SGD, "SGD", [sgd()], None, "x" * 10**6, torch.nn.ReLU()], ids=type
)
def test_other_things_are_no_optimizer(given):
    with pytest.raises(
        TypeError, match=r"^`optimizer` must be a torch\.optim\.Optimizer"
    ) as caught:
        CyclicLR(given, 0.1, 0.5)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_an_optimizer_without_rates(unchanged):
    class Rateless(torch.optim.Optimizer):
        def __init__(self):
            groups = [{"params": [weight()], "lr": 0.1}, {"params": [weight()]}]
            super().__init__(groups, {"momentum": 0.9})

        def step(self):
            """An update that changes nothing."""

    optimizer = Rateless()
    message = (
        "`optimizer` must have a rate under 'lr' in each parameter group. "
        "Received: Rateless with params, momentum in group 1"
    )
    for make in (CyclicLR, lambda *_: ScheduledLR(optimizer, WITH_MOMENTUM)):
        with unchanged(optimizer), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            make(optimizer, 0.1, 0.5)
