"""Other libraries' schedules, from their arguments: the phases, and what phases can't say.

The curves are held against the libraries themselves in `tests/integration`.
"""

import pytest

from clr_core import CyclicSchedule, SequenceSchedule
from clr_core.schedules import originals


def points(schedule):
    """The lengths and ends of its phases."""
    return [(each.steps, each.start, each.end, each.shape) for each in schedule.phases]


def test_one_name_and_four_curves():
    arguments = {"pct_start": 0.25, "div_factor": 5, "final_div_factor": 10}
    torchs = originals.torch_one_cycle(0.5, 50, **arguments)
    assert points(torchs) == [(11.5, 0.1, 0.5, "cosine"), (37.5, 0.5, 0.01, "cosine")]
    assert torchs.momentum(0) == 0.95
    optaxs = originals.optax_cosine_onecycle(50, 0.5, **arguments)
    assert points(optaxs) == [(12, 0.1, 0.5, "cosine"), (38, 0.5, 0.01, "cosine")]
    linear = originals.optax_linear_onecycle(50, 0.5, pct_final=0.75, **arguments)
    assert points(linear) == [
        (12, 0.1, 0.5, "linear"),
        (25, 0.5, 0.1, "linear"),
        (13, 0.1, 0.01, "linear"),
    ]
    fastais = originals.fastai_one_cycle(0.5, 50, div=5, div_final=10)
    assert points(fastais) == [(12.5, 0.1, 0.5, "cosine"), (37.5, 0.5, 0.05, "cosine")]


@pytest.mark.parametrize(
    ("make", "required", "defaults"),
    [
        (
            originals.torch_one_cycle,
            (0.5, 50),
            {
                "pct_start": 0.3,
                "anneal_strategy": "cos",
                "cycle_momentum": True,
                "base_momentum": 0.85,
                "max_momentum": 0.95,
                "div_factor": 25,
                "final_div_factor": 10_000,
                "three_phase": False,
            },
        ),
        (originals.torch_cosine_annealing, (0.5, 50), {"eta_min": 0}),
        (originals.torch_warm_restarts, (0.5, 50), {"T_mult": 1, "eta_min": 0}),
        (
            originals.torch_linear,
            (0.5,),
            {"start_factor": 1 / 3, "end_factor": 1, "total_iters": 5},
        ),
        (originals.torch_constant, (0.5,), {"factor": 1 / 3, "total_iters": 5}),
        (originals.transformers_cosine, (0.5, 5, 50), {"num_cycles": 0.5, "min_lr_rate": 0}),
        (
            originals.transformers_wsd,
            (0.5, 5, 5, 50),
            {
                "num_stable_steps": 40,
                "warmup_type": "linear",
                "decay_type": "cosine",
                "min_lr_ratio": 0,
                "num_cycles": 0.5,
            },
        ),
        (originals.keras_cosine_decay, (0.5, 50), {"alpha": 0, "warmup_steps": 0}),
        (originals.keras_cosine_decay_restarts, (0.5, 50), {"t_mul": 2, "m_mul": 1, "alpha": 0}),
        (originals.optax_linear, (0.5, 0.25, 50), {"transition_begin": 0}),
        (originals.optax_cosine_decay, (0.5, 50), {"alpha": 0, "exponent": 1}),
        (originals.optax_warmup_cosine_decay, (0.1, 0.5, 5, 50), {"end_value": 0, "exponent": 1}),
        (
            originals.optax_cosine_onecycle,
            (50, 0.5),
            {"pct_start": 0.3, "div_factor": 25, "final_div_factor": 10_000},
        ),
        (
            originals.optax_linear_onecycle,
            (50, 0.5),
            {"pct_start": 0.3, "pct_final": 0.85, "div_factor": 25, "final_div_factor": 10_000},
        ),
        (
            originals.fastai_one_cycle,
            (0.5, 50),
            {"pct_start": 0.25, "div": 25, "div_final": 100_000, "moms": (0.95, 0.85, 0.95)},
        ),
    ],
)
def test_defaults_are_those_of_the_libraries(make, required, defaults):
    assert make(*required) == make(*required, **defaults)


