"""A schedule from the sizes of a training: the numbers, the sentences and what is refused."""

import json
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from clr_core import CyclicSchedule, RangeTestResult, one_cycle, suggest_schedule

SIZES = {"samples": 50_000, "batch_size": 100, "epochs": 24, "max_lr": 0.006}
LRS = [10.0 ** (-6 + i / 10) for i in range(70)]
FOUND = RangeTestResult.from_curve(
    LRS, [2.3 - 1.8 * min(max(i - 20, 0), 30) / 30 + 0.4 * max(i - 50, 0) for i in range(70)]
)
FLAT = RangeTestResult.from_curve(LRS, [1.0] * 70)


def suggest(**changes):
    return suggest_schedule(**{**SIZES, **changes})


def test_the_papers_example():
    """CIFAR-10 in batches of 100: half a cycle of 2,000 updates is 4 epochs."""
    found = suggest()
    assert found.schedule == CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=2000)
    assert (found.batches_per_epoch, found.steps_per_epoch, found.steps) == (500, 500, 12_000)
    assert (found.cycles, found.ends_at_base_lr, found.ending_step_size) == (3, True, None)
    assert found.warnings == ()


sizes = st.fixed_dictionaries(
    {
        "samples": st.integers(1, 100_000),
        "batch_size": st.integers(1, 512),
        "epochs": st.integers(4, 400),  # With fewer, a cycle may have a single update.
        "accumulation_steps": st.integers(1, 9),
        "processes": st.integers(1, 9),
    }
)


def last_rates(found, schedule):
    """The oracle's rates of the last update and of the one that would come next."""
    return [oracle.lr(schedule.to_dict(), found.steps - 1 + i) for i in range(2)]


@given(sizes)
def test_by_default_training_ends_where_a_cycle_does(changes):
    found = suggest(**changes)
    assert found.ends_at_base_lr
    assert Fraction(found.steps) / found.cycles == pytest.approx(found.schedule.cycle_size, 1e-12)
    # The step sizes are rounded to float64, so that the end may lie that far from a whole step.
    last, following = last_rates(found, found.schedule)
    assert following == pytest.approx(found.schedule.base_lr, rel=1e-9)
    assert last > following


@given(sizes, st.floats(0.25, 20))
def test_the_offered_step_size_ends_it_there(changes, half):
    found = suggest(**changes, epochs_per_half_cycle=half)
    assert found.ends_at_base_lr == (found.ending_step_size is None)
    assert found.schedule.step_size_up == half * found.steps_per_epoch
    if found.ending_step_size is not None:
        # Into the cycle or before its end, by half a step at least.
        cycles = Fraction(found.steps) / Fraction(found.schedule.cycle_size)
        away = abs(cycles - max(1, round(cycles))) * Fraction(found.schedule.cycle_size)
        assert away >= Fraction(1, 2)
        ending = CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=found.ending_step_size)
        _, following = last_rates(found, ending)
        assert following == pytest.approx(0.0015, rel=1e-9)


@pytest.mark.parametrize(
    ("epochs", "cycles"),
    [(1, 1), (4, 1), (8, 2), (11, 2), (12, 3), (16, 3), (24, 3), (30, 4), (32, 4), (100, 12)],
)
def test_the_cycles_of_the_papers_advice(epochs, cycles):
    """At least three where each half has two epochs; never longer than ten."""
    found = suggest(epochs=epochs)
    half = epochs / cycles / 2
    assert found.cycles == cycles
    assert (found.warnings == ()) == (2 <= half <= 10)


