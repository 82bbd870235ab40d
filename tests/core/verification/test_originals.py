"""The rates of another library with the same nominal arguments are called theirs, and no others."""

import random
import struct
from dataclasses import replace

import pytest

from clr_core import (
    Phase,
    PiecewiseSchedule,
    one_cycle,
    schedule_from_dict,
    verify,
    warm_restarts,
    warmup_cosine,
    warmup_stable_decay,
)
from clr_core.schedules import originals
from clr_core.schedules.piecewise import SHAPES, through
from clr_core.verification.log import Resolution


def to_float32(rate):
    return struct.unpack("f", struct.pack("f", rate))[0]


N, PEAK = 600, 0.1
MINE = one_cycle(PEAK, N)
WARM_UP = warmup_cosine(PEAK, 60, N)
DECAYING = warm_restarts(PEAK, 50, growth=2, decay=0.5, min_lr=1e-3, cycles=5)
DOWN, UP = Phase(250, PEAK, 0.01, "cosine"), Phase(250, 0.01, PEAK, "cosine")
LINE, DECAY = Phase(60, 0.0, PEAK), Phase(540, PEAK, 0.0, "cosine")
THIRD = originals.torch_linear(PEAK, total_iters=60)
# What was to be followed, what was followed, and what is said.
CASES = {
    "torch": (
        MINE,
        originals.torch_one_cycle(PEAK, N),
        "it has the rates of torch's OneCycleLR: each phase ends a step before yours. Step 1 is",
    ),
    "torch, linear": (
        one_cycle(PEAK, N, shape="linear"),
        originals.torch_one_cycle(PEAK, N, anneal_strategy="linear"),
        "torch's OneCycleLR: each phase ends a step before yours",
    ),
    "torch, three phases": (
        one_cycle(PEAK, N, three_phase=True),
        originals.torch_one_cycle(PEAK, N, three_phase=True),
        "torch's OneCycleLR in three phases: they end a step, two and one before yours",
    ),
    "three for two": (
        MINE,
        originals.torch_one_cycle(PEAK, N, three_phase=True),
        "torch's OneCycleLR: it has a third phase (three_phase=True)",
    ),
    "two for three": (
        one_cycle(PEAK, N, three_phase=True),
        MINE,
        "a one cycle in two phases: yours has three",
    ),
    "torch's two for three": (
        one_cycle(PEAK, N, three_phase=True),
        originals.torch_one_cycle(PEAK, N),
        "torch's OneCycleLR: it has two phases (three_phase=False), and each ends a step before",
    ),
    "lines for cosines": (
        MINE,
        originals.torch_one_cycle(PEAK, N, anneal_strategy="linear"),
        "torch's OneCycleLR: its phases have the other shape (anneal_strategy)",
    ),
    "ours for torch's": (
        originals.torch_one_cycle(PEAK, N),
        MINE,
        "such as optax's or clr_core.one_cycle: each phase ends a step after yours",
    ),
    "optax, whole steps": (
        one_cycle(PEAK, N, pct_start=1 / 7),
        originals.optax_cosine_onecycle(N, PEAK, 1 / 7),
        "optax's cosine_onecycle_schedule: its first phase has a whole number of steps",
    ),
    "optax, linear": (
        one_cycle(PEAK, N, shape="linear"),
        originals.optax_linear_onecycle(N, PEAK),
        "optax's linear_onecycle_schedule: it has a third phase, from 85 %",
    ),
    "optax, linear, for torch's": (
        originals.torch_one_cycle(PEAK, N, anneal_strategy="linear"),
        originals.optax_linear_onecycle(N, PEAK),
        "it has a third phase, from 85 % of its steps on, and ends a step after yours",
    ),
    "fastai": (
        MINE,
        originals.fastai_one_cycle(PEAK, N),
        "fastai's fit_one_cycle, with its defaults: the first phase has a quarter of the steps",
    ),
    "fastai for torch's": (
        originals.torch_one_cycle(PEAK, N),
        originals.fastai_one_cycle(PEAK, N),
        "fastai's fit_one_cycle, with its defaults",
    ),
    "fastai, the last factor": (
        MINE,
        originals.fastai_one_cycle(PEAK, N, pct_start=0.3, div_final=1e4),
        "fastai's fit_one_cycle: its last rate is the peak divided by the factor by which yours",
    ),
    "torch's defaults": (
        originals.fastai_one_cycle(PEAK, N),
        originals.torch_one_cycle(PEAK, N),
        "torch's OneCycleLR, with its defaults: each phase ends a step before those of 30 %",
    ),
    "Keras": (
        WARM_UP,
        originals.keras_cosine_decay(0.0, N, 0.0, PEAK, 60),
        "Keras's CosineDecay: its decay_steps doesn't include the warm-up",
    ),
    "optax": (
        WARM_UP,
        originals.optax_warmup_cosine_decay(0.0, PEAK, 60, N - 60),
        "optax's warmup_cosine_decay_schedule: its decay_steps includes the warm-up",
    ),
    "Keras, with a rate that is held": (
        originals.transformers_wsd(PEAK, 60, 200, num_stable_steps=300),
        originals.transformers_wsd(PEAK, 60, 260, num_stable_steps=300),
        "Keras's CosineDecay: its decay_steps doesn't include the warm-up",
    ),
    "optax, with a rate that is held": (
        originals.transformers_wsd(PEAK, 60, 200, num_stable_steps=300),
        originals.transformers_wsd(PEAK, 60, 140, num_stable_steps=300),
        "optax's warmup_cosine_decay_schedule: its decay_steps includes the warm-up",
    ),
    "LinearLR": (
        WARM_UP,
        originals.joined([THIRD, originals.torch_cosine_annealing(PEAK, N - 60)], [60]),
        "torch's LinearLR before the decay: its warm-up begins at a third of the peak",
    ),
    "nanoGPT": (
        WARM_UP,
        warmup_cosine(PEAK, 60, N, start_lr=PEAK / 61),
        "nanoGPT: its warm-up begins at the peak divided by the warm-up's steps and one",
    ),
    "WSD": (
        warmup_stable_decay(PEAK, 60, 300, 200),
        originals.transformers_wsd(PEAK, 60, 200, num_stable_steps=300),
        "a decay of the other shape: a cosine, which transformers' get_wsd_schedule has",
    ),
    "a line for a cosine": (
        WARM_UP,
        PiecewiseSchedule([LINE, replace(DECAY, shape="linear")]),
        "a decay of the other shape: a cosine, which transformers' get_wsd_schedule has",
    ),
    "it comes back": (
        PiecewiseSchedule([DOWN]),
        PiecewiseSchedule([DOWN, UP], repeat=True),
        "torch's CosineAnnealingLR, or transformers' cosine: it comes back up after its end",
    ),
    "it comes back and goes on after a warm-up": (
        warmup_cosine(PEAK, 60, 300),
        PiecewiseSchedule(
            [LINE, *(Phase(240, a, b, "cosine") for a, b in ((PEAK, 0), (0, PEAK)) * 2)]
        ),
        "torch's CosineAnnealingLR, or transformers' cosine: it comes back up after its end",
    ),
    "restarts of Keras": (
        DECAYING,
        PiecewiseSchedule(
            originals.keras_cosine_decay_restarts(PEAK, 50, 2.0, 0.5, 0.01).phases[:5]
        ),
        "Keras's CosineDecayRestarts: its m_mul multiplies what is above the lowest rate",
    ),
    "restarts of timm": (
        PiecewiseSchedule(
            originals.keras_cosine_decay_restarts(PEAK, 50, 2.0, 0.5, 0.01).phases[:5]
        ),
        DECAYING,
        "timm's CosineLRScheduler: its cycle_decay multiplies the whole peak",
    ),
}
STEPS = range(800)


