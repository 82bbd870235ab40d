"""A right run is never condemned, in whatever way its logger writes."""

import json
import random
import struct
from pathlib import Path

import pytest

import oracle
from clr_core import CyclicSchedule, read_rates, verify
from clr_core._float32 import float32
from clr_core.verification._events import _masked_crc32c
from clr_core.verification.faults import Shift
from clr_core.verification.log import Resolution

LOGS = Path(__file__).with_name("logs")
REAL = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)


@pytest.mark.parametrize(
    ("name", "per_epoch", "says"),
    [
        ("huggingface_trainer_state.json", None, "the log counts from 1"),
        ("huggingface.tfevents", None, "the log counts from 1"),
        ("accelerate.tfevents", None, "to float32."),
        ("ignite.tfevents", None, "the log counts from 1"),
        ("keras.csv", 6, "next epoch's first update, of 6 in an epoch"),
        ("keras.tfevents", 6, "next epoch's first update, of 6 in an epoch"),
        ("keras_history.json", 6, "next epoch's first update, of 6 in an epoch"),
    ],
)
def test_logs_of_real_packages(name, per_epoch, says):
    """Made by `make_logs.py`."""
    rates = read_rates(LOGS / name, per_epoch=per_epoch is not None)
    verdict = verify(REAL, *rates, steps_per_epoch=per_epoch)
    assert verdict.status == "followed"
    assert says in verdict.sentence


@pytest.mark.parametrize("name", ["keras.csv", "keras.tfevents"])
def test_a_log_of_epochs_says_what_it_needs(name):
    with pytest.raises(ValueError, match=r"numbers the epochs, .* `per_epoch=True`"):
        read_rates(LOGS / name)


def event(step, tag, rate):
    """An event as TensorBoard's writers of a `simple_value` write it."""
    tag = tag.encode()
    value = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", rate)
    summary = b"\x0a" + bytes([len(value)]) + value
    data = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + varint(step)
    return record(data + b"\x2a" + bytes([len(summary)]) + summary)


def varint(number):
    number %= 2**64
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def record(data):
    length = struct.pack("<Q", len(data))
    checksums = (struct.pack("<I", _masked_crc32c(each)) for each in (length, data))
    return length + next(checksums) + data + next(checksums)


def ultralytics(rows):
    text = "  epoch,   train/loss,  lr/pg0,  lr/pg1\n"
    return text + "".join(f"  {n},  0.5, {rate}, {rate}\n" for n, rate, _ in rows), "results.csv"


def tfevents(rows):
    return b"".join(event(n, "train/lr", float(rate)) for n, rate, _ in rows), "events.tfevents.1"


# Of each way to give the numbers; `test_log.py` has the formats.
FORMATS = {
    "csv": lambda rows: ("step,lr\n" + "".join(f"{n},{r}\n" for n, r, _ in rows), "log.csv"),
    "ultralytics": ultralytics,
    "tensorboard": tfevents,
    "trainer_state": lambda rows: (
        json.dumps(
            {"log_history": [{"step": n, "learning_rate": float(r)} for n, r, _ in rows]}, indent=1
        ),
        "trainer_state.json",
    ),
}


def shortest(rate):
    """A float32 as NumPy prints it: with the fewest digits that stand for it."""
    exact = oracle.to_float32(rate)
    texts = (f"{exact:.{digits}g}" for digits in range(1, 10))
    return next(text for text in texts if float32(float(text)) == exact)


ROUNDINGS = {
    "float32": lambda rate: repr(oracle.to_float32(rate)),
    "shortest of float32": shortest,
    "float64": lambda rate: repr(float(rate)),
    "4 digits": lambda rate: f"{float(rate):.3e}",
    "6 decimals": lambda rate: f"{float(rate):.6f}",
    "shortest of 6 decimals": lambda rate: repr(round(float(rate), 6)),
}


