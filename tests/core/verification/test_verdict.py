"""`verify` names the planted fault, and says so if a log can't tell."""

import importlib
import json
import math
import random
import subprocess
import sys
from fractions import Fraction
from html import escape
from pathlib import Path

import pytest

import oracle
from clr_core import (
    CyclicSchedule,
    Phase,
    PiecewiseSchedule,
    Verdict,
    one_cycle,
    verify,
    warm_restarts,
    warmup_cosine,
)
from clr_core.verification.faults import (
    Constant,
    Held,
    OtherParameters,
    Restart,
    Scale,
    Shift,
    Speed,
    WarmUp,
)
from clr_core.verification.log import Resolution
from other_kinds import Cosine

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=200)
STEPS = range(1500)


@pytest.fixture(scope="session")
def confusion():
    """The benchmark, whose runs have their faults planted with the oracle."""
    sys.path.append(str(BENCHMARKS))
    try:
        yield importlib.import_module("verify_confusion")
    finally:
        sys.path.remove(str(BENCHMARKS))


def logged(count, schedule=SCHEDULE, steps=STEPS, round_as=oracle.to_float32):
    """The rates of a run that is at `count(step)` when it logs a step."""
    document = schedule.to_dict()
    return [round_as(oracle.lr(document, max(count(step), 0))) for step in steps]


def verdict_on(texts, schedule=SCHEDULE, steps=STEPS):
    """The verdict on a log in text."""
    return verify(schedule, steps, list(map(float, texts)), Resolution.of_texts(texts))


def digits(number):
    return lambda rate: f"{float(rate):.{number - 1}e}"


@pytest.mark.parametrize("seed", range(10, 14))
def test_never_names_a_fault_that_was_not_planted(confusion, seed):
    runs = [*confusion.runs(24, seed), *confusion.runs(4, seed, list(confusion.LATER))]
    right = 0
    for run in runs:
        verdict = run.verdict()
        assert not confusion.is_wrong(run, verdict), f"{run.planted} {run.schedule}: {verdict}"
        assert (verdict.status == "deviated") == (verdict.first_difference is not None)
        json.dumps(verdict.to_dict(), allow_nan=False)
        if confusion.column(verdict) not in ("undecided", "unknown") or run.right_name == "unknown":
            right += 1
            assert confusion.is_named(run, verdict), f"{run.right} {run.schedule}: {verdict}"
    # That it says something at all: what a log leaves open is a few in a hundred.
    assert right >= 0.8 * len(runs)


def test_a_run_that_followed():
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: step))
    assert verdict == Verdict(
        status="followed",
        sentence="The run followed the schedule: all 1500 lines agree with it, to float32.",
        lines=1500,
        different=0,
        resolution="float32",
        unseen_shift=0,
    )


@pytest.mark.parametrize(
    ("count", "fault", "first"),
    [
        (lambda step: 2 * step, Speed(2, "fast", (2, 2)), 1),
        (lambda step: 3 * (step + 1), Speed(3, "fast", (3, 3), offset=1), 0),
        (lambda step: 3 * (step - 1), Speed(3, "fast", (3, 3), offset=-1), 1),
        (lambda step: step // 50, Speed(50, "slow", (50, 50)), 1),
        (lambda step: step + 3 * max(0, step - 700), Speed(4, "fast", (4, 4), since=700), 701),
        (
            lambda step: step if step < 700 else 700 + (step - 700) // 2,
            Speed(2, "slow", (2, 2), since=700),
            701,
        ),
        (lambda step: step - 1, Shift(-1, (-1, -1)), 1),
        (lambda step: step - 900, Shift(-900, (-900, -900)), 1),  # More than two cycles.
        (lambda step: step + (step >= 640), Shift(1, (1, 1), since=640), 640),
        (lambda step: step if step < 500 else step - 500, Restart(500, (500, 500)), 500),
        (lambda step: 0, Constant(0.001, "base_lr"), 1),
        (lambda step: min(step, 300), Constant(0.0035, since=301), 301),
        (lambda step: min(step, 200), Constant(0.006, "max_lr", since=201), 201),
    ],
)
def test_says_what_happened(count, fault, first):
    verdict = verify(SCHEDULE, STEPS, logged(count))
    assert (verdict.status, verdict.fault, verdict.candidates) == ("deviated", fault, ())
    assert verdict.first_difference == first
    assert f"The run didn't follow the schedule: it {fault}. Step {first} is" in verdict.sentence


def test_is_plain_data():
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: 2 * step))
    assert verdict.to_dict() == {
        "status": "deviated",
        "sentence": verdict.sentence,
        "lines": 1500,
        "different": 1496,
        "resolution": "float32",
        "fault": {
            "name": "speed",
            "k": 2,
            "direction": "fast",
            "k_between": [2, 2],
            "also": [],
            "offset": 0,
            "since": None,
            "factor": 2,
        },
        "candidates": [],
        "first_difference": 1,
        "unseen_shift": None,
        "numbering": [1, 0],
    }