@pytest.mark.parametrize("rounded", ["float64", "float32", "6 digits"])
@pytest.mark.parametrize("case", CASES)
def test_whose_curve_it_is(case, rounded):
    mine, theirs, says = CASES[case]
    rates, resolution = [theirs.lr(step) for step in STEPS], None
    if rounded == "float32":
        rates = [to_float32(rate) for rate in rates]
    elif rounded == "6 digits":
        texts = [f"{rate:.5e}" for rate in rates]
        rates, resolution = [float(text) for text in texts], Resolution.of_texts(texts)
    verdict = verify(mine, STEPS, rates, resolution)
    assert verdict.status == "deviated"
    assert says in verdict.sentence
    assert verdict.fault.name == "original"
    followed = schedule_from_dict(verdict.to_dict()["fault"]["schedule"])
    assert verify(followed, STEPS, rates, resolution).status == "followed"


def test_their_float32_isnt_in_the_way():
    # An error of a few units of float32, as in optax and Keras.
    rng = random.Random(0)
    mine = WARM_UP
    for theirs, says in ((CASES["Keras"][1], "Keras's CosineDecay"), (mine, "float32")):
        rates = [
            to_float32(theirs.lr(step) + rng.uniform(-3, 3) * 2.0**-24 * PEAK) for step in STEPS
        ]
        verdict = verify(mine, STEPS, rates)
        assert verdict.fault is not None
        assert says in verdict.sentence


