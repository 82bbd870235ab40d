"""What a range test found, as data: JSON, the schedule, several runs as one, and pictures."""

import math
from dataclasses import FrozenInstanceError, replace
from inspect import signature

import pytest

from clr_core import CyclicSchedule, RangeTest, RangeTestResult
from clr_core.range_finding.result import ScheduleOptions

LRS = [1e-6 * 10.0 ** (7 * i / 99) for i in range(100)]


def bowl(low=-2.0, height=2.3):
    return [
        height - 2 * max(0.0, 1 - abs(x - low)) + 5 * max(0.0, x - low - 1)
        for x in map(math.log10, LRS)
    ]


RESULTS = {
    "a number": RangeTestResult.from_curve(LRS, bowl()),
    "scores": RangeTestResult.from_curve(LRS, bowl(), [0.1 + lr / 20 for lr in LRS], ramp="linear"),
    "stopped": RangeTestResult.from_curve(LRS[:62], bowl()[:62], stop_reason="The loss was nan."),
    "flat": RangeTestResult.from_curve(LRS, [1.0] * 100),
    "three losses": RangeTestResult.from_curve(LRS[:3], bowl()[:3]),
    "no losses": RangeTestResult.from_curve([], []),
}
each_result = pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)


def test_it_does_not_change():
    result = RESULTS["a number"]
    with pytest.raises(FrozenInstanceError):
        result.max_lr = 1.0
    result.to_dict()["suggestions"]["edge"] = 5.0
    assert result.suggestions["edge"] == result.max_lr
    longer = replace(result, warnings=[*result.warnings, "The loader ran out."])
    assert (longer.warnings, result.warnings) == (("The loader ran out.",), ())


def refused(change, error=ValueError):
    with pytest.raises(error) as caught:
        RangeTestResult.from_dict({**RESULTS["a number"].to_dict(), **change})
    return str(caught.value)