def test_gives_the_first_line_that_differs():
    verdict = verdict_on(logged(lambda step: 2 * step, round_as=digits(4)))
    assert verdict.sentence.endswith(
        "Step 1 is the first that differs: 0.00105 was logged, 0.001025 expected; "
        "1496 of 1500 lines differ."
    )


@pytest.mark.parametrize("factor", [0.5, 8, 1.1, 1 / 3])
def test_names_the_factor_of_a_scale(factor):
    lrs = [oracle.to_float32(Fraction(rate) * Fraction(factor)) for rate in logged(lambda s: s)]
    verdict = verify(SCHEDULE, STEPS, lrs)
    # The log shows the factor no more exactly: it was rounded before it was multiplied, and after.
    assert verdict.fault == Scale(pytest.approx(factor, rel=2**-23))


@pytest.mark.parametrize(
    "changes",
    [
        {"max_lr": 0.0085},
        {"base_lr": 0.0004},
        {"base_lr": 0.0, "max_lr": 0.004},
        {"step_size_up": 170},
        {"step_size_up": 33.5},
        {"step_size_down": 120},
        {"step_size_up": 61, "step_size_down": 147},
        {"mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.9991},
        {"base_lr": 0.0002, "max_lr": 0.003, "step_size_up": 70, "step_size_down": 110},
    ],
    ids=lambda changes: ", ".join(changes),
)
@pytest.mark.parametrize(
    "round_as",
    [lambda rate: repr(oracle.to_float32(rate)), digits(4)],
    ids=["float32", "4 digits"],
)
def test_finds_the_parameters_that_were_followed(changes, round_as):
    parameters = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 200} | changes
    other = CyclicSchedule(**parameters)
    verdict = verdict_on(logged(lambda step: step, other, round_as=round_as))
    assert verdict.fault == OtherParameters(changes)


def test_parameters_that_changed_at_a_resume():
    other = CyclicSchedule(base_lr=0.001, max_lr=0.009, step_size_up=200)
    lrs = logged(lambda step: step)[:640] + logged(lambda step: step, other)[640:]
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert verdict.fault == OtherParameters({"max_lr": 0.009}, since=640)
    assert "max_lr=0.009 from step 640 on" in verdict.sentence


def test_one_float32_ulp_is_a_difference():
    lrs = logged(lambda step: step)
    ulp = math.ulp(1.0) * 2**29 * 2 ** (math.frexp(lrs[77])[1] - 1)
    assert oracle.ulps32(lrs[77] + ulp, lrs[77]) == 1
    lrs[77] += ulp
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert (verdict.status, verdict.first_difference) == ("deviated", 77)


@pytest.mark.parametrize("step", [77, 1177])
def test_the_last_digit_of_a_log_is_a_difference(step):
    texts = logged(lambda step: step, round_as=digits(4))
    assert verdict_on(texts).status == "followed"
    texts[step] = digits(4)(float(texts[step]) + 1e-6)
    verdict = verdict_on(texts)
    assert (verdict.status, verdict.first_difference) == ("deviated", step)
    assert (verdict.fault, verdict.candidates) == (None, ())
    assert f"It agrees again from step {step + 1} on." in verdict.sentence


@pytest.mark.parametrize("places", [4, 5, 6, 8])
@pytest.mark.parametrize("style", ["f", "e", "g"])
def test_a_sound_log_follows_however_it_was_rounded(style, places):
    for mode in ({}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.999}):
        schedule = CyclicSchedule(base_lr=0.0003, max_lr=0.12, step_size_up=200, **mode)
        texts = [
            f"{rate:.{places}{style}}"
            for rate in logged(lambda step: step, schedule, range(1000), float)
        ]
        assert verdict_on(texts, schedule, range(1000)).status == "followed"


