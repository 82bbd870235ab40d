"""Pickling and copying: whole trainings travel that way, to other processes and into files."""

import copy
import gc
import pickle
import subprocess
import sys
import tracemalloc

import pytest
import torch

from clr_core import CyclicSchedule, schedule_from_dict
from clr_torch import CyclicLR
from integration.torch.training import after, make

SCHEDULE = CyclicSchedule(
    base_lr=0.1,
    max_lr=0.5,
    step_size_up=2,
    scale_fn="1 / x",
    base_momentum=0.75,
    max_momentum=0.875,
)


def squared(x):
    return 1 / x**2


def scheduler(schedule=SCHEDULE, lr=0.3):
    return after(CyclicLR.from_schedule(make(lr=lr), schedule), 3)


def pickled(made):
    return pickle.loads(pickle.dumps(made))


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3)], ids=["float", "tensor"])
def test_a_copy_goes_on_by_itself(copied, lr):
    made = scheduler(lr=lr)
    before = made.state_dict()
    other = copied(made)
    assert other.state_dict() == before
    assert other.optimizer is not made.optimizer

    after(other, 4)
    assert made.state_dict() == before
    (group,) = other.optimizer.param_groups
    assert float(group["lr"]) == pytest.approx(SCHEDULE.lr(7))
    assert group["momentum"] == SCHEDULE.momentum(7)
    after(made, 4)
    assert made.state_dict() == other.state_dict()


def test_a_copy_from_the_start():
    # At `last_epoch` 0 torch's base class checks that it has wrapped the optimizer's `step`. It
    # hasn't wrapped a copy's, so it warns, as it does for its own classes.
    made = CyclicLR.from_schedule(make(), SCHEDULE)
    other = copy.deepcopy(made)
    other.optimizer.step()
    with pytest.warns(UserWarning, match="has been overridden"):
        other.step()
    assert other.get_last_lr() == [SCHEDULE.lr(1)]


def test_with_a_function_of_a_module():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=squared)
    other = copy.deepcopy(scheduler(schedule))
    assert other.schedules == (schedule,)
    after(other, 2)
    assert other.get_last_lr() == [schedule.lr(5)]


def test_a_lambda_is_not_pickled_silently():
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=lambda x: 1 / x)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickled(scheduler(schedule))


LOADED = """
import sys
import torch
import clr_torch
print(torch.load(sys.argv[1], weights_only=True)["schedules"][0])
"""


def test_a_checkpoint_that_holds_schedules_loads_under_weights_only(tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"schedules": [SCHEDULE], "model": torch.nn.Linear(2, 2).state_dict()}, path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOADED, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{SCHEDULE}\n"


def test_a_broken_schedule_in_a_checkpoint_is_refused(tmp_path):
    class Broken:
        def __reduce__(self):
            return schedule_from_dict, (SCHEDULE.to_dict() | {"max_lr": -1.0},)

    torch.save({"schedule": Broken()}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="`base_lr` must not be above `max_lr`"):
        torch.load(tmp_path / "run.pt", weights_only=True)


def size_of(make, count=20):
    """The memory of one of the objects that are made, on average."""
    kept = [make()]  # What the first one is the first to need.
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        kept += [make() for _ in range(count)]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / count


@pytest.mark.parametrize(
    "copied", [lambda made: made, pickled, copy.deepcopy], ids=["made", "pickled", "copied"]
)
def test_a_scheduler_is_small_if_it_shares_its_curve(copied):
    # With one for each parameter, as some trainings have it, it matters.
    def one():
        return copied(after(CyclicLR(make(), 0.001, 0.006, mode="exp_range", gamma=0.99994), 3))

    assert size_of(one) < 10_000


@pytest.mark.parametrize("at", [0, 3, 5000])
def test_a_pickle_is_small(at):
    assert len(pickle.dumps(after(scheduler(), at))) < 2000


def test_schedulers_at_other_steps_share_without_harm():
    # Each has the block of its own steps.
    made = [scheduler() for _ in range(4)]
    for index, each in enumerate(made):
        each.last_epoch = 5000 * index
    for count in range(1, 4000):
        for index, each in enumerate(made):
            each.optimizer.step()
            each.step()
            if count % 500 == 0:
                assert each.get_last_lr() == [SCHEDULE.lr(5000 * index + count)]
