"""`state_dict()` and `load_state_dict()`: plain data, and no surprises."""

import copy
import functools
import io
import json
import re

import numpy as np
import pytest
import torch

from clr_core import CyclicSchedule
from clr_torch import CyclicLR, to_record
from integration.torch.training import after, make, values

SCHEDULE = CyclicSchedule(
    base_lr=0.1,
    max_lr=0.5,
    step_size_up=2,
    step_size_down=4.5,
    scale_fn="1 / x",
    base_momentum=0.75,
    max_momentum=0.875,
)
OTHER = CyclicSchedule(base_lr=0.01, max_lr=0.05, step_size_up=3, mode="exp_range", gamma=0.9)


sgd = functools.partial(make, "SGD", groups=2)


def run(schedules=(SCHEDULE, OTHER), steps=3, **arguments):
    optimizer = sgd(groups=len(schedules), **arguments)
    return after(CyclicLR.from_schedule(optimizer, list(schedules)), steps)


@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3)], ids=["float", "tensor"])
def test_is_plain_data(lr):
    state, file = run(lr=lr).state_dict(), io.BytesIO()
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == state


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_is_json_after_a_step_to_numpys_integer():
    scheduler = run(steps=1)
    scheduler.step(np.int64(3))
    assert json.loads(json.dumps(scheduler.state_dict()))["last_epoch"] == 3
    assert type(scheduler.last_epoch) is int
    (group, _) = scheduler.optimizer.param_groups
    assert group["lr"] == SCHEDULE.lr(3)


def test_has_the_schedules_and_the_step():
    state = run().state_dict()
    assert state["schedules"] == [SCHEDULE.to_dict(), OTHER.to_dict()]
    assert state["last_epoch"] == 3
    assert [CyclicSchedule.from_dict(each) for each in state["schedules"]] == [SCHEDULE, OTHER]


def test_is_a_snapshot_into_which_one_may_write():
    scheduler = run()
    state = scheduler.state_dict()
    kept = copy.deepcopy(state)
    after(scheduler, 3)
    assert state == kept
    state["_last_lr"].clear()
    state["schedules"][0]["base_lr"] = 7.0
    state["schedules"].pop()
    assert scheduler.state_dict() == run(steps=6).state_dict()


def test_loading_leaves_the_argument_alone_and_keeps_nothing_of_it():
    state = run().state_dict()
    kept = copy.deepcopy(state)
    for _ in range(2):  # Torch's own class can't load the same dict twice.
        scheduler = run(steps=0)
        scheduler.load_state_dict(state)
        after(scheduler, 1)
        assert state == kept
    state["schedules"].clear()
    state["_last_lr"][0] = 7.0
    assert scheduler.state_dict() == run(steps=4).state_dict()


@pytest.mark.parametrize("step", range(8))
def test_loading_puts_rate_and_momentum_back(step):
    expected, scheduler = run(steps=step), run(steps=5)
    scheduler.load_state_dict(expected.state_dict())
    assert values(scheduler) == values(expected)
    assert scheduler.get_last_lr() == expected.get_last_lr()
    assert scheduler.get_last_momentum() == expected.get_last_momentum()
    assert scheduler.state_dict() == expected.state_dict()


def refused(scheduler, state, error, unchanged):
    before, kept = scheduler.state_dict(), copy.deepcopy(state)
    with unchanged(scheduler.optimizer), pytest.raises(error) as caught:
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before
    assert state == kept
    return str(caught.value)


CHANGES = [
    ({"max_lr": 0.6}, "max_lr=0.5 in place of 0.6"),
    ({"step_size_up": 3}, "step_size_up=2.0 in place of 3.0"),
    ({"scale_fn": "1 / x ** 2"}, "scale_fn='1.0 / x' in place of '1.0 / x ** 2.0'"),
    ({"scale_fn": None}, "scale_fn='1.0 / x' in place of None"),
    ({"scale_mode": "iterations", "scale_fn": "1 / (x + 1)"}, "scale_mode='cycle' in place"),
    ({"base_momentum": 0.8}, "base_momentum=0.75 in place of 0.8"),
    ({"base_momentum": None, "max_momentum": None}, "max_momentum=0.875 in place of None"),
]