def test_it_says_where_training_would_end():
    found = suggest(epochs=22, epochs_per_half_cycle=4)
    assert not found.ends_at_base_lr
    assert found.cycles == 2
    assert found.warnings == (
        "Training would end within cycle 2, counted from 0, 50% of the way from base_lr to its "
        "peak. Halves of 3.667 epochs, which is step_size_up=1833.3333333333333, end at base_lr; "
        "with the present halves, a training of 16 or 24 epochs does.",
    )
    assert suggest(epochs=24, epochs_per_half_cycle=4).warnings == ()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (
            {"mode": "triangular2"},
            "cycle 2, counted from 0, 50%",
        ),  # Of the peak of that cycle, a quarter as high.
        ({"base_lr": 0.006}, "cycle 2, counted from 0, 0%"),  # There is no way to go.
        ({"epochs": 10, "epochs_per_half_cycle": 8}, "cycle 0, counted from 0, 75%"),
        ({"samples": 100, "epochs": 5, "epochs_per_half_cycle": 2}, "cycle 1, counted from 0, 50%"),
        # Cycle 1 begins at 7.3 and is highest at step 11: (8 - 7.3) / (2 * 10.95 - 11 - 7.3).
        (
            {"samples": 100, "epochs": 8, "epochs_per_half_cycle": 3.65},
            "cycle 1, counted from 0, 19%",
        ),
    ],
    ids=str,
)
def test_how_far_into_which_cycle(changes, place):
    warning, *_ = suggest(**{"epochs": 22, "epochs_per_half_cycle": 4, **changes}).warnings
    assert warning.startswith(f"Training would end within {place} of the way from base_lr to its ")


@pytest.mark.parametrize(
    ("epochs", "half", "kind", "whole"),
    [
        (79, 6, "cyclic", (72, 84)),
        (5, 4, "cyclic", (8,)),  # Not even one cycle.
        (81, 2.5, "cyclic", (80, 85)),
        (79, 1.3, "cyclic", (78, 91)),
        (100, 60, "cyclic", (120,)),
        (79, 3.14159, "cyclic", ()),
        (80, 2.5, "cyclic", ()),
        (79, None, "cyclic", (72, 80)),  # With the default's own number of cycles.
        (13, None, "cyclic", (12, 18)),
        (1, None, "cyclic", (2,)),
        (24, None, "cyclic", ()),
        (79, None, "warm_restarts", (77, 84)),
        (77, None, "warm_restarts", ()),
        (79, None, "one_cycle", ()),
    ],
)
def test_whole_numbers_of_epochs_nearby(epochs, half, kind, whole):
    found = suggest(epochs=epochs, epochs_per_half_cycle=half, kind=kind)
    assert found.whole_epochs == whole
    assert found.to_dict()["whole_epochs"] == list(whole)
    offered = " or ".join(map(str, whole))
    assert (f"a training of {offered} epochs" in " ".join(str(found).split())) == bool(whole)
    for each in whole:
        other = suggest(epochs=each, epochs_per_half_cycle=half, kind=kind)
        assert other.ends_at_base_lr
        assert other.whole_epochs == ()
        if kind == "cyclic" and half is None:
            assert (other.schedule.step_size_up / other.steps_per_epoch).is_integer()


def test_a_picture_of_the_whole_training_for_notebooks():
    found = suggest(epochs=79, epochs_per_half_cycle=6, base_momentum=0.8, max_momentum=0.9)
    page = found._repr_html_()
    assert ">39,500</text>" in page  # The last step.
    assert ">momentum</text>" in page
    for sentence in (*found.warnings, *found.notes):
        assert sentence in page  # In one line, which the page wraps.


def test_less_than_half_a_cycle_is_offered_a_whole_one():
    found = suggest(epochs=10, epochs_per_half_cycle=12)
    assert (found.cycles, found.ending_step_size) == (0, 2500)


@pytest.mark.parametrize("half", [1.5, 12])
def test_halves_that_the_paper_advises_against(half):
    found = suggest(epochs=int(2 * half), epochs_per_half_cycle=half)
    assert found.warnings == (f"Half a cycle has {half:g} epochs: the paper suggests 2 to 10.",)