def test_round_rates_are_no_coarse_log():
    # Stepped once per 100 updates, the paper's schedule passes 0.001, 0.002, … exactly.
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=500)
    lrs = [schedule.lr(step // 100 * 100) for step in STEPS]
    assert set(lrs) == {0.001, 0.002, 0.003, 0.004, 0.005, 0.006}
    verdict = verify(schedule, STEPS, lrs)
    assert (verdict.status, verdict.fault, verdict.candidates) == ("deviated", None, ())
    assert (verdict.first_difference, verdict.resolution) == (1, "float64")
    # As text they could be rates of a coarse log, whose run was late. So nothing is named.
    verdict = verdict_on(list(map(repr, lrs)), schedule)
    assert (verdict.status, verdict.fault) == ("deviated", None)
    assert verdict.candidates == (Shift(n=-50, n_between=(-50, -49)),)
    assert "the log has too few digits to be sure how: it was 50 steps behind" in verdict.sentence


@pytest.mark.frameworks
def test_the_float64_rates_of_torchs_own_class_follow(request):
    if not request.config.option.with_numpy:
        pytest.importorskip("torch")
    # In a process of its own: TensorFlow, which others here may load, and torch don't go together.
    code = (
        "import json, torch\n"
        "optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])\n"
        "scheduler = torch.optim.lr_scheduler.CyclicLR(\n"
        "    optimizer, 0.001, 0.006, 33.3, 66.7, mode='triangular2', cycle_momentum=False)\n"
        "lrs = []\n"
        "for _ in range(5000):\n"
        "    lrs += scheduler.get_last_lr(); optimizer.step(); scheduler.step()\n"
        "print(json.dumps(lrs))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    lrs = json.loads(done.stdout)
    schedule = CyclicSchedule(
        base_lr=0.001, max_lr=0.006, step_size_up=33.3, step_size_down=66.7, mode="triangular2"
    )
    assert [schedule.lr(step) for step in range(5000)] != lrs
    verdict = verify(schedule, range(5000), lrs)
    assert (verdict.status, verdict.resolution) == ("followed", "float64"), verdict


@pytest.mark.parametrize(
    ("schedule", "steps", "level"),
    [
        (SCHEDULE, [0], "base_lr"),
        (SCHEDULE, [200], "max_lr"),
        (SCHEDULE, [123], None),
        # A line per cycle, always at its foot.
        (SCHEDULE, range(0, 8000, 400), "base_lr"),
        # The tail of a band that has shrunk to nothing.
        (
            CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="triangular2"),
            range(10**6, 10**6 + 99),
            "base_lr",
        ),
        (
            CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="exp_range", gamma=0.99),
            range(9000, 9100),
            "base_lr",
        ),
    ],
)
def test_a_log_as_good_as_constant_shows_nothing(schedule, steps, level):
    verdict = verify(schedule, steps, logged(lambda step: step, schedule, steps))
    assert (verdict.status, verdict.fault, verdict.first_difference) == ("undecided", None, None)
    (candidate,) = verdict.candidates
    assert (candidate.name, candidate.level, candidate.since) == ("constant", level, None)
    assert verdict.sentence.startswith("The log can't tell whether the run followed the schedule")


def test_a_log_of_the_rate_that_a_schedule_holds_at_first_shows_nothing():
    begin = PiecewiseSchedule([Phase(10, 0.1, 0.1)])
    for schedule in (begin.then(PiecewiseSchedule([Phase(100, 0.1, 0.0)])), begin.then(SCHEDULE)):
        assert verify(schedule, range(9), [0.1] * 9).status == "undecided"


def test_a_schedule_that_is_constant_is_followed_by_a_constant():
    verdict = verify(CyclicSchedule(base_lr=0.5, max_lr=0.5), range(9), [0.5] * 9)
    assert (verdict.status, verdict.unseen_shift) == ("followed", 0)


def test_a_coarse_log_says_what_shift_it_hides():
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20_000)
    steps = range(1000, 60_000, 4001)
    texts = logged(lambda step: step, schedule, steps, digits(3))
    verdict = verdict_on(texts, schedule, steps)
    hidden = verdict.unseen_shift
    assert verdict.status == "followed"
    assert hidden > 1
    assert f"doesn't rule out a shift of up to {hidden} steps" in verdict.sentence

    def follows_if_shifted_by(n):
        return verdict_on(texts, schedule, [step + n for step in steps]).status == "followed"

    assert follows_if_shifted_by(hidden) or follows_if_shifted_by(-hidden)
    assert not follows_if_shifted_by(hidden + 1)
    assert not follows_if_shifted_by(-hidden - 1)


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_three_lines_that_differ_are_enough_to_say_why(lines):
    steps = range(300)
    lrs = logged(lambda step: step + (step >= 300 - lines), steps=steps)
    verdict = verify(SCHEDULE, steps, lrs)
    assert (verdict.status, verdict.first_difference) == ("deviated", 300 - lines)
    assert (verdict.fault is not None) == (lines == 3)
    (shift,) = (each for each in (verdict.fault, *verdict.candidates) if isinstance(each, Shift))
    assert 1 in (shift.n, *shift.also)
    too_few = "schedule, and too few lines show how: it was 1 step ahead" in verdict.sentence
    assert too_few == (lines == 2)  # A single one fits several faults.


