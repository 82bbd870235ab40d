"""`clr suggest`: plan a schedule that fits a training, from its sizes and a range test."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clr_cli.output import as_json, errors_in, say_text, target
from clr_cli.parser import count, framework, number
from clr_cli.record_arguments import PARAMETERS, add_parameters, flag, flags, read_result
from clr_cli.snippets import WRITERS
from clr_core.adapter import LARGEST_STEP, write
from clr_core.planning import GIVEN_BY_EPOCHS, KINDS, suggest_schedule
from clr_core.record import Record

SIZES = {
    "samples": (None, "samples in the data set"),
    "batch_size": (None, "samples in a batch of one process"),
    "epochs": (None, "epochs of the whole training"),
    "accumulation_steps": (1, "batches whose gradients make one update; default: 1"),
    "processes": (1, "processes that share the samples; default: 1"),
}
OTHERS = ("drop_last", "epochs_per_half_cycle", "kind")
FLAGS = {
    f"`{name}`": flag(name)
    for name in (*SIZES, *OTHERS, "result", *(each.name for each in PARAMETERS))
}


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `clr suggest`."""
    parser.description = (
        "Plan a schedule that ends with the training, from the training's sizes, and warn of\n"
        "unusual numbers and common mistakes."
    )
    parser.epilog = """\
examples:
  clr suggest --samples 50000 --batch-size 100 --epochs 24 --max-lr 0.006
  clr suggest --samples 50000 --batch-size 100 --epochs 24 --result range.json --to torch
  clr suggest --samples 50000 --batch-size 100 --epochs 24 --max-lr 0.006 --out suggested.json
  clr suggest --samples 50000 --batch-size 100 --epochs 24 --max-lr 0.1 --kind one_cycle
"""
    for name, (default, text) in SIZES.items():
        parser.add_argument(
            flag(name),
            type=count(1, LARGEST_STEP),
            metavar="N",
            required=default is None,
            default=default,
            help=text,
        )
    parser.add_argument(
        "--result", metavar="FILE", help="result of a range test (.json), in place of --max-lr"
    )
    parser.add_argument(
        "--drop-last", action="store_true", help="leave out samples beyond the last full batch"
    )
    parser.add_argument(
        "--epochs-per-half-cycle",
        type=number,
        metavar="NUMBER",
        help="epochs in the rise; default: so that the last cycle ends with the training",
    )
    parser.add_argument(
        "--kind", choices=KINDS, default=KINDS[0], help="kind of schedule; default: cyclic"
    )
    parser.add_argument(
        "--to", type=framework, choices=WRITERS, help="also print code for this framework"
    )
    parser.add_argument("--out", metavar="FILE", help="write the schedule as a record: .json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_parameters(parser, "the schedule", without=GIVEN_BY_EPOCHS)


def run(options: Namespace) -> int:
    """Suggest a schedule, and print or write it."""
    name = target("--out", options.out, (".json",))
    result = None if options.result is None else read_result(options.result)
    given = {name: getattr(options, name) for name in (*SIZES, *OTHERS)}
    with errors_in(FLAGS):
        found = suggest_schedule(**given, result=result, **flags(options))
    if name is not None:
        write(name, Record(found.schedule).to_json().encode())
    code = None
    if options.to is not None:
        code = WRITERS[options.to]([found.schedule], 0, options.accumulation_steps)
    if options.json:
        say_text(as_json({**found.to_dict(), "code": code, "out": name}))
        return 0
    say_text(str(found))
    if code is not None:
        say_text(f"\n{code}")
    return 0
