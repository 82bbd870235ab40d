"""The tables in docs/same-trajectory.md say what its experiments find when they run again."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "same-trajectory.md"
BOUND = 1e-5
NUMBER = re.compile(r"(\**)(\d(?:\.\d)?(?:e-?\d+)?)\1")
FRAMEWORKS = """
import inspect, keras, optax, optax.contrib, torch

def classes(module, base):
    return {name for name, each in vars(module).items() if inspect.isclass(each)
            and issubclass(each, base) and each is not base}

names = [
    classes(torch.optim, torch.optim.Optimizer),
    classes(keras.optimizers, keras.Optimizer),
    {name for module in (optax, optax.contrib) for name in dir(module)},
]
names = [{name.lower().replace("_", "") for name in each} for each in names]
print(*sorted({name for each in names for name in each if sum(name in one for one in names) > 1}))
"""


def table(text, name):
    """The rows of one of the page's tables, as lists of cells."""
    lines = text.split(f"<!-- table: {name} -->\n\n")[1].split("\n\n<!-- end")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines if not line.startswith("| ---")]


def differences(text):
    """`{(optimizer, pair): cell}` for the optimizers that both frameworks have."""
    head, *rows = table(text, "differences")
    return {
        (row[0], pair): cell
        for row in rows
        for pair, cell in zip(head[1:], row[1:], strict=True)
        if cell != "–"
    }


def causes(text):
    """`{(optimizer, pair): [difference, why, without, difference left]}`."""
    return {(row[0], row[1]): row[2:] for row in table(text, "causes")[1:]}


def number(cell):
    return float(NUMBER.fullmatch(cell)[2])


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The page as measured now.

    XLA compiles without optimizations, in half the time. It rounds differently then, so that the
    verdicts are also held against a second compiler, as it were.
    """
    path = shutil.copy(PAGE, tmp_path_factory.mktemp("trajectories"))
    script = ROOT / "benchmarks" / "trajectories" / "measure.py"
    process = subprocess.run(
        [sys.executable, str(script), "--page", path],
        env=os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr
    return Path(path).read_text(encoding="utf-8")


def test_only_numbers_change(page, again):
    assert NUMBER.sub("0", again) == NUMBER.sub("0", page)


@pytest.mark.parametrize("pair", differences(PAGE.read_text(encoding="utf-8")), ids=", ".join)
def test_difference(pair, page, again):
    says, finds = (number(differences(text)[pair]) for text in (page, again))
    assert (finds <= BOUND) == (says <= BOUND), f"{pair}: {finds}, the page says {says}"
    # Two digits are printed, and both numbers have float32's rounding error. In torch's Muon that
    # of bfloat16 is 2**16 times as large, and processors needn't agree on it.
    share = 0.5 if pair[0] == "Muon" and "torch" in pair[1] else 0.05
    if says > BOUND:
        assert abs(finds - says) <= share * says + BOUND


@pytest.mark.parametrize("pair", causes(PAGE.read_text(encoding="utf-8")), ids=", ".join)
def test_without_its_cause_a_difference_is_gone(pair, page, again):
    for text in (page, again):
        differs, _, _, left = causes(text)[pair]
        assert differs == differences(text)[pair]
        assert number(differs) > BOUND >= number(left)


def test_every_difference_above_the_bound_has_a_cause(page):
    above = {pair for pair, cell in differences(page).items() if number(cell) > BOUND}
    assert above == set(causes(page))
    assert above == {pair for pair, cell in differences(page).items() if cell.startswith("**")}


def test_every_optimizer_of_two_frameworks_is_there(page):
    # Not TensorFlow, which crashes in one process with torch.
    process = subprocess.run(
        [sys.executable, "-c", FRAMEWORKS],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    names = {re.sub(r"[ -]", "", optimizer).lower() for optimizer, _ in differences(page)}
    assert set(process.stdout.split()) - names == {"lbfgs"}