@pytest.mark.parametrize(
    ("text", "named"), [("0.0012", False), ("0.00123", True), ("0.0010", True)]
)
def test_two_digits_show_how_only_if_the_log_was_rounded_to_them(text, named):
    # A run that used half the rates, of which one line has the digits of `text`.
    schedule = CyclicSchedule(base_lr=0.002, max_lr=0.01, step_size_up=7)
    lrs = [round(schedule.lr(step) / 2, 6) for step in range(40)]
    resolution = Resolution.of_texts([text])
    verdict = verify(schedule, range(40), lrs, resolution)
    assert (verdict.status, verdict.fault is not None) == ("deviated", named)
    scale = verdict.fault or next(each for each in verdict.candidates if each.name == "scale")
    assert scale == Scale(0.5)


def test_a_constant_is_named_with_few_digits():
    lrs = ["0.1"] * 40
    verdict = verdict_on(lrs, CyclicSchedule(base_lr=0.1, max_lr=0.9, step_size_up=4), range(40))
    assert verdict.fault == Constant(0.1, "base_lr")


def test_a_fault_that_was_found_before_the_search_was_given_up(monkeypatch):
    lrs = [SCHEDULE.lr(step) / 2 for step in STEPS]
    monkeypatch.setattr("clr_core.verification.MOST_RATES", 1520)
    monkeypatch.setattr("clr_core.verification.MOST_RATES_PER_LINE", 0)
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert (verdict.fault, verdict.candidates) == (None, (Scale(0.5),))
    assert (
        "schedule, and the search for other explanations was given up, but the log fits this one: "
        "it used the schedule's rates times 0.5 from the start. Step 0"
    ) in verdict.sentence
    monkeypatch.setattr("clr_core.verification.MOST_RATES", 10)
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: step))
    assert (verdict.status, verdict.unseen_shift) == ("followed", None)


@pytest.mark.parametrize("steps", [(59, 159), (61, 161)])
def test_a_log_may_hide_more_on_one_side(steps):
    # 2.5e-03 stands for the rates of steps 58 to 62, and 5.0e-03 for those of 158 to 162.
    texts = [digits(2)(SCHEDULE.lr(step)) for step in steps]
    assert verdict_on(texts, steps=steps).unseen_shift == 3


def test_the_only_line_and_a_shift_by_one_step():
    verdict = verify(SCHEDULE, [0], [0.001])
    assert "its one line agrees with it, and with a constant rate too" in verdict.sentence
    # A step makes 0.00004, and half a unit of the last decimal is 0.00005.
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=125)
    steps = range(0, 1500, 55)
    texts = [f"{schedule.lr(step):.4f}" for step in steps]
    verdict = verdict_on(texts, schedule, steps)
    assert verdict.unseen_shift == 1
    assert verdict.sentence == (
        "The run followed the schedule: all 28 lines agree with it, to 2 digits. It is a coarse "
        "log, which doesn't rule out a shift of one step."
    )
    assert hash(verdict) == hash(verdict_on(texts, schedule, steps))


def test_two_explanations_are_both_told():
    # Without a lower boundary, the first rise is as steep at twice the speed as at twice the rate.
    schedule = CyclicSchedule(base_lr=0.0, max_lr=0.006, step_size_up=1000)
    verdict = verify(schedule, range(400), logged(lambda s: 2 * s, schedule, range(400)))
    assert (verdict.status, verdict.fault) == ("deviated", None)
    assert "it used the schedule's rates times 2 from" in verdict.sentence
    assert "it ran 2 times too fast from the start" in verdict.sentence
    assert verdict.candidates == (
        Scale(2.0),
        Speed(k=2, direction="fast", k_between=(2, 2)),
    )


def test_a_restart_that_may_be_a_step_too_late_is_both():
    # At the start of a cycle, a restart and an off-by-one are the same rates from there on.
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: step - (step >= 401)))
    assert verdict.candidates == (
        Restart(step=401, step_between=(401, 401)),
        Shift(n=-1, n_between=(-1, -1), since=401),
    )


@pytest.mark.parametrize(("every", "names"), [(2, ["restart"]), (10, ["restart", "shift"])])
def test_a_restart_in_a_wave_with_few_lines_may_be_a_shift(every, names):
    # Among lines a fortieth of a cycle apart, a shift looks like a restart by chance.
    steps = range(0, 1500, every)
    lrs = logged(lambda step: step if step < 700 else step - 700, steps=steps)
    verdict = verify(SCHEDULE, steps, lrs)
    assert [each.name for each in verdict.candidates or [verdict.fault]] == names


def test_a_log_that_goes_over_some_steps_twice():
    # The run crashed at 700 and resumed from a checkpoint of step 600.
    steps = [*range(700), *range(600, 1500)]
    assert verify(SCHEDULE, steps, logged(lambda step: step, steps=steps)).status == "followed"
    lrs = logged(lambda s: s, steps=range(700)) + logged(lambda s: s - 1, steps=range(600, 1500))
    verdict = verify(SCHEDULE, steps, lrs)
    assert verdict.fault == Shift(n=-1, n_between=(-1, -1), since=600)