@pytest.mark.parametrize(
    ("samples", "processes", "accumulation", "drop_last", "batches", "updates"),
    [
        (1000, 1, 1, False, 32, 32),  # The last one has 8 samples.
        (1000, 1, 1, True, 31, 31),
        (1000, 4, 1, False, 8, 8),
        (1000, 4, 1, True, 7, 7),
        (1000, 1, 5, False, 32, 7),  # Six groups of five, and two batches.
        (1000, 1, 5, True, 31, 7),
        (1000, 1, 50, False, 32, 1),
    ],
)
def test_batches_and_updates(samples, processes, accumulation, drop_last, batches, updates):
    found = suggest(
        samples=samples,
        batch_size=32,
        processes=processes,
        accumulation_steps=accumulation,
        drop_last=drop_last,
    )
    assert (found.batches_per_epoch, found.steps_per_epoch) == (batches, updates)


def test_batches_that_are_left_over():
    (warning,) = suggest(accumulation_steps=3).warnings
    assert warning == (
        "An epoch has 500 batches, and 2 of them are left over after the last 3. They are "
        "counted as one more update, as in Lightning and Accelerate. A loop that drops them makes "
        "166 updates in an epoch; Keras and optax.MultiSteps carry them over into the next epoch, "
        "and make 4,000 in all."
    )
    assert suggest(accumulation_steps=5).warnings == ()


def test_drop_last_of_the_loader_alone():
    """Of 19 samples, a sampler gives each of two processes 9, or 10 of which one is repeated."""
    assert suggest(samples=36, batch_size=4, drop_last=True).warnings == ()
    with pytest.raises(ValueError, match=r"^With `drop_last` an epoch must have a full batch"):
        suggest(samples=9, batch_size=5, drop_last=True, processes=2)
    (warning,) = suggest(samples=19, batch_size=5, epochs=4, drop_last=True, processes=2).warnings
    assert warning == (
        "`drop_last` is assumed for the DistributedSampler too. With `drop_last` in the DataLoader "
        "alone, an epoch has 2 batches, not 1."
    )


def test_what_is_often_done_wrong():
    assert suggest().notes == (
        "A step is an update: step the schedule 500 times in an epoch. Once per epoch, a cycle "
        "would take 4,000 epochs.",
    )
    # 1,234,500 samples in batches of 100, and three cycles in 24 epochs.
    assert suggest(samples=1_234_500).notes == (
        "A step is an update: step the schedule 12,345 times in an epoch. Once per epoch, a cycle "
        "would take 98,760 epochs.",
    )
    assert len(suggest(accumulation_steps=2).notes) == 2
    _, micro, several = suggest(accumulation_steps=5, processes=4).notes
    assert "one update for 5 micro-batches" in micro
    assert "`gradient_accumulation_steps=5`" in micro
    assert "Each of the 4 processes" in several
    assert "2,000 samples in all" in several


def test_from_a_range_test():
    found = suggest(max_lr=None, result=FOUND)
    assert (found.schedule.max_lr, found.schedule.base_lr) == (FOUND.max_lr, FOUND.base_lr)
    assert found.warnings == FOUND.warnings
    same = suggest(max_lr=FOUND.max_lr, base_lr=FOUND.base_lr, result=FOUND)
    assert same.warnings == FOUND.warnings


@pytest.mark.parametrize("given", [{"max_lr": 0.4}, {"base_lr": 0.0}, {"max_lr": 1, "base_lr": 0}])
def test_what_overrides_a_range_test_is_said(given):
    found = suggest(**{"max_lr": None, **given}, result=FOUND)
    said = [
        f"`{name}` is {value!r} as given, in place of the range test's {getattr(FOUND, name)!r}."
        for name, value in given.items()
    ]
    assert found.warnings == (*said, *FOUND.warnings)
    upper = given.get("max_lr", FOUND.max_lr)
    assert found.schedule.max_lr == upper
    assert found.schedule.base_lr == given.get("base_lr", upper / 4)


def test_the_schedules_other_parameters():
    more = {"mode": "triangular2", "base_momentum": 0.8, "max_momentum": 0.9}
    assert suggest(**more).schedule == CyclicSchedule(base_lr=0.0015, max_lr=0.006, **more)
    with pytest.raises(TypeError, match="gama"):
        suggest(gama=0.9)