def test_a_warm_up_of_one_step():
    # Its end can't be a step earlier, so it isn't taken for what it would be then.
    theirs = originals.keras_cosine_decay(0.0, N, 0.0, PEAK, 1)
    verdict = verify(warmup_cosine(PEAK, 1, N), STEPS, [theirs.lr(step) for step in STEPS])
    assert "Keras's CosineDecay: its decay_steps doesn't include" in verdict.sentence


def cosines(*rates, steps=(180, 180, 180, 60)):
    return [Phase(*each, "cosine") for each in zip(steps, rates, rates[1:], strict=False)]


@pytest.mark.parametrize(
    ("phases", "repeat"),
    [
        (cosines(0.004, PEAK, 2 * PEAK), False),
        (cosines(PEAK, PEAK / 2, 1e-6), False),
        (cosines(0.004, PEAK, 0.01, 1e-6), False),
        (cosines(0.004, PEAK, 0.004, 1e-3, 1e-6), False),
        ([*cosines(0.004, PEAK), *cosines(0.09, 1e-6)], False),
        ([Phase(180, 0.004, PEAK), *cosines(PEAK, 1e-6)], False),
        (cosines(0.004, PEAK, 1e-6), True),
    ],
    ids=["up", "down", "not back", "four", "a jump", "two shapes", "repeated"],
)
def test_phases_that_are_no_one_cycle(phases, repeat):
    # If they were, this would be torch's: each phase ends a step earlier, or two.
    rates = [phases[0].start, *(each.end for each in phases)]
    lengths = [each.steps - 1 for each in phases]
    lengths[-1] += len(phases) - 1
    early = through(lengths, rates, phases[0].shape)
    mine, theirs = (PiecewiseSchedule(each, repeat) for each in (phases, early))
    verdict = verify(mine, STEPS, [theirs.lr(step) for step in STEPS])
    assert (verdict.status, verdict.fault, verdict.candidates) == ("deviated", None, ())


NANO = replace(LINE, start=PEAK / 61)
# What was to be followed, and what was: as if it were a warm-up, restarts or a cosine.
NAMELESS = {
    "a warm-up alone": (PiecewiseSchedule([LINE]), PiecewiseSchedule([NANO])),
    "warm-ups": (PiecewiseSchedule([LINE, DECAY], True), PiecewiseSchedule([NANO, DECAY], True)),
    "a cosine up": (
        PiecewiseSchedule([replace(LINE, shape="cosine"), DECAY]),
        PiecewiseSchedule([replace(NANO, shape="cosine"), DECAY]),
    ),
    "a line down": (
        PiecewiseSchedule([Phase(60, PEAK, 0.06), replace(DECAY, start=0.06)]),
        PiecewiseSchedule([Phase(60, 0.02, 0.06), replace(DECAY, start=0.06)]),
    ),
    "lines as restarts": (
        PiecewiseSchedule([Phase(90, PEAK, 0.01), Phase(90, PEAK / 2, 0.01)]),
        PiecewiseSchedule([Phase(90, PEAK, 0.01), Phase(90, 0.055, 0.01)]),
    ),
    "a restart that rises": (
        PiecewiseSchedule([*cosines(PEAK, 0.01), Phase(90, 0.01, 0.02, "cosine")]),
        PiecewiseSchedule([*cosines(PEAK, 0.01), Phase(90, 0.028, 0.02, "cosine")]),
    ),
    "a repeated cosine": (PiecewiseSchedule([DOWN], True), PiecewiseSchedule([DOWN, UP], True)),
    "a line that comes back": (
        PiecewiseSchedule([UP, replace(DOWN, shape="linear")]),
        PiecewiseSchedule([UP, *[replace(each, shape="linear") for each in (DOWN, UP, DOWN)]]),
    ),
}


@pytest.mark.parametrize(("mine", "theirs"), NAMELESS.values(), ids=NAMELESS)
def test_what_a_table_isnt_about(mine, theirs):
    verdict = verify(mine, STEPS, [theirs.lr(step) for step in STEPS])
    named = [each.name for each in (verdict.fault, *verdict.candidates) if each]
    assert (verdict.status, "original" in named) == ("deviated", False)


