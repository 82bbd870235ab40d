"""Inside torch's SequentialLR and ChainedScheduler it behaves like torch's own class."""

import copy
import io

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    ExponentialLR,
    LinearLR,
    SequentialLR,
)
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_torch import CyclicLR
from integration.torch.training import make, values


def cyclic(kind, optimizer, **arguments):
    boundaries = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "mode": "triangular2"}
    return kind(optimizer, **boundaries | arguments)


def warm_up_then(kind, optimizer):
    warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=5)
    return SequentialLR(optimizer, [warm_up, cyclic(kind, optimizer)], milestones=[5])


def then_constant(kind, optimizer):
    first = cyclic(kind, optimizer)
    return SequentialLR(optimizer, [first, ConstantLR(optimizer, 0.5, 4)], milestones=[8])


def then_decaying(kind, optimizer):
    first = cyclic(kind, optimizer)
    return SequentialLR(optimizer, [first, ExponentialLR(optimizer, 0.8)], milestones=[8])


def two_cycles(kind, optimizer):
    second = cyclic(kind, optimizer, base_lr=0.01, max_lr=0.05, mode="triangular")
    return SequentialLR(optimizer, [cyclic(kind, optimizer), second], milestones=[7])


def twice_the_same(kind, optimizer):
    # While the second hasn't started, its rate is the one that the first has set.
    return SequentialLR(optimizer, [cyclic(kind, optimizer) for _ in "12"], milestones=[7])


def after_a_decay(kind, optimizer):
    # A scheduler before it in a chain has no effect: it sets the rate and doesn't scale it.
    return ChainedScheduler([ExponentialLR(optimizer, 0.8), cyclic(kind, optimizer)])


def before_a_decay(kind, optimizer):
    # Nor does a decay accumulate: it scales a rate that is set again at each step.
    return ChainedScheduler([cyclic(kind, optimizer), ExponentialLR(optimizer, 0.8)])


def sequence_in_a_chain(kind, optimizer):
    return ChainedScheduler([warm_up_then(kind, optimizer)])


COMPOSITIONS = [
    warm_up_then,
    then_constant,
    then_decaying,
    two_cycles,
    twice_the_same,
    after_a_decay,
    before_a_decay,
    sequence_in_a_chain,
]
composed = pytest.mark.parametrize("compose", COMPOSITIONS, ids=lambda each: each.__name__)
STEPS = 20


def over(scheduler, steps=STEPS):
    """Rate, momentum and `get_last_lr()` for each of the updates."""
    seen = []
    for _ in range(steps):
        seen.append((*values(scheduler)[0], *scheduler.get_last_lr()))
        scheduler.optimizer.step()
        scheduler.step()
    return seen


@composed
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_rates_and_momenta_are_those_of_torchs_class(compose, name):
    ours, torchs = (over(compose(kind, make(name))) for kind in (CyclicLR, Torchs))
    if (
        compose is after_a_decay
    ):  # If another scheduler was there first, torch's starts with a wrong rate.
        assert (ours.pop(0)[0], torchs.pop(0)[0]) == (0.1, 0.3)
    for step, (mine, theirs) in enumerate(zip(ours, torchs, strict=True)):
        # The last float64 bits differ, as the formulas do.
        assert mine == pytest.approx(theirs, rel=1e-14, abs=0), step


def stopped(compose, steps):
    scheduler = compose(CyclicLR, make())
    over(scheduler, steps)
    file = io.BytesIO()
    states = {"scheduler": scheduler.state_dict(), "optimizer": scheduler.optimizer.state_dict()}
    torch.save(states, file)
    file.seek(0)
    return over(scheduler, STEPS - steps), torch.load(file, weights_only=True)


# While it hasn't started (0 to 4), in its turn, and once it has finished (8 and after), as the
# first and as the second.
@composed
@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 7, 8, 9, 12])
@pytest.mark.parametrize("first", ["optimizer", "scheduler"])
def test_resuming(compose, steps, first):
    expected, states = stopped(compose, steps)
    kept = copy.deepcopy(states)
    optimizer = make()
    loading = {"optimizer": optimizer, "scheduler": compose(CyclicLR, optimizer)}
    for name in sorted(loading, key=lambda name: name != first):
        loading[name].load_state_dict(states[name])
    assert states == kept
    assert over(loading["scheduler"], STEPS - steps) == expected


@pytest.mark.parametrize("steps", [5, 6, 9])
def test_resuming_with_the_scheduler_only(steps):
    # The second one is active, and puts its rate and momentum into a fresh optimizer.
    expected, states = stopped(warm_up_then, steps)
    scheduler = warm_up_then(CyclicLR, make())
    scheduler.load_state_dict(states["scheduler"])
    assert over(scheduler, STEPS - steps) == expected


def test_a_finished_first_does_not_take_over_again():
    _, states = stopped(then_decaying, 10)
    optimizer = make()
    scheduler = then_decaying(CyclicLR, optimizer)
    optimizer.load_state_dict(states["optimizer"])
    before = values(scheduler)
    scheduler.load_state_dict(states["scheduler"])
    assert values(scheduler) == before
    first, _ = scheduler._schedulers
    assert first.state_dict() == states["scheduler"]["_schedulers"][0]
    assert first.state_dict()["applied"] is False


def test_a_second_that_has_not_started_does_not_take_over():
    _, states = stopped(warm_up_then, 2)
    optimizer = make()
    scheduler = warm_up_then(CyclicLR, optimizer)
    optimizer.load_state_dict(states["optimizer"])
    before = values(scheduler)
    scheduler.load_state_dict(states["scheduler"])
    assert values(scheduler) == before
    _, second = scheduler._schedulers
    assert second.last_epoch == -1
    assert second.get_lr() == [0.1]
    assert second.state_dict() == states["scheduler"]["_schedulers"][1]


def test_a_state_that_does_not_fit_is_refused_through_a_sequence():
    _, states = stopped(warm_up_then, 6)
    optimizer = make()
    other = cyclic(CyclicLR, optimizer, max_lr=0.6)
    scheduler = SequentialLR(optimizer, [LinearLR(optimizer), other], milestones=[5])
    with pytest.raises(ValueError, match=r"max_lr=0.5 in place of 0.6"):
        scheduler.load_state_dict(states["scheduler"])