def test_plain_data():
    found = suggest(epochs_per_half_cycle=5)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert CyclicSchedule.from_dict(document["schedule"]) == found.schedule
    assert document == found.to_dict()
    assert document["ending_step_size"] == 3000
    with pytest.raises(FrozenInstanceError):
        found.steps = 3


def test_its_text_with_all_notes():
    assert str(suggest(accumulation_steps=3, processes=2)) == (
        """\
CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=336.0)
84 updates in an epoch, 2,016 in 24 epochs
a cycle has 8 epochs; training ends at base_lr, after 3 cycles
warning: An epoch has 250 batches, and 1 of them are left over after the last 3. They are
counted as one more update, as in Lightning and Accelerate. A loop that drops them makes
83 updates in an epoch; Keras and optax.MultiSteps carry them over into the next epoch,
and make 2,000 in all.
note: A step is an update: step the schedule 84 times in an epoch. Once per epoch, a cycle
would take 672 epochs.
note: The optimizer makes one update for 3 micro-batches: step the schedule after each
update, not after each micro-batch. Keras counts batches: give
`gradient_accumulation_steps=3` to `clr_keras.CyclicLR`, too. Let the range test
accumulate as well.
note: Each of the 2 processes steps its own schedule once per update, of 600 samples in
all. Accelerate steps a scheduler that it has prepared 2 times as often, unless it has
step_with_optimizer=True. `batch_size` is counted per process; if yours is the total over
all processes, leave `processes` at 1."""
    )


def test_its_text_of_one_epoch():
    assert str(suggest(samples=90, epochs=1)) == (
        """\
CyclicSchedule(base_lr=0.0015, max_lr=0.006, step_size_up=0.5)
1 update in an epoch, 1 in 1 epoch
a cycle has 1 epoch; training ends at base_lr, after 1 cycle
warning: Half a cycle has 0.5 epochs: the paper suggests 2 to 10.
note: The halves of a cycle would have whole numbers of epochs in a training of 2 epochs.
note: A step is an update: step the schedule 1 time in an epoch. Once per epoch, a cycle
would take 1 epoch."""
    )


