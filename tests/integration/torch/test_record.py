"""A run in torch becomes a record, and the record a run in torch with the same continuation."""

import copy
import functools
import json

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import CyclicLR as Torchs

from clr_core import CyclicSchedule
from clr_core.record import Record
from clr_torch import CyclicLR, from_record, read_record, to_record, to_state_dict
from integration.torch import training
from integration.torch.training import after, run, values

CASES = {
    "triangular": {},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.99},
    "unequal": {"step_size_up": 3, "step_size_down": 7},
    "fractional": {"step_size_up": 2.5, "step_size_down": 1.75},
    "no momentum": {"cycle_momentum": False},
    "momentum": {"base_momentum": [0.6, 0.65], "max_momentum": [0.7, 0.8]},
    "groups": {"base_lr": [0.1, 0.2], "max_lr": [0.5, 0.6]},
}
STEPS = 23
make = functools.partial(training.make, groups=2)


def arguments(case):
    return {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 2} | CASES[case]


def in_float32(used):
    return torch.tensor(used, dtype=torch.float64).float().tolist()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("steps", [0, 1, 2, 9])
@pytest.mark.parametrize("case", CASES)
def test_ours_goes_on(case, steps, name):
    straight = CyclicLR(make(name), **arguments(case))
    run(straight, steps)
    record = to_record(straight)
    again = from_record(record, make(name))
    assert record.step == steps
    assert record == to_record(straight.state_dict())
    assert again.state_dict() == straight.state_dict()
    assert again.get_last_lr() == [group["lr"] for group in again.optimizer.param_groups]
    assert run(again, STEPS) == run(straight, STEPS)


def test_one_schedule_where_the_groups_are_equal():
    assert isinstance(to_record(CyclicLR(make(), 0.1, 0.5)).schedule, CyclicSchedule)
    assert len(to_record(CyclicLR(make(), [0.1, 0.2], 0.5)).schedule) == 2


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("source", ["living", "state", "json"])
@pytest.mark.parametrize("case", CASES)
def test_torchs_goes_on_here(case, source, name):
    torchs = after(Torchs(make(name), **arguments(case)), 9)
    state = torchs.state_dict()
    kept = copy.deepcopy(state)
    given = {"living": torchs, "state": state, "json": json.loads(json.dumps(state))}[source]
    record = to_record(given)
    assert state == kept
    ours = CyclicLR(make(name), **arguments(case))
    assert record == Record(to_record(ours).schedule, step=9)
    # Two formulas in float64, which an update rounds to the same float32.
    assert in_float32(run(from_record(record, make(name)), STEPS)) == in_float32(run(torchs, STEPS))


@pytest.mark.parametrize("case", CASES)
def test_ours_goes_on_in_torchs(case):
    straight = Torchs(make(), **arguments(case))
    run(straight, 9)
    state = to_state_dict(to_record(straight), of="torch", groups=2)
    theirs = straight.state_dict()
    # One key is left out on purpose, and the rate comes from another formula.
    assert state.pop("_last_lr") == pytest.approx(theirs.pop("_last_lr"), rel=1e-12)
    assert theirs.pop("use_beta1", False) is False
    # No rate depends on what torch has added and dropped since 2.4.
    assert theirs.pop("verbose", False) is False
    assert state == {"_is_initial": False} | theirs
    state["_last_lr"] = straight.get_last_lr()
    cycles = CASES[case].get("cycle_momentum", True)
    again = Torchs(make(), 0.7, 0.8, 5, cycle_momentum=cycles)
    again.load_state_dict(state)
    run(straight, 1), run(again, 1)
    # The same parameters in the same formula, so the same bits.
    assert run(again, STEPS) == run(straight, STEPS)
    assert to_record(again) == to_record(straight)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_torchs_state_for_either_kind_of_momentum(name):
    momenta = {"base_momentum": 0.6, "max_momentum": 0.7}
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, **momenta)
    scheduler = Torchs(make(name), 0.1, 0.5, 2)
    scheduler.load_state_dict(to_state_dict(Record(schedule, step=1), groups=2, of="torch"))
    run(scheduler, 1)
    assert [momentum for _, momentum in values(scheduler)] == [0.6, 0.6]


