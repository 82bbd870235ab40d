"""`read_rates`: the files that loggers write, and what is wrong with a file, by its line."""

import gzip
import importlib
import json
import re
import subprocess
import sys
import tracemalloc

import pytest

from clr_core import CyclicSchedule, read_rates, verify
from clr_core.verification import _table
from clr_core.verification.log import Resolution

SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)


@pytest.fixture(scope="session")
def needs(request):
    """Skips where a package is missing, but where all of them are meant to be there."""

    def there(name):
        if request.config.option.with_numpy:
            return importlib.util.find_spec(name) is not None or pytest.fail(f"{name} is missing")
        return pytest.importorskip(name)

    return there


def run(code, *arguments):
    """A process of its own: torch and TensorFlow don't go together in one."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def write(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_digits_of_the_file_count(tmp_path):
    # As a number, 1.000e-03 has one digit; as it stands there, four.
    steps, lrs, resolution = read_rates(write(tmp_path, "step,lr\n0,1.000e-03\n40,1.000e-03\n"))
    assert (steps, lrs) == ([0, 40], [0.001, 0.001])
    assert (resolution.digits, resolution.decimals) == (4, 6)
    (row,) = (json.loads(line) for line in ['{"step": 0, "lr": 1.500e-3}'])
    assert row["lr"] == 0.0015
    text = '{"step": 0, "lr": 1.500e-3}\n{"step": 1, "lr": 2}\n'
    assert read_rates(write(tmp_path, text, "log.jsonl")).resolution.digits == 4


def test_lines_without_a_rate_are_left_out(tmp_path):
    text = "epoch,step,lr,val_loss\n0,0,0.001,\n0,5,,0.5\n1,10.0,0.0035,\n"
    assert read_rates(write(tmp_path, text))[:2] == ([0, 10], [0.001, 0.0035])
    text = '{"step": 0, "lr": 0.001}\n\n{"eval_loss": 1}\n{"step": 10, "lr": null}\n'
    assert read_rates(write(tmp_path, text, "log.jsonl"))[:2] == ([0], [0.001])


def test_a_column_may_be_named(tmp_path):
    path = write(tmp_path, "batch,lr/head,lr/body\n0,0.1,0.2\n1,0.3,0.4\n")
    assert read_rates(path, lr="lr/body", step="batch").lrs == [0.2, 0.4]


TABLES = {
    "windows": "step,lr\r\n0,0.001\r\n5,0.002\r\n",
    "a byte order mark": "\ufeffstep,lr\n0,0.001\n5,0.002\n",
    "padded names": "  step,   lr ,loss\n0, 0.001,1\n5, 0.002,1\n",
    "a list of one": "step,lr\n0,[0.001]\n5,[0.002]\n",
    "tensors": "step,lr\n0,tensor(0.001)\n5,\"tensor(0.002, device='cuda:0')\"\n",
    "numpy": "step,lr\n0,np.float64(0.001)\n5,np.float64(0.002)\n",
    "equal groups": "epoch,global_step,lr/pg0,lr/pg1\n0,0,0.001,0.001\n0,5,0.002,0.002\n",
    "lightning": "lr-Adam/pg1,lr-Adam/pg1-momentum,step\n0.001,0.9,0\n,,3\n0.002,0.9,5\n",
    "a name in front": "num_updates,train/learning_rate,val/lr_loss\n0,0.001,1\n5,0.002,1\n",
    "a group behind": "step,train/learning_rate/encoder\n0,0.001\n5,0.002\n",
    "words": "Iter;Current LR\n0;0.001\n5;0.002\n",
    "camels": "globalStep\tlearningRate\n0\t0.001\n5\t0.002\n",
    "tensorboard's csv": "Wall time,Step,train/lr\n1.5e9,0,0.001\n1.5e9,5,0.002\n",
    "wandb's csv": "Step,run-1 - lr\n0,0.001\n5,0.002\n",
    "blanks": "# step  lr   loss\n0  0.001 1\n5  0.002 1\n",
    "pandas's commas": ",step,lr\n0,0,0.001\n1,5,0.002\n",
    "pandas's tabs": "\tstep\tlr\n0\t0\t0.001\n1\t5\t0.002\n",
    "a second header": "step,lr\n0,0.001\nloss,lr,step\n1,0.002,5\n",
    "quotes after blanks": 'step, lr\n0, 0.001\n"5", "0.002"\n',
    "thousands": 'step,lr\n0,0.001\n"5",0.002\n',
    "a decimal comma": "step;lr\n0;0,001\n5;0,002\n",
    "nested json": '[{"trainer": {"step": 0}, "optimizer": {"lr": [0.001]}},'
    ' {"trainer": {"step": 5}, "optimizer": {"lr": [0.002]}}]',
    "json within json": '{"config": {"lr": 0.1}, "log": [{"iter": 0, "lr": 0.001},'
    ' {"iter": 5, "lr": 0.002}]}',
    "columns within json": '{"args": {"step": 9}, "history": {"lr": [0.001, 0.002],'
    ' "step": [0, 5]}}',
    "as many objects as there may be": "\n".join(
        '{"x": ' * 20 + f'{{"step": {step}, "lr": {lr}}}' + "}" * 20
        for step, lr in ((0, 0.001), (5, 0.002))
    ),
    "tensorboard's json": "[[1.5e9, 0, 0.001], [1.5e9, 5, 0.002]]",
    "a line separator": '{"step": 0, "lr": 0.001, "note": "a\u2028b"}\n{"step": 5, "lr": 0.002}\n',
    "empty lists": '{"step": 0, "lr": 0.001, "tags": []}\n{"step": 5, "lr": 0.002, "tags": []}\n',
    "an environment first": '{"env": "x"}\n{"step": 0, "lr": 0.001}\n{"step": 5, "lr": 0.002}\n',
    "print": "begin\nstep 0 lr 0.001 loss 3.5\nstep 5 lr 0.002 loss 2.5\n",
    "detectron2": "[11/30 10:00:00 d2]: eta: 0:00:01  iter: 0  total_loss: 1.2  lr: 0.001  M: 1G\n"
    "[11/30 10:00:01 d2]: eta: 0:00:01  iter: 5  total_loss: 1.2  lr: 0.002  M: 1G\n",
    "fairseq": "INFO | loss=2.1, num_updates=0, lr=0.001\nINFO | loss=2, num_updates=5, lr=0.002\n",
    "a dict": "{'loss': '0.8', 'learning_rate': '0.001', 'step': 0}\n"
    "{'loss': '0.7', 'learning_rate': '0.002', 'step': 5}\n",
    "wandb": '{"_step": 3, "train/lr": 0.001, "global_step": 0}\n'
    '{"_step": 6, "train/lr": 0.002, "global_step": 5}\n',
    "a clock and a total": "starting\n[12:00:01] iter: 0/900000  loss 0.51 (0.5)  lr: 0.001\n"
    "[12:00:02] iter: 5/900000  loss 0.49 (0.5)  lr: 0.002\n",
    "mlflow": "1700000000000 0.001 0\n1700000000009 0.002 5\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_tables_as_tools_write_them(tmp_path, text):
    path = write(tmp_path, text)
    assert read_rates(path)[:2] == ([0, 5], [0.001, 0.002])
    # PowerShell writes UTF-16, with a byte order mark.
    path.write_text(text, encoding="utf-16")
    assert read_rates(path)[:2] == ([0, 5], [0.001, 0.002])


def test_thousands_in_a_step(tmp_path):
    path = write(tmp_path, 'step,lr\n"1,200",0.001\n"1,000,000",0.002\n')
    assert read_rates(path).steps == [1200, 1_000_000]
    path = write(tmp_path, "step 1,200 lr 0.001\nstep 1,000,000 lr 0.002\n")
    assert read_rates(path).steps == [1200, 1_000_000]


def test_epochs(tmp_path):
    path = write(tmp_path, "epoch,lr\n0,0.1\n1,0.2\n")
    assert read_rates(path, per_epoch=True)[:2] == ([0, 1], [0.1, 0.2])
    path = write(tmp_path, '{"lr": [0.1, 0.2], "loss": [1, 2]}', "history.json")
    assert read_rates(path, per_epoch=True)[:2] == ([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="or number the rows from 0 with `step='#'`"):
        read_rates(path)
    assert read_rates(path, step="#").steps == [0, 1]
    path.write_text('{"lr": [0.1, 0.2, 0.3], "step": [0, 5]}')
    with pytest.raises(ValueError, match=r"entry 3: 'step' must be an integer\. Received: step"):
        read_rates(path)


def test_names_as_they_stand_in_a_message(tmp_path):
    # The one that is quoted is the one that can be given.
    path = write(tmp_path, "  my   batch,  the   rate\n0,0.1\n1,0.2\n")
    with pytest.raises(ValueError, match="It has: 'my batch', 'the rate'"):
        read_rates(path)
    assert read_rates(path, step="my batch", lr="the rate").lrs == [0.1, 0.2]
    assert read_rates(path, step="  my   batch", lr="the   rate").lrs == [0.1, 0.2]


MISTAKES = {
    "steps that start over": (
        "epoch,step,lr\n0,0,0.1\n0,1,0.2\n1,0,0.3\n",
        ":4: 'step' must count the updates since the start of training. Received: it starts over",
    ),
    "a key twice": (
        '{"step": 1, "lr": 0.1, "lr": 0.2}\n',
        ":1: not JSON: a key is duplicated. Received: key='lr'",
    ),
    "5,000 digits": (
        '{"step": 1' + "0" * 5000 + ', "lr": 0.1}\n',
        "'step' must be an integer. Received: step='1000",
    ),
    "a name too long for CSV": (
        "step,lr," + "x" * 200_000 + "\n0,1\n",
        "must have a column with the rates. It has: ",
    ),
    "a long name": (
        "step," + "x" * 100_000 + "\n0,1\n",
        "It has: 'step', '" + "x" * 99 + "… (100002",
    ),
    "many names": (
        ",".join(f"c{i}" for i in range(60_000)) + "\n",
        "'c19' and 59980 more. Name the one with",
    ),
    "a long text": ("step,lr\n0," + "x" * 100_000 + "\n", "'lr' must be a number. Received: lr="),
    "an escape": ("step,\x1b[2J\n0,1\n", "It has: 'step', '\\x1b[2J'"),
    "several groups": (
        '[{"step": 0, "lr": [0.1, 0.2]}]',
        "has several columns that could be meant: 'lr/0', 'lr/1'. Name the one with `lr=`.",
    ),
    "one line of several groups": (
        '{"step": 4, "lr": [0.1, 0.2]}',
        "has several columns that could be meant: 'lr/0', 'lr/1'. Name the one with `lr=`.",
    ),
    "tqdm": (
        " 45%|####5     | 450/1000 [00:10<00:12, 43.2it/s, lr=0.0012]\n",
        "must have a column with the steps. It has: 'lr'. Name the one with `step=`, or number the "
        "rows from 0 with `step='#'`.",
    ),
    "tqdm of an epoch": (
        "Epoch 0:  12%|##   | 0/300 [00:01<00:10, lr=1.00e-03, loss=0.3]\n",
        "must have a column with the steps. It has: 'Epoch', 'lr', 'loss'. Name the one with ",
    ),
    "tqdm without a rate": (
        "Epoch 0:  12%|##   | 0/300 [00:01<00:10, step=4, loss=0.3]\n",
        "must have a column with the rates. It has: 'Epoch', 'step', 'loss'. Name the one with ",
    ),
    "markup": ("<html><body>404</body></html>\n", "must have a column with the rates. It has: "),
    "no step": (
        "epoch,lr\n0,0.1\n",
        "must have a column with the steps. It has: 'epoch', 'lr'. Name the one with `step=`; or, "
        "if 'epoch' numbers the epochs, of which each has a line, use `per_epoch=True` here and "
        "`steps_per_epoch=` in `verify`.",
    ),
    "no rate between blanks": ("step  loss\n0  0.1\n", "the rates. It has: 'step', 'loss'. Name"),
    "no rate": (
        "step,loss\n0,0.1\n",
        "must have a column with the rates. It has: 'step', 'loss'. Name the one with `lr=`.",
    ),
    "two groups": (
        "step,lr-SGD/pg1,lr-SGD/pg2\n0,0.1,0.2\n",
        "has several columns that could be meant: 'lr-SGD/pg1', 'lr-SGD/pg2'. "
        "Name the one with `lr=`.",
    ),
    "two counts": (
        "Step,global_step,lr\n0,1,0.1\n",
        "has several columns that could be meant: 'Step', 'global_step'. "
        "Name the one with `step=`.",
    ),
    "a column twice": (
        "step,lr,lr\n0,0.1,0.2\n",
        "must not have duplicated columns. Received: 'lr' ",
    ),
    "no header": ("0,0.1\n1,0.2\n", "must have a column with the rates. It has: '0', '0.1'. "),
    "only a header": ("step,lr\n", "must contain at least one rate; its column 'lr' is empty"),
    "no rates in it": ("step,lr\n0,\n", "must contain at least one rate; its column 'lr' is empty"),
    "a word": ("step,lr\n0,0.1\n1,fast\n", ":3: 'lr' must be a number. Received: lr='fast'"),
    "half a step": ("step,lr\n0.5,0.1\n", ":2: 'step' must be an integer. Received: step='0.5'"),
    "half a step in text": ("go\nstep 0.5 lr 0.1\n", ":2: 'step' must be an integer. Received: "),
    "a gap": ("step,lr\n,0.1\n", ":2: 'step' must be an integer. Received: step=None"),
    "a gap at the end": ("step,lr\n0,0.1\n,0.1\n", ":3: 'step' must be an integer. Received: step"),
    "an open quote": ('step,lr\n0,"0.1\n1,0.2\n', "not CSV: "),
    "nothing": ("", "must contain at least one line; it is empty"),
    "a cut line": ('{"step": 0, "lr": 0.1}\n{"step": 1, "l', ":2: not JSON: "),
    "no JSON in any line": ('{"step": 0,\n"lr": x}\n', ":1: not JSON: "),
    "no object": ('{"step": 0, "lr": 0.1}\n[1, 2]\n', ":2: must be an object with a step"),
    "a list of numbers": ("[1, 2]", "entry 1: must be an object with a step and a rate"),
    "a list in it": ('[{"step": 0, "lr": [[1, 2]]}]', "entry 1: 'lr' must be a number. "),
    "a rate in too many objects": (
        '{"x": ' * 21 + '{"step": 0, "lr": 0.1}' + "}" * 21 + "\n{}\n",
        "must have a column with the rates. It has: ",
    ),
    "a pair": ("[[1.5e9, 0]]", "entry 1: must be an object with a step and a rate"),
    "three lists": ("[[[0], [1], [2]]]", "entry 1: must be an object with a step and a rate"),
    "a pair below": (
        "[[1.5e9, 0, 0.1], [1.5e9, 5]]",
        "entry 2: must be a list of a wall time, a step and a rate",
    ),
    "text below": ('[[1.5e9, 0, 0.1], "a50"]', "entry 2: must be a list of a wall time, a step"),
    "truth": ('[{"step": true, "lr": 1}]', "entry 1: 'step' must be an integer. "),
    "deep": ("[" * 100_000, ":1: not JSON: "),
}


@pytest.mark.parametrize(("text", "complaint"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_wrong_is_said(tmp_path, text, complaint):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match="^" + re.escape(str(path))) as caught:
        read_rates(path)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"has no column 'rate'\. It has: 'step', 'lr'"):
        read_rates(write(tmp_path, "step,lr\n0,0.1\n"), lr="rate")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_rates(tmp_path / "none.csv")
    binary = tmp_path / "run.csv"
    binary.write_bytes(b"\x80\x04\x95cos\nsystem\n")
    with pytest.raises(ValueError, match=r"must be text: .* in UTF-8\.$"):
        read_rates(binary)
    binary.write_bytes(gzip.compress(b"step,lr\n0,0.1\n"))
    with pytest.raises(ValueError, match=r"must be text: .* in UTF-8\. Unpack it first\.$"):
        read_rates(binary)
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(2**40)  # A terabyte with nothing in it: it would be felt if it were read.
    with pytest.raises(ValueError, match="must have at most 256 MiB"):
        read_rates(huge)
    with pytest.raises(ValueError, match="must contain an event file of TensorBoard; it has none"):
        read_rates(tmp_path)


TORCH_WRITER = """
import sys, torch
from torch.utils.tensorboard import SummaryWriter
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.001, 0.006, 20, cycle_momentum=False)
with SummaryWriter(sys.argv[1]) as writer:
    for step in range(100):
        for _ in range(int(sys.argv[2])):
            optimizer.step(); scheduler.step()
        writer.add_scalar("train/lr", scheduler.get_last_lr()[0], step + 1)
        writer.add_scalar("loss", 0.5, step)