def test_unknown_and_missing_keys():
    assert refused({"best_lr": 0.1}).endswith("Missing: []. Unknown: ['best_lr']")
    document = RESULTS["a number"].to_dict()
    del document["max_lr"]
    with pytest.raises(ValueError, match=r"Missing: \['max_lr'\]. Unknown: \[\]$"):
        RangeTestResult.from_dict(document)
    with pytest.raises(TypeError, match=r"^A result must be a mapping\. Received: document=3$"):
        RangeTestResult.from_dict(3)


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"lrs": LRS[::-1]}, ValueError, "must be positive and rise"),
        ({"lrs": [*LRS[:-1], LRS[-2]]}, ValueError, "must be positive and rise"),
        ({"lrs": [0.0, *LRS[1:]]}, ValueError, "must be positive and rise"),
        ({"lrs": "1"}, TypeError, "must be a list of numbers"),
        ({"losses": None}, TypeError, "must be a list of numbers"),
        ({"losses": [math.nan] * 100}, ValueError, "must be finite"),
        ({"losses": ["1"] * 100}, TypeError, "must be a number"),
        ({"ramp": "exp"}, ValueError, "must be one of 'exponential', 'linear'"),
        ({"ramp": []}, ValueError, "must be one of 'exponential', 'linear'"),
        ({"stop_reason": 3}, TypeError, "must be a sentence or None"),
        ({"suggestions": []}, TypeError, "must be a dict of names and rates"),
        ({"suggestions": {3: 0.1}}, TypeError, "must be a dict of names and rates"),
        ({"max_lr": -1}, ValueError, "must be positive or None"),
        ({"base_lr": "1"}, TypeError, "must be a number"),
        ({"warnings": "Oh."}, TypeError, "must be a list of sentences"),
        ({"warnings": [3]}, TypeError, "must be a list of sentences"),
        ({"warnings": 3}, TypeError, "must be a list of sentences"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_values(change, error, rule):
    (name,) = change
    assert refused(change, error).startswith(f"`{name}` {rule}. Received: {name}=")


@pytest.mark.parametrize("name", ["losses", "scores"])
def test_one_for_each_rate(name):
    text = f"`lrs` and `{name}` must have the same length. Received: 100 lrs, 1 {name}"
    assert refused({name: [1.0]}) == text


def test_a_suggestion_is_a_rate():
    text = "`suggestions['edge']` must be positive or None. Received: suggestions['edge']=0"
    assert refused({"suggestions": {"edge": 0}}) == text


def test_the_schedule():
    result = RESULTS["a number"]
    assert result.schedule(500) == CyclicSchedule(
        base_lr=result.max_lr / 4, max_lr=result.max_lr, step_size_up=500
    )
    assert result.schedule(500, mode="triangular2", base_lr=0.0) == CyclicSchedule(
        base_lr=0, max_lr=result.max_lr, step_size_up=500, mode="triangular2"
    )
    with pytest.raises(TypeError, match="gama"):
        result.schedule(500, gama=0.9)


def test_the_options_of_a_schedule_are_its_parameters():
    """All of them, but for the boundaries and the step sizes, which have their own arguments."""
    own = {"base_lr", "max_lr", "step_size_up", "step_size_down"}
    assert {*ScheduleOptions.__annotations__} == {*signature(CyclicSchedule).parameters} - own
    assert not ScheduleOptions.__required_keys__
    result = RESULTS["a number"]
    assert result.schedule(500, step_size_down=100).step_size_down == 100


def test_a_given_max_lr_overrides():
    result = RESULTS["flat"]
    with pytest.raises(ValueError, match=r"^The range test gives no `max_lr`\. The loss is flat: "):
        result.schedule(500)
    with pytest.raises(ValueError, match=r"^`max_lr` must be positive. Received: max_lr=-1$"):
        result.schedule(500, max_lr=-1)
    with pytest.raises(ValueError, match=r"^`max_lr` must be positive. Received: max_lr=0$"):
        result.schedule(500, max_lr=0)
    assert result.schedule(500, max_lr=0.4) == CyclicSchedule(
        base_lr=0.1, max_lr=0.4, step_size_up=500
    )


def with_rates(*rates):
    """Results that differ in `max_lr` only, None for one that gives none."""
    return [
        replace(RESULTS["flat"] if lr is None else RESULTS["a number"], max_lr=lr) for lr in rates
    ]


@pytest.mark.parametrize(
    ("rates", "middle", "warning"),
    [
        ((0.1,), 0.1, None),
        ((0.1, 0.3, 0.2), 0.2, None),
        ((0.4, 0.3, 0.2, 0.1), 0.2, None),
        ((0.2, 0.1), 0.1, None),
        ((None, 0.3, 0.2, 0.1), 0.2, "1 of 4 runs give no `max_lr`."),
        ((None, None, 0.1), 0.1, "2 of 3 runs give no `max_lr`."),
        (
            (0.01, 0.3, 0.02),
            0.02,
            "The runs contradict each other: `max_lr` ranges from 0.01 to 0.3. "
            "Take larger batches.",
        ),
    ],
)
def test_the_run_in_the_middle(rates, middle, warning):
    runs = with_rates(*rates)
    chosen = runs[rates.index(middle)]
    warnings = (*chosen.warnings, *([warning] if warning else []))
    assert RangeTestResult.of(runs) == replace(chosen, warnings=warnings)


def test_runs_of_which_none_gives_a_rate():
    result = RangeTestResult.of([RESULTS["flat"], RESULTS["three losses"]])
    said = "2 of 2 runs give no `max_lr`."
    assert result == replace(RESULTS["flat"], warnings=(*RESULTS["flat"].warnings, said))
    assert RangeTestResult.of([RESULTS["flat"]]) == RESULTS["flat"]


def test_what_is_no_list_of_results():
    with pytest.raises(ValueError, match=r"^`results` must contain at least one result"):
        RangeTestResult.of([])
    with pytest.raises(TypeError, match=r"^`results` must be results of range tests"):
        RangeTestResult.of([RESULTS["a number"], RangeTest()])


@pytest.mark.parametrize(("highest", "count"), [(10.0, 0), (10.1, 1)])
def test_a_factor_above_ten_contradicts(highest, count):
    runs = [replace(RESULTS["a number"], max_lr=max_lr) for max_lr in (1.0, highest)]
    assert len(RangeTestResult.of(runs).warnings) == count


def test_the_picture_for_print(tmp_path):
    pytest.importorskip("matplotlib")
    figure = RESULTS["a number"].plot(tmp_path / "range.png")
    png = (tmp_path / "range.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == round(150 * figure.get_figwidth())  # Dots per inch.


@each_result
def test_every_result_has_a_picture(result):
    svg, _, sentences = result._repr_html_().partition("<pre ")
    assert bool(svg) == bool(result.lrs)
    rule = "" if result.max_lr is None else " (edge)"
    assert f"max_lr={result.max_lr!r}{rule}, base_lr={result.base_lr!r}" in sentences
    pytest.importorskip("matplotlib")
    assert result.plot().axes


def test_a_picture_that_is_only_returned(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert RESULTS["a number"].plot().axes
    assert list(tmp_path.iterdir()) == []


def test_its_repr_says_what_matters():
    result = RESULTS["a number"]
    assert repr(result) == (
        f"<RangeTestResult: max_lr={result.max_lr}, base_lr={result.base_lr}, losses=100>"
    )
    assert "The loss is flat" in repr(RESULTS["flat"])


def test_the_rule_that_gave_the_rate():
    found = RESULTS["a number"]
    assert found.rule == "edge"
    assert replace(found, max_lr=found.suggestions["minimum"]).rule == "minimum"
    assert replace(found, max_lr=0.123).rule is None
    assert RESULTS["flat"].rule is None
    # Names from a file are anybody's text.
    assert replace(found, suggestions={"\x1b[2J": 0.5}, max_lr=0.5).rule is None
    pytest.importorskip("matplotlib")
    labels = [text.get_text() for text in found.plot().axes[0].get_legend().get_texts()]
    assert f"max_lr {found.max_lr:.2g} (edge)" in labels
    assert f">max_lr {found.max_lr:.2g} (edge)</text>" in found._repr_html_()


@each_result
def test_the_smooth_curve(result):
    lrs, losses = result.smoothed()
    assert len(lrs) == len(losses)
    assert bool(lrs) == (len(result.lrs) > 2)
    assert set(lrs) <= set(result.lrs)
    if lrs:
        assert losses[0] == pytest.approx(result.losses[0], abs=0.1)
        assert min(losses) == pytest.approx(min(result.losses), abs=0.5)
        # How high a diverged loss is doesn't matter.
        assert max(losses) <= 1.01 * (2 * result.losses[0] - min(result.losses))
