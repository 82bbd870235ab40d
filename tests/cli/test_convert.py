"""`clr convert`: real frameworks' checkpoints, read and written; the run resumes from them."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from clr_cli.convert import KINDS
from clr_core import CyclicSchedule
from clr_core.record import Record

from .conftest import GROUPS, RECORD, said

PLAIN = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)


def assert_refused(done, reasons):
    """These commands failed, each with one line that begins with its reason."""
    for name, reason in reasons.items():
        assert (done[name].code, done[name].out) == (2, ""), name
        assert said(done[name].err).startswith(reason), done[name].err


def assert_printed(done, records):
    """These commands printed these records, and nothing else."""
    for name, record in records.items():
        assert (done[name].code, done[name].err) == (0, ""), name
        assert Record.from_json(done[name].out) == record, name


MAKE_TORCH = """
import torch
from clr_core import CyclicSchedule
from clr_torch import CyclicLR

def trained(scheduler_of, groups=1, **options):
    layers = [torch.nn.Linear(2, 2) for _ in range(groups)]
    optimizer = torch.optim.SGD([{"params": each.parameters()} for each in layers], **options)
    scheduler = scheduler_of(optimizer)
    for _ in range(23):
        optimizer.step()
        scheduler.step()
    return scheduler

plain = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)
ours = trained(lambda optimizer: CyclicLR.from_schedule(optimizer, plain))
torch.save({"epoch": 3, "scheduler": ours.state_dict()}, "ours.pt")
theirs = torch.optim.lr_scheduler.CyclicLR
theirs = trained(lambda o: theirs(o, 0.001, 0.006, 20, cycle_momentum=False))
torch.save(theirs.state_dict(), "theirs.pt")
torch.save({"a": ours.state_dict(), "b": theirs.state_dict()}, "both.ckpt")
called = trained(lambda o: CyclicLR(o, 0.001, 0.006, 20, scale_fn=lambda x: 1 / x,
                                    cycle_momentum=False))
torch.save(called.state_dict(), "called.pt")

import os
from pathlib import Path

class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was-run",)