@pytest.mark.parametrize(
    ("schedule", "first_phases"),
    [
        (originals.torch_cosine_annealing(0.5, 50, 0.125), [(50, 0.5, 0.125, "cosine")]),
        (
            originals.torch_warm_restarts(0.5, 10, 2, 0.125),
            [(10, 0.5, 0.125, "cosine"), (20, 0.5, 0.125, "cosine")],
        ),
        (originals.torch_linear(0.5, 0.25, 0.75, 10), [(10, 0.125, 0.375, "linear")]),
        (
            originals.torch_constant(0.5, 0.25, 10),
            [(10, 0.125, 0.125, "linear"), (1, 0.5, 0.5, "linear")],
        ),
        (
            originals.transformers_linear(0.5, 5, 50),
            [(5, 0.0, 0.5, "linear"), (45, 0.5, 0.0, "linear")],
        ),
        (
            originals.transformers_cosine(0.5, 5, 50, min_lr_rate=0.25),
            [(5, 0.0, 0.5, "linear"), (45, 0.5, 0.125, "cosine")],
        ),
        (
            originals.transformers_wsd(
                0.5, 5, 10, 50, min_lr_ratio=0.25, warmup_type="cosine", decay_type="linear"
            ),
            [(5, 0.125, 0.5, "cosine"), (35, 0.5, 0.5, "linear"), (10, 0.5, 0.125, "linear")],
        ),
        (
            originals.keras_cosine_decay(0.125, 50, 0.25, 0.5, 10),
            [(10, 0.125, 0.5, "linear"), (50, 0.5, 0.125, "cosine")],
        ),
        (
            originals.keras_cosine_decay_restarts(0.5, 10, 2.0, 0.5, 0.25),
            [(10, 0.5, 0.125, "cosine"), (20, 0.3125, 0.125, "cosine")],
        ),
        (originals.optax_cosine_decay(0.5, 50, 0.25), [(50, 0.5, 0.125, "cosine")]),
        (
            originals.optax_warmup_cosine_decay(0.125, 0.5, 5, 50, 0.25),
            [(5, 0.125, 0.5, "linear"), (45, 0.5, 0.25, "cosine")],
        ),
    ],
)
def test_the_phases(schedule, first_phases):
    assert points(schedule)[: len(first_phases)] == first_phases
    assert not schedule.repeat


def test_a_first_phase_of_half_a_step():
    first, _ = originals.torch_one_cycle(0.5, 10, pct_start=0.15, div_factor=5).phases
    assert (first.steps, first.start, first.end) == (0.5, 0.1, 0.5)


def test_three_phases():
    arguments = {"pct_start": 0.25, "three_phase": True, "anneal_strategy": "linear"}
    three = originals.torch_one_cycle(0.5, 100, **arguments, div_factor=5, final_div_factor=10)
    assert points(three) == [
        (24, 0.1, 0.5, "linear"),
        (24, 0.5, 0.1, "linear"),
        (51, 0.1, 0.01, "linear"),
    ]
    # Where two phases are longer than all steps, the third one never comes.
    assert len(originals.torch_one_cycle(0.5, 100, pct_start=0.7, three_phase=True).phases) == 2


def test_epochs_are_steps():
    assert originals.torch_one_cycle(0.5, epochs=4, steps_per_epoch=25) == (
        originals.torch_one_cycle(0.5, 100)
    )


def test_a_warm_up_is_in_the_steps_or_not():
    assert originals.optax_warmup_cosine_decay(0.0, 0.1, 100, 1000) == (
        originals.keras_cosine_decay(0.0, 900, warmup_target=0.1, warmup_steps=100)
    )
    assert originals.keras_cosine_decay(0.1, 900, warmup_steps=100).total_steps == 900
    assert points(originals.optax_warmup_cosine_decay(0.0, 0.1, 0, 10)) == [
        (10, 0.1, 0.0, "cosine")
    ]


def test_restarts_end_when_the_peaks_have_come_down():
    schedule = originals.keras_cosine_decay_restarts(0.1, 10, t_mul=1.0, m_mul=0.5, alpha=0.01)
    assert [schedule.lr(step) for step in (0, 10, 10_000)] == [
        0.1,
        pytest.approx(0.1 * (0.99 * 0.5 + 0.01)),
        0.001,
    ]
    assert originals.keras_cosine_decay_restarts(0.1, 10, t_mul=1.0).repeat
    grown = originals.keras_cosine_decay_restarts(0.1, 10, t_mul=1.0, m_mul=1.0, alpha=1.0)
    assert {grown.lr(step) for step in range(30)} == {0.1}


