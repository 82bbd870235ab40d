"""A step is an update: `step_with_optimizer`, and the warnings if it isn't one without it."""

import copy
import pickle
import sys
import warnings
import weakref

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LinearLR, SequentialLR

import clr_torch
from clr_core import CyclicSchedule
from clr_torch import CyclicLR

SCHEDULE = CyclicSchedule(base_lr=0.0015, max_lr=0.03, step_size_up=7, step_size_down=5)


def sgd(**arguments):
    weights = torch.nn.Parameter(torch.ones(3))
    weights.grad = torch.ones(3)
    return torch.optim.SGD([weights], **{"lr": 0.1} | arguments)


def rates_of(optimizer, after_update, updates=40):
    """The rate that each update used."""
    seen = []
    for number in range(updates):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        after_update(number)
    return seen


def expected(updates=40, first=0):
    return [SCHEDULE.lr(step) for step in range(first, first + updates)]


CALLS = {
    "never": lambda scheduler, number: None,
    "per update": lambda scheduler, number: scheduler.step(),
    "twice": lambda scheduler, number: [scheduler.step() for _ in "12"],
    "per micro-batch": lambda scheduler, number: [scheduler.step() for _ in "123"],
    "per epoch": lambda scheduler, number: number % 20 == 19 and scheduler.step(),
}


@pytest.mark.parametrize("call", CALLS)
def test_with_the_optimizer_every_rate_is_right_however_often_step_is_called(call):
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    seen = rates_of(optimizer, lambda number: CALLS[call](scheduler, number))
    assert seen == expected()
    assert scheduler.last_epoch == clr_torch.to_record(scheduler).step == 40
    assert scheduler.get_last_lr() == [SCHEDULE.lr(40)]


def test_the_arguments_of_torchs_class_and_momentum():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
    scheduler = CyclicLR(optimizer, 0.1, 0.5, 4, step_with_optimizer=True)
    for _ in range(4):
        optimizer.step()
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    assert scheduler.get_last_momentum() == [0.8]


@pytest.mark.parametrize("given", [1, None, "yes"])
def test_it_must_be_a_bool(given, unchanged):
    optimizer = sgd()
    with unchanged(optimizer), pytest.raises(TypeError, match="`step_with_optimizer` must be"):
        CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=given)


def test_it_can_be_turned_off_and_on():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    optimizer.step()
    scheduler.step_with_optimizer = False
    optimizer.step()
    assert scheduler.last_epoch == 1
    scheduler.step()
    assert scheduler.last_epoch == 2
    scheduler.step_with_optimizer = True
    optimizer.step()
    scheduler.step()
    assert scheduler.last_epoch == 3


def test_it_can_be_turned_on_after_a_warning():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    optimizer.step()
    optimizer.step()
    with pytest.warns(UserWarning, match="made 2 updates") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step_with_optimizer = True
    optimizer.step()
    scheduler.step()
    scheduler.step()
    assert scheduler.last_epoch == 2


def test_a_scheduler_that_is_gone_sets_nothing_any_more():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    optimizer.step()
    del scheduler
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_step_keeps_none_of_the_callers_variables():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    batch = torch.ones(3)
    gone = weakref.ref(batch)
    optimizer.step()
    scheduler.step()
    del batch
    assert gone() is None


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda scheduler: pickle.loads(pickle.dumps(scheduler))]
)
def test_a_copy_steps_with_its_own_copy_of_the_optimizer(copied):
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    rates_of(optimizer, lambda number: None, 5)
    other = copied(scheduler)
    assert rates_of(other.optimizer, lambda number: None, 3) == expected(3, first=5)
    assert (scheduler.last_epoch, other.last_epoch) == (5, 8)


