"""What torch's class has, and lets one do to it, beside torch's class itself."""

import copy
import pickle
import types

import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR as Torchs
from torch.optim.lr_scheduler import SequentialLR

from clr_core import CyclicSchedule
from clr_torch import CyclicLR, to_record
from integration.torch.training import after, make, values
from other_kinds import Cosine

KINDS = (CyclicLR, Torchs)
ARGUMENTS = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "step_size_down": 5}


def used(scheduler, steps):
    """The rates and momenta of the next updates."""
    seen = [values(after(scheduler, 1)) for _ in range(steps)]
    return [number for groups in seen for pair in groups for number in pair]


def same(act, name="SGD", groups=1, rel=1e-13, **arguments):
    """The rest of a run after `act` is that of torch's class."""
    runs = []
    for kind in KINDS:
        scheduler = kind(make(name, groups), **ARGUMENTS | arguments)
        seen = used(scheduler, 2)
        act(scheduler)
        runs.append(seen + used(scheduler, 20))
    # A tensor makes a float32 of torch's rates.
    assert runs[0] == pytest.approx(runs[1], rel=rel, abs=1e-15)


def assign(**lists):
    def act(scheduler):
        for name, given in lists.items():
            setattr(scheduler, name, given)

    return act


def write(**lists):
    def act(scheduler):
        for name, given in lists.items():
            getattr(scheduler, name)[:] = given

    return act


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("by", [assign, write])
@pytest.mark.parametrize(
    "lists",
    [
        {"base_lrs": [0.2]},
        {"max_lrs": [0.7]},
        {"base_lrs": [1.0], "max_lrs": [2.0]},  # Above the old upper one for a moment.
        {"max_lrs": [torch.tensor(0.75)]},
        {"base_momentums": [0.5], "max_momentums": [0.75]},
        {"base_lrs": [0.0], "max_momentums": [0.95]},
    ],
    ids=str,
)
def test_boundaries_that_are_set(by, lists, name):
    rel = 1e-6 if "tensor" in str(lists) else 1e-13
    same(by(**lists), name, rel=rel)
    same(by(**lists), name, rel=rel, mode="triangular2")


def test_boundaries_of_several_groups():
    same(assign(base_lrs=[0.1, 0.2], max_lrs=[0.3, 0.9]), groups=2)
    same(lambda scheduler: scheduler.max_lrs.__setitem__(1, 0.9), groups=2)
    same(lambda scheduler: scheduler.base_lrs.reverse(), groups=2, base_lr=[0.1, 0.2])


def test_a_list_that_is_kept_and_written_into_later():
    def act(scheduler):
        mine = [0.5]
        scheduler.max_lrs = mine
        mine[0] = 0.9

    same(act)


@pytest.mark.parametrize("by", ["assign", "append"])
def test_a_group_that_is_added_with_its_boundaries(by):
    # As code does that unfreezes layers.
    def act(scheduler):
        scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(3))]})
        new = {"base_lrs": 0.01, "max_lrs": 0.05, "base_momentums": 0.7, "max_momentums": 0.8}
        for name, value in new.items():
            if by == "append":
                getattr(scheduler, name).append(value)
            else:
                setattr(scheduler, name, [*getattr(scheduler, name), value])

    same(act)
    same(act, "Adam", mode="exp_range", gamma=0.99)


def test_a_group_without_momentum_that_is_added_stays_without():
    scheduler = CyclicLR(make(), **ARGUMENTS)
    group = {"params": [torch.nn.Parameter(torch.zeros(3))], "momentum": 0.0}
    scheduler.optimizer.add_param_group(group)
    for name in ("base_lrs", "max_lrs", "base_momentums", "max_momentums"):
        getattr(scheduler, name).append(getattr(scheduler, name)[0])
    used(scheduler, 3)
    assert [group["momentum"] for group in scheduler.optimizer.param_groups] == [0.8, 0.0]
    assert scheduler.get_last_momentum() == [0.8, None]