@pytest.mark.parametrize("case", CASES)
def test_the_state_of_ours(case):
    straight = CyclicLR(make(), **arguments(case))
    run(straight, 9)
    state = to_state_dict(to_record(straight), groups=2)
    assert state == straight.state_dict()
    again = CyclicLR(make(), **arguments(case))
    again.load_state_dict(state)
    assert run(again, STEPS) == run(straight, STEPS)


def test_as_many_groups_as_the_record_has():
    slow, quick = (CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=up) for up in (2, 3))
    assert len(to_state_dict(Record(slow))["schedules"]) == 1
    assert len(to_state_dict(Record((slow, quick)))["schedules"]) == 2
    for record, groups in [(Record((slow, quick)), 3), (Record(slow), 0), (Record(slow), -1)]:
        with pytest.raises(ValueError, match=r"^`groups` must be at least 1, .* Received: groups="):
            to_state_dict(record, groups=groups)


def test_of_whom():
    record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5))
    with pytest.raises(
        ValueError, match=r"^`of` must be 'clr_torch' or 'torch'\. Received: of='x'"
    ):
        to_state_dict(record, of="x")


WHOLE = st.integers(1, 10**7)
PLAIN = st.one_of(
    WHOLE.map(float),
    WHOLE.map(lambda n: n / 2),
    WHOLE.map(lambda n: n / 100),
    st.integers(1, 10**14).map(lambda n: n / 10**7),
)


def torchs_state(up, down):
    return Torchs(make(groups=1), 0.1, 0.5, step_size_up=up, step_size_down=down).state_dict()


@given(PLAIN, PLAIN)
def test_plain_step_sizes_are_recovered(up, down):
    schedule = to_record(torchs_state(up, down)).schedule
    assert (schedule.step_size_up, schedule.step_size_down) == (up, down)


SIZES = st.floats(1e-3, 1e9)


# Here the rise with the fewest digits that gives torch's ratio has no fall that gives its sum.
@example(3937.7077995066998, 8983.1939774846)
@given(SIZES, SIZES)
def test_any_step_sizes_are_those_of_torch_to_the_bit(up, down):
    state = torchs_state(up, down)
    again = to_state_dict(to_record(state), of="torch")
    for name in ("total_size", "step_ratio"):
        assert again[name] == state[name]


def test_what_torch_ignored_is_not_carried():
    ignored = {"gamma": 0.9, "scale_mode": "iterations"}
    torchs = Torchs(make(), 0.1, 0.5, 2, mode="triangular2", **ignored)
    assert to_record(torchs) == to_record(CyclicLR(make(), 0.1, 0.5, 2, mode="triangular2"))


def test_a_tensor_for_a_boundary():
    torchs = after(Torchs(make(), 0.125, torch.tensor(0.5), 2), 9)
    ours = after(CyclicLR(make(), 0.125, 0.5, 2), 9)
    assert to_record(torchs) == to_record(torchs.state_dict()) == to_record(ours)


def test_a_tensor_for_a_rate():
    torchs = after(Torchs(make(lr=torch.tensor(0.3)), 0.1, 0.5, 3), 8)
    assert to_record(torchs) == to_record(after(CyclicLR(make(), 0.1, 0.5, 3), 8))


def test_a_boundary_that_torch_overwrote_is_refused():
    # Torch's class hands its own tensor to the optimizer, and fills it there.
    torchs = after(Torchs(make(), torch.tensor(0.1), torch.tensor(0.5), 4), 3)
    with pytest.raises(
        ValueError, match=r"^The rate of the scheduler must follow from its parameters: "
    ):
        to_record(torchs)


def halved(x):
    return 1 / 2.0 ** (x - 1)


class Decay:
    def __init__(self):
        self.factor = 0.5

    def __call__(self, x):
        return self.factor ** (x - 1)


