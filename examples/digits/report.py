"""The demo's report: the tables, the tutorial's figures, the pictures and the verdict."""

import sys
from pathlib import Path

import numpy as np

import pictures
import relay
import tutorial
from comparison import LOSS_TOLERANCE, faults, loss_spread, table, ulps_apart
from leg import trained
from problem import EPOCHS_UP, digits


def report(records: Path, names: list[str], out: Path) -> int:
    """Compare the results in `records`; return the exit status."""
    problem = digits()
    trainings = {name: trained(records / name) for name in names}
    schedule = problem.schedule
    print(
        f"\nDigits: {len(problem.images):,} to train on, {len(problem.held_out_images):,} held "
        f"out. The rate cycles between {schedule.base_lr} and {schedule.max_lr} ({schedule.mode}),"
        f"\n{EPOCHS_UP} epochs up and {EPOCHS_UP} down, of {problem.steps_per_epoch} steps each.\n"
    )
    print(table(problem, trainings))
    print(
        f"\nThe loss curves differ by at most {loss_spread(trainings).max():.1e} "
        f"({LOSS_TOLERANCE:.0e} is allowed)."
    )

    ours = tutorial.curve()
    with np.load(records / "tutorial.npz") as stored:
        theirs = tutorial.Curve(rates=stored["rates"], seconds=float(stored["seconds"]))
    apart = ulps_apart(ours.rates.astype(np.float32), theirs.rates.astype(np.float32))
    print(
        f"\nA longer curve, {tutorial.EPOCHS} epochs of {tutorial.STEPS_PER_EPOCH:,} steps: "
        f"{ours.seconds:.2f} s as one array, {theirs.seconds:.1f} s by stepping torch's own\n"
        f"class. As float32 numbers, {np.count_nonzero(apart):,} of its {tutorial.STEPS:,} rates "
        "differ between the two."
    )

    handed = relay.load(problem, records)
    print(
        "\nOne run handed over in the middle of its cycles, and one that stayed in torch. "
        "'differing' counts rates and\nmomenta that differ from the schedule's in any bit; 'loss' "
        "is the mean over the last epoch of each leg.\n"
    )
    print(relay.table(handed))

    pictures.rates(problem, trainings, out / "rates.png")
    pictures.losses(problem, trainings, out / "losses.png")
    pictures.tutorial_curve(ours, theirs, out / "tutorial.png")
    pictures.relay(handed, out / "relay.png")
    print(f"\nPictures: {out}/rates.png, losses.png, tutorial.png, relay.png")
    found = faults(problem, trainings) + relay.faults(handed)
    if not found:
        print("\nThe same rates in every bit, and the same training.")
        return 0
    for fault in found:
        print(f"demo: {fault}", file=sys.stderr)
    return 1
