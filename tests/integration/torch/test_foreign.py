"""Coming from torch's own `CyclicLR`: ours loads its state dict and continues."""

import copy
import functools
import math
import weakref

import pytest
import torch
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_core import Record
from clr_torch import CyclicLR, to_record
from integration.torch import training
from integration.torch.training import after, values

CASES = {
    "triangular": {},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.99},
    "unequal": {"step_size_up": 3, "step_size_down": 7},
    "fractional": {"step_size_up": 2.5},
    "no momentum": {"cycle_momentum": False},
    "momentum": {"base_momentum": 0.6, "max_momentum": [0.7, 0.8]},
    "groups": {"base_lr": [0.1, 0.2], "max_lr": [0.5, 0.6]},
    # Only the upper one: torch's own class overwrites a tensor that it is given for the lower one.
    "tensor": {"base_lr": 0.125, "max_lr": torch.tensor(0.5)},
}


make = functools.partial(training.make, groups=2)


def arguments(case):
    return {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 2} | CASES[case]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", CASES)
def test_is_taken(case, name):
    torchs = after(Torchs(make(name), **arguments(case)), 5)
    state = torchs.state_dict()
    kept = copy.deepcopy(state)
    ours = CyclicLR(make(name), **arguments(case))
    ours.load_state_dict(state)
    assert state == kept
    assert ours.last_epoch == torchs.last_epoch == 5

    straight = after(CyclicLR(make(name), **arguments(case)), 5)
    assert values(ours) == values(straight)
    assert ours.state_dict() == straight.state_dict()
    for mine, theirs in zip(values(after(ours, 3)), values(after(torchs, 3)), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)  # A tensor's rate is a float32 in torch's.


OTHERS = [
    ({}, {"max_lr": 0.6}, "max_lr=0.5 in place of 0.6"),
    (
        {},
        {"step_size_up": 3},
        "step_size_down=2.0 in place of 3.0, step_size_up=2.0 in place of 3.0",
    ),
    (
        {"step_size_up": 1, "step_size_down": 3},
        {"step_size_up": 3, "step_size_down": 1},
        "step_size_down=3.0 in place of 1.0, step_size_up=1.0 in place of 3.0",
    ),
    ({}, {"mode": "triangular2"}, "mode='triangular' in place of 'triangular2'"),
    (
        {"mode": "exp_range", "gamma": 0.99},
        {"mode": "exp_range", "gamma": 0.9},
        "gamma=0.99 in place of 0.9",
    ),
    ({"base_momentum": 0.5}, {}, "base_momentum=0.5 in place of 0.8"),
    ({"cycle_momentum": False}, {}, "base_momentum=None in place of 0.8"),
    ({}, {"cycle_momentum": False}, "max_momentum=0.9 in place of None"),
    ({"base_lr": [0.1, 0.2]}, {}, "Received for group 1: base_lr=0.2 in place of 0.1"),
    # Torch doesn't save a function, but no mode of its own has this `scale_mode`.
    (
        {"scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"},
        {},
        "scale_mode='iterations' in place of 'cycle'",
    ),
]


@pytest.mark.parametrize(("theirs", "ours", "differing"), OTHERS, ids=[each[2] for each in OTHERS])
def test_of_other_parameters_is_refused(theirs, ours, differing, unchanged):
    parameters = arguments("triangular")
    state = after(Torchs(make(), **parameters | theirs), 5).state_dict()
    scheduler = after(CyclicLR(make(), **parameters | ours), 1)
    before = scheduler.state_dict()
    with unchanged(scheduler.optimizer), pytest.raises(ValueError, match="parameters") as caught:
        scheduler.load_state_dict(state)
    assert differing in str(caught.value)
    assert scheduler.state_dict() == before


class Decay:
    """A decay whose attributes torch saves."""

    def __init__(self):
        self.factor = 0.5

    def __call__(self, x):
        return self.factor**x


def test_of_a_callable_object_is_refused_where_there_is_none():
    state = Torchs(make(), 0.1, 0.5, 2, scale_fn=Decay()).state_dict()
    with pytest.raises(ValueError, match=r"'factor': 0\.5}\"} in place of None"):
        CyclicLR(make(), 0.1, 0.5, 2).load_state_dict(state)


def test_with_a_scale_fn_the_rest_is_compared():
    # Torch's state doesn't say which function it was; the user must know.
    decay = {"scale_fn": lambda x: 0.5**x, "scale_mode": "iterations"}
    state = after(Torchs(make(), 0.1, 0.5, 2, **decay), 5).state_dict()
    ours = CyclicLR(make(), 0.1, 0.5, 2, scale_fn="0.5 ** x", scale_mode="iterations")
    ours.load_state_dict(state)
    assert values(ours) == values(after(CyclicLR(make(), 0.1, 0.5, 2, **decay), 5))
    with pytest.raises(ValueError, match="scale_mode='iterations' in place of 'cycle'"):
        CyclicLR(make(), 0.1, 0.5, 2, scale_fn="0.5 ** x").load_state_dict(state)


