"""The schedulers of torch and transformers: their curves, step by step, and runs that move on."""

import copy
import re
import warnings

import pytest
import torch
from torch.optim import lr_scheduler

from clr_core import PiecewiseSchedule, SequenceSchedule, warm_restarts, warmup_cosine
from clr_torch import CyclicLR, from_record, read_record, to_record
from integration.torch.training import after, values

transformers = pytest.importorskip("transformers")
COMES_BACK = "comes back up"
PEAK = 0.1


def one_cycle(steps, **arguments):
    return (lambda optimizer: lr_scheduler.OneCycleLR(optimizer, PEAK, steps, **arguments)), steps


def sequence(milestones, *members):
    def make(optimizer):
        return lr_scheduler.SequentialLR(
            optimizer, [member(optimizer) for member, _ in members], milestones
        )

    return make, sum(steps for _, steps in members[-1:]) + milestones[-1]


def of(kind, steps, *arguments, **more):
    return (lambda optimizer: kind(optimizer, *arguments, **more)), steps


COSINE, LINEAR = lr_scheduler.CosineAnnealingLR, lr_scheduler.LinearLR
RESTARTS, CONSTANT = lr_scheduler.CosineAnnealingWarmRestarts, lr_scheduler.ConstantLR
# How to make each, and the steps for which its curve is read.
CASES = {
    "one cycle": one_cycle(100),
    "one cycle, 10 steps": one_cycle(10),
    "one cycle, 13 steps": one_cycle(13, pct_start=0.37),
    "one cycle, 20 steps, linear": one_cycle(20, pct_start=1 / 3, anneal_strategy="linear"),
    "one cycle, three phases": one_cycle(50, three_phase=True),
    "one cycle, three phases, linear": one_cycle(
        47, three_phase=True, anneal_strategy="linear", pct_start=0.41
    ),
    "one cycle, the third phase never comes": one_cycle(20, three_phase=True, pct_start=0.7),
    "one cycle, only up": one_cycle(20, pct_start=1.0),
    "one cycle, only down": one_cycle(20, pct_start=0.0, anneal_strategy="linear"),
    "one cycle, from before step 0": one_cycle(20, pct_start=0.02, anneal_strategy="linear"),
    "one cycle without momentum": one_cycle(40, cycle_momentum=False, div_factor=3.0),
    "one cycle, other momenta": one_cycle(
        40, base_momentum=0.5, max_momentum=0.7, final_div_factor=1.0
    ),
    "cosine": of(COSINE, 30, 29),
    "cosine to a floor": of(COSINE, 18, 17, 1e-3),
    "cosine upwards": of(COSINE, 12, 11, 0.5),
    "restarts": of(RESTARTS, 40, 7, 1, 1e-4),
    "growing restarts": of(RESTARTS, 100, 3, 2),
    "restarts that grow fast": of(RESTARTS, 120, 1, 10),
    "linear": of(LINEAR, 12),
    "linear down": of(LINEAR, 25, 1.0, 0.0, 20),
    "constant": of(CONSTANT, 12),
    "constant, a tenth": of(CONSTANT, 30, 0.1, 25),
    "warm-up and cosine": sequence([10], of(LINEAR, 10, 0.01, 1.0, 10), of(COSINE, 20, 20)),
    "a warm-up that ends early": sequence([10], of(LINEAR, 10, 0.25, 1.0, 5), of(COSINE, 20, 20)),
    "a warm-up that is cut off": sequence([10], of(LINEAR, 10, 0.25, 1.0, 15), of(COSINE, 9, 8)),
    "three": sequence(
        [5, 11], of(CONSTANT, 5, 0.5, 5), of(COSINE, 6, 6), of(RESTARTS, 30, 4, 2, 1e-3)
    ),
    "restarts first": sequence([13], of(RESTARTS, 13, 5), of(LINEAR, 10, 0.5, 0.1, 8)),
}
LAMBDAS = {
    "linear": of(transformers.get_linear_schedule_with_warmup, 40, 7, 33),
    "linear, no warm-up": of(transformers.get_linear_schedule_with_warmup, 40, 0, 33),
    "cosine": of(transformers.get_cosine_schedule_with_warmup, 41, 7, 40),
    "cosine with a floor": of(
        transformers.get_cosine_with_min_lr_schedule_with_warmup, 41, 7, 40, min_lr=0.01
    ),
    "WSD": of(transformers.get_wsd_schedule, 60, 10, 20, num_stable_steps=15),
    "WSD of all steps": of(
        transformers.get_wsd_schedule, 60, 10, 20, 50, min_lr_ratio=0.1, decay_type="linear"
    ),
    "WSD, a cosine up": of(
        transformers.get_wsd_schedule, 40, 9, 11, num_stable_steps=0, warmup_type="cosine"
    ),
    "WSD without a decay": of(transformers.get_wsd_schedule, 40, 9, 0, num_stable_steps=9),
}