def test_boundaries_for_another_number_of_groups_are_refused():
    scheduler = CyclicLR(make(), **ARGUMENTS)
    scheduler.max_lrs.append(0.7)
    scheduler.optimizer.step()
    for act in (scheduler.step, scheduler.get_lr, scheduler.state_dict):
        with pytest.raises(
            ValueError, match=r"`max_lrs` must have one value .* \(1\)\. Received: 2"
        ):
            act()
    assert scheduler.last_epoch == 0
    scheduler.max_lrs.pop()
    assert used(scheduler, 1) == used(CyclicLR(make(), **ARGUMENTS), 1)


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ({"base_lrs": [0.6]}, ValueError, "`base_lr` must not be above `max_lr`"),
        ({"max_lrs": [float("nan")]}, ValueError, "`max_lrs` must be finite"),
        ({"max_lrs": ["0.5"]}, TypeError, "`max_lrs` must be a number"),
        ({"base_lrs": [torch.ones(2)]}, TypeError, "`base_lrs` must be a number"),
        ({"base_momentums": [1.5]}, ValueError, "`base_momentum` must be at least 0 and below 1"),
    ],
    ids=str,
)
def test_bad_boundaries_are_refused_before_anything_changes(lists, error, message, unchanged):
    scheduler = CyclicLR(make(), **ARGUMENTS)
    assign(**lists)(scheduler)
    scheduler.optimizer.step()
    with unchanged(scheduler.optimizer), pytest.raises(error, match=message):
        scheduler.step()
    assert scheduler.last_epoch == 0


def test_what_is_no_list_is_refused_at_once():
    scheduler = CyclicLR(make(), **ARGUMENTS)
    with pytest.raises(TypeError, match=r"^`max_lrs` must be a list\. Received: max_lrs=0\.5$"):
        scheduler.max_lrs = 0.5
    without = CyclicLR(make(), 0.1, 0.5, cycle_momentum=False)
    assert without.cycle_momentum is hasattr(without, "max_momentums") is False
    assert not hasattr(without, "base_momentums")
    with pytest.raises(AttributeError, match="base_momentum"):
        without.base_momentums = [0.8]


def test_states_records_and_copies_have_the_boundaries_that_were_set():
    scheduler = CyclicLR(make(), **ARGUMENTS)
    used(scheduler, 2)
    scheduler.max_lrs = [0.7]
    (schedule,) = scheduler.schedules
    assert schedule == CyclicSchedule(
        **ARGUMENTS | {"max_lr": 0.7}, base_momentum=0.8, max_momentum=0.9
    )
    # The last rate set is one of the old boundaries until the next step.
    used(scheduler, 1)
    assert to_record(scheduler).schedule == schedule
    for other in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        other.max_lrs[0] = 0.9
        assert other.schedules[0].max_lr == 0.9
    assert scheduler.schedules == (schedule,)
    resumed = CyclicLR(make(), **ARGUMENTS | {"max_lr": 0.7})
    resumed.load_state_dict(scheduler.state_dict())
    assert used(resumed, 9) == used(scheduler, 9)


ATTRIBUTES = [
    *("base_lrs", "max_lrs", "total_size", "step_ratio", "mode", "gamma", "scale_mode"),
    *("cycle_momentum", "base_momentums", "max_momentums", "use_beta1"),
]
CASES = [
    {},
    {"mode": "triangular2"},
    {"mode": "exp_range", "gamma": 0.9},
    {"scale_fn": lambda x: 1 / x},
    {"scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"},
    {"base_lr": [0.1, 0.2], "max_momentum": [0.9, 0.95]},
]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_attributes(case, name):
    ours, torchs = (kind(make(name, 2), **ARGUMENTS | case) for kind in KINDS)
    for attribute in ATTRIBUTES:
        assert getattr(ours, attribute) == getattr(torchs, attribute), attribute
    for x in (1, 2, 7):
        assert ours.scale_fn(x) == pytest.approx(torchs.scale_fn(x), rel=1e-15)