class Old:
    """The form of the states that torch 1.1 to 1.13 wrote, made from one of today."""

    def __init__(self, mode="triangular", scale_fn=None):
        self.mode, self.given = mode, scale_fn

    def _triangular_scale_fn(self, x):
        return 1.0

    def _triangular2_scale_fn(self, x):
        return 1 / 2.0 ** (x - 1)

    def _exp_range_scale_fn(self, x):
        return 0.99**x

    def method(self, x):
        return self.given(x)

    def own(self):
        return getattr(self, f"_{self.mode}_scale_fn")


def in_1_1(state, old):
    state = {**state, "scale_fn": old.given or old.own()}
    later = ("_last_lr", "_scale_fn_custom", "use_beta1", "_is_initial")
    return {name: each for name, each in state.items() if name not in later}


def in_1_7(state, old):
    return in_1_1(state, old) | {"_last_lr": state["_last_lr"], "verbose": False}


def in_1_12(state, old):
    reference = None if old.given else weakref.WeakMethod(old.own())
    return state | {"_scale_fn_ref": reference, "_scale_fn_custom": old.given, "verbose": False}


def in_1_13(state, old):
    return {**state, "_scale_fn_custom": old.given}


def in_2_1(state, old):
    own = functools.partial(Torchs._exp_range_scale_fn, 0.99)
    return state | {"_scale_fn_ref": None if old.given else own, "_scale_fn_custom": old.given}


FORMS = pytest.mark.parametrize(
    "form", [in_1_1, in_1_7, in_1_12, in_1_13, in_2_1], ids=lambda form: form.__name__
)


@FORMS
@pytest.mark.parametrize("case", ["triangular", "triangular2", "exp_range", "no momentum"])
def test_of_an_old_torch_is_taken(form, case):
    torchs = after(Torchs(make(), **arguments(case)), 5)
    old = Old(torchs.mode)
    state = form(torchs.state_dict(), old)
    ours = CyclicLR(make(), **arguments(case))
    ours.load_state_dict(state)
    assert values(ours) == values(after(CyclicLR(make(), **arguments(case)), 5))
    (schedule, _) = ours.schedules
    assert to_record(state) == Record(schedule, 5)


def halved(x):
    return 0.5 ** (x - 1)


FUNCTIONS = {
    "function": halved,
    "lambda": lambda x: 0.5 ** (x - 1),
    "method": Old(scale_fn=halved).method,
    "partial": functools.partial(pow, 0.5),
    "object": Decay(),
}


@FORMS
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_function_in_the_state_of_an_old_torch_is_not_lost(form, function, steps):
    torchs = after(Torchs(make(), 0.1, 0.5, 2, scale_fn=function), steps)
    state = form(torchs.state_dict(), Old(scale_fn=function))
    with pytest.raises(TypeError, match="a Python callable can't be carried"):
        to_record(state)
    plain = CyclicLR(make(), 0.1, 0.5, 2)
    with pytest.raises(ValueError, match=r"scale_fn=\{'callable': .*\} in place of None"):
        plain.load_state_dict(state)
    assert plain.last_epoch == 0
    ours = CyclicLR(make(), 0.1, 0.5, 2, scale_fn=function)
    ours.load_state_dict(state)
    assert values(ours) == values(after(CyclicLR(make(), 0.1, 0.5, 2, scale_fn=function), steps))


@FORMS
def test_another_function_in_the_state_of_an_old_torch_is_refused(form):
    state = form(
        after(Torchs(make(), 0.1, 0.5, 2, scale_fn=halved), 1).state_dict(), Old("", halved)
    )
    with pytest.raises(ValueError, match="halved'} in place of"):
        CyclicLR(make(), 0.1, 0.5, 2, scale_fn=math.exp).load_state_dict(state)


@pytest.mark.parametrize("steps", [1, 5, 6])
@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3)], ids=["float", "tensor"])
def test_a_function_that_was_not_saved_shows_in_the_rate(steps, lr):
    # `load_state_dict` and `to_record` look at the same evidence.
    def scale(x):
        return 0.25 / x

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], lr=lr, momentum=0.9)
    state = after(Torchs(optimizer, 0.1, 0.5, 2, scale_fn=scale), steps).state_dict()
    plain, right, wrong = (
        CyclicLR(
            torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))], momentum=0.9), 0.1, 0.5, 2, **each
        )
        for each in ({}, {"scale_fn": "0.25 / x"}, {"scale_fn": "0.3 / x"})
    )
    message = "^The rate of the scheduler must follow from its parameters: .* Give the decay as an"
    for read in (to_record, plain.load_state_dict, wrong.load_state_dict):
        with pytest.raises(ValueError, match=message):
            read(state)
    assert (plain.last_epoch, wrong.last_epoch) == (0, 0)
    right.load_state_dict(state)
    assert to_record(state, scale_fn="0.25 / x").schedule == right.schedules[0]


def test_step_sizes_with_many_digits_are_taken():
    # They can't be found again from their sum and ratio, but they give these.
    sizes = {"step_size_up": 1000 / 3, "step_size_down": 2000 / 7}
    state = after(Torchs(make(), 0.1, 0.5, **sizes), 5).state_dict()
    ours = CyclicLR(make(), 0.1, 0.5, **sizes)
    ours.load_state_dict(state)
    assert ours.last_epoch == 5
