"""`clr convert`: from a framework's checkpoint to a record, and from a record to a checkpoint."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from io import BytesIO
from typing import Any

from clr_cli.output import as_json, complain, errors_in, replaced, say_text, target
from clr_cli.parser import count, framework
from clr_cli.record_arguments import (
    STDIN,
    add_flags,
    add_key,
    flag,
    flags,
    one_record,
    read_record,
    schedule_of,
)
from clr_core.adapter import suffix, write
from clr_core.record import PARSERS, Record

TORCH_FILES = (".pt", ".pth", ".bin")
RECORD_FILES = (".json",)
GIVE = "give it by --schedule FILE, or by flags such as --base-lr and --max-lr"
FLAGS = {
    "pass `schedule`": GIVE,
    "leave out `schedule`": "leave out --schedule and its flags",
    "`step`": "--step",
    "`key`": "--key",
    "`count`": "--key",
    "`schedule`": "--schedule",
    "pass key=": "pass --key=",
    "such as scale_fn=": "such as --scale-fn=",
}
MOMENTS_FLAGS = {"`key`": "--moments-key", "`count`": "--step"}
WEIGHTS_FLAGS = {"`key`": "--weights-key"}
MANY_GROUPS = 20
WRITTEN = {"record": RECORD_FILES, "torch": TORCH_FILES, "torch-cyclic": TORCH_FILES}


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr convert`."""
    parser.description = """\
Read a schedule and its step from a checkpoint or a record, and write them as a record (JSON) or as
the state of a torch scheduler. The name of SOURCE says what it is:

  .json .yaml .yml .toml   a record; - for JSON from standard input
  .pt .pth .bin .ckpt      torch: the state of a scheduler of clr_torch, of torch's CyclicLR, or of
                           another one of torch's that is made of phases, at any depth
  .keras .h5               Keras 3 or 2: a model with a schedule of clr_keras or TensorFlow Addons,
                           or Keras's own cosine
  .weights.h5              Keras: only the count; give the schedule by --schedule or by flags
  a folder, .msgpack       JAX: an orbax or flax checkpoint; only the count, likewise

--moments and --weights write what else a run needs to continue: the optimizer's memory of past
gradients, for clr_core.Moments.read, and the weights, for numpy.load. What torch's optimizer was
made with, such as its weight decay, is printed to standard error, or is part of --json.

Nothing in a checkpoint is ever executed. Keras and optax keep only a count with the optimizer:
`clr export` prints the code that sets it."""
    parser.epilog = """\
examples:
  clr convert checkpoint.pt --out run.json
  clr convert run.json --to torch --out scheduler.pt
  clr convert run.json --to torch-cyclic --out scheduler.pt
  clr convert checkpoint.pt | clr show -
  clr convert checkpoint.pt --out run.json --moments moments.npz --weights weights.npz
"""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a checkpoint or a record")
    parser.add_argument(
        "--from", dest="kind", choices=READERS, help="what SOURCE is, regardless of its name"
    )
    parser.add_argument(
        "--to",
        type=framework,
        choices=WRITTEN,
        default="record",
        help="torch: a state dict for clr_torch's CyclicLR; torch-cyclic: one for torch's "
        "CyclicLR; default: record",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write a file; needed for torch; default: standard output"
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="which scheduler or count, if SOURCE has several; the place of a record in SOURCE",
    )
    for flag_of_it, what in (
        ("--moments", "the optimizer's moments"),
        ("--weights", "the weights"),
    ):
        parser.add_argument(flag_of_it, metavar="FILE", help=f"write {what} to an .npz file")
        parser.add_argument(
            f"{flag_of_it}-key", metavar="KEY", help=f"where {what} are, if SOURCE has several"
        )
    parser.add_argument(
        "--groups",
        type=count(1, 10_000),
        metavar="N",
        help="parameter groups of the torch optimizer; default: as many as in the record",
    )
    parser.add_argument(
        "--schedule", metavar="FILE", help="a record with the schedule, for a SOURCE without one"
    )
    add_key(parser, "--schedule-key", "the FILE of --schedule")
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the record, and the name of the file"
    )
    add_flags(
        parser,
        "a schedule in place of SOURCE, or for a SOURCE without one; or --scale-fn alone, for a "
        "checkpoint whose decay is a Python function",
    )