@pytest.mark.parametrize(
    ("last_epoch", "said"),
    [(-1, ["That one was at step 1, and this one starts at step 0"]), (0, [])],
)
def test_of_two_on_one_optimizer_the_later_one_steps_with_it(last_epoch, said):
    optimizer = sgd()
    before = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    optimizer.step()
    after = []

    def make():
        after.append(
            CyclicLR.from_schedule(optimizer, SCHEDULE, last_epoch, step_with_optimizer=True)
        )

    # Nothing is said at the same step, as that is the documented way to add parameter groups.
    assert [each.split(". ")[1].rstrip(".") for each in warnings_of(make)] == said
    assert rates_of(optimizer, lambda number: None, 3) == expected(3, first=last_epoch + 1)
    assert (before.last_epoch, after[0].last_epoch) == (1, last_epoch + 4)


def test_each_of_two_optimizers_has_its_own():
    pairs = []
    for _ in "12":
        optimizer = sgd()
        pairs.append(
            (optimizer, CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True))
        )
    pairs[0][0].step()
    assert [scheduler.last_epoch for _, scheduler in pairs] == [1, 0]


def test_a_class_that_calls_the_inherited_step_makes_one_update():
    class Ours(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    sgd()  # An instance of the inherited class, whose `step` then has torch's hooks as well.
    optimizer = Ours([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    optimizer.step()
    assert scheduler.last_epoch == 1


def test_an_update_that_fails_is_none():
    class Failing(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("out of memory")

    optimizer = Failing([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    assert scheduler.last_epoch == 0


def test_closures_make_one_update():
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.LBFGS([weights], max_iter=5)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)

    def closure():
        optimizer.zero_grad()
        loss = (weights**4).sum()
        loss.backward()
        return loss.detach()  # Torch 2.8 warns of one with a gradient.

    for _ in range(3):
        optimizer.step(closure)
    assert scheduler.last_epoch == 3


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_grad_scaler_leaves_out_do_not_count(fused):
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], fused=fused)  # A fused one leaves it out by itself.
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    scaler = torch.amp.GradScaler("cpu")
    for gradient in (torch.inf, 1.0, 1.0, torch.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale(weight * gradient).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scheduler.last_epoch == 3


def in_sequence(optimizer, scheduler, first):
    other = LinearLR(optimizer, 0.1, total_iters=5)
    parts = [scheduler, other] if first else [other, scheduler]
    return SequentialLR(optimizer, parts, [25 if first else 5])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # Of the other one, before torch 2.9.
def test_in_a_sequential_lr_the_calls_count_and_that_is_said(first):
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)

    def run():
        sequence = in_sequence(optimizer, scheduler, first)
        return rates_of(optimizer, lambda number: sequence.step(), 30)

    with pytest.warns(UserWarning, match="`step_with_optimizer` has been turned off"):
        seen = run()
    assert (seen[:25] if first else seen[5:]) == expected(25)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("with_optimizer", [True, False])
def test_in_a_chained_scheduler_it_has_the_same_rates_either_way(first, with_optimizer):
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=with_optimizer)
    other = ExponentialLR(optimizer, 0.9)
    chain = ChainedScheduler([scheduler, other] if first else [other, scheduler])
    seen = rates_of(optimizer, lambda number: chain.step(), 30)
    factor = 0.9 if first else 1.0  # What comes after it scales the rate that it has set.
    assert seen == [SCHEDULE.lr(0), *(rate * factor for rate in expected(29, first=1))]


def test_what_others_do_with_last_epoch_is_left_to_them():
    # As ignite's LRScheduler does.
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)

    def set_by_hand(number):
        optimizer.param_groups[0]["lr"] = scheduler.get_lr()[0]
        scheduler.last_epoch += 1

    set_by_hand(-1)
    with pytest.warns(UserWarning, match="`step_with_optimizer` has been turned off"):
        seen = rates_of(optimizer, set_by_hand, 20)
    assert seen == expected(20)


@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.SGD, {}),
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.AdamW, {}),
        (torch.optim.AdamW, {"lr": torch.tensor(0.1)}),
    ],
)
def test_the_update_by_which_dcp_initializes_a_state_is_none(
    make, options, with_optimizer, optimizer_first
):
    def started():
        model = torch.nn.Linear(3, 1)
        optimizer = make(model.parameters(), **{"lr": 0.1} | options)
        scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=with_optimizer)
        return model, optimizer, scheduler

    def updated(model, optimizer, scheduler):
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        if not with_optimizer:
            scheduler.step()

    model, optimizer, scheduler = started()
    get_state_dict(model, optimizer)  # It has no state yet, so that DCP makes an update.
    assert scheduler.last_epoch == 0
    for _ in range(3):
        updated(model, optimizer, scheduler)
    weights, moments = get_state_dict(model, optimizer)
    saved = scheduler.state_dict()

    model, optimizer, scheduler = started()
    if not optimizer_first:
        scheduler.load_state_dict(saved)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments)
    if optimizer_first:
        scheduler.load_state_dict(saved)
    for step in range(3, 6):
        assert scheduler.last_epoch == step
        assert np.float32(optimizer.param_groups[0]["lr"]) == np.float32(SCHEDULE.lr(step))
        updated(model, optimizer, scheduler)