def test_a_schedule_that_starts_again_where_a_log_resumes():
    # The run crashed at 700; what came before says nothing about the step from which it resumed.
    steps = [*range(0, 700, 7), *range(602, 1500, 7)]
    lrs = logged(lambda s: s, steps=steps[:100]) + logged(lambda s: s - 602, steps=steps[100:])
    assert verify(SCHEDULE, steps, lrs).candidates == (
        Restart(step=602, step_between=(602, 602)),
        Shift(n=198, n_between=(198, 198), since=602),
    )


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize(("at", "n"), [(130, 50), (130, 12), (330, 25), (500, 300)])
def test_a_rate_that_was_held_for_some_steps(at, n, every):
    steps = range(0, 2000, every)
    lrs = logged(lambda step: step if step <= at else max(at, step - n), steps=steps)
    verdict = verify(SCHEDULE, steps, lrs)
    assert verdict.fault == Held(at, n, (n, n))
    assert verdict.first_difference == at + every
    assert f"held the rate of step {at} for {n} steps, and was {n} steps" in verdict.sentence


@pytest.mark.parametrize(("at", "n", "every"), [(130, 50, 10), (130, 50, 7), (500, 40, 5)])
def test_how_long_a_coarse_rate_was_held(at, n, every):
    steps = range(0, 1000, every)

    def texts(at, n):
        count = lambda step: step if step <= at else max(at, step - n)  # noqa: E731
        return logged(count, steps=steps, round_as=digits(2))

    log = texts(at, n)
    as_long = [m for m in range(n - 9, n + 10) if any(texts(at + i, m) == log for i in (-2, 0, 2))]
    fault = verdict_on(log, steps=steps).fault
    assert fault == Held(fault.step, n, (as_long[0], as_long[-1]))
    assert abs(fault.step - at) <= 9


def test_a_rate_that_was_held_from_the_first_line_of_a_log_on():
    steps = range(100, 900)
    verdict = verify(SCHEDULE, steps, logged(lambda step: max(100, step - 50), steps=steps))
    assert verdict.fault == Held(100, 50, (50, 50))


@pytest.mark.parametrize(("after", "named"), [(2, False), (3, True)])
def test_three_lines_after_it_show_that_a_rate_was_held(after, named):
    steps = range(181 + after)
    lrs = logged(lambda step: step if step <= 130 else max(130, step - 50), steps=steps)
    assert verify(SCHEDULE, steps, lrs).fault == (Held(130, 50, (50, 50)) if named else None)


@pytest.mark.parametrize(("first", "named"), [(10, True), (20, False)])
def test_a_warm_up_of_which_the_log_has_the_start(first, named):
    steps = range(first, 1000, 10)
    lrs = [SCHEDULE.lr(step) * min(1.0, step / 100) for step in steps]
    # The ramp's last line is that of step 90.
    expected = WarmUp(100, (91, 100), 0) if named else None
    assert verify(SCHEDULE, steps, lrs).fault == expected


def test_a_warm_up_that_ends_with_the_log():
    lrs = [0.001 * (step + 1) / 101 for step in range(0, 100, 10)] + [SCHEDULE.lr(0)]
    verdict = verify(SCHEDULE, range(0, 101, 10), lrs)
    assert verdict.fault == WarmUp(100, (100, 100), behind=100)


@pytest.mark.parametrize("first", [0, 0.001])
def test_a_warm_up_that_begins_with_the_rate_of_the_schedule(first):
    schedule = CyclicSchedule(base_lr=0, max_lr=0.01, step_size_up=500)
    steps = range(0, 2000, 10)
    lrs = [schedule.lr(step) * min(1.0, step / 200) for step in steps]
    lrs[0] = first
    assert verify(schedule, steps, lrs).fault == (
        WarmUp(200, (191, 200), 0) if first == 0 else None
    )


def test_a_warm_up_only_rises():
    lrs = [SCHEDULE.lr(step) * min(1.0, step / 100) for step in range(0, 1000, 10)]
    lrs[0] = 0.005
    verdict = verify(SCHEDULE, range(0, 1000, 10), lrs)
    assert (verdict.fault, verdict.candidates) == (None, ())


@pytest.mark.parametrize(("lines", "named"), [(2, False), (3, True)])
def test_three_lines_show_a_warm_up(lines, named):
    steps = range(0, 1000, 10)
    n = 10 * lines
    lrs = [0.001 * (step + 10) / (n + 10) if step < n else SCHEDULE.lr(step - n) for step in steps]
    verdict = verify(SCHEDULE, steps, lrs)
    assert (verdict.fault is not None and verdict.fault.name == "warm-up") == named


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("power", [1, 3])
@pytest.mark.parametrize("mode", ["triangular", "triangular2"])
def test_a_warm_up_before_the_schedule(mode, power, behind):
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=200, mode=mode)
    for n, every in ((100, 1), (37, 5), (200, 10), (500, 10)):
        if n > 200 and not behind:
            continue  # That would be no ramp up to the schedule's rate.
        steps = range(0, 2000, every)
        first = schedule.lr(0 if behind else n)
        lrs = [
            schedule.lr(step - n * behind) if step >= n else first * ((step + 1) / (n + 1)) ** power
            for step in steps
        ]
        verdict = verify(schedule, steps, lrs)
        assert verdict.fault.name == "warm-up"
        assert verdict.fault.behind == n * behind
        low, high = verdict.fault.n_between
        assert low <= n <= high