TORCHS = CASES
CASES = TORCHS | {f"transformers: {name}": case for name, case in LAMBDAS.items()}


def optimizer_of(name="SGD", groups=1, lr=PEAK):
    torch.manual_seed(0)
    parameters = [
        {"params": [torch.nn.Parameter(torch.ones(2))], "lr": lr / 2**index}
        for index in range(groups)
    ]
    momentum = {"momentum": 0.9} if name == "SGD" else {"betas": (0.9, 0.99)}
    return getattr(torch.optim, name)(parameters, lr=lr, **momentum)


def read(source, **more):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f".*{COMES_BACK}")
        return to_record(source, **more)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_their_curve(case, name):
    make, steps = CASES[case]
    scheduler = make(optimizer_of(name))
    schedule = read(scheduler).schedule
    for step in range(steps):
        record = read(scheduler)
        assert (record.schedule, record.step) == (schedule, step)
        ((lr, momentum),) = values(scheduler)
        # Some of them go from each rate to the next, which adds up.
        assert abs(schedule.lr(step) - lr) <= 1e-14 * PEAK * 5, step
        if schedule.momentum(0) is not None:
            assert abs(schedule.momentum(step) - momentum) <= 4e-16, step
        if step < steps - 1:
            after(scheduler, 1)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_short_cycles_of_any_share(strategy, three_phase):
    read_ones = 0
    for total in (2, 3, 7, 10, 13, 20):
        for share in (0.0, 0.04, 0.25, 0.3, 1 / 3, 0.45, 0.5, 0.61, 0.9, 1.0):
            arguments = {"pct_start": share, "anneal_strategy": strategy}
            try:
                scheduler = lr_scheduler.OneCycleLR(
                    optimizer_of(), PEAK, total, **arguments, three_phase=three_phase
                )
            except ZeroDivisionError:  # Its first phase ends at step 0.
                continue
            if strategy == "cos" and share * total < 1:
                refused(scheduler, "in the middle of a cosine, which no phase can")
                continue
            schedule = read(scheduler).schedule
            for step in range(total):
                ((lr, momentum),) = values(scheduler)
                assert abs(schedule.lr(step) - lr) <= 4e-16 * PEAK * 10
                assert abs(schedule.momentum(step) - momentum) <= 4e-16
                if step < total - 1:
                    after(scheduler, 1)
            read_ones += 1
    assert read_ones > 35


@pytest.mark.parametrize("at", [0, 1, 9])
@pytest.mark.parametrize("case", CASES)
def test_a_run_continues(case, at):
    make, steps = CASES[case]
    theirs = after(make(optimizer_of()), at)
    ours = from_record(read(theirs), optimizer_of())
    for _ in range(at, steps - 1):
        assert values(ours)[0][0] == pytest.approx(values(theirs)[0][0], rel=1e-12, abs=1e-14)
        if ours.schedules[0].momentum(0) is not None:
            assert values(ours)[0][1] == pytest.approx(values(theirs)[0][1], rel=1e-14)
        after(ours, 1), after(theirs, 1)