def run(options: Namespace) -> int:
    """Read the source, and print or write the record."""
    name = _target(options)
    kind = options.kind or _kind(options.source)
    if kind != "record" and options.source in (None, STDIN):
        raise ValueError(f"SOURCE must be a file with --from {kind}")
    _check_arrays(options, kind)
    record: Record | None = None
    notes: list[str] = []
    try:
        record = READERS[kind](options)
    except (TypeError, ValueError) as error:
        said = replaced(str(error), FLAGS)
        # Someone else's checkpoint has no schedule, but moments and weights.
        wants_record = options.out or options.key or options.schedule or flags(options)
        if wants_record or not (options.moments or options.weights):
            raise ValueError(said) from None
        notes.append(f"no record: {said}")
    # Everything is read before anything is written.
    moments, weights, document = _arrays(options, kind)
    if name is not None and record is not None:
        write(name, _written(record, options.to, options.groups))
    if moments is not None:
        moments.write(options.moments)
    if weights is not None:
        from clr_core.moments import write_arrays

        write_arrays(options.weights, weights)
    if options.json:
        found = None if record is None else record.to_dict()
        say_text(as_json({"record": found, "to": options.to, "out": name} | document))
        return 0
    if name is None and record is not None:
        say_text(record.to_json())
    for line in (*notes, *_lines(document)):
        complain("clr convert", line)
    return 0


def _check_arrays(options: Namespace, kind: str) -> None:
    """Raise a ValueError if what is asked for of moments and weights makes no sense."""
    for each in ("moments", "weights"):
        path, key = getattr(options, each), getattr(options, f"{each}_key")
        if path is not None and kind == "record":
            raise ValueError(f"--{each} must be left out if SOURCE is a record")
        if path is None and key is not None:
            raise ValueError(f"--{each}-key must be left out without --{each}")
        if path is not None and suffix(path) != ".npz":
            raise ValueError(f"--{each} must end in .npz. Received: --{each} {path}")
    # It is the count of an SGD of torch, which doesn't count its updates, and the step of a
    # file of Keras without its optimizer's state, hence without moments.
    allowed = {"record": True, "torch": options.moments is not None}
    may_have_step = allowed.get(kind, kind == "keras" and options.moments is None)
    if options.step is not None and not may_have_step:
        raise ValueError(f"{options.source!r} has its own step. Received: --step {options.step}")
    if options.moments is not None and options.moments == options.weights:
        raise ValueError(f"--moments and --weights must differ. Received: {options.moments}")


def _arrays(options: Namespace, kind: str) -> tuple[Any, Any, dict[str, Any]]:
    """The moments, the weights, and what is said of them; None: not asked for."""
    moments = weights = None
    said: dict[str, Any] = {}
    if options.moments is not None:
        adapter, source, key = _adapter(kind), options.source, options.moments_key
        # A `--step` is for torch here: `_check_arrays` has refused it for the others.
        count = {} if options.step is None else {"count": options.step}
        with errors_in(MOMENTS_FLAGS):
            moments = adapter.read_moments(source, key=key, **count)
            if hasattr(adapter, "read_hyperparameters"):
                said["optimizer"] = adapter.read_hyperparameters(source, key=key)
        said["moments"] = {
            "out": options.moments,
            "kind": moments.kind,
            "count": moments.count,
            "parameters": len(next(iter(moments.slots.values()))),
        }
    if options.weights is not None:
        with errors_in(WEIGHTS_FLAGS):
            weights = _adapter(kind).read_weights(options.source, key=options.weights_key)
        said["weights"] = {"out": options.weights, "arrays": len(weights)}
    return moments, weights, said


