"""A run in Keras becomes a record, and a run in Keras resumes from a record."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import clr_keras
from clr_core import CyclicSchedule
from clr_core.adapter import rate_only
from clr_core.record import Record
from clr_keras import CyclicLR, ScheduledLR, from_record, read_record, to_moments, to_record
from integration.keras.cycled import BACKEND, GRADIENTS, SCHEDULE, fit, model, optimizer, shown
from integration.keras.rates import numbers
from needs import needs
from schedules import expected, expected_momenta

# The start, the step after it, the peak, and steps in the second and third cycle of 5.5 each.
STEPS = [0, 1, 3, 6, 12, 1_000_003]
RATES, _ = expected(SCHEDULE, STEPS)
MOMENTA, _ = expected_momenta(SCHEDULE, STEPS)
ALONE = replace(SCHEDULE, base_momentum=None, max_momentum=None)
ADAM = keras.optimizers.Adam
THEIRS = keras.optimizers.schedules
multi = needs("keras.optimizers.MultiOptimizer")


def from_zero(made):
    """A model with its weights at 0, whose gradient is 1."""
    trained = model(made)
    trained.set_weights([np.zeros_like(trained.get_weights()[0])])
    return trained


def ones(batches):
    return np.ones((batches, 5), "float32")


@pytest.mark.parametrize("accumulated", [None, 3])
@pytest.mark.parametrize("step", STEPS)
def test_the_next_update_has_the_rate_of_the_records_step(step, accumulated):
    made = from_record(
        Record(ALONE, step), keras.optimizers.SGD, gradient_accumulation_steps=accumulated
    )
    trained = from_zero(made)
    # From 0 and with gradients of 1 the weights become minus the rate, to the bit.
    np.testing.assert_array_equal(fit(trained, ones(accumulated or 1)), np.full(5, -RATES[step]))
    assert to_record(trained) == Record(ALONE, step + 1)


@pytest.mark.parametrize("accumulated", [None, 3])
@pytest.mark.parametrize("step", STEPS)
def test_the_next_update_has_the_momentum_of_the_records_step(step, accumulated):
    made = from_record(
        Record(SCHEDULE, step),
        clr_keras.SGD,
        torch_velocity=True,
        gradient_accumulation_steps=accumulated,
    )
    assert numbers(made.learning_rate) == RATES[step]
    assert shown(made) == MOMENTA[step]
    trained = from_zero(made)
    for velocity in made.momentums:
        velocity.assign(np.ones((5, 1)))
    fit(trained, 0 * ones(accumulated or 1))
    # From 1, gradients of 0 take a velocity to exactly the momentum.
    np.testing.assert_array_equal(numbers(made.momentums[0])[:, 0], np.full(5, MOMENTA[step]))


def test_a_model_that_scales_its_loss_resumes():
    keras.config.set_dtype_policy("mixed_float16")
    trained = model(from_record(Record(SCHEDULE, 6), clr_keras.Adam))
    assert isinstance(trained.optimizer, keras.optimizers.LossScaleOptimizer)
    assert to_record(trained) == Record(SCHEDULE, 6)
    trained.optimizer.dynamic_scale.assign(1.0)
    fit(trained, GRADIENTS[:1])
    assert to_record(trained) == Record(SCHEDULE, 7)


OTHER = CyclicSchedule(base_lr=0.002, max_lr=0.02, step_size_up=2)


def both(body, head):
    by_group = keras.optimizers.OptimizerMap(body)
    by_group["head/.*"] = head
    return keras.optimizers.MultiOptimizer(by_group)


@multi
def test_a_schedule_for_each_optimizer():
    made = both(optimizer("SGD"), ADAM(CyclicLR(OTHER)))
    for each in made.optimizers:
        each.iterations.assign(5)
    assert to_record(made) == Record((OTHER, SCHEDULE), 5)
    assert to_record(both(optimizer("SGD"), optimizer("Adam"))) == Record(SCHEDULE)
    made.optimizers[0].iterations.assign(6)
    with pytest.raises(ValueError, match=r"at the same step. Received: \[6, 5\]"):
        to_record(made)


def traced(x):
    return 0.5**x


def test_a_function_is_named_and_may_be_given_as_an_expression():
    made = ADAM(CyclicLR(CyclicSchedule(base_lr=0.1, max_lr=0.2, scale_fn=traced)))
    with pytest.raises(
        TypeError,
        match=r"callable can't be carried to another framework, and this is one: traced\. ",
    ):
        to_record(made)
    given = to_record(made, scale_fn="0.5 ** x").schedule
    assert given == CyclicSchedule(base_lr=0.1, max_lr=0.2, scale_fn="0.5 ** x")
    with pytest.raises(ValueError, match="`scale_fn` must be left out unless the decay is a P"):
        to_record(ADAM(CyclicLR(ALONE)), scale_fn="0.5 ** x")


@multi
def test_one_expression_stands_for_one_function_in_all_optimizers():
    def run(*scale_fns):
        return both(*(ADAM(CyclicLR(replace(OTHER, scale_fn=each))) for each in scale_fns))

    wanted = replace(OTHER, scale_fn="0.5 ** x")
    assert to_record(run(traced, None), scale_fn="0.5 ** x") == Record((OTHER, wanted))
    assert to_record(run(traced, traced), scale_fn="0.5 ** x") == Record(wanted)
    with pytest.raises(TypeError, match="one Python callable, and there are 2: traced, <lambda>"):
        to_record(run(lambda x: 1 / x, traced), scale_fn="0.5 ** x")
    sequence = replace(OTHER, scale_fn=traced).then(replace(OTHER, scale_fn=lambda x: 1 / x), 8)
    with pytest.raises(TypeError, match="one Python callable, and there are 2: traced, <lambda>"):
        to_record(ADAM(ScheduledLR(sequence)), scale_fn="0.5 ** x")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            lambda: 3,
            TypeError,
            r"`source` must be a Keras optimizer or a model. Received: source=3",
        ),
        (lambda: CyclicLR(ALONE), TypeError, "`source` must be a Keras optimizer or a model"),
        (
            lambda: ADAM(0.1, name="one"),
            TypeError,
            r"must be a clr_keras.ScheduledLR or CyclicLR, or .* in 'one'",
        ),
        (
            lambda: keras.Sequential([keras.layers.Input((3,))], name="net"),
            ValueError,
            r"`source` must be compiled. Received: the model 'net'",
        ),
        (
            lambda: ADAM(CyclicLR(ALONE), gradient_accumulation_steps=3),
            ValueError,
            r"`gradient_accumulation_steps` must be the same .*=3 and 1. Otherwise no schedule",
        ),
        (
            lambda: ADAM(CyclicLR(ALONE, 3)),
            ValueError,
            r"`gradient_accumulation_steps` must be the same .*=1 and 3. Otherwise no schedule",
        ),
        (
            lambda: ADAM(THEIRS.CosineDecay(0.1, 100), gradient_accumulation_steps=3),
            ValueError,
            r"`gradient_accumulation_steps` must be the same .*=3 and 1. Otherwise no schedule",
        ),
        (
            lambda: ADAM(THEIRS.ExponentialDecay(0.1, 100, 0.9)),
            TypeError,
            r"must be a clr_keras\.ScheduledLR or CyclicLR, or Keras's CosineDecay .* a Exponent",
        ),
    ],
)
def test_what_has_no_record(source, error, message):
    with pytest.raises(error, match=message):
        to_record(source())


@pytest.mark.parametrize(
    ("record", "factory", "options", "error", "message"),
    [
        (SCHEDULE, clr_keras.SGD, {}, TypeError, "`record` must be a clr_core.Record. Received"),
        (Record(ALONE), "adam", {}, TypeError, "`factory` must be a class of optimizers. .*'adam'"),
        (Record(ALONE), CyclicLR, {}, TypeError, "`factory` must be a class of optimizers. Rec"),
        (
            Record((ALONE, SCHEDULE)),
            ADAM,
            {},
            ValueError,
            r"one schedule for a Keras optimizer. Received: 2. .*MultiOptimizer of them",
        ),
        (
            Record(SCHEDULE, 3),
            ADAM,
            {},
            ValueError,
            r"an optimizer of clr_keras for a schedule with a momentum. Received: .*\.Adam, which "
            r"doesn't cycle it. To ignore the momentum: Record\(clr_core.adapter.rate_only\(",
        ),
        (Record(ALONE), ADAM, {"learning_rate": 0.1}, ValueError, "`learning_rate` must be left"),
        (
            Record(ALONE),
            ADAM,
            {"gradient_accumulation_steps": 2.5},
            ValueError,
            "`gradient_accumulation_steps` must be a positive integer or None",
        ),
        (Record(ALONE, 1), ADAM, {"use_ema": True}, ValueError, "`use_ema` must be off .*: step=1"),
    ],
)
def test_what_makes_no_optimizer(record, factory, options, error, message):
    with pytest.raises(error, match=message):
        from_record(record, factory, **options)


def test_the_momentum_is_ignored_as_the_error_says():
    record = Record(SCHEDULE, 3)
    alone = Record(rate_only(record.schedule), record.step)
    assert to_record(from_record(alone, ADAM, beta_1=0.8)) == Record(ALONE, 3)


@pytest.mark.parametrize("accumulated", [None, 4])
def test_the_largest_step_of_the_backend(accumulated):
    options = {"gradient_accumulation_steps": accumulated}
    bits = 63 if BACKEND == "tensorflow" else 31
    most = min((2**bits - 2) // (accumulated or 1), 2**53)
    assert to_record(from_record(Record(ALONE, most), ADAM, **options)).step == most
    if most < 2**53:
        with pytest.raises(ValueError, match=rf"`record.step` must be at most {most}, as Keras"):
            from_record(Record(ALONE, most + 1), ADAM, **options)


def test_an_average_of_the_weights_would_begin_with_zeros():
    """The reason to refuse `use_ema`: if Keras corrects later steps too, the refusal may go."""
    weights = keras.Variable([1.0])
    made = keras.optimizers.SGD(0.1, use_ema=True)
    made.build([weights])
    made.iterations.assign(1)
    made.apply([0 * weights], [weights])
    assert numbers(made._model_variables_moving_average[0]) < 0.1
    assert to_record(from_record(Record(ALONE), ADAM, use_ema=True)) == Record(ALONE)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="Keras counts in int64 there")
@pytest.mark.parametrize("micro_batches", [None, 3])
@pytest.mark.parametrize("cycles", [True, False])
def test_a_count_that_wraps_holds_the_last_value(cycles, micro_batches, tmp_path):
    schedule = replace(SCHEDULE, mode="triangular")  # It doesn't end at `base_lr`.
    options = {"gradient_accumulation_steps": micro_batches}
    if cycles:
        made = clr_keras.SGD(schedule, torch_velocity=True, **options)
    else:
        made = keras.optimizers.SGD(CyclicLR(rate_only(schedule), micro_batches or 1), **options)
    trained = model(made)
    made.build(trained.trainable_variables)
    # The variable that counts micro-batches if there are some.
    made._iterations.assign(2**31 - 3)
    counts = range(2**31 - 3, 2**31 + 4)
    steps = [min(count, 2**31 - 1) // (micro_batches or 1) for count in counts]
    rates, momenta = [], []
    for _ in counts:
        rates.append(numbers(made.learning_rate))
        momenta.append(made.momentum)
        fit(trained, ones(1))
    settled, _ = expected(schedule, steps)
    assert rates == [settled[step] for step in steps]
    if cycles:
        settled, _ = expected_momenta(schedule, steps)
        assert momenta == [settled[step] for step in steps]

    update = (2**31 + 4) // (micro_batches or 1)
    reads = f"gone on from 2.*iterations=-2147483644, which is update {update} if"
    trained.save(tmp_path / "model.keras")
    for read in (
        lambda: to_record(trained),
        lambda: read_record(tmp_path / "model.keras"),
        *([lambda: to_moments(made)] if cycles else []),
    ):
        with pytest.raises(ValueError, match=reads):
            read()


@pytest.mark.parametrize("step", [0, 7, 40, 130])
def test_keras_own_schedules_are_read_and_resumed(step, tmp_path):
    cosine = THEIRS.CosineDecay(0.0, 100, 0.1, warmup_target=0.5, warmup_steps=20)
    for theirs in (cosine, THEIRS.CosineDecayRestarts(0.1, 15)):
        trained = model(keras.optimizers.SGD(theirs))
        trained.optimizer.iterations.assign(step)
        trained.save(tmp_path / "run.keras")
        record = to_record(trained)
        assert record == read_record(tmp_path / "run.keras")
        assert record.step == step
        resumed = from_record(record, keras.optimizers.SGD)
        assert numbers(resumed.learning_rate) == pytest.approx(numbers(theirs(step)), rel=2e-6)