@pytest.mark.parametrize("case", TORCHS)
def test_from_a_checkpoint(case, tmp_path):
    make, _ = TORCHS[case]
    scheduler = after(make(optimizer_of(groups=2)), 6)
    states = {"optimizer": scheduler.optimizer.state_dict(), "sched": scheduler.state_dict()}
    torch.save(states, tmp_path / "run.pt")
    torch.save(scheduler, tmp_path / "whole.pt")
    record = read(scheduler)
    assert read(states) == read(scheduler.state_dict(), optimizer=scheduler.optimizer) == record
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f".*{COMES_BACK}")
        assert read_record(tmp_path / "run.pt") == record
        assert read_record(tmp_path / "whole.pt") == record


@pytest.mark.parametrize("case", ["cosine", "linear", "restarts", "constant"])
def test_a_schedule_for_each_group(case):
    make, steps = CASES[case]
    scheduler = make(optimizer_of(groups=3))
    schedules = read(scheduler).schedule
    for step in range(steps):
        rates = [lr for lr, _ in values(scheduler)]
        assert [each.lr(step) for each in schedules] == pytest.approx(rates, rel=1e-12, abs=1e-15)
        after(scheduler, 1)


def test_one_cycle_of_several_groups():
    optimizer = optimizer_of("Adam", groups=2)
    scheduler = lr_scheduler.OneCycleLR(optimizer, [0.1, 0.4], 30, base_momentum=[0.8, 0.85])
    schedules = read(scheduler).schedule
    for step in range(30):
        for schedule, (lr, momentum) in zip(schedules, values(scheduler), strict=True):
            assert schedule.lr(step) == pytest.approx(lr, rel=1e-13)
            assert schedule.momentum(step) == pytest.approx(momentum, rel=1e-14)
        after(scheduler, 1)
    # Torch's goes beyond its end with a step more, after which there is no update.
    assert read(scheduler).step == 30
    optimizer = optimizer_of()
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, 9, cycle_momentum=False)
    warm_up = LINEAR(optimizer)
    scheduler = after(lr_scheduler.SequentialLR(optimizer, [warm_up, cycle], [5]), 14)
    assert read(scheduler).step == 14


def test_rates_that_are_tensors():
    for make, steps in (CASES["warm-up and cosine"], CASES["linear down"], CASES["restarts"]):
        optimizer = optimizer_of(lr=torch.tensor(PEAK))
        scheduler = make(optimizer)
        for step in range(steps):
            ((lr, _),) = values(scheduler)
            assert read(scheduler).schedule.lr(step) == pytest.approx(lr, rel=1e-4, abs=1e-8)
            after(scheduler, 1) if step < steps - 1 else None


def test_as_the_constructors_make_them():
    restarts = RESTARTS(optimizer_of(), 10, 2, 1e-4)
    assert to_record(restarts).schedule == warm_restarts(PEAK, 10, growth=2, min_lr=1e-4)
    cosine = transformers.get_cosine_schedule_with_warmup(optimizer_of(), 10, 100)
    with pytest.warns(UserWarning, match=rf"^transformers' cosine {COMES_BACK} after 100 steps"):
        assert to_record(cosine).schedule == warmup_cosine(PEAK, 10, 100)
    make, _ = CASES["warm-up and cosine"]
    with pytest.warns(UserWarning, match=rf"^torch's CosineAnnealingLR {COMES_BACK}") as heard:
        schedule = to_record(make(optimizer_of())).schedule
    assert schedule == warmup_cosine(PEAK, 10, 30, start_lr=0.001)
    assert heard[0].filename == __file__
    assert isinstance(schedule, PiecewiseSchedule)
    make, _ = CASES["a warm-up that is cut off"]
    assert isinstance(read(make(optimizer_of())).schedule, SequenceSchedule)


def refused(source, message, **more):
    with pytest.raises(ValueError, match=message) as error:
        read(source, **more)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 800