def _adapter(kind: str) -> Any:
    # TensorFlow would fill standard error with remarks about the machine.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return import_module(f"clr_{kind}")


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What is said of moments and weights, for people."""
    if "moments" in document:
        said = document["moments"]
        yield (
            f"moments of the kind {said['kind']!r} after {said['count']} updates, of "
            f"{said['parameters']} parameters"
        )
    groups = document.get("optimizer", ())
    for index, group in enumerate(groups[:MANY_GROUPS]):
        # Of each further group, what differs from the first.
        told = {
            name: value
            for name, value in group.items()
            if not index or value != groups[0].get(name)
        }
        name = f"group {index} of {len(groups)}" if len(groups) > 1 else "optimizer"
        values = ", ".join(f"{each}={value!r}" for each, value in told.items())
        yield f"{name}: {values or 'as group 0'}"
    if len(groups) > MANY_GROUPS:
        yield f"and {len(groups) - MANY_GROUPS} groups more: see --json"
    decays = [group for group in groups if "betas" in group and group.get("weight_decay")]
    if any("decoupled_weight_decay" not in group for group in decays):
        yield "the file doesn't say if the weight decay is Adam's or AdamW's"
    if "weights" in document:
        yield f"{document['weights']['arrays']} arrays of weights"


def _target(options: Namespace) -> str | None:
    if options.groups is not None and options.to == "record":
        raise ValueError("--groups must be left out with --to record")
    if options.out is None:
        if options.to != "record":
            raise ValueError(f"--out must be given with --to {options.to}, which isn't text")
        return None
    try:
        return target("--out", options.out, WRITTEN[options.to])
    except ValueError as error:
        others = ", ".join(each for each in WRITTEN if each != options.to)
        raise ValueError(f"{error} with --to {options.to}. The other forms are {others}") from None


def _kind(source: str | None) -> str:
    """The kind of a source, by its name."""
    if source is None or source == STDIN:
        return "record"
    if os.path.isdir(source):
        if os.path.isfile(os.path.join(source, ".metadata")):
            raise ValueError(
                f"{source!r} is a checkpoint of torch.distributed. Make one file of it: python -m "
                f"torch.distributed.checkpoint.format_utils dcp_to_torch {source} run.pt"
            )
        return "jax"
    kind = KINDS.get(suffix(source))
    if kind is None:
        raise ValueError(
            f"SOURCE must end in {', '.join(KINDS)}, or be a folder; otherwise give --from. "
            f"Received: {source!r}"
        )
    return kind


def _of_record(options: Namespace) -> Record:
    if options.schedule is not None:
        raise ValueError("--schedule must be left out if SOURCE is a record")
    return one_record(options.source, flags(options), options.step, options.key)


def _of_torch(options: Namespace) -> Record:
    schedule, scale_fn = _given(options)
    if schedule is not None:
        raise ValueError(f"{options.source!r} has its own schedule: leave out --schedule and flags")
    import clr_torch

    return clr_torch.read_record(options.source, key=options.key, scale_fn=scale_fn)


def _of_keras(options: Namespace) -> Record:
    if options.key is not None:
        raise ValueError("--key must be left out if SOURCE is from Keras")
    read: Callable[..., Record] = _adapter("keras").read_record
    return read(options.source, *_given(options), step=options.step)


def _of_jax(options: Namespace) -> Record:
    schedule, _ = _given(options)
    if schedule is None:
        raise ValueError(f"An optax state holds no schedule: {GIVE}")
    import clr_jax

    return clr_jax.read_record(options.source, schedule, count=options.key)


def _given(options: Namespace) -> tuple[Any, str | None]:
    """The schedules given for a source without one; or only the `scale_fn` that it lacks."""
    given = flags(options)
    if options.schedule is None:
        if options.schedule_key is not None:
            raise ValueError("--schedule-key must be left out without --schedule")
        if list(given) == ["scale_fn"]:
            return None, str(given["scale_fn"])
        return (schedule_of(given) if given else None), None
    if given:
        raise ValueError(
            "The schedule must be given once. "
            f"Received: --schedule and {', '.join(map(flag, given))}"
        )
    return read_record(options.schedule, options.schedule_key).schedule, None


def _written(record: Record, to: str, groups: int | None) -> bytes:
    if to == "record":
        return record.to_json().encode()
    import torch

    import clr_torch

    state = clr_torch.to_state_dict(
        record, groups=groups, of="clr_torch" if to == "torch" else "torch"
    )
    data = BytesIO()
    torch.save(state, data)
    return data.getvalue()


READERS: dict[str, Callable[[Namespace], Record]] = {
    "record": _of_record,
    "torch": _of_torch,
    "keras": _of_keras,
    "jax": _of_jax,
}
KINDS = {
    **dict.fromkeys(PARSERS, "record"),
    **dict.fromkeys((*TORCH_FILES, ".ckpt"), "torch"),
    **dict.fromkeys((".keras", ".h5"), "keras"),
    ".msgpack": "jax",
}
