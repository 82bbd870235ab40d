"""A schedule is plain data: to type checkers, configuration libraries, copies and YAML."""

import copy
import dataclasses
import pickle
import typing

import pytest

from clr_core import CyclicSchedule, Record, schedule_from_dict

SCHEDULE = CyclicSchedule(
    base_lr=0.001, max_lr=0.006, scale_fn="1 / x", base_momentum=0.8, max_momentum=0.9
)


def test_type_hints_resolve():
    hints = typing.get_type_hints(CyclicSchedule)
    assert hints["step_size_down"] == float | None
    assert set(hints) == {each.name for each in dataclasses.fields(CyclicSchedule)}
    assert typing.get_type_hints(Record)["step"] is int


def test_every_field_is_a_parameter():
    assert all(each.init for each in dataclasses.fields(CyclicSchedule))
    assert CyclicSchedule(**dataclasses.asdict(SCHEDULE)) == SCHEDULE


def test_it_pickles_by_a_named_function_of_plain_data():
    function, (document,) = SCHEDULE.__reduce__()
    assert function is schedule_from_dict
    assert document == SCHEDULE.to_dict()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(SCHEDULE, protocol)) == SCHEDULE
    assert copy.copy(SCHEDULE) == copy.deepcopy(SCHEDULE) == SCHEDULE


@dataclasses.dataclass(frozen=True, repr=False)
class Named(CyclicSchedule):
    names: tuple = dataclasses.field(default_factory=tuple)


def test_a_subclass_stays_one():
    schedule = Named(base_lr=0.001, max_lr=0.006)
    assert type(copy.copy(schedule)) is type(pickle.loads(pickle.dumps(schedule))) is Named
    assert Named.from_dict({"base_lr": 0.001, "max_lr": 0.006}) == schedule


def test_yaml():
    yaml = pytest.importorskip("yaml")
    written = yaml.dump(SCHEDULE.to_dict())
    assert schedule_from_dict(yaml.safe_load(written)) == SCHEDULE
    # As Lightning writes the arguments of a module.
    assert yaml.load(yaml.dump({"schedule": SCHEDULE}), yaml.UnsafeLoader)["schedule"] == SCHEDULE


def test_pydantic():
    pydantic = pytest.importorskip("pydantic")

    class Settings(pydantic.BaseModel):
        schedule: CyclicSchedule

    assert Settings(schedule=SCHEDULE).schedule == SCHEDULE
    settings = Settings.model_validate({"schedule": {"base_lr": 0.001, "max_lr": "0.006"}})
    assert settings.schedule == CyclicSchedule(base_lr=0.001, max_lr=0.006)
    assert settings.schedule.lr(2000) == 0.006
    with pytest.raises(pydantic.ValidationError, match="max_lr"):
        Settings.model_validate({"schedule": {"base_lr": 0.001, "max_lr": "much"}})
    with pytest.raises(pydantic.ValidationError, match="`step_size_up` must be positive"):
        Settings.model_validate(
            {"schedule": {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 0}}
        )


def test_cattrs():
    cattrs = pytest.importorskip("cattrs")
    schedule = cattrs.structure({"base_lr": 0.001, "max_lr": 0.006}, CyclicSchedule)
    assert schedule == CyclicSchedule(base_lr=0.001, max_lr=0.006)
    assert cattrs.structure(cattrs.unstructure(schedule), CyclicSchedule) == schedule