@pytest.mark.parametrize(
    "attribute",
    ["total_size", "step_ratio", "mode", "gamma", "scale_mode", "scale_fn", "cycle_momentum"],
)
def test_what_cant_be_set_is_refused(attribute):
    scheduler = CyclicLR(make(), **ARGUMENTS)
    used(scheduler, 3)
    message = rf"^`{attribute}` must stay as it is: .* with last_epoch=2\. Received: {attribute}=7$"
    with pytest.raises(AttributeError, match=message):
        setattr(scheduler, attribute, 7)


def test_groups_with_different_cycles_have_no_attribute_for_all():
    schedules = [CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=up) for up in (2, 3)]
    scheduler = CyclicLR.from_schedule(make(groups=2), schedules)
    assert scheduler.base_lrs == [0.1, 0.1]
    assert not hasattr(scheduler, "total_size")
    scheduler.max_lrs[1] = 0.7
    assert [schedule.max_lr for schedule in scheduler.schedules] == [0.5, 0.7]
    scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(3))]})
    for boundaries in (scheduler.base_lrs, scheduler.max_lrs):
        boundaries.append(boundaries[0])
    scheduler.optimizer.step()
    with pytest.raises(ValueError, match="groups must have the same cycle for another group"):
        scheduler.step()


def test_another_kind_of_schedule():
    scheduler = CyclicLR.from_schedule(make(), Cosine(peak=0.5, floor=0.1, steps=20))
    assert scheduler.base_lrs == [scheduler.schedules[0].lr(0)]
    for attribute in ("max_lrs", "total_size", "mode", "scale_fn"):
        assert not hasattr(scheduler, attribute)
    scheduler.base_lrs[0] = 7.0
    scheduler.optimizer.step()
    with pytest.raises(TypeError, match="`base_lrs` must stay as it is unless each schedule is a"):
        scheduler.step()


def subclasses(get_lr):
    return [type("Mine", (kind,), {"get_lr": get_lr}) for kind in KINDS]


def halved(self):
    return [lr / 2 for lr in super(type(self), self).get_lr()]


def with_a_floor(self):
    return [max(lr, 0.2) for lr in super(type(self), self).get_lr()]


def its_own(self):
    return [0.1 / (1 + self.last_epoch) for _ in self.optimizer.param_groups]


def from_the_rate_before(self):
    return [group["lr"] * 0.9 for group in self.optimizer.param_groups]


OVERRIDING = pytest.mark.parametrize(
    "get_lr", [halved, with_a_floor, its_own, from_the_rate_before], ids=lambda each: each.__name__
)


@OVERRIDING
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_derived_class_with_its_own_get_lr(get_lr, name):
    runs = []
    for kind in subclasses(get_lr):
        # Torch's class puts the lower boundary there before it asks.
        scheduler = kind(make(name, 2), **ARGUMENTS, max_momentum=0.95)
        first = [group["lr"] for group in scheduler.optimizer.param_groups]
        runs.append(first + used(scheduler, 20) + scheduler.get_last_lr())
    assert runs[0] == pytest.approx(runs[1], rel=1e-13)


@OVERRIDING
@pytest.mark.parametrize("first", [0, 1])
def test_resuming_a_derived_class(get_lr, first):
    kind, _ = subclasses(get_lr)
    straight = kind(make(lr=0.1), **ARGUMENTS)
    used(straight, 6)
    states = copy.deepcopy((straight.optimizer.state_dict(), straight.state_dict()))
    resumed = kind(make(lr=0.1), **ARGUMENTS)
    for index in (first, 1 - first):
        (resumed.optimizer, resumed)[index].load_state_dict(states[index])
    assert resumed.get_last_lr() == straight.get_last_lr()
    assert resumed.state_dict() == straight.state_dict()
    assert used(resumed, 9) == used(straight, 9)


