"""Arguments that torch silently ignores, and a momentum that it silently switches on."""

import warnings

import pytest
import torch

from clr_torch import CyclicLR
from integration.torch.training import make


def lr_at(step, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CyclicLR(make(), 0.1, 0.5, 2, last_epoch=step - 1, **arguments).get_last_lr()


IGNORED = [
    (
        {"gamma": 0.9},
        {"gamma"},
        "`gamma` is ignored: only `mode` 'exp_range' uses it. Received: gamma=0.9",
    ),
    (
        {"mode": "triangular2", "gamma": 1.1},
        {"gamma"},
        "`gamma` is ignored: only `mode` 'exp_range' uses it. Received: gamma=1.1",
    ),
    (
        {"scale_fn": "1 / x", "gamma": 0.9},
        {"gamma"},
        "`gamma` is ignored: only `mode` 'exp_range' uses it. Received: gamma=0.9",
    ),
    (
        {"scale_fn": "1 / x", "mode": "triangular2"},
        {"mode"},
        "`mode` is ignored: a `scale_fn` takes its place. Received: mode='triangular2'",
    ),
    (
        {"scale_fn": "1 / x", "mode": "dogs"},
        {"mode"},
        "`mode` is ignored: a `scale_fn` takes its place. Received: mode='dogs'",
    ),
    (
        {"mode": "exp_range", "gamma": 0.9, "scale_mode": "iterations"},
        {"scale_mode"},
        "`scale_mode` is ignored: only a `scale_fn` uses it. Received: scale_mode='iterations'",
    ),
    (
        {"cycle_momentum": False, "base_momentum": 0.5},
        {"base_momentum"},
        "`base_momentum` is ignored: `cycle_momentum` is False. Received: base_momentum=0.5",
    ),
    (
        {"cycle_momentum": False, "max_momentum": [0.95]},
        {"max_momentum"},
        "`max_momentum` is ignored: `cycle_momentum` is False. Received: max_momentum=[0.95]",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "ignored", "message"), IGNORED, ids=[str(each[0]) for each in IGNORED]
)
def test_what_is_ignored(arguments, ignored, message):
    with pytest.warns(UserWarning, match="is ignored") as caught:
        scheduler = CyclicLR(make(), 0.1, 0.5, 2, **arguments)
    assert [str(each.message) for each in caught] == [message]
    assert caught[0].filename == __file__  # The caller's line and not one of ours.

    used = {name: value for name, value in arguments.items() if name not in ignored}
    assert scheduler.schedules == CyclicLR(make(), 0.1, 0.5, 2, **used).schedules
    assert lr_at(5, **arguments) == lr_at(5, **used)


def test_exp_range_beside_a_scale_fn():
    with pytest.warns(UserWarning, match="is ignored") as caught:
        scheduler = CyclicLR(make(), 0.1, 0.5, scale_fn="1 / x", mode="exp_range", gamma=0.9)
    assert [str(each.message).partition(" is")[0] for each in caught] == ["`mode`", "`gamma`"]
    assert scheduler.schedules == CyclicLR(make(), 0.1, 0.5, scale_fn="1 / x").schedules


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "triangular2", "gamma": 1.0, "scale_mode": "cycle"},
        {"scale_fn": "1 / x", "mode": "triangular", "gamma": 1.0},
        {"cycle_momentum": False, "base_momentum": 0.8, "max_momentum": 0.9},
    ],
    ids=str,
)
def test_a_default_that_is_written_out_is_no_reason(arguments):
    CyclicLR(make(), 0.1, 0.5, **arguments)  # A warning would be an error here.


ZERO = (
    "A momentum (or beta1) of 0 isn't cycled and stays 0, although torch would switch it on. "
    "Pass cycle_momentum=False, or give the optimizer a momentum."
)


@pytest.mark.parametrize(
    ("name", "key", "stays"),
    [("SGD", "momentum", 0), ("RMSprop", "momentum", 0), ("Adam", "betas", (0.0, 0.99))],
)
def test_a_momentum_of_0_stays_0(name, key, stays):
    optimizer = make(name, momentum=0.0)
    with pytest.warns(UserWarning, match="stays 0") as caught:
        scheduler = CyclicLR(optimizer, 0.1, 0.5, step_size_up=2)
    assert [str(each.message) for each in caught] == [ZERO]
    assert caught[0].filename == __file__
    for step in range(5):
        assert scheduler.get_last_lr() == [scheduler.schedules[0].lr(step)]
        assert scheduler.get_last_momentum() == [None]
        assert optimizer.param_groups[0][key] == stays
        optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
        optimizer.step()
        scheduler.step()


def test_a_momentum_of_0_in_one_group_stays_0_there():
    optimizer = make(groups=2)
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.warns(UserWarning, match="stays 0"):
        scheduler = CyclicLR(optimizer, 0.1, 0.5)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.0, 0.9]
    assert scheduler.get_last_momentum() == [None, 0.9]