def right_run(rng, name, tmp_path):
    """The verdict on a right run in this format."""
    base = rng.choice((1e-4, 0.001, 0.0015))
    mode = rng.choice(("triangular", "triangular2", "exp_range"))
    schedule = CyclicSchedule(
        base_lr=base,
        max_lr=base * rng.choice((4, 10)),
        step_size_up=rng.randrange(60, 900),
        step_size_down=rng.choice((None, rng.randrange(60, 900))),
        mode=mode,
        gamma=0.9998 if mode == "exp_range" else 1.0,
    )
    document = schedule.to_dict()
    round_as = ROUNDINGS["float32" if name == "tensorboard" else rng.choice(list(ROUNDINGS))]
    epoch = rng.choice((None, 17, 50)) if name != "ultralytics" else rng.choice((17, 50))
    every, first = rng.choice((1, 10, 50)), rng.choice((0, 1))
    if epoch is None:
        numbers = (
            list(range(first, first + 60 * every, every))
            if every == 1
            else [every * i for i in range(first, 60)]
        )
        counts = [number - first for number in numbers]
    else:
        inside = rng.choice((0, epoch - 1, epoch))
        numbers = list(range(first, first + 60))
        counts = [(number - first) * epoch + inside for number in numbers]
    at = rng.randrange(20, 50)
    how = rng.choice(("whole", "resumed", "missing"))
    rows = [
        (number, round_as(oracle.lr(document, count)), i)
        for i, (number, count) in enumerate(zip(numbers, counts, strict=True))
    ]
    if how == "resumed":
        rows = rows[:at] + rows[at - 10 :]
    if how == "missing":
        rows = [row for row in rows if row[2] == 0 or rng.random() < 0.8]
    text, file = FORMATS[name](rows)
    path = tmp_path / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    per_epoch = epoch is not None
    rates = read_rates(path, per_epoch=per_epoch)
    assert rates.steps == [row[0] for row in rows]
    verdict = verify(schedule, *rates, steps_per_epoch=epoch)
    said = verify(schedule, *rates, steps_per_epoch=epoch, first_step=first)
    return verdict, said, how


@pytest.mark.parametrize("name", FORMATS)
def test_no_right_run_is_condemned(name, tmp_path):
    rng = random.Random(name)
    undecided = 0
    for _ in range(20):
        verdict, said, how = right_run(rng, name, tmp_path)
        assert verdict.status in ("followed", "undecided"), verdict.sentence
        assert said.status == "followed", said.sentence
        if verdict.status == "undecided":
            undecided += 1
            assert how == "missing"
            assert "`first_step=`" in verdict.sentence
    assert undecided <= 6


SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=200)


def rates(count, steps, schedule=SCHEDULE):
    return [schedule.lr(max(count(step), 0)) for step in steps]


def test_a_log_that_counts_from_1():
    steps = range(1, 500)
    verdict = verify(SCHEDULE, steps, rates(lambda step: step - 1, steps))
    assert (verdict.status, verdict.numbering) == ("followed", (1, -1))
    # Some log the very first update too.
    steps = [1, *range(10, 500, 10)]
    assert verify(SCHEDULE, steps, rates(lambda step: step - 1, steps)).status == "followed"
    # With a gap at the start, nobody can tell; with a step 0, the log can't count from 1.
    steps = [step for step in range(7, 500) if step % 5]
    verdict = verify(SCHEDULE, steps, rates(lambda step: step - 1, steps))
    assert (verdict.status, verdict.candidates) == ("undecided", (Shift(-1, (-1, -1)),))
    assert "if the log counts from 1; if it counts from 0, the run was one step" in verdict.sentence
    steps = range(500)
    verdict = verify(SCHEDULE, steps, rates(lambda step: step - 1, steps))
    assert (verdict.fault.name, verdict.fault.n) == ("shift", -1)
    assert "or the log counts from 1 (`first_step=1`)" in verdict.sentence
    said = verify(SCHEDULE, steps, rates(lambda step: step - 1, steps), first_step=1)
    assert said.status == "followed"


def test_a_log_of_the_next_rates():
    steps = range(500)
    logged = rates(lambda step: step + 1, steps)
    verdict = verify(SCHEDULE, steps, logged)
    assert "or the log gives the rate of the next update (`first_step=-1`)" in verdict.sentence
    assert verify(SCHEDULE, steps, logged, first_step=-1).status == "followed"


def test_a_fault_in_a_log_that_counts_from_1():
    steps = range(1, 500)
    verdict = verify(
        SCHEDULE, steps, rates(lambda step: step - 1 if step < 300 else step - 300, steps)
    )
    assert (verdict.fault.name, verdict.fault.step) == ("restart", 299)
    assert verdict.first_difference == 300
    assert "(the log counts from 1)" in verdict.sentence


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("where", [0, 6, 7, None])
def test_logs_of_epochs(first, where):
    epochs = range(first, first + 40)
    logged = []
    for epoch in range(40):
        inside = range(7) if where is None else [where]
        each = [SCHEDULE.lr(7 * epoch + i) for i in inside]
        logged.append(sum(each) / len(each))
    verdict = verify(SCHEDULE, epochs, logged, steps_per_epoch=7)
    assert verdict.status == "followed"
    assert ("mean of an epoch" in verdict.sentence) == (where is None)
    if where is not None:
        factor, offset = verdict.numbering
        assert factor * first + offset == where
    slow = [SCHEDULE.lr(epoch) for epoch in range(40)]
    verdict = verify(SCHEDULE, epochs, slow, steps_per_epoch=7, first_step=first)
    assert "it ran 7 times too slowly from the start" in verdict.sentence
    assert verify(SCHEDULE, range(40), slow, steps_per_epoch=1).status == "followed"


