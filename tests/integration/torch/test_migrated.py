"""The output of `clr migrate` for torch, run beside the code that it replaces."""

import warnings

import pytest
import torch

import migrate_cases as cases
from clr_cli.migrate import migrate, rewritten
from clr_core import CyclicSchedule
from clr_core.conformance import float32

STEPS = 40


def _curve(code, **names):
    """The rates and momenta of the groups that each update uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of arguments that torch's class ignores.
        exec(compile(code, "train.py", "exec"), names)
    optimizer, scheduler = names["optimizer"], names["scheduler"]
    rows = []
    for _ in range(STEPS):
        rows.append(
            [
                (group["lr"], group["betas"][0] if "betas" in group else group["momentum"])
                for group in optimizer.param_groups
            ]
        )
        optimizer.step()
        scheduler.step()
    return rows


RESUMED = "for group in optimizer.param_groups:\n    group['initial_lr'] = 0.001\n"
SOURCES = {
    **{f"SGD {key}": cases.torch_source(call) for key, (call, _) in cases.TORCH.items()},
    **{
        f"Adam {key}": cases.torch_source(call, cases.ADAM)
        for key, (call, _) in cases.TORCH.items()
    },
    **{f"groups {call}": cases.torch_source(call, cases.TWO_GROUPS) for call in cases.GROUPS},
    **{
        f"resumed at {step}": cases.torch_source(
            f"optimizer, 0.001, 0.006, 3, cycle_momentum=False, last_epoch={step}", before=RESUMED
        )
        for step in (0, 4)
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_rewritten_program_sets_what_it_set(name):
    source = SOURCES[name]
    program = rewritten(source, migrate(source, "train.py"))
    assert "clr_torch.CyclicLR(" in program
    model = torch.nn.Linear(3, 1)
    ours, theirs = _curve(program, model=model), _curve(source, model=model)
    for mine, other in zip(ours, theirs, strict=True):
        assert [tuple(map(float32, each)) for each in mine] == [
            tuple(map(float32, each)) for each in other
        ]


OTHERS = {name: case for name, case in cases.all_cases().items() if not name.startswith("torch")}


@pytest.mark.parametrize("name", OTHERS)
def test_the_replacement_for_another_framework_runs(name):
    source, means = OTHERS[name]
    (finding,) = migrate(source, "train.py", to="torch")
    optimizer = torch.optim.SGD(torch.nn.Linear(3, 1).parameters(), momentum=0.5)
    schedule = CyclicSchedule(**means)
    for step, ((lr, momentum),) in enumerate(_curve(finding.replacement, optimizer=optimizer)):
        assert lr == schedule.lr(step)
        assert momentum == 0.5