EXPRESSION = "1 / 2 ** (x - 1)"


@pytest.mark.parametrize("scale_fn", [halved, Decay(), abs], ids=["function", "object", "builtin"])
def test_a_callable_is_named(scale_fn):
    ours = CyclicLR(make(), 0.1, 0.5, 2, scale_fn=scale_fn)
    torchs = Torchs(make(), 0.1, 0.5, 2, scale_fn=scale_fn)
    for each in (ours, torchs):
        message = r"^A `scale_fn` that is a Python callable .* this is one: .*\. Give the decay"
        with pytest.raises(TypeError, match=message):
            to_record(each)


@pytest.mark.parametrize("scale_fn", [halved, Decay()], ids=["function", "object"])
@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_an_expression_takes_its_place(kind, scale_fn):
    scheduler = after(kind(make(), 0.1, 0.5, 3, scale_fn=scale_fn), 8)
    for source in (scheduler, scheduler.state_dict()):
        record = to_record(source, scale_fn=EXPRESSION)
        assert record.schedule.scale_fn == "1.0 / 2.0 ** (x - 1.0)"
    again = run(from_record(record, make()), STEPS)
    assert in_float32(again) == in_float32(run(scheduler, STEPS))


def as_a_file(scheduler, path):
    torch.save(scheduler, path)
    return path


def in_groups(*scale_fns):
    schedules = [
        CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=2, scale_fn=each) for each in scale_fns
    ]
    # At a peak in the first cycle, where the rates don't tell one from another.
    return after(CyclicLR.from_schedule(make(groups=len(schedules)), schedules), 2)


@pytest.mark.parametrize("scale_fns", [(halved, None), (None, halved), (halved, EXPRESSION)])
def test_a_callable_in_some_groups_gives_way_to_an_expression(scale_fns, tmp_path):
    scheduler = in_groups(*scale_fns)
    whole = as_a_file(scheduler, tmp_path / "whole.pt")
    wanted = in_groups(*(each and EXPRESSION for each in scale_fns))
    for record in (
        to_record(scheduler, scale_fn=EXPRESSION),
        to_record(scheduler.state_dict(), scale_fn=EXPRESSION),
        read_record(whole, scale_fn=EXPRESSION),
    ):
        assert record == to_record(wanted)


def test_one_expression_for_the_callables_of_several_groups(tmp_path):
    two = tuple(lambda x, base=base: base ** (x - 1) for base in (0.5, 0.25))
    message = r"^`scale_fn` must stand for one Python callable, and there are 2: .*<lambda> \(2\)\."
    for source in (in_groups(*two), in_groups(*two, two[0]).state_dict()):
        for scale_fn in (None, EXPRESSION):
            with pytest.raises(TypeError, match=message):
                to_record(source, scale_fn=scale_fn)
    again = in_groups(*two)
    again.load_state_dict(in_groups(*two).state_dict())
    with pytest.raises(ValueError, match="must come from a scheduler with the same parameters"):
        again.load_state_dict(in_groups(two[0], two[0]).state_dict())
    whole = as_a_file(in_groups(Decay(), halved, Decay()), tmp_path / "whole.pt")
    with pytest.raises(TypeError, match=r"there are 3: .*Decay, .*halved, .*Decay"):
        read_record(whole, scale_fn=EXPRESSION)


def test_the_mode_of_the_decay_is_carried():
    torchs = Torchs(make(), 0.1, 0.5, 3, scale_fn=lambda x: 0.9**x, scale_mode="iterations")
    record = to_record(after(torchs, 8), scale_fn="0.9 ** x")
    assert record.schedule.scale_mode == "iterations"
    assert in_float32(run(from_record(record, make()), STEPS)) == in_float32(run(torchs, STEPS))


@pytest.mark.parametrize(("steps", "expression"), [(1, "0.5 / x"), (8, "1 / x ** 2")])
@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_another_expression_is_refused(kind, steps, expression):
    scheduler = after(kind(make(), 0.1, 0.5, 3, scale_fn=halved), steps)
    message = rf"^The rate of .* must follow from its parameters: .* at step {steps}\. Received: "
    with pytest.raises(ValueError, match=message):
        to_record(scheduler, scale_fn=expression)