def test_a_log_of_epochs_that_are_taken_for_updates():
    verdict = verify(SCHEDULE, range(40), [SCHEDULE.lr(7 * epoch) for epoch in range(40)])
    assert (verdict.fault.name, verdict.fault.k) == ("speed", 7)
    assert "7 micro-batches whose gradients are accumulated" in verdict.sentence
    assert "(`steps_per_epoch=7`)" in verdict.sentence


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("gap", [10, 50, 53])
def test_means_between_the_lines_of_a_log(gap, offset):
    steps = [*range(9 + offset, 900, 10), *range(899 + gap + offset, 2000, 10)]
    means = [sum(SCHEDULE.lr(s - offset - i) for i in range(10)) / 10 for s in steps]
    verdict = verify(SCHEDULE, steps, means)
    assert verdict.status == "followed"
    assert "each rate is the mean of 10 updates" in verdict.sentence


@pytest.mark.parametrize(("lines", "status"), [(5, "deviated"), (6, "followed")])
def test_six_lines_of_means_are_no_chance(lines, status):
    steps = range(100, 100 * lines + 1, 100)
    means = [sum(SCHEDULE.lr(step - i) for i in range(1, 101)) / 100 for step in steps]
    assert verify(SCHEDULE, steps, means).status == status


def test_means_that_were_summed_up_in_float32():
    means = []
    for epoch in range(8):
        total = 0.0
        for step in range(500 * epoch, 500 * epoch + 500):
            total = float32(total + float32(SCHEDULE.lr(step)))
        means.append(float32(total / 500))
    verdict = verify(SCHEDULE, range(8), means, steps_per_epoch=500)
    assert (verdict.status, verdict.resolution) == ("followed", "float32")
    # An error that is as large for a part of the rate is one.
    wrong = [mean * 1.0001 for mean in means]
    assert verify(SCHEDULE, range(8), wrong, steps_per_epoch=500).status == "deviated"


@pytest.mark.parametrize(("agree", "from_1"), [(2, False), (3, True)])
def test_a_run_that_agreed_for_three_lines_tells_its_numbering(agree, from_1):
    steps = range(1, 300)
    logged = rates(lambda step: step - 1 if step <= agree else 7 * step, steps)
    verdict = verify(SCHEDULE, steps, logged)
    assert ("(the log counts from 1)" in verdict.sentence) == from_1


def test_a_mean_of_a_rise_is_a_shift_as_well():
    # So that a log of nothing else shows the shift, unless it is known to be one of epochs.
    steps = range(10, 110, 5)
    late = rates(lambda step: step - 3, steps)
    assert verify(SCHEDULE, steps, late).fault.n == -3
    late = rates(lambda epoch: 5 * epoch + 2, range(20))
    assert verify(SCHEDULE, range(20), late, steps_per_epoch=5).status == "followed"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must lie between 1 and 2"),
        ({"steps_per_epoch": 2**53}, "counted in updates. Received: 9 epochs of"),
        ({"first_step": -2}, "`first_step` must be -1 or more"),
        ({"first_step": 3}, "`first_step` must be -1 or more, and at most one more than the first"),
    ],
)
def test_bad_settings(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        verify(SCHEDULE, range(1, 10), [0.001] * 9, **settings)
    with pytest.raises(TypeError, match="must be an integer"):
        verify(SCHEDULE, range(9), [0.001] * 9, **dict.fromkeys(settings, 0.5))


@pytest.mark.parametrize(("size", "last"), [(2, 2**52 - 1), (5, 2**53 // 5 - 2)])
def test_the_last_epochs_that_can_be_counted(size, last):
    assert verify(SCHEDULE, [last], [0.5], steps_per_epoch=size).status == "deviated"
    with pytest.raises(ValueError, match=rf"in updates\. Received: {last + 1} epochs"):
        verify(SCHEDULE, [last + 1], [0.5], steps_per_epoch=size)


def test_rates_that_are_round_are_exact():
    # As text they have one digit, but agree exactly, which no rounding does by chance.
    schedule = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=500)
    texts = [f"0.00{i}" for i in (1, 2, 3, 4, 5, 6, 5, 4)]
    resolution = Resolution.of_texts(texts)
    logged = list(map(float, texts))
    verdict = verify(schedule, range(0, 800, 100), logged, resolution)
    assert (verdict.status, verdict.resolution) == ("followed", "float64")
    # So is a fault that explains them exactly.
    verdict = verify(schedule, range(0, 400, 50), logged, resolution)
    assert (verdict.fault.name, verdict.fault.k) == ("speed", 2)


def test_a_constant_rate_is_logged_as_one_number():
    # 0.0015 isn't once 0.001 and once 0.002, however a log was rounded.
    texts = ["0.001", "0.001", "0.002", "0.001", "0.002", "0.002", "0.002", "0.001", "0.001"]
    verdict = verify(SCHEDULE, range(9), list(map(float, texts)), Resolution.of_texts(texts))
    assert "constant" not in [each.name for each in (verdict.fault, *verdict.candidates) if each]
