"""`clr suggest`: what `suggest_schedule` says, by flags, with code that fits."""

import shlex

import pytest

from clr_core import CyclicSchedule, suggest_schedule
from clr_core.record import Record

from .conftest import RESULT

SIZES = ("--samples", "50000", "--batch-size", "100", "--epochs", "24")


def test_text_and_json(folder, clr, data):
    expected = suggest_schedule(samples=50_000, batch_size=100, epochs=24, max_lr=0.006)
    done = clr("suggest", *SIZES, "--max-lr", "0.006")
    assert (done.code, done.out, done.err) == (0, f"{expected}\n", "")
    found = data("suggest", *SIZES, "--max-lr", "0.006")
    assert found == {**expected.to_dict(), "code": None, "out": None}
    assert found["schedule"]["step_size_up"] == 2000


def test_every_flag_arrives(folder, data):
    found = data(
        *("suggest", *SIZES, "--max-lr", "0.01", "--base-lr", "0.001", "--accumulation-steps", "3"),
        *("--processes", "4", "--drop-last", "--epochs-per-half-cycle", "5", "--mode", "exp_range"),
        *("--gamma", "0.999", "--base-momentum", "0.8", "--max-momentum", "0.9"),
    )
    expected = suggest_schedule(
        samples=50_000,
        batch_size=100,
        epochs=24,
        max_lr=0.01,
        base_lr=0.001,
        accumulation_steps=3,
        processes=4,
        drop_last=True,
        epochs_per_half_cycle=5,
        mode="exp_range",
        gamma=0.999,
        base_momentum=0.8,
        max_momentum=0.9,
    )
    assert found == {**expected.to_dict(), "code": None, "out": None}
    assert not found["ends_at_base_lr"]


def test_from_a_range_test(folder, clr, data):
    schedule = data("suggest", *SIZES, "--result", "range.json", "--out", "mine.json")["schedule"]
    assert (schedule["base_lr"], schedule["max_lr"]) == (RESULT.base_lr, RESULT.max_lr)
    assert Record.read("mine.json").schedule == CyclicSchedule.from_dict(schedule)
    done = clr("suggest", *SIZES, "--result", "-", stdin=(folder / "range.json").read_text())
    assert done.out.startswith(f"CyclicSchedule(base_lr={RESULT.base_lr!r}, max_lr={RESULT.max_lr}")


# A quarter of the rise later, in what each framework counts.
CODE = {
    "torch": "for _ in range(21):\n"
    "    optimizer.step()\n"
    "    scheduler.step()\n"
    "assert numpy.float32(optimizer.param_groups[0]['lr']) == numpy.float32(0.04375)",
    "keras": "assert optimizer.gradient_accumulation_steps == 3\n"
    "optimizer._iterations.assign(21 * 3)  # `iterations` counts updates.\n"
    "assert float(optimizer.learning_rate) == numpy.float32(0.04375)",
    "jax": "import jax\n"
    "update, gradients = jax.jit(optimizer.update), {'weights': jnp.ones(3)}\n"
    "for batch in range(21 * 3 + 3):\n"
    "    updates, state = update(gradients, state, parameters)\n"
    "    assert (updates['weights'] != 0).all() == (batch % 3 == 2)\n"
    "assert (updates['weights'] == -numpy.float32(0.04375)).all()",
}


@pytest.mark.parametrize("framework", CODE)
def test_the_code_runs_and_counts_updates(folder, data, in_one_process, framework):
    """Twelve epochs of 42 updates, of three batches each: the rise has 84 updates."""
    found = data(
        *("suggest", "--samples", "1260", "--batch-size", "10", "--epochs", "12"),
        *("--max-lr", "0.1", "--accumulation-steps", "3", "--to", framework),
    )
    check = f"import numpy\n{found['code']}{CODE[framework]}"
    in_one_process({}, check=check, KERAS_BACKEND="jax")


REFUSED = {
    "": "--max-lr must be given, or the --result of a range test.",
    "--max-lr -1": "--max-lr must be positive",
    "--max-lr 1 --step-size-up 3": "unrecognized arguments: --step-size-up",
    "--max-lr 1 --epochs-per-half-cycle 0": "--epochs-per-half-cycle must be posi",
    "--max-lr 1 --processes 501 --drop-last": "With --drop-last an epoch must ",
    "--max-lr 1 --out x.yaml": "--out must end in .json. Received: --out 'x.yaml'",
    "--max-lr 1 --processes 0": "argument --processes: must be an integer from 1",
    "--max-lr 1 --base-lr 2": "--base-lr must not be above --max-lr. Received: ",
}


@pytest.mark.parametrize("more", REFUSED)
def test_what_is_refused(folder, refused, more):
    assert refused("suggest", *SIZES, *shlex.split(more)).startswith(REFUSED[more])


@pytest.mark.parametrize("kind", ["one_cycle", "warm_restarts", "warmup_cosine"])
def test_another_kind(folder, clr, kind):
    expected = suggest_schedule(samples=50_000, batch_size=100, epochs=24, max_lr=0.006, kind=kind)
    done = clr(
        "suggest", *SIZES, "--max-lr", "0.006", "--kind", kind, "--to", "jax", "--out", "a.json"
    )
    assert done.out.startswith(f"{expected}\n")
    assert "from clr_core import Phase, PiecewiseSchedule" in done.out
    assert Record.read("a.json").schedule == expected.schedule
