"""The code that `clr migrate` writes for Keras: the schedule of its optimizer."""

import keras
import pytest

import clr_keras
import migrate_cases as cases
from clr_cli.migrate import migrate, rewritten
from clr_core import CyclicSchedule
from clr_core.record import Record


def _check(optimizer, schedule):
    """That the optimizer follows the schedule from its start."""
    assert clr_keras.to_record(optimizer) == Record(schedule)
    assert schedule.momentum(0) is None or optimizer.torch_velocity


@pytest.mark.parametrize("name", [each for each in cases.all_cases() if "addons" not in each])
def test_the_replacement_follows_the_schedule(name):
    source, means = cases.all_cases()[name]
    (finding,) = migrate(source, "train.py", to="keras")
    names = {}
    exec(compile(finding.replacement, "train.py", "exec"), names)
    optimizer = names.get("optimizer") or keras.optimizers.SGD(names["learning_rate"])
    _check(optimizer, CyclicSchedule(**means))


@pytest.mark.parametrize("name", cases.ADDONS)
def test_the_rewritten_program_follows_the_schedule(name):
    call, means = cases.ADDONS[name]
    source = cases.addons_source(call)
    names = {}
    exec(rewritten(source, migrate(source, "train.py")), names)
    rate = names["rate"]
    assert isinstance(rate, clr_keras.CyclicLR)
    assert rate.schedule == CyclicSchedule(**means)
    assert rate.name == ("mine" if "mine" in call else "CyclicLR")
    assert (names["optimizer"].momentum, names["optimizer"].nesterov) == (0.5, True)
    _check(names["optimizer"], CyclicSchedule(**means))
