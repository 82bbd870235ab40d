"""The readers that are fed with broken input, and files of the real packages to begin with.

A target takes bytes. It may raise a ValueError, a TypeError or an OSError with a message of one
bounded line; anything else is a finding, as is a result that can't be written and read again.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clr_core import CyclicSchedule, RangeTestResult
from clr_core.record import Record

FOLDER = Path(tempfile.mkdtemp(prefix="clr-fuzz-"))
SCHEDULE = CyclicSchedule(base_lr=0.001, max_lr=0.006, base_momentum=0.8, max_momentum=0.9)
RECORDS = (
    Record(SCHEDULE, step=1500),
    Record([SCHEDULE, CyclicSchedule(base_lr=0, max_lr=1, mode="exp_range", gamma=0.99)], step=3),
    Record(CyclicSchedule(base_lr=1e-5, max_lr=0.1, scale_fn="1 / 5 ** (x * 1e-4)")),
)
Seeds = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        read: Reads bytes as the content of a file.
        seeds: Contents that the real packages wrote, and that can be read.
    """

    read: Callable[[bytes], object]
    seeds: Seeds


def _file(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


# Records, expressions and the results of range tests.


def _read_record(suffix: str, content: bytes) -> None:
    record = Record.read(_file(f"run{suffix}", content))
    assert Record.from_json(record.to_json()) == record
    for schedule in record.schedule if isinstance(record.schedule, tuple) else [record.schedule]:
        for step in (0, 1, 2**53):
            schedule.lr(step), schedule.momentum(step)


def _read_part(content: bytes) -> None:
    key, _, text = content.partition(b"\n")
    Record.read(_file("config.yaml", text), key=key.decode(errors="replace"))


def _json_records() -> Iterable[bytes]:
    return [record.to_json().encode() for record in RECORDS]


def _yaml_records() -> Iterable[bytes]:
    import yaml

    yield from (yaml.safe_dump(record.to_dict()).encode() for record in RECORDS)
    yield b"a: &a {base_lr: 1e-3}\nb: {<<: *a, max_lr: .5}\nc: [*a, !x y]\n"


def _parts() -> Iterable[bytes]:
    return (b"schedule.0\n" + seed for seed in _yaml_records())


def _toml_records() -> Iterable[bytes]:
    yield b'format = "cyclical-lr/1"\nstep = 7\nschedule = {base_lr = 1e-3, max_lr = 0.006}\n'
    yield b"[[schedule]]\nbase_lr = 0\nmax_lr = inf\n[a.'b'.\"c\"]\nd = '''x\n'''\ne = 2020-01-01\n"


def _read_expression(content: bytes) -> None:
    text = content.decode("utf-8", errors="surrogateescape")
    schedule = CyclicSchedule(base_lr=0, max_lr=1, scale_fn=text)
    assert CyclicSchedule.from_json(schedule.to_json()) == schedule
    assert CyclicSchedule(base_lr=0, max_lr=1, scale_fn=schedule.scale_fn) == schedule
    for step in (0, 1, 2**53):
        schedule.lr(step)


def _expressions() -> Iterable[bytes]:
    yield from (b"1 / 5 ** (x * 1e-4)", b"0.5 * (1 + sin(x * pi / 2))", b"-min(x, 1_0) - -e**-x")


def _read_result(content: bytes) -> None:
    from clr_cli.range_test import _lines
    from clr_core.adapter import from_json

    result = RangeTestResult.from_dict(from_json(content.decode()))
    assert RangeTestResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    again = RangeTestResult.from_curve(result.lrs, result.losses, result.scores)
    RangeTestResult.of([again, result])
    for each in (result, again):
        _lines(each), each._repr_html_(), repr(each)


def _results() -> Iterable[bytes]:
    lrs = [10.0 ** (-6 + i / 2) for i in range(14)]
    losses = [2.3 - 0.2 * min(max(i - 4, 0), 6) + 0.9 * max(i - 10, 0) for i in range(14)]
    for scores in (None, [-loss for loss in losses]):
        result = RangeTestResult.from_curve(lrs, losses, scores, stop_reason="The loss diverged.")
        yield json.dumps(result.to_dict()).encode()


# The command.


def _run_command(content: bytes) -> None:
    from clr_cli.main import main

    arguments = content.decode("utf-8", errors="replace").split("\n")
    if arguments[0] not in ("show", "export", "compare", "suggest", "convert", "range-test"):
        raise ValueError("not one of the commands that are tried")
    if "--out" in content.decode(errors="replace"):
        raise ValueError("it would write a file")
    out, err = io.StringIO(), io.StringIO()
    here = os.getcwd()
    os.chdir(FOLDER)
    Path("run.json").write_text(RECORDS[0].to_json())
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.stdin = io.TextIOWrapper(io.BytesIO(b""))
            code = main(arguments)
    finally:
        os.chdir(here)
    assert code in (0, 1, 2)
    assert (out.getvalue() + err.getvalue()).replace("\n", "").replace("\t", "").isprintable()
    assert "An error in clr itself" not in err.getvalue(), err.getvalue()
    assert len(err.getvalue()) < 10_000


def _commands() -> Iterable[bytes]:
    flags = "--base-lr\n1e-3\n--max-lr\n.006\n--scale-fn\n1/x\n--step-size-up\n2.5\n--step\n7"
    yield f"show\n{flags}\n--cycles\n3".encode()
    yield f"show\n{flags}\n--at\n0,2000\n--json".encode()
    yield b"show\nrun.json\n--range\n0:4000:100\n--key\na.0"
    yield b"show\nrun.json\n--epochs\n24\n--steps-per-epoch\n500"
    yield f"export\n{flags}\n--to\ncsv\n--steps\n9".encode()
    yield b"export\nrun.json\n--to\ntorch"
    yield b"compare\nrun.json\nrun.json\n--steps\n9"
    yield b"suggest\n--samples\n900\n--batch-size\n9\n--epochs\n24\n--max-lr\n.1\n--drop-last"


# Logs of runs, and sources to migrate.


def _read_log(name: str, content: bytes) -> None:
    from clr_core.verification import verify
    from clr_core.verification.log import read_rates

    verdict = verify(SCHEDULE, *read_rates(_file(name, content)))
    json.dumps(verdict.to_dict())


def _csv_logs() -> Iterable[bytes]:
    for step, lr in (("step", "lr"), ("global_step", "lr-SGD")):
        rows = [f"{step_},{SCHEDULE.lr(step_)!r}" for step_ in range(0, 4000, 50)]
        yield "\n".join([f"{step},{lr}", *rows, ""]).encode()


def _json_logs() -> Iterable[bytes]:
    rows = [{"step": step, "lr": SCHEDULE.lr(step)} for step in range(0, 4000, 50)]
    yield json.dumps(rows).encode()
    yield "\n".join(map(json.dumps, rows)).encode()
    log = [{"step": 9, "epoch": 0.1, "learning_rate": 0.001, "loss": 2.3}, {"step": 9, "eval": 1}]
    yield json.dumps({"global_step": 9, "log_history": log}).encode()


def _event_files() -> Iterable[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    data = io.BytesIO()
    data.close = lambda: None
    writer = RecordWriter(data)
    writer.write(Event(file_version="brain.Event:2").SerializeToString())
    for step in range(0, 4000, 200):
        value = Summary.Value(tag="train/lr", simple_value=SCHEDULE.lr(step))
        event = Event(step=step, wall_time=1.0 + step, summary=Summary(value=[value]))
        writer.write(event.SerializeToString())
    yield data.getvalue()


def _migrate(content: bytes) -> None:
    from clr_cli.migrate import Document, as_json, as_text

    for framework in (None, "torch", "keras", "jax"):
        document = Document("train.py", framework, content)
        as_text(document.findings), as_json(document.findings)
        list(document.diff())


def _sources() -> Iterable[bytes]:
    from migrate_cases import all_cases

    yield from (source.encode() for source, _ in all_cases().values())
    yield b"from torch.optim.lr_scheduler import CyclicLR\ns = CyclicLR(o, 0.1, max_lr=0.5)\n"
    yield b"import tensorflow_addons as tfa\nf = lambda x: 1 / 2.0 ** x\n" + (
        b"s = tfa.optimizers.CyclicalLearningRate(1e-4, 1e-2, step_size=200, scale_fn=f)\n"
    )


# Checkpoints. A damaged archive is soon refused: what lies in one is damaged as well.


def _within(member: str, name: str, seeds: Seeds, read: Callable[[Path], object]) -> Target:
    """The reader of an archive, fed with the content of one of its members."""
    templates = list(seeds())

    def rewritten(content: bytes) -> object:
        data = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(templates[0])) as old,
            zipfile.ZipFile(data, "w") as new,
        ):
            for each in old.infolist():
                inner = each.filename.endswith(member)
                new.writestr(each.filename, content if inner else old.read(each))
        return read(_file(name, data.getvalue()))

    def members() -> Iterable[bytes]:
        for template in templates:
            with zipfile.ZipFile(io.BytesIO(template)) as archive:
                yield from (archive.read(i) for i in archive.namelist() if i.endswith(member))

    return Target(rewritten, members)