@pytest.mark.parametrize(("changes", "differing"), CHANGES, ids=[str(each[0]) for each in CHANGES])
def test_another_schedule_is_refused(changes, differing, unchanged):
    parameters = {name: value for name, value in SCHEDULE.to_dict().items() if name != "kind"}
    scheduler = run([OTHER, CyclicSchedule(**parameters | changes)])
    message = refused(scheduler, run([OTHER, SCHEDULE]).state_dict(), ValueError, unchanged)
    assert message.startswith(
        "`state_dict` must come from a scheduler with the same parameters. Received for group 1: "
    )
    assert differing in message
    assert message.endswith(
        ". Make the scheduler with these parameters, then load. To go on with others, make it with "
        "last_epoch=2 instead of loading."
    )


def without(name):
    return {key: value for key, value in run().state_dict().items() if key != name}


JUNK = {
    "None": (None, TypeError, "`state_dict` must be a mapping. Received: a NoneType"),
    "a list": ([], TypeError, "`state_dict` must be a mapping. Received: a list"),
    "empty": (
        {},
        ValueError,
        "`state_dict` must have the keys _last_lr, _step_count, applied, last_epoch, schedules. "
        "Received: ",
    ),
    "of StepLR": (
        torch.optim.lr_scheduler.StepLR(sgd(), 3).state_dict(),
        ValueError,
        "`state_dict` must have the keys _last_lr, _step_count, applied, last_epoch, schedules. "
        "Received: ",
    ),
    "a key less": (without("applied"), ValueError, "`state_dict` must have the keys _last_lr, "),
    "a key more": (
        run().state_dict() | {"more": 1},
        ValueError,
        "`state_dict` must have the keys _last_lr, ",
    ),
    "no list of schedules": (
        run().state_dict() | {"schedules": 3},
        ValueError,
        "`state_dict` must have a list in 'schedules'. Received: schedules=3",
    ),
    "no schedules in the list": (
        run().state_dict() | {"schedules": [3, "4"]},
        ValueError,
        "`state_dict` must have mappings in 'schedules'. Received: schedules=[3, '4']",
    ),
    "a schedule of another version": (
        run().state_dict() | {"schedules": [SCHEDULE.to_dict() | {"more": 1}, OTHER.to_dict()]},
        ValueError,
        "`state_dict` must come from a scheduler with the same parameters. "
        "Received for group 0: more=1 in place of None.",
    ),
    "a fraction of a step": (
        run().state_dict() | {"last_epoch": 2.5},
        ValueError,
        "`state_dict` must have an integer in 'last_epoch', at least -1. Received: last_epoch=2.5",
    ),
    "a step before the first": (
        run().state_dict() | {"last_epoch": -2},
        ValueError,
        "`state_dict` must have an integer in 'last_epoch', at least -1. Received: last_epoch=-2",
    ),
    "a step too far": (
        run().state_dict() | {"last_epoch": 2**53 + 1},
        ValueError,
        "`step` must lie between 0 and 2**53. Received: step=9007199254740993",
    ),
    "True for a count": (
        run().state_dict() | {"_step_count": True},
        ValueError,
        "`state_dict` must have an integer in '_step_count', at least 0. "
        "Received: _step_count=True",
    ),
    "no list of rates": (
        run().state_dict() | {"_last_lr": 0.1},
        ValueError,
        "`state_dict` must have a list in '_last_lr'. Received: _last_lr=0.1",
    ),
    "a group less": (
        run([SCHEDULE]).state_dict(),
        ValueError,
        "`state_dict` must be for 2 parameter groups. Received: 1 in 'schedules'",
    ),
    "a rate too few": (
        run().state_dict() | {"_last_lr": [0.1]},
        ValueError,
        "`state_dict` must be for 2 parameter groups. Received: 1 in '_last_lr'",
    ),
}


@pytest.mark.parametrize(("state", "error", "message"), JUNK.values(), ids=JUNK)
def test_junk_is_refused(state, error, message, unchanged):
    assert re.match(re.escape(message), refused(run(), state, error, unchanged))


