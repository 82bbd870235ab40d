"""What the constructor found out is found out again after `optimizer.load_state_dict`.

It puts other dicts in the place of the groups, and torch advises to make the scheduler before it.
"""

import copy
import re
import warnings

import pytest
import torch

from clr_torch import CyclicLR

STEPS = 12


def weight():
    return torch.nn.Parameter(torch.ones(3))


def make(name="SGD", groups=1, **options):
    return getattr(torch.optim, name)([{"params": [weight()]} for _ in range(groups)], **options)


def scheduled(optimizer, kind=CyclicLR, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of a momentum that is 0.
        return kind(optimizer, 0.01, 0.1, step_size_up=4, **options)


def run(scheduler, steps):
    for _ in range(steps):
        for group in scheduler.optimizer.param_groups:
            for each in group["params"]:
                each.grad = torch.ones_like(each)
        scheduler.optimizer.step()
        scheduler.step()
    return scheduler


def values(scheduler):
    return [
        (float(group["lr"]), *map(float, group.get("betas", ())), float(group.get("momentum", 0)))
        for group in scheduler.optimizer.param_groups
    ]


def saved(scheduler):
    return copy.deepcopy((scheduler.optimizer.state_dict(), scheduler.state_dict()))


def optimizer_first(optimizer, states, **options):
    optimizer.load_state_dict(states[0])
    scheduler = scheduled(optimizer, **options)
    scheduler.load_state_dict(states[1])
    return scheduler


def scheduler_made_first(optimizer, states, **options):
    scheduler = scheduled(optimizer, **options)
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    return scheduler


def scheduler_first(optimizer, states, **options):
    scheduler = scheduled(optimizer, **options)
    scheduler.load_state_dict(states[1])
    optimizer.load_state_dict(states[0])
    return scheduler


ORDERS = pytest.mark.parametrize(
    "load",
    [optimizer_first, scheduler_made_first, scheduler_first],
    ids=lambda order: order.__name__,
)


@ORDERS
@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_momentum_that_comes_with_the_state_cycles(load, name, stop):
    straight = run(scheduled(make(name, lr=0.1, momentum=0.9)), stop)
    resumed = load(make(name, lr=0.1), saved(straight))
    for _ in range(STEPS):
        assert values(run(resumed, 1)) == values(run(straight, 1))
        assert resumed.get_last_momentum() == straight.get_last_momentum() != [None]


@ORDERS
@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])
def test_a_momentum_of_0_that_comes_with_the_state_stays_0(load, name):
    # Switched on, an RMSprop would have no buffer for it.
    key = "betas" if name == "Adam" else "momentum"
    zero, some = ((0.0, 0.99), (0.9, 0.99)) if name == "Adam" else (0.0, 0.9)
    straight = run(scheduled(make(name, lr=0.1, **{key: zero})), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed = run(load(make(name, lr=0.1, **{key: some}), saved(straight)), 2)
    assert resumed.optimizer.param_groups[0][key] == zero
    assert resumed.get_last_momentum() == [None]


def test_of_a_momentum_that_is_lost_is_told_once():
    states = saved(run(scheduled(make(lr=0.1)), 3))
    resumed = scheduled(make(lr=0.1, momentum=0.9))
    resumed.optimizer.load_state_dict(states[0])
    with pytest.warns(UserWarning, match="isn't cycled any more in group 0: it is 0") as caught:
        resumed.load_state_dict(states[1])
    assert caught[0].filename == __file__
    run(resumed, 3)  # Without another warning, which would be an error.

    again = scheduled(make(lr=0.1, momentum=0.9))
    again.optimizer.load_state_dict(states[0])
    again.optimizer.step()
    with (
        pytest.warns(UserWarning, match="isn't cycled any more"),
        pytest.warns(UserWarning, match="an update with the rate 0.0775") as caught,  # Of step 3.
    ):
        again.step()
    assert [each.filename for each in caught] == [__file__] * 2


def test_a_momentum_that_is_set_by_hand_cycles():
    scheduler = scheduled(make(lr=0.1))
    run(scheduler, 2)
    scheduler.optimizer.param_groups[0]["momentum"] = 0.5
    run(scheduler, 2)
    assert scheduler.get_last_momentum() == [scheduler.schedules[0].momentum(4)] == [0.8]


ONE = torch.tensor(0.3)


@ORDERS
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_groups_that_share_a_tensor_since_the_state_get_one_each(load, name):
    # Torch's own class leaves one tensor in both groups, and the second one's rate in it.
    theirs = make(name, 2, lr=torch.tensor(0.3))
    states = (theirs.state_dict(), saved(run(both(make(name, 2, lr=0.3)), 3))[1])
    assert theirs.param_groups[0]["lr"] is theirs.param_groups[1]["lr"]
    optimizer = make(name, 2, lr=torch.tensor(0.3))
    scheduler = both(optimizer)
    if load is optimizer_first:
        optimizer.load_state_dict(states[0])
        scheduler = both(optimizer)
    if load is scheduler_made_first:
        optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    if load is scheduler_first:
        optimizer.load_state_dict(states[0])
    for step in range(4, 9):
        run(scheduler, 1)
        expected = torch.tensor([schedule.lr(step) for schedule in scheduler.schedules]).tolist()
        assert [group["lr"].item() for group in optimizer.param_groups] == expected
        assert [each.item() for each in scheduler.get_last_lr()] == expected


def both(optimizer):
    return CyclicLR(optimizer, [0.1, 0.2], [0.5, 0.6], 4, cycle_momentum=False)


def test_two_views_of_one_memory_are_shared_too():
    lr = torch.tensor([0.3])
    groups = [{"params": [weight()], "lr": lr[0]}, {"params": [weight()], "lr": lr[0]}]
    scheduler = both(torch.optim.SGD(groups))
    assert [round(each.item(), 6) for each in scheduler.get_last_lr()] == [0.1, 0.2]
    assert [round(group["lr"].item(), 6) for group in groups] == [0.1, 0.2]


def test_betas_that_are_shared_since_the_state():
    def adam():
        betas = torch.tensor(0.5), torch.tensor(0.99)
        return make("Adam", 2, lr=torch.tensor(0.3), betas=betas, capturable=True)

    optimizer = adam()
    momenta = {"base_momentum": [0.75, 0.5], "max_momentum": [0.875, 0.75]}
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 2, **momenta)
    optimizer.load_state_dict(adam().state_dict())
    betas = [group["betas"] for group in optimizer.param_groups]
    assert betas[0][0] is betas[1][0]
    optimizer.step()  # Without gradients: on the CPU, Adam has no capturable form.
    scheduler.step()
    assert [group["betas"][0].item() for group in optimizer.param_groups] == [0.8125, 0.625]