def test_a_long_run_that_drifts(confusion):
    schedule = CyclicSchedule(base_lr=0.0001, max_lr=0.01, step_size_up=2000)
    steps = range(0, 3_000_000, 1009)
    lrs = [float(confusion.in_float32(schedule, step)) for step in steps]
    verdict = verify(schedule, steps, lrs)
    assert verdict.fault.name == "float32 formula"
    assert "computed the rate with a formula in float32" in verdict.sentence
    assert verdict.fault.step > 1_000_000
    at = steps.index(verdict.fault.step)
    error = abs(lrs[at] - schedule.lr(steps[at]))
    assert verdict.fault.largest_error == pytest.approx(error, rel=1e-3)
    assert error == max(
        abs(there - schedule.lr(step)) for step, there in zip(steps, lrs, strict=True)
    )


def test_with_an_expression_and_a_callable():
    for scale_fn in ("1 / 5 ** (x * 1e-3)", lambda step: 5.0 ** (-step * 1e-3)):
        schedule = CyclicSchedule(
            base_lr=0.001,
            max_lr=0.006,
            step_size_up=200,
            scale_fn=scale_fn,
            scale_mode="iterations",
        )
        good = [schedule.lr(step) for step in STEPS]
        assert verify(schedule, STEPS, good).status == "followed"
        late = [schedule.lr(step if step < 640 else step - 3) for step in STEPS]
        verdict = verify(schedule, STEPS, late)
        assert verdict.fault == Shift(n=-3, n_between=(-3, -3), since=640)


def test_another_boundary_beside_a_callable():
    def halved(cycle):
        return 0.5 ** (cycle - 1)

    schedule, other = (
        CyclicSchedule(base_lr=0.001, max_lr=max_lr, step_size_up=200, scale_fn=halved)
        for max_lr in (0.006, 0.008)
    )
    verdict = verify(schedule, STEPS, list(map(other.lr, STEPS)))
    assert verdict.fault == OtherParameters({"max_lr": 0.008})


def test_arrays_are_as_good_as_lists(np):
    lrs = logged(lambda step: 2 * step)
    from_lists = verify(SCHEDULE, list(STEPS), lrs)
    for dtype in (np.float32, np.float64):
        assert verify(SCHEDULE, np.arange(1500), np.array(lrs, dtype)) == from_lists
    assert verify(SCHEDULE, list(np.arange(1500)), list(np.array(lrs, "f"))) == from_lists


@pytest.mark.parametrize("rate", [math.nan, math.inf])
def test_a_rate_that_is_no_number_is_a_difference(rate):
    lrs = logged(lambda step: step)
    lrs[640] = rate
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert (verdict.status, verdict.fault, verdict.candidates) == ("deviated", None, ())
    assert verdict.first_difference == 640
    assert f"{rate} was logged" in verdict.sentence
    assert verify(SCHEDULE, STEPS, [rate] * 1500).status == "deviated"


@pytest.mark.parametrize(
    ("error", "arguments", "text"),
    [
        (
            TypeError,
            ({"base_lr": 0.1}, [0], [0.1]),
            "`schedule` must be a schedule such as CyclicSchedule, with `lr`, `turns` and "
            "`levels`. Received: schedule={'base_lr': 0.1}",
        ),
        (TypeError, (CyclicSchedule, [0], [0.1]), "`schedule` must be a schedule such as "),
        (TypeError, (SCHEDULE, 3, [0.1]), "`steps` must be a sequence. Received: steps=3"),
        (TypeError, (SCHEDULE, [0.5], [0.1]), "`steps` must be an integer. Received: steps=0.5"),
        (TypeError, (SCHEDULE, [0], ["0.1"]), "`lrs` must be a number. Received: lrs='0.1'"),
        (
            ValueError,
            (SCHEDULE, [0, 1], [0.1]),
            "`steps` and `lrs` must have the same length. Received: 2 steps, 1 rates",
        ),
        (ValueError, (SCHEDULE, [], []), "`steps` and `lrs` must contain at least one line. "),
        (ValueError, (SCHEDULE, [-1], [0.1]), "`steps` must lie between 0 and 2**53. "),
        (ValueError, (SCHEDULE, [2**53 + 1], [0.1]), "`steps` must lie between 0 and 2**53. "),
    ],
)
def test_bad_arguments(error, arguments, text):
    with pytest.raises(error) as caught:
        verify(*arguments)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_an_array_without_one_dimension(np, shape):
    with pytest.raises(ValueError, match="`lrs` must have one dimension") as caught:
        verify(SCHEDULE, np.arange(2), np.zeros(shape))
    assert f"shape {shape}" in str(caught.value)