def test_what_comes_back_up_is_refused_once_it_does():
    scheduler = COSINE(optimizer_of(), 5)
    assert read(after(scheduler, 5)).step == 5
    refused(after(scheduler, 1), r"at most 5 steps .* at step 6\. To come back up: Piecewise")
    optimizer = optimizer_of()
    members = [COSINE(optimizer, 5), CONSTANT(optimizer)]
    sequential = lr_scheduler.SequentialLR(optimizer, members, [9])
    refused(sequential, "at most 5 steps .* used for 9")
    cosine = transformers.get_cosine_schedule_with_warmup(optimizer_of(), 2, 7)
    refused(after(cosine, 8), "transformers' cosine must be used for at most 7 steps")


def test_restarts_that_were_moved_are_refused():
    for epoch in (0.5, 7.25):
        scheduler = RESTARTS(optimizer_of(), 5, 3)
        scheduler.optimizer.step()
        scheduler.step(epoch)
        refused(scheduler, r"`T_cur` must be \d of \d+ at step .* another step: clr_core\.Record")
    # With whole epochs, it is where it should be; but for a defect of torch's.
    scheduler = RESTARTS(optimizer_of(), 1, 10)
    scheduler.optimizer.step()
    scheduler.step(57)
    assert read(scheduler).step == 57
    scheduler.step(111)
    refused(scheduler, "`T_cur` must be 0 of 1000 at step 111")


def test_functions_are_refused():
    for function in (lambda step: 1.0, Decay()):
        scheduler = lr_scheduler.LambdaLR(optimizer_of(), function)
        refused(
            scheduler, r"Another scheduler's: .*lr_lambdas.* clr_core\.Record\(schedule, step\)"
        )
    cosine = transformers.get_cosine_schedule_with_warmup(optimizer_of(), 2, 9)
    refused(cosine.state_dict(), "from the scheduler itself, as its state has no functions")
    several = transformers.get_cosine_with_hard_restarts_schedule_with_warmup
    refused(several(optimizer_of(), 2, 9), "one of its linear, cosine and WSD .* clr_core.Record")
    again = transformers.get_cosine_schedule_with_warmup(optimizer_of(), 2, 9, num_cycles=1.5)
    refused(again, r"`num_cycles` must be 0\.5 .* num_cycles=1\.5")
    root = transformers.get_wsd_schedule(
        optimizer_of(), 2, 9, num_stable_steps=3, decay_type="1-sqrt"
    )
    refused(root, "`decay_type` must be one of 'linear', 'cosine'")
    short = transformers.get_linear_schedule_with_warmup(optimizer_of(), 9, 9)
    refused(short, "`num_training_steps` must be above `num_warmup_steps`")


def test_chained_ones_are_asked_back():
    optimizer = optimizer_of()
    chained = lr_scheduler.ChainedScheduler([LINEAR(optimizer), COSINE(optimizer, 9)])
    refused(chained, r"can't be carried together .* pass key='_schedulers\.0'")
    # The rate is the product of both.
    refused(chained, "must follow from its parameters", key="_schedulers.1")


class Decay:
    def __call__(self, step):
        return 1 / (1 + step)


class Halved(lr_scheduler.OneCycleLR):
    def get_lr(self):
        return [each / 2 for each in super().get_lr()]


class Named(lr_scheduler.OneCycleLR):
    name = "mine"


def test_a_derived_class_is_read_if_its_rates_are_torchs():
    refused(Halved(optimizer_of(), PEAK, 10), r"the `get_lr` of torch's OneCycleLR\. .* a Halved")
    assert read(Named(optimizer_of(), PEAK, 10)) == read(
        lr_scheduler.OneCycleLR(optimizer_of(), PEAK, 10)
    )


def test_a_state_with_other_keys_is_another_class():
    state = COSINE(optimizer_of(), 5).state_dict()
    refused(state | {"warmup": 3}, "Another scheduler's: .*warmup")