@pytest.mark.parametrize("saved_by", [0, 1], ids=["ours", "torch's"])
def test_what_a_derived_class_keeps_is_saved(saved_by):
    def get_lr(self):
        self.factor *= 0.9  # Of its own, and changed in the run.
        return [self.factor * lr for lr in super(type(self), self).get_lr()]

    kinds = [type("Mine", (kind,), {"get_lr": get_lr, "factor": 1.0}) for kind in KINDS]
    straight = kinds[saved_by](make(), **ARGUMENTS)
    used(straight, 6)
    states = copy.deepcopy((straight.optimizer.state_dict(), straight.state_dict()))
    resumed = kinds[0](make(), **ARGUMENTS)
    resumed.optimizer.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert resumed.factor == straight.factor < 0.5
    assert used(resumed, 9) == pytest.approx(used(straight, 9), rel=1e-13)


def test_a_derived_class_that_keeps_nothing_has_the_same_state(unchanged):
    states = []
    for kind in (CyclicLR, type("Mine", (CyclicLR,), {})):
        scheduler = kind(make(), **ARGUMENTS)
        used(scheduler, 3)
        states.append(scheduler.state_dict())
    assert states[0] == states[1]
    with unchanged(scheduler.optimizer), pytest.raises(ValueError, match="a mapping in 'attri"):
        scheduler.load_state_dict({**states[0], "attributes": 5})


def test_a_record_of_rates_that_dont_follow_is_refused():
    kind, _ = subclasses(halved)
    scheduler = kind(make(), **ARGUMENTS)
    used(scheduler, 2)
    with pytest.raises(ValueError, match="The rate of the scheduler must follow from its"):
        to_record(scheduler)


def test_a_get_lr_that_is_put_there_later():
    def act(scheduler):
        def doubled(self):
            return [2 * lr for lr in type(self).get_lr(self)]

        scheduler.get_lr = types.MethodType(doubled, scheduler)

    same(act)
    same(lambda scheduler: setattr(scheduler, "get_lr", lambda: [0.25]))


def test_a_get_lr_that_fails_changes_nothing(unchanged):
    class Mine(CyclicLR):
        rates = (0.1,)

        def get_lr(self):
            return self.rates[0]() if callable(self.rates[0]) else self.rates

    scheduler = Mine(make(), **ARGUMENTS)
    scheduler.optimizer.step()
    for rates, error in (((0.1, 0.2), ValueError), ((lambda: 1 / 0,), ZeroDivisionError)):
        scheduler.rates = rates
        with unchanged(scheduler.optimizer), pytest.raises(error):
            scheduler.step()
        assert scheduler.last_epoch == 0


def test_tensor_rates_of_a_derived_class_are_filled():
    kind, _ = subclasses(lambda self: [torch.tensor(0.25), 0.5])
    shared = torch.tensor(0.3)
    scheduler = kind(make(groups=2, lr=shared), **ARGUMENTS)
    assert scheduler.optimizer.param_groups[0]["lr"] is shared
    assert [each.item() for each in scheduler.get_last_lr()] == [0.25, 0.5]
    assert [group["lr"].item() for group in scheduler.optimizer.param_groups] == [0.25, 0.5]


def test_a_method_scale_fn_is_refused(unchanged):
    # Torch's class calls it; here the decay belongs to the schedule.
    class Mine(CyclicLR):
        def scale_fn(self, x):
            return 1 / x

    optimizer = make()
    with unchanged(optimizer), pytest.raises(TypeError, match="`scale_fn` must not be a method"):
        Mine(optimizer, **ARGUMENTS)


def test_in_a_sequence_the_boundaries_may_be_set_too():
    def run(kind):
        optimizer = make(lr=0.1)
        warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
        scheduler = kind(optimizer, **ARGUMENTS)
        both = SequentialLR(optimizer, [warm_up, scheduler], [3])
        seen = used(both, 5)
        scheduler.max_lrs = [0.9]
        return seen + used(both, 9)

    assert run(CyclicLR) == pytest.approx(run(Torchs), rel=1e-13)