@ORDERS
@pytest.mark.parametrize("theirs", [0.1, torch.tensor(0.1)], ids=["float", "tensor"])
@pytest.mark.parametrize("ours", [0.1, torch.tensor(0.1)], ids=["float", "tensor"])
def test_a_tensor_in_the_place_of_a_float_and_back(load, theirs, ours):
    states = saved(run(scheduled(make(lr=theirs, momentum=0.9)), 3))
    scheduler = load(make(lr=ours, momentum=0.9), states)
    for step in range(4, 9):
        run(scheduler, 1)
        (lr,) = scheduler.get_last_lr()
        (group,) = scheduler.optimizer.param_groups
        assert type(lr) is type(group["lr"]) is type(theirs)
        assert float(lr) == float(group["lr"]) == pytest.approx(scheduler.schedules[0].lr(step))


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("SGD", "momentum", ..., "under 'momentum' in each group .* SGD with no 'momentum' in"),
        ("SGD", "momentum", None, "have `momentum` or `betas` .* SGD with momentum=None in group"),
        ("Adam", "betas", None, "have `momentum` or `betas` .* Adam with betas=None in group 0"),
        ("Adam", "betas", ("a", "b"), r"under 'betas' .* Adam with betas=\('a', 'b'\) in group 0"),
        ("SGD", "lr", ..., "have a rate under 'lr' in each parameter group. Received: SGD with"),
    ],
)
def test_keys_that_the_state_doesnt_have(name, key, value, message):
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    scheduler = run(scheduled(make(name, lr=0.1, **momentum)), 2)
    optimizer, states = scheduler.optimizer, saved(scheduler)
    state = copy.deepcopy(states[0])
    if value is ...:
        del state["param_groups"][0][key]
    else:
        state["param_groups"][0][key] = value
    optimizer.load_state_dict(state)
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    for act in (scheduler.step, lambda: scheduler.load_state_dict(states[1])):
        with pytest.raises(ValueError, match=message):
            act()
        assert scheduler.last_epoch == 2
        assert optimizer.state_dict()["param_groups"] == groups
        assert scheduler.get_last_lr() == states[1]["_last_lr"]
    optimizer.load_state_dict(states[0])
    run(scheduler, 1)


def test_dicts_that_were_put_into_the_same_list():
    # As code does that freezes and unfreezes layers.
    optimizer = make("SGD", 2, lr=0.1, momentum=0.9)
    scheduler = run(scheduled(optimizer), 1)
    groups = [[each] for group in optimizer.param_groups for each in group["params"]]
    optimizer.param_groups.clear()
    for parameters in groups:
        optimizer.add_param_group({"params": parameters, "momentum": 0.0})
    with pytest.warns(UserWarning, match="an update with the rate 0.1 in group 0"):
        optimizer.step()
    with pytest.warns(UserWarning, match=r"any more in group 0, 1"):
        scheduler.step()
    assert [group["momentum"] for group in optimizer.param_groups] == [0.0, 0.0]
    assert [group["lr"] for group in optimizer.param_groups] == [scheduler.schedules[0].lr(2)] * 2


class Listing(torch.optim.SGD):
    """An optimizer that makes a list of its groups at each call, as those of others do."""

    @property
    def param_groups(self):
        return [*self.__dict__.get("all_groups", [])]

    @param_groups.setter
    def param_groups(self, groups):
        self.__dict__["all_groups"] = groups

    def add_param_group(self, group):
        self.__dict__["all_groups"].append(self.defaults | group)


def test_an_optimizer_that_makes_a_list_at_each_call():
    optimizer = Listing([{"params": [weight()]}], lr=0.1, momentum=0.9)
    scheduler = run(scheduled(optimizer, base_momentum=0.0), 4)
    assert values(scheduler) == [(0.1, 0.0)]
    assert values(run(scheduler, 4)) == [(0.01, 0.9)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (1, r"\(2\)\. Received: 1 groups\. Make a new scheduler for those left, with .*=1\.$"),
        (3, r"\(2\)\. Received: 3 groups\. Make a new scheduler after `add_param_group`, .*=1\.$"),
    ],
)
def test_another_number_of_groups(groups, message):
    scheduler = run(scheduled(make("SGD", 2, lr=0.1, momentum=0.9)), 1)
    optimizer, state = scheduler.optimizer, scheduler.state_dict()
    optimizer.param_groups = make("SGD", groups, lr=0.7, momentum=0.9).param_groups
    for act in (scheduler.step, lambda: scheduler.load_state_dict(state)):
        with pytest.raises(ValueError, match=r"^The optimizer must have as many") as caught:
            act()
        assert [group["lr"] for group in optimizer.param_groups] == [0.7] * groups
    assert re.search(message.replace("=1", "=0"), str(caught.value))
