"""Defects of torch's own class that ours doesn't have: each check fails there and passes here.

`docs/torchs-defects.md` shows them in running code.
The test expects torch's class to fail, so that we notice when torch fixes a defect.
"""

import copy

import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR as Torchs
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR

import clr_torch
import oracle

CHECKS = []


def check(function):
    """Add a function of the scheduler's class to the list; it asserts that the class is right."""
    CHECKS.append(function)
    return function


pytestmark = pytest.mark.filterwarnings("ignore")


def sgd(groups=1, **options):
    weights = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    return torch.optim.SGD(weights, **{"lr": 0.1, "momentum": 0.9, **options})


def run(optimizer, scheduler, steps):
    for _ in range(steps):
        optimizer.step()
        scheduler.step()


def advanced(cls, steps, **options):
    optimizer = sgd()
    scheduler = cls(optimizer, 0.1, 0.5, step_size_up=4, **options)
    run(optimizer, scheduler, steps)
    return optimizer, scheduler


@check
def triangular2_goes_on_in_cycle_1025(cls):
    optimizer = sgd()
    scheduler = cls(optimizer, 0.1, 0.5, step_size_up=1, mode="triangular2", last_epoch=-1)
    run(optimizer, scheduler, 2050)
    return scheduler.get_last_lr() == [0.1]


@check
def the_rates_of_far_steps_are_exact(cls):
    """As float32 numbers, in a mode in which the band has hardly shrunk."""
    optimizer = sgd()
    options = {"step_size_up": 3, "step_size_down": 7, "mode": "exp_range", "gamma": 1 - 2**-45}
    scheduler = cls(optimizer, 0.1, 0.5, **options)
    exact = {"kind": "cyclic", "base_lr": 0.1, "max_lr": 0.5, "scale_fn": None} | options
    steps = range(2**40, 2**40 + 20)
    rates = []
    for step in steps:
        scheduler.step(step)
        rates.append(torch.tensor(scheduler.get_last_lr()).item())
    return rates == [oracle.to_float32(oracle.lr(exact, step)) for step in steps]


@check
def a_band_that_would_overflow_is_refused(cls):
    """And not after 7448 steps."""
    with pytest.raises(ValueError, match="gamma"):
        cls(sgd(), 0.1, 0.5, step_size_up=4, mode="exp_range", gamma=1.1)
    return True


@check
def a_tensor_base_lr_is_not_aliased(cls):
    """The optimizer's rate is a number; the boundary stays what it was."""
    optimizer, base_lr = sgd(), torch.tensor(0.125)
    scheduler = cls(optimizer, base_lr, 0.5, step_size_up=2)
    run(optimizer, scheduler, 4)
    return float(base_lr) == 0.125 and float(scheduler.get_last_lr()[0]) == 0.125


@check
def the_first_rate_is_base_lr_after_another_scheduler(cls):
    optimizer = sgd(lr=0.5)
    ExponentialLR(optimizer, 0.9)
    cls(optimizer, 0.1, 0.3, step_size_up=4)
    return optimizer.param_groups[0]["lr"] == 0.1


@check
def a_constructor_that_fails_changes_nothing(cls):
    optimizer = sgd()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"mode"):
        cls(optimizer, 0.2, 0.5, mode="cats")
    return optimizer.state_dict() == before


@check
def loading_leaves_the_dict_alone(cls):
    _, scheduler = advanced(cls, 3)
    state = scheduler.state_dict()
    keys = set(state)
    advanced(cls, 0)[1].load_state_dict(state)
    return set(state) == keys


@check
def a_state_is_a_snapshot(cls):
    _, scheduler = advanced(cls, 3)
    state = scheduler.state_dict()
    for name in ("base_lrs", "max_lrs", "_last_lr"):
        if hasattr(scheduler, name):
            getattr(scheduler, name)[0] = 99.0
    return "99.0" not in repr(state)


@check
def schedulers_that_loaded_one_state_share_nothing(cls):
    _, scheduler = advanced(cls, 3)
    state = copy.deepcopy(scheduler.state_dict())
    one, other = advanced(cls, 0)[1], advanced(cls, 0)[1]
    for each in (one, other):
        each.load_state_dict(dict(state))
    one.base_lrs[0] = 99.0
    return other.base_lrs == [0.1]


@check
def a_momentum_of_0_stays_0(cls):
    optimizer = sgd(momentum=0.0)
    cls(optimizer, 0.1, 0.5)
    return optimizer.param_groups[0]["momentum"] == 0.0


@check
def a_running_rmsprop_goes_on(cls):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.RMSprop([weight])
    weight.grad = torch.ones(1)
    optimizer.step()
    cls(optimizer, 0.1, 0.5)
    optimizer.step()
    return True


@check
def a_scale_fn_is_not_lost_without_a_word(cls):
    _, scheduler = advanced(cls, 3, scale_fn=lambda x: 0.5)
    state = scheduler.state_dict()
    with pytest.raises(ValueError, match="scale_fn"):
        advanced(cls, 0)[1].load_state_dict(state)
    return True


@check
def a_scale_fn_is_not_replaced_without_a_word(cls):
    def half(x):
        return 0.5

    def quarter(x):
        return 0.25

    _, scheduler = advanced(cls, 3, scale_fn=half)
    with pytest.raises(ValueError, match="scale_fn"):
        advanced(cls, 0, scale_fn=quarter)[1].load_state_dict(scheduler.state_dict())
    return True


@check
def a_builtin_scale_fn_can_be_saved(cls):
    _, scheduler = advanced(cls, 3, scale_fn=abs)
    return bool(scheduler.state_dict())