torch.save({"scheduler": Hostile()}, "hostile.pt")
whole = Path("ours.pt").read_bytes()
Path("cut.pt").write_bytes(whole[: len(whole) // 2])

torch.manual_seed(0)
layers = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)
model = torch.nn.Sequential(*layers)
groups = [{"params": layers[0].parameters()}, {"params": layers[1].parameters(), "weight_decay": 0}]

def stepped(optimizer, scheduler_of=lambda optimizer: None):
    scheduler = scheduler_of(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return optimizer, scheduler

adam, scheduler = stepped(
    torch.optim.AdamW(groups, weight_decay=0.1),
    lambda optimizer: CyclicLR.from_schedule(optimizer, plain),
)
states = {"model": model.state_dict(), "adam": adam.state_dict()}
torch.save(states | {"options": Hostile(), "scheduler": scheduler.state_dict()}, "run.ckpt")
sgd, _ = stepped(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True))
torch.save(states | {"sgd": sgd.state_dict(), "ema": model.state_dict()}, "theirs.ckpt")

import clr_torch
import numpy
clr_torch.to_moments(adam).write("expected-adam.npz")
clr_torch.to_moments(sgd, count=3).write("expected-sgd.npz")
numpy.savez("expected-weights.npz", **{k: v.numpy() for k, v in model.state_dict().items()})
"""
HOSTILE = ("hostile", "cut", "missing")
ARRAYS = "--moments moments.npz --weights weights.npz"
CHOSEN = "--moments sgd.npz --moments-key sgd --weights ema.npz --weights-key ema"
TORCH_COMMANDS = {
    "ours": "convert ours.pt",
    "theirs": "convert theirs.pt --out theirs.json",
    "piped": "convert ours.pt --json",
    "both": "convert both.ckpt",
    "key": "convert both.ckpt --key b",
    "no expression": "convert called.pt",
    "expression": "convert called.pt --scale-fn '1 / x'",
    "flags": "convert ours.pt --max-lr 1 --base-lr 0",
    "step": "convert ours.pt --step 1",
    "to torch": "convert run.json --to torch --out run.pt",
    "to groups": "convert groups.json --to torch --out groups.pt",
    "to torch's own": "convert ours.pt --to torch-cyclic --out own.pt",
    "as many groups": "convert ours.pt --to torch --groups 2 --out two.pt",
    "to and fro": "convert run.pt",
    "groups, to and fro": "convert groups.pt",
    "own, to and fro": "convert own.pt",
    **{name: f"convert {name}.pt --out there.json" for name in HOSTILE},
    "all of it": f"convert run.ckpt {ARRAYS} --out all.json",
    "all of it as JSON": f"convert run.ckpt {ARRAYS} --json",
    "which of two": f"convert theirs.ckpt {ARRAYS}",
    "no schedule": f"convert theirs.ckpt {CHOSEN} --step 3",
    "no count": f"convert theirs.ckpt {CHOSEN}",
    "no record to write": f"convert theirs.ckpt {CHOSEN} --step 3 --out none.json",
    "no such place": "convert theirs.ckpt --weights w.npz --weights-key a",
}
WRITTEN = """
import json, torch
from clr_core.record import Record
from clr_torch import to_state_dict

given, groups, theirs = map(Record.read, ("run.json", "groups.json", "theirs.json"))
print(json.dumps([torch.load(name, weights_only=True) == state for name, state in {
    "run.pt": to_state_dict(given),
    "groups.pt": to_state_dict(groups),
    "two.pt": to_state_dict(theirs, groups=2),
    "own.pt": to_state_dict(theirs, of="torch"),
}.items()]))
"""


def test_torch(folder, in_one_process):
    """Reads checkpoints of our class and of torch's, and writes the states of both."""
    (folder / "there.json").write_text("what was there")
    done, (same,) = in_one_process(TORCH_COMMANDS, MAKE_TORCH, WRITTEN)
    assert same == [True] * 4
    expected = Record(PLAIN, step=23)
    records = {
        "ours": expected,
        "key": expected,
        "expression": Record(replace(PLAIN, scale_fn="1 / x"), step=23),
        "to and fro": RECORD,
        "groups, to and fro": GROUPS,
        "own, to and fro": expected,
    }
    assert_printed(done, records)
    assert (done["theirs"].code, done["theirs"].out) == (0, "")
    assert Record.read("theirs.json") == expected
    assert json.loads(done["piped"].out) == {
        "record": expected.to_dict(),
        "to": "record",
        "out": None,
    }
    reasons = {
        "both": "'both.ckpt' must hold the state of a scheduler: There must be one state, or a --k",
        "no expression": "'called.pt' must hold the state of a scheduler: A `scale_fn` that is a",
        "flags": "'ours.pt' has its own schedule: leave out --schedule and flags",
        "step": "'ours.pt' has its own step. Received: --step 1",
        "which of two": "'theirs.ckpt' must hold moments: There must be one optimizer, or a "
        "--moments-key to choose. Received: 'adam', 'sgd'",
        "no count": "'theirs.ckpt' must hold moments: --step, the number of updates done, must be ",
        "no record to write": "'theirs.ckpt' must hold the state of a scheduler: There must be a s",
        "no such place": "'theirs.ckpt' must hold weights: --weights-key must be one of 'model', ",
    }
    assert_refused(done, reasons)
    assert_refused(done, {name: f"'{name}.pt'" for name in HOSTILE})
    assert (folder / "there.json").read_text() == "what was there"
    assert not (folder / "was-run").exists()
    check_arrays(folder, done)


def check_arrays(folder, done):
    said = [
        "moments of the kind 'adam' after 3 updates, of 4 parameters",
        "group 0 of 2: lr=0.0017499999999999998, betas=[0.9, 0.999], eps=1e-08, weight_decay=0.1, "
        "amsgrad=False, maximize=False, decoupled_weight_decay=True, parameters=2",
        "group 1 of 2: weight_decay=0",
        "4 arrays of weights",
    ]
    assert (done["all of it"].code, done["all of it"].out) == (0, "")
    assert done["all of it"].err.splitlines() == [f"clr convert: {line}" for line in said]
    assert Record.read("all.json") == Record(PLAIN, step=3)
    document = json.loads(done["all of it as JSON"].out)
    assert done["all of it as JSON"].err == ""
    assert document["record"] == Record(PLAIN, step=3).to_dict()
    assert document["weights"] == {"out": "weights.npz", "arrays": 4}
    assert document["moments"] == {
        "out": "moments.npz",
        "kind": "adam",
        "count": 3,
        "parameters": 4,
    }
    assert [each["weight_decay"] for each in document["optimizer"]] == [0.1, 0]
    assert (done["no schedule"].code, done["no schedule"].out) == (0, "")
    assert "no record: 'theirs.ckpt' must hold the state of a sche" in done["no schedule"].err
    assert (
        "optimizer: lr=0.1, momentum=0.9, dampening=0, weight_decay=0, nesterov=True, maximi"
        in (done["no schedule"].err)
    )
    for name, expected in (("moments", "adam"), ("sgd", "sgd"), ("ema", "weights")):
        mine, theirs = ZipFile(f"{name}.npz"), ZipFile(f"expected-{expected}.npz")
        assert mine.namelist() == theirs.namelist()
        for each in mine.namelist():
            assert mine.read(each) == theirs.read(each), (name, each)
    assert not {"none.json", "w.npz"} & {each.name for each in folder.iterdir()}


MAKE_KERAS = """
import keras
import clr_keras
from clr_core import CyclicSchedule

plain = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(clr_keras.CyclicLR(plain)), loss="mse")
model.optimizer.build(model.trainable_variables)
for _ in range(23):
    model.optimizer.apply([keras.ops.zeros(each.shape) for each in model.trainable_variables])
model.save("model.keras")
model.save("model.h5")
model.save_weights("model.weights.h5")
model.compile("sgd")
model.save("number.h5")
"""
OLD_KERAS = Path(__file__).parents[1] / "integration/keras/old_files/legacy-sgd-triangular.keras"
KERAS_COMMANDS = {
    "model": "convert model.keras",
    "old form": "convert model.h5",
    "weights": "convert model.weights.h5 --schedule plain.json",
    "by flags": "convert model.weights.h5 --base-lr 0.001 --max-lr 0.006 --step-size-up 20",
    "no schedule": "convert model.weights.h5",
    "a number": "convert number.h5",
    "a number and a schedule": "convert number.h5 --schedule plain.json",
    "no step": f"convert {shlex.quote(str(OLD_KERAS))}",
    "a step": f"convert {shlex.quote(str(OLD_KERAS))} --step 23",
    "its own step": "convert model.h5 --step 23",
    "twice": "convert model.weights.h5 --schedule plain.json --max-lr 1",
    "its own": "convert model.keras --schedule plain.json",
    "key": "convert model.keras --key a",
    "foreign": "convert run.json --from keras",
    "hostile": "convert zeros.keras",
}


def test_keras(folder, in_one_process):
    Record(PLAIN).write("plain.json")
    (folder / "zeros.keras").write_bytes(b"\0" * 10_000)
    done, _ = in_one_process(KERAS_COMMANDS, MAKE_KERAS, KERAS_BACKEND="jax")
    read = ("model", "old form", "weights", "by flags")
    assert_printed(done, dict.fromkeys(read, Record(PLAIN, step=23)))
    addons = Record(replace(PLAIN, step_size_up=3, step_size_down=3), step=23)
    assert_printed(done, {"a number and a schedule": Record(PLAIN), "a step": addons})
    reasons = {
        "no schedule": "'model.weights.h5' must be a run with a schedule: it has weights and no "
        "schedule: give it by --schedule FILE, or by flags such as --base-lr and --max-lr",
        "a number": "'number.h5' must be a run with a schedule: it has another rate than a "
        "ScheduledLR: 0.00999999977648",
        "no step": f"'{OLD_KERAS}' must be a run with a schedule: Keras 2 saved it without the",
        "its own step": "'model.h5' must be a run with a schedule: it has its own step, 23: leave "
        "out --step. Received: step=23",
        "twice": "The schedule must be given once. Received: --schedule and --max-lr",
        "its own": "'model.keras' must be a run with a schedule: it has a schedule in it",
        "key": "--key must be left out if SOURCE is from Keras",
        "foreign": "'run.json' must be a ",
        "hostile": "'zeros.keras' must be a ",
    }
    assert_refused(done, reasons)


MAKE_JAX = """
import flax.serialization
import jax.numpy as jnp
import optax
import orbax.checkpoint
from pathlib import Path
from clr_core import CyclicSchedule
from clr_jax import cyclic_lr

plain = CyclicSchedule(base_lr=0.001, max_lr=0.006, step_size_up=20)
params = {"weights": jnp.ones(3)}
optimizer = optax.adam(cyclic_lr(plain))
state = optimizer.init(params)
for _ in range(23):
    _, state = optimizer.update(params, state)
saved = {"params": params, "opt_state": state, "other": optimizer.init(params)}
with orbax.checkpoint.StandardCheckpointer() as checkpointer:
    checkpointer.save(Path("saved").absolute(), {"params": params, "opt_state": state})
Path("state.msgpack").write_bytes(flax.serialization.to_bytes({"opt_state": state}))
Path("two.msgpack").write_bytes(flax.serialization.to_bytes(saved))
Path("cut.msgpack").write_bytes(Path("two.msgpack").read_bytes()[:-5])
"""
SIZES = "--base-lr 0.001 --max-lr 0.006 --step-size-up 20"
JAX_COMMANDS = {
    "folder": "convert saved --schedule plain.json",
    "file": f"convert state.msgpack {SIZES}",
    "two": f"convert two.msgpack {SIZES}",
    "key": f"convert two.msgpack {SIZES} --key opt_state.1.count",
    "cut": f"convert cut.msgpack {SIZES}",
    "foreign": f"convert models {SIZES}",
    "step": f"convert saved {SIZES} --step 3",
    "groups": "convert saved --schedule groups.json",
}


def test_jax(folder, in_one_process):
    Record(PLAIN).write("plain.json")
    done, _ = in_one_process(JAX_COMMANDS, MAKE_JAX)
    assert_printed(done, dict.fromkeys(("folder", "file", "key"), Record(PLAIN, step=23)))
    reasons = {
        "two": "'two.msgpack' must hold an optax state: `opt_state` must be at one step, or --key ",
        "cut": "'cut.msgpack' must hold an optax state: it isn't a complete msgpack file",
        "foreign": "'models' must hold an optax state: it contains no pytree of orbax",
        "step": "'saved' has its own step. Received: --step 3",
        "groups": "'saved' must hold an optax state: --schedule must be one schedule, or one for ",
    }
    assert_refused(done, reasons)


REFUSED = {
    "run.json --key a": "'run.json' must be a record at 'a': there is nothing",
    "models --schedule-key a": "--schedule-key must be left out without --sche",
    "run.json --schedule a": "--schedule must be left out if SOURCE is a record",
    "run.json --groups 2": "--groups must be left out with --to record",
    "run.json --to torch": "--out must be given with --to torch, which isn't text",
    "run.json --out run.pt": (
        "--out must end in .json. Received: --out 'run.pt' with --to record. The other forms "
        "are torch, torch-cyclic"
    ),
    "run.json --to torch --out run.json": (
        "--out must end in .pt, .pth or .bin. Received: --out 'run.json' with --to torch. "
    ),
    "run.h5p": "SOURCE must end in .json, .yaml, .yml, .toml, .pt, .pth, .bin, .ckpt, .ker",
    "--from torch": "SOURCE must be a file with --from torch",
    "- --from jax": "SOURCE must be a file with --from jax",
    "models": "An optax state holds no schedule: give it by --schedule FILE, or by flags su",
    "run.json --moments m.npz": "--moments must be left out if SOURCE is a record",
    "x.pt --weights w.pt": "--weights must end in .npz. Received: --weights w.pt",
    "x.pt --moments-key a": "--moments-key must be left out without --moments",
    "x.pt --moments a.npz --weights a.npz": "--moments and --weights must differ. Received: a.npz",
    "x.keras --moments a.npz --step 3": "'x.keras' has its own step. Received: --step 3",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(folder, refused, arguments):
    before = sorted(folder.iterdir())
    assert refused("convert", *shlex.split(arguments)).startswith(REFUSED[arguments])
    assert sorted(folder.iterdir()) == before


def test_a_folder_of_torch_is_told_from_jaxs(folder, refused):
    (folder / "run").mkdir()
    (folder / "run" / ".metadata").write_bytes(b"")
    assert refused("convert", "run") == (
        "'run' is a checkpoint of torch.distributed. Make one file of it: python -m "
        "torch.distributed.checkpoint.format_utils dcp_to_torch run run.pt"
    )


def test_the_help_and_the_page_say_the_same_of_what_is_read(clr):
    said = clr("convert", "--help").out
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    (table,) = (each for each in page.split("\n\n") if each.startswith("| source |"))
    for suffix in (*KINDS, ".weights.h5"):
        assert f"{suffix} " in said
        assert f"`{suffix}`" in table
    for whose in ("clr_torch", "torch's", "phases", "clr_keras", "Addons", "Keras's own cosine"):
        assert whose in said
        assert whose in table.replace("`", "")