def test_rates_that_something_else_has_set_are_refused():
    optimizer = optimizer_of()
    linear, cycle = LINEAR(optimizer), lr_scheduler.OneCycleLR(optimizer, 0.4, 9)
    # The second one has set the rate from which the first one goes on.
    for at in range(3):
        sequential = lr_scheduler.SequentialLR(optimizer, [linear, cycle], [5])
        cycle.cycle_momentum = False
        refused(
            after(sequential, at), "must follow from its parameters.* Something else has set it"
        )
        optimizer = optimizer_of()
        linear, cycle = LINEAR(optimizer), lr_scheduler.OneCycleLR(optimizer, 0.4, 9)


def test_the_optimizer_of_one_cycle():
    scheduler = after(lr_scheduler.OneCycleLR(optimizer_of(), PEAK, 10), 3)
    state, optimizer = scheduler.state_dict(), scheduler.optimizer.state_dict()
    record = read(scheduler)
    assert record == read({"a": optimizer, "b": {"deep": [copy.deepcopy(optimizer), state]}})
    refused(state, r"no optimizers .* Pass the optimizer or its state dict: optimizer=…$")
    other = lr_scheduler.OneCycleLR(optimizer_of(), PEAK, 10, final_div_factor=10).optimizer
    refused({"a": optimizer, "b": other.state_dict(), "c": state}, "2 optimizers with 'initial_lr'")
    assert record == read({"b": other.state_dict(), "c": state}, optimizer=optimizer)
    refused(state, "no optimizers with", optimizer=optimizer_of())


def test_a_cycle_has_precedence_and_a_key_chooses():
    cycle, cosine = CyclicLR(optimizer_of(), 0.1, 0.5), COSINE(optimizer_of(), 9)
    states = {"g": cycle.state_dict(), "d": cosine.state_dict()}
    assert to_record(states) == to_record(cycle)
    assert read(states, key="d") == read(cosine)
    refused(
        {"g": cosine.state_dict(), "d": cosine.state_dict()},
        "must be one state, or a `key` to choose",
    )


@pytest.mark.parametrize(
    ("case", "key", "value"),
    [
        ("one cycle", "_schedule_phases", []),
        ("one cycle", "_schedule_phases", [{"end_step": 3}]),
        ("one cycle", "_schedule_phases", None),
        ("one cycle", "_anneal_func_type", "exp"),
        ("one cycle", "_anneal_func_type", None),
        ("one cycle", "base_lrs", []),
        ("one cycle", "total_steps", "x"),
        ("cosine", "T_max", 0),
        ("cosine", "T_max", -3),
        ("cosine", "T_max", None),
        ("cosine", "T_max", float("nan")),
        ("cosine", "eta_min", -0.1),
        ("cosine", "_last_lr", [0.3]),
        ("cosine", "last_epoch", 2.5),
        ("restarts", "T_0", 0),
        ("restarts", "T_mult", 0),
        ("restarts", "T_mult", 1.5),
        ("restarts", "T_cur", None),
        ("linear", "total_iters", 0),
        ("linear", "total_iters", 2.5),
        ("linear", "start_factor", "x"),
        ("constant", "factor", -1),
        ("warm-up and cosine", "_milestones", [3, 4]),
        ("warm-up and cosine", "_milestones", [0]),
        ("warm-up and cosine", "_milestones", None),
        ("warm-up and cosine", "_milestones", ["x"]),
        ("warm-up and cosine", "_schedulers", []),
        ("warm-up and cosine", "_schedulers", [None, {}]),
        ("warm-up and cosine", "last_epoch", 7),
    ],
    ids=str,
)
def test_a_broken_state_is_refused(case, key, value):
    make, _ = CASES[case]
    scheduler = after(make(optimizer_of()), 3)
    state = scheduler.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"\S") as error:
        read(state | {key: value}, optimizer=scheduler.optimizer)
    assert re.search("must|can't", str(error.value))