HUGE = torch.zeros(1).expand(10**12)
NO_NUMBERS = {
    "two": torch.zeros(2),
    "none": torch.zeros(0),
    "a million millions": HUGE,
    "meta": torch.zeros(1, device="meta"),
    "complex": torch.zeros(1, dtype=torch.complex64),
    "NumPy": np.zeros(2),
    "text": "0.1",
    "nothing": None,
    "NaN": float("nan"),
    "a long text": "x" * 10**6,
    "an integer of 5,000 digits": 10**5000,
    "a list": [0.1],
}
PLACES = {
    "a rate": lambda value: {"_last_lr": [0.1, value]},
    "all rates": lambda value: {"_last_lr": value},
    "the step": lambda value: {"last_epoch": value},
    "the count": lambda value: {"_step_count": value},
    "a boundary": lambda value: {"schedules": [SCHEDULE.to_dict() | {"max_lr": value}] * 2},
    "a mode": lambda value: {"schedules": [SCHEDULE.to_dict() | {"mode": value}] * 2},
    "a schedule": lambda value: {"schedules": [SCHEDULE.to_dict(), value]},
    "applied": lambda value: {"applied": value},
}
TORCHS = {
    "base_lrs": lambda value: {"base_lrs": [0.1, value]},
    "base_lrs whole": lambda value: {"base_lrs": value},
    "max_momentums": lambda value: {"max_momentums": [0.9, value]},
    **{
        name: lambda value, name=name: {name: value}
        for name in ("total_size", "step_ratio", "gamma", "mode", "scale_mode", "cycle_momentum")
    },
    "_last_lr": lambda value: {"_last_lr": [0.1, value]},
    "last_epoch": lambda value: {"last_epoch": value},
    "_step_count": lambda value: {"_step_count": value},
}


def torchs_state():
    theirs = torch.optim.lr_scheduler.CyclicLR(sgd(), 0.1, 0.5, 2, mode="exp_range", gamma=0.9)
    return after(theirs, 3).state_dict()


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_at_once(value, unchanged):
    ours = run([SCHEDULE, SCHEDULE])
    theirs = CyclicLR(sgd(), 0.1, 0.5, 2, mode="exp_range", gamma=0.9)
    cases = [(ours, ours.state_dict() | change(value)) for change in PLACES.values()]
    cases += [(theirs, torchs_state() | change(value)) for change in TORCHS.values()]
    for scheduler, state in cases:
        before = scheduler.state_dict()
        for read in (scheduler.load_state_dict, to_record):
            expected = pytest.raises((TypeError, ValueError))
            with unchanged(scheduler.optimizer), expected as caught:
                read(state)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 1000
        assert scheduler.state_dict() == before


def test_a_tensor_of_one_is_a_number():
    state = torchs_state()
    tensors = {
        name: torch.tensor(state[name], dtype=torch.float64)
        for name in ("total_size", "step_ratio", "gamma")
    }
    tensors |= {"base_lrs": [torch.tensor([0.1], dtype=torch.float64)] * 2}
    tensors |= {"last_epoch": torch.tensor(3), "_step_count": np.int64(4)}
    scheduler = CyclicLR(sgd(), 0.1, 0.5, 2, mode="exp_range", gamma=0.9)
    scheduler.load_state_dict(state | tensors)
    assert scheduler.last_epoch == 3
    assert to_record(state | tensors) == to_record(state)


def test_more_keys_than_fit_into_a_message():
    many = {f"key {index}": index for index in range(60_000)}
    state = run().state_dict()
    broken = [state | many, state | {"schedules": [SCHEDULE.to_dict() | many, OTHER.to_dict()]}]
    broken += [state | {"schedules": [SCHEDULE.to_dict()] * 20_000}, {0: 1} | many]
    for each in broken:
        for read in (run().load_state_dict, to_record):
            with pytest.raises(ValueError, match=r"must|no such key") as caught:
                read(each)
            assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("applied", [0, 1, None, "yes"])
def test_applied_is_true_or_false(applied):
    with pytest.raises(ValueError, match="`state_dict` must have True or False in 'applied'"):
        run().load_state_dict(run().state_dict() | {"applied": applied})


def test_a_state_that_contradicts_itself_is_refused_by_both_readers():
    scheduler = run([SCHEDULE, SCHEDULE])
    state = scheduler.state_dict() | {"_last_lr": [0.1, 0.1]}
    for read in (scheduler.load_state_dict, to_record):
        with pytest.raises(ValueError, match="The rate of the scheduler must follow from its"):
            read(state)
    # Somebody else's rate, in a state that says so.
    scheduler.load_state_dict(state | {"applied": False})
    assert to_record(state | {"applied": False}).step == 3


def test_another_lambda_shows_in_the_rate():
    # Both have the same name.
    one, other = (
        CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=lambda x, a=a: a)
        for a in (0.5, 0.25)
    )
    with pytest.raises(ValueError, match="The rate of the scheduler must follow from its"):
        run([one]).load_state_dict(run([other]).state_dict())