@pytest.mark.parametrize(("steps", "named"), [(540, True), (2_000_000, False)])
def test_the_phase_that_a_log_ends_in_counts(steps, named):
    # Of two million steps, one more makes less than the third digit shows.
    mine, theirs = (PiecewiseSchedule([LINE, Phase(steps, PEAK, 0.0, s)]) for s in SHAPES)
    log = [*range(120), *range(120, steps // 2, steps // 20)]
    texts = [f"{theirs.lr(step):.2e}" for step in log]
    verdict = verify(mine, log, list(map(float, texts)), Resolution.of_texts(texts))
    assert (verdict.status, verdict.fault is not None) == ("deviated", named)


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize(("steps", "named"), [(20, True), (2_000_000, False)])
def test_a_log_that_cant_tell_a_boundary_a_step_away(steps, named, repeat):
    # Of two million steps, one makes less than the third digit shows.
    mine = [Phase(steps, PEAK, 1e-3, "cosine"), Phase(steps, PEAK / 2, 1e-3, "cosine")]
    theirs = [mine[0], replace(mine[1], start=1e-3 + (PEAK - 1e-3) / 2)]  # As Keras has it.
    mine, theirs = (PiecewiseSchedule(each, repeat) for each in (mine, theirs))
    log = range(steps // 40, 5 * steps, steps // 20)
    texts = [f"{theirs.lr(step):.2e}" for step in log]
    verdict = verify(mine, log, list(map(float, texts)), Resolution.of_texts(texts))
    assert verdict.status == "deviated"
    assert (verdict.fault is not None) == named


@pytest.mark.parametrize("end", [PEAK, 2 * PEAK])
def test_restarts_that_rise(end):
    # They have no peak that decays, so that those of timm can't be computed.
    mine = PiecewiseSchedule([*cosines(PEAK, 0.01), *cosines(0.5, end)])
    verdict = verify(mine, STEPS, [mine.lr(step) + 1e-3 * (step % 7) for step in STEPS])
    assert (verdict.status, verdict.fault) == ("deviated", None)


def test_the_beginning_alone_isnt_enough():
    theirs = originals.torch_one_cycle(PEAK, N)
    for last in (100, 170, 179):
        verdict = verify(MINE, range(last), [theirs.lr(step) for step in range(last)])
        assert verdict.status == "deviated"
        assert verdict.fault is None
    assert verify(MINE, range(300), [theirs.lr(step) for step in range(300)]).fault is not None


def test_a_phase_that_a_log_ends_with_is_the_last_that_counts():
    warm_up = CASES["nanoGPT"][1]
    verdict = verify(WARM_UP, range(61), [warm_up.lr(step) for step in range(61)])
    assert "nanoGPT" in verdict.sentence


def changed(rng, schedule):
    """The phases of a schedule, one of which isn't what another library would have."""
    phases = [*schedule.phases]
    index = rng.randrange(len(phases))
    phase = phases[index]
    change = rng.choice(("steps", "boundary", "rates"))
    if change == "rates":
        factors = rng.choice(((0.5, 1.0), (1.01, 1.0), (1.0, 1.01), (1.0, 0.9), (0.9, 1.1)))
        phases[index] = replace(phase, start=phase.start * factors[0], end=phase.end * factors[1])
    else:
        steps = rng.choice((-10, -3, -2, -1.5, -0.5, 0.5, 1.5, 2, 3, 7))
        if phase.steps + steps <= 0:
            return schedule
        phases[index] = replace(phase, steps=phase.steps + steps)
        if change == "boundary" and index + 1 < len(phases):
            after = phases[index + 1]
            phases[index + 1] = replace(after, steps=after.steps - steps)
    return PiecewiseSchedule(phases)


def test_no_other_curve_is_called_theirs():
    rng = random.Random(1)
    named = 0
    for _ in range(100):
        total = rng.choice((100, 300, 1000))
        share = rng.choice((0.1, 0.25, 0.4))
        mine = rng.choice(
            (
                one_cycle(PEAK, total, pct_start=share),
                one_cycle(PEAK, total, pct_start=share, three_phase=True, shape="linear"),
                warmup_cosine(PEAK, total // 10, total, end_lr=1e-3),
                warmup_stable_decay(PEAK, total // 10, total // 2, total // 4),
            )
        )
        other = changed(rng, mine)
        steps = range(0, int(1.1 * total), rng.choice((1, 3, 10)))
        texts = [f"{other.lr(step):.{rng.choice((3, 6))}e}" for step in steps]
        verdict = verify(mine, steps, [float(text) for text in texts], Resolution.of_texts(texts))
        named += getattr(verdict.fault, "name", None) == "original"
    assert named == 0
