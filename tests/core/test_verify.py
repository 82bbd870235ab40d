"""`verify`: it names the fault that was planted, and where a log can't tell, it says so."""

import importlib
import json
import math
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

import oracle
from clr_core import CyclicSchedule
from clr_core.verification import verify
from clr_core.verification._resolution import Resolution

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
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


def digits(number):
    return lambda rate: float(f"{float(rate):.{number - 1}e}")


@pytest.mark.parametrize("seed", range(10, 14))
def test_never_names_a_fault_that_was_not_planted(confusion, seed):
    runs = list(confusion.runs(24, seed))
    right = 0
    for run in runs:
        verdict = run.verdict()
        assert not confusion.is_wrong(run, verdict), f"{run.planted} {run.schedule}: {verdict}"
        assert verdict.followed == (verdict.fault is None)
        json.dumps(verdict.to_dict(), allow_nan=False)
        if (verdict.fault or confusion.NONE) == run.fault:
            right += 1
            assert confusion.is_named(run, verdict), f"{run.right} {run.schedule}: {verdict}"
    # That it says something at all: what a log leaves open is a few in a hundred.
    assert right >= 0.8 * len(runs)


@pytest.mark.parametrize(
    ("count", "fault", "first", "says", "details"),
    [
        (
            lambda step: step,
            None,
            None,
            "The run followed the schedule: all 1500 lines agree with it, to float32.",
            {"unseen_shift": 0},
        ),
        (
            lambda step: 2 * step,
            "speed",
            1,
            "it ran 2 times too fast from the start: each step counted 2 times, "
            "as where each of 2 processes steps the schedule.",
            {"k": 2, "factor": 2, "direction": "fast", "since": None},
        ),
        (
            lambda step: step // 50,
            "speed",
            1,
            "it ran 50 times too slowly from the start: it went on by one step in 50, "
            "as where it is stepped once per epoch, or once for several logged micro-batches.",
            {"k": 50, "factor": 0.02, "direction": "slow"},
        ),
        (
            lambda step: step + 3 * max(0, step - 700),
            "speed",
            701,
            "it ran 4 times too fast from step 700 on",
            {"k": 4, "since": 700},
        ),
        (
            lambda step: step - 1,
            "shift",
            1,
            "it was 1 step behind the schedule from the start.",
            {"n": -1, "since": None},
        ),
        (
            lambda step: step + (step >= 640),
            "shift",
            640,
            "it was 1 step ahead of the schedule from step 640 on.",
            {"n": 1, "since": 640},
        ),
        (
            lambda step: step if step < 500 else step - 500,
            "restart",
            500,
            "it began the schedule anew at step 500.",
            {"step": 500},
        ),
        (
            lambda step: 0,
            "constant",
            1,
            "it kept the rate 0.001 (base_lr) from the start.",
            {"rate": 0.001, "since": None},
        ),
        (
            lambda step: min(step, 300),
            "constant",
            301,
            "it kept the rate 0.0035 from step 301 on.",
            {"since": 301},
        ),
    ],
)
def test_says_what_happened(count, fault, first, says, details):
    verdict = verify(SCHEDULE, STEPS, logged(count))
    assert (verdict.fault, verdict.first_difference) == (fault, first)
    assert says in verdict.sentence
    assert {name: verdict.details[name] for name in details} == pytest.approx(details)
    assert verdict.followed == (fault is None)


def test_gives_the_first_line_that_differs():
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: 2 * step, round_as=digits(4)))
    assert verdict.sentence.endswith(
        "Step 1 is the first that differs: 0.00105 was logged, 0.001025 expected; "
        "1496 of 1500 lines differ."
    )


@pytest.mark.parametrize("factor", [0.5, 8, 1.1, 1 / 3])
def test_names_the_factor_of_a_scale(factor):
    lrs = [oracle.to_float32(Fraction(rate) * Fraction(factor)) for rate in logged(lambda s: s)]
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert verdict.fault == "scale"
    # Rounded twice, before and after it was multiplied: so exactly the log shows the factor.
    assert verdict.details["factor"] == pytest.approx(factor, rel=2**-23)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_lr": 0.0085},
        {"base_lr": 0.0004},
        {"step_size_up": 170},
        {"step_size_down": 120},
        {"mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.9991},
        {"base_lr": 0.0002, "max_lr": 0.003, "step_size_up": 70, "step_size_down": 110},
    ],
    ids=lambda changes: ", ".join(changes),
)
@pytest.mark.parametrize("round_as", [oracle.to_float32, digits(4)], ids=["float32", "4 digits"])
def test_finds_the_parameters_that_were_followed(changes, round_as):
    parameters = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 200} | changes
    other = CyclicSchedule(**parameters)
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: step, other, round_as=round_as))
    assert verdict.fault == "other parameters"
    assert verdict.details["parameters"] == changes