def test_anything_gets_a_verdict():
    # Logs as they may come: noise, jumps, huge steps, zeros; no exception, and never "followed".
    rng = random.Random(5)
    for _ in range(60):
        lines = rng.randrange(1, 60)
        first = rng.choice((0, 17, 10**6, 2**52))
        steps = sorted(
            rng.randrange(first, first + 10 ** rng.randrange(1, 6)) for _ in range(lines)
        )
        kind = rng.randrange(4)
        lrs = [
            (rng.random(), 0.0, rng.choice((0.001, 0.006, 0.0035)), -SCHEDULE.lr(step))[kind]
            for step in steps
        ]
        verdict = verify(rng.choice((SCHEDULE, CyclicSchedule(base_lr=0, max_lr=1e-3))), steps, lrs)
        assert verdict.sentence
        json.dumps(verdict.to_dict(), allow_nan=False)
        assert verdict.status != "followed" or kind in (1, 2)


FRACTIONAL = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=33.3, mode="triangular2")
LATE = [FRACTIONAL.lr(max(step - 3000, 0)) for step in range(0, 800_000, 1000)]
DECAYING = CyclicSchedule(
    base_lr=0.001,
    max_lr=0.006,
    step_size_up=33.3,
    scale_fn="1 / 5 ** (x * 1e-4)",
    scale_mode="iterations",
)
NOISE = [random.Random(step).random() for step in range(800)]
HARD = {
    "three lines, far apart": (
        CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=1e9),
        [200_000_000, 400_000_000, 600_000_000],
        [0.001, 0.005, 0.002],
    ),
    "rates of another size": (
        CyclicSchedule(base_lr=1e-6, max_lr=1e-5),
        range(0, 2000, 10),
        [0.3 + 0.4 * noise for noise in NOISE[:200]],
    ),
    "a decay by the step": (
        DECAYING,
        range(0, 800_000, 1000),
        [DECAYING.lr(max(step - 3000, 0)) for step in range(0, 800_000, 1000)],
    ),
    "thousands of cycles": (FRACTIONAL, range(0, 800_000, 1000), LATE),
    "noise": (
        SCHEDULE,
        range(800),
        [0.001 + 0.005 * noise for noise in NOISE],
    ),
    "spikes": (
        SCHEDULE,
        range(800),
        [SCHEDULE.lr(step) * (3 if step % 500 == 350 else 1) for step in range(800)],
    ),
    "a long expression": (
        CyclicSchedule(
            base_lr=1e-4,
            max_lr=1e-3,
            step_size_up=500,
            scale_fn="0.3 * sin(x / 9) ** 2 + 0.2 * exp(-x / 99) + 0.1 * log(1 + x) + tanh(x / 50)",
        ),
        range(800),
        [1e-4 + 9e-4 * noise for noise in NOISE],
    ),
    "an enormous cycle": (
        CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=1e16),
        range(0, 2**53, 2**44),
        [0.001 + 0.005 * noise for noise in NOISE[:512]],
    ),
}


@pytest.mark.parametrize(("schedule", "steps", "lrs"), HARD.values(), ids=HARD)
def test_the_work_of_a_verdict_is_bounded(monkeypatch, schedule, steps, lrs):
    computed = 0
    lr, turns = CyclicSchedule.lr, CyclicSchedule.turns

    def counted_lr(self, step, *ops):
        nonlocal computed
        computed += 1
        return lr(self, step, *ops)

    def counted_turns(self, first, last):
        nonlocal computed
        for turn in turns(self, first, last):
            computed += 1
            yield turn

    monkeypatch.setattr(CyclicSchedule, "lr", counted_lr)
    monkeypatch.setattr(CyclicSchedule, "turns", counted_turns)
    verdict = verify(schedule, steps, lrs)
    # A rate takes a third of a microsecond, with a decay two thirds, and a letter of a `scale_fn`
    # another fifth.
    most = 700_000 if schedule.mode == "triangular" else 450_000
    assert computed < (3_500_000 / len(schedule.scale_fn) if schedule.scale_fn else most)
    assert (verdict.status, verdict.fault) == ("deviated", None)


def test_says_that_it_gave_up():
    verdict = verify(*HARD["thousands of cycles"])
    assert (verdict.status, verdict.fault, verdict.candidates) == ("deviated", None, ())
    assert "the search was given up before its end" in verdict.sentence