@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_an_expression_where_the_rate_is_a_tensor(kind):
    optimizer = make(lr=torch.tensor(0.3))
    scheduler = after(kind(optimizer, 0.1, 0.5, 3, scale_fn=halved), 8)
    for source in (scheduler, scheduler.state_dict()):
        assert to_record(source, scale_fn=EXPRESSION).step == 8


@pytest.mark.parametrize("case", CASES)
def test_a_long_run_of_torchs_is_no_decay_of_its_own(case):
    # Torch's formula is off by more, the longer it runs.
    step = (
        4_001 if case == "triangular2" else 50_000_001
    )  # In cycle 1025 torch raises an OverflowError.
    torchs = Torchs(make(), **arguments(case))
    with pytest.warns(UserWarning, match=r"optimizer\.step|epoch"):
        torchs.step(step)
    assert to_record(torchs).step == step


def test_a_function_of_the_step_that_torch_did_not_save_shows_in_the_mode():
    torchs = Torchs(make(), 0.1, 0.5, 3, scale_fn=halved, scale_mode="iterations")
    with pytest.raises(TypeError, match="this is one: a function that wasn't saved"):
        to_record(torchs.state_dict())


def test_an_expression_where_ours_saved_the_decay_is_refused():
    scheduler = CyclicLR(make(), 0.1, 0.5, 3, mode="triangular2")
    message = r"^`scale_fn` must be left out unless .* callable\. Received: scale_fn='x'$"
    with pytest.raises(ValueError, match=message):
        to_record(scheduler, scale_fn="x")


def test_a_decay_in_torchs_state_is_refused():
    record = Record(CyclicSchedule(base_lr=0.1, max_lr=0.5, scale_fn=EXPRESSION))
    with pytest.raises(
        TypeError, match=r"^A `scale_fn` can't be carried in a state of torch's own"
    ):
        to_state_dict(record, of="torch")


@pytest.mark.parametrize(
    "other",
    [{"step_size_up": 3}, {"step_size_down": 3}, {"mode": "exp_range", "gamma": 0.5}],
    ids=str,
)
def test_groups_that_torch_has_no_place_for_are_refused(other):
    parameters = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 2}
    schedules = CyclicSchedule(**parameters), CyclicSchedule(**parameters | other)
    with pytest.raises(ValueError, match=r"for all groups\. Received for group 1: "):
        to_state_dict(Record(schedules), of="torch")


def test_momentum_in_one_group_is_refused_for_torch():
    with_it = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)
    schedules = with_it, CyclicSchedule(base_lr=0.1, max_lr=0.5)
    for order in (schedules, schedules[::-1]):
        with pytest.raises(ValueError, match="momentum of all groups or of none"):
            to_state_dict(Record(order), of="torch")


def sequence(kind):
    optimizer = make()
    warmup = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    cycle = kind(optimizer, 0.1, 0.5, 3, mode="triangular2")
    return lr_scheduler.SequentialLR(optimizer, [warmup, cycle], milestones=[3])


@pytest.mark.parametrize("kind", [CyclicLR, Torchs])
def test_inside_of_another_scheduler_it_is_asked_back(kind):
    scheduler = sequence(kind)
    run(scheduler, 11)
    for source in (scheduler, scheduler.state_dict(), {"scheduler": scheduler.state_dict()}):
        with pytest.raises(
            ValueError, match=r"can't be carried .* pass key='\S*_schedulers\.1'"
        ) as e:
            to_record(source)
        record = to_record(source, key=str(e.value).split("'")[-2])
        assert record.step == 8  # The cycle began after 3 updates.
    again = from_record(record, make())
    rates = [[group[0] for group in used] for used in in_float32(run(again, STEPS))]
    straight = [[group[0] for group in used] for used in in_float32(run(scheduler, STEPS))]
    assert rates == straight