def test_no_reference_to_none_is_lost():
    """As torch 2.6's `get_eval_frame_callback` does it: the process ends once there are none."""
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weights], lr=0.1)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    optimizer.step()
    before = sys.getrefcount(None)
    for _ in range(1000):
        optimizer.step()
    assert scheduler.last_epoch == 1001
    assert abs(sys.getrefcount(None) - before) < 100  # Some objects come and go.


def test_a_compiled_update_advances_it_and_is_compiled_once():
    torch._dynamo.reset()
    weights = torch.nn.Parameter(torch.ones(3))
    weights.grad = torch.ones(3)
    optimizer = torch.optim.SGD([weights], lr=torch.tensor(0.1))
    CyclicLR.from_schedule(optimizer, SCHEDULE)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE, step_with_optimizer=True)
    update = torch.compile(optimizer.step, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for step in range(20):
            assert optimizer.param_groups[0]["lr"] == torch.tensor(SCHEDULE.lr(step))
            update()
    assert scheduler.last_epoch == 20


class Wrapper(torch.optim.Optimizer):  # It doesn't call torch's constructor.
    def __init__(self, optimizer, name):
        vars(self)[name] = self.inner = optimizer
        self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
        self.state = optimizer.state

    def step(self, closure=None):
        self.inner.step(closure)


def test_the_updates_within_a_wrapper_are_counted():
    wrapper = Wrapper(sgd(), "optimizer")  # As Accelerate's has it.
    scheduler = CyclicLR.from_schedule(wrapper, SCHEDULE, step_with_optimizer=True)
    assert rates_of(wrapper, lambda number: None) == expected()
    with pytest.warns(UserWarning, match="had another scheduler that stepped with it"):
        CyclicLR.from_schedule(wrapper.inner, SCHEDULE, step_with_optimizer=True)
    assert not scheduler.step_with_optimizer


def test_a_wrapper_that_has_no_hooks_is_refused_or_not_counted(unchanged):
    wrapper = Wrapper(sgd(), "_optimizer")
    with unchanged(wrapper), pytest.raises(ValueError, match="must have torch's hooks"):
        CyclicLR.from_schedule(wrapper, SCHEDULE, step_with_optimizer=True)
    scheduler = CyclicLR.from_schedule(wrapper, SCHEDULE)
    assert rates_of(wrapper, lambda number: scheduler.step()) == expected()
    assert copy.deepcopy(scheduler).last_epoch == 40


# The warnings without it.


def warnings_of(run):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("twice", "no update"),
        ("per micro-batch", "no update"),
        ("per epoch", "20 updates"),
        ("per update", None),
    ],
)
def test_a_step_that_is_not_an_update_is_said_once(call, number):
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    said = warnings_of(
        lambda: rates_of(optimizer, lambda number: CALLS[call](scheduler, number), 100)
    )
    rule = f"A step is an update, but the optimizer made {number} since the last `step()`"
    assert [each.partition(".")[0] for each in said] == ([] if number is None else [rule])


def with_grad_scaler(fused=False):
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], fused=fused)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    optimizer.step()
    scheduler.step()
    for gradient in (torch.inf, torch.inf, torch.inf, 1.0, 1.0, torch.inf, 1.0):
        scaler.scale(weight * gradient).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        optimizer.zero_grad()