def test_parameters_that_changed_at_a_resume():
    other = CyclicSchedule(base_lr=0.001, max_lr=0.009, step_size_up=200)
    lrs = logged(lambda step: step)[:640] + logged(lambda step: step, other)[640:]
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert verdict.fault == "other parameters"
    assert "max_lr=0.009 from step 640 on" in verdict.sentence
    assert verdict.details["since"] == 640


def test_one_float32_ulp_is_a_difference():
    lrs = logged(lambda step: step)
    ulp = math.ulp(1.0) * 2**29 * 2 ** (math.frexp(lrs[77])[1] - 1)
    assert oracle.ulps32(lrs[77] + ulp, lrs[77]) == 1
    lrs[77] += ulp
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert (verdict.followed, verdict.first_difference) == (False, 77)


def test_the_last_digit_of_a_log_is_a_difference():
    lrs = logged(lambda step: step, round_as=digits(4))
    assert verify(SCHEDULE, STEPS, lrs).followed
    lrs[77] += 1e-6
    verdict = verify(SCHEDULE, STEPS, lrs)
    assert (verdict.followed, verdict.first_difference) == (False, 77)
    assert "It agrees again from step 78 on." in verdict.sentence


@pytest.mark.parametrize("places", [4, 5, 6, 8])
@pytest.mark.parametrize("style", ["f", "e", "g"])
def test_a_sound_log_follows_however_it_was_rounded(style, places):
    for mode in ({}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.999}):
        schedule = CyclicSchedule(base_lr=0.0003, max_lr=0.12, step_size_up=200, **mode)
        texts = [
            f"{rate:.{places}{style}}"
            for rate in logged(lambda step: step, schedule, range(1000), float)
        ]
        rates = list(map(float, texts))
        assert verify(schedule, range(1000), rates).followed
        assert verify(schedule, range(1000), rates, Resolution.of_texts(texts)).followed


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
    assert verdict.followed, verdict
    assert verdict.details["resolution"] == "float64"


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (SCHEDULE, [0]),
        (SCHEDULE, [123]),
        # A line per cycle, always at its foot.
        (SCHEDULE, range(0, 8000, 400)),
        # The tail of a band that has shrunk to nothing.
        (CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="triangular2"), range(10**6, 10**6 + 99)),
        (
            CyclicSchedule(base_lr=0.001, max_lr=0.006, mode="exp_range", gamma=0.99),
            range(9000, 9100),
        ),
    ],
)
def test_a_log_as_good_as_constant_shows_nothing(schedule, steps):
    verdict = verify(schedule, steps, logged(lambda step: step, schedule, steps))
    assert (verdict.followed, verdict.fault, verdict.first_difference) == (False, "undecided", None)
    assert verdict.sentence.startswith("The log can't tell whether the run followed the schedule")


def test_a_schedule_that_is_constant_is_followed_by_a_constant():
    assert verify(CyclicSchedule(base_lr=0.5, max_lr=0.5), range(9), [0.5] * 9).followed


def test_a_coarse_log_says_what_shift_it_hides():
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20_000)
    steps = range(1000, 60_000, 4001)
    lrs = logged(lambda step: step, schedule, steps, digits(3))
    verdict = verify(schedule, steps, lrs)
    hidden = verdict.details["unseen_shift"]
    assert verdict.followed
    assert hidden > 1
    assert f"doesn't rule out a shift of up to {hidden} steps" in verdict.sentence

    def follows_if_shifted_by(n):
        return verify(schedule, [step + n for step in steps], lrs).followed

    assert follows_if_shifted_by(hidden) or follows_if_shifted_by(-hidden)
    assert not follows_if_shifted_by(hidden + 1)
    assert not follows_if_shifted_by(-hidden - 1)


@pytest.mark.parametrize("lines", [1, 2])
def test_too_few_lines_differ_to_say_why(lines):
    steps = range(300)
    lrs = logged(lambda step: step + (step >= 300 - lines), steps=steps)
    verdict = verify(SCHEDULE, steps, lrs)
    assert (verdict.fault, verdict.first_difference) == ("undecided", 300 - lines)
    assert {"fault": "shift", "n": 1}.items() <= max(
        (candidate for candidate in verdict.details["candidates"] if candidate.get("n") == 1),
        key=len,
    ).items()


