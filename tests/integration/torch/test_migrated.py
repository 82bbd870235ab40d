"""The output of `clr migrate` for torch, run beside the code that it replaces."""

import warnings

import pytest
import torch

import migrate_cases as cases
import oracle
from clr_cli.migrate import migrate, rewritten
from clr_core import CyclicSchedule
from clr_core.conformance import float32

STEPS = 40


def _replaced(source):
    (finding,) = migrate(source, "train.py", to="torch")
    return finding


def _run(code, namespace):
    exec(compile(code, "train.py", "exec"), namespace)
    return namespace


def _curve(namespace, steps=STEPS):
    """The rates and momenta of the groups that each update uses."""
    optimizer, scheduler = namespace["optimizer"], namespace["scheduler"]
    rows = []
    for _ in range(steps):
        rows.append(
            [
                (group["lr"], group["betas"][0] if "betas" in group else group["momentum"])
                for group in optimizer.param_groups
            ]
        )
        optimizer.step()
        scheduler.step()
    return rows


def _program(source, replacement):
    """The program with the last call replaced."""
    return source[: source.index("scheduler = S.")] + replacement


def _both(source):
    model = torch.nn.Linear(3, 1)
    finding = _replaced(source)
    ours = _curve(_run(_program(source, finding.replacement), {"model": model}))
    theirs = _curve(_run(source, {"model": model}))
    return finding, ours, theirs


def _schedules(finding):
    found = finding.record["schedule"]
    return [
        CyclicSchedule.from_dict(each) for each in (found if isinstance(found, list) else [found])
    ]


SOURCES = {
    **{f"SGD {key}": cases.torch_source(call) for key, (call, _) in cases.TORCH.items()},
    **{
        f"Adam {key}": cases.torch_source(call, cases.ADAM)
        for key, (call, _) in cases.TORCH.items()
    },
    **{
        f"groups {key}": cases.torch_source(call, cases.TWO_GROUPS)
        for key, (call, _) in cases.GROUPS.items()
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_replacement_sets_what_torchs_class_sets(name):
    finding, ours, theirs = _both(SOURCES[name])
    schedules = _schedules(finding)
    for step, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert [tuple(map(float32, each)) for each in mine] == [
            tuple(map(float32, each)) for each in other
        ], f"step {step}"
        for (lr, momentum), schedule in zip(mine, schedules * len(mine), strict=False):
            assert lr == schedule.lr(step)
            assert float32(lr) == oracle.to_float32(oracle.lr(schedule.to_dict(), step))
            if schedule.momentum(0) is not None:
                assert momentum == schedule.momentum(step)


@pytest.mark.parametrize("name", [each for each in SOURCES if "wrong" not in each])
def test_the_rewritten_program_sets_what_it_set(name):
    source = SOURCES[name]
    program = rewritten(source, migrate(source, "train.py"))
    assert "clr_torch.CyclicLR(" in program
    model = torch.nn.Linear(3, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of arguments that torch's class ignores.
        ours = _curve(_run(program, {"model": model}))
    theirs = _curve(_run(source, {"model": model}))
    for mine, other in zip(ours, theirs, strict=True):
        assert [tuple(map(float32, each)) for each in mine] == [
            tuple(map(float32, each)) for each in other
        ]


@pytest.mark.parametrize("last_epoch", [0, 4])
def test_a_run_goes_on_where_torchs_class_goes_on(last_epoch):
    before = "for group in optimizer.param_groups:\n    group['initial_lr'] = 0.001\n"
    call = f"optimizer, 0.001, 0.006, 3, cycle_momentum=False, last_epoch={last_epoch}"
    finding, ours, theirs = _both(cases.torch_source(call, before=before))
    assert finding.record["step"] == last_epoch + 1
    (schedule,) = _schedules(finding)
    for step, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine[0][0] == schedule.lr(finding.record["step"] + step)
        assert float32(mine[0][0]) == float32(other[0][0])


OTHERS = {
    **{f"addons {key}": (cases.addons_source(call), m) for key, (call, m) in cases.ADDONS.items()},
    **{
        f"callback {key}": (cases.callback_source(call), m)
        for key, (call, m) in cases.CALLBACK.items()
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_replacement_for_another_framework_runs(name):
    source, means = OTHERS[name]
    finding = _replaced(source)
    namespace = _run(finding.replacement, {"model": torch.nn.Linear(3, 1)})
    assert type(namespace["optimizer"]) is torch.optim.SGD
    assert namespace["optimizer"].param_groups[0]["momentum"] == 0.5
    schedule = CyclicSchedule(**means)
    for step, ((lr, momentum),) in enumerate(_curve(namespace)):
        assert lr == schedule.lr(step)
        assert momentum == 0.5