def _every_reader(adapter: str, *arguments: object) -> Callable[[Path], None]:
    """The functions of an adapter that read a checkpoint, called in turn."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    module = importlib.import_module(adapter)
    names = [name for name in ("read_moments", "read_weights") if hasattr(module, name)]
    readers = [lambda path: module.read_record(path, *arguments)]
    readers += [getattr(module, name) for name in names]

    def read(path: Path) -> None:
        refused: Exception | None = None
        for reader in readers:
            try:
                reader(path)
            except (OSError, TypeError, ValueError) as error:
                refused = error
        if refused is not None:
            raise refused

    return read


def _torch_files() -> Iterable[bytes]:
    import argparse

    import torch

    import clr_torch

    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    ours = clr_torch.CyclicLR(optimizer, 0.001, 0.006, step_size_up=7)
    theirs = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.001, 0.006, step_size_up=7)
    for _ in range(3):
        weight.sum().backward()
        optimizer.step()
        theirs.step()
    states = {"model": {"w": weight.detach()}, "optimizer": optimizer.state_dict()}
    for content in (
        {"lr_scheduler": ours.state_dict(), **states},
        {"scheduler": theirs.state_dict(), "epoch": 3, "args": argparse.Namespace(lr=0.1)},
        ours.state_dict(),
    ):
        data = io.BytesIO()
        torch.save(content, data)
        yield data.getvalue()


def _keras_files(suffix: str) -> Iterable[bytes]:
    import keras

    import clr_keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(clr_keras.CyclicLR(SCHEDULE)), "mse")
    model.fit(keras.ops.ones((2, 2)), keras.ops.ones((2, 1)), verbose=0)
    path = FOLDER / f"model{suffix}"
    save = model.save_weights if suffix == ".weights.h5" else model.save
    save(path)
    yield path.read_bytes()


def _msgpack_files() -> Iterable[bytes]:
    import flax.serialization
    import jax.numpy as jnp
    import optax

    import clr_jax

    optimizer = clr_jax.cyclic_optimizer(optax.sgd, SCHEDULE)
    state = optimizer.init({"w": jnp.ones(2)})
    yield flax.serialization.to_bytes({"optimizer": state, "step": 3})
    yield flax.serialization.to_bytes(optax.adam(0.1).init({"w": jnp.ones(2)}))


def _archive(adapter: str, name: str, seeds: Seeds, *arguments: object) -> Target:
    read = _every_reader(adapter, *arguments)
    return Target(lambda content: read(_file(name, content)), seeds)


def _member(adapter: str, name: str, seeds: Seeds, member: str) -> Target:
    return _within(member, name, seeds, _every_reader(adapter))


_keras_archives = partial(_keras_files, ".keras")
_keras_weights = partial(_keras_files, ".weights.h5")
TARGETS: dict[str, Callable[[], Target]] = {
    "record-json": partial(Target, partial(_read_record, ".json"), _json_records),
    "record-yaml": partial(Target, partial(_read_record, ".yaml"), _yaml_records),
    "record-toml": partial(Target, partial(_read_record, ".toml"), _toml_records),
    "part-of-yaml": partial(Target, _read_part, _parts),
    "expression": partial(Target, _read_expression, _expressions),
    "range-test": partial(Target, _read_result, _results),
    "command": partial(Target, _run_command, _commands),
    "log-csv": partial(Target, partial(_read_log, "log.csv"), _csv_logs),
    "log-json": partial(Target, partial(_read_log, "log.json"), _json_logs),
    "log-events": partial(Target, partial(_read_log, "x.tfevents.1"), _event_files),
    "migrate": partial(Target, _migrate, _sources),
    "torch-archive": partial(_archive, "clr_torch", "c.pt", _torch_files),
    "torch-pickle": partial(_member, "clr_torch", "c.pt", _torch_files, "data.pkl"),
    "keras-archive": partial(_archive, "clr_keras", "m.keras", _keras_archives),
    "keras-config": partial(_member, "clr_keras", "m.keras", _keras_archives, "config.json"),
    "keras-weights": partial(_member, "clr_keras", "m.keras", _keras_archives, "weights.h5"),
    "h5": partial(_archive, "clr_keras", "m.weights.h5", _keras_weights, SCHEDULE),
    "msgpack": partial(_archive, "clr_jax", "s.msgpack", _msgpack_files, SCHEDULE),
}
"""Each target by its name; one with a framework imports it once it is called."""