def test_two_explanations_are_both_told():
    # Without a lower boundary, the first rise is as steep at twice the speed as at twice the rate.
    schedule = CyclicSchedule(base_lr=0.0, max_lr=0.006, step_size_up=1000)
    verdict = verify(schedule, range(400), logged(lambda s: 2 * s, schedule, range(400)))
    assert verdict.fault == "undecided"
    assert "it used the schedule's rates times 2 from" in verdict.sentence
    assert "it ran 2 times too fast from the start" in verdict.sentence
    assert {each["fault"] for each in verdict.details["candidates"]} == {"scale", "speed"}


def test_a_restart_that_may_be_a_step_too_late_is_both():
    # At the start of a cycle, a restart and an off-by-one are the same rates from there on.
    verdict = verify(SCHEDULE, STEPS, logged(lambda step: step - (step >= 401)))
    assert verdict.fault == "undecided"
    assert {each["fault"] for each in verdict.details["candidates"]} == {"shift", "restart"}


def test_a_log_that_goes_over_some_steps_twice():
    # The run crashed at 700 and went on from a checkpoint of step 600.
    steps = [*range(700), *range(600, 1500)]
    assert verify(SCHEDULE, steps, logged(lambda step: step, steps=steps)).followed
    lrs = logged(lambda s: s, steps=range(700)) + logged(lambda s: s - 1, steps=range(600, 1500))
    verdict = verify(SCHEDULE, steps, lrs)
    assert (verdict.fault, verdict.details["n"]) == ("shift", -1)


def test_a_long_run_that_drifts(confusion):
    schedule = CyclicSchedule(base_lr=0.0001, max_lr=0.01, step_size_up=2000)
    steps = range(0, 3_000_000, 1009)
    lrs = [float(confusion.in_float32(schedule, step)) for step in steps]
    verdict = verify(schedule, steps, lrs)
    assert verdict.fault == "float32 formula"
    assert "computed the rate with a formula in float32" in verdict.sentence
    assert verdict.details["step"] > 1_000_000


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
        assert verify(schedule, STEPS, good).followed
        late = [schedule.lr(step if step < 640 else step - 3) for step in STEPS]
        verdict = verify(schedule, STEPS, late)
        assert (verdict.fault, verdict.details["n"]) == ("shift", -3)


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
    assert (verdict.fault, verdict.first_difference) == ("unknown", 640)
    assert f"{rate} was logged" in verdict.sentence
    assert verify(SCHEDULE, STEPS, [rate] * 1500).fault == "unknown"


@pytest.mark.parametrize(
    ("error", "arguments", "text"),
    [
        (
            TypeError,
            ({"base_lr": 0.1}, [0], [0.1]),
            "`schedule` must be a CyclicSchedule. Received: schedule={'base_lr': 0.1}",
        ),
        (TypeError, (SCHEDULE, 3, [0.1]), "`steps` must be a sequence. Received: steps=3"),
        (TypeError, (SCHEDULE, [0.5], [0.1]), "`steps` must be an integer. Received: steps=0.5"),
        (TypeError, (SCHEDULE, [0], ["0.1"]), "`lrs` must be a number. Received: lrs='0.1'"),
        (
            ValueError,
            (SCHEDULE, [0, 1], [0.1]),
            "`steps` and `lrs` must have the same length. Received: 2 steps, 1 rates",
        ),
        (ValueError, (SCHEDULE, [], []), "`steps` and `lrs` must have a line at least. "),
        (ValueError, (SCHEDULE, [-1], [0.1]), "`steps` must lie between 0 and 2**53. "),
        (ValueError, (SCHEDULE, [2**53 + 1], [0.1]), "`steps` must lie between 0 and 2**53. "),
    ],
)
def test_bad_arguments(error, arguments, text):
    with pytest.raises(error) as caught:
        verify(*arguments)
    assert str(caught.value).startswith(text)


def test_an_array_of_two_dimensions(np):
    with pytest.raises(ValueError, match=r"`lrs` must have one dimension. .* shape \(2, 2\)"):
        verify(SCHEDULE, np.arange(2), np.zeros((2, 2)))


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
        assert not verdict.followed or kind in (1, 2)