def test_an_enormous_cycle_is_followed():
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=1e16)
    steps = range(0, 2**53, 2**44)
    assert verify(schedule, steps, list(map(schedule.lr, steps))).status == "followed"


RESTARTS = {
    "of one size": warm_restarts(1e-3, 1000, min_lr=1e-6),
    "that grow": warm_restarts(1e-3, 1000, growth=2, min_lr=1e-6),
    "in a sequence": warm_restarts(1e-3, 300, growth=2, min_lr=1e-6).then(
        warm_restarts(1e-3, 1000, min_lr=1e-6), at=2100
    ),
}


@pytest.mark.parametrize("every", [1, 10, 50])
@pytest.mark.parametrize("n", [-100, -7, -1, 1, 2, 100])
@pytest.mark.parametrize("schedule", RESTARTS.values(), ids=RESTARTS)
def test_a_shift_of_warm_restarts(schedule, n, every):
    """Their rate jumps, which hides no step of it from the search."""
    steps = range(0, 800 * every, every)
    lrs = [schedule.lr(max(step + n, 0)) for step in steps]
    assert verify(schedule, steps, lrs).fault == Shift(n, (n, n))


@pytest.mark.parametrize("schedule", RESTARTS.values(), ids=RESTARTS)
def test_warm_restarts_that_went_back_at_a_resume(schedule):
    steps = range(0, 8000, 10)
    lrs = [schedule.lr(step if step < 4500 else step - 30) for step in steps]
    fault = verify(schedule, steps, lrs).fault
    assert (fault.name, fault.n_between, fault.since) == ("shift", (-30, -30), 4500)


@pytest.mark.parametrize(
    "schedule", [warmup_cosine(1e-3, 391, 11_730), one_cycle(1e-3, 11_730)], ids=["warm-up", "one"]
)
def test_a_short_log_of_epochs_of_a_schedule_without_cycles(schedule):
    verdict = verify(schedule, range(30), [schedule.lr(391 * epoch) for epoch in range(30)])
    assert verdict.fault == Speed(391, "fast", (391, 391))
    assert "; or the log counts epochs (`steps_per_epoch=391`)" in verdict.sentence
    assert "processes" not in verdict.sentence  # Nobody has so many.


def test_a_step_that_a_log_names_twice_is_told_by_its_line():
    # The numbers start over at a resume, and the rates go on.
    steps = [*range(0, 500, 50)] * 2
    verdict = verify(SCHEDULE, steps, [SCHEDULE.lr(step) for step in range(0, 1000, 50)])
    assert "Step 0, in line 11, is the first that differs" in verdict.sentence


@pytest.mark.parametrize(
    ("count", "fault"),
    [
        (lambda step: step - 3, Shift(n=-3, n_between=(-3, -3))),
        (lambda step: step + 2 * (step > 300), Shift(n=2, n_between=(2, 2), since=301)),
        (lambda step: 0, Constant(rate=0.1, level="peak")),
        (lambda step: 2 * step, Speed(k=2, direction="fast", k_between=(2, 2))),
        (lambda step: step // 3, Speed(k=3, direction="slow", k_between=(3, 3))),
        (lambda step: step % 400, Restart(step=400, step_between=(400, 400))),
    ],
)
def test_another_kind_of_schedule(count, fault):
    schedule = Cosine(0.1, steps=600)
    assert verify(schedule, range(800), list(map(schedule.lr, range(800)))).status == "followed"
    lrs = [schedule.lr(max(count(step), 0)) for step in range(800)]
    verdict = verify(schedule, range(800), lrs)
    assert (verdict.fault, verdict.candidates) == (fault, ())
    halves = verify(schedule, range(800), [schedule.lr(step) / 2 for step in range(800)])
    assert halves.fault == Scale(0.5)
    # A log without rounding is compared as exactly as the schedule's largest rate allows.
    for error, status in ((1e-15, "followed"), (1e-11, "deviated")):
        lrs = [schedule.lr(step) + error for step in range(800)]
        assert verify(schedule, range(800), lrs).status == status
    # What only a cyclic schedule can have isn't named.
    other = verify(schedule, range(800), [Cosine(0.1, steps=500).lr(step) for step in range(800)])
    assert (other.status, other.fault, other.candidates) == ("deviated", None, ())


def test_a_verdict_in_a_notebook():
    page = {}
    for k in (1, 2):
        verdict = verify(SCHEDULE, STEPS, [SCHEDULE.lr(k * step) for step in STEPS])
        page[verdict.status] = verdict._repr_html_()
        assert escape(verdict.sentence) in page[verdict.status]
    assert "✓ followed" in page["followed"]
    assert "✗ deviated" in page["deviated"]
    undecided = verify(SCHEDULE, [0], [0.001])
    assert "? undecided" in undecided._repr_html_()