@check
def the_rate_is_right_after_loading_the_optimizer_first(cls):
    optimizer, scheduler = advanced(cls, 3)
    states = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    again = sgd()
    again.load_state_dict(states[0])
    loaded = cls(again, 0.1, 0.5, step_size_up=4)
    loaded.load_state_dict(states[1])
    return again.param_groups[0]["lr"] == scheduler.get_last_lr()[0]


@check
def the_momentum_is_right_after_loading_the_scheduler_only(cls):
    optimizer, scheduler = advanced(cls, 3)
    again = sgd()
    cls(again, 0.1, 0.5, step_size_up=4).load_state_dict(copy.deepcopy(scheduler.state_dict()))
    return again.param_groups[0]["momentum"] == optimizer.param_groups[0]["momentum"]


@check
def last_epoch_needs_no_old_optimizer(cls):
    optimizer = sgd()
    cls(optimizer, 0.1, 0.5, step_size_up=4, last_epoch=1)
    return optimizer.param_groups[0]["lr"] == pytest.approx(0.3)


@check
def last_epoch_goes_by_the_boundaries_given(cls):
    """And not by the values that another scheduler has left in the optimizer."""
    optimizer = sgd(lr=0.5)
    ExponentialLR(optimizer, 0.9)
    cls(optimizer, 0.1, 0.3, step_size_up=4, last_epoch=0)
    return optimizer.param_groups[0]["lr"] == pytest.approx(0.15)


@check
def the_curve_is_periodic(cls):
    optimizer = sgd()
    scheduler = cls(optimizer, 0.0, 1.0, step_size_up=3, step_size_down=7)
    rates = []
    for _ in range(100):
        rates.append(scheduler.get_last_lr()[0])
        run(optimizer, scheduler, 1)
    return all(rates[step] == rates[step % 10] for step in range(100))


@check
def get_lr_changes_nothing(cls):
    optimizer, scheduler = advanced(cls, 3)
    optimizer.param_groups[0]["momentum"] = 0.123
    scheduler.get_lr()
    return optimizer.param_groups[0]["momentum"] == 0.123


@check
def a_state_of_sgd_is_not_taken_for_one_of_adam(cls):
    """With other momenta; if they are the same, the state means the same."""
    _, scheduler = advanced(cls, 3)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    other = cls(adam, 0.1, 0.5, step_size_up=4)
    other.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    other.step()
    return adam.param_groups[0]["betas"][0] == pytest.approx(0.8)


@check
def one_groups_state_is_not_taken_for_two(cls):
    _, scheduler = advanced(cls, 3)
    two = cls(sgd(groups=2), 0.1, 0.5, step_size_up=4)
    with pytest.raises(ValueError, match="groups"):
        two.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    return True


@check
def a_state_with_other_parameters_is_refused(cls):
    _, scheduler = advanced(cls, 3)
    other = cls(sgd(), 0.1, 5.0, step_size_up=10)
    with pytest.raises(ValueError, match="max_lr"):
        other.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    return True


@check
def tensor_betas_stay_tensors(cls):
    """Adam's own constructor refuses a float beside a tensor."""
    betas = torch.tensor(0.9), torch.tensor(0.99)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], torch.tensor(0.1), betas)
    cls(adam, 0.1, 0.5)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], betas=adam.param_groups[0]["betas"])
    return adam.param_groups[0]["betas"][0] is betas[0]


@check
def groups_that_share_a_tensor_get_their_own_rates(cls):
    """Also if they share one only since a state was loaded."""
    optimizer = sgd(2, lr=torch.tensor(0.1))
    state = copy.deepcopy(optimizer.state_dict())
    scheduler = cls(optimizer, [0.125, 0.25], 0.5, step_size_up=4)
    optimizer.load_state_dict(state)
    run(optimizer, scheduler, 8)
    return [group["lr"].item() for group in optimizer.param_groups] == [0.125, 0.25]


@check
def the_momenta_of_one_cycle_lr_are_left_alone(cls):
    optimizer = sgd()
    OneCycleLR(optimizer, 0.5, total_steps=10)
    before = dict(optimizer.param_groups[0])
    cls(optimizer, 0.1, 0.5, base_momentum=0.1, max_momentum=0.2)
    names = ("base_momentum", "max_momentum")
    return all(optimizer.param_groups[0][name] == before[name] for name in names)


@check
def a_negative_step_is_refused(cls):
    """The rate would be above `max_lr`, and the momentum below `base_momentum`."""
    _, scheduler = advanced(cls, 0, mode="triangular2")
    with pytest.raises(ValueError, match=r"step|epoch"):
        scheduler.step(-4)
    return True


@check
def a_step_compiled_before_is_refused_with_a_reason(cls):
    optimizer = sgd()
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    with pytest.raises(ValueError, match=r"optimizer\.step"):
        cls(optimizer, 0.1, 0.5)
    return True


@check
def a_group_added_later_changes_nothing_before_it_raises(cls):
    optimizer, scheduler = advanced(cls, 3)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    before = dict(optimizer.param_groups[0]), scheduler.last_epoch
    with pytest.raises(ValueError, match=r"group|zip"):
        scheduler.step()
    return (optimizer.param_groups[0], scheduler.last_epoch) == before


@pytest.mark.parametrize("right", CHECKS, ids=lambda right: right.__name__)
def test_ours_has_it_right(right):
    assert right(clr_torch.CyclicLR)


@pytest.mark.parametrize("right", CHECKS, ids=lambda right: right.__name__)
def test_torchs_own_has_not(right):
    try:
        mended = right(Torchs)
    except (Exception, pytest.fail.Exception):
        mended = False
    assert not mended, "torch has mended this: take it out of the list"
