"""A record or a schedule in one's own configuration, and schedules alone."""

import pytest

from clr_core import CyclicSchedule
from clr_core.record import Record

YAML = """\
defaults: &defaults {max_lr: 6e-3, mode: triangular2}
data: !include data.yaml
seeds: &seeds [1, 2]
more: *seeds
lr_schedule:
  <<: *defaults
  base_lr: &low 1e-3
trainer:
  lr: *low
  stages:
    - schedule: {<<: [*defaults], base_lr: 0, mode: triangular}
    - format: cyclical-lr/1
      step: 7
      schedule:
        - {<<: *defaults, base_lr: *low}
"""
TOML = """\
data = 2020-01-01
[lr_schedule]
base_lr = 1e-3
max_lr = 6e-3
mode = "triangular2"
[[trainer.stages]]
schedule = {base_lr = 0, max_lr = 6e-3}
[[trainer.stages]]
format = "cyclical-lr/1"
step = 7
schedule = [{base_lr = 1e-3, max_lr = 6e-3, mode = "triangular2"}]
"""
JSON = """\
{"data": [null, true], "lr_schedule": {"base_lr": 1e-3, "max_lr": 6e-3, "mode": "triangular2"},
 "trainer": {"stages": [{"schedule": {"base_lr": 0, "max_lr": 6e-3}}, {"format": "cyclical-lr/1",
 "step": 7, "schedule": [{"base_lr": 1e-3, "max_lr": 6e-3, "mode": "triangular2"}]}]}}
"""
SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="triangular2")
PARTS = {
    "lr_schedule": Record(SCHEDULE),
    "trainer.stages.0.schedule": Record(CyclicSchedule(base_lr=0, max_lr=0.006)),
    "trainer.stages.1": Record([SCHEDULE], step=7),
    "trainer.stages.1.schedule": Record([SCHEDULE]),
}


@pytest.fixture(params=[".json", ".yaml", ".toml"])
def config(request, tmp_path):
    if request.param == ".yaml":
        pytest.importorskip("yaml")
    path = tmp_path / f"config{request.param}"
    path.write_text({".json": JSON, ".yaml": YAML, ".toml": TOML}[request.param])
    return path


@pytest.mark.parametrize(("key", "record"), PARTS.items(), ids=PARTS)
def test_a_part_of_a_file(config, key, record):
    assert Record.read(config, key=key) == record


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("lr_schedul", "there is nothing. There are "),
        ("", "there is nothing. There are "),
        ("trainer.lr_schedule", "there is nothing. There are "),
        ("trainer.stages.2", "there is nothing. There is a list of 2 in 'trainer.stages'"),
        ("trainer.stages.-1", "there is nothing. There is a list of 2 in 'trainer.stages'"),
        ("lr_schedule.base_lr.x", "there is nothing. It is a value in 'lr_schedule.base_lr'"),
        ("trainer.stages", "`schedule[0]`: A schedule has no such key. Received: key='schedule'"),
        ("lr_schedule.base_lr", "A record must be a mapping. Received: document=0.001"),
        ("a." * 30 + "a", "a key must have at most 20 parts. Received: key='a.a.a.a"),
    ],
)
def test_what_is_no_part(config, key, reason):
    with pytest.raises(ValueError, match=r" must be a record at '") as caught:
        Record.read(config, key=key)
    text = str(caught.value)
    assert text.startswith(f"{str(config)!r} must be a record at {key!r}: {reason}")
    assert text.isprintable()


def test_the_whole_of_a_larger_file(config):
    with pytest.raises(ValueError, match=r"`format` must be .* It is missing\. Its keys are ") as e:
        Record.read(config)
    assert str(e.value).endswith(". `Record.read(…, key=…)` reads a part of a document")


def test_a_key_that_is_no_text(config):
    with pytest.raises(TypeError, match=r"^`key` must be text\. Received: key=3$"):
        Record.read(config, key=3)


def test_keys_with_dots():
    inner = '{"base_lr": 0, "max_lr": 0.006}'
    expected = Record(CyclicSchedule(base_lr=0, max_lr=0.006))
    assert Record.from_json(f'{{"a.b": {{"c": {inner}}}}}', key="a.b.c") == expected
    assert (
        Record.from_json(f'{{"a.b": 1, "a": {{"b": {{"c": {inner}}}}}}}', key="a.b.c") == expected
    )
    with pytest.raises(
        ValueError, match=r"at 'a\.b': this stands for two places, since keys there"
    ):
        Record.from_json(f'{{"a.b": {inner}, "a": {{"b": {inner}}}}}', key="a.b")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", '\ufeff{"base_lr": 1e-3, "max_lr": 6e-3, "mode": "triangular2"}'),
        (".json", SCHEDULE.to_json()),
        (".yaml", "kind: cyclic\nbase_lr: 1e-3\nmax_lr: 6e-3\nmode: triangular2"),
        (".yaml", "base_lr: &a 1e-3\nmax_lr: 6e-3\nmode: triangular2"),
        (".toml", "base_lr = 1e-3\nmax_lr = 6e-3\nmode = 'triangular2'"),
    ],
)
def test_a_schedule_alone(tmp_path, suffix, text):
    if suffix == ".yaml":
        pytest.importorskip("yaml")
    path = tmp_path / f"schedule{suffix}"
    path.write_text(text)
    assert Record.read(path) == Record(SCHEDULE)
    if suffix == ".json":
        assert Record.from_json(text) == Record(SCHEDULE)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-2", "0.01"),
        ("1e-5", "1.0e-05"),
        ("1E5", "100000"),
        ("-2.5e3", "-2500"),
        ("1e22", "1.0e+22"),
    ],
)
def test_numbers_that_pyyaml_takes_for_text(text, number):
    advice = f"Received: max_lr={text!r}. PyYAML takes this for text: write {number}"
    with pytest.raises(TypeError, match=r"^`max_lr` must be a number\.") as caught:
        Record.from_dict({"base_lr": 0.1, "max_lr": text})
    assert str(caught.value) == f"`max_lr` must be a number. {advice}"
    with pytest.raises(
        TypeError, match=f"^`step` must be an integer.* write {number}$".replace("+", r"\+")
    ):
        Record(SCHEDULE, step=text)
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text) == text
    assert yaml.safe_load(number) == float(text)


@pytest.mark.parametrize("text", ["e", "1e999", "nan", "0.1", "${lr}", "1e" + "9" * 100])
def test_other_text(text):
    with pytest.raises(TypeError, match=r"^`max_lr` must be a number\.") as caught:
        Record.from_dict({"base_lr": 0.1, "max_lr": text})
    assert "PyYAML" not in str(caught.value)