"""


@pytest.mark.frameworks
@pytest.mark.parametrize(("times", "fault"), [(1, None), (3, "speed")])
def test_event_files_of_torch(needs, tmp_path, times, fault):
    needs("torch")
    needs("tensorboard")
    run(TORCH_WRITER, tmp_path, times)
    rates = read_rates(tmp_path)
    assert rates.steps == list(range(1, 101))
    assert str(rates.resolution) == "float32"
    verdict = verify(SCHEDULE, *rates)
    if fault is None:
        assert verdict.status == "followed"
    else:
        assert (verdict.fault.name, verdict.fault.k) == (fault, 3)
    # Nothing else that is installed was imported for it.
    assert "tensorflow" not in sys.modules


TENSORFLOW_WRITER = """
import sys
import tracemalloc
import tensorflow as tf
with tf.summary.create_file_writer(sys.argv[1]).as_default():
    for step in range(60):
        tf.summary.scalar("learning_rate", 0.001 + 0.00025 * min(step % 40, 40 - step % 40), step)
        tf.summary.text("note", "no number", step)
"""


@pytest.mark.frameworks
def test_event_files_of_tensorflow(needs, tmp_path):
    needs("tensorflow")
    needs("tensorboard")
    run(TENSORFLOW_WRITER, tmp_path)
    assert verify(SCHEDULE, *read_rates(tmp_path)).status == "followed"
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    # Of a run that was killed as it wrote; and one whose disk went bad.
    file.write_bytes(whole[:-7])
    assert len(read_rates(file).steps) in (59, 60)
    file.write_bytes(whole[:2000] + b"\x00\x01" + whole[2002:])
    with pytest.raises(ValueError, match=r"event .*crc32"):
        read_rates(file)
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=r"has no column 'lr'\. It has: 'learning_rate'"):
        read_rates(file, lr="lr")


@pytest.mark.parametrize(
    ("text", "digits", "decimals", "half"),
    [
        ("0.00123", 3, 5, 5e-6),
        ("1.20e-03", 3, 5, 5e-6),
        ("-1.20E-03", 3, 5, 5e-6),
        ("12", 2, 0, 0.5),
        ("0.0010", 2, 4, 5e-5),
        ("1e-05", 1, 5, 5e-6),
    ],
)
def test_the_digits_of_a_number(text, digits, decimals, half):
    resolution = Resolution.of_texts([text])
    assert (resolution.digits, resolution.decimals) == (digits, decimals)
    # Half a unit of the last digit, and float32's own rounding, which is far less.
    assert resolution.half_unit(float(text)) == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize(
    ("rate", "half"),
    [
        (0.0, 2.0**-150),
        (2.0**-149, 2.0**-150),
        (2.0**-125, 2.0**-149),
        (-1.0, 2.0**-24),
        (1.5, 2.0**-24),
    ],
)
def test_half_the_distance_to_the_next_float32(rate, half):
    assert Resolution.of_rates([rate]).half_unit(rate) == half


@pytest.mark.parametrize(
    "text", ["1e-" + "9" * 400, "1e-" + "9" * 5000, "0e400", "0." + "0" * 500 + "1"]
)
def test_numbers_that_are_0_as_floats(text):
    resolution = Resolution.of_texts([text])
    assert resolution.half_unit(float(text)) > 0.0
    assert verify(SCHEDULE, [0, 1, 2], [0.0] * 3, resolution).status != "followed"


def test_a_resolution_stays_as_it_is():
    one, other = (Resolution.of_texts(["0.10"]) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one == Resolution(digits=2, decimals=2, float32=False, padded=True)
    assert one != Resolution(digits=2, decimals=2, float32=False)
    with pytest.raises(AttributeError):
        one.digits = 9


@pytest.mark.parametrize("texts", [["0"], ["nan"], []], ids=str)
def test_a_log_without_a_digit_has_one(texts):
    resolution = Resolution.of_texts(texts)
    assert (resolution.digits, str(resolution)) == (1, "1 digit")


def test_numbers_have_no_digits():
    # Only a text shows how its number was rounded.
    assert str(Resolution.of_rates([0.001, 0.25])) == "float64"
    assert str(Resolution.of_rates([0.5, 0.25, float("nan")])) == "float32"
    assert Resolution.of_rates([0.5]).half_unit(0.5) == 2.0**-25
    assert Resolution.of_rates([0.1]).half_unit(0.1) == pytest.approx(2.0**-56)


@pytest.mark.parametrize(
    ("texts", "padded"), [(["0.1", "100", "1e-3"], False), (["0.1", "0.10"], True)]
)
def test_zeros_at_the_end_show_that_a_log_was_rounded(texts, padded):
    assert Resolution.of_texts(texts).padded == padded


@pytest.mark.parametrize("kind", ["csv", "json lines", "text", "columns", "wide"])
def test_the_work_of_reading_is_linear(tmp_path, monkeypatch, kind):
    """Names are looked at once, and only what may be a step or a rate is kept."""
    asked = 0
    known = _table.kind_of

    def counted(name):
        nonlocal asked
        asked += 1
        return known(name)

    monkeypatch.setattr(_table, "kind_of", counted)
    steps = range(2000)
    if kind == "csv":
        text = "step,lr\n" + "".join(f"{step},0.001\n" for step in steps)
    elif kind == "json lines":
        text = "".join(f'{{"step": {step}, "lr": 0.001, "loss": 1}}\n' for step in steps)
    elif kind == "text":
        text = "go\n" + "".join(f"step {step} lr 0.001 {'-' * 200}\n" for step in steps)
    else:
        empty = {f"c{i}": [] for i in range(20_000 if kind == "wide" else 2)}
        text = json.dumps({"step": list(steps), "lr": [0.001] * 2000, **empty})
    path = write(tmp_path, text)
    tracemalloc.start()
    try:
        rates = read_rates(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rates.steps == list(steps)
    assert asked <= 20_010
    assert peak < 2**20 + 40 * len(text)