def test_training_has_at_most_2_to_the_53_updates():
    found = suggest(samples=2**52, batch_size=2**52, epochs=2**53)
    assert (found.steps, found.ends_at_base_lr) == (2**53, True)


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"samples": 0}, ValueError, "must lie between 1 and 2**53"),
        ({"batch_size": -1}, ValueError, "must lie between 1 and 2**53"),
        ({"epochs": 2.5}, TypeError, "must be an integer"),
        ({"epochs": 2**52}, ValueError, "must result in at most 2**53 updates"),
        ({"processes": True}, TypeError, "must be an integer"),
        ({"drop_last": 1}, TypeError, "must be True or False"),
        ({"result": 0.1}, TypeError, "must be the result of a range test"),
        ({"max_lr": -1}, ValueError, "must be positive"),
        ({"max_lr": "1"}, TypeError, "must be a number"),
        ({"base_lr": 1}, ValueError, "must not be above `max_lr`"),
        ({"epochs_per_half_cycle": 0}, ValueError, "must be positive"),
        ({"step_size_up": 500}, TypeError, "follows from the epochs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_refused(change, error, rule):
    with pytest.raises(error) as caught:
        suggest(**change)
    ((name, value),) = change.items()
    assert str(caught.value).startswith(f"`{name}` {rule}. Received: {name}={value!r}")


def test_a_rate_must_be_given():
    with pytest.raises(ValueError, match=r"^`max_lr` must be given, or the `result` of a range"):
        suggest(max_lr=None)
    with pytest.raises(ValueError, match=r"^The range test gives no `max_lr`\. The loss is flat: "):
        suggest(max_lr=None, result=FLAT)
    with pytest.raises(TypeError, match=r"step_size_up=500\. Give `epochs_per_half_cycle`\.$"):
        suggest(step_size_up=500)


def ends(schedule):
    """The lengths of its phases, and the rates at their ends."""
    return [(each.steps, each.start, each.end) for each in schedule.phases]


def test_other_kinds_end_with_the_training():
    for kind in ("one_cycle", "warm_restarts", "warmup_cosine", "warmup_stable_decay"):
        found = suggest(kind=kind, epochs=21)
        assert found.schedule.total_steps == pytest.approx(found.steps)
        assert found.schedule.levels()["highest"] == 0.006
        assert found.ends_at_base_lr
        assert found.notes[0].endswith("Once per epoch, it would take 10,500 epochs.")
        assert json.loads(json.dumps(found.to_dict()))["schedule"] == found.schedule.to_dict()


def test_the_lengths_and_rates_of_other_kinds():
    momenta = {"base_momentum": 0.85, "max_momentum": 0.95}
    cycle = suggest(kind="one_cycle", base_lr=0.003, **momenta)
    assert cycle.schedule == one_cycle(0.006, 12_000, div_factor=2.0, **momenta)
    restarts = suggest(kind="warm_restarts", epochs=14, base_lr=1e-5)
    assert ends(restarts.schedule) == [(n, 0.006, 1e-5) for n in (1000, 2000, 4000)]
    assert restarts.cycles == 3
    cosine = suggest(kind="warmup_cosine", base_lr=1e-5)
    assert ends(cosine.schedule) == [(600, 0.0, 0.006), (11_400, 0.006, 1e-5)]
    stable = suggest(kind="warmup_stable_decay")
    assert ends(stable.schedule) == [
        (600, 0.0, 0.006),
        (9000, 0.006, 0.006),
        (2400, 0.006, 0.0),
    ]
    assert "phases of 1.2, 18, 4.8 epochs" in str(stable)


def test_another_kind_from_a_range_test():
    found = suggest_schedule(samples=1000, batch_size=10, epochs=5, result=FOUND, kind="one_cycle")
    assert found.schedule == one_cycle(FOUND.max_lr, 500)
    with pytest.raises(ValueError, match="max_lr"):
        suggest_schedule(samples=1000, batch_size=10, epochs=5, result=FLAT, kind="one_cycle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "triangular"}, "`kind` must be one of 'cyclic', 'one_cycle', "),
        ({"kind": "one_cycle", "mode": "triangular2"}, "`mode` must be left out for the kind"),
        ({"kind": "warmup_cosine", "base_momentum": 0.8}, "`base_momentum` must be left out"),
        ({"kind": "one_cycle", "base_momentum": 0.8}, "must be given together"),
        ({"kind": "one_cycle", "base_lr": 0.0}, "`base_lr` must be above 0"),
        ({"kind": "one_cycle", "base_lr": 0.01}, "below `max_lr`"),
        ({"kind": "one_cycle", "base_lr": -0.1}, "`base_lr` must not be negative"),
        ({"kind": "warm_restarts", "base_lr": 0.01}, "`base_lr` must not be above `max_lr`"),
        ({"kind": "warmup_cosine", "base_lr": 0.01}, "`base_lr` must not be above `max_lr`"),
        ({"kind": "warmup_stable_decay", "base_lr": -0.1}, "`base_lr` must not be negative"),
        ({"kind": "one_cycle", "epochs_per_half_cycle": 2}, "is for the kind 'cyclic'"),
        ({"kind": "warmup_cosine", "samples": 100, "epochs": 3}, "at least 40 updates"),
        ({"kind": "one_cycle", "max_lr": None}, "`max_lr` must be given"),
        ({"kind": "one_cycle", "max_lr": -1.0}, "`max_lr` must be positive"),
    ],
    ids=str,
)
def test_what_another_kind_cant_be(changes, message):
    with pytest.raises(ValueError, match=message):
        suggest(**changes)