def in_a_sequence(first):
    optimizer = sgd()
    sequence = in_sequence(optimizer, CyclicLR.from_schedule(optimizer, SCHEDULE), first)
    rates_of(optimizer, lambda number: sequence.step(), 30)


def resumed():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    rates_of(optimizer, lambda number: scheduler.step(), 5)
    states = optimizer.state_dict(), scheduler.state_dict()
    rates_of(optimizer, lambda number: None, 1)  # Interrupted before the scheduler's step.
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    rates_of(optimizer, lambda number: scheduler.step(), 5)


def replaced_by_another_scheduler():
    optimizer = sgd()
    old = CyclicLR.from_schedule(optimizer, SCHEDULE)
    rates_of(optimizer, lambda number: old.step(), 5)
    new = CyclicLR.from_schedule(optimizer, SCHEDULE.rescaled(2), last_epoch=9)
    rates_of(optimizer, lambda number: new.step(), 5)


def taking_turns_with_swalr():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    others = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.02, anneal_epochs=5)
    rates_of(optimizer, lambda number: (scheduler if number < 5 else others).step(), 20)


def copied():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    rates_of(optimizer, lambda number: scheduler.step(), 2)
    optimizer.step()
    other = copy.deepcopy(scheduler)
    scheduler.step()
    other.step()
    rates_of(optimizer, lambda number: scheduler.step(), 5)
    rates_of(other.optimizer, lambda number: other.step(), 5)


def compiled():
    weights = torch.nn.Parameter(torch.ones(3))
    weights.grad = torch.ones(3)
    optimizer = torch.optim.SGD([weights], lr=torch.tensor(0.1))
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    update = torch.compile(optimizer.step, backend="aot_eager")
    for _ in range(5):
        update()
        scheduler.step()


def after_a_range_test():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    optimizer.step()
    batches = [(torch.ones(2, 2), torch.ones(2, 1))] * 40
    clr_torch.range_test(model, optimizer, batches, torch.nn.functional.mse_loss)
    scheduler.step()
    rates_of(optimizer, lambda number: scheduler.step(), 5)


def plotted_before_any_update():
    scheduler = CyclicLR.from_schedule(sgd(), SCHEDULE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # It is torch's.
        for _ in range(20):
            scheduler.step()


RIGHT = {
    "GradScaler": with_grad_scaler,
    "GradScaler, fused": lambda: with_grad_scaler(fused=True),
    "SequentialLR, first": lambda: in_a_sequence(True),
    "SequentialLR, second": lambda: in_a_sequence(False),
    "resuming": resumed,
    "replaced": replaced_by_another_scheduler,
    "SWALR": taking_turns_with_swalr,
    "copied": copied,
    "compiled": compiled,
    "range test": after_a_range_test,
    "plotted": plotted_before_any_update,
}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name):
    RIGHT[name]()  # Any warning is an error here.


def test_a_rate_that_something_else_writes_is_said_once_and_written_over():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)

    def tuned(number):
        scheduler.step()
        if number in (3, 5):
            optimizer.param_groups[0]["lr"] = 0.5

    with pytest.warns(UserWarning, match=r"an update with the rate 0.5 in group 0, where") as said:
        seen = rates_of(optimizer, tuned, 10)
    assert len(said) == 1
    wrong = [step for step in range(10) if seen[step] != SCHEDULE.lr(step)]
    assert wrong == [4, 6]


def test_a_state_saved_after_that_starts_at_the_schedules_rate():
    optimizer = sgd()
    scheduler = CyclicLR.from_schedule(optimizer, SCHEDULE)
    rates_of(optimizer, lambda number: scheduler.step(), 4)
    optimizer.param_groups[0]["lr"] = 0.5
    fresh = sgd()
    CyclicLR.from_schedule(fresh, SCHEDULE).load_state_dict(scheduler.state_dict())
    assert fresh.param_groups[0]["lr"] == SCHEDULE.lr(4)