def test_several_are_asked_back():
    first, second = (after(CyclicLR(make(), 0.1, 0.5, up), up) for up in (2, 3))
    checkpoint = {"g": first.state_dict(), "d": {"deep": [second.state_dict()]}}
    message = r"^There must be one state, or a `key` to choose\. Received: 'g', 'd\.deep\.0'$"
    with pytest.raises(ValueError, match=message):
        to_record(checkpoint)
    assert to_record(checkpoint, key="g") == to_record(first)
    assert to_record(checkpoint, key="d.deep.0") == to_record(second)
    with pytest.raises(ValueError, match=r"^`key` must be one of 'g', .* Received: key='f'$"):
        to_record(checkpoint, key="f")


def test_none_is_said():
    with pytest.raises(ValueError, match=r"^There must be a state of .*\. Received: none$"):
        to_record({"model": {}, "last_epoch": 3})


def test_another_scheduler_is_named():
    scheduler = lr_scheduler.LambdaLR(make(), lambda step: 1.0)
    for source, where in ((scheduler, ""), ({"sched": scheduler.state_dict()}, " at 'sched'")):
        message = rf"Received: none\. Another scheduler's{where}: .*lr_lambdas"
        with pytest.raises(ValueError, match=message):
            to_record(source)


@pytest.mark.parametrize("source", [None, 3, "scheduler.pt", make(), [{}]], ids=type)
def test_what_is_no_scheduler(source):
    message = r"^`source` must be a scheduler or its state dict\. Received: a \w+$"
    with pytest.raises(TypeError, match=message):
        to_record(source)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("total_size", 0.0),
        ("total_size", float("nan")),
        ("total_size", "10"),
        ("step_ratio", 1.0),
        ("step_ratio", None),
        ("mode", "cats"),
        ("mode", []),
        ("gamma", "x"),
        ("scale_mode", 3),
        ("base_lrs", 0.1),
        ("base_lrs", []),
        ("base_lrs", [0.7, 0.7]),
        ("base_lrs", [torch.zeros(2), 0.1]),
        ("max_lrs", [0.5]),
        ("max_momentums", [0.9, 1.5]),
        ("last_epoch", 2.5),
        ("last_epoch", True),
        ("last_epoch", 2**60),
        ("_last_lr", [0.1, float("nan")]),
    ],
    ids=str,
)
def test_a_broken_state_is_refused(key, value):
    state = after(Torchs(make(), 0.1, 0.5, 2, mode="exp_range", gamma=0.9), 5).state_dict()
    to_record(state)
    with pytest.raises((TypeError, ValueError)):
        to_record(state | {key: value})
    del state[key]
    with pytest.raises(ValueError, match=r"must (have the keys|be a state)"):
        to_record(state)


def test_waiting_for_its_turn_it_has_made_no_step():
    scheduler = sequence(CyclicLR)
    assert to_record(scheduler, key="_schedulers.1").step == 0


def test_from_what_is_no_record(unchanged):
    optimizer = make()
    for other in (None, {"step": 3}, CyclicSchedule(base_lr=0.1, max_lr=0.5)):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^`record` must be a clr_core"):
            from_record(other, optimizer)
        with pytest.raises(TypeError, match=r"^`record` must be a clr_core"):
            to_state_dict(other)


def test_with_other_groups_is_refused(unchanged):
    schedules = [CyclicSchedule(base_lr=0.1, max_lr=0.5, step_size_up=up) for up in (2, 3, 4)]
    optimizer = make()
    with unchanged(optimizer), pytest.raises(ValueError, match=r"per parameter group \(2\)"):
        from_record(Record(schedules, step=5), optimizer)


def test_a_momentum_for_an_optimizer_without_is_refused(unchanged):
    schedule = CyclicSchedule(base_lr=0.1, max_lr=0.5, base_momentum=0.8, max_momentum=0.9)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(3))])
    with unchanged(optimizer), pytest.raises(ValueError, match="must have a momentum"):
        from_record(Record(schedule, step=5), optimizer)