def test_joined():
    up, down = originals.optax_linear(0.0, 0.1, 10), originals.optax_cosine_decay(0.1, 20)
    assert points(originals.joined([up, down], [15])) == [
        (10, 0.0, 0.1, "linear"),
        (5, 0.1, 0.1, "linear"),
        (20, 0.1, 0.0, "cosine"),
    ]
    warm_up = originals.optax_warmup_cosine_decay(0.0, 0.1, 2, 9)
    assert points(originals.joined([warm_up, up], [15])) == [
        (2, 0.0, 0.1, "linear"),
        (7, 0.1, 0.0, "cosine"),
        (6, 0.0, 0.0, "linear"),
        (10, 0.0, 0.1, "linear"),
    ]
    cycle = CyclicSchedule(base_lr=0.1, max_lr=0.5)
    for schedules, boundaries in (([up, down], [9]), ([up, cycle], [10]), ([up, up, down], [5, 9])):
        joined = originals.joined(schedules, boundaries)
        assert joined == SequenceSchedule(schedules, boundaries)
    assert originals.joined([up], []) == up
    sgdr = [{"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 9}] * 4
    assert (
        points(originals.optax_sgdr(sgdr))
        == [
            (2, 0.0, 0.1, "linear"),
            (7, 0.1, 0.0, "cosine"),
        ]
        * 4
    )


def test_a_line_of_torch_that_begins_before_step_0():
    # The rate comes down from step -0.5 to step 9, and the momentum goes up.
    schedule = originals.torch_one_cycle(1.0, 10, pct_start=0.05, anneal_strategy="linear")
    share, rounding = 0.5 / 9.5, 1e-12
    assert schedule.total_steps == 9.0
    assert schedule.lr(0) == pytest.approx(1.0 - (1.0 - 4e-6) * share, rel=rounding)
    assert schedule.momentum(0) == pytest.approx(0.85 + 0.1 * share, rel=rounding)


def test_as_optax_takes_it():
    assert points(originals.optax_linear(0.1, 0.2, 0)) == [(1, 0.1, 0.1, "linear")]
    assert points(originals.optax_linear(0.1, 0.2, 5, transition_begin=3)) == [
        (3, 0.1, 0.1, "linear"),
        (5, 0.1, 0.2, "linear"),
    ]
    assert originals.optax_linear(0.1, 0.2, 5, -3) == originals.optax_linear(0.1, 0.2, 5)
    assert originals.optax_cosine_onecycle(10, 0.5, pct_start=0.01).lr(0) == 0.5


def test_a_last_phase_without_a_step_is_still_the_end():
    wsd = originals.transformers_wsd
    down = wsd(0.1, 5, 0, num_stable_steps=5, min_lr_ratio=0.5)
    assert points(down) == [
        (5, 0.05, 0.1, "linear"),
        (5, 0.1, 0.1, "linear"),
        (1, 0.05, 0.05, "linear"),
    ]
    assert points(wsd(0.1, 5, 5, num_stable_steps=0, decay_type="linear")) == [
        (5, 0.0, 0.1, "linear"),
        (5, 0.1, 0.0, "linear"),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: originals.torch_one_cycle(0.1), "`total_steps`, or `epochs` and"),
        (lambda: originals.torch_one_cycle(0.1, epochs=4), "`total_steps`, or `epochs` and"),
        (lambda: originals.torch_one_cycle(0.1, 10.5), "`total_steps` must be an integer"),
        (lambda: originals.torch_one_cycle(0.1, 10, pct_start=1.5), "`pct_start` must be from 0"),
        (lambda: originals.torch_one_cycle(0.1, 10, pct_start=0.1), "must end after step 0"),
        (lambda: originals.torch_one_cycle(0.1, 10, pct_start=0.05), "the middle of a cosine"),
        (lambda: originals.torch_one_cycle(0.1, 10, anneal_strategy="exp"), "`anneal_strategy`"),
        (lambda: originals.torch_one_cycle(0.1, 10, div_factor=0), "`div_factor` must be positive"),
        (lambda: originals.torch_warm_restarts(0.1, 0), "`steps` must be positive"),
        (lambda: originals.torch_warm_restarts(0.1, 5, 0), "must not become shorter"),
        (lambda: originals.torch_linear(0.1, total_iters=0), "`steps` must be positive"),
        (lambda: originals.transformers_cosine(0.1, 2, 9, 1.5), "`num_cycles` must be 0.5"),
        (lambda: originals.transformers_linear(0.1, 9, 9), "by 1 at least"),
        (lambda: originals.transformers_linear(0.1, 0.5, 9), "must be 0 or at least 1"),
        (lambda: originals.transformers_wsd(0.1, 2, 3), "`num_stable_steps` or"),
        (lambda: originals.transformers_wsd(0.1, 2, 3, 4), "`num_stable_steps` must be 0 or"),
        (lambda: originals.keras_cosine_decay_restarts(0.1, 9, t_mul=0.9), "become shorter"),
        (lambda: originals.keras_cosine_decay_restarts(0.1, 9, 1.0, 0.9999), "at most 10,000"),
        (lambda: originals.keras_cosine_decay_restarts(0.1, 9, 1.0, 1.5), "must be finite"),
        (lambda: originals.optax_cosine_decay(0.1, 9, exponent=2.0), "`exponent` must be 1"),
        (lambda: originals.optax_warmup_cosine_decay(0.0, 0.1, 9, 9), "which it includes"),
        (lambda: originals.optax_linear_onecycle(9, 0.1, 0.3, 0.3), "`pct_start` must be below"),
        (lambda: originals.optax_cosine_onecycle(9, 0.1, 1.5), "`pct_start` must be below 1"),
        (lambda: originals.joined([originals.optax_constant(0.1)] * 2, []), "`boundaries` must"),
    ],
)
def test_what_phases_cant_say(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
